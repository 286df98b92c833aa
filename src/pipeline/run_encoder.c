/* Task, text, ids, embedding, a line of JSON. */
#include <string.h>

#include "base/buffer.h"
#include "base/json.h"
#include "pipeline/clock.h"
#include "pipeline/encoder_set.h"
#include "pipeline/run_encoder.h"
#include "tokenizer/tokenizer.h"

#define PROMPTS_NAME "config_sentence_transformers.json"
#define PROMPTS_LIMIT (UINT64_C(1) << 20)

typedef struct job {
    const gx_run_options *options;
    gx_arena *arena;
    size_t count; /* of texts */
    gx_tokenizer *tokenizer;
    gx_token_ids *ids; /* [count] */
    gx_runtime *runtime;
    gx_encoder_set set;
    float *embeddings; /* [count, dimension] */
    gx_run_result result;
} job;

static const char *text_at(const job *j, size_t index)
{
    return index == 0 ? j->options->prompt : j->options->more_prompts[index - 1];
}

static gx_status fail_task(const char *path, const char *task, yyjson_val *prompts, gx_error *error)
{
    gx_buffer names = {0};
    size_t index, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach(prompts, index, count, key, value) gx_buffer_printf(&names, "%s%s", index ? ", " : "", yyjson_get_str(key));
    gx_status status = gx_buffer_check(&names, error);
    if (status == GX_OK)
        status = gx_fail(error, GX_ERROR_ARGUMENT, "%s: there is no task '%s' (%s)", path, task, gx_buffer_text(&names));
    gx_buffer_deinit(&names);
    return status;
}

/* What is put in front of every text: that of the named task, else of the folder's default one, else nothing. In the arena. */
static gx_status read_task(const char **out, const job *j, gx_error *error)
{
    const char *task = j->options->task;
    char *path = gx_path_join(j->arena, j->options->output_dir, PROMPTS_NAME);
    yyjson_doc *doc = NULL;
    *out = "";
    if (!path)
        return gx_fail_memory(error);
    if (!gx_path_exists(path))
        return task ? gx_fail(error, GX_ERROR_ARGUMENT, "%s: no %s in it, which would say what task '%s' is", j->options->output_dir, PROMPTS_NAME, task) : GX_OK;
    GX_TRY(gx_json_read(&doc, path, PROMPTS_LIMIT, error));
    yyjson_val *root = yyjson_doc_get_root(doc), *prompts = yyjson_obj_get(root, "prompts");
    task = task ? task : yyjson_get_str(yyjson_obj_get(root, "default_prompt_name"));
    const char *prompt = task ? yyjson_get_str(yyjson_obj_get(prompts, task)) : "";
    gx_status status = GX_OK;
    if (!prompt)
        status = fail_task(path, task, prompts, error);
    else if (!(*out = gx_arena_copy_string(j->arena, prompt)))
        status = gx_fail_memory(error);
    yyjson_doc_free(doc);
    return status;
}

static gx_status encode_texts(job *j, gx_error *error)
{
    const char *prompt;
    char *path = gx_path_join(j->arena, j->options->output_dir, "tokenizer.json");
    if (!path)
        return gx_fail_memory(error);
    if (!gx_path_exists(path))
        return gx_fail(error, GX_ERROR_ARGUMENT, "%s: no tokenizer.json in it", j->options->output_dir);
    GX_TRY(read_task(&prompt, j, error));
    GX_TRY(gx_tokenizer_load(&j->tokenizer, path, error));
    for (size_t i = 0; i < j->count; i++) {
        char *text = gx_arena_printf(j->arena, "%s%s", prompt, text_at(j, i));
        if (!text)
            return gx_fail_memory(error);
        GX_TRY(gx_tokenizer_encode(j->tokenizer, text, strlen(text), GX_ENCODE_WITH_TEMPLATE, &j->ids[i], error));
        if (j->ids[i].count == 0)
            return gx_fail(error, GX_ERROR_ARGUMENT, "text %zu has no tokens", i + 1);
        j->result.prompt_tokens += j->ids[i].count;
    }
    return GX_OK;
}

static gx_status open_model(job *j, gx_error *error)
{
    gx_model_file file;
    gx_session_options session;
    GX_TRY(gx_output_folder_pick(&file, j->arena, j->options->output_dir, j->options->precision, error));
    GX_TRY(gx_runtime_open(&j->runtime, j->options->ort_library, error));
    gx_session_options_default(&session);
    if (j->options->threads)
        session.threads = j->options->threads;
    return gx_encoder_set_open(&j->set, j->runtime, &file, &session, error);
}

static gx_status embed(job *j, gx_error *error)
{
    gx_encoder_text *texts = GX_NEW_ARRAY(j->arena, gx_encoder_text, j->count);
    j->embeddings = gx_alloc(j->count * gx_encoder_set_dimension(&j->set), sizeof *j->embeddings);
    if (!texts || !j->embeddings)
        return gx_fail_memory(error);
    for (size_t i = 0; i < j->count; i++)
        texts[i] = (gx_encoder_text){j->ids[i].ids, j->ids[i].count};
    return gx_encoder_set_run(&j->set, texts, j->count, GX_PAD_RIGHT, j->embeddings, NULL, 0, error);
}

/* Nine digits give the same fp32 back. */
static gx_status send(const job *j, gx_error *error)
{
    const size_t dimension = gx_encoder_set_dimension(&j->set);
    for (size_t i = 0; i < j->count; i++) {
        gx_buffer line = {0};
        for (size_t k = 0; k < dimension; k++)
            gx_buffer_printf(&line, "%s%.9g", k ? ", " : "[", (double)j->embeddings[i * dimension + k]);
        gx_buffer_append_text(&line, "]\n");
        gx_status status = gx_buffer_check(&line, error);
        if (status == GX_OK && j->options->text && !j->options->text(j->options->text_context, (const char *)line.data, line.nbytes))
            status = gx_fail(error, GX_ERROR_IO, "the embedding could not be handed over");
        gx_buffer_deinit(&line);
        GX_TRY(status);
    }
    return GX_OK;
}

static gx_status run(job *j, gx_error *error)
{
    const double begun = gx_clock_seconds();
    GX_TRY(encode_texts(j, error));
    GX_TRY(open_model(j, error));
    const double loaded = gx_clock_seconds();
    GX_TRY(embed(j, error));
    j->result.load_seconds = loaded - begun;
    j->result.prompt_seconds = gx_clock_seconds() - loaded;
    return send(j, error);
}

gx_status gx_run_encoder(const gx_run_options *options, gx_run_result *result, gx_error *error)
{
    if (options->chat || options->system)
        return gx_fail(error, GX_ERROR_ARGUMENT, "%s embeds texts: it has no turns", options->output_dir);
    job j = {.options = options, .arena = gx_arena_new(), .count = 1 + options->more_prompt_count};
    j.ids = j.arena ? GX_NEW_ARRAY(j.arena, gx_token_ids, j.count) : NULL;
    gx_status status = j.ids ? run(&j, error) : gx_fail_memory(error);
    if (status == GX_OK && result)
        *result = j.result;
    gx_free(j.embeddings);
    gx_encoder_set_close(&j.set);
    gx_runtime_close(j.runtime);
    for (size_t i = 0; j.ids && i < j.count; i++)
        gx_token_ids_deinit(&j.ids[i]);
    gx_tokenizer_free(j.tokenizer);
    gx_arena_free(j.arena);
    return status;
}
