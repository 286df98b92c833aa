/*
 * A static decoder's states: fixed caches, and which graph takes the next ids. A call that is longer than what is left is
 * filled up with padding where the rules allow it; otherwise the graph of one id takes the rest.
 */
#include <string.h>

#include "base/checked.h"
#include "runtime/decoder_internal.h"
#include "tensor/half.h"

#define PADDING_ID 0
#define MAX_INPUTS 4 /* besides the caches: input_ids, last_index, and position or the two lengths */

/* ---- memory ---- */

static gx_status allocate(gx_decoder_state *s, gx_error *error)
{
    const gx_decoder *d = s->decoder;
    s->rows = (size_t)d->batch;
    uint64_t logits;
    if (!gx_mul_u64(s->rows, d->vocabulary, &logits))
        return gx_fail_memory(error);
    s->caches = GX_NEW_ARRAY(s->arena, gx_ort_tensor *, d->slot_count);
    s->positions = GX_NEW_ARRAY(s->arena, int64_t, s->rows);
    s->starts = GX_NEW_ARRAY(s->arena, int64_t, s->rows);
    s->ids = GX_NEW_ARRAY(s->arena, int64_t, s->rows * d->calls[0].sequence);
    s->last_index = GX_NEW_ARRAY(s->arena, int64_t, s->rows);
    s->lengths = GX_NEW_ARRAY(s->arena, int32_t, s->rows);
    s->total = GX_NEW_ARRAY(s->arena, int32_t, 1);
    s->input_names = GX_NEW_ARRAY(s->arena, const char *, d->slot_count + MAX_INPUTS);
    s->inputs = GX_NEW_ARRAY(s->arena, gx_ort_tensor *, d->slot_count + MAX_INPUTS);
    s->output_names = GX_NEW_ARRAY(s->arena, const char *, d->slot_count + 1);
    s->outputs = GX_NEW_ARRAY(s->arena, gx_ort_tensor *, d->slot_count + 1);
    s->last_logits = gx_alloc(logits, sizeof *s->last_logits);
    s->new_logits = gx_alloc(logits, sizeof *s->new_logits);
    if (!s->caches || !s->positions || !s->starts || !s->ids || !s->last_index || !s->lengths || !s->total || !s->input_names || !s->inputs || !s->output_names ||
        !s->outputs || !s->last_logits || !s->new_logits)
        return gx_fail_memory(error);
    for (size_t i = 0; i < d->slot_count; i++) {
        int64_t dims[4];
        gx_decoder_cache_dims(dims, &d->slots[i], s->rows, (size_t)d->slots[i].length);
        GX_TRY(gx_ort_tensor_new(&s->caches[i], gx_decoder_runtime(s), d->slots[i].dtype, 4, dims, error));
    }
    return GX_OK;
}

static void release(gx_decoder_state *s)
{
    gx_free(s->last_logits);
    gx_free(s->new_logits);
}

/* What lies beyond a row's position is never seen. */
static gx_status reset(gx_decoder_state *s, const size_t *padding, gx_error *error)
{
    for (size_t row = 0; padding && row < s->batch; row++)
        if (padding[row])
            return gx_fail(error, GX_ERROR_ARGUMENT, "static graphs take no padding in front");
    memset(s->positions, 0, s->rows * sizeof *s->positions);
    s->length = 0;
    return GX_OK;
}

static gx_status rewind_to(gx_decoder_state *s, size_t length, gx_error *error)
{
    if (length < s->length && !s->decoder->rewinds)
        return gx_fail(error, GX_ERROR_ARGUMENT, "%s: bounded caches cannot go back", gx_session_name(s->decoder->session));
    for (size_t row = 0; row < s->rows; row++)
        if (s->positions[row] > (int64_t)length)
            s->positions[row] = (int64_t)length;
    s->length = length;
    return GX_OK;
}

/* ---- which graph ---- */

typedef struct work {
    const gx_static_row *rows; /* what was asked */
    size_t done[8], left[8];   /* ids of each row */
    size_t least, most;        /* left */
} work;

#define MAX_ROWS (sizeof((work){0}.done) / sizeof(size_t))

static void count_work(work *w, size_t rows)
{
    w->least = SIZE_MAX;
    w->most = 0;
    for (size_t r = 0; r < rows; r++) {
        w->left[r] = w->rows[r].count - w->done[r];
        w->least = w->left[r] < w->least ? w->left[r] : w->least;
        w->most = w->left[r] > w->most ? w->left[r] : w->most;
    }
}

