/*
 * The inputs of single layers (Gemma 3n, 4): for each id and layer a row of a second embedding, and a projection of the first one, normed; their
 * sum over sqrt(2). What a layer does with its own is in layer.c.
 */
#include <math.h>

#include "base/threads.h"
#include "reference/state.h"

typedef struct inputs_job {
    gx_pass *pass;
    float *projection; /* [layers * width, hidden_size] */
    float *norm;       /* [width] */
    size_t columns;    /* layers * width */
} inputs_job;

/* The projection of embedded rows, normed layer by layer. */
static void project(const inputs_job *job, size_t first, size_t rows)
{
    const gx_model *model = job->pass->reference->model;
    const size_t hidden = model->hidden_size, width = model->hidden_size_per_layer_input;
    float *out = job->pass->layer_inputs + first * job->columns;
    const float root = (float)(1 / sqrt((double)hidden));
    gx_product_rows(job->pass->reference->sgemm,
                    &(gx_product){.m = rows, .n = job->columns, .k = hidden, .a = job->pass->hidden + first * hidden, .a_stride = hidden,
                                  .b = job->projection, .b_stride = hidden, .c = out, .c_stride = job->columns});
    for (size_t i = 0; i < rows * job->columns; i++)
        out[i] *= root;
    gx_norm_rows(out, rows * job->columns / width, width, job->norm, model->rms_norm_eps, out);
}

/* Ids that the second embedding does not have are looked up as id 0. */
static gx_status add_embedding(const inputs_job *job, size_t row, float *embedded, gx_error *error)
{
    const gx_model *model = job->pass->reference->model;
    const gx_pass_row *where = &job->pass->rows[row];
    const int64_t id = job->pass->sequences[where->sequence].ids[where->position - job->pass->pasts[where->sequence]];
    const uint64_t place = id < (int64_t)model->vocab_size_per_layer_input ? (uint64_t)id : 0;
    GX_TRY(gx_weight_load_rows(model, &model->weights[GX_ROLE_PER_LAYER_EMBEDDING], place, 1, embedded, error));
    const float multiplier = (float)sqrt((double)model->hidden_size_per_layer_input), half = (float)M_SQRT1_2;
    float *out = job->pass->layer_inputs + row * job->columns;
    for (size_t i = 0; i < job->columns; i++)
        out[i] = (out[i] + embedded[i] * multiplier) * half;
    return GX_OK;
}

static gx_status run_piece(void *context, size_t item, unsigned worker, gx_error *error)
{
    (void)worker;
    const inputs_job *job = context;
    const size_t first = item * GX_PIECE_ROWS, left = job->pass->row_count - first;
    const size_t rows = left < GX_PIECE_ROWS ? left : GX_PIECE_ROWS;
    float *embedded = NULL;
    GX_TRY(gx_floats_alloc(&embedded, job->columns, 1, error));
    project(job, first, rows);
    gx_status status = GX_OK;
    for (size_t row = first; status == GX_OK && row < first + rows; row++)
        status = add_embedding(job, row, embedded, error);
    gx_free(embedded);
    return status;
}

static gx_status load(inputs_job *job, gx_error *error)
{
    const gx_model *model = job->pass->reference->model;
    const gx_weight *projection = &model->weights[GX_ROLE_PER_LAYER_MODEL_PROJECTION], *norm = &model->weights[GX_ROLE_PER_LAYER_PROJECTION_NORM];
    GX_TRY(gx_floats_alloc(&job->projection, projection->rows, projection->columns, error));
    GX_TRY(gx_floats_alloc(&job->norm, 1, norm->columns, error));
    GX_TRY(gx_weight_load(model, projection, job->pass->reference->options.threads, job->projection, error));
    return gx_weight_read_vector(model, norm, job->norm, error);
}

gx_status gx_layer_inputs_run(gx_pass *pass, gx_error *error)
{
    const gx_model *model = pass->reference->model;
    inputs_job job = {.pass = pass, .columns = (size_t)model->weights[GX_ROLE_PER_LAYER_MODEL_PROJECTION].rows};
    gx_status status = load(&job, error);
    if (status == GX_OK)
        status = gx_parallel_for((pass->row_count + GX_PIECE_ROWS - 1) / GX_PIECE_ROWS, pass->threads, run_piece, &job, error);
    gx_free(job.projection);
    gx_free(job.norm);
    if (status == GX_OK)
        gx_pass_tap(pass, "layer_inputs", -1, 0, pass->row_count, job.columns, pass->layer_inputs);
    return status;
}
