/* The 'added_tokens' of a tokenizer.json: what they are, and the two sets that look for them in raw and normalised text. */
#include <string.h>

#include "tokenizer/internal.h"

static gx_status read_added(gx_tokenizer *tokenizer, yyjson_val *value, gx_added_token *out, const char *name, gx_error *error)
{
    gx_added_token token = {.id = (uint32_t)yyjson_get_uint(yyjson_obj_get(value, "id"))};
    const gx_piece piece = gx_vocabulary_piece(&tokenizer->vocabulary, token.id); /* the vocabulary holds every added token */
    bool single_word = false;
    GX_TRY(gx_json_get_bool(value, name, "special", &token.special, error));
    GX_TRY(gx_json_get_bool(value, name, "normalized", &token.normalized, error));
    GX_TRY(gx_json_get_bool(value, name, "lstrip", &token.strip_left, error));
    GX_TRY(gx_json_get_bool(value, name, "rstrip", &token.strip_right, error));
    GX_TRY(gx_json_get_bool(value, name, "single_word", &single_word, error));
    if (single_word)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: the added token '%.*s' is 'single_word', which no Gemma uses", name,
                       (int)(piece.nbytes < 100 ? piece.nbytes : 100), piece.bytes);
    token.content = piece.bytes;
    token.nbytes = piece.nbytes;
    *out = token;
    return GX_OK;
}

static gx_status read_all(gx_tokenizer *tokenizer, yyjson_val *added, const char *name, gx_error *error)
{
    gx_added_token *tokens = GX_NEW_ARRAY(tokenizer->arena, gx_added_token, yyjson_arr_size(added));
    tokenizer->special = GX_NEW_ARRAY(tokenizer->arena, bool, tokenizer->vocabulary.count);
    if (!tokens || !tokenizer->special)
        return gx_fail_memory(error);
    size_t index, count;
    yyjson_val *value;
    yyjson_arr_foreach(added, index, count, value)
    {
        GX_TRY(read_added(tokenizer, value, &tokens[index], name, error));
        tokenizer->special[tokens[index].id] |= tokens[index].special;
    }
    tokenizer->added = tokens;
    tokenizer->added_count = yyjson_arr_size(added);
    return GX_OK;
}

/* Those matched in normalised text are looked for in their normalised form. */
static gx_status fill_sets(gx_tokenizer *tokenizer, gx_buffer *pattern, gx_error *error)
{
    for (size_t i = 0; i < tokenizer->added_count; i++) {
        const gx_added_token *token = &tokenizer->added[i];
        if (!token->normalized) {
            gx_added_set_put(&tokenizer->raw, token->content, token->nbytes, i);
            continue;
        }
        gx_buffer_clear(pattern);
        gx_normalize_append(pattern, token->content, token->nbytes);
        GX_TRY(gx_buffer_check(pattern, error));
        gx_added_set_put(&tokenizer->normalized, (const char *)pattern->data, pattern->nbytes, i);
    }
    return GX_OK;
}

gx_status gx_load_added(gx_tokenizer *tokenizer, yyjson_val *added, const char *name, gx_error *error)
{
    GX_TRY(read_all(tokenizer, added, name, error));
    size_t raw_nbytes = 0, normalized_nbytes = 0;
    for (size_t i = 0; i < tokenizer->added_count; i++)
        *(tokenizer->added[i].normalized ? &normalized_nbytes : &raw_nbytes) += tokenizer->added[i].nbytes;
    normalized_nbytes *= sizeof GX_WORD_START - 1; /* at most: all spaces */
    GX_TRY(gx_added_set_init(&tokenizer->raw, tokenizer->arena, tokenizer->added, raw_nbytes, error));
    GX_TRY(gx_added_set_init(&tokenizer->normalized, tokenizer->arena, tokenizer->added, normalized_nbytes, error));
    gx_buffer pattern = {0};
    const gx_status status = fill_sets(tokenizer, &pattern, error);
    gx_buffer_deinit(&pattern);
    return status;
}
