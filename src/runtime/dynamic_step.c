/* One step of a dynamic decoder: ids in, logits out, caches longer. What comes back is checked before it is believed: the graph may be
 * another tool's. */
#include "base/checked.h"
#include "runtime/decoder_internal.h"
#include "tensor/half.h"

static gx_status check_step(const gx_decoder_state *s, const int64_t *ids, size_t sequence, gx_error *error)
{
    if (s->batch > 1 && sequence > 1 && s->length > 0)
        return gx_fail(error, GX_ERROR_ARGUMENT,
                       "%zu ids at once after a non-empty cache, for a batch of %zu: ONNX Runtime's GroupQueryAttention takes them for a "
                       "batch of 1 only; step one id at a time, or one text at a time",
                       sequence, s->batch);
    for (size_t row = 0; s->length == 0 && row < s->batch; row++)
        if (s->padding[row] >= sequence)
            return gx_fail(error, GX_ERROR_ARGUMENT, "row %zu of a step of %zu ids is padding only (%zu)", row, sequence, s->padding[row]);
    for (size_t row = 0; row < s->batch; row++)
        GX_TRY(gx_decoder_check_ids(s->decoder, ids + row * sequence, sequence, row, error));
    return GX_OK;
}

/* Padding is 0 in the mask; the first id that counts has position 0. */
static void fill_mask(gx_decoder_state *s, size_t total)
{
    for (size_t row = 0; row < s->batch; row++)
        for (size_t i = 0; i < total; i++)
            s->mask[row * total + i] = i >= s->padding[row];
}

static void fill_positions(gx_decoder_state *s, size_t sequence)
{
    for (size_t row = 0; row < s->batch; row++) {
        for (size_t i = 0; i < sequence; i++) {
            const size_t at = s->length + i;
            s->positions[row * sequence + i] = at > s->padding[row] ? (int64_t)(at - s->padding[row]) : 0;
        }
    }
}

/* Fills the next entry of the inputs; the tensor is the step's to free. */
static gx_status add_ids(gx_decoder_state *s, size_t *count, const char *name, const int64_t *values, size_t width, gx_error *error)
{
    const int64_t dims[2] = {(int64_t)s->batch, (int64_t)width};
    const size_t nbytes = s->batch * width * sizeof *values;
    GX_TRY(gx_ort_tensor_wrap(&s->inputs[*count], gx_decoder_runtime(s), GX_DTYPE_I64, 2, dims, (void *)values, nbytes,
                              error)); /* read only: nothing is bound to it as an output */
    s->input_names[(*count)++] = name;
    return GX_OK;
}

static gx_status add_id_inputs(gx_decoder_state *s, size_t *count, const int64_t *ids, size_t sequence, gx_error *error)
{
    GX_TRY(add_ids(s, count, "input_ids", ids, sequence, error));
    GX_TRY(add_ids(s, count, "attention_mask", s->mask, s->length + sequence, error));
    return s->decoder->wants_positions ? add_ids(s, count, "position_ids", s->positions, sequence, error) : GX_OK;
}

static gx_status run(gx_decoder_state *s, size_t id_inputs, gx_error *error)
{
    const gx_decoder *d = s->decoder;
    s->output_names[0] = "logits";
    s->outputs[0] = NULL;
    for (size_t i = 0; i < d->slot_count; i++) {
        s->input_names[id_inputs + i] = d->slots[i].past_name;
        s->inputs[id_inputs + i] = s->caches[i];
        s->output_names[1 + i] = d->slots[i].present_name;
        s->outputs[1 + i] = d->shared ? s->caches[i] : NULL;
    }
    const gx_session_run_io io = {s->input_names, s->inputs, id_inputs + d->slot_count, s->output_names, s->outputs, 1 + d->slot_count};
    GX_TRY(gx_session_run(d->session, &io, error));
    s->logits = s->outputs[0];
    for (size_t i = 0; !d->shared && i < d->slot_count; i++)
        s->new_caches[i] = s->outputs[1 + i];
    return GX_OK;
}

