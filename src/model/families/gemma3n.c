/*
 * Gemma 3n (E2B, E4B): several residual streams (AltUp), a low-rank branch beside attention (LAuReL), inputs for each layer, shared caches, and MLPs
 * in which only the largest gates count. No scale on scores, norms whose factor is the weight itself, values normed without one.
 */
#include <math.h>
#include <string.h>

#include "model/config_parts.h"
#include "model/families/rows.h"
#include "model/gguf_keys.h"

#define SHARED_LAYERS 15
#define SPARSE_LAYERS 10 /* where the config says nothing, the first ones, if there are more */
#define SPARSITY 0.95

static const gx_tensor_row tensors[] = {
    GX_ROWS_OUTSIDE_LAYERS,
    GX_ROW_INPUT_NORM,
    GX_ROWS_ATTENTION,
    GX_ROWS_HEAD_NORMS,
    GX_ROW_PRE_FEEDFORWARD_NORM("pre_feedforward_layernorm"),
    GX_ROWS_POST_NORMS,
    GX_ROWS_MLP,
    GX_ROWS_PER_LAYER_INPUTS,
    GX_MATRIX_WHEN(GX_PER_STREAM, GX_ROLE_STREAM_IN, GX_DIM_HIDDEN, GX_DIM_HIDDEN, "altup_projections.%u.weight", "altup_proj.weight"),
    GX_MATRIX_WHEN(GX_PER_STREAM, GX_ROLE_STREAM_OUT, GX_DIM_HIDDEN, GX_DIM_HIDDEN, "altup_unembed_projections.%u.weight", "altup_unembd_proj.weight"),
    GX_MATRIX(GX_ROLE_LAUREL_LEFT, GX_DIM_LAUREL, GX_DIM_HIDDEN, "layers.%u.laurel.linear_left.weight", "blk.%u.laurel_l.weight"),
    GX_MATRIX(GX_ROLE_LAUREL_RIGHT, GX_DIM_HIDDEN, GX_DIM_LAUREL, "layers.%u.laurel.linear_right.weight", "blk.%u.laurel_r.weight"),
    GX_VECTOR(GX_ROLE_POST_LAUREL_NORM, GX_DIM_HIDDEN, "layers.%u.laurel.post_laurel_norm.weight", "blk.%u.laurel_post_norm.weight"),
    GX_VECTOR(GX_ROLE_ALTUP_ROUTER_NORM, GX_DIM_HIDDEN, "layers.%u.altup.router_norm.weight", "blk.%u.altup_router_norm.weight"),
    GX_MATRIX(GX_ROLE_ALTUP_ROUTER, GX_DIM_STREAMS, GX_DIM_HIDDEN, "layers.%u.altup.modality_router.weight", "blk.%u.altup_router.weight"),
    GX_MATRIX(GX_ROLE_ALTUP_PREDICTION, GX_DIM_STREAM_PAIRS, GX_DIM_STREAMS, "layers.%u.altup.prediction_coefs.weight", "blk.%u.altup_predict_coef.weight"),
    GX_MATRIX(GX_ROLE_ALTUP_CORRECTION, GX_DIM_STREAMS, GX_DIM_STREAMS, "layers.%u.altup.correction_coefs.weight", "blk.%u.altup_correct_coef.weight"),
    GX_VECTOR(GX_ROLE_ALTUP_CORRECT_SCALE, GX_DIM_HIDDEN, "layers.%u.altup.correct_output_scale", "blk.%u.altup_correct_scale.weight"),
};

/* Where the standard normal distribution has the part p below it: the root of erfc(-z / sqrt(2)) = 2 p, by bisection. */
static double quantile(double p)
{
    double low = -40, high = 40;
    for (int i = 0; i < 200; i++) {
        const double middle = (low + high) / 2;
        if (erfc(-middle * M_SQRT1_2) < 2 * p)
            low = middle;
        else
            high = middle;
    }
    return (low + high) / 2;
}

