/* Reads config.json into the numbers of a bound model. Owns the rules for absent, null and ignored keys. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "model/config.h"

#define CONFIG_LIMIT (16u << 20)
#define MAX_LAYERS 1024u
#define MAX_NOTES 32u

/* ---- which family ---- */

/* Relatives that are no decoder-only Gemma of ours: what they are, for the message. */
static const struct {
    const char *model_type;
    const char *what;
} refused[] = {
    {"recurrent_gemma", "RecurrentGemma, a recurrent model with another architecture"},
    {"t5gemma", "T5Gemma, an encoder-decoder model"},
    {"t5gemma2", "T5Gemma 2, an encoder-decoder model"},
    {"paligemma", "PaliGemma, a vision-language model"},
    {"gemma2", "Gemma 2, which this version does not convert yet"},
    {"vaultgemma", "VaultGemma, which this version does not convert yet"},
    {"gemma3n", "Gemma 3n, which this version does not convert yet"},
    {"gemma3n_text", "Gemma 3n, which this version does not convert yet"},
    {"gemma4", "Gemma 4, which this version does not convert yet"},
    {"gemma4_text", "Gemma 4, which this version does not convert yet"},
};

static bool list_has(const char *const *list, const char *text)
{
    for (; *list; list++)
        if (strcmp(*list, text) == 0)
            return true;
    return false;
}

static const gx_family *family_by_architecture(yyjson_val *architectures)
{
    size_t index, count;
    yyjson_val *value;
    yyjson_arr_foreach(architectures, index, count, value)
    {
        for (const gx_family *const *family = gx_families; *family; family++)
            if (yyjson_is_str(value) && list_has((*family)->architectures, yyjson_get_str(value)))
                return *family;
    }
    return NULL;
}

static const gx_family *family_by_model_type(const char *model_type)
{
    for (const gx_family *const *family = gx_families; *family; family++)
        if (list_has((*family)->model_types, model_type))
            return *family;
    return NULL;
}

static gx_status find_family(gx_config_source *source, gx_error *error)
{
    const char *top_type = NULL, *text_type = NULL;
    GX_TRY(gx_json_get_string(source->root, source->name, "model_type", &top_type, error));
    GX_TRY(gx_json_get_string(source->text, source->name, "model_type", &text_type, error));
    const char *type = text_type ? text_type : top_type ? top_type : "";
    source->family = family_by_model_type(type);
    if (!source->family)
        source->family = family_by_architecture(yyjson_obj_get(source->root, "architectures"));
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        const bool top_is = top_type && strcmp(top_type, refused[i].model_type) == 0;
        if (top_is || strcmp(type, refused[i].model_type) == 0)
            return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: model_type '%s' is %s", source->name, refused[i].model_type, refused[i].what);
    }
    if (!source->family)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: model_type '%s' is not a Gemma that this version converts (gemma, gemma3_text)",
                       source->name, type);
    return GX_OK;
}

static gx_status config_parse(gx_config_source *source, const gx_checkpoint *checkpoint, gx_error *error)
{
    if (gx_checkpoint_get_format(checkpoint) == GX_CHECKPOINT_GGUF) {
        gx_buffer text = {0};
        gx_status status = gx_gguf_config(&text, checkpoint, error);
        if (status == GX_OK)
            status = gx_json_parse(&source->doc, gx_checkpoint_path(checkpoint), (const char *)text.data, text.nbytes, error);
        gx_buffer_deinit(&text);
        return status;
    }
    gx_arena *arena = gx_arena_new();
    char *path = arena ? gx_path_join(arena, gx_checkpoint_folder(checkpoint), "config.json") : NULL;
    gx_status status = path ? gx_json_read(&source->doc, path, CONFIG_LIMIT, error) : gx_fail_memory(error);
    gx_arena_free(arena);
    return status;
}

