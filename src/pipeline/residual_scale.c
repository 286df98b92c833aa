/* The bound, coordinate by coordinate. No forward pass: the result depends on the checkpoint alone. */
#include <math.h>

#include "pipeline/residual_scale.h"

#define LARGEST_FP16 65504.0
#define SMALLEST_SCALE 0x1p-14

/* Branches end in these, in this order; the last one only where layers have inputs of their own. */
static const gx_role post_norms[] = {GX_ROLE_POST_ATTENTION_NORM, GX_ROLE_POST_FEEDFORWARD_NORM, GX_ROLE_POST_PER_LAYER_INPUT_NORM};
#define ALWAYS_THERE 2u

/* With several streams a router says what they become. */
bool gx_residual_is_bounded(const gx_model *model)
{
    if (model->altup.streams)
        return false;
    for (uint32_t n = 0; n < model->num_hidden_layers; n++)
        for (size_t i = 0; i < ALWAYS_THERE; i++)
            if (!model->layers[n].weights[post_norms[i]].tensor)
                return false;
    return true;
}

/* The largest bound goes to *largest. */
static gx_status add_branch(double *bounds, double *largest, float *vector, const gx_model *model, const gx_weight *post_norm, gx_error *error)
{
    const double reach = sqrt((double)model->hidden_size);
    GX_TRY(gx_weight_read_vector(model, post_norm, vector, error));
    for (uint32_t k = 0; k < model->hidden_size; k++) {
        bounds[k] += reach * fabs((double)vector[k]);
        if (!isfinite(bounds[k]))
            return gx_fail(error, GX_ERROR_UNSUPPORTED, "the post-norm weights hold NaN or infinity in channel %u; use fp32", k);
        *largest = fmax(*largest, bounds[k]);
    }
    return GX_OK;
}

static gx_status add_layer(double *bounds, double *largest, float *vector, const gx_model *model, const gx_layer *layer, gx_error *error)
{
    for (size_t i = 0; i < sizeof post_norms / sizeof *post_norms; i++)
        if (layer->weights[post_norms[i]].tensor)
            GX_TRY(add_branch(bounds, largest, vector, model, &layer->weights[post_norms[i]], error));
    double factor = 1;
    GX_TRY(gx_layer_read_scalar(&factor, model, layer, error));
    for (uint32_t k = 0; k < model->hidden_size; k++) {
        bounds[k] *= fabs(factor);
        *largest = fmax(*largest, bounds[k]);
    }
    return GX_OK;
}

/* Of the stream at any place. */
static gx_status largest_bound(double *out, double *bounds, float *vector, const gx_model *model, gx_error *error)
{
    *out = GX_RESIDUAL_EMBEDDING_LIMIT;
    for (uint32_t k = 0; k < model->hidden_size; k++)
        bounds[k] = GX_RESIDUAL_EMBEDDING_LIMIT;
    for (uint32_t n = 0; n < model->num_hidden_layers; n++)
        GX_TRY(add_layer(bounds, out, vector, model, &model->layers[n], error));
    return GX_OK;
}

gx_status gx_residual_scale(double *out, const gx_model *model, gx_error *error)
{
    *out = 1;
    if (!gx_residual_is_bounded(model))
        return GX_OK;
    double bound = 0;
    double *bounds = gx_alloc(model->hidden_size, sizeof *bounds);
    float *vector = gx_alloc(model->hidden_size, sizeof *vector);
    gx_status status = bounds && vector ? largest_bound(&bound, bounds, vector, model, error) : gx_fail_memory(error);
    gx_free(bounds);
    gx_free(vector);
    if (status != GX_OK)
        return status;
    double scale = 1;
    while (scale * bound > LARGEST_FP16)
        scale /= 2;
    if (scale < SMALLEST_SCALE) /* small values of the stream would become denormal */
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "the residual stream may reach %g, too much for fp16; use fp32", bound);
    *out = scale;
    return GX_OK;
}