static bool rows_are_level(const gx_decoder_state *s)
{
    for (size_t r = 1; r < s->rows; r++)
        if (s->positions[r] != s->positions[0])
            return false;
    return true;
}

static bool may_take(const gx_decoder_state *s, const gx_static_call *call, const work *w)
{
    const gx_static_rules *rules = &s->decoder->rules;
    if (call->sequence == 1)
        return rules->padding || w->least > 0;
    return w->most > 1 && s->length + call->sequence <= rules->max_length && (rules->continues || s->length == 0) &&
           (rules->padding || w->least >= call->sequence) && (rules->rows_at_different_positions || (rows_are_level(s) && w->least > 0));
}

/* The shortest graph that takes all that is left, else the longest that may be used. NULL: none may. */
static const gx_static_call *pick_call(const gx_decoder_state *s, const work *w)
{
    const gx_decoder *d = s->decoder;
    const gx_static_call *longest = NULL;
    for (size_t i = d->call_count; i-- > 0;) {
        if (!may_take(s, &d->calls[i], w))
            continue;
        longest = &d->calls[i];
        if (longest->sequence >= w->most)
            break;
    }
    return longest;
}

/* ---- one call ---- */

static void fill_inputs(gx_decoder_state *s, const gx_static_call *call, const work *w)
{
    const size_t sequence = call->sequence;
    const int64_t room = (int64_t)s->decoder->rules.max_length;
    const int64_t end = sequence == 1 ? (int64_t)s->length + 1 : s->positions[0] + (int64_t)sequence;
    for (size_t r = 0; r < s->rows; r++) {
        const size_t taken = w->left[r] < sequence ? w->left[r] : sequence;
        for (size_t i = 0; i < sequence; i++)
            s->ids[r * sequence + i] = i < taken ? w->rows[r].ids[w->done[r] + i] : PADDING_ID;
        s->last_index[r] = taken ? (int64_t)taken - 1 : 0;
        s->starts[r] = s->positions[r] < room ? s->positions[r] : room - 1; /* a full row waits for the others: its last slot is lost */
        if (sequence == 1)
            s->lengths[r] = (int32_t)s->starts[r];
        else /* behind a past all positions count, padding included: it is overwritten before it is seen */
            s->lengths[r] = (int32_t)(s->length == 0 ? (int64_t)taken - 1 : end - 1);
    }
    s->total[0] = (int32_t)(end < room ? end : room);
}

static gx_status add_input(gx_decoder_state *s, size_t *count, const char *name, gx_dtype dtype, size_t rank, const int64_t *dims, void *values,
                           gx_error *error)
{
    size_t nbytes = gx_dtype_get(dtype)->block_nbytes;
    for (size_t i = 0; i < rank; i++)
        nbytes *= (size_t)dims[i];
    GX_TRY(gx_ort_tensor_wrap(&s->inputs[*count], gx_decoder_runtime(s), dtype, rank, dims, values, nbytes, error));
    s->input_names[(*count)++] = name;
    return GX_OK;
}

static gx_status add_inputs(gx_decoder_state *s, size_t *count, const gx_static_call *call, gx_error *error)
{
    const int64_t dims[2] = {(int64_t)s->rows, (int64_t)call->sequence}, one[1] = {1};
    GX_TRY(add_input(s, count, "input_ids", GX_DTYPE_I64, 2, dims, s->ids, error));
    if (s->decoder->takes_position) {
        GX_TRY(add_input(s, count, "position", GX_DTYPE_I64, 1, dims, s->starts, error));
    } else {
        GX_TRY(add_input(s, count, "seqlens_k", GX_DTYPE_I32, 1, dims, s->lengths, error));
        GX_TRY(add_input(s, count, "total_sequence_length", GX_DTYPE_I32, 1, one, s->total, error));
    }
    return call->wants_last_index ? add_input(s, count, "last_index", GX_DTYPE_I64, 1, dims, s->last_index, error) : GX_OK;
}

