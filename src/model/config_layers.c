/* What config.json says of the layers: which of them slide, how they rotate. */
#include <string.h>

#include "model/config_parts.h"

/* {"rope_type": "default" | "linear" | "proportional", "factor": f, "partial_rotary_factor": p}. "type" is the key's older name. */
static gx_status read_rope_scaling(const gx_config_source *source, yyjson_val *object, gx_rope *rope, gx_error *error)
{
    const char *type = NULL;
    GX_TRY(gx_json_get_string(object, source->name, "type", &type, error));
    GX_TRY(gx_json_get_string(object, source->name, "rope_type", &type, error));
    if (!type || strcmp(type, "default") == 0)
        return GX_OK;
    const bool linear = strcmp(type, "linear") == 0;
    if (!linear && strcmp(type, "proportional") != 0)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: rope_type '%s' is not supported (default, linear, proportional)", source->name, type);
    double factor = linear ? 0 : 1;
    GX_TRY(gx_config_positive(source, object, "factor", &factor, error));
    rope->factor = factor;
    if (!linear)
        GX_TRY(gx_config_positive(source, object, "partial_rotary_factor", &rope->rotated_part, error));
    return rope->rotated_part <= 1 ? GX_OK : gx_fail(error, GX_ERROR_FORMAT, "%s: partial_rotary_factor is %g, above 1", source->name, rope->rotated_part);
}

static gx_status read_rope_parameters(const gx_config_source *source, yyjson_val *object, gx_rope *rope, gx_error *error)
{
    rope->rotated_part = 1;
    GX_TRY(gx_config_positive(source, object, "rope_theta", &rope->theta, error));
    return read_rope_scaling(source, object, rope, error);
}

static bool has_two_ropes(const gx_config_source *source)
{
    return source->family->defaults.rope_local_base_freq > 0;
}

/* "rope_parameters": one set for all layers, or one for each kind. */
static gx_status read_new_dialect(gx_attention_config *attention, const gx_config_source *source, yyjson_val *parameters, gx_error *error)
{
    yyjson_val *full = yyjson_obj_get(parameters, "full_attention"), *sliding = yyjson_obj_get(parameters, "sliding_attention");
    if (full || sliding) {
        GX_TRY(read_rope_parameters(source, full, &attention->full, error));
        return read_rope_parameters(source, sliding, &attention->sliding, error);
    }
    GX_TRY(read_rope_parameters(source, parameters, &attention->full, error));
    if (!has_two_ropes(source))
        attention->sliding = attention->full;
    return GX_OK;
}

/* "rope_theta", "rope_scaling", "rope_local_base_freq" */
static gx_status read_old_dialect(gx_model *model, gx_arena *arena, gx_attention_config *attention, const gx_config_source *source, gx_error *error)
{
    yyjson_val *scaling = yyjson_obj_get(source->text, "rope_scaling");
    GX_TRY(gx_config_positive(source, source->text, "rope_theta", &attention->full.theta, error));
    if (!has_two_ropes(source)) {
        GX_TRY(read_rope_scaling(source, scaling, &attention->full, error));
        attention->sliding = attention->full;
        return GX_OK;
    }
    /* Scaling is for the global layers only, and here Transformers puts a rope_type "default" before it looks at "type". */
    if (yyjson_obj_get(scaling, "type") && !yyjson_obj_get(scaling, "rope_type"))
        GX_TRY(gx_model_note(model, arena, error, "rope_scaling has 'type' but no 'rope_type': ignored, as Transformers does"));
    else
        GX_TRY(read_rope_scaling(source, scaling, &attention->full, error));
    return gx_config_positive(source, source->text, "rope_local_base_freq", &attention->sliding.theta, error);
}

gx_status gx_config_read_rope(gx_model *model, gx_arena *arena, gx_attention_config *attention, const gx_config_source *source, gx_error *error)
{
    const gx_config_defaults *defaults = &source->family->defaults;
    const double part = defaults->full_partial_rotary_factor;
    attention->full = (gx_rope){.theta = defaults->rope_theta, .factor = 1, .rotated_part = part > 0 ? part : 1};
    attention->sliding = (gx_rope){.theta = has_two_ropes(source) ? defaults->rope_local_base_freq : defaults->rope_theta, .factor = 1, .rotated_part = 1};
    yyjson_val *parameters = yyjson_obj_get(source->text, "rope_parameters");
    if (yyjson_is_obj(parameters))
        return read_new_dialect(attention, source, parameters, error);
    return defaults->rope_parameters_only ? GX_OK : read_old_dialect(model, arena, attention, source, error);
}

static gx_status read_layer_types(const gx_config_source *source, yyjson_val *types, bool *sliding, uint32_t layers, gx_error *error)
{
    if (!yyjson_is_arr(types) || yyjson_arr_size(types) != layers)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: layer_types has %zu entries, num_hidden_layers is %u", source->name,
                       yyjson_arr_size(types), layers);
    for (uint32_t n = 0; n < layers; n++) {
        const char *type = yyjson_get_str(yyjson_arr_get(types, n));
        if (!type || (strcmp(type, "sliding_attention") != 0 && strcmp(type, "full_attention") != 0))
            return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: layer_types[%u] is '%s', expected sliding_attention or full_attention",
                           source->name, n, type ? type : "not a string");
        sliding[n] = type[0] == 's';
    }
    return GX_OK;
}

