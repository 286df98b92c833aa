/*
 * Gemma 4: E2B and E4B (inputs for each layer, shared caches), 12B and 31B, 26B-A4B (experts beside the MLP). Sliding and full layers differ in
 * the width of their heads. No scale on scores, norms whose factor is the weight itself, values normed without one.
 */
#include <stdio.h>
#include <string.h>

#include "model/config_parts.h"
#include "model/families/rows.h"
#include "model/gguf_keys.h"

#define GLOBAL_HEAD_DIM 512

static const gx_tensor_row tensors[] = {
    GX_ROWS_OUTSIDE_LAYERS,
    GX_ROW_INPUT_NORM,
    GX_ROWS_ATTENTION,
    GX_ROWS_HEAD_NORMS,
    GX_ROW_PRE_FEEDFORWARD_NORM("pre_feedforward_layernorm"),
    GX_ROWS_POST_NORMS,
    GX_ROWS_MLP,
    GX_ROWS_PER_LAYER_INPUTS,
    GX_VECTOR(GX_ROLE_LAYER_SCALAR, GX_DIM_ONE, "layers.%u.layer_scalar", "blk.%u.layer_output_scale.weight"),
    GX_MATRIX_WHEN(GX_WHEN_EXPERTS, GX_ROLE_ROUTER_PROJ, GX_DIM_EXPERTS, GX_DIM_HIDDEN, "layers.%u.router.proj.weight", "blk.%u.ffn_gate_inp.weight"),
    GX_VECTOR_WHEN(GX_WHEN_EXPERTS, GX_ROLE_ROUTER_SCALE, GX_DIM_HIDDEN, "layers.%u.router.scale", "blk.%u.ffn_gate_inp.scale"),
    GX_VECTOR_WHEN(GX_WHEN_EXPERTS, GX_ROLE_ROUTER_PER_EXPERT_SCALE, GX_DIM_EXPERTS, "layers.%u.router.per_expert_scale", "blk.%u.ffn_down_exps.scale"),
    {GX_ROLE_EXPERTS_GATE_UP,
     "layers.%u.experts.gate_up_proj",
     "blk.%u.ffn_gate_up_exps.weight",
     {GX_DIM_EXPERTS, GX_DIM_EXPERT_GATE_AND_UP, GX_DIM_HIDDEN},
     GX_WHEN_EXPERTS},
    {GX_ROLE_EXPERTS_DOWN,
     "layers.%u.experts.down_proj",
     "blk.%u.ffn_down_exps.weight",
     {GX_DIM_EXPERTS, GX_DIM_HIDDEN, GX_DIM_EXPERT_INTERMEDIATE},
     GX_WHEN_EXPERTS},
    GX_VECTOR_WHEN(GX_WHEN_EXPERTS, GX_ROLE_POST_MLP_NORM, GX_DIM_HIDDEN, "layers.%u.post_feedforward_layernorm_1.weight", "blk.%u.post_ffw_norm_1.weight"),
    GX_VECTOR_WHEN(GX_WHEN_EXPERTS, GX_ROLE_PRE_EXPERTS_NORM, GX_DIM_HIDDEN, "layers.%u.pre_feedforward_layernorm_2.weight", "blk.%u.pre_ffw_norm_2.weight"),
    GX_VECTOR_WHEN(GX_WHEN_EXPERTS, GX_ROLE_POST_EXPERTS_NORM, GX_DIM_HIDDEN, "layers.%u.post_feedforward_layernorm_2.weight",
                   "blk.%u.post_ffw_norm_2.weight"),
};

/* "per_layer_config": {"5": {"head_dim": 512, "num_key_value_heads": 2}, …}, the newer way to say how layers differ. */
static gx_status read_per_layer(gx_model *model, const gx_config_source *source, yyjson_val *layers, gx_error *error)
{
    for (uint32_t n = 0; n < model->num_hidden_layers; n++) {
        char number[16];
        snprintf(number, sizeof number, "%u", n);
        yyjson_val *own = yyjson_obj_get(layers, number);
        uint64_t kv_heads = model->layers[n].num_key_value_heads, head_dim = model->layers[n].head_dim;
        GX_TRY(gx_json_get_u64(own, source->name, "num_key_value_heads", &kv_heads, error));
        GX_TRY(gx_json_get_u64(own, source->name, "head_dim", &head_dim, error));
        if (kv_heads == 0 || kv_heads > GX_MAX_HEADS || head_dim == 0 || head_dim > GX_MAX_HEAD_DIM)
            return gx_fail(error, GX_ERROR_FORMAT, "%s: per_layer_config of layer %u: %llu heads of %llu", source->name, n, (unsigned long long)kv_heads,
                           (unsigned long long)head_dim);
        gx_layer_set_heads(&model->layers[n], (uint32_t)kv_heads, (uint32_t)head_dim);
    }
    return GX_OK;
}