static gx_status show_tapped(gx_decoder_state *s, size_t index, gx_error *error)
{
    gx_ort_view view;
    float *converted = NULL;
    GX_TRY(gx_ort_tensor_describe(&view, gx_decoder_runtime(s), s->outputs[1 + s->decoder->slot_count + index], error));
    if ((view.dtype != GX_DTYPE_F32 && view.dtype != GX_DTYPE_F16) || view.rank != 2)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "'%s' is no matrix of floating-point numbers", s->tap->names[index]);
    const size_t columns = (size_t)view.dims[1], first = (size_t)s->last_index[0] * columns;
    if (first + columns > view.elements)
        return gx_fail(error, GX_ERROR_FORMAT, "'%s' has %lld rows, too few for the call", s->tap->names[index], (long long)view.dims[0]);
    const float *values = (const float *)view.data + first;
    if (view.dtype == GX_DTYPE_F16) {
        values = converted = gx_alloc(columns, sizeof *converted);
        if (!converted)
            return gx_fail_memory(error);
        for (size_t i = 0; i < columns; i++)
            converted[i] = gx_half_to_float(((const uint16_t *)view.data)[first + i]);
    }
    s->tap->callback(s->tap->context, index, columns, values);
    gx_free(converted);
    return GX_OK;
}

/* Frees them, too. */
static gx_status show_all_tapped(gx_decoder_state *s, bool ran, gx_error *error)
{
    gx_status status = GX_OK;
    for (size_t i = 0; s->tap && i < s->tap->count; i++) {
        if (ran && status == GX_OK)
            status = show_tapped(s, i, error);
        if (ran)
            gx_ort_tensor_free(gx_decoder_runtime(s), s->outputs[1 + s->decoder->slot_count + i]);
    }
    return status;
}

gx_status gx_static_decoder_set_tap(gx_decoder_state *state, const gx_static_tap *tap, gx_error *error)
{
    const size_t outputs = 1 + state->decoder->slot_count + (tap ? tap->count : 0);
    state->output_names = GX_NEW_ARRAY(state->arena, const char *, outputs);
    state->outputs = GX_NEW_ARRAY(state->arena, gx_ort_tensor *, outputs);
    state->tap = tap;
    return state->output_names && state->outputs ? GX_OK : gx_fail_memory(error);
}

/* Logits of one position go into new_logits; those of all are made by ONNX Runtime: *every, to be freed. */
static gx_status run(gx_decoder_state *s, const gx_static_call *call, size_t inputs, gx_ort_tensor **every, gx_error *error)
{
    const gx_decoder *d = s->decoder;
    const bool one = call->sequence == 1 || call->wants_last_index;
    s->output_names[0] = "logits";
    s->outputs[0] = NULL;
    if (one) {
        const int64_t dims[3] = {(int64_t)s->rows, 1, (int64_t)d->vocabulary};
        GX_TRY(gx_ort_tensor_wrap(&s->outputs[0], gx_decoder_runtime(s), GX_DTYPE_F32, 3, dims, s->new_logits,
                                  s->rows * d->vocabulary * sizeof *s->new_logits, error));
    }
    for (size_t i = 0; i < d->slot_count; i++) {
        s->input_names[inputs + i] = d->slots[i].past_name;
        s->output_names[1 + i] = d->slots[i].present_name;
        s->inputs[inputs + i] = s->outputs[1 + i] = s->caches[i];
    }
    const size_t tapped = s->tap ? s->tap->count : 0;
    for (size_t i = 0; i < tapped; i++) {
        s->output_names[1 + d->slot_count + i] = s->tap->names[i];
        s->outputs[1 + d->slot_count + i] = NULL;
    }
    const gx_session_run_io io = {s->input_names, s->inputs, inputs + d->slot_count, s->output_names, s->outputs, 1 + d->slot_count + tapped};
    gx_status status = gx_session_run(call->session, &io, error);
    const gx_status shown = show_all_tapped(s, status == GX_OK, status == GX_OK ? error : NULL);
    status = status != GX_OK ? status : shown;
    if (one)
        gx_ort_tensor_free(gx_decoder_runtime(s), s->outputs[0]);
    else if (status == GX_OK)
        *every = s->outputs[0];
    return status;
}

