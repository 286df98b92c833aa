/* The 'model' part of a tokenizer.json: vocabulary, merges, and the switches that Gemma leaves alone. */
#include <string.h>

#include "tokenizer/internal.h"

/* ---- switches ---- */

/* Keys whose value changes how text is cut in a way that no Gemma uses: absent, null, false or "" is what we carry out. */
static const char *const switched_off[] = {"dropout", "continuing_subword_prefix", "end_of_word_suffix", "ignore_merges"};

static bool is_off(yyjson_val *value)
{
    return !value || yyjson_is_null(value) || yyjson_is_false(value) || (yyjson_is_str(value) && yyjson_get_len(value) == 0);
}

static gx_status check_switches(yyjson_val *model, const char *name, gx_error *error)
{
    const char *type = "BPE"; /* files of the first years leave it out */
    GX_TRY(gx_json_get_string(model, name, "type", &type, error));
    if (strcmp(type, "BPE") != 0)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: the model is of type '%s', expected 'BPE'", name, type);
    for (size_t i = 0; i < sizeof switched_off / sizeof *switched_off; i++)
        if (!is_off(yyjson_obj_get(model, switched_off[i])))
            return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: 'model' sets '%s', which no Gemma does and this version does not carry out",
                           name, switched_off[i]);
    return GX_OK;
}

/* ---- vocabulary ---- */

/* Reads an id below GX_MAX_TOKENS; *count becomes at least id + 1. */
static gx_status read_id(yyjson_val *value, const char *name, size_t *count, gx_error *error)
{
    if (!yyjson_is_uint(value) || yyjson_get_uint(value) >= GX_MAX_TOKENS)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: a token's id is not a whole number from 0 to %u", name, GX_MAX_TOKENS - 1);
    if (*count <= yyjson_get_uint(value))
        *count = (size_t)yyjson_get_uint(value) + 1;
    return GX_OK;
}

static gx_status count_ids(yyjson_val *vocab, yyjson_val *added, const char *name, size_t *count, gx_error *error)
{
    size_t index, total;
    yyjson_val *key, *value;
    yyjson_obj_foreach(vocab, index, total, key, value) GX_TRY(read_id(value, name, count, error));
    yyjson_arr_foreach(added, index, total, value) GX_TRY(read_id(yyjson_obj_get(value, "id"), name, count, error));
    return GX_OK;
}

static gx_status put_piece(gx_piece *piece, yyjson_val *content, uint64_t id, bool added_only, const char *name, gx_error *error)
{
    if (!yyjson_is_str(content) || yyjson_get_len(content) == 0 || yyjson_get_len(content) >= UINT32_MAX)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: token %llu has no text", name, (unsigned long long)id);
    if (piece->nbytes)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: two tokens have the id %llu", name, (unsigned long long)id);
    *piece = (gx_piece){.bytes = yyjson_get_str(content), .nbytes = (uint32_t)yyjson_get_len(content), .added_only = added_only};
    return GX_OK;
}

static bool same_text(const gx_piece *piece, yyjson_val *content)
{
    return yyjson_is_str(content) && yyjson_get_len(content) == piece->nbytes &&
           memcmp(yyjson_get_str(content), piece->bytes, piece->nbytes) == 0;
}

/* The model's pieces, then added tokens that are none of them. */
static gx_status fill_pieces(gx_piece *pieces, yyjson_val *vocab, yyjson_val *added, const char *name, gx_error *error)
{
    size_t index, total;
    yyjson_val *key, *value;
    yyjson_obj_foreach(vocab, index, total, key, value)
        GX_TRY(put_piece(&pieces[yyjson_get_uint(value)], key, yyjson_get_uint(value), false, name, error));
    yyjson_arr_foreach(added, index, total, value)
    {
        const uint64_t id = yyjson_get_uint(yyjson_obj_get(value, "id"));
        yyjson_val *content = yyjson_obj_get(value, "content");
        if (pieces[id].nbytes && same_text(&pieces[id], content))
            continue;
        GX_TRY(put_piece(&pieces[id], content, id, true, name, error));
    }
    return GX_OK;
}

static gx_status load_vocabulary(gx_tokenizer *tokenizer, yyjson_val *vocab, yyjson_val *added, const char *name, gx_error *error)
{
    if (!yyjson_is_obj(vocab))
        return gx_fail(error, GX_ERROR_FORMAT, "%s: 'vocab' of 'model' is %s, expected an object", name, gx_json_kind(vocab));
    size_t count = 0;
    GX_TRY(count_ids(vocab, added, name, &count, error));
    gx_piece *pieces = gx_alloc(count, sizeof *pieces);
    gx_status status = pieces ? fill_pieces(pieces, vocab, added, name, error) : gx_fail_memory(error);
    if (status == GX_OK)
        status = gx_vocabulary_build(&tokenizer->vocabulary, tokenizer->arena, pieces, count, name, error);
    gx_free(pieces);
    return status;
}

static gx_status load_unknown(gx_tokenizer *tokenizer, yyjson_val *model, const char *name, gx_error *error)
{
    yyjson_val *token = yyjson_obj_get(model, "unk_token");
    tokenizer->unknown = GX_NO_TOKEN;
    GX_TRY(gx_json_get_bool(model, name, "fuse_unk", &tokenizer->join_unknown, error));
    if (!token || yyjson_is_null(token))
        return GX_OK;
    if (yyjson_is_str(token))
        tokenizer->unknown = gx_vocabulary_find(&tokenizer->vocabulary, yyjson_get_str(token), yyjson_get_len(token));
    if (tokenizer->unknown == GX_NO_TOKEN)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: 'unk_token' of 'model' is not in its vocabulary", name);
    return GX_OK;
}