static gx_status check_list(const gx_model *model, const gx_config_source *source, const char *key, yyjson_val *list, gx_error *error)
{
    if (yyjson_arr_size(list) == model->num_hidden_layers)
        return GX_OK;
    return gx_fail(error, GX_ERROR_FORMAT, "%s: %s has %zu entries, num_hidden_layers is %u", source->name, key, yyjson_arr_size(list), model->num_hidden_layers);
}

static gx_status read_widths(gx_model *model, const gx_config_source *source, gx_error *error)
{
    yyjson_val *list = yyjson_obj_get(source->text, "intermediate_size");
    if (!yyjson_is_arr(list))
        return GX_OK;
    GX_TRY(check_list(model, source, "intermediate_size", list, error));
    for (uint32_t n = 0; n < model->num_hidden_layers; n++) {
        const uint64_t width = yyjson_get_uint(yyjson_arr_get(list, n));
        if (width == 0 || width > GX_MAX_INTERMEDIATE_SIZE)
            return gx_fail(error, GX_ERROR_FORMAT, "%s: intermediate_size of layer %u is not 1 … %u", source->name, n, GX_MAX_INTERMEDIATE_SIZE);
        model->layers[n].intermediate_size = (uint32_t)width;
    }
    return GX_OK;
}

static gx_status read_sparsity(gx_model *model, const gx_config_source *source, gx_error *error)
{
    static const char key[] = "activation_sparsity_pattern";
    yyjson_val *list = yyjson_obj_get(source->text, key);
    const bool given = list && !yyjson_is_null(list);
    if (given)
        GX_TRY(check_list(model, source, key, list, error));
    for (uint32_t n = 0; n < model->num_hidden_layers; n++) {
        const bool usual = model->num_hidden_layers > SPARSE_LAYERS && n < SPARSE_LAYERS;
        const double part = given ? yyjson_get_num(yyjson_arr_get(list, n)) : usual ? SPARSITY : 0;
        if (!(part >= 0) || part >= 1)
            return gx_fail(error, GX_ERROR_FORMAT, "%s: %s of layer %u is %g, expected 0 … 1", source->name, key, n, part);
        model->layers[n].sparse_gate = part > 0;
        model->layers[n].gate_cutoff = part > 0 ? quantile(part) : 0;
    }
    return GX_OK;
}

static gx_status read_altup(gx_model *model, const gx_config_source *source, gx_error *error)
{
    gx_altup *altup = &model->altup;
    uint64_t active = 0;
    GX_TRY(gx_config_size(source, "altup_num_inputs", 4, GX_MAX_STREAMS, &altup->streams, error));
    GX_TRY(gx_json_get_u64(source->text, source->name, "altup_active_idx", &active, error));
    if (active >= altup->streams)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: altup_active_idx is %llu, altup_num_inputs %u", source->name, (unsigned long long)active, altup->streams);
    altup->active = (uint32_t)active;
    altup->correct_scale = true;
    GX_TRY(gx_json_get_bool(source->text, source->name, "altup_correct_scale", &altup->correct_scale, error));
    return gx_config_size(source, "laurel_rank", 64, 1u << 16, &altup->laurel_rank, error);
}

static gx_status read_config(gx_model *model, const gx_config_source *source, gx_error *error)
{
    GX_TRY(read_widths(model, source, error));
    GX_TRY(read_sparsity(model, source, error));
    GX_TRY(read_altup(model, source, error));
    GX_TRY(gx_config_share_caches(model, source, "num_kv_shared_layers", SHARED_LAYERS, error));
    return gx_config_read_per_layer_inputs(model, source, error);
}

/* ---- GGUF ---- */

