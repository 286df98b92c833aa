/* What a sentence-transformers folder, or a GGUF, says of the way from hidden states to an embedding. */
#ifndef GX_MODEL_SENTENCE_H
#define GX_MODEL_SENTENCE_H

#include "model/config.h"

/* A matrix to be bound: `out` rows of `in`. */
typedef struct gx_dense {
    const char *name; /* of its tensor */
    uint64_t in, out;
} gx_dense;

typedef struct gx_sentence_plan {
    gx_dense dense[GX_MAX_DENSE];
    unsigned dense_count;
    bool normalize;
} gx_sentence_plan;

/* Refuses what is not a mean, matrices without bias or activation, and a length of 1. Without modules.json: the mean, of length 1, with a note. */
gx_status gx_sentence_read(gx_sentence_plan *out, gx_model *model, gx_arena *arena, gx_error *error) GX_MUST_USE;

#endif
