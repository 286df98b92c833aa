/* gx_run: text from an exported folder, through ONNX Runtime and our own tokenizer. */
#include <string.h>

#include "pipeline/clock.h"
#include "pipeline/opened_model.h"
#include "pipeline/run_encoder.h"
#include "runtime/generate.h"
#include "tokenizer/chat.h"

#define PROMPT_CHUNK 512u /* ids per step: bounds the memory of a long prompt */

void gx_run_options_default(gx_run_options *options)
{
    *options = (gx_run_options){.size = sizeof *options, .max_new_tokens = 128, .top_p = 1};
}

typedef struct job {
    const gx_run_options *options;
    gx_arena *arena;
    gx_tokenizer *tokenizer;
    gx_token_ids prompt;
    int64_t stop_ids[GX_MAX_STOP_IDS];
    size_t stop_count;
    gx_runtime *runtime;
    gx_opened_model model;
    gx_decoder_state *state;
    gx_sampler *sampler;
    gx_token_stream *stream;
    gx_buffer piece;
    gx_run_result result;
    double first_token; /* when it came */
    gx_status status;   /* of the callback */
    gx_error *error;
} job;

static gx_status encode_prompt(job *j, gx_error *error)
{
    const gx_run_options *o = j->options;
    if (!o->chat)
        return gx_tokenizer_encode(j->tokenizer, o->prompt, strlen(o->prompt), GX_ENCODE_WITH_TEMPLATE, &j->prompt, error);
    gx_chat_message messages[2];
    size_t count = 0;
    if (o->system)
        messages[count++] = (gx_chat_message){GX_CHAT_SYSTEM, o->system, strlen(o->system)};
    messages[count++] = (gx_chat_message){GX_CHAT_USER, o->prompt, strlen(o->prompt)};
    GX_TRY(gx_chat_encode(j->tokenizer, messages, count, true, &j->prompt, error));
    if (j->stop_count < GX_MAX_STOP_IDS)
        GX_TRY(gx_chat_turn_end(j->tokenizer, &j->stop_ids[j->stop_count++], error));
    return GX_OK;
}

static gx_status prepare_text(job *j, gx_error *error)
{
    char *path = gx_path_join(j->arena, j->options->output_dir, "tokenizer.json");
    if (!path)
        return gx_fail_memory(error);
    if (!gx_path_exists(path))
        return gx_fail(error, GX_ERROR_ARGUMENT, "%s: no tokenizer.json in it", j->options->output_dir);
    GX_TRY(gx_tokenizer_load(&j->tokenizer, path, error));
    GX_TRY(gx_output_folder_stop_ids(j->stop_ids, &j->stop_count, j->arena, j->options->output_dir, error));
    GX_TRY(encode_prompt(j, error));
    return gx_token_stream_new(&j->stream, j->tokenizer, true, error);
}

/* A static pair ends when its caches are full. */
static gx_status make_state(job *j, gx_error *error)
{
    const size_t limit = gx_decoder_max_length(j->model.decoder);
    size_t capacity = j->prompt.count + j->options->max_new_tokens;
    if (limit && j->prompt.count > limit)
        return gx_fail(error, GX_ERROR_ARGUMENT, "%s: the prompt is %zu tokens long, the caches hold %zu; convert it with a larger max_length",
                       j->options->output_dir, j->prompt.count, limit);
    if (limit && capacity > limit)
        capacity = limit;
    return gx_decoder_state_new(&j->state, j->model.decoder, 1, capacity, error);
}

static gx_status prepare_model(job *j, gx_error *error)
{
    const gx_run_options *o = j->options;
    gx_model_file file;
    GX_TRY(gx_output_folder_pick(&file, j->arena, o->output_dir, o->precision, error));
    GX_TRY(gx_runtime_open(&j->runtime, o->ort_library, error));
    gx_session_options session;
    gx_session_options_default(&session);
    if (o->threads)
        session.threads = o->threads;
    GX_TRY(gx_opened_model_open(&j->model, j->runtime, &file, &session, error));
    return make_state(j, error);
}

static bool send_piece(job *j)
{
    const gx_run_options *o = j->options;
    const bool go_on = j->piece.nbytes == 0 || !o->text || o->text(o->text_context, (const char *)j->piece.data, j->piece.nbytes);
    gx_buffer_clear(&j->piece);
    return go_on;
}