gx_status gx_config_open(gx_config_source *out, const gx_checkpoint *checkpoint, gx_error *error)
{
    gx_config_source source = {0};
    source.name = gx_checkpoint_get_format(checkpoint) == GX_CHECKPOINT_GGUF ? gx_path_name(gx_checkpoint_path(checkpoint)) : "config.json";
    GX_TRY(config_parse(&source, checkpoint, error));
    source.root = yyjson_doc_get_root(source.doc);
    gx_status status = GX_OK;
    if (!yyjson_is_obj(source.root)) {
        status = gx_fail(error, GX_ERROR_FORMAT, "%s: the top level is not an object", source.name);
    } else if (yyjson_obj_get(source.root, "quantization_config")) {
        status = gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: quantization_config is present; convert the unquantised checkpoint instead",
                         source.name);
    } else {
        yyjson_val *text = yyjson_obj_get(source.root, "text_config");
        source.text = yyjson_is_obj(text) ? text : source.root;
        status = find_family(&source, error);
    }
    if (status == GX_OK)
        *out = source;
    else
        yyjson_doc_free(source.doc);
    return status;
}

void gx_config_close(gx_config_source *source)
{
    yyjson_doc_free(source->doc);
    *source = (gx_config_source){0};
}

/* ---- numbers ---- */

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

/* A size in 1 … limit; the default when the key is absent or null. */
static gx_status read_size(const gx_config_source *source, const char *key, uint32_t fallback, uint32_t limit, uint32_t *out,
                           gx_error *error)
{
    uint64_t value = fallback;
    GX_TRY(gx_json_get_u64(source->text, source->name, key, &value, error));
    if (value == 0 || value > limit)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: %s is %llu, expected 1 … %u", source->name, key, (unsigned long long)value, limit);
    *out = (uint32_t)value;
    return GX_OK;
}

static gx_status read_positive(const gx_config_source *source, yyjson_val *object, const char *key, double *out, gx_error *error)
{
    GX_TRY(gx_json_get_double(object, source->name, key, out, error));
    if (!(*out > 0) || !isfinite(*out))
        return gx_fail(error, GX_ERROR_FORMAT, "%s: %s is %g, expected a positive number", source->name, key, *out);
    return GX_OK;
}

typedef struct attention_config {
    uint32_t heads, kv_heads, head_dim, intermediate_size;
    double scale;
    gx_rope full, sliding;
    uint64_t window;
} attention_config;

static gx_status read_sizes(gx_model *model, attention_config *attention, const gx_config_source *source, gx_error *error)
{
    const gx_config_defaults *defaults = &source->family->defaults;
    GX_TRY(read_size(source, "vocab_size", defaults->vocab_size, 1u << 24, &model->vocab_size, error));
    GX_TRY(read_size(source, "hidden_size", defaults->hidden_size, 1u << 20, &model->hidden_size, error));
    GX_TRY(read_size(source, "num_hidden_layers", defaults->num_hidden_layers, MAX_LAYERS, &model->num_hidden_layers, error));
    GX_TRY(read_size(source, "max_position_embeddings", defaults->max_position_embeddings, 1u << 28, &model->max_position_embeddings, error));
    GX_TRY(read_size(source, "intermediate_size", defaults->intermediate_size, 1u << 22, &attention->intermediate_size, error));
    GX_TRY(read_size(source, "num_attention_heads", defaults->num_attention_heads, 4096, &attention->heads, error));
    GX_TRY(read_size(source, "num_key_value_heads", defaults->num_key_value_heads, 4096, &attention->kv_heads, error));
    GX_TRY(read_size(source, "head_dim", defaults->head_dim, 1u << 16, &attention->head_dim, error));
    if (attention->heads % attention->kv_heads != 0)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: num_attention_heads %u is not a multiple of num_key_value_heads %u", source->name,
                       attention->heads, attention->kv_heads);
    if (attention->head_dim % 2 != 0)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: head_dim %u is odd", source->name, attention->head_dim);
    return GX_OK;
}

