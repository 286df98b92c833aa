/* Pads, calls, takes apart. What comes back is checked before it is believed: the graph may be another tool's. */
#include <string.h>

#include "runtime/encoder.h"

struct gx_encoder {
    gx_session *session;
    size_t dimension, hidden_size; /* hidden_size 0: it gives no hidden states */
    size_t batch, length;          /* 0: dynamic */
};

static bool is_ids(const gx_session_value *value)
{
    return value && value->dtype == GX_DTYPE_I64 && value->rank == 2;
}

static size_t fixed(int64_t dim)
{
    return dim > 0 ? (size_t)dim : 0;
}

gx_status gx_encoder_open(gx_encoder **out, gx_session *session, gx_error *error)
{
    const gx_session_value *ids = gx_session_find_input(session, "input_ids"), *mask = gx_session_find_input(session, "attention_mask");
    const gx_session_value *embedding = gx_session_find_output(session, "sentence_embedding"), *hidden = gx_session_find_output(session, "last_hidden_state");
    if (!is_ids(ids) || !is_ids(mask) || gx_session_input_count(session) != 2)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: no encoder: its inputs are not input_ids and attention_mask, int64 of rank 2", gx_session_name(session));
    if (!embedding || embedding->dtype != GX_DTYPE_F32 || embedding->rank != 2 || embedding->dims[1] < 1)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: no output 'sentence_embedding' of type fp32 and rank 2 with a number as its width", gx_session_name(session));
    if (ids->dims[0] > INT32_MAX || ids->dims[1] > INT32_MAX || embedding->dims[1] > INT32_MAX)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: dimensions beyond 2^31", gx_session_name(session));
    gx_encoder *encoder = gx_alloc(1, sizeof *encoder);
    if (!encoder)
        return gx_fail_memory(error);
    *encoder = (gx_encoder){.session = session, .dimension = (size_t)embedding->dims[1], .batch = fixed(ids->dims[0]), .length = fixed(ids->dims[1])};
    if (hidden && hidden->dtype == GX_DTYPE_F32 && hidden->rank == 3)
        encoder->hidden_size = fixed(hidden->dims[2]);
    *out = encoder;
    return GX_OK;
}

void gx_encoder_close(gx_encoder *encoder)
{
    gx_free(encoder);
}

size_t gx_encoder_dimension(const gx_encoder *encoder)
{
    return encoder->dimension;
}

size_t gx_encoder_max_length(const gx_encoder *encoder)
{
    return encoder->length;
}

size_t gx_encoder_batch(const gx_encoder *encoder)
{
    return encoder->batch;
}

/* One call's memory and shape. */
typedef struct call {
    gx_encoder *encoder;
    const gx_encoder_text *texts;
    size_t count, rows, length; /* rows: of the batch, those that fill it up included */
    gx_padding_side side;
    int64_t *ids, *mask; /* [rows, length] */
    gx_ort_tensor *inputs[2], *outputs[2];
} call;

static size_t first_of(const call *c, size_t text)
{
    return c->side == GX_PAD_LEFT ? c->length - c->texts[text].count : 0;
}

/* Rows beyond the texts hold one id that counts, so that there is something to see. */
static gx_status fill(call *c, gx_error *error)
{
    for (size_t i = 0; i < c->count; i++)
        c->length = c->texts[i].count > c->length ? c->texts[i].count : c->length;
    if (c->encoder->length && c->length > c->encoder->length)
        return gx_fail(error, GX_ERROR_ARGUMENT, "%s: a text of %zu ids, the graph takes %zu", gx_session_name(c->encoder->session), c->length, c->encoder->length);
    if (c->encoder->batch && c->count > c->encoder->batch)
        return gx_fail(error, GX_ERROR_ARGUMENT, "%s: %zu texts at once, the graph takes %zu", gx_session_name(c->encoder->session), c->count, c->encoder->batch);
    c->length = c->encoder->length ? c->encoder->length : c->length;
    c->rows = c->encoder->batch ? c->encoder->batch : c->count;
    c->ids = gx_alloc(c->rows, c->length * sizeof *c->ids);
    c->mask = gx_alloc(c->rows, c->length * sizeof *c->mask);
    if (!c->ids || !c->mask)
        return gx_fail_memory(error);
    for (size_t row = 0; row < c->rows; row++) {
        const size_t count = row < c->count ? c->texts[row].count : 1, first = row < c->count ? first_of(c, row) : 0;
        for (size_t i = 0; i < count; i++) {
            c->ids[row * c->length + first + i] = row < c->count ? c->texts[row].ids[i] : 0;
            c->mask[row * c->length + first + i] = 1;
        }
    }
    return GX_OK;
}

