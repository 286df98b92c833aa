/*
 * config.json from GGUF metadata, so that both sources are read by one reader and a folder written from a GGUF loads in
 * Transformers. What GGUF does not store (query_pre_attn_scalar) is derived as llama.cpp derives it.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/gguf_keys.h"

#define GGUF_DEFAULT_LOCAL_THETA 10000.0

/* "<architecture>.<suffix>" */
const gx_gguf_value *gx_gguf_find(const gx_checkpoint *checkpoint, const gx_family *family, const char *suffix)
{
    char key[160];
    const int n = snprintf(key, sizeof key, "%s.%s", family->gguf_architecture, suffix);
    return n > 0 && (size_t)n < sizeof key ? gx_checkpoint_metadata(checkpoint, key) : NULL;
}

static gx_status find_family(const gx_family **out, const gx_checkpoint *checkpoint, gx_error *error)
{
    const char *path = gx_checkpoint_path(checkpoint);
    const gx_gguf_value *value = gx_checkpoint_metadata(checkpoint, "general.architecture");
    if (!value || value->kind != GX_GGUF_STRING)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: no general.architecture", path);
    for (const gx_family *const *family = gx_families; *family; family++) {
        if ((*family)->gguf_architecture && strcmp((*family)->gguf_architecture, value->string.bytes) == 0) {
            *out = *family;
            return GX_OK;
        }
    }
    char known[256];
    gx_families_text(known, sizeof known, true);
    return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: architecture '%s' is not a Gemma that this version converts (%s)", path, value->string.bytes,
                   known);
}

static bool element(uint64_t *out, const gx_gguf_value *value, size_t index)
{
    const bool list = value->kind == GX_GGUF_ARRAY;
    const gx_gguf_kind kind = list ? value->element_kind : value->kind;
    if (list && index >= value->count)
        return false;
    if (kind == GX_GGUF_UNSIGNED) {
        *out = list ? value->array.u[index] : value->u;
        return true;
    }
    const int64_t number = kind != GX_GGUF_SIGNED ? -1 : list ? value->array.i[index] : value->i;
    *out = (uint64_t)number;
    return number >= 0;
}

gx_status gx_gguf_get_layer_u64(uint64_t *out, const gx_checkpoint *checkpoint, const gx_family *family, const char *suffix, size_t layer, gx_error *error)
{
    const gx_gguf_value *value = gx_gguf_find(checkpoint, family, suffix);
    if (!value)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: no %s.%s", gx_checkpoint_path(checkpoint), family->gguf_architecture, suffix);
    if (element(out, value, layer))
        return GX_OK;
    return gx_fail(error, GX_ERROR_FORMAT, "%s: %s.%s has no non-negative integer for layer %zu", gx_checkpoint_path(checkpoint), family->gguf_architecture, suffix,
                   layer);
}

gx_status gx_gguf_get_u64(uint64_t *out, const gx_checkpoint *checkpoint, const gx_family *family, const char *suffix, gx_error *error)
{
    const gx_gguf_value *value = gx_gguf_find(checkpoint, family, suffix);
    if (value && (value->kind == GX_GGUF_ARRAY || !element(out, value, 0)))
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: %s.%s is not one non-negative integer", gx_checkpoint_path(checkpoint), family->gguf_architecture, suffix);
    return gx_gguf_get_layer_u64(out, checkpoint, family, suffix, 0, error);
}

gx_status gx_gguf_get_double(double *out, double fallback, const gx_checkpoint *checkpoint, const gx_family *family, const char *suffix, gx_error *error)
{
    const gx_gguf_value *value = gx_gguf_find(checkpoint, family, suffix);
    *out = fallback;
    if (!value)
        return GX_OK;
    if (value->kind != GX_GGUF_FLOAT || !isfinite(value->f))
        return gx_fail(error, GX_ERROR_FORMAT, "%s: %s.%s is not a finite float", gx_checkpoint_path(checkpoint), family->gguf_architecture, suffix);
    *out = value->f;
    return GX_OK;
}