static gx_status pick_positions(gx_decoder_state *s, const gx_static_call *call, gx_ort_tensor *every, gx_error *error)
{
    const size_t vocabulary = s->decoder->vocabulary;
    gx_ort_view view;
    GX_TRY(gx_ort_tensor_describe(&view, gx_decoder_runtime(s), every, error));
    if (view.elements != s->rows * call->sequence * vocabulary || view.dtype != GX_DTYPE_F32)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: 'logits' came back with another shape or type", gx_session_name(call->session));
    for (size_t r = 0; r < s->rows; r++)
        memcpy(s->new_logits + r * vocabulary, (const float *)view.data + (r * call->sequence + (size_t)s->last_index[r]) * vocabulary,
               vocabulary * sizeof(float));
    return GX_OK;
}

/* Rows whose ids ended keep their logits from now on. */
static void take_logits(gx_decoder_state *s, const work *w, const gx_static_call *call)
{
    const size_t vocabulary = s->decoder->vocabulary;
    if (w->least == w->most && w->most <= call->sequence) { /* all of them */
        float *swapped = s->last_logits;
        s->last_logits = s->new_logits;
        s->new_logits = swapped;
        return;
    }
    for (size_t r = 0; r < s->rows; r++)
        if (w->left[r] > 0 && w->left[r] <= call->sequence)
            memcpy(s->last_logits + r * vocabulary, s->new_logits + r * vocabulary, vocabulary * sizeof(float));
}

static gx_status make_call(gx_decoder_state *s, const gx_static_call *call, work *w, gx_error *error)
{
    size_t inputs = 0;
    gx_ort_tensor *every = NULL;
    fill_inputs(s, call, w);
    gx_status status = add_inputs(s, &inputs, call, error);
    if (status == GX_OK)
        status = run(s, call, inputs, &every, error);
    for (size_t i = 0; i < inputs; i++)
        gx_ort_tensor_free(gx_decoder_runtime(s), s->inputs[i]);
    if (status == GX_OK && every)
        status = pick_positions(s, call, every, error);
    gx_ort_tensor_free(gx_decoder_runtime(s), every);
    if (status != GX_OK)
        return status;
    take_logits(s, w, call);
    for (size_t r = 0; r < s->rows; r++) {
        const size_t taken = w->left[r] < call->sequence ? w->left[r] : call->sequence;
        w->done[r] += taken;
        s->positions[r] += (int64_t)taken;
        s->length = (size_t)s->positions[r] > s->length ? (size_t)s->positions[r] : s->length;
    }
    return GX_OK;
}

/* ---- ids in, logits out ---- */

static gx_status check_rows(const gx_decoder_state *s, const gx_static_row *rows, gx_error *error)
{
    for (size_t r = 0; r < s->rows; r++) {
        GX_TRY(gx_decoder_check_ids(s->decoder, rows[r].ids, rows[r].count, r, error));
        if (rows[r].count > s->capacity - (size_t)s->positions[r])
            return gx_fail(error, GX_ERROR_ARGUMENT, "%zu ids after %lld positions of row %zu: the cache has room for %zu", rows[r].count,
                           (long long)s->positions[r], r, s->capacity);
    }
    return GX_OK;
}

gx_status gx_static_decoder_feed(gx_decoder_state *state, const gx_static_row *rows, gx_decoder_logits *out, gx_error *error)
{
    work w = {.rows = rows};
    if (state->rows > MAX_ROWS)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "a batch of %zu, expected at most %zu", state->rows, MAX_ROWS);
    GX_TRY(check_rows(state, rows, error));
    for (count_work(&w, state->rows); w.most > 0; count_work(&w, state->rows)) {
        const gx_static_call *call = pick_call(state, &w);
        if (!call)
            return gx_fail(error, GX_ERROR_ARGUMENT, "%s: rows of a bounded cache take equally many ids", gx_session_name(state->decoder->session));
        GX_TRY(make_call(state, call, &w, error));
    }
    *out = (gx_decoder_logits){state->last_logits, 1, state->decoder->vocabulary};
    return GX_OK;
}

static gx_status step(gx_decoder_state *s, const int64_t *ids, size_t sequence, gx_decoder_logits *out, gx_error *error)
{
    gx_static_row rows[MAX_ROWS];
    for (size_t r = 0; r < s->rows && r < MAX_ROWS; r++)
        rows[r] = (gx_static_row){ids + (s->batch == 1 ? 0 : r * sequence), sequence};
    return gx_static_decoder_feed(s, rows, out, error);
}

const gx_decoder_kind gx_static_decoder_kind = {
    .allocate = allocate,
    .release = release,
    .reset = reset,
    .rewind = rewind_to,
    .step = step,
};
