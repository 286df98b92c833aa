/*
 * AltUp (Gemma 3n): several residual streams. Before a layer each stream is predicted as itself plus a mix of all; the layer works on the active
 * one; after it every stream is corrected by a part of what the layer changed. How much, a router says from the active stream.
 */
#include <math.h>
#include <string.h>

#include "base/threads.h"
#include "reference/state.h"

#define LEAST_SQUARE 1e-5f

static size_t width_of(const gx_pass *pass)
{
    return pass->reference->model->hidden_size;
}

static float *streams_of(const gx_pass *pass, size_t row)
{
    return pass->streams + row * pass->reference->model->altup.streams * width_of(pass);
}

static double mean_square(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sum / (double)n;
}

/* x becomes as large as `model`. */
static void match_size(float *x, const float *model, size_t n)
{
    const float factor = (float)(sqrt(mean_square(model, n)) / sqrt(fmax(mean_square(x, n), LEAST_SQUARE)));
    for (size_t i = 0; i < n; i++)
        x[i] *= factor;
}

/* ---- before the first layer and after the last ---- */

static gx_status project_all(gx_pass *pass, const gx_weight *weight, float *matrix, uint32_t stream, bool from_first, gx_error *error)
{
    const size_t width = width_of(pass), all = pass->reference->model->altup.streams * width;
    float *out = NULL;
    GX_TRY(gx_weight_load(pass->reference->model, weight, pass->reference->options.threads, matrix, error));
    GX_TRY(gx_floats_alloc(&out, pass->row_count, width, error));
    gx_product_rows(pass->reference->sgemm, &(gx_product){.m = pass->row_count, .n = width, .k = width, .a = pass->streams + (from_first ? 0 : stream * width),
                                                          .a_stride = all, .b = matrix, .b_stride = width, .c = out, .c_stride = width});
    for (size_t row = 0; row < pass->row_count; row++) {
        match_size(out + row * width, streams_of(pass, row), width);
        memcpy(streams_of(pass, row) + stream * width, out + row * width, width * sizeof *out);
    }
    gx_free(out);
    return GX_OK;
}

static gx_status project_streams(gx_pass *pass, const gx_weight *weights, bool from_first, gx_error *error)
{
    float *matrix = NULL;
    gx_status status = gx_floats_alloc(&matrix, width_of(pass), width_of(pass), error);
    for (uint32_t i = 1; status == GX_OK && i < pass->reference->model->altup.streams; i++)
        status = project_all(pass, &weights[i - 1], matrix, i, from_first, error);
    gx_free(matrix);
    return status;
}

gx_status gx_altup_begin(gx_pass *pass, gx_error *error)
{
    const size_t width = width_of(pass);
    for (size_t row = 0; row < pass->row_count; row++)
        memcpy(streams_of(pass, row), pass->hidden + row * width, width * sizeof(float));
    return project_streams(pass, pass->reference->model->altup.in, true, error);
}

/* The mean of all. */
gx_status gx_altup_end(gx_pass *pass, gx_error *error)
{
    const size_t width = width_of(pass);
    const uint32_t count = pass->reference->model->altup.streams;
    GX_TRY(project_streams(pass, pass->reference->model->altup.out, false, error));
    for (size_t row = 0; row < pass->row_count; row++) {
        for (size_t k = 0; k < width; k++) {
            float sum = 0;
            for (uint32_t i = 0; i < count; i++)
                sum += streams_of(pass, row)[i * width + k];
            pass->hidden[row * width + k] = sum / (float)count;
        }
    }
    return GX_OK;
}

/* ---- around a layer ---- */

/* out[i] = tanh of the router's i-th row times x, normed and divided by its width. */
static void route(const gx_pass *pass, const gx_layer_weights *weights, const float *x, float *out)
{
    const gx_model *model = pass->reference->model;
    const size_t width = width_of(pass);
    const float *norm = weights->values[GX_ROLE_ALTUP_ROUTER_NORM], *router = weights->values[GX_ROLE_ALTUP_ROUTER];
    const float root = (float)(1 / sqrt(mean_square(x, width) + model->rms_norm_eps)), scale = 1 / (float)width;
    for (uint32_t i = 0; i < model->altup.streams; i++) {
        double sum = 0;
        for (size_t k = 0; k < width; k++)
            sum += (double)(x[k] * root * norm[k] * scale) * (double)router[i * width + k];
        out[i] = tanhf((float)sum);
    }
}

/* out[i] = row i of a [rows, streams] matrix times x */
static void multiply(const float *matrix, size_t rows, size_t streams, const float *x, float *out)
{
    for (size_t i = 0; i < rows; i++) {
        out[i] = 0;
        for (size_t j = 0; j < streams; j++)
            out[i] += matrix[i * streams + j] * x[j];
    }
}

void gx_altup_predict(gx_pass *pass, const gx_layer_weights *weights, size_t row)
{
    const gx_altup *altup = &pass->reference->model->altup;
    const size_t width = width_of(pass), n = altup->streams;
    float modalities[GX_MAX_STREAMS], mix[GX_MAX_STREAMS * GX_MAX_STREAMS], before[GX_MAX_STREAMS];
    float *streams = streams_of(pass, row);
    route(pass, weights, streams + altup->active * width, modalities);
    multiply(weights->values[GX_ROLE_ALTUP_PREDICTION], n * n, n, modalities, mix);
    for (size_t k = 0; k < width; k++) {
        for (size_t i = 0; i < n; i++)
            before[i] = streams[i * width + k];
        for (size_t i = 0; i < n; i++) {
            float sum = 0;
            for (size_t j = 0; j < n; j++)
                sum += mix[i * n + j] * before[j];
            streams[i * width + k] = before[i] + sum;
        }
    }
    memcpy(pass->hidden + row * width, streams + altup->active * width, width * sizeof *streams);
}

/* `hidden`, what the layer made of the active stream, then holds the corrected active stream, scaled: what the layer's own input is gated by. */
void gx_altup_correct(gx_pass *pass, const gx_layer_weights *weights, size_t row)
{
    const gx_altup *altup = &pass->reference->model->altup;
    const size_t width = width_of(pass), n = altup->streams;
    float modalities[GX_MAX_STREAMS], parts[GX_MAX_STREAMS];
    float *streams = streams_of(pass, row), *hidden = pass->hidden + row * width;
    const float *scale = altup->correct_scale ? weights->values[GX_ROLE_ALTUP_CORRECT_SCALE] : NULL;
    route(pass, weights, hidden, modalities);
    multiply(weights->values[GX_ROLE_ALTUP_CORRECTION], n, n, modalities, parts);
    for (size_t k = 0; k < width; k++) {
        const float change = hidden[k] - streams[altup->active * width + k];
        for (size_t i = 0; i < n; i++)
            streams[i * width + k] += change * (parts[i] + 1);
        hidden[k] = streams[altup->active * width + k] * (scale ? scale[k] : 1);
    }
}
