/* The state of a batch as decoder_state.c keeps it and decoder_step.c moves it on. */
#ifndef GX_RUNTIME_DECODER_STATE_H
#define GX_RUNTIME_DECODER_STATE_H

#include "runtime/decoder.h"

#define GX_DECODER_ID_INPUTS 3 /* input_ids, attention_mask, position_ids */

struct gx_decoder_state {
    const gx_decoder *decoder;
    gx_arena *arena; /* the state itself and its tables */
    size_t batch, capacity;
    size_t length;              /* positions held by every row */
    size_t *padding;            /* [batch] */
    int64_t *mask, *positions;  /* [batch * capacity]: filled anew for every step */
    gx_ort_tensor **caches;     /* [slots] */
    gx_ort_tensor **new_caches; /* [slots]; NULL outside of a step or a rewind */
    const char **input_names, **output_names;
    gx_ort_tensor **inputs, **outputs;
    gx_ort_tensor *logits;   /* of the last step; NULL: none */
    float *converted_logits; /* the same as fp32, when they were fp16 */
};

void gx_decoder_drop_logits(gx_decoder_state *state);

/* Ends a step or rewind: the new caches replace the old ones, or go. */
void gx_decoder_settle_caches(gx_decoder_state *state, bool keep_new);

#endif