double gx_gguf_shortest_decimal(double value)
{
    char text[64];
    for (int digits = 1; digits <= 9; digits++) {
        double parsed = 0;
        snprintf(text, sizeof text, "%.*e", digits - 1, value);
        if (sscanf(text, "%lf", &parsed) == 1 && (float)parsed == (float)value)
            return parsed;
    }
    return value;
}

gx_status gx_gguf_get_optional_u64(uint64_t *out, const gx_checkpoint *checkpoint, const gx_family *family, const char *suffix, gx_error *error)
{
    *out = 0;
    return gx_gguf_find(checkpoint, family, suffix) ? gx_gguf_get_u64(out, checkpoint, family, suffix, error) : GX_OK;
}

gx_status gx_gguf_add_number(yyjson_mut_doc *doc, yyjson_mut_val *root, const char *key, const gx_checkpoint *checkpoint, const gx_family *family, const char *suffix,
                             gx_error *error)
{
    uint64_t number = 0;
    GX_TRY(gx_gguf_get_u64(&number, checkpoint, family, suffix, error));
    yyjson_mut_obj_add_uint(doc, root, key, number);
    return GX_OK;
}

void gx_gguf_add_rows(yyjson_mut_doc *doc, yyjson_mut_val *root, const char *key, const gx_checkpoint *checkpoint, const char *tensor)
{
    const gx_tensor *found = gx_checkpoint_find(checkpoint, tensor);
    if (found && found->rank == 2)
        yyjson_mut_obj_add_uint(doc, root, key, found->shape[0]);
}

static const struct {
    const char *key;
    const char *suffix;
} sizes[] = {
    {"hidden_size", "embedding_length"},
    {"intermediate_size", "feed_forward_length"},
    {"num_hidden_layers", "block_count"},
    {"num_attention_heads", "attention.head_count"},
    {"num_key_value_heads", "attention.head_count_kv"},
    {"head_dim", "attention.key_length"},
    {"max_position_embeddings", "context_length"},
};

/* Of what may differ by layer, those of the first one. */
static gx_status add_sizes(yyjson_mut_doc *doc, yyjson_mut_val *root, const gx_checkpoint *checkpoint, const gx_family *family, gx_error *error)
{
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint64_t value = 0;
        if (!family->add_gguf_config)
            GX_TRY(gx_gguf_get_u64(&value, checkpoint, family, sizes[i].suffix, error));
        GX_TRY(gx_gguf_get_layer_u64(&value, checkpoint, family, sizes[i].suffix, 0, error));
        yyjson_mut_obj_add_uint(doc, root, sizes[i].key, value);
    }
    const gx_tensor *embedding = gx_checkpoint_find(checkpoint, "token_embd.weight");
    if (!embedding || embedding->rank != 2)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: no tensor 'token_embd.weight' of two dimensions", gx_checkpoint_path(checkpoint));
    yyjson_mut_obj_add_uint(doc, root, "vocab_size", embedding->shape[0]);
    return GX_OK;
}

static gx_status add_layer_types(yyjson_mut_doc *doc, yyjson_mut_val *root, const gx_checkpoint *checkpoint, const gx_family *family,
                                 gx_error *error)
{
    uint64_t layers = 0, window = 0, pattern = family->defaults.sliding_window_pattern;
    GX_TRY(gx_gguf_get_u64(&layers, checkpoint, family, "block_count", error));
    GX_TRY(gx_gguf_get_optional_u64(&window, checkpoint, family, "attention.sliding_window", error));
    const gx_gguf_value *stored = gx_gguf_find(checkpoint, family, "attention.sliding_window_pattern");
    const bool per_layer = stored && stored->kind == GX_GGUF_ARRAY && stored->element_kind == GX_GGUF_BOOL && stored->count == layers;
    if (stored && !per_layer)
        GX_TRY(gx_gguf_get_u64(&pattern, checkpoint, family, "attention.sliding_window_pattern", error));
    if (pattern == 0 || layers > UINT16_MAX)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: window pattern %llu, %llu layers", gx_checkpoint_path(checkpoint),
                       (unsigned long long)pattern, (unsigned long long)layers);
    yyjson_mut_val *types = yyjson_mut_obj_add_arr(doc, root, "layer_types");
    for (uint64_t n = 0; n < layers; n++) {
        const bool sliding = window != 0 && (per_layer ? stored->array.b[n] : (n + 1) % pattern != 0);
        yyjson_mut_arr_add_str(doc, types, sliding ? "sliding_attention" : "full_attention");
    }
    if (window)
        yyjson_mut_obj_add_uint(doc, root, "sliding_window", window);
    else
        yyjson_mut_obj_add_null(doc, root, "sliding_window");
    return GX_OK;
}

