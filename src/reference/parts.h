/* The parts of the forward pass, one mathematical idea per file. All but the loaders are pure: pointers and sizes in,
 * numbers out, one thread. Matrices are row-major; a weight is [out, in]. */
#ifndef GX_REFERENCE_PARTS_H
#define GX_REFERENCE_PARTS_H

#include "reference/reference.h"

/* ---- blas.c: OpenBLAS, where the machine has it ---- */

typedef void (*gx_blas_sgemm)(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha, const float *a, int lda,
                              const float *b, int ldb, float beta, float *c, int ldc);

gx_blas_sgemm gx_blas_find(void); /* NULL: not installed */

/* c [m, n] = a [m, k] · b; strides are the distances between rows, in elements. */
typedef struct gx_product {
    size_t m, n, k;
    const float *a;
    size_t a_stride;
    const float *b;
    size_t b_stride;
    float *c;
    size_t c_stride;
} gx_product;

/* b is [k, n], or [n, k] to be transposed. False: nothing done, sgemm is NULL or a size is beyond its integers. */
bool gx_blas_run(gx_blas_sgemm sgemm, const gx_product *product, bool transpose_b);

/* ---- product.c ---- */

void gx_product_rows(gx_blas_sgemm sgemm, const gx_product *product);    /* b is [n, k]: c = a · bᵀ, as for a weight */
void gx_product_columns(gx_blas_sgemm sgemm, const gx_product *product); /* b is [k, n] */

/* ---- norm.c ---- */

/* RMSNorm of each row with `factor` [columns], NULL: without one; out may be x. */
void gx_norm_rows(const float *x, size_t rows, size_t columns, const float *factor, double eps, float *out);

/* ---- activation.c ---- */

/* gate = activation(gate) · up, element by element. */
void gx_activation_gate(gx_activation activation, float *gate, const float *up, size_t elements);
void gx_softcap(float *values, size_t elements, double cap);

/* What lies above a row's mean by `cutoff` standard deviations, less that; else 0. */
void gx_activation_cut(float *rows, size_t row_count, size_t columns, double cutoff);

/* ---- experts.c ---- */

struct gx_layer_weights;

/* Experts of one layer, for rows of the residual stream as they are (`stream`, which the router reads) and normed for the experts (`x`), both
 * [rows, hidden_size]; the sum of what they give, weighted, goes to `out`. `scratch` has rows * gx_experts_scratch() elements. */
size_t gx_experts_scratch(const gx_model *model, const gx_layer *layer); /* 0: the layer has none */
void gx_experts_run(gx_blas_sgemm sgemm, const gx_model *model, const gx_layer *layer, const struct gx_layer_weights *weights, const float *stream,
                    const float *x, size_t rows, float *scratch, float *out);

/* ---- rope.c ---- */

typedef struct gx_rope_table {
    gx_rope rope;
    size_t positions; /* rows below */
    float *cosines;   /* [positions, head_dim / 2] */
    float *sines;
} gx_rope_table;

gx_status gx_rope_table_extend(gx_rope_table *table, size_t positions, gx_rope_precision precision, gx_error *error) GX_MUST_USE;
void gx_rope_table_deinit(gx_rope_table *table);
void gx_rope_rotate(const gx_rope_table *table, float *row, size_t heads, size_t position); /* row: [heads, head_dim] */

/* ---- attention.c ---- */

#define GX_ATTENTION_BLOCK 64 /* queries at once */

/* One head over consecutive queries: query r stands at position past + r and sees the keys at and before it, and if bidirectional those behind it,
 * within the window. */
typedef struct gx_attention {
    float *queries; /* [rows, head_dim], replaced by the result */
    size_t query_stride;
    size_t rows;
    size_t past;
    const float *keys; /* [past + rows, head_dim] */
    const float *values;
    size_t key_stride;
    size_t head_dim;
    uint64_t sliding_window; /* 0: none */
    bool bidirectional;
    double scale;
    double softcap; /* 0: none */
} gx_attention;

/* `scores` holds GX_ATTENTION_BLOCK * (past + rows) elements. */
void gx_attention_head(gx_blas_sgemm sgemm, const gx_attention *attention, float *scores);

/* ---- cache.c ---- */

typedef struct gx_key_values {
    float *keys; /* [positions, num_key_value_heads * head_dim] */
    float *values;
} gx_key_values;

struct gx_reference_cache {
    const gx_model *model;
    size_t length;
    size_t capacity;
    gx_key_values *layers;
};

gx_status gx_reference_cache_reserve(gx_reference_cache *cache, size_t positions, gx_error *error) GX_MUST_USE;

/* ---- weights.c ---- */

/* A layer's weights as fp32, one piece of memory. */
typedef struct gx_layer_weights {
    float *values[GX_ROLE_COUNT]; /* NULL: this layer has no such weight */
    float *storage;
} gx_layer_weights;

gx_status gx_layer_weights_load(gx_layer_weights *out, const gx_model *model, const gx_layer *layer, unsigned threads,
                                gx_error *error) GX_MUST_USE;
void gx_layer_weights_deinit(gx_layer_weights *weights);

/* A whole weight into `out` [rows, columns]. */
gx_status gx_weight_load(const gx_model *model, const gx_weight *weight, unsigned threads, float *out, gx_error *error) GX_MUST_USE;

/* Some rows; allocates its own scratch. */
gx_status gx_weight_load_rows(const gx_model *model, const gx_weight *weight, uint64_t first_row, uint64_t rows, float *out,
                              gx_error *error) GX_MUST_USE;

/* fp32 elements as a size that memory can hold. */
gx_status gx_floats_alloc(float **out, uint64_t rows, uint64_t columns, gx_error *error) GX_MUST_USE;

#endif
