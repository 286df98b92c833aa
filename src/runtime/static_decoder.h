/*
 * Drives static graphs as one decoder (runtime/decoder.h): one graph of one id a call and any number of longer ones, on
 * caches of fixed size in which every call writes in place. Inputs are known by their names: input_ids; position, or
 * seqlens_k and total_sequence_length; last_index; the caches (docs/static-graphs.md).
 */
#ifndef GX_RUNTIME_STATIC_DECODER_H
#define GX_RUNTIME_STATIC_DECODER_H

#include "runtime/decoder.h"

#define GX_STATIC_MAX_GRAPHS 9

/* What gemma_static.json says and the graphs do not. */
typedef struct gx_static_rules {
    size_t max_length;               /* positions that every row may hold */
    bool padding;                    /* a prefill call may end in padding */
    bool rows_at_different_positions; /* … in prefill calls */
    bool continues;                  /* a prefill call may follow others */
} gx_static_rules;

/* `sessions`, of one decode graph and any number of prefill graphs in any order, must outlive the decoder. Graphs that do not
 * fit each other are GX_ERROR_FORMAT. */
gx_status gx_static_decoder_open(gx_decoder **out, gx_session *const *sessions, size_t count, const gx_static_rules *rules,
                                 gx_error *error) GX_MUST_USE;

typedef struct gx_static_row {
    const int64_t *ids;
    size_t count;
} gx_static_row;

/* Appends to every row ids of its own, as many as it likes (0: none). out->values [rows, vocabulary] then holds the scores
 * after the last id of each row that got any. Rows of different counts need a decoder whose calls may hold padding:
 * GX_ERROR_ARGUMENT otherwise. On failure the state is good for a reset only. */
gx_status gx_static_decoder_feed(gx_decoder_state *state, const gx_static_row *rows, gx_decoder_logits *out, gx_error *error) GX_MUST_USE;

size_t gx_static_decoder_longest_call(const gx_decoder *decoder); /* ids a row */
bool gx_static_decoder_takes_padding(const gx_decoder *decoder);   /* false: rows of a batch take equally many ids */

/* Outputs of the graphs besides logits and caches, [rows * ids of the call, columns], looked at after every call: values
 * [columns] as fp32, of the last id that the call took of row 0. */
typedef struct gx_static_tap {
    const char *const *names;
    size_t count;
    void (*callback)(void *context, size_t index, size_t columns, const float *values);
    void *context;
} gx_static_tap;

/* `tap` must outlive the state or the next setting. NULL: none any more. */
gx_status gx_static_decoder_set_tap(gx_decoder_state *state, const gx_static_tap *tap, gx_error *error) GX_MUST_USE;

#endif
