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
    float *branch; /* the same */
    float *wide;   /* [GX_PIECE_ROWS, keys' width, intermediate_size or hidden_size_per_layer_input] */
    float *wide2;
    float *experts; /* what experts.c asks for, then what they give: [GX_PIECE_ROWS, hidden_size] */
    float *scores;  /* [GX_ATTENTION_BLOCK, longest sequence] */
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
    /* For sequences without a cache: [sequence_count, borrow_slots], each one layer's keys and values. Slot 0 serves the layers that no other one
     * reads, one after another. */
    gx_key_values *borrowed;
    size_t *slots; /* [num_hidden_layers]: the slot of each layer's keys and values */
    size_t borrow_slots;
    float *streams;      /* [row_count, altup.streams, hidden_size]; NULL: the residual stream is one, `hidden` */
    float *layer_inputs; /* [row_count, num_hidden_layers, hidden_size_per_layer_input]; NULL: the model has none */
    gx_pass_scratch *scratch; /* [threads] */
    unsigned threads;
} gx_pass;

/* pass.c */
gx_status gx_pass_init(gx_pass *pass, gx_reference *reference, const gx_reference_sequence *sequences, size_t count, float *hidden,
                       gx_error *error) GX_MUST_USE;
void gx_pass_deinit(gx_pass *pass); /* after a failed init, too */
void gx_pass_tap(const gx_pass *pass, const char *name, int layer, size_t first_row, size_t rows, size_t columns, const float *values);

gx_key_values gx_pass_key_values(const gx_pass *pass, size_t sequence, uint32_t layer);

/* altup.c: streams from the embedded rows, and the final states from the streams. A layer works on `hidden`, which it gets from the streams
 * before and gives back after. */
gx_status gx_altup_begin(gx_pass *pass, gx_error *error) GX_MUST_USE;
gx_status gx_altup_end(gx_pass *pass, gx_error *error) GX_MUST_USE;
void gx_altup_predict(gx_pass *pass, const gx_layer_weights *weights, size_t row);
void gx_altup_correct(gx_pass *pass, const gx_layer_weights *weights, size_t row);

/* layer_inputs.c: fills pass->layer_inputs from the ids and the embedded rows. */
gx_status gx_layer_inputs_run(gx_pass *pass, gx_error *error) GX_MUST_USE;

/* layer.c: all rows through layer n. */
gx_status gx_layer_run(gx_pass *pass, uint32_t n, const gx_layer_weights *weights, const gx_rope_table *rope, gx_error *error) GX_MUST_USE;

#endif