/* Of full layers. The number of heads counts only where keys are values. */
static gx_status read_global_heads(gx_model *model, const gx_config_source *source, bool keys_are_values, gx_error *error)
{
    uint32_t head_dim = GLOBAL_HEAD_DIM, kv_heads = 0;
    GX_TRY(gx_config_size(source, "global_head_dim", GLOBAL_HEAD_DIM, GX_MAX_HEAD_DIM, &head_dim, error));
    yyjson_val *heads = yyjson_obj_get(source->text, "num_global_key_value_heads");
    if (keys_are_values && heads && !yyjson_is_null(heads))
        GX_TRY(gx_config_size(source, "num_global_key_value_heads", 1, GX_MAX_HEADS, &kv_heads, error));
    for (uint32_t n = 0; n < model->num_hidden_layers; n++)
        if (!model->layers[n].slides)
            gx_layer_set_heads(&model->layers[n], kv_heads ? kv_heads : model->layers[n].num_key_value_heads, head_dim);
    return GX_OK;
}

static gx_status read_heads(gx_model *model, const gx_config_source *source, gx_error *error)
{
    bool keys_are_values = false;
    GX_TRY(gx_json_get_bool(source->text, source->name, "attention_k_eq_v", &keys_are_values, error));
    yyjson_val *layers = yyjson_obj_get(source->text, "per_layer_config");
    if (yyjson_is_obj(layers))
        GX_TRY(read_per_layer(model, source, layers, error));
    else
        GX_TRY(read_global_heads(model, source, keys_are_values, error));
    for (uint32_t n = 0; n < model->num_hidden_layers; n++) {
        gx_layer *layer = &model->layers[n];
        layer->keys_are_values = keys_are_values && !layer->slides;
        if (layer->num_attention_heads % layer->num_key_value_heads != 0 || layer->head_dim % 2 != 0)
            return gx_fail(error, GX_ERROR_FORMAT, "%s: layer %u has %u heads, %u key/value heads of width %u", source->name, n, layer->num_attention_heads,
                           layer->num_key_value_heads, layer->head_dim);
    }
    return GX_OK;
}

static gx_status read_experts(gx_model *model, const gx_config_source *source, gx_error *error)
{
    bool enabled = false;
    uint32_t experts = 0, top = 0, width = 0;
    GX_TRY(gx_json_get_bool(source->text, source->name, "enable_moe_block", &enabled, error));
    if (!enabled)
        return GX_OK;
    const char *width_key = yyjson_obj_get(source->text, "moe_intermediate_size") ? "moe_intermediate_size" : "expert_intermediate_size";
    GX_TRY(gx_config_size(source, "num_experts", 0, 4096, &experts, error));
    GX_TRY(gx_config_size(source, "top_k_experts", 0, experts, &top, error));
    GX_TRY(gx_config_size(source, width_key, 0, GX_MAX_INTERMEDIATE_SIZE, &width, error));
    for (uint32_t n = 0; n < model->num_hidden_layers; n++) {
        model->layers[n].num_experts = experts;
        model->layers[n].top_k_experts = top;
        model->layers[n].moe_intermediate_size = width;
    }
    return GX_OK;
}

/* Layers that share caches may have twice the MLP. */
static gx_status widen_mlp(gx_model *model, const gx_config_source *source, gx_error *error)
{
    bool doubled = false;
    GX_TRY(gx_json_get_bool(source->text, source->name, "use_double_wide_mlp", &doubled, error));
    for (uint32_t n = 0; doubled && n < model->num_hidden_layers; n++)
        if (!gx_layer_has_own_cache(model, n))
            model->layers[n].intermediate_size *= 2;
    return GX_OK;
}

static gx_status read_config(gx_model *model, const gx_config_source *source, gx_error *error)
{
    GX_TRY(read_heads(model, source, error));
    GX_TRY(gx_config_share_caches(model, source, "num_kv_shared_layers", 0, error));
    GX_TRY(widen_mlp(model, source, error));
    GX_TRY(gx_config_read_per_layer_inputs(model, source, error));
    return read_experts(model, source, error);
}

/* ---- GGUF ---- */

static void put(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, yyjson_mut_val *value)
{
    yyjson_mut_obj_remove_key(object, key);
    yyjson_mut_obj_add_val(doc, object, key, value);
}

/* The first layer of a kind, as add_layer_types wrote them; `layers` when there is none. */
static size_t first_of_kind(yyjson_mut_val *root, const char *kind, size_t layers)
{
    yyjson_mut_val *types = yyjson_mut_obj_get(root, "layer_types");
    for (size_t n = 0; n < layers; n++)
        if (strcmp(yyjson_mut_get_str(yyjson_mut_arr_get(types, n)), kind) == 0)
            return n;
    return layers;
}

