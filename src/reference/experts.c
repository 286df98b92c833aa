/*
 * A mixture of experts: a router picks a few of them for each row, and what these give is summed by the router's probabilities, scaled to a
 * sum of 1, times a factor of each expert. The rows that one expert serves go through it together.
 */
#include <math.h>
#include <string.h>

#include "reference/parts.h"

typedef struct experts_job {
    gx_blas_sgemm sgemm;
    const gx_model *model;
    const gx_layer *layer;
    const gx_layer_weights *weights;
    size_t rows;
    float *shares;   /* [rows, num_experts]: 0 where a row does not go */
    float *gathered; /* [rows, hidden_size] */
    float *both;     /* [rows, 2 * moe_intermediate_size] */
    float *given;    /* [rows, hidden_size] */
} experts_job;

size_t gx_experts_scratch(const gx_model *model, const gx_layer *layer)
{
    return layer->num_experts ? layer->num_experts + 2 * (size_t)model->hidden_size + 2 * (size_t)layer->moe_intermediate_size : 0;
}

static void softmax(float *values, size_t count)
{
    float largest = values[0];
    double sum = 0;
    for (size_t i = 1; i < count; i++)
        largest = values[i] > largest ? values[i] : largest;
    for (size_t i = 0; i < count; i++)
        sum += (double)(values[i] = expf(values[i] - largest));
    for (size_t i = 0; i < count; i++)
        values[i] = (float)((double)values[i] / sum);
}

/* Probabilities become shares: those of the top_k largest over their sum, times the expert's factor; all others 0. */
static void keep_largest(float *row, const gx_layer *layer, const float *per_expert)
{
    double sum = 0;
    uint32_t kept = 0;
    float *const end = row + layer->num_experts;
    for (; kept < layer->top_k_experts; kept++) { /* a chosen one is marked by its sign; probabilities are not negative */
        float *best = NULL;
        for (float *p = row; p < end; p++)
            if (!signbit(*p) && (!best || *p > *best))
                best = p;
        sum += (double)*best;
        *best = -*best;
    }
    for (float *p = row; p < end; p++)
        *p = signbit(*p) ? (float)((double)-*p / sum) * per_expert[p - row] : 0;
}

static void route(const experts_job *job, const float *stream)
{
    const size_t hidden = job->model->hidden_size, experts = job->layer->num_experts;
    const float *scale = job->weights->values[GX_ROLE_ROUTER_SCALE];
    const float root = (float)(1 / sqrt((double)hidden));
    float *normed = job->gathered;
    gx_norm_rows(stream, job->rows, hidden, NULL, job->model->rms_norm_eps, normed);
    for (size_t i = 0; i < job->rows * hidden; i++)
        normed[i] = normed[i] * scale[i % hidden] * root;
    gx_product_rows(job->sgemm, &(gx_product){.m = job->rows, .n = experts, .k = hidden, .a = normed, .a_stride = hidden,
                                              .b = job->weights->values[GX_ROLE_ROUTER_PROJ], .b_stride = hidden, .c = job->shares, .c_stride = experts});
    for (size_t row = 0; row < job->rows; row++) {
        softmax(job->shares + row * experts, experts);
        keep_largest(job->shares + row * experts, job->layer, job->weights->values[GX_ROLE_ROUTER_PER_EXPERT_SCALE]);
    }
}

/* gathered [rows, hidden] through expert `number` to given. */
static void run_expert(const experts_job *job, size_t number, size_t rows)
{
    const size_t hidden = job->model->hidden_size, width = job->layer->moe_intermediate_size;
    const float *gate_up = job->weights->values[GX_ROLE_EXPERTS_GATE_UP] + number * 2 * width * hidden;
    const float *down = job->weights->values[GX_ROLE_EXPERTS_DOWN] + number * hidden * width;
    gx_product_rows(job->sgemm, &(gx_product){.m = rows, .n = 2 * width, .k = hidden, .a = job->gathered, .a_stride = hidden, .b = gate_up, .b_stride = hidden,
                                              .c = job->both, .c_stride = 2 * width});
    for (size_t row = 0; row < rows; row++)
        gx_activation_gate(job->model->activation, job->both + row * 2 * width, job->both + row * 2 * width + width, width);
    gx_product_rows(job->sgemm, &(gx_product){.m = rows, .n = hidden, .k = width, .a = job->both, .a_stride = 2 * width, .b = down, .b_stride = width,
                                              .c = job->given, .c_stride = hidden});
}

void gx_experts_run(gx_blas_sgemm sgemm, const gx_model *model, const gx_layer *layer, const gx_layer_weights *weights, const float *stream, const float *x,
                    size_t rows, float *scratch, float *out)
{
    const size_t hidden = model->hidden_size, experts = layer->num_experts;
    experts_job job = {.sgemm = sgemm, .model = model, .layer = layer, .weights = weights, .rows = rows, .shares = scratch};
    job.gathered = job.shares + rows * experts;
    job.given = job.gathered + rows * hidden;
    job.both = job.given + rows * hidden;
    route(&job, stream);
    memset(out, 0, rows * hidden * sizeof *out);
    for (size_t number = 0; number < experts; number++) {
        size_t count = 0;
        for (size_t row = 0; row < rows; row++)
            if (job.shares[row * experts + number] != 0)
                memcpy(job.gathered + count++ * hidden, x + row * hidden, hidden * sizeof *x);
        if (count == 0)
            continue;
        run_expert(&job, number, count);
        count = 0;
        for (size_t row = 0; row < rows; row++) {
            const float share = job.shares[row * experts + number];
            const float *given = job.given + count * hidden;
            for (size_t i = 0; share != 0 && i < hidden; i++)
                out[row * hidden + i] += share * given[i];
            count += share != 0;
        }
    }
}
