/* tokenizer.json to a tokenizer: the straight line through its parts, and the questions about the result. */
#include <string.h>

#include "tokenizer/internal.h"

#define FILE_LIMIT (UINT64_C(256) << 20)

static gx_status load_parts(gx_tokenizer *tokenizer, yyjson_val *root, const char *name, gx_error *error)
{
    yyjson_val *added = yyjson_obj_get(root, "added_tokens");
    if (!yyjson_is_obj(root) || !yyjson_is_obj(yyjson_obj_get(root, "model")))
        return gx_fail(error, GX_ERROR_FORMAT, "%s: no 'model'; expected a tokenizer.json of Hugging Face's tokenizers", name);
    if (added && !yyjson_is_null(added) && !yyjson_is_arr(added))
        return gx_fail(error, GX_ERROR_FORMAT, "%s: 'added_tokens' is %s, expected a list", name, gx_json_kind(added));
    GX_TRY(gx_load_check_steps(root, name, error));
    GX_TRY(gx_load_model(tokenizer, yyjson_obj_get(root, "model"), added, name, error));
    GX_TRY(gx_load_added(tokenizer, added, name, error));
    return gx_load_template(tokenizer, root, name, error);
}

static gx_status load_document(gx_tokenizer **out, yyjson_doc *doc, const char *name, gx_error *error)
{
    gx_arena *arena = gx_arena_new();
    gx_tokenizer *tokenizer = arena ? GX_NEW(arena, gx_tokenizer) : NULL;
    if (tokenizer)
        tokenizer->arena = arena;
    gx_status status = tokenizer ? load_parts(tokenizer, yyjson_doc_get_root(doc), name, error) : gx_fail_memory(error);
    if (status != GX_OK) {
        gx_arena_free(arena);
        return status;
    }
    *out = tokenizer;
    return GX_OK;
}

gx_status gx_tokenizer_load(gx_tokenizer **out, const char *tokenizer_json_path, gx_error *error)
{
    yyjson_doc *doc = NULL;
    GX_TRY(gx_json_read(&doc, tokenizer_json_path, FILE_LIMIT, error));
    const gx_status status = load_document(out, doc, tokenizer_json_path, error);
    yyjson_doc_free(doc);
    return status;
}

gx_status gx_tokenizer_parse(gx_tokenizer **out, const char *name, const char *json, size_t nbytes, gx_error *error)
{
    yyjson_doc *doc = NULL;
    GX_TRY(gx_json_parse(&doc, name, json, nbytes, error));
    const gx_status status = load_document(out, doc, name, error);
    yyjson_doc_free(doc);
    return status;
}

void gx_tokenizer_free(gx_tokenizer *tokenizer)
{
    if (tokenizer)
        gx_arena_free(tokenizer->arena);
}

size_t gx_tokenizer_vocabulary_size(const gx_tokenizer *tokenizer)
{
    return tokenizer->vocabulary.count;
}

bool gx_tokenizer_token_id(const gx_tokenizer *tokenizer, const char *content, int64_t *id)
{
    const size_t nbytes = strlen(content);
    uint32_t found = gx_vocabulary_find(&tokenizer->vocabulary, content, nbytes);
    for (size_t i = 0; i < tokenizer->added_count && found == GX_NO_TOKEN; i++)
        if (tokenizer->added[i].nbytes == nbytes && memcmp(tokenizer->added[i].content, content, nbytes) == 0)
            found = tokenizer->added[i].id;
    if (found == GX_NO_TOKEN)
        return false;
    *id = found;
    return true;
}