/* {"rope_type": "default" | "linear", "factor": f}. Transformers looks at rope_type alone. */
static gx_status read_rope_scaling(const gx_config_source *source, yyjson_val *object, gx_rope *rope, bool *ignored, gx_error *error)
{
    const char *type = NULL, *old_type = NULL;
    GX_TRY(gx_json_get_string(object, source->name, "rope_type", &type, error));
    GX_TRY(gx_json_get_string(object, source->name, "type", &old_type, error));
    *ignored = !type && old_type && strcmp(old_type, "default") != 0;
    if (!type || strcmp(type, "default") == 0)
        return GX_OK;
    if (strcmp(type, "linear") != 0)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: rope_type '%s' is not supported (default, linear)", source->name, type);
    double factor = 0;
    GX_TRY(read_positive(source, object, "factor", &factor, error));
    rope->factor = factor;
    return GX_OK;
}

static gx_status read_rope_parameters(const gx_config_source *source, yyjson_val *object, gx_rope *rope, gx_error *error)
{
    bool ignored = false;
    GX_TRY(read_positive(source, object, "rope_theta", &rope->theta, error));
    return read_rope_scaling(source, object, rope, &ignored, error);
}

static gx_status read_rope(gx_model *model, gx_arena *arena, attention_config *attention, const gx_config_source *source, gx_error *error)
{
    const gx_config_defaults *defaults = &source->family->defaults;
    const bool dual = defaults->rope_local_base_freq > 0;
    attention->full = (gx_rope){.theta = defaults->rope_theta, .factor = 1};
    attention->sliding = (gx_rope){.theta = dual ? defaults->rope_local_base_freq : defaults->rope_theta, .factor = 1};

    yyjson_val *parameters = yyjson_obj_get(source->text, "rope_parameters");
    if (yyjson_is_obj(parameters)) {
        yyjson_val *full = yyjson_obj_get(parameters, "full_attention"), *sliding = yyjson_obj_get(parameters, "sliding_attention");
        if (!full && !sliding) { /* one set for all layers */
            GX_TRY(read_rope_parameters(source, parameters, &attention->full, error));
            if (!dual)
                attention->sliding = attention->full;
            return GX_OK;
        }
        GX_TRY(read_rope_parameters(source, full, &attention->full, error));
        return read_rope_parameters(source, sliding, &attention->sliding, error);
    }
    GX_TRY(read_positive(source, source->text, "rope_theta", &attention->full.theta, error));
    bool ignored = false;
    GX_TRY(read_rope_scaling(source, yyjson_obj_get(source->text, "rope_scaling"), &attention->full, &ignored, error));
    if (ignored)
        GX_TRY(gx_model_note(model, arena, error, "rope_scaling has 'type' but no 'rope_type': ignored, as Transformers does"));
    if (!dual)
        attention->sliding = attention->full;
    else /* scaling is for the global layers only */
        GX_TRY(read_positive(source, source->text, "rope_local_base_freq", &attention->sliding.theta, error));
    return GX_OK;
}

static gx_status read_attention_scale(attention_config *attention, const gx_config_source *source, gx_error *error)
{
    double scalar = source->family->defaults.query_pre_attn_scalar;
    if (scalar == 0)
        scalar = attention->head_dim;
    else
        GX_TRY(read_positive(source, source->text, "query_pre_attn_scalar", &scalar, error));
    attention->scale = 1.0 / sqrt(scalar);
    return GX_OK;
}

/* ---- layers ---- */

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

