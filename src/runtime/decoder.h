/*
 * Drives a decoder. Dynamic: one graph of dynamic shape, ours, or another tool's with the same contract. Inputs input_ids and
 * attention_mask, optionally position_ids, and past_key_values.N.key|value [batch, heads, past, width] in fp32 or fp16;
 * outputs logits [batch, 1 or sequence, vocabulary] in fp32 or fp16 and present.N.key|value. Static graphs and graphs that
 * want anything else are refused when opened. Static: the graphs of runtime/static_decoder.h.
 */
#ifndef GX_RUNTIME_DECODER_H
#define GX_RUNTIME_DECODER_H

#include "runtime/runtime.h"

typedef enum gx_decoder_cache {
    GX_DECODER_CACHE_DECLARED, /* shared if the model's metadata says gemma_onnx.shared_cache = 1, else growing */
    GX_DECODER_CACHE_GROWING,  /* ONNX Runtime makes a new cache in every step and copies the old one into it */
    GX_DECODER_CACHE_SHARED,   /* one buffer as past and present: GroupQueryAttention writes in place; other operators fail */
} gx_decoder_cache;

typedef struct gx_decoder gx_decoder; /* const after opening: states of one decoder may step in several threads */

/* `session` must outlive the decoder. */
gx_status gx_decoder_open(gx_decoder **out, gx_session *session, gx_decoder_cache cache, gx_error *error) GX_MUST_USE;
void gx_decoder_close(gx_decoder *decoder); /* NULL allowed; after its states */

bool gx_decoder_shares_cache(const gx_decoder *decoder);
size_t gx_decoder_layer_count(const gx_decoder *decoder);   /* those with a cache of their own */
bool gx_decoder_rewinds(const gx_decoder *decoder);         /* false: caches that are bounded forget what they would go back to */
size_t gx_decoder_max_length(const gx_decoder *decoder);    /* positions that a state may hold; 0: no limit of its own */
size_t gx_decoder_batch(const gx_decoder *decoder);         /* rows of every call; 0: as many as wanted */
uint64_t gx_decoder_vocabulary(const gx_decoder *decoder);  /* from the shape of logits; 0: not a number there */

/* The caches of one batch and how far they are filled. */
typedef struct gx_decoder_state gx_decoder_state;

/* No row will hold more than `capacity` positions, padding included; a shared cache is allocated for all of them now. */
gx_status gx_decoder_state_new(gx_decoder_state **out, const gx_decoder *decoder, size_t batch, size_t capacity,
                               gx_error *error) GX_MUST_USE;
void gx_decoder_state_free(gx_decoder_state *state); /* NULL allowed */

/* Empties the caches. `padding` [batch] says how many of the next step's first ids are padding, row by row (fewer than
 * that step's ids); NULL: none. */
gx_status gx_decoder_state_reset(gx_decoder_state *state, const size_t *padding, gx_error *error) GX_MUST_USE;

/* Forgets all but the first `length` positions, which must reach beyond the padding. */
gx_status gx_decoder_state_rewind(gx_decoder_state *state, size_t length, gx_error *error) GX_MUST_USE;

size_t gx_decoder_state_length(const gx_decoder_state *state); /* positions held per row, padding included */
size_t gx_decoder_state_room(const gx_decoder_state *state);   /* positions that can still be added */

typedef struct gx_decoder_logits {
    const float *values; /* [batch, rows, vocabulary]; the state's, until its next step, reset or end */
    size_t rows;         /* the step's ids per row, or 1: of the last id only */
    size_t vocabulary;
} gx_decoder_logits;

static inline const float *gx_decoder_last_logits(const gx_decoder_logits *logits, size_t row)
{
    return logits->values + ((row + 1) * logits->rows - 1) * logits->vocabulary;
}

/* Appends `sequence` ids to every row: ids is [batch, sequence]. On failure the state holds what it held. A batch above 1
 * takes more than one id only when it is empty (GX_ERROR_ARGUMENT): ONNX Runtime's GroupQueryAttention can do no more. */
gx_status gx_decoder_step(gx_decoder_state *state, const int64_t *ids, size_t sequence, gx_decoder_logits *out,
                          gx_error *error) GX_MUST_USE;

#endif
