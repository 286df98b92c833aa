/* Stages generation_config.json, tokenizer.json and tokenizer_config.json. The tokenizer is written piece by piece. */
#include <string.h>

#include "model/family.h"
#include "pipeline/document.h"
#include "pipeline/gguf_companions.h"
#include "tokenizer/from_gguf.h"

/* What ends a turn, where the vocabulary has it: instruction-tuned models stop there. */
static const char *const turn_ends[] = {"<end_of_turn>", "<turn|>"};

static const gx_gguf_value *find(const gx_checkpoint *checkpoint, const char *key, gx_gguf_kind kind)
{
    const gx_gguf_value *value = gx_checkpoint_metadata(checkpoint, key);
    return value && value->kind == kind ? value : NULL;
}

static int64_t find_id(const gx_checkpoint *checkpoint, const char *key)
{
    const gx_gguf_value *value = find(checkpoint, key, GX_GGUF_UNSIGNED);
    return value && value->u <= INT32_MAX ? (int64_t)value->u : -1;
}

static bool find_flag(const gx_checkpoint *checkpoint, const char *key, bool fallback)
{
    const gx_gguf_value *value = find(checkpoint, key, GX_GGUF_BOOL);
    return value ? value->b : fallback;
}

static const char *find_text(const gx_checkpoint *checkpoint, const char *key)
{
    const gx_gguf_value *value = find(checkpoint, key, GX_GGUF_STRING);
    return value ? value->string.bytes : NULL;
}

static gx_status find_array(const gx_gguf_value **out, const gx_checkpoint *checkpoint, const char *key, gx_gguf_kind kind, gx_error *error)
{
    const gx_gguf_value *value = find(checkpoint, key, GX_GGUF_ARRAY);
    if (!value || value->element_kind != kind)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: no list '%s' of the right type; the file holds no tokenizer", gx_checkpoint_path(checkpoint), key);
    *out = value;
    return GX_OK;
}

static gx_gguf_piece *copy_strings(gx_arena *arena, const gx_gguf_value *list)
{
    gx_gguf_piece *pieces = GX_NEW_ARRAY(arena, gx_gguf_piece, list->count);
    for (size_t i = 0; pieces && i < list->count; i++)
        pieces[i] = (gx_gguf_piece){list->array.strings[i].bytes, list->array.strings[i].nbytes};
    return pieces;
}

static gx_status describe_tokenizer(gx_gguf_tokenizer *out, gx_arena *arena, const gx_model *model, gx_error *error)
{
    const gx_checkpoint *checkpoint = model->checkpoint;
    const gx_gguf_value *tokens, *scores, *types;
    GX_TRY(find_array(&tokens, checkpoint, "tokenizer.ggml.tokens", GX_GGUF_STRING, error));
    GX_TRY(find_array(&scores, checkpoint, "tokenizer.ggml.scores", GX_GGUF_FLOAT, error));
    GX_TRY(find_array(&types, checkpoint, "tokenizer.ggml.token_type", GX_GGUF_SIGNED, error));
    if (scores->count != tokens->count || types->count != tokens->count)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: %zu tokens, %zu scores, %zu token types", gx_checkpoint_path(checkpoint), tokens->count,
                       scores->count, types->count);
    const gx_gguf_value *merges = find(checkpoint, "tokenizer.ggml.merges", GX_GGUF_ARRAY);
    const bool has_merges = merges && merges->element_kind == GX_GGUF_STRING;
    gx_gguf_piece *pieces = copy_strings(arena, tokens), *pairs = has_merges ? copy_strings(arena, merges) : NULL;
    if (!pieces || (has_merges && !pairs))
        return gx_fail_memory(error);
    const char *kind = find_text(checkpoint, "tokenizer.ggml.model");
    *out = (gx_gguf_tokenizer){.name = gx_checkpoint_path(checkpoint),
                               .kind = kind ? kind : "",
                               .merged_kind = model->family->gguf_tokenizer,
                               .pieces = pieces,
                               .scores = scores->array.f,
                               .types = types->array.i,
                               .count = tokens->count,
                               .merges = pairs,
                               .merge_count = has_merges ? merges->count : 0,
                               .bos = find_id(checkpoint, "tokenizer.ggml.bos_token_id"),
                               .eos = find_id(checkpoint, "tokenizer.ggml.eos_token_id"),
                               .unknown = find_id(checkpoint, "tokenizer.ggml.unknown_token_id"),
                               .padding = find_id(checkpoint, "tokenizer.ggml.padding_token_id"),
                               .add_bos = find_flag(checkpoint, "tokenizer.ggml.add_bos_token", true),
                               .add_eos = find_flag(checkpoint, "tokenizer.ggml.add_eos_token", false),
                               .chat_template = find_text(checkpoint, "tokenizer.chat_template")};
    return GX_OK;
}