/* A GGUF has the quantiles; a layer whose gates all count has minus infinity. */
static gx_status add_gguf_sparsity(yyjson_mut_doc *doc, yyjson_mut_val *root, const gx_checkpoint *checkpoint, const gx_family *family, uint64_t layers, gx_error *error)
{
    const gx_gguf_value *scales = gx_gguf_find(checkpoint, family, "activation_sparsity_scale");
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, root, "activation_sparsity_pattern");
    if (scales && (scales->kind != GX_GGUF_ARRAY || scales->element_kind != GX_GGUF_FLOAT || scales->count != layers))
        return gx_fail(error, GX_ERROR_FORMAT, "%s: gemma3n.activation_sparsity_scale is no list of a number for each layer", gx_checkpoint_path(checkpoint));
    for (uint64_t n = 0; n < layers; n++)
        yyjson_mut_arr_add_real(doc, list, scales && isfinite(scales->array.f[n]) ? erfc(-scales->array.f[n] * M_SQRT1_2) / 2 : 0);
    return GX_OK;
}

static gx_status add_gguf_config(yyjson_mut_doc *doc, yyjson_mut_val *root, const gx_checkpoint *checkpoint, const gx_family *family, gx_error *error)
{
    uint64_t layers = 0, width = 0;
    GX_TRY(gx_gguf_get_u64(&layers, checkpoint, family, "block_count", error));
    yyjson_mut_obj_remove_key(root, "intermediate_size");
    yyjson_mut_val *widths = yyjson_mut_obj_add_arr(doc, root, "intermediate_size");
    for (uint64_t n = 0; n < layers; n++) {
        GX_TRY(gx_gguf_get_layer_u64(&width, checkpoint, family, "feed_forward_length", n, error));
        yyjson_mut_arr_add_uint(doc, widths, width);
    }
    GX_TRY(gx_gguf_add_number(doc, root, "altup_num_inputs", checkpoint, family, "altup.num_inputs", error));
    GX_TRY(gx_gguf_add_number(doc, root, "altup_active_idx", checkpoint, family, "altup.active_idx", error));
    GX_TRY(gx_gguf_add_number(doc, root, "num_kv_shared_layers", checkpoint, family, "attention.shared_kv_layers", error));
    GX_TRY(gx_gguf_add_number(doc, root, "hidden_size_per_layer_input", checkpoint, family, "embedding_length_per_layer_input", error));
    gx_gguf_add_rows(doc, root, "vocab_size_per_layer_input", checkpoint, "per_layer_token_embd.weight");
    gx_gguf_add_rows(doc, root, "laurel_rank", checkpoint, "blk.0.laurel_l.weight");
    return add_gguf_sparsity(doc, root, checkpoint, family, layers, error);
}

static const char *const architectures[] = {"Gemma3nForCausalLM", "Gemma3nForConditionalGeneration", NULL};
static const char *const model_types[] = {"gemma3n_text", NULL};

const gx_family gx_family_gemma3n = {
    .name = "gemma3n",
    .architectures = architectures,
    .model_types = model_types,
    .package_model_type = "gemma3n",
    .text_model_type = "gemma3n_text",
    .text_architecture = "Gemma3nForCausalLM",
    .apart = {"gemma3n", "Gemma3nForConditionalGeneration"},
    .genai_model_type = "decoder",
    .gguf_architecture = "gemma3n",
    .defaults = {.vocab_size = 262400,
                 .hidden_size = 2048,
                 .intermediate_size = 16384,
                 .num_hidden_layers = 35,
                 .num_attention_heads = 8,
                 .num_key_value_heads = 2,
                 .head_dim = 256,
                 .max_position_embeddings = 32768,
                 .rms_norm_eps = 1e-6,
                 .rope_theta = 1000000.0,
                 .rope_local_base_freq = 10000.0,
                 .sliding_window = 512,
                 .sliding_window_pattern = 5,
                 .unscaled_attention = true,
                 .hidden_size_per_layer_input = 256,
                 .vocab_size_per_layer_input = 262144,
                 .final_softcap = {.value = 30, .honoured = true}},
    .read_config = read_config,
    .add_gguf_config = add_gguf_config,
    .normalizes_values = true,
    .tensors = tensors,
    .tensor_count = sizeof tensors / sizeof *tensors,
};
