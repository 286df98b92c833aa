/* Ways for a model to be wrong in one place, as converters have been: each must be noticed by the golden vectors of its family. */
#ifndef TESTS_SUPPORT_MUTATIONS_H
#define TESTS_SUPPORT_MUTATIONS_H

#include <math.h>

#include "model/family.h"
#include "support/tiny_models.h"

/* Each changes the model, and returns false where it has no such place. */

#define PROMPT_IDS 23 /* of every golden prompt: a longer window is none */

static gx_layer *first_sliding(gx_model *model)
{
    for (uint32_t n = 0; n < model->num_hidden_layers; n++)
        if (model->layers[n].sliding_window && model->layers[n].sliding_window < PROMPT_IDS)
            return &model->layers[n];
    return NULL;
}

static bool wider_window(gx_model *model)
{
    gx_layer *layer = first_sliding(model);
    return layer && ++layer->sliding_window;
}

static bool narrower_window(gx_model *model)
{
    gx_layer *layer = first_sliding(model);
    return layer && layer->sliding_window--;
}

static bool no_window(gx_model *model)
{
    gx_layer *layer = first_sliding(model);
    if (layer)
        layer->sliding_window = 0;
    return layer != NULL;
}

/* The layers that slide do not, and the reverse. */
static bool other_parity(gx_model *model)
{
    const gx_layer *layer = first_sliding(model);
    const uint64_t window = layer ? layer->sliding_window : 0;
    for (uint32_t n = 0; window && n < model->num_hidden_layers; n++)
        model->layers[n].sliding_window = model->layers[n].sliding_window ? 0 : window;
    return window != 0;
}

static bool no_attention_softcap(gx_model *model)
{
    const bool found = model->layers[0].attention_softcap != 0;
    return model->layers[0].attention_softcap = 0, found;
}

static bool attention_softcap_slightly_off(gx_model *model)
{
    const bool found = model->layers[0].attention_softcap != 0;
    return model->layers[0].attention_softcap *= 1.1, found;
}

static bool rope_factor_dropped(gx_model *model)
{
    bool found = false;
    for (uint32_t n = 0; n < model->num_hidden_layers; n++) {
        found = found || model->layers[n].rope.factor != 1;
        model->layers[n].rope.factor = 1;
    }
    return found;
}

/* The factor on the layers that must not have it. */
static bool rope_factor_everywhere(gx_model *model)
{
    double factor = 1;
    bool found = false;
    for (uint32_t n = 0; n < model->num_hidden_layers; n++)
        factor = fmax(factor, model->layers[n].rope.factor);
    for (uint32_t n = 0; n < model->num_hidden_layers; n++) {
        found = found || model->layers[n].rope.factor != factor;
        model->layers[n].rope.factor = factor;
    }
    return found;
}

static bool one_theta_for_all(gx_model *model)
{
    bool found = false;
    for (uint32_t n = 1; n < model->num_hidden_layers; n++) {
        found = found || model->layers[n].rope.theta != model->layers[0].rope.theta;
        model->layers[n].rope.theta = model->layers[0].rope.theta;
    }
    return found;
}

static bool theta_slightly_off(gx_model *model)
{
    return model->layers[0].rope.theta *= 1.1, true;
}

static bool scale_slightly_off(gx_model *model)
{
    return model->layers[0].attention_scale *= 1.01, true;
}

static bool scale_from_head_dim(gx_model *model)
{
    bool found = false;
    for (uint32_t n = 0; n < model->num_hidden_layers; n++) {
        const double usual = 1 / sqrt((double)model->layers[n].head_dim);
        found = found || fabs(model->layers[n].attention_scale / usual - 1) > 1e-6;
        model->layers[n].attention_scale = usual;
    }
    return found;
}

static bool other_activation(gx_model *model)
{
    const bool tanh_form = model->activation == GX_ACTIVATION_GELU_TANH;
    return model->activation = tanh_form ? GX_ACTIVATION_GELU_ERF : GX_ACTIVATION_GELU_TANH, true;
}

static bool no_softcap(gx_model *model)
{
    const bool found = model->final_logit_softcapping > 0;
    return model->final_logit_softcapping = 0, found;
}

/* sqrt(hidden_size) rounded to two decimals, a mistake that was really made. */
static bool rounded_multiplier(gx_model *model)
{
    const double rounded = round(model->embedding_multiplier * 100) / 100;
    const bool found = fabs(rounded / model->embedding_multiplier - 1) > 1e-5;
    return model->embedding_multiplier = rounded, found;
}

static bool usual_epsilon(gx_model *model)
{
    const bool found = model->rms_norm_eps > 1e-4;
    return model->rms_norm_eps = 1e-6, found;
}

