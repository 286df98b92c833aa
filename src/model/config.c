/* Reads config.json into the numbers of a bound model. Owns the rules for absent, null and ignored keys. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "model/config_parts.h"

#define MAX_LAYERS 1024u
#define MAX_NOTES 32u

gx_status gx_model_note(gx_model *model, gx_arena *arena, gx_error *error, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (!model->notes)
        model->notes = GX_NEW_ARRAY(arena, const char *, MAX_NOTES);
    char *copy = gx_arena_copy_string(arena, text);
    if (!model->notes || !copy)
        return gx_fail_memory(error);
    if (model->note_count < MAX_NOTES)
        model->notes[model->note_count++] = copy;
    return GX_OK;
}

gx_status gx_config_size(const gx_config_source *source, const char *key, uint32_t fallback, uint32_t limit, uint32_t *out, gx_error *error)
{
    uint64_t value = fallback;
    GX_TRY(gx_json_get_u64(source->text, source->name, key, &value, error));
    if (value == 0 || value > limit)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: %s is %llu, expected 1 … %u", source->name, key, (unsigned long long)value, limit);
    *out = (uint32_t)value;
    return GX_OK;
}

gx_status gx_config_positive(const gx_config_source *source, yyjson_val *object, const char *key, double *out, gx_error *error)
{
    GX_TRY(gx_json_get_double(object, source->name, key, out, error));
    if (!(*out > 0) || !isfinite(*out))
        return gx_fail(error, GX_ERROR_FORMAT, "%s: %s is %g, expected a positive number", source->name, key, *out);
    return GX_OK;
}

static gx_status read_sizes(gx_model *model, gx_attention_config *attention, const gx_config_source *source, gx_error *error)
{
    const gx_config_defaults *defaults = &source->family->defaults;
    GX_TRY(gx_config_size(source, "vocab_size", defaults->vocab_size, 1u << 24, &model->vocab_size, error));
    GX_TRY(gx_config_size(source, "hidden_size", defaults->hidden_size, 1u << 20, &model->hidden_size, error));
    GX_TRY(gx_config_size(source, "num_hidden_layers", defaults->num_hidden_layers, MAX_LAYERS, &model->num_hidden_layers, error));
    GX_TRY(gx_config_size(source, "max_position_embeddings", defaults->max_position_embeddings, 1u << 28, &model->max_position_embeddings, error));
    if (!yyjson_is_arr(yyjson_obj_get(source->text, "intermediate_size"))) /* a list is the family's own */
        GX_TRY(gx_config_size(source, "intermediate_size", defaults->intermediate_size, GX_MAX_INTERMEDIATE_SIZE, &attention->intermediate_size, error));
    GX_TRY(gx_config_size(source, "num_attention_heads", defaults->num_attention_heads, GX_MAX_HEADS, &attention->heads, error));
    GX_TRY(gx_config_size(source, "num_key_value_heads", defaults->num_key_value_heads, GX_MAX_HEADS, &attention->kv_heads, error));
    GX_TRY(gx_config_size(source, "head_dim", defaults->head_dim, GX_MAX_HEAD_DIM, &attention->head_dim, error));
    if (attention->heads % attention->kv_heads != 0)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: num_attention_heads %u is not a multiple of num_key_value_heads %u", source->name,
                       attention->heads, attention->kv_heads);
    if (attention->head_dim % 2 != 0)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: head_dim %u is odd", source->name, attention->head_dim);
    return GX_OK;
}

static gx_status read_attention_scale(gx_attention_config *attention, const gx_config_source *source, gx_error *error)
{
    double scalar = source->family->defaults.query_pre_attn_scalar;
    attention->scale = 1;
    if (source->family->defaults.unscaled_attention)
        return GX_OK;
    if (scalar == 0)
        scalar = attention->head_dim;
    else
        GX_TRY(gx_config_positive(source, source->text, "query_pre_attn_scalar", &scalar, error));
    attention->scale = 1.0 / sqrt(scalar);
    return GX_OK;
}

/* Google trained Gemma 1 with the tanh form, and its files say "hidden_act": "gelu"; Transformers maps that to the tanh form.
 * "hidden_activation", the later key, means what it says. */
static gx_status read_activation(gx_model *model, const gx_config_source *source, gx_error *error)
{
    const char *name = NULL;
    const char *key = "hidden_activation";
    GX_TRY(gx_json_get_string(source->text, source->name, key, &name, error));
    const bool old_key = !name;
    if (old_key) {
        key = "hidden_act";
        GX_TRY(gx_json_get_string(source->text, source->name, key, &name, error));
    }
    const bool is_gelu = name && strcmp(name, "gelu") == 0;
    model->activation = is_gelu && !old_key ? GX_ACTIVATION_GELU_ERF : GX_ACTIVATION_GELU_TANH;
    if (!name || is_gelu || strcmp(name, "gelu_pytorch_tanh") == 0)
        return GX_OK;
    return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: %s is '%s', expected gelu_pytorch_tanh", source->name, key, name);
}

