/* What a reference holds between calls, and one forward pass on its way through the layers. */
#ifndef GX_REFERENCE_STATE_H
#define GX_REFERENCE_STATE_H

#include "reference/parts.h"

struct gx_reference {
    const gx_model *model;
    gx_reference_options options; /* threads: at least 1 */
    gx_blas_sgemm sgemm;          /* NULL: plain loops */
    float *final_norm;            /* [hidden_size] */
    gx_layer_weights *kept;       /* [num_hidden_layers], storage NULL until first used; used with keep_weights only */
    float *kept_head;             /* [vocab_size, hidden_size], the same */
    gx_rope_table *rope_tables;   /* one for each different rope; at most num_hidden_layers */
    size_t rope_table_count;
};

/* Rows that go through a layer's products together. Fixed, so that results do not depend on the threads. */
#define GX_PIECE_ROWS 128

typedef struct gx_pass_row {
    size_t sequence;
    size_t position;
} gx_pass_row;

/* A worker's memory, cut from one allocation. */
typedef struct gx_pass_scratch {
    float *normed; /* [GX_PIECE_ROWS, hidden_size] */
    float *output; /* [GX_PIECE_ROWS, hidden_size] */
    float *wide;   /* [GX_PIECE_ROWS, keys' width or intermediate_size] */
    float *wide2;
    float *scores; /* [GX_ATTENTION_BLOCK, longest sequence] */
    float *storage;
} gx_pass_scratch;

typedef struct gx_pass {
    gx_reference *reference;
    const gx_reference_sequence *sequences;
    size_t sequence_count;
    size_t *pasts;      /* [sequence_count] */
    size_t *first_rows; /* [sequence_count] */
    gx_pass_row *rows;  /* [row_count] */
    size_t row_count;
    size_t longest; /* past and new together */
    float *hidden;  /* [row_count, hidden_size]: the caller's */
    float *queries; /* [row_count, widest layer's num_attention_heads * head_dim] */
    gx_key_values *borrowed; /* [sequence_count]: for sequences without a cache, one layer's keys and values */
    gx_pass_scratch *scratch; /* [threads] */
    unsigned threads;
} gx_pass;

/* pass.c */
gx_status gx_pass_init(gx_pass *pass, gx_reference *reference, const gx_reference_sequence *sequences, size_t count, float *hidden,
                       gx_error *error) GX_MUST_USE;
void gx_pass_deinit(gx_pass *pass); /* after a failed init, too */
void gx_pass_tap(const gx_pass *pass, const char *name, int layer, size_t first_row, size_t rows, size_t columns, const float *values);

/* layer.c: all rows through layer n. */
gx_status gx_layer_run(gx_pass *pass, uint32_t n, const gx_layer_weights *weights, const gx_rope_table *rope, gx_error *error) GX_MUST_USE;

#endif