static gx_status add_rope(yyjson_mut_doc *doc, yyjson_mut_val *root, const gx_checkpoint *checkpoint, const gx_family *family, gx_error *error)
{
    double theta = 0, local = 0, factor = 0;
    GX_TRY(gx_gguf_get_double(&theta, family->defaults.rope_theta, checkpoint, family, "rope.freq_base", error));
    yyjson_mut_obj_add_real(doc, root, "rope_theta", gx_gguf_shortest_decimal(theta));
    if (family->defaults.rope_local_base_freq > 0) {
        GX_TRY(gx_gguf_get_double(&local, GGUF_DEFAULT_LOCAL_THETA, checkpoint, family, "rope.freq_base_swa", error));
        yyjson_mut_obj_add_real(doc, root, "rope_local_base_freq", gx_gguf_shortest_decimal(local));
    }
    const gx_gguf_value *type = gx_gguf_find(checkpoint, family, "rope.scaling.type");
    if (!type || type->kind != GX_GGUF_STRING || strcmp(type->string.bytes, "none") == 0) {
        yyjson_mut_obj_add_null(doc, root, "rope_scaling");
        return GX_OK;
    }
    GX_TRY(gx_gguf_get_double(&factor, 1, checkpoint, family, "rope.scaling.factor", error));
    yyjson_mut_val *scaling = yyjson_mut_obj_add_obj(doc, root, "rope_scaling");
    yyjson_mut_obj_add_strcpy(doc, scaling, "rope_type", type->string.bytes);
    yyjson_mut_obj_add_real(doc, scaling, "factor", gx_gguf_shortest_decimal(factor));
    return GX_OK;
}

/* Not stored: 1 / sqrt(head_dim), except for the 27B, which llama.cpp knows by the number of its layers and scales by the
 * width of hidden_size / num_attention_heads. */
static gx_status add_attention_scalar(yyjson_mut_doc *doc, yyjson_mut_val *root, const gx_checkpoint *checkpoint, const gx_family *family,
                                      gx_error *error)
{
    if (family->defaults.query_pre_attn_scalar == 0)
        return GX_OK;
    uint64_t layers = 0, heads = 0, hidden = 0, head_dim = 0;
    GX_TRY(gx_gguf_get_u64(&layers, checkpoint, family, "block_count", error));
    GX_TRY(gx_gguf_get_u64(&heads, checkpoint, family, "attention.head_count", error));
    GX_TRY(gx_gguf_get_u64(&hidden, checkpoint, family, "embedding_length", error));
    GX_TRY(gx_gguf_get_u64(&head_dim, checkpoint, family, "attention.key_length", error));
    if (heads == 0)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: no attention heads", gx_checkpoint_path(checkpoint));
    yyjson_mut_obj_add_uint(doc, root, "query_pre_attn_scalar", layers == family->gguf_27b_layers ? hidden / heads : head_dim);
    return GX_OK;
}

/* The key has one name in both. Null where there is none: an absent one would mean the class default. */
static gx_status add_softcap(yyjson_mut_doc *doc, yyjson_mut_val *root, const char *key, const gx_softcap_default *softcap, const gx_checkpoint *checkpoint,
                             const gx_family *family, gx_error *error)
{
    double cap = 0;
    if (!softcap->honoured)
        return GX_OK;
    GX_TRY(gx_gguf_get_double(&cap, softcap->value, checkpoint, family, key, error));
    if (cap != 0)
        yyjson_mut_obj_add_real(doc, root, key, gx_gguf_shortest_decimal(cap));
    else
        yyjson_mut_obj_add_null(doc, root, key);
    return GX_OK;
}