static gx_status read_pattern(gx_model *model, gx_arena *arena, const gx_config_source *source, bool *sliding, gx_error *error)
{
    const uint32_t layers = model->num_hidden_layers;
    uint64_t pattern = source->family->defaults.sliding_window_pattern;
    if (pattern == 0)
        return GX_OK;
    yyjson_val *types = yyjson_obj_get(source->text, "layer_types");
    if (types && !yyjson_is_null(types))
        return read_layer_types(source, types, sliding, layers, error);
    uint64_t ignored_pattern = pattern;
    GX_TRY(gx_json_get_u64(source->text, source->name, "_sliding_window_pattern", &ignored_pattern, error));
    GX_TRY(gx_json_get_u64(source->text, source->name, "sliding_window_pattern", &pattern, error));
    if (pattern == 0)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: sliding_window_pattern is 0", source->name);
    if (!yyjson_obj_get(source->text, "sliding_window_pattern") && ignored_pattern != pattern)
        GX_TRY(gx_model_note(model, arena, error, "_sliding_window_pattern %llu is ignored, as Transformers does; every %llu. layer is full",
                             (unsigned long long)ignored_pattern, (unsigned long long)pattern));
    for (uint32_t n = 0; n < layers; n++)
        sliding[n] = (n + 1) % pattern != 0;
    return GX_OK;
}

static gx_status read_window(attention_config *attention, const gx_config_source *source, gx_error *error)
{
    attention->window = source->family->defaults.sliding_window;
    yyjson_val *window = yyjson_obj_get(source->text, "sliding_window");
    if (window && yyjson_is_null(window)) {
        attention->window = 0; /* null: no window */
        return GX_OK;
    }
    if (attention->window == 0)
        return GX_OK;
    GX_TRY(gx_json_get_u64(source->text, source->name, "sliding_window", &attention->window, error));
    if (attention->window == 0 || attention->window > INT32_MAX)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: sliding_window is %llu", source->name, (unsigned long long)attention->window);
    return GX_OK;
}

static gx_status make_layers(gx_model *model, gx_arena *arena, const attention_config *attention, const gx_config_source *source,
                             gx_error *error)
{
    model->layers = GX_NEW_ARRAY(arena, gx_layer, model->num_hidden_layers);
    bool *sliding = GX_NEW_ARRAY(arena, bool, model->num_hidden_layers);
    if (!model->layers || !sliding)
        return gx_fail_memory(error);
    GX_TRY(read_pattern(model, arena, source, sliding, error));
    for (uint32_t n = 0; n < model->num_hidden_layers; n++)
        model->layers[n] = (gx_layer){
            .sliding_window = sliding[n] ? attention->window : 0,
            .rope = sliding[n] ? attention->sliding : attention->full,
            .num_attention_heads = attention->heads,
            .num_key_value_heads = attention->kv_heads,
            .head_dim = attention->head_dim,
            .intermediate_size = attention->intermediate_size,
            .attention_scale = attention->scale,
        };
    return GX_OK;
}

/* ---- the rest ---- */

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

/* Embedding models share the architecture, but look at later positions, too: no decoder. */
static gx_status refuse_bidirectional(const gx_config_source *source, gx_error *error)
{
    bool bidirectional = false;
    GX_TRY(gx_json_get_bool(source->text, source->name, "use_bidirectional_attention", &bidirectional, error));
    if (bidirectional)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: use_bidirectional_attention is true: an embedding model, no decoder", source->name);
    return GX_OK;
}

