/*
 * The judge: a plain fp32 forward pass over the bound model. Layer by layer: all positions of all sequences go through
 * layer n, then through layer n + 1, so that one layer's weights are in memory, whatever the model's size. Pinned to
 * Hugging Face Transformers in fp32 by golden vectors; shares nothing with the code that builds graphs.
 *
 * Work is cut into pieces of fixed size and no sum crosses a piece: the results do not depend on the number of threads.
 * A reference serves one call at a time.
 */
#ifndef GX_REFERENCE_REFERENCE_H
#define GX_REFERENCE_REFERENCE_H

#include "model/model.h"

typedef struct gx_reference gx_reference;

typedef enum gx_rope_precision {
    GX_ROPE_DOUBLE, /* angles in double, their cosines rounded to fp32 */
    GX_ROPE_FLOAT,  /* angles in fp32, as Transformers has them: off by 2e-3 and more beyond some 30,000 positions */
} gx_rope_precision;

/* Sees values on their way, in reading order, always from the calling thread. `name` is one of those in layer.c and
 * forward.c; `layer` is -1 outside the layers. `values` is [rows, columns]: rows `first_row` … of all sequences' rows put
 * one after another; a large forward pass comes in several such pieces per name and layer. */
typedef void (*gx_reference_tap)(void *context, const char *name, int layer, size_t first_row, size_t rows, size_t columns,
                                 const float *values);

typedef struct gx_reference_options {
    unsigned threads;  /* 0: all processors */
    bool keep_weights; /* keep all weights as fp32 in memory: for generation with models that fit */
    bool plain_loops;  /* never OpenBLAS, though it is there */
    gx_rope_precision rope_precision;
    gx_reference_tap tap; /* NULL: none. With one, only the reading of weights is threaded */
    void *tap_context;
} gx_reference_options; /* {0} is the default */

/* `model` must outlive the reference. `options` NULL: the default. */
gx_status gx_reference_new(gx_reference **out, const gx_model *model, const gx_reference_options *options, gx_error *error) GX_MUST_USE;
void gx_reference_free(gx_reference *reference); /* NULL allowed */

bool gx_reference_uses_blas(const gx_reference *reference);

/* Keys and values of one sequence in all layers, to go on from. It grows as needed. */
typedef struct gx_reference_cache gx_reference_cache;
gx_reference_cache *gx_reference_cache_new(const gx_model *model); /* NULL when memory is out */
void gx_reference_cache_free(gx_reference_cache *cache);           /* NULL allowed */
size_t gx_reference_cache_length(const gx_reference_cache *cache); /* positions in it */

typedef struct gx_reference_sequence {
    const int64_t *ids;
    size_t count;              /* at least 1 */
    gx_reference_cache *cache; /* the past, extended by this call when it succeeds; NULL, as for an encoder: positions start at 0 and nothing is kept */
} gx_reference_sequence;

/* Each sequence for itself: there is no padding here. `hidden` [all ids, hidden_size] receives the states after the final
 * norm; its content is undefined on failure. One cache may stand only once in a call. */
gx_status gx_reference_forward(gx_reference *reference, const gx_reference_sequence *sequences, size_t count, float *hidden,
                               gx_error *error) GX_MUST_USE;

/* Logits [rows, vocab_size] of such states, softcapped where the model says so. */
gx_status gx_reference_logits(gx_reference *reference, const float *hidden, size_t rows, float *logits, gx_error *error) GX_MUST_USE;

/* The same in blocks of whole rows, in order, each in a buffer of at most 128 MiB (or one row). */
typedef gx_status (*gx_reference_logits_visitor)(void *context, size_t first_row, size_t rows, const float *logits, gx_error *error);
gx_status gx_reference_visit_logits(gx_reference *reference, const float *hidden, size_t rows, gx_reference_logits_visitor visitor,
                                    void *context, gx_error *error) GX_MUST_USE;

/* Of an encoder: embeddings [count, dimension] of texts whose states, counts[i] rows each, lie one after another in `hidden`. `dimension` 0: all
 * values; else so many leading ones, brought to length 1 again. */
gx_status gx_reference_embed(gx_reference *reference, const float *hidden, const size_t *counts, size_t count, size_t dimension, float *embeddings,
                             gx_error *error) GX_MUST_USE;

typedef struct gx_reference_prompt {
    const int64_t *ids;
    size_t count;
} gx_reference_prompt;

/* The likeliest id at each step (the lowest of equals), for all prompts at once. `out` [count, new_ids]; a row ends after
 * the first id that is among `stop_ids` (none: NULL, 0). `lengths` [count] says how many ids each row has. */
gx_status gx_reference_generate(gx_reference *reference, const gx_reference_prompt *prompts, size_t count, size_t new_ids,
                                const int64_t *stop_ids, size_t stop_count, int64_t *out, size_t *lengths, gx_error *error) GX_MUST_USE;

#endif
