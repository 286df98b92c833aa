/* What both kinds of decoders share: the caches' names and shapes, sizes, and who does a step. */
#include <stdio.h>

#include "runtime/decoder_internal.h"

/* The axes of a cache. */
enum { AXIS_BATCH, AXIS_HEADS, AXIS_LENGTH, AXIS_WIDTH, CACHE_RANK };

static const char *dtype_name(gx_dtype dtype)
{
    return dtype < GX_DTYPE_COUNT ? gx_dtype_get(dtype)->name : "another type";
}

gx_status gx_decoder_check_value(const gx_session *session, const char *name, const gx_session_value *value, gx_dtype dtype, gx_dtype other, size_t rank,
                                 gx_error *error)
{
    if (!value)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: not a decoder with caches: it has no '%s'", gx_session_name(session), name);
    if ((value->dtype != dtype && value->dtype != other) || value->rank != rank)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: '%s' is %s of rank %zu, expected %s%s%s of rank %zu", gx_session_name(session),
                       name, dtype_name(value->dtype), value->rank, dtype_name(dtype), dtype == other ? "" : " or ",
                       dtype == other ? "" : dtype_name(other), rank);
    return GX_OK;
}

static gx_status check_past_shape(const gx_decoder *d, const gx_session_value *past, bool grow, gx_error *error)
{
    const char *model = gx_session_name(d->session);
    const int64_t length = past->dims[AXIS_LENGTH];
    if (grow && length >= 0)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: '%s' has a fixed length of %lld, expected a cache that grows", model, past->name,
                       (long long)length);
    if (!grow && length <= 0)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: '%s' has no fixed length, expected a static graph", model, past->name);
    if (past->dims[AXIS_HEADS] <= 0 || past->dims[AXIS_WIDTH] <= 0)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: '%s': heads and width (dimensions 1 and 3) must be numbers above 0", model,
                       past->name);
    return GX_OK;
}

static gx_status read_slot(gx_decoder *d, gx_decoder_slot *slot, size_t layer, const char *what, bool grow, gx_error *error)
{
    slot->past_name = gx_arena_printf(d->arena, "past_key_values.%zu.%s", layer, what);
    slot->present_name = gx_arena_printf(d->arena, "present.%zu.%s", layer, what);
    if (!slot->past_name || !slot->present_name)
        return gx_fail_memory(error);
    const gx_session_value *past = gx_session_find_input(d->session, slot->past_name);
    const gx_session_value *present = gx_session_find_output(d->session, slot->present_name);
    GX_TRY(gx_decoder_check_value(d->session, slot->past_name, past, GX_DTYPE_F32, GX_DTYPE_F16, CACHE_RANK, error));
    GX_TRY(gx_decoder_check_value(d->session, slot->present_name, present, past->dtype, past->dtype, CACHE_RANK, error));
    GX_TRY(check_past_shape(d, past, grow, error));
    slot->dtype = past->dtype;
    slot->length = grow ? -1 : past->dims[AXIS_LENGTH];
    slot->heads = past->dims[AXIS_HEADS];
    slot->width = past->dims[AXIS_WIDTH];
    return GX_OK;
}

static size_t count_layers(const gx_session *session)
{
    char name[64];
    size_t layers = 0;
    do
        snprintf(name, sizeof name, "past_key_values.%zu.key", layers++);
    while (gx_session_find_input(session, name));
    return layers - 1;
}

gx_status gx_decoder_read_slots(gx_decoder *d, bool grow, gx_error *error)
{
    const size_t layers = count_layers(d->session);
    d->slots = GX_NEW_ARRAY(d->arena, gx_decoder_slot, 2 * layers);
    if (!d->slots)
        return gx_fail_memory(error);
    if (layers == 0)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: not a decoder with caches: it has no 'past_key_values.0.key'",
                       gx_session_name(d->session));
    for (size_t layer = 0; layer < layers; layer++) {
        GX_TRY(read_slot(d, &d->slots[2 * layer], layer, "key", grow, error));
        GX_TRY(read_slot(d, &d->slots[2 * layer + 1], layer, "value", grow, error));
    }
    d->slot_count = 2 * layers;
    return GX_OK;
}

gx_status gx_decoder_check_ids(const gx_decoder *decoder, const int64_t *ids, size_t count, size_t row, gx_error *error)
{
    for (size_t i = 0; decoder->vocabulary && i < count; i++)
        if (ids[i] < 0 || (uint64_t)ids[i] >= decoder->vocabulary)
            return gx_fail(error, GX_ERROR_ARGUMENT, "id %lld at place %zu of row %zu, expected 0 to %llu", (long long)ids[i], i, row,
                           (unsigned long long)decoder->vocabulary - 1);
    return GX_OK;
}