static gx_status wrap(call *c, size_t index, int64_t *values, gx_error *error)
{
    const int64_t dims[2] = {(int64_t)c->rows, (int64_t)c->length};
    return gx_ort_tensor_wrap(&c->inputs[index], gx_session_runtime(c->encoder->session), GX_DTYPE_I64, 2, dims, values, c->rows * c->length * sizeof *values, error);
}

static gx_status describe(gx_ort_view *view, const call *c, size_t index, size_t rank, const int64_t *dims, gx_error *error)
{
    static const char *const names[2] = {"sentence_embedding", "last_hidden_state"};
    GX_TRY(gx_ort_tensor_describe(view, gx_session_runtime(c->encoder->session), c->outputs[index], error));
    if (view->dtype != GX_DTYPE_F32 || view->rank != rank || memcmp(view->dims, dims, rank * sizeof *dims) != 0)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: '%s' came back with another type or shape", gx_session_name(c->encoder->session), names[index]);
    return GX_OK;
}

static gx_status take(const call *c, float *embeddings, float *hidden, gx_error *error)
{
    const gx_encoder *e = c->encoder;
    gx_ort_view view;
    GX_TRY(describe(&view, c, 0, 2, (const int64_t[]){(int64_t)c->rows, (int64_t)e->dimension}, error));
    memcpy(embeddings, view.data, c->count * e->dimension * sizeof *embeddings);
    if (!hidden)
        return GX_OK;
    GX_TRY(describe(&view, c, 1, 3, (const int64_t[]){(int64_t)c->rows, (int64_t)c->length, (int64_t)e->hidden_size}, error));
    for (size_t i = 0; i < c->count; i++) {
        const size_t elements = c->texts[i].count * e->hidden_size;
        memcpy(hidden, (const float *)view.data + (i * c->length + first_of(c, i)) * e->hidden_size, elements * sizeof *hidden);
        hidden += elements;
    }
    return GX_OK;
}

gx_status gx_encoder_run(gx_encoder *encoder, const gx_encoder_text *texts, size_t count, gx_padding_side side, float *embeddings, float *hidden, gx_error *error)
{
    static const char *const inputs[2] = {"input_ids", "attention_mask"}, *const outputs[2] = {"sentence_embedding", "last_hidden_state"};
    const gx_runtime *runtime = gx_session_runtime(encoder->session);
    call c = {.encoder = encoder, .texts = texts, .count = count, .side = side};
    if (hidden && encoder->hidden_size == 0)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: no output 'last_hidden_state' of type fp32 and rank 3", gx_session_name(encoder->session));
    gx_status status = fill(&c, error);
    if (status == GX_OK)
        status = wrap(&c, 0, c.ids, error);
    if (status == GX_OK)
        status = wrap(&c, 1, c.mask, error);
    if (status == GX_OK)
        status = gx_session_run(encoder->session, &(gx_session_run_io){inputs, c.inputs, 2, outputs, c.outputs, hidden ? 2 : 1}, error);
    if (status == GX_OK)
        status = take(&c, embeddings, hidden, error);
    for (int i = 0; i < 2; i++) {
        gx_ort_tensor_free(runtime, c.inputs[i]);
        gx_ort_tensor_free(runtime, c.outputs[i]);
    }
    gx_free(c.ids);
    gx_free(c.mask);
    return status;
}
