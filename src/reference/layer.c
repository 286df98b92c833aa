/*
 * One decoder layer, in reading order: project (norm, q/k/v, their norms, rotation, cache) → attend → finish (output
 * projection, residual, MLP, residual). The first and last go by pieces of rows, the middle by sequence and head. A norm
 * that the model does not have is left out.
 */
#include <string.h>

#include "base/threads.h"
#include "reference/state.h"

typedef struct layer_job {
    gx_pass *pass;
    int number;
    const gx_layer *layer;
    const gx_layer_weights *weights;
    const gx_rope_table *rope;
    size_t query_width;
    size_t key_width;
} layer_job;

typedef struct piece {
    size_t first;
    size_t rows;
    const gx_pass_scratch *scratch;
} piece;

static piece get_piece(const layer_job *job, size_t item, unsigned worker)
{
    const size_t first = item * GX_PIECE_ROWS;
    const size_t left = job->pass->row_count - first;
    return (piece){first, left < GX_PIECE_ROWS ? left : GX_PIECE_ROWS, &job->pass->scratch[worker]};
}

static size_t hidden_size(const layer_job *job)
{
    return job->pass->reference->model->hidden_size;
}

static float *hidden_rows(const layer_job *job, const piece *p)
{
    return job->pass->hidden + p->first * hidden_size(job);
}

static void tap(const layer_job *job, const piece *p, const char *name, size_t columns, const float *values)
{
    gx_pass_tap(job->pass, name, job->number, p->first, p->rows, columns, values);
}

/* out = x · weightᵀ */
static void linear(const layer_job *job, const piece *p, gx_role role, const char *name, const float *x, float *out)
{
    const gx_weight *weight = &job->layer->weights[role];
    const size_t in_width = (size_t)weight->columns;
    const size_t out_width = (size_t)weight->rows;
    gx_product_rows(job->pass->reference->sgemm,
                    &(gx_product){.m = p->rows, .n = out_width, .k = in_width, .a = x, .a_stride = in_width,
                                  .b = job->weights->values[role], .b_stride = in_width, .c = out, .c_stride = out_width});
    tap(job, p, name, out_width, out);
}

/* RMSNorm over the weight's width, so per head for the query and key norms. `elements` in all. */
static void norm(const layer_job *job, gx_role role, const float *x, size_t elements, float *out)
{
    const size_t columns = (size_t)job->layer->weights[role].columns;
    gx_norm_rows(x, elements / columns, columns, job->weights->values[role], job->pass->reference->model->rms_norm_eps, out);
}

static void norm_in_place(const layer_job *job, const piece *p, gx_role role, const char *name, float *x, size_t columns)
{
    if (!job->weights->values[role])
        return;
    norm(job, role, x, p->rows * columns, x);
    tap(job, p, name, columns, x);
}

static gx_key_values key_values(const gx_pass *pass, size_t sequence, int layer)
{
    const gx_reference_cache *cache = pass->sequences[sequence].cache;
    return cache ? cache->layers[layer] : pass->borrowed[sequence];
}

static void rotate(const layer_job *job, const piece *p, const char *name, float *x, size_t heads)
{
    const size_t columns = heads * job->layer->head_dim;
    for (size_t row = 0; row < p->rows; row++)
        gx_rope_rotate(job->rope, x + row * columns, heads, job->pass->rows[p->first + row].position);
    tap(job, p, name, columns, x);
}

static void store(const layer_job *job, const piece *p, const float *keys, const float *values)
{
    const size_t width = job->key_width;
    for (size_t row = 0; row < p->rows; row++) {
        const gx_pass_row *where = &job->pass->rows[p->first + row];
        const gx_key_values to = key_values(job->pass, where->sequence, job->number);
        memcpy(to.keys + where->position * width, keys + row * width, width * sizeof *keys);
        memcpy(to.values + where->position * width, values + row * width, width * sizeof *values);
    }
}

static gx_status project(void *context, size_t item, unsigned worker, gx_error *error)
{
    (void)error;
    const layer_job *job = context;
    const piece p = get_piece(job, item, worker);
    float *normed = p.scratch->normed;
    float *queries = job->pass->queries + p.first * job->query_width;
    float *keys = p.scratch->wide;
    float *values = p.scratch->wide2;

    norm(job, GX_ROLE_INPUT_NORM, hidden_rows(job, &p), p.rows * hidden_size(job), normed);
    tap(job, &p, "input_norm", hidden_size(job), normed);
    linear(job, &p, GX_ROLE_Q_PROJ, "q_proj", normed, queries);
    linear(job, &p, GX_ROLE_K_PROJ, "k_proj", normed, keys);
    linear(job, &p, GX_ROLE_V_PROJ, "v_proj", normed, values);
    norm_in_place(job, &p, GX_ROLE_Q_NORM, "q_norm", queries, job->query_width);
    norm_in_place(job, &p, GX_ROLE_K_NORM, "k_norm", keys, job->key_width);
    rotate(job, &p, "q_rope", queries, job->layer->num_attention_heads);
    rotate(job, &p, "k_rope", keys, job->layer->num_key_value_heads);
    store(job, &p, keys, values);
    return GX_OK;
}