static bool on_id(void *context, int64_t id)
{
    job *j = context;
    if (j->result.new_tokens++ == 0)
        j->first_token = gx_clock_seconds();
    j->status = gx_token_stream_push(j->stream, id, &j->piece, j->error);
    return j->status == GX_OK && send_piece(j);
}

static gx_status generate(job *j, gx_error *error)
{
    const gx_run_options *o = j->options;
    const gx_sampler_options sampling = {.temperature = o->temperature, .top_k = o->top_k, .top_p = o->top_p, .seed = o->seed};
    GX_TRY(gx_sampler_new(&j->sampler, &sampling, gx_decoder_vocabulary(j->model.decoder), error));
    const gx_generate_options options = {.prompt = j->prompt.ids,
                                         .prompt_count = j->prompt.count,
                                         .prompt_chunk = PROMPT_CHUNK,
                                         .new_ids = o->max_new_tokens,
                                         .stop_ids = j->stop_ids,
                                         .stop_count = j->stop_count,
                                         .callback = on_id,
                                         .context = j};
    size_t count = 0;
    GX_TRY(gx_generate(j->state, j->sampler, &options, &count, error));
    GX_TRY(j->status);
    if (gx_decoder_state_room(j->state) == 0 && j->result.new_tokens < o->max_new_tokens)
        j->result.cache_limit = gx_decoder_max_length(j->model.decoder);
    GX_TRY(gx_token_stream_finish(j->stream, &j->piece, error));
    send_piece(j);
    return GX_OK;
}

static gx_status run(job *j, gx_error *error)
{
    const double begun = gx_clock_seconds();
    GX_TRY(prepare_text(j, error));
    GX_TRY(prepare_model(j, error));
    const double loaded = gx_clock_seconds();
    j->error = error;
    GX_TRY(generate(j, error));
    const double ended = gx_clock_seconds();
    if (j->result.new_tokens == 0)
        j->first_token = ended;
    j->result.prompt_tokens = j->prompt.count;
    j->result.load_seconds = loaded - begun;
    j->result.prompt_seconds = j->first_token - loaded;
    j->result.decode_seconds = ended - j->first_token;
    return GX_OK;
}

static gx_status check_options(const gx_run_options *o, gx_error *error)
{
    if (o->size != sizeof *o || !o->output_dir || !o->prompt)
        return gx_fail(error, GX_ERROR_ARGUMENT, "nothing to run: name a folder that build wrote, and a prompt");
    if (o->system && !o->chat)
        return gx_fail(error, GX_ERROR_ARGUMENT, "a system text goes with chat only");
    if (o->more_prompt_count && !o->more_prompts)
        return gx_fail(error, GX_ERROR_ARGUMENT, "more_prompts is NULL");
    if (o->max_new_tokens == 0)
        return gx_fail(error, GX_ERROR_ARGUMENT, "no new tokens wanted");
    return GX_OK;
}

gx_status gx_run(const gx_run_options *options, gx_run_result *result, gx_error *error)
{
    gx_error_clear(error);
    GX_TRY(check_options(options, error));
    bool embeds = false;
    GX_TRY(gx_output_folder_embeds(&embeds, options->output_dir, error));
    if (embeds)
        return gx_run_encoder(options, result, error);
    if (options->more_prompt_count || options->task)
        return gx_fail(error, GX_ERROR_ARGUMENT, "%s generates text: it takes one prompt, and no task", options->output_dir);
    job j = {.options = options, .arena = gx_arena_new()};
    if (!j.arena)
        return gx_fail_memory(error);
    const gx_status status = run(&j, error);
    if (status == GX_OK && result)
        *result = j.result;
    gx_buffer_deinit(&j.piece);
    gx_token_stream_free(j.stream);
    gx_sampler_free(j.sampler);
    gx_decoder_state_free(j.state);
    gx_opened_model_close(&j.model);
    gx_runtime_close(j.runtime);
    gx_token_ids_deinit(&j.prompt);
    gx_tokenizer_free(j.tokenizer);
    gx_arena_free(j.arena);
    return status;
}