/* ---- writing ---- */

typedef struct file_sink {
    gx_output *output;
    uint64_t nbytes;
} file_sink;

static gx_status write_to_file(void *context, const void *bytes, size_t nbytes, gx_error *error)
{
    file_sink *sink = context;
    GX_TRY(gx_output_write(sink->output, sink->nbytes, bytes, nbytes, error));
    sink->nbytes += nbytes;
    return GX_OK;
}

typedef gx_status (*tokenizer_writer)(const gx_gguf_tokenizer *source, gx_text_sink sink, gx_error *error);

static gx_status stage_tokenizer_file(gx_staging *staging, gx_arena *arena, const char *output_dir, const char *name,
                                      const gx_gguf_tokenizer *tokenizer, tokenizer_writer writer, gx_error *error)
{
    file_sink sink = {0};
    char *path = gx_path_join(arena, output_dir, name);
    if (!path)
        return gx_fail_memory(error);
    GX_TRY(gx_staging_create(staging, &sink.output, path, error));
    return writer(tokenizer, (gx_text_sink){write_to_file, &sink}, error);
}

/* ---- generation_config.json ---- */

static bool is_turn_end(const gx_gguf_string *token)
{
    for (size_t k = 0; k < sizeof turn_ends / sizeof *turn_ends; k++)
        if (token->nbytes == strlen(turn_ends[k]) && memcmp(token->bytes, turn_ends[k], token->nbytes) == 0)
            return true;
    return false;
}

static void add_turn_ends(yyjson_mut_doc *doc, yyjson_mut_val *list, const gx_checkpoint *checkpoint, const gx_gguf_value *tokens, int64_t eos)
{
    if (!find_text(checkpoint, "tokenizer.chat_template")) /* a base model runs on through turns */
        return;
    for (size_t i = 0; i < tokens->count; i++)
        if ((int64_t)i != eos && is_turn_end(&tokens->array.strings[i]))
            yyjson_mut_arr_add_uint(doc, list, i);
}

gx_status gx_gguf_generation_config(yyjson_mut_doc **out, const gx_checkpoint *checkpoint, gx_error *error)
{
    const gx_gguf_value *tokens;
    GX_TRY(find_array(&tokens, checkpoint, "tokenizer.ggml.tokens", GX_GGUF_STRING, error));
    const int64_t bos = find_id(checkpoint, "tokenizer.ggml.bos_token_id"), eos = find_id(checkpoint, "tokenizer.ggml.eos_token_id");
    const int64_t padding = find_id(checkpoint, "tokenizer.ggml.padding_token_id");
    yyjson_mut_doc *doc = gx_document_new();
    if (!doc)
        return gx_fail_memory(error);
    yyjson_mut_val *root = yyjson_mut_doc_get_root(doc);
    if (bos >= 0)
        yyjson_mut_obj_add_int(doc, root, "bos_token_id", bos);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, root, "eos_token_id");
    if (eos >= 0)
        yyjson_mut_arr_add_int(doc, list, eos);
    add_turn_ends(doc, list, checkpoint, tokens, eos);
    if (padding >= 0)
        yyjson_mut_obj_add_int(doc, root, "pad_token_id", padding);
    *out = doc;
    return GX_OK;
}

static gx_status stage_generation_config(gx_staging *staging, const gx_plan *plan, const char *output_dir, gx_error *error)
{
    char *path = gx_path_join(plan->arena, output_dir, "generation_config.json"), *text = NULL;
    size_t nbytes = 0;
    yyjson_mut_doc *doc = NULL;
    if (!path)
        return gx_fail_memory(error);
    GX_TRY(gx_gguf_generation_config(&doc, plan->model->checkpoint, error));
    gx_status status = gx_json_write(&text, &nbytes, doc, error);
    yyjson_mut_doc_free(doc);
    if (status == GX_OK)
        status = gx_staging_write(staging, path, text, nbytes, error);
    gx_free(text);
    return status;
}

gx_status gx_gguf_companions_stage(gx_staging *staging, const gx_plan *plan, const char *output_dir, gx_error *error)
{
    gx_gguf_tokenizer tokenizer;
    GX_TRY(describe_tokenizer(&tokenizer, plan->arena, plan->model, error));
    tokenizer.longest = plan->model->max_position_embeddings;
    if (!plan->model->bidirectional)
        GX_TRY(stage_generation_config(staging, plan, output_dir, error));
    GX_TRY(stage_tokenizer_file(staging, plan->arena, output_dir, "tokenizer_config.json", &tokenizer, gx_gguf_tokenizer_config_write, error));
    return stage_tokenizer_file(staging, plan->arena, output_dir, "tokenizer.json", &tokenizer, gx_gguf_tokenizer_write, error);
}