/* Layer n is full when (n + 1) is a multiple of the pattern. */
static gx_status follow_pattern(gx_model *model, gx_arena *arena, const gx_config_source *source, uint64_t pattern, bool *sliding, gx_error *error)
{
    const bool reads_key = source->family->defaults.reads_pattern_key;
    if (reads_key)
        GX_TRY(gx_json_get_u64(source->text, source->name, "sliding_window_pattern", &pattern, error));
    if (pattern == 0)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: sliding_window_pattern is 0", source->name);
    const char *other_key = reads_key ? "_sliding_window_pattern" : "sliding_window_pattern";
    uint64_t ignored_pattern = pattern;
    GX_TRY(gx_json_get_u64(source->text, source->name, other_key, &ignored_pattern, error));
    if (ignored_pattern != pattern)
        GX_TRY(gx_model_note(model, arena, error, "%s %llu is ignored, as Transformers does; every %llu. layer is full", other_key,
                             (unsigned long long)ignored_pattern, (unsigned long long)pattern));
    for (uint32_t n = 0; n < model->num_hidden_layers; n++)
        sliding[n] = (n + 1) % pattern != 0;
    return GX_OK;
}

static gx_status read_kinds(gx_model *model, gx_arena *arena, const gx_config_source *source, bool *sliding, gx_error *error)
{
    const uint32_t layers = model->num_hidden_layers;
    const uint64_t pattern = source->family->defaults.sliding_window_pattern;
    if (pattern == 0)
        return GX_OK;
    yyjson_val *types = yyjson_obj_get(source->text, "layer_types");
    if (types && !yyjson_is_null(types))
        GX_TRY(read_layer_types(source, types, sliding, layers, error));
    else
        GX_TRY(follow_pattern(model, arena, source, pattern, sliding, error));
    if (!source->family->defaults.last_layer_full || !sliding[layers - 1])
        return GX_OK;
    sliding[layers - 1] = false;
    return gx_model_note(model, arena, error, "the last layer is full, whatever layer_types say, as Transformers has it");
}

static gx_status read_window(uint64_t *out, const gx_config_source *source, gx_error *error)
{
    *out = source->family->defaults.sliding_window;
    yyjson_val *window = yyjson_obj_get(source->text, "sliding_window");
    if (window && yyjson_is_null(window)) {
        *out = 0; /* null: no window */
        return GX_OK;
    }
    if (*out == 0)
        return GX_OK;
    GX_TRY(gx_json_get_u64(source->text, source->name, "sliding_window", out, error));
    if (*out == 0 || *out > INT32_MAX)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: sliding_window is %llu", source->name, (unsigned long long)*out);
    return GX_OK;
}

void gx_layer_set_heads(gx_layer *layer, uint32_t kv_heads, uint32_t head_dim)
{
    layer->num_key_value_heads = kv_heads;
    layer->head_dim = layer->rope.head_dim = head_dim;
}

gx_status gx_config_make_layers(gx_model *model, gx_arena *arena, const gx_attention_config *attention, const gx_config_source *source, gx_error *error)
{
    uint64_t window = 0;
    model->layers = GX_NEW_ARRAY(arena, gx_layer, model->num_hidden_layers);
    bool *sliding = GX_NEW_ARRAY(arena, bool, model->num_hidden_layers);
    if (!model->layers || !sliding)
        return gx_fail_memory(error);
    GX_TRY(read_window(&window, source, error));
    if (model->bidirectional && window)
        window = window / 2 + 1; /* half to each side, as Transformers has it */
    GX_TRY(read_kinds(model, arena, source, sliding, error));
    for (uint32_t n = 0; n < model->num_hidden_layers; n++) {
        model->layers[n] = (gx_layer){
            .slides = sliding[n],
            .sliding_window = sliding[n] ? window : 0,
            .rope = sliding[n] ? attention->sliding : attention->full,
            .num_attention_heads = attention->heads,
            .intermediate_size = attention->intermediate_size,
            .attention_scale = attention->scale,
            .attention_softcap = attention->softcap,
            .cache_layer = n,
            .normalizes_values = source->family->normalizes_values,
        };
        gx_layer_set_heads(&model->layers[n], attention->kv_heads, attention->head_dim);
    }
    return GX_OK;
}

gx_status gx_config_share_caches(gx_model *model, const gx_config_source *source, const char *key, uint32_t fallback, gx_error *error)
{
    uint64_t shared = fallback;
    GX_TRY(gx_json_get_u64(source->text, source->name, key, &shared, error));
    if (shared >= model->num_hidden_layers)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: %s is %llu of %u layers", source->name, key, (unsigned long long)shared, model->num_hidden_layers);
    const uint32_t first = model->num_hidden_layers - (uint32_t)shared;
    for (uint32_t n = first; n < model->num_hidden_layers; n++) {
        uint32_t giver = first;
        while (giver-- > 0 && model->layers[giver].slides != model->layers[n].slides)
            ;
        if (giver == UINT32_MAX)
            return gx_fail(error, GX_ERROR_FORMAT, "%s: layer %u shares the caches of a layer of its kind, but there is none before layer %u", source->name, n, first);
        model->layers[n].cache_layer = giver;
        model->layers[n].shares_cache = model->layers[giver].shares_cache = true;
    }
    return GX_OK;
}

gx_status gx_config_read_per_layer_inputs(gx_model *model, const gx_config_source *source, gx_error *error)
{
    const gx_config_defaults *defaults = &source->family->defaults;
    uint64_t read = defaults->hidden_size_per_layer_input;
    if (read == 0)
        return GX_OK;
    GX_TRY(gx_json_get_u64(source->text, source->name, "hidden_size_per_layer_input", &read, error));
    if (read == 0)
        return GX_OK;
    if (read > 1u << 16)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: hidden_size_per_layer_input is %llu", source->name, (unsigned long long)read);
    model->hidden_size_per_layer_input = (uint32_t)read;
    return gx_config_size(source, "vocab_size_per_layer_input", defaults->vocab_size_per_layer_input, 1u << 24, &model->vocab_size_per_layer_input, error);
}