static gx_status load_bytes(gx_tokenizer *tokenizer, yyjson_val *model, const char *name, gx_error *error)
{
    static const char digits[] = "0123456789ABCDEF";
    bool fallback = false;
    GX_TRY(gx_json_get_bool(model, name, "byte_fallback", &fallback, error));
    for (unsigned byte = 0; byte < 256; byte++) {
        const char piece[] = {'<', '0', 'x', digits[byte >> 4], digits[byte & 15], '>'};
        tokenizer->byte_ids[byte] = fallback ? gx_vocabulary_find(&tokenizer->vocabulary, piece, sizeof piece) : GX_NO_TOKEN;
    }
    return GX_OK;
}

/* ---- merges ---- */

typedef struct halves {
    const char *left, *right;
    size_t left_nbytes, right_nbytes;
} halves;

/* ["a", "b"], or "a b" in older files. */
static bool read_halves(yyjson_val *value, halves *out)
{
    yyjson_val *left = yyjson_arr_get(value, 0), *right = yyjson_arr_get(value, 1);
    if (yyjson_arr_size(value) == 2 && yyjson_is_str(left) && yyjson_is_str(right)) {
        *out = (halves){yyjson_get_str(left), yyjson_get_str(right), yyjson_get_len(left), yyjson_get_len(right)};
        return true;
    }
    if (!yyjson_is_str(value))
        return false;
    const char *text = yyjson_get_str(value), *end = text + yyjson_get_len(value);
    const char *space = memchr(text, ' ', yyjson_get_len(value));
    if (!space || memchr(space + 1, ' ', (size_t)(end - space - 1)))
        return false;
    *out = (halves){text, space + 1, (size_t)(space - text), (size_t)(end - space - 1)};
    return true;
}

/* `joined` is scratch. */
static gx_status read_merge(const gx_vocabulary *vocabulary, yyjson_val *value, size_t rank, gx_buffer *joined, gx_merge *out,
                            const char *name, gx_error *error)
{
    halves h;
    if (!read_halves(value, &h))
        return gx_fail(error, GX_ERROR_FORMAT, "%s: merge %zu is not a pair of tokens", name, rank);
    gx_buffer_clear(joined);
    gx_buffer_append(joined, h.left, h.left_nbytes);
    gx_buffer_append(joined, h.right, h.right_nbytes);
    GX_TRY(gx_buffer_check(joined, error));
    *out = (gx_merge){.left = gx_vocabulary_find(vocabulary, h.left, h.left_nbytes),
                      .right = gx_vocabulary_find(vocabulary, h.right, h.right_nbytes),
                      .rank = (uint32_t)rank,
                      .id = gx_vocabulary_find(vocabulary, (const char *)joined->data, joined->nbytes)};
    if (out->left == GX_NO_TOKEN || out->right == GX_NO_TOKEN || out->id == GX_NO_TOKEN)
        return gx_fail(
            error, GX_ERROR_FORMAT, "%s: merge %zu, '%.*s' and '%.*s': one of the two or what they make is not in the vocabulary", name,
            rank, (int)(h.left_nbytes < 100 ? h.left_nbytes : 100), h.left, (int)(h.right_nbytes < 100 ? h.right_nbytes : 100), h.right);
    return GX_OK;
}

static gx_status read_merges(gx_tokenizer *tokenizer, yyjson_val *merges, gx_buffer *joined, const char *name, gx_error *error)
{
    size_t rank, count;
    yyjson_val *value;
    yyjson_arr_foreach(merges, rank, count, value)
    {
        gx_merge merge;
        GX_TRY(read_merge(&tokenizer->vocabulary, value, rank, joined, &merge, name, error));
        gx_merges_put(&tokenizer->merges, merge);
    }
    return GX_OK;
}

static gx_status load_merges(gx_tokenizer *tokenizer, yyjson_val *merges, const char *name, gx_error *error)
{
    if (!yyjson_is_arr(merges) || yyjson_arr_size(merges) >= UINT32_C(1) << 27)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: 'merges' of 'model' is %s, expected a list of less than 2^27 pairs", name,
                       gx_json_kind(merges));
    GX_TRY(gx_merges_init(&tokenizer->merges, tokenizer->arena, yyjson_arr_size(merges), error));
    gx_buffer joined = {0};
    const gx_status status = read_merges(tokenizer, merges, &joined, name, error);
    gx_buffer_deinit(&joined);
    return status;
}

gx_status gx_load_model(gx_tokenizer *tokenizer, yyjson_val *model, yyjson_val *added, const char *name, gx_error *error)
{
    GX_TRY(check_switches(model, name, error));
    GX_TRY(load_vocabulary(tokenizer, yyjson_obj_get(model, "vocab"), added, name, error));
    GX_TRY(load_unknown(tokenizer, model, name, error));
    GX_TRY(load_bytes(tokenizer, model, name, error));
    return load_merges(tokenizer, yyjson_obj_get(model, "merges"), name, error);
}