static void add_token_id(yyjson_mut_doc *doc, yyjson_mut_val *root, const char *key, const gx_checkpoint *checkpoint, const char *gguf_key)
{
    const gx_gguf_value *value = gx_checkpoint_metadata(checkpoint, gguf_key);
    if (value && value->kind == GX_GGUF_UNSIGNED)
        yyjson_mut_obj_add_uint(doc, root, key, value->u);
}

static gx_status add_everything(yyjson_mut_doc *doc, yyjson_mut_val *root, const gx_checkpoint *checkpoint, gx_error *error)
{
    const gx_family *family = NULL;
    GX_TRY(find_family(&family, checkpoint, error));
    yyjson_mut_val *architectures = yyjson_mut_obj_add_arr(doc, root, "architectures");
    yyjson_mut_arr_add_str(doc, architectures, family->text_architecture);
    yyjson_mut_obj_add_str(doc, root, "model_type", family->text_model_type);
    GX_TRY(add_sizes(doc, root, checkpoint, family, error));
    yyjson_mut_obj_add_bool(doc, root, "attention_bias", false);
    yyjson_mut_obj_add_str(doc, root, "hidden_activation", "gelu_pytorch_tanh");
    double eps = 0;
    GX_TRY(gx_gguf_get_double(&eps, family->defaults.rms_norm_eps, checkpoint, family, "attention.layer_norm_rms_epsilon", error));
    yyjson_mut_obj_add_real(doc, root, "rms_norm_eps", gx_gguf_shortest_decimal(eps));
    GX_TRY(add_rope(doc, root, checkpoint, family, error));
    GX_TRY(add_attention_scalar(doc, root, checkpoint, family, error));
    if (family->defaults.sliding_window_pattern)
        GX_TRY(add_layer_types(doc, root, checkpoint, family, error));
    GX_TRY(add_softcap(doc, root, "attn_logit_softcapping", &family->defaults.attention_softcap, checkpoint, family, error));
    GX_TRY(add_softcap(doc, root, "final_logit_softcapping", &family->defaults.final_softcap, checkpoint, family, error));
    add_token_id(doc, root, "bos_token_id", checkpoint, "tokenizer.ggml.bos_token_id");
    add_token_id(doc, root, "eos_token_id", checkpoint, "tokenizer.ggml.eos_token_id");
    add_token_id(doc, root, "pad_token_id", checkpoint, "tokenizer.ggml.padding_token_id");
    yyjson_mut_obj_add_bool(doc, root, "tie_word_embeddings", gx_checkpoint_find(checkpoint, "output.weight") == NULL);
    yyjson_mut_obj_add_bool(doc, root, "use_cache", true);
    if (family->bidirectional)
        yyjson_mut_obj_add_bool(doc, root, "use_bidirectional_attention", true);
    return family->add_gguf_config ? family->add_gguf_config(doc, root, checkpoint, family, error) : GX_OK;
}

gx_status gx_gguf_config(gx_buffer *out, const gx_checkpoint *checkpoint, gx_error *error)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = doc ? yyjson_mut_obj(doc) : NULL;
    if (!root) {
        yyjson_mut_doc_free(doc);
        return gx_fail_memory(error);
    }
    yyjson_mut_doc_set_root(doc, root);
    char *text = NULL;
    size_t nbytes = 0;
    gx_status status = add_everything(doc, root, checkpoint, error);
    if (status == GX_OK)
        status = gx_json_write(&text, &nbytes, doc, error);
    if (status == GX_OK) {
        gx_buffer_append(out, text, nbytes);
        status = gx_buffer_check(out, error);
    }
    gx_free(text);
    yyjson_mut_doc_free(doc);
    return status;
}