static gx_status add_gguf_heads(yyjson_mut_doc *doc, yyjson_mut_val *root, const gx_checkpoint *checkpoint, const gx_family *family, uint64_t layers, gx_error *error)
{
    uint64_t width = 0, full_width = 0, heads = 0;
    const size_t full = first_of_kind(root, "full_attention", layers), sliding = first_of_kind(root, "sliding_attention", layers);
    GX_TRY(gx_gguf_get_u64(&full_width, checkpoint, family, "attention.key_length", error));
    GX_TRY(gx_gguf_get_u64(&width, checkpoint, family, "attention.key_length_swa", error));
    put(doc, root, "head_dim", yyjson_mut_uint(doc, width));
    yyjson_mut_obj_add_uint(doc, root, "global_head_dim", full_width);
    GX_TRY(gx_gguf_get_layer_u64(&heads, checkpoint, family, "attention.head_count_kv", sliding < layers ? sliding : 0, error));
    put(doc, root, "num_key_value_heads", yyjson_mut_uint(doc, heads));
    if (full == layers)
        return GX_OK;
    char name[64];
    snprintf(name, sizeof name, "blk.%zu.attn_v.weight", full);
    yyjson_mut_obj_add_bool(doc, root, "attention_k_eq_v", gx_checkpoint_find(checkpoint, name) == NULL);
    GX_TRY(gx_gguf_get_layer_u64(&heads, checkpoint, family, "attention.head_count_kv", full, error));
    yyjson_mut_obj_add_uint(doc, root, "num_global_key_value_heads", heads);
    return GX_OK;
}

/* rope_freqs.weight divides the frequencies of full layers: by 1, or by so much that they are 0. */
static gx_status rotated_part(double *out, const gx_checkpoint *checkpoint, gx_error *error)
{
    const gx_tensor *divisors = gx_checkpoint_find(checkpoint, "rope_freqs.weight");
    *out = 1;
    if (!divisors || !gx_checkpoint_has_payload(checkpoint))
        return GX_OK;
    uint64_t nbytes = 0, rotated = 0;
    GX_TRY(gx_tensor_rows_nbytes(divisors, 1, &nbytes, error));
    if (divisors->rank != 1 || divisors->elements > UINT16_MAX)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: 'rope_freqs.weight' is no short vector", gx_checkpoint_path(checkpoint));
    void *raw = gx_alloc(nbytes, 1);
    float *values = gx_alloc(divisors->elements, sizeof *values);
    gx_status status = raw && values ? gx_checkpoint_read_rows(checkpoint, divisors, 0, 1, raw, values, error) : gx_fail_memory(error);
    while (status == GX_OK && rotated < divisors->elements && values[rotated] == 1)
        rotated++;
    for (uint64_t i = rotated; status == GX_OK && i < divisors->elements; i++)
        if (!(values[i] >= 1e20f))
            status = gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: 'rope_freqs.weight' divides by %g, expected 1, then 1e30", gx_checkpoint_path(checkpoint), (double)values[i]);
    *out = (double)rotated / (double)divisors->elements;
    gx_free(values);
    gx_free(raw);
    return status;
}

static gx_status add_gguf_rope(yyjson_mut_doc *doc, yyjson_mut_val *root, const gx_checkpoint *checkpoint, gx_error *error)
{
    double part = 1;
    GX_TRY(rotated_part(&part, checkpoint, error));
    const double theta = yyjson_mut_get_num(yyjson_mut_obj_get(root, "rope_theta")), local = yyjson_mut_get_num(yyjson_mut_obj_get(root, "rope_local_base_freq"));
    yyjson_mut_obj_remove_key(root, "rope_theta");
    yyjson_mut_obj_remove_key(root, "rope_local_base_freq");
    yyjson_mut_obj_remove_key(root, "rope_scaling");
    yyjson_mut_val *parameters = yyjson_mut_obj_add_obj(doc, root, "rope_parameters");
    yyjson_mut_val *full = yyjson_mut_obj_add_obj(doc, parameters, "full_attention"), *sliding = yyjson_mut_obj_add_obj(doc, parameters, "sliding_attention");
    yyjson_mut_obj_add_str(doc, full, "rope_type", "proportional");
    yyjson_mut_obj_add_real(doc, full, "partial_rotary_factor", part);
    yyjson_mut_obj_add_real(doc, full, "rope_theta", theta);
    yyjson_mut_obj_add_str(doc, sliding, "rope_type", "default");
    yyjson_mut_obj_add_real(doc, sliding, "rope_theta", local);
    return GX_OK;
}