static gx_status check_caches(const gx_decoder_state *s, size_t total, gx_error *error)
{
    const gx_decoder *d = s->decoder;
    for (size_t i = 0; !d->shared && i < d->slot_count; i++) {
        gx_ort_view view;
        int64_t dims[4];
        gx_decoder_cache_dims(dims, &d->slots[i], s->batch, total);
        GX_TRY(gx_ort_tensor_describe(&view, gx_decoder_runtime(s), s->new_caches[i], error));
        bool same = view.dtype == d->slots[i].dtype && view.rank == 4;
        for (size_t axis = 0; same && axis < 4; axis++)
            same = view.dims[axis] == dims[axis];
        if (!same)
            return gx_fail(error, GX_ERROR_FORMAT, "%s: '%s' came back with another shape or type than [%lld, %lld, %lld, %lld]",
                           gx_session_name(d->session), d->slots[i].present_name, (long long)dims[0], (long long)dims[1],
                           (long long)dims[2], (long long)dims[3]);
    }
    return GX_OK;
}

static gx_status convert_logits(gx_decoder_state *s, const gx_ort_view *view, gx_error *error)
{
    const uint16_t *halves = view->data;
    s->converted_logits = gx_alloc(view->elements, sizeof *s->converted_logits);
    if (!s->converted_logits)
        return gx_fail_memory(error);
    for (size_t i = 0; i < view->elements; i++)
        s->converted_logits[i] = gx_half_to_float(halves[i]);
    return GX_OK;
}

static gx_status take_logits(gx_decoder_state *s, size_t sequence, gx_decoder_logits *out, gx_error *error)
{
    const char *model = gx_session_name(s->decoder->session);
    gx_ort_view view;
    GX_TRY(gx_ort_tensor_describe(&view, gx_decoder_runtime(s), s->logits, error));
    if ((view.dtype != GX_DTYPE_F32 && view.dtype != GX_DTYPE_F16) || view.rank != 3)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: 'logits' came back with rank %zu or another type than fp32 and fp16", model, view.rank);
    if (view.dims[0] != (int64_t)s->batch || (view.dims[1] != 1 && view.dims[1] != (int64_t)sequence) || view.dims[2] < 1)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: 'logits' came back as [%lld, %lld, %lld], expected [%zu, 1 or %zu, vocabulary]", model,
                       (long long)view.dims[0], (long long)view.dims[1], (long long)view.dims[2], s->batch, sequence);
    if (view.dtype == GX_DTYPE_F16)
        GX_TRY(convert_logits(s, &view, error));
    *out = (gx_decoder_logits){s->converted_logits ? s->converted_logits : view.data, (size_t)view.dims[1], (size_t)view.dims[2]};
    return GX_OK;
}

gx_status gx_dynamic_step(gx_decoder_state *state, const int64_t *ids, size_t sequence, gx_decoder_logits *out, gx_error *error)
{
    GX_TRY(check_step(state, ids, sequence, error));
    const size_t total = state->length + sequence;
    size_t id_inputs = 0;
    gx_decoder_logits logits = {0};
    gx_dynamic_drop_logits(state);
    fill_mask(state, total);
    fill_positions(state, sequence);
    gx_status status = add_id_inputs(state, &id_inputs, ids, sequence, error);
    if (status == GX_OK)
        status = run(state, id_inputs, error);
    for (size_t i = 0; i < id_inputs; i++)
        gx_ort_tensor_free(gx_decoder_runtime(state), state->inputs[i]);
    if (status == GX_OK)
        status = check_caches(state, total, error);
    if (status == GX_OK)
        status = take_logits(state, sequence, &logits, error);
    if (!state->decoder->shared)
        gx_dynamic_settle_caches(state, status == GX_OK);
    if (status != GX_OK) {
        gx_dynamic_drop_logits(state);
        return status;
    }
    state->length = total;
    *out = logits;
    return GX_OK;
}
