/* The caches of a dynamic decoder's batch: made, emptied, cut back, moved on by a step. */
#include <string.h>

#include "base/checked.h"
#include "runtime/decoder_internal.h"

#define GX_DYNAMIC_ID_INPUTS 3 /* input_ids, attention_mask, position_ids */

static void free_caches(gx_decoder_state *s)
{
    for (size_t i = 0; i < s->decoder->slot_count; i++) {
        gx_ort_tensor_free(gx_decoder_runtime(s), s->caches[i]);
        s->caches[i] = NULL;
    }
}

/* Growing caches begin with no rows, shared ones with all of them. */
static gx_status make_caches(gx_decoder_state *s, gx_error *error)
{
    for (size_t i = 0; i < s->decoder->slot_count; i++) {
        const gx_decoder_slot *slot = &s->decoder->slots[i];
        int64_t dims[4];
        gx_decoder_cache_dims(dims, slot, s->batch, s->decoder->shared ? s->capacity : 0);
        GX_TRY(gx_ort_tensor_new(&s->caches[i], gx_decoder_runtime(s), slot->dtype, 4, dims, error));
    }
    return GX_OK;
}

static gx_status allocate(gx_decoder_state *s, gx_error *error)
{
    const size_t slots = s->decoder->slot_count;
    uint64_t cells;
    if (!gx_mul_u64(s->batch, s->capacity, &cells) || cells > INT32_MAX)
        return gx_fail(error, GX_ERROR_ARGUMENT, "a batch of %zu with room for %zu positions each is too large", s->batch, s->capacity);
    s->padding = GX_NEW_ARRAY(s->arena, size_t, s->batch);
    s->mask = GX_NEW_ARRAY(s->arena, int64_t, cells);
    s->positions = GX_NEW_ARRAY(s->arena, int64_t, cells);
    s->caches = GX_NEW_ARRAY(s->arena, gx_ort_tensor *, slots);
    s->new_caches = GX_NEW_ARRAY(s->arena, gx_ort_tensor *, slots);
    s->input_names = GX_NEW_ARRAY(s->arena, const char *, slots + GX_DYNAMIC_ID_INPUTS);
    s->inputs = GX_NEW_ARRAY(s->arena, gx_ort_tensor *, slots + GX_DYNAMIC_ID_INPUTS);
    s->output_names = GX_NEW_ARRAY(s->arena, const char *, slots + 1);
    s->outputs = GX_NEW_ARRAY(s->arena, gx_ort_tensor *, slots + 1);
    if (!s->padding || !s->mask || !s->positions || !s->caches || !s->new_caches || !s->input_names || !s->inputs || !s->output_names ||
        !s->outputs)
        return gx_fail_memory(error);
    return make_caches(s, error);
}

void gx_dynamic_drop_logits(gx_decoder_state *s)
{
    gx_ort_tensor_free(gx_decoder_runtime(s), s->logits);
    gx_free(s->converted_logits);
    s->logits = NULL;
    s->converted_logits = NULL;
}

/* A failed growing reset leaves fewer caches than slots; the state is then good for freeing and for another reset. */
static gx_status reset(gx_decoder_state *state, const size_t *padding, gx_error *error)
{
    gx_dynamic_drop_logits(state);
    state->length = 0;
    for (size_t row = 0; row < state->batch; row++)
        state->padding[row] = padding ? padding[row] : 0;
    if (state->decoder->shared) /* what lies beyond the length is never read */
        return GX_OK;
    free_caches(state);
    return make_caches(state, error);
}

/* The first `length` positions of every head, out of `from` into the shorter `to`. */
static void copy_prefix(const gx_ort_view *to, const gx_ort_view *from, size_t element_nbytes)
{
    const size_t to_nbytes = (size_t)to->dims[2] * (size_t)to->dims[3] * element_nbytes;
    const size_t from_nbytes = (size_t)from->dims[2] * (size_t)from->dims[3] * element_nbytes;
    const size_t heads = (size_t)(to->dims[0] * to->dims[1]);
    for (size_t head = 0; head < heads; head++)
        memcpy((char *)to->data + head * to_nbytes, (const char *)from->data + head * from_nbytes, to_nbytes);
}

static gx_status cut_cache(gx_decoder_state *s, size_t index, size_t length, gx_error *error)
{
    const gx_decoder_slot *slot = &s->decoder->slots[index];
    int64_t dims[4];
    gx_ort_view from, to;
    gx_decoder_cache_dims(dims, slot, s->batch, length);
    GX_TRY(gx_ort_tensor_new(&s->new_caches[index], gx_decoder_runtime(s), slot->dtype, 4, dims, error));
    GX_TRY(gx_ort_tensor_describe(&from, gx_decoder_runtime(s), s->caches[index], error));
    GX_TRY(gx_ort_tensor_describe(&to, gx_decoder_runtime(s), s->new_caches[index], error));
    copy_prefix(&to, &from, gx_dtype_get(slot->dtype)->block_nbytes);
    return GX_OK;
}

void gx_dynamic_settle_caches(gx_decoder_state *s, bool keep_new)
{
    for (size_t i = 0; i < s->decoder->slot_count; i++) {
        gx_ort_tensor *kept = keep_new ? s->new_caches[i] : s->caches[i];
        gx_ort_tensor *dropped = keep_new ? s->caches[i] : s->new_caches[i];
        gx_ort_tensor_free(gx_decoder_runtime(s), dropped);
        s->caches[i] = kept;
        s->new_caches[i] = NULL;
    }
}

static gx_status rewind_to(gx_decoder_state *state, size_t length, gx_error *error)
{
    for (size_t row = 0; row < state->batch; row++)
        if (length <= state->padding[row])
            return gx_fail(error, GX_ERROR_ARGUMENT,
                           "rewinding to position %zu leaves nothing of row %zu, which begins with %zu of padding", length, row,
                           state->padding[row]);
    gx_status status = GX_OK;
    if (!state->decoder->shared && length < state->length) {
        for (size_t i = 0; status == GX_OK && i < state->decoder->slot_count; i++)
            status = cut_cache(state, i, length, error);
        gx_dynamic_settle_caches(state, status == GX_OK);
    }
    if (status == GX_OK)
        state->length = length;
    return status;
}

const gx_decoder_kind gx_dynamic_decoder_kind = {
    .allocate = allocate,
    .release = gx_dynamic_drop_logits,
    .reset = reset,
    .rewind = rewind_to,
    .step = gx_dynamic_step,
};
