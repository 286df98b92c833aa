/*
 * One decoder layer, in reading order: project (norm, q/k/v, their norms, rotation, cache) → attend → finish (output
 * projection, residual, MLP and experts, residual, the layer's own input). The first and last go by pieces of rows, the middle by sequence and head. A norm
 * that the model does not have is left out.
 */
#include <math.h>
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
        const gx_key_values to = gx_pass_key_values(job->pass, where->sequence, (uint32_t)job->number);
        memcpy(to.keys + where->position * width, keys + row * width, width * sizeof *keys);
        memcpy(to.values + where->position * width, values + row * width, width * sizeof *values);
    }
}

/* k and v of the layer itself, into its cache. */
static void project_key_values(const layer_job *job, const piece *p, const float *normed)
{
    float *keys = p->scratch->wide;
    float *values = p->scratch->wide2;
    const size_t elements = p->rows * job->key_width;
    linear(job, p, GX_ROLE_K_PROJ, "k_proj", normed, keys);
    if (job->layer->keys_are_values)
        memcpy(values, keys, elements * sizeof *values);
    else
        linear(job, p, GX_ROLE_V_PROJ, "v_proj", normed, values);
    norm_in_place(job, p, GX_ROLE_K_NORM, "k_norm", keys, job->key_width);
    rotate(job, p, "k_rope", keys, job->layer->num_key_value_heads);
    if (job->layer->normalizes_values) {
        gx_norm_rows(values, elements / job->layer->head_dim, job->layer->head_dim, NULL, job->pass->reference->model->rms_norm_eps, values);
        tap(job, p, "v_norm", job->key_width, values);
    }
    store(job, p, keys, values);
}

static gx_status project(void *context, size_t item, unsigned worker, gx_error *error)
{
    (void)error;
    const layer_job *job = context;
    const piece p = get_piece(job, item, worker);
    float *normed = p.scratch->normed;
    float *queries = job->pass->queries + p.first * job->query_width;

    for (size_t row = 0; job->pass->streams && row < p.rows; row++)
        gx_altup_predict(job->pass, job->weights, p.first + row);
    norm(job, GX_ROLE_INPUT_NORM, hidden_rows(job, &p), p.rows * hidden_size(job), normed);
    tap(job, &p, "input_norm", hidden_size(job), normed);
    linear(job, &p, GX_ROLE_Q_PROJ, "q_proj", normed, queries);
    norm_in_place(job, &p, GX_ROLE_Q_NORM, "q_norm", queries, job->query_width);
    rotate(job, &p, "q_rope", queries, job->layer->num_attention_heads);
    if (gx_layer_has_own_cache(job->pass->reference->model, (uint32_t)job->number))
        project_key_values(job, &p, normed);
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
    const gx_key_values kv = gx_pass_key_values(job->pass, sequence, (uint32_t)job->number);
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
        .bidirectional = job->pass->reference->model->bidirectional,
        .scale = layer->attention_scale,
        .softcap = layer->attention_softcap,
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
    if (job->layer->sparse_gate)
        gx_activation_cut(gate, p->rows, width, job->layer->gate_cutoff);
    gx_activation_gate(job->pass->reference->model->activation, gate, up, p->rows * width);
    tap(job, p, "gated", width, gate);
    linear(job, p, GX_ROLE_DOWN_PROJ, "down_proj", gate, out);
}

/* The MLP's output becomes the sum of it and the experts', each normed. The router and the experts read the stream as it was before. */
static void add_experts(const layer_job *job, const piece *p, float *output)
{
    const size_t width = hidden_size(job);
    float *normed = p->scratch->normed;
    if (job->layer->num_experts == 0)
        return;
    norm_in_place(job, p, GX_ROLE_POST_MLP_NORM, "post_mlp_norm", output, width);
    norm(job, GX_ROLE_PRE_EXPERTS_NORM, hidden_rows(job, p), p->rows * width, normed);
    float *given = p->scratch->experts + p->rows * gx_experts_scratch(job->pass->reference->model, job->layer);
    gx_experts_run(job->pass->reference->sgemm, job->pass->reference->model, job->layer, job->weights, hidden_rows(job, p), normed, p->rows,
                   p->scratch->experts, given);
    tap(job, p, "experts", width, given);
    norm_in_place(job, p, GX_ROLE_POST_EXPERTS_NORM, "post_experts_norm", given, width);
    for (size_t i = 0; i < p->rows * width; i++)
        output[i] += given[i];
}