static gx_status add_gguf_experts(yyjson_mut_doc *doc, yyjson_mut_val *root, const gx_checkpoint *checkpoint, const gx_family *family, gx_error *error)
{
    uint64_t experts = 0;
    GX_TRY(gx_gguf_get_optional_u64(&experts, checkpoint, family, "expert_count", error));
    yyjson_mut_obj_add_bool(doc, root, "enable_moe_block", experts != 0);
    if (experts == 0)
        return GX_OK;
    yyjson_mut_obj_add_uint(doc, root, "num_experts", experts);
    GX_TRY(gx_gguf_add_number(doc, root, "top_k_experts", checkpoint, family, "expert_used_count", error));
    return gx_gguf_add_number(doc, root, "moe_intermediate_size", checkpoint, family, "expert_feed_forward_length", error);
}

static gx_status add_gguf_config(yyjson_mut_doc *doc, yyjson_mut_val *root, const gx_checkpoint *checkpoint, const gx_family *family, gx_error *error)
{
    uint64_t layers = 0, shared = 0, inputs = 0, first = 0, last = 0;
    GX_TRY(gx_gguf_get_u64(&layers, checkpoint, family, "block_count", error));
    GX_TRY(add_gguf_heads(doc, root, checkpoint, family, layers, error));
    GX_TRY(add_gguf_rope(doc, root, checkpoint, error));
    GX_TRY(gx_gguf_get_optional_u64(&shared, checkpoint, family, "attention.shared_kv_layers", error));
    GX_TRY(gx_gguf_get_optional_u64(&inputs, checkpoint, family, "embedding_length_per_layer_input", error));
    yyjson_mut_obj_add_uint(doc, root, "num_kv_shared_layers", shared);
    yyjson_mut_obj_add_uint(doc, root, "hidden_size_per_layer_input", inputs);
    gx_gguf_add_rows(doc, root, "vocab_size_per_layer_input", checkpoint, "per_layer_token_embd.weight");
    GX_TRY(gx_gguf_get_layer_u64(&first, checkpoint, family, "feed_forward_length", 0, error));
    GX_TRY(gx_gguf_get_layer_u64(&last, checkpoint, family, "feed_forward_length", layers - 1, error));
    yyjson_mut_obj_add_bool(doc, root, "use_double_wide_mlp", shared != 0 && last == 2 * first);
    return add_gguf_experts(doc, root, checkpoint, family, error);
}

/* What the classes of both packages share. */
#define DEFAULTS                                                                                                           \
    .vocab_size = 262144, .hidden_size = 2304, .intermediate_size = 9216, .num_hidden_layers = 30,                         \
    .num_attention_heads = 8, .num_key_value_heads = 4, .head_dim = 256, .rms_norm_eps = 1e-6, .rope_theta = 1000000.0,    \
    .rope_local_base_freq = 10000.0, .full_partial_rotary_factor = 0.25, .rope_parameters_only = true,                     \
    .sliding_window_pattern = 6, .last_layer_full = true, .unscaled_attention = true, .final_softcap = {.honoured = true}

static const char *const architectures[] = {"Gemma4ForCausalLM", "Gemma4ForConditionalGeneration", NULL};
static const char *const model_types[] = {"gemma4_text", NULL};

const gx_family gx_family_gemma4 = {
    .name = "gemma4",
    .architectures = architectures,
    .model_types = model_types,
    .package_model_type = "gemma4",
    .text_model_type = "gemma4_text",
    .text_architecture = "Gemma4ForCausalLM",
    .apart = {"gemma4", "Gemma4ForConditionalGeneration"},
    .genai_model_type = "gemma4_text",
    .gguf_architecture = "gemma4",
    .gguf_tokenizer = "gemma4",
    .defaults = {DEFAULTS, .max_position_embeddings = 131072, .sliding_window = 512, .hidden_size_per_layer_input = 256, .vocab_size_per_layer_input = 262144},
    .read_config = read_config,
    .add_gguf_config = add_gguf_config,
    .normalizes_values = true,
    .tensors = tensors,
    .tensor_count = sizeof tensors / sizeof *tensors,
};

/* The 12B: the same decoder in a package without towers, whose class has no inputs for layers and no experts. */
static const char *const unified_architectures[] = {"Gemma4UnifiedForConditionalGeneration", NULL};
static const char *const unified_model_types[] = {"gemma4_unified_text", NULL};

const gx_family gx_family_gemma4_unified = {
    .name = "gemma4_unified",
    .architectures = unified_architectures,
    .model_types = unified_model_types,
    .package_model_type = "gemma4_unified",
    .text_model_type = "gemma4_unified_text",
    .text_architecture = "Gemma4UnifiedForCausalLM",
    .apart = {"gemma4", "Gemma4ForConditionalGeneration"}, /* of which Transformers.js knows no unified one */
    .genai_model_type = "gemma4_text",
    .defaults = {DEFAULTS, .max_position_embeddings = 262144, .sliding_window = 1024},
    .read_config = read_config,
    .normalizes_values = true,
    .tensors = tensors,
    .tensor_count = sizeof tensors / sizeof *tensors,
};