static bool drop_weight(gx_model *model, gx_role role)
{
    gx_weight *weight = &model->layers[model->num_hidden_layers - 1].weights[role];
    const bool found = weight->tensor;
    return *weight = (gx_weight){0}, found;
}

static bool no_q_norm(gx_model *model)
{
    return drop_weight(model, GX_ROLE_Q_NORM);
}

static bool no_k_norm(gx_model *model)
{
    return drop_weight(model, GX_ROLE_K_NORM);
}

static bool no_post_attention_norm(gx_model *model)
{
    return drop_weight(model, GX_ROLE_POST_ATTENTION_NORM);
}

static bool no_post_feedforward_norm(gx_model *model)
{
    return drop_weight(model, GX_ROLE_POST_FEEDFORWARD_NORM);
}

static bool norm_factor_without_one(gx_model *model)
{
    gx_weight *weight = &model->layers[0].weights[GX_ROLE_INPUT_NORM];
    const bool found = weight->add != 0;
    return weight->add = 0, found;
}

static bool fewer_layers(gx_model *model)
{
    return --model->num_hidden_layers > 0;
}

static bool gate_and_up_exchanged(gx_model *model)
{
    gx_weight *weights = model->layers[0].weights;
    const gx_weight gate = weights[GX_ROLE_GATE_PROJ];
    weights[GX_ROLE_GATE_PROJ] = weights[GX_ROLE_UP_PROJ];
    return weights[GX_ROLE_UP_PROJ] = gate, true;
}

static bool head_from_embedding(gx_model *model)
{
    const bool found = model->weights[GX_ROLE_LM_HEAD].tensor != model->weights[GX_ROLE_EMBEDDING].tensor;
    return model->weights[GX_ROLE_LM_HEAD] = model->weights[GX_ROLE_EMBEDDING], found;
}

/* Where plain weights are the factor. */
static bool norm_factor_with_one(gx_model *model)
{
    gx_weight *weight = &model->layers[0].weights[GX_ROLE_INPUT_NORM];
    const bool found = weight->add == 0 && model->family->norm_add == 0;
    return weight->add = 1, found;
}

static bool no_value_norm(gx_model *model)
{
    const bool found = model->layers[0].normalizes_values;
    return model->layers[0].normalizes_values = false, found;
}

/* Of the first layer: behind the last one stands a norm. */
static bool no_layer_scalar(gx_model *model)
{
    gx_weight *weight = &model->layers[0].weights[GX_ROLE_LAYER_SCALAR];
    const bool found = weight->tensor;
    return *weight = (gx_weight){0}, found;
}

static bool all_pairs_rotate(gx_model *model)
{
    bool found = false;
    for (uint32_t n = 0; n < model->num_hidden_layers; n++) {
        found = found || model->layers[n].rope.rotated_part < 1;
        model->layers[n].rope.rotated_part = 1;
    }
    return found;
}

/* Caches of the layer before the right one of its kind. */
static bool other_cache(gx_model *model)
{
    gx_layer *last = &model->layers[model->num_hidden_layers - 1];
    for (uint32_t n = last->cache_layer; last->cache_layer + 1 != model->num_hidden_layers && n-- > 0;)
        if (model->layers[n].slides == last->slides && model->layers[n].head_dim == last->head_dim)
            return last->cache_layer = n, true;
    return false;
}

static bool one_expert_less(gx_model *model)
{
    const bool found = model->layers[0].top_k_experts > 1;
    return model->layers[0].top_k_experts -= found, found;
}

static bool no_experts(gx_model *model)
{
    const bool found = model->layers[0].num_experts != 0;
    return model->layers[0].num_experts = 0, found;
}

static bool router_scale_from_norm(gx_model *model)
{
    gx_weight *weights = model->layers[0].weights;
    const bool found = weights[GX_ROLE_ROUTER_SCALE].tensor;
    return weights[GX_ROLE_ROUTER_SCALE] = weights[GX_ROLE_PRE_EXPERTS_NORM], found;
}

static bool no_layer_inputs(gx_model *model)
{
    const bool found = model->hidden_size_per_layer_input != 0;
    return model->hidden_size_per_layer_input = 0, found;
}

/* Every id in reach has the input of id 0. */
static bool one_layer_input_for_all(gx_model *model)
{
    const bool found = model->hidden_size_per_layer_input != 0;
    return model->vocab_size_per_layer_input = 0, found;
}

static bool dense_gates(gx_model *model)
{
    bool found = false;
    for (uint32_t n = 0; n < model->num_hidden_layers; n++) {
        found = found || model->layers[n].sparse_gate;
        model->layers[n].sparse_gate = false;
    }
    return found;
}

