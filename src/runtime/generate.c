/* Generation over a decoder and a sampler. */
#include "runtime/generate.h"

static bool is_stop_id(const gx_generate_options *options, int64_t id)
{
    for (size_t i = 0; i < options->stop_count; i++)
        if (options->stop_ids[i] == id)
            return true;
    return false;
}

static gx_status feed_prompt(gx_decoder_state *state, const gx_generate_options *options, gx_decoder_logits *logits, gx_error *error)
{
    const size_t chunk = options->prompt_chunk ? options->prompt_chunk : options->prompt_count;
    for (size_t done = 0; done < options->prompt_count;) {
        const size_t left = options->prompt_count - done, count = left < chunk ? left : chunk;
        GX_TRY(gx_decoder_step(state, options->prompt + done, count, logits, error));
        done += count;
    }
    return GX_OK;
}

gx_status gx_generate(gx_decoder_state *state, gx_sampler *sampler, const gx_generate_options *options, size_t *count, gx_error *error)
{
    gx_decoder_logits logits;
    size_t given = 0;
    if (options->prompt_count == 0)
        return gx_fail(error, GX_ERROR_ARGUMENT, "an empty prompt: expected at least one id");
    GX_TRY(feed_prompt(state, options, &logits, error));
    while (given < options->new_ids) {
        int64_t id;
        GX_TRY(gx_sampler_next(sampler, gx_decoder_last_logits(&logits, 0), logits.vocabulary, &id, error));
        if (is_stop_id(options, id))
            break;
        given++;
        if (!options->callback(options->context, id) || given == options->new_ids || gx_decoder_state_room(state) == 0)
            break;
        GX_TRY(gx_decoder_step(state, &id, 1, &logits, error));
    }
    *count = given;
    return GX_OK;
}