static gx_status read_softcaps(gx_model *model, gx_arena *arena, const gx_config_source *source, gx_error *error)
{
    double attention_cap = 0;
    GX_TRY(gx_json_get_double(source->text, source->name, "attn_logit_softcapping", &attention_cap, error));
    if (attention_cap != 0)
        GX_TRY(gx_model_note(model, arena, error, "attn_logit_softcapping %g is ignored, as Transformers does for this family", attention_cap));
    double cap = source->family->defaults.final_logit_softcapping;
    yyjson_val *value = yyjson_obj_get(source->text, "final_logit_softcapping");
    if (value && yyjson_is_null(value))
        cap = 0;
    else
        GX_TRY(gx_json_get_double(source->text, source->name, "final_logit_softcapping", &cap, error));
    if (cap < 0 || !isfinite(cap))
        return gx_fail(error, GX_ERROR_FORMAT, "%s: final_logit_softcapping is %g", source->name, cap);
    if (cap != 0 && !source->family->defaults.honours_final_softcap)
        GX_TRY(gx_model_note(model, arena, error, "final_logit_softcapping %g is ignored, as Transformers does for this family", cap));
    else
        model->final_logit_softcapping = cap;
    return GX_OK;
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
    attention_config attention = {0};
    model->family = source->family;
    model->family_name = source->family->name;
    GX_TRY(refuse_bidirectional(source, error));
    GX_TRY(read_sizes(model, &attention, source, error));
    model->rms_norm_eps = source->family->defaults.rms_norm_eps;
    GX_TRY(read_positive(source, source->text, "rms_norm_eps", &model->rms_norm_eps, error));
    GX_TRY(read_rope(model, arena, &attention, source, error));
    GX_TRY(read_attention_scale(&attention, source, error));
    GX_TRY(read_window(&attention, source, error));
    GX_TRY(make_layers(model, arena, &attention, source, error));
    GX_TRY(read_activation(model, source, error));
    GX_TRY(read_softcaps(model, arena, source, error));
    GX_TRY(read_token_ids(model, source, error));
    model->embedding_multiplier = (double)(float)sqrt((double)model->hidden_size);
    model->tie_word_embeddings = true;
    yyjson_val *tied_here = yyjson_obj_get(source->text, "tie_word_embeddings");
    yyjson_val *level = tied_here && !yyjson_is_null(tied_here) ? source->text : source->root;
    return gx_json_get_bool(level, source->name, "tie_word_embeddings", &model->tie_word_embeddings, error);
}

/* ---- output ---- */

/* The text decoder of a multimodal package becomes a text model of its own. */
static gx_status promote_text_config(yyjson_mut_doc *doc, const gx_config_source *source, gx_error *error)
{
    yyjson_mut_val *root = yyjson_val_mut_copy(doc, source->text);
    yyjson_mut_val *architectures = yyjson_mut_arr(doc);
    if (!root || !yyjson_mut_arr_add_str(doc, architectures, source->family->text_architecture))
        return gx_fail_memory(error);
    yyjson_mut_obj_remove_key(root, "model_type");
    yyjson_mut_obj_remove_key(root, "architectures");
    yyjson_mut_obj_add_str(doc, root, "model_type", source->family->text_model_type);
    yyjson_mut_obj_add_val(doc, root, "architectures", architectures);
    static const char *const shared[] = {"bos_token_id", "eos_token_id", "pad_token_id", "tie_word_embeddings", "torch_dtype", "dtype"};
    for (size_t i = 0; i < sizeof shared / sizeof *shared; i++) {
        yyjson_val *value = yyjson_obj_get(source->root, shared[i]);
        if (value && !yyjson_mut_obj_get(root, shared[i]))
            yyjson_mut_obj_add_val(doc, root, shared[i], yyjson_val_mut_copy(doc, value));
    }
    yyjson_mut_doc_set_root(doc, root);
    return GX_OK;
}

gx_status gx_config_for_output(yyjson_mut_doc **out, bool *is_source, const gx_config_source *source, gx_error *error)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    if (!doc)
        return gx_fail_memory(error);
    gx_status status = GX_OK;
    if (source->text == source->root)
        yyjson_mut_doc_set_root(doc, yyjson_val_mut_copy(doc, source->root));
    else
        status = promote_text_config(doc, source, error);
    if (status == GX_OK && !yyjson_mut_doc_get_root(doc))
        status = gx_fail_memory(error);
    if (status != GX_OK) {
        yyjson_mut_doc_free(doc);
        return status;
    }
    *out = doc;
    *is_source = source->text == source->root;
    return GX_OK;
}