/* The layer's own input, gated by the stream and projected: scratch->output. False: it has none. */
static bool make_layer_input(const layer_job *job, const piece *p)
{
    const gx_model *model = job->pass->reference->model;
    const size_t width = model->hidden_size_per_layer_input, all = (size_t)model->weights[GX_ROLE_PER_LAYER_MODEL_PROJECTION].rows;
    float *gate = p->scratch->wide;
    if (width == 0)
        return false;
    linear(job, p, GX_ROLE_PER_LAYER_INPUT_GATE, "per_layer_input_gate", hidden_rows(job, p), gate);
    for (size_t row = 0; row < p->rows; row++)
        gx_activation_gate(model->activation, gate + row * width, job->pass->layer_inputs + (p->first + row) * all + (size_t)job->number * width, width);
    linear(job, p, GX_ROLE_PER_LAYER_PROJECTION, "per_layer_projection", gate, p->scratch->output);
    norm_in_place(job, p, GX_ROLE_POST_PER_LAYER_INPUT_NORM, "post_per_layer_input_norm", p->scratch->output, hidden_size(job));
    return true;
}

static void scale_hidden(const layer_job *job, const piece *p, float factor)
{
    float *hidden = hidden_rows(job, p);
    for (size_t i = 0; i < p->rows * hidden_size(job); i++)
        hidden[i] *= factor;
}

/* The low-rank branch beside attention: the normed input, and what it becomes through a narrow place, normed. The sum of three is then too large. */
static void add_laurel(const layer_job *job, const piece *p, float *output)
{
    const size_t width = hidden_size(job);
    float *narrow = p->scratch->wide, *branch = p->scratch->branch, *normed = p->scratch->normed;
    if (!job->layer->weights[GX_ROLE_LAUREL_LEFT].tensor)
        return;
    norm(job, GX_ROLE_INPUT_NORM, hidden_rows(job, p), p->rows * width, normed);
    linear(job, p, GX_ROLE_LAUREL_LEFT, "laurel_left", normed, narrow);
    linear(job, p, GX_ROLE_LAUREL_RIGHT, "laurel_right", narrow, branch);
    norm_in_place(job, p, GX_ROLE_POST_LAUREL_NORM, "post_laurel_norm", branch, width);
    for (size_t i = 0; i < p->rows * width; i++)
        output[i] += normed[i] + branch[i];
}

/* With one residual stream the layer is done. With several it worked on the active one, which corrects all; its own input then goes to the others. */
static void finish_streams(const layer_job *job, const piece *p)
{
    gx_pass *pass = job->pass;
    const size_t width = hidden_size(job), streams = pass->reference->model->altup.streams;
    for (size_t row = p->first; row < p->first + p->rows; row++)
        gx_altup_correct(pass, job->weights, row);
    if (!make_layer_input(job, p))
        return;
    for (size_t row = 0; row < p->rows; row++)
        for (size_t i = width; i < streams * width; i++)
            pass->streams[(p->first + row) * streams * width + i] += p->scratch->output[row * width + i % width];
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
    add_laurel(job, &p, output);
    add_to_hidden(job, &p, "attention_residual", output);
    if (job->layer->weights[GX_ROLE_LAUREL_LEFT].tensor)
        scale_hidden(job, &p, (float)M_SQRT1_2);

    norm(job, GX_ROLE_PRE_FEEDFORWARD_NORM, hidden_rows(job, &p), p.rows * width, normed);
    tap(job, &p, "pre_feedforward_norm", width, normed);
    mlp(job, &p, normed, output);
    add_experts(job, &p, output);
    norm_in_place(job, &p, GX_ROLE_POST_FEEDFORWARD_NORM, "post_feedforward_norm", output, width);
    add_to_hidden(job, &p, "feedforward_residual", output);
    if (job->pass->streams)
        finish_streams(job, &p);
    else if (make_layer_input(job, &p))
        add_to_hidden(job, &p, "layer_input_residual", p.scratch->output);
    if (job->weights->values[GX_ROLE_LAYER_SCALAR])
        scale_hidden(job, &p, *job->weights->values[GX_ROLE_LAYER_SCALAR]);
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