void gx_decoder_close(gx_decoder *decoder)
{
    if (decoder)
        gx_arena_free(decoder->arena);
}

bool gx_decoder_shares_cache(const gx_decoder *decoder)
{
    return decoder->shared;
}

size_t gx_decoder_layer_count(const gx_decoder *decoder)
{
    return decoder->slot_count / 2;
}

uint64_t gx_decoder_vocabulary(const gx_decoder *decoder)
{
    return decoder->vocabulary;
}

bool gx_decoder_rewinds(const gx_decoder *decoder)
{
    return decoder->kind != &gx_static_decoder_kind || decoder->rewinds;
}

size_t gx_decoder_batch(const gx_decoder *decoder)
{
    return decoder->batch > 0 ? (size_t)decoder->batch : 0;
}

size_t gx_decoder_max_length(const gx_decoder *decoder)
{
    return decoder->rules.max_length;
}

/* ---- states ---- */

static gx_status check_size(const gx_decoder *decoder, size_t batch, size_t capacity, gx_error *error)
{
    const char *model = gx_session_name(decoder->session);
    if (batch == 0 || capacity == 0)
        return gx_fail(error, GX_ERROR_ARGUMENT, "a batch of %zu with room for %zu positions: expected at least 1 of each", batch,
                       capacity);
    const bool alike = decoder->kind == &gx_static_decoder_kind && batch == 1; /* every row gets the same */
    if (decoder->batch >= 0 && (uint64_t)decoder->batch != batch && !alike)
        return gx_fail(error, GX_ERROR_ARGUMENT, "%s takes a batch of %lld, not of %zu", model, (long long)decoder->batch, batch);
    if (decoder->rules.max_length && capacity > decoder->rules.max_length)
        return gx_fail(error, GX_ERROR_ARGUMENT, "%s: its caches hold %zu positions, %zu are wanted; convert it with a larger max_length", model,
                       decoder->rules.max_length, capacity);
    return GX_OK;
}

gx_status gx_decoder_state_new(gx_decoder_state **out, const gx_decoder *decoder, size_t batch, size_t capacity, gx_error *error)
{
    GX_TRY(check_size(decoder, batch, capacity, error));
    gx_arena *arena = gx_arena_new();
    gx_decoder_state *s = arena ? GX_NEW(arena, gx_decoder_state) : NULL;
    if (!s) {
        gx_arena_free(arena);
        return gx_fail_memory(error);
    }
    *s = (gx_decoder_state){.decoder = decoder, .arena = arena, .batch = batch, .capacity = capacity};
    const gx_status status = decoder->kind->allocate(s, error);
    if (status != GX_OK) {
        gx_decoder_state_free(s);
        return status;
    }
    *out = s;
    return GX_OK;
}

static void free_caches(gx_decoder_state *s)
{
    for (size_t i = 0; s->caches && i < s->decoder->slot_count; i++)
        gx_ort_tensor_free(gx_decoder_runtime(s), s->caches[i]);
}

void gx_decoder_state_free(gx_decoder_state *state)
{
    if (!state)
        return;
    free_caches(state);
    state->decoder->kind->release(state);
    gx_arena_free(state->arena);
}

size_t gx_decoder_state_length(const gx_decoder_state *state)
{
    return state->length;
}

size_t gx_decoder_state_room(const gx_decoder_state *state)
{
    return state->capacity - state->length;
}

gx_status gx_decoder_state_reset(gx_decoder_state *state, const size_t *padding, gx_error *error)
{
    return state->decoder->kind->reset(state, padding, error);
}

gx_status gx_decoder_state_rewind(gx_decoder_state *state, size_t length, gx_error *error)
{
    if (length > state->length)
        return gx_fail(error, GX_ERROR_ARGUMENT, "rewinding to position %zu of %zu", length, state->length);
    return state->decoder->kind->rewind(state, length, error);
}

gx_status gx_decoder_step(gx_decoder_state *state, const int64_t *ids, size_t sequence, gx_decoder_logits *out, gx_error *error)
{
    if (sequence == 0 || sequence > state->capacity - state->length)
        return gx_fail(error, GX_ERROR_ARGUMENT, "%zu ids after %zu positions, expected 1 to %zu: the cache has room for %zu", sequence,
                       state->length, state->capacity - state->length, state->capacity);
    return state->decoder->kind->step(state, ids, sequence, out, error);
}
