/* A text continued id by id: prompt, then one step per new id, until a stop id or the limit. */
#ifndef GX_RUNTIME_GENERATE_H
#define GX_RUNTIME_GENERATE_H

#include "runtime/decoder.h"
#include "runtime/sampler.h"

/* Receives each new id, a stop id not. Return false to end the text. */
typedef bool (*gx_generate_callback)(void *context, int64_t id);

typedef struct gx_generate_options {
    const int64_t *prompt;
    size_t prompt_count; /* at least 1 */
    size_t prompt_chunk; /* ids per step of the prompt: bounds memory; 0: all at once */
    size_t new_ids;      /* at most; fewer when the state is full */
    const int64_t *stop_ids;
    size_t stop_count;
    gx_generate_callback callback;
    void *context;
} gx_generate_options;

/* Continues what the state (a batch of 1) holds; `vocabulary` of the sampler must be the model's. *count: the new ids
 * given to the callback. */
gx_status gx_generate(gx_decoder_state *state, gx_sampler *sampler, const gx_generate_options *options, size_t *count,
                      gx_error *error) GX_MUST_USE;

#endif