static gx_status attend(void *context, size_t item, unsigned worker, gx_error *error)
{
    (void)error;
    const layer_job *job = context;
    const gx_layer *layer = job->layer;
    const size_t sequence = item / layer->num_attention_heads;
    const size_t head = item % layer->num_attention_heads;
    const size_t key_head = head / (layer->num_attention_heads / layer->num_key_value_heads);
    const gx_key_values kv = key_values(job->pass, sequence, job->number);
    const gx_attention attention = {
        .queries = job->pass->queries + job->pass->first_rows[sequence] * job->query_width + head * layer->head_dim,
        .query_stride = job->query_width,
        .rows = job->pass->sequences[sequence].count,
        .past = job->pass->pasts[sequence],
        .keys = kv.keys + key_head * layer->head_dim,
        .values = kv.values + key_head * layer->head_dim,
        .key_stride = job->key_width,
        .head_dim = layer->head_dim,
        .sliding_window = layer->sliding_window,
        .scale = layer->attention_scale,
    };
    gx_attention_head(job->pass->reference->sgemm, &attention, job->pass->scratch[worker].scores);
    return GX_OK;
}

static void add_to_hidden(const layer_job *job, const piece *p, const char *name, const float *x)
{
    float *hidden = hidden_rows(job, p);
    for (size_t i = 0; i < p->rows * hidden_size(job); i++)
        hidden[i] += x[i];
    tap(job, p, name, hidden_size(job), hidden);
}

static void mlp(const layer_job *job, const piece *p, const float *x, float *out)
{
    float *gate = p->scratch->wide;
    float *up = p->scratch->wide2;
    const size_t width = job->layer->intermediate_size;
    linear(job, p, GX_ROLE_GATE_PROJ, "gate_proj", x, gate);
    linear(job, p, GX_ROLE_UP_PROJ, "up_proj", x, up);
    gx_activation_gate(job->pass->reference->model->activation, gate, up, p->rows * width);
    tap(job, p, "gated", width, gate);
    linear(job, p, GX_ROLE_DOWN_PROJ, "down_proj", gate, out);
}

static gx_status finish(void *context, size_t item, unsigned worker, gx_error *error)
{
    (void)error;
    const layer_job *job = context;
    const piece p = get_piece(job, item, worker);
    const size_t width = hidden_size(job);
    float *normed = p.scratch->normed;
    float *output = p.scratch->output;
    const float *attended = job->pass->queries + p.first * job->query_width;

    tap(job, &p, "attention", job->query_width, attended);
    linear(job, &p, GX_ROLE_O_PROJ, "o_proj", attended, output);
    norm_in_place(job, &p, GX_ROLE_POST_ATTENTION_NORM, "post_attention_norm", output, width);
    add_to_hidden(job, &p, "attention_residual", output);

    norm(job, GX_ROLE_PRE_FEEDFORWARD_NORM, hidden_rows(job, &p), p.rows * width, normed);
    tap(job, &p, "pre_feedforward_norm", width, normed);
    mlp(job, &p, normed, output);
    norm_in_place(job, &p, GX_ROLE_POST_FEEDFORWARD_NORM, "post_feedforward_norm", output, width);
    add_to_hidden(job, &p, "feedforward_residual", output);
    return GX_OK;
}

gx_status gx_layer_run(gx_pass *pass, uint32_t n, const gx_layer_weights *weights, const gx_rope_table *rope, gx_error *error)
{
    const gx_layer *layer = &pass->reference->model->layers[n];
    layer_job job = {
        .pass = pass,
        .number = (int)n,
        .layer = layer,
        .weights = weights,
        .rope = rope,
        .query_width = (size_t)layer->num_attention_heads * layer->head_dim,
        .key_width = (size_t)layer->num_key_value_heads * layer->head_dim,
    };
    const size_t pieces = (pass->row_count + GX_PIECE_ROWS - 1) / GX_PIECE_ROWS;
    GX_TRY(gx_parallel_for(pieces, pass->threads, project, &job, error));
    GX_TRY(gx_parallel_for(pass->sequence_count * layer->num_attention_heads, pass->threads, attend, &job, error));
    return gx_parallel_for(pieces, pass->threads, finish, &job, error);
}
