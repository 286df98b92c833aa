/* Weights as fp32 in memory: a layer at once, or rows of one weight. Reading and widening is what the threads share. */
#include "base/checked.h"
#include "base/threads.h"
#include "reference/parts.h"

#define LOAD_ELEMENTS (UINT64_C(1) << 18) /* read at a time by a thread */

gx_status gx_floats_alloc(float **out, uint64_t rows, uint64_t columns, gx_error *error)
{
    uint64_t elements;
    if (!gx_mul_u64(rows, columns, &elements) || elements > SIZE_MAX)
        return gx_fail_memory(error);
    *out = gx_alloc((size_t)elements, sizeof **out);
    return *out ? GX_OK : gx_fail_memory(error);
}

gx_status gx_weight_load_rows(const gx_model *model, const gx_weight *weight, uint64_t first_row, uint64_t rows, float *out,
                              gx_error *error)
{
    uint64_t nbytes;
    GX_TRY(gx_tensor_rows_nbytes(weight->tensor, rows, &nbytes, error));
    void *scratch = nbytes > SIZE_MAX ? NULL : gx_alloc((size_t)nbytes, 1);
    if (!scratch)
        return gx_fail_memory(error);
    const gx_status status = gx_weight_read_rows(model, weight, first_row, rows, scratch, out, error);
    gx_free(scratch);
    return status;
}

typedef struct load {
    const gx_model *model;
    const gx_weight *weight;
    uint64_t rows_at_once;
    float *out;
} load;

static gx_status load_piece(void *context, size_t item, unsigned worker, gx_error *error)
{
    (void)worker;
    const load *job = context;
    const uint64_t first = item * job->rows_at_once;
    const uint64_t left = job->weight->rows - first;
    return gx_weight_load_rows(job->model, job->weight, first, left < job->rows_at_once ? left : job->rows_at_once,
                               job->out + first * job->weight->columns, error);
}

gx_status gx_weight_load(const gx_model *model, const gx_weight *weight, unsigned threads, float *out, gx_error *error)
{
    if (weight->rows == 1)
        return gx_weight_read_vector(model, weight, out, error);
    const uint64_t rows = LOAD_ELEMENTS / weight->columns;
    load job = {model, weight, rows ? rows : 1, out};
    return gx_parallel_for((size_t)gx_ceil_div(weight->rows, job.rows_at_once), threads, load_piece, &job, error);
}

static gx_status layer_elements(const gx_layer *layer, uint64_t *out, gx_error *error)
{
    uint64_t total = 0;
    for (int role = 0; role < GX_ROLE_COUNT; role++) {
        const gx_weight *weight = &layer->weights[role];
        uint64_t elements;
        if (!weight->tensor)
            continue;
        if (!gx_mul_u64(weight->rows, weight->columns, &elements) || !gx_add_u64(total, elements, &total))
            return gx_fail_memory(error);
    }
    *out = total;
    return GX_OK;
}

gx_status gx_layer_weights_load(gx_layer_weights *out, const gx_model *model, const gx_layer *layer, unsigned threads, gx_error *error)
{
    gx_layer_weights weights = {0};
    uint64_t elements = 0;
    GX_TRY(layer_elements(layer, &elements, error));
    GX_TRY(gx_floats_alloc(&weights.storage, elements, 1, error));
    float *next = weights.storage;
    for (int role = 0; role < GX_ROLE_COUNT; role++) {
        const gx_weight *weight = &layer->weights[role];
        if (!weight->tensor)
            continue;
        const gx_status status = gx_weight_load(model, weight, threads, next, error);
        if (status != GX_OK) {
            gx_layer_weights_deinit(&weights);
            return status;
        }
        weights.values[role] = next;
        next += weight->rows * weight->columns;
    }
    *out = weights;
    return GX_OK;
}

void gx_layer_weights_deinit(gx_layer_weights *weights)
{
    gx_free(weights->storage);
    *weights = (gx_layer_weights){0};
}
