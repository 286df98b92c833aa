/* Walks the layers as the stream does: read, add, read, add. */
#include "pipeline/residual_scale.h"
#include "pipeline/stream_importance.h"
#include "quant/importance.h"

typedef struct walk {
    gx_arena *arena;
    const gx_model *model;
    double *stream; /* [hidden_size] */
    float *norm;    /* [hidden_size] */
} walk;

static gx_status read_through(gx_stream_reader *out, walk *w, const gx_weight *norm, bool balanced, gx_error *error)
{
    const uint64_t channels = w->model->hidden_size;
    float *importance = GX_NEW_ARRAY(w->arena, float, channels), *balance = NULL, *inverse = NULL;
    if (balanced) {
        balance = GX_NEW_ARRAY(w->arena, float, channels);
        inverse = GX_NEW_ARRAY(w->arena, float, channels);
    }
    if (!importance || (balanced && (!balance || !inverse)))
        return gx_fail_memory(error);
    GX_TRY(gx_weight_read_vector(w->model, norm, w->norm, error));
    gx_importance_read(importance, w->stream, w->norm, channels);
    if (balanced)
        gx_importance_balance(importance, balance, inverse, channels);
    *out = (gx_stream_reader){importance, balance, inverse};
    return GX_OK;
}

static gx_status add_through(walk *w, const gx_weight *norm, gx_error *error)
{
    GX_TRY(gx_weight_read_vector(w->model, norm, w->norm, error));
    gx_importance_add(w->stream, w->norm, w->model->hidden_size);
    return GX_OK;
}

static gx_status walk_layers(gx_decoder_importance *out, walk *w, gx_error *error)
{
    gx_importance_start(w->stream, w->model->hidden_size);
    for (uint32_t n = 0; n < w->model->num_hidden_layers; n++) {
        const gx_weight *weights = w->model->layers[n].weights;
        GX_TRY(read_through(&out->qkv[n], w, &weights[GX_ROLE_INPUT_NORM], true, error));
        GX_TRY(add_through(w, &weights[GX_ROLE_POST_ATTENTION_NORM], error));
        GX_TRY(read_through(&out->gate_up[n], w, &weights[GX_ROLE_PRE_FEEDFORWARD_NORM], true, error));
        GX_TRY(add_through(w, &weights[GX_ROLE_POST_FEEDFORWARD_NORM], error));
        if (weights[GX_ROLE_POST_PER_LAYER_INPUT_NORM].tensor)
            GX_TRY(add_through(w, &weights[GX_ROLE_POST_PER_LAYER_INPUT_NORM], error));
        double factor = 1;
        GX_TRY(gx_layer_read_scalar(&factor, w->model, &w->model->layers[n], error));
        for (uint32_t k = 0; k < w->model->hidden_size; k++)
            w->stream[k] *= factor * factor;
    }
    return read_through(&out->head, w, &w->model->weights[GX_ROLE_FINAL_NORM], false, error);
}

gx_status gx_stream_importance(const gx_decoder_importance **out, gx_arena *arena, const gx_model *model, gx_error *error)
{
    *out = NULL;
    if (!gx_residual_is_bounded(model)) /* some branch ends without a norm */
        return GX_OK;
    gx_decoder_importance *importance = GX_NEW(arena, gx_decoder_importance);
    walk w = {.arena = arena,
              .model = model,
              .stream = GX_NEW_ARRAY(arena, double, model->hidden_size),
              .norm = GX_NEW_ARRAY(arena, float, model->hidden_size)};
    if (!importance || !w.stream || !w.norm)
        return gx_fail_memory(error);
    importance->qkv = GX_NEW_ARRAY(arena, gx_stream_reader, model->num_hidden_layers);
    importance->gate_up = GX_NEW_ARRAY(arena, gx_stream_reader, model->num_hidden_layers);
    if (!importance->qkv || !importance->gate_up)
        return gx_fail_memory(error);
    GX_TRY(walk_layers(importance, &w, error));
    *out = importance;
    return GX_OK;
}