static bool gate_cutoff_slightly_off(gx_model *model)
{
    bool found = false;
    for (uint32_t n = 0; n < model->num_hidden_layers; n++) {
        found = found || model->layers[n].sparse_gate;
        model->layers[n].gate_cutoff += 0.05;
    }
    return found;
}

static bool other_active_stream(gx_model *model)
{
    const bool found = model->altup.streams > 1;
    return model->altup.active = model->altup.active == 0, found;
}

static bool other_correct_scale(gx_model *model)
{
    const bool found = model->altup.streams != 0 && model->hidden_size_per_layer_input != 0;
    return model->altup.correct_scale = !model->altup.correct_scale, found;
}

static bool streams_exchanged(gx_model *model)
{
    const bool found = model->altup.streams > 2;
    const gx_weight first = model->altup.out[0];
    model->altup.out[0] = model->altup.out[1];
    return model->altup.out[1] = first, found;
}

static bool no_laurel(gx_model *model)
{
    return drop_weight(model, GX_ROLE_LAUREL_LEFT);
}

typedef struct mutation {
    const char *name;
    bool (*apply)(gx_model *model);
} mutation;

static const mutation mutations[] = {
    {"a window wider by one", wider_window},
    {"a window narrower by one", narrower_window},
    {"no window", no_window},
    {"windows on the other layers", other_parity},
    {"no attention softcap", no_attention_softcap},
    {"an attention softcap slightly off", attention_softcap_slightly_off},
    {"rope factor dropped", rope_factor_dropped},
    {"rope factor on all layers", rope_factor_everywhere},
    {"one theta for all layers", one_theta_for_all},
    {"theta slightly off", theta_slightly_off},
    {"attention scale slightly off", scale_slightly_off},
    {"attention scale from head_dim", scale_from_head_dim},
    {"the other gelu", other_activation},
    {"no softcap", no_softcap},
    {"rounded multiplier", rounded_multiplier},
    {"the usual epsilon", usual_epsilon},
    {"no query norm", no_q_norm},
    {"no key norm", no_k_norm},
    {"no post-attention norm", no_post_attention_norm},
    {"no post-feedforward norm", no_post_feedforward_norm},
    {"norm factor without its one", norm_factor_without_one},
    {"a layer less", fewer_layers},
    {"gate and up exchanged", gate_and_up_exchanged},
    {"head from the embedding", head_from_embedding},
    {"norm factor with a one too many", norm_factor_with_one},
    {"no value norm", no_value_norm},
    {"no layer scalar", no_layer_scalar},
    {"all pairs rotated", all_pairs_rotate},
    {"another layer's caches", other_cache},
    {"an expert less", one_expert_less},
    {"no experts", no_experts},
    {"another router scale", router_scale_from_norm},
    {"no inputs of layers", no_layer_inputs},
    {"one input of layers for all ids", one_layer_input_for_all},
    {"dense gates", dense_gates},
    {"a gate cutoff slightly off", gate_cutoff_slightly_off},
    {"another active stream", other_active_stream},
    {"the other correct scale", other_correct_scale},
    {"two streams exchanged", streams_exchanged},
    {"no low-rank branch", no_laurel},
};

#define MUTATIONS (sizeof mutations / sizeof *mutations)

/* The largest difference of the logits of the golden prompt from those that Transformers gave; infinite when there are none. */
typedef double (*mutation_judge)(const tiny_model *tiny, const gx_model *mutated, const char *name);

typedef struct mutation_run {
    mutation_judge judge;
    bool applied[MUTATIONS];
} mutation_run;

static void apply_mutations(const tiny_model *tiny, void *context)
{
    mutation_run *run = context;
    for (size_t i = 0; i < MUTATIONS; i++) {
        gx_model model = *tiny->model;
        model.layers = gx_alloc(model.num_hidden_layers, sizeof *model.layers);
        assert_non_null(model.layers);
        memcpy(model.layers, tiny->model->layers, model.num_hidden_layers * sizeof *model.layers);
        if (mutations[i].apply(&model)) {
            const double worst = run->judge(tiny, &model, mutations[i].name);
            if (worst <= tiny->bound)
                fail_msg("%s with %s passes: off by %g, allowed %g", tiny->name, mutations[i].name, worst, tiny->bound);
            run->applied[i] = true;
        }
        gx_free(model.layers);
    }
}

/* Every mutation on every tiny checkpoint that can have it; none may find no checkpoint. */
static void mutations_are_noticed(mutation_judge judge)
{
    mutation_run run = {.judge = judge};
    tiny_for_each(apply_mutations, &run);
    for (size_t i = 0; i < MUTATIONS; i++)
        if (!run.applied[i])
            fail_msg("no tiny checkpoint can have %s", mutations[i].name);
}

#endif
