/*
 * The steps around the model: normalizer, pre_tokenizer, decoder, post_processor. Gemma's are the ones that encode.c and
 * decode.c carry out; anything else is refused by name, for its ids would be wrong without a word.
 */
#include <string.h>

#include "tokenizer/internal.h"

static bool is_string(yyjson_val *value, const char *text)
{
    return yyjson_is_str(value) && yyjson_equals_strn(value, text, strlen(text));
}

static bool is_type(yyjson_val *step, const char *type)
{
    return is_string(yyjson_obj_get(step, "type"), type);
}

static gx_status refuse(const char *name, const char *key, yyjson_val *step, const char *expected, gx_error *error)
{
    const char *type = yyjson_get_str(yyjson_obj_get(step, "type"));
    return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: '%s' is %s, which this version does not carry out; expected %s", name, key,
                   type ? type : gx_json_kind(step), expected);
}

/* {"type": "Replace", "pattern": {"String": from}, "content": to} */
static bool is_replace(yyjson_val *step, const char *from, const char *to)
{
    return is_type(step, "Replace") && is_string(yyjson_obj_get(yyjson_obj_get(step, "pattern"), "String"), from) &&
           is_string(yyjson_obj_get(step, "content"), to);
}

static gx_status check_normalizer(yyjson_val *root, const char *name, gx_error *error)
{
    yyjson_val *step = yyjson_obj_get(root, "normalizer");
    yyjson_val *steps = yyjson_obj_get(step, "normalizers");
    yyjson_val *only = is_type(step, "Sequence") && yyjson_arr_size(steps) == 1 ? yyjson_arr_get_first(steps) : step;
    if (is_replace(only, " ", GX_WORD_START))
        return GX_OK;
    return refuse(name, "normalizer", only, "Replace of spaces by U+2581", error);
}

/* Splitting at spaces does nothing: the normalizer left none. */
static gx_status check_pre_tokenizer(yyjson_val *root, const char *name, gx_error *error)
{
    yyjson_val *step = yyjson_obj_get(root, "pre_tokenizer");
    yyjson_val *invert = yyjson_obj_get(step, "invert");
    const bool splits_at_spaces = is_type(step, "Split") && is_string(yyjson_obj_get(yyjson_obj_get(step, "pattern"), "String"), " ") &&
                                  is_string(yyjson_obj_get(step, "behavior"), "MergedWithPrevious") && !yyjson_get_bool(invert);
    if (!step || yyjson_is_null(step) || splits_at_spaces)
        return GX_OK;
    return refuse(name, "pre_tokenizer", step, "none, or Split at spaces, MergedWithPrevious", error);
}

static gx_status check_decoder(yyjson_val *root, const char *name, gx_error *error)
{
    yyjson_val *step = yyjson_obj_get(root, "decoder");
    yyjson_val *steps = yyjson_obj_get(step, "decoders");
    if (is_type(step, "Sequence") && yyjson_arr_size(steps) == 3 && is_replace(yyjson_arr_get(steps, 0), GX_WORD_START, " ") &&
        is_type(yyjson_arr_get(steps, 1), "ByteFallback") && is_type(yyjson_arr_get(steps, 2), "Fuse"))
        return GX_OK;
    return refuse(name, "decoder", step, "Sequence of Replace of U+2581 by a space, ByteFallback, Fuse", error);
}

gx_status gx_load_check_steps(yyjson_val *root, const char *name, gx_error *error)
{
    GX_TRY(check_normalizer(root, name, error));
    GX_TRY(check_pre_tokenizer(root, name, error));
    return check_decoder(root, name, error);
}

/* ---- the template ---- */

typedef struct template_reader {
    const gx_tokenizer *tokenizer;
    yyjson_val *special_tokens; /* name → {"ids": […]} */
    const char *name;
} template_reader;

/* Appends the ids of {"SpecialToken": {"id": "<bos>"}}. */
static gx_status read_special(const template_reader *r, yyjson_val *special, gx_template_side *side, gx_error *error)
{
    const char *token = yyjson_get_str(yyjson_obj_get(special, "id"));
    yyjson_val *ids = yyjson_obj_get(yyjson_obj_get(r->special_tokens, token ? token : ""), "ids");
    if (!yyjson_is_arr(ids))
        return gx_fail(error, GX_ERROR_FORMAT,
                       "%s: 'post_processor' names the special token '%s', whose ids 'special_tokens' does not give", r->name,
                       token ? token : "?");
    size_t index, total;
    yyjson_val *id;
    yyjson_arr_foreach(ids, index, total, id)
    {
        if (!yyjson_is_uint(id) || yyjson_get_uint(id) >= r->tokenizer->vocabulary.count)
            return gx_fail(error, GX_ERROR_FORMAT, "%s: 'post_processor': '%s' has an id that is no token's", r->name, token);
        if (side->count == GX_TEMPLATE_IDS)
            return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: 'post_processor' adds more than %u tokens on one side", r->name,
                           GX_TEMPLATE_IDS);
        side->ids[side->count++] = (uint32_t)yyjson_get_uint(id);
    }
    return GX_OK;
}

static gx_status read_items(const template_reader *r, yyjson_val *items, gx_template *out, gx_error *error)
{
    bool text_seen = false;
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach(items, index, count, item)
    {
        yyjson_val *special = yyjson_obj_get(item, "SpecialToken"), *sequence = yyjson_obj_get(item, "Sequence");
        if (special)
            GX_TRY(read_special(r, special, text_seen ? &out->after : &out->before, error));
        else if (sequence && !text_seen && is_string(yyjson_obj_get(sequence, "id"), "A"))
            text_seen = true;
        else
            return gx_fail(error, GX_ERROR_FORMAT, "%s: 'post_processor': item %zu of 'single' is neither a special token nor the text",
                           r->name, index);
    }
    if (!text_seen)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: 'post_processor': 'single' leaves out the text", r->name);
    return GX_OK;
}

gx_status gx_load_template(gx_tokenizer *tokenizer, yyjson_val *root, const char *name, gx_error *error)
{
    yyjson_val *step = yyjson_obj_get(root, "post_processor");
    if (!step || yyjson_is_null(step))
        return GX_OK;
    if (!is_type(step, "TemplateProcessing"))
        return refuse(name, "post_processor", step, "TemplateProcessing or none", error);
    const template_reader reader = {.tokenizer = tokenizer, .special_tokens = yyjson_obj_get(step, "special_tokens"), .name = name};
    return read_items(&reader, yyjson_obj_get(step, "single"), &tokenizer->template, error);
}