/* null: none. A cap that Transformers does not look at in this family is none, with a note. */
static gx_status read_softcap(gx_model *model, gx_arena *arena, const gx_config_source *source, const char *key, const gx_softcap_default *softcap,
                              double *out, gx_error *error)
{
    double cap = softcap->value;
    yyjson_val *value = yyjson_obj_get(source->text, key);
    if (value && yyjson_is_null(value))
        cap = 0;
    else
        GX_TRY(gx_json_get_double(source->text, source->name, key, &cap, error));
    if (cap < 0 || !isfinite(cap))
        return gx_fail(error, GX_ERROR_FORMAT, "%s: %s is %g", source->name, key, cap);
    *out = softcap->honoured ? cap : 0;
    return cap == *out ? GX_OK : gx_model_note(model, arena, error, "%s %g is ignored, as Transformers does for this family", key, cap);
}

static yyjson_val *get_at_either_level(const gx_config_source *source, const char *key)
{
    yyjson_val *value = yyjson_obj_get(source->text, key);
    return value && !yyjson_is_null(value) ? value : yyjson_obj_get(source->root, key);
}

static gx_status add_eos(gx_model *model, const gx_config_source *source, yyjson_val *value, gx_error *error)
{
    if (!yyjson_is_int(value) || model->eos_token_count == GX_MAX_EOS)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: eos_token_id is neither an integer nor a list of at most %d", source->name, GX_MAX_EOS);
    model->eos_token_ids[model->eos_token_count++] = yyjson_get_sint(value);
    return GX_OK;
}

/* Absent: the class default, as published multimodal packages leave it; null: none. */
static int64_t token_id(yyjson_val *value, int64_t absent)
{
    return !value ? absent : yyjson_is_int(value) ? yyjson_get_sint(value) : -1;
}

static gx_status read_token_ids(gx_model *model, const gx_config_source *source, gx_error *error)
{
    yyjson_val *bos = get_at_either_level(source, "bos_token_id"), *pad = get_at_either_level(source, "pad_token_id");
    model->bos_token_id = token_id(bos, 2);
    model->pad_token_id = token_id(pad, 0);
    yyjson_val *eos = get_at_either_level(source, "eos_token_id");
    if (yyjson_is_null(eos))
        return GX_OK;
    if (!eos) {
        model->eos_token_ids[model->eos_token_count++] = 1;
        return GX_OK;
    }
    if (!yyjson_is_arr(eos))
        return add_eos(model, source, eos, error);
    size_t index, count;
    yyjson_val *value;
    yyjson_arr_foreach(eos, index, count, value) GX_TRY(add_eos(model, source, value, error));
    return GX_OK;
}

gx_status gx_config_read(gx_model *model, gx_arena *arena, const gx_config_source *source, gx_error *error)
{
    gx_attention_config attention = {0};
    model->family = source->family;
    model->family_name = source->family->name;
    model->bidirectional = source->family->bidirectional;
    GX_TRY(read_sizes(model, &attention, source, error));
    model->rms_norm_eps = source->family->defaults.rms_norm_eps;
    GX_TRY(gx_config_positive(source, source->text, "rms_norm_eps", &model->rms_norm_eps, error));
    GX_TRY(gx_config_read_rope(model, arena, &attention, source, error));
    GX_TRY(read_attention_scale(&attention, source, error));
    const gx_config_defaults *defaults = &source->family->defaults;
    GX_TRY(read_softcap(model, arena, source, "attn_logit_softcapping", &defaults->attention_softcap, &attention.softcap, error));
    GX_TRY(read_softcap(model, arena, source, "final_logit_softcapping", &defaults->final_softcap, &model->final_logit_softcapping, error));
    GX_TRY(gx_config_make_layers(model, arena, &attention, source, error));
    GX_TRY(read_activation(model, source, error));
    GX_TRY(read_token_ids(model, source, error));
    model->embedding_multiplier = (double)(float)sqrt((double)model->hidden_size);
    model->tie_word_embeddings = true;
    yyjson_val *tied_here = yyjson_obj_get(source->text, "tie_word_embeddings");
    yyjson_val *level = tied_here && !yyjson_is_null(tied_here) ? source->text : source->root;
    GX_TRY(gx_json_get_bool(level, source->name, "tie_word_embeddings", &model->tie_word_embeddings, error));
    return source->family->read_config ? source->family->read_config(model, source, error) : GX_OK;
}
