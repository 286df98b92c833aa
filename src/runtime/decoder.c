/* Opens a decoder: checks a session's inputs and outputs against the contract, once, so that stepping need not. */
#include <stdio.h>
#include <string.h>

#include "runtime/decoder_internal.h"

#define SHARED_CACHE_KEY "gemma_onnx.shared_cache"

/* The axes of a cache. */
enum { AXIS_BATCH, AXIS_HEADS, AXIS_LENGTH, AXIS_WIDTH, CACHE_RANK };

static const char *dtype_name(gx_dtype dtype)
{
    return dtype < GX_DTYPE_COUNT ? gx_dtype_get(dtype)->name : "another type";
}

static gx_status check_value(const gx_decoder *d, const char *name, const gx_session_value *value, gx_dtype dtype, gx_dtype other,
                             size_t rank, gx_error *error)
{
    if (!value)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: not a decoder with caches: it has no '%s'", gx_session_name(d->session), name);
    if ((value->dtype != dtype && value->dtype != other) || value->rank != rank)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: '%s' is %s of rank %zu, expected %s%s%s of rank %zu", gx_session_name(d->session),
                       name, dtype_name(value->dtype), value->rank, dtype_name(dtype), dtype == other ? "" : " or ",
                       dtype == other ? "" : dtype_name(other), rank);
    return GX_OK;
}

/* A static graph has numbers where a growing one has names; a batch may be fixed. */
static gx_status check_ids_input(gx_decoder *d, const char *name, gx_error *error)
{
    const gx_session_value *value = gx_session_find_input(d->session, name);
    GX_TRY(check_value(d, name, value, GX_DTYPE_I64, GX_DTYPE_I64, 2, error));
    if (value->dims[1] >= 0)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: '%s' has a fixed length of %lld: a static graph, expected one of dynamic shape",
                       gx_session_name(d->session), name, (long long)value->dims[1]);
    if (value->dims[0] >= 0)
        d->batch = value->dims[0];
    return GX_OK;
}

static gx_status check_past_shape(const gx_decoder *d, const gx_session_value *past, gx_error *error)
{
    const char *model = gx_session_name(d->session);
    if (past->dims[AXIS_LENGTH] >= 0)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: '%s' has a fixed length of %lld, expected a cache that grows", model, past->name,
                       (long long)past->dims[AXIS_LENGTH]);
    if (past->dims[AXIS_HEADS] <= 0 || past->dims[AXIS_WIDTH] <= 0)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: '%s': heads and width (dimensions 1 and 3) must be numbers above 0", model,
                       past->name);
    return GX_OK;
}

static gx_status read_slot(gx_decoder *d, gx_decoder_slot *slot, size_t layer, const char *what, gx_error *error)
{
    slot->past_name = gx_arena_printf(d->arena, "past_key_values.%zu.%s", layer, what);
    slot->present_name = gx_arena_printf(d->arena, "present.%zu.%s", layer, what);
    if (!slot->past_name || !slot->present_name)
        return gx_fail_memory(error);
    const gx_session_value *past = gx_session_find_input(d->session, slot->past_name);
    const gx_session_value *present = gx_session_find_output(d->session, slot->present_name);
    GX_TRY(check_value(d, slot->past_name, past, GX_DTYPE_F32, GX_DTYPE_F16, CACHE_RANK, error));
    GX_TRY(check_value(d, slot->present_name, present, past->dtype, past->dtype, CACHE_RANK, error));
    GX_TRY(check_past_shape(d, past, error));
    slot->dtype = past->dtype;
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

static gx_status read_slots(gx_decoder *d, gx_error *error)
{
    const size_t layers = count_layers(d->session);
    d->slots = GX_NEW_ARRAY(d->arena, gx_decoder_slot, 2 * layers);
    if (!d->slots)
        return gx_fail_memory(error);
    if (layers == 0)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: not a decoder with caches: it has no 'past_key_values.0.key'",
                       gx_session_name(d->session));
    for (size_t layer = 0; layer < layers; layer++) {
        GX_TRY(read_slot(d, &d->slots[2 * layer], layer, "key", error));
        GX_TRY(read_slot(d, &d->slots[2 * layer + 1], layer, "value", error));
    }
    d->slot_count = 2 * layers;
    return GX_OK;
}

static bool is_known_input(const gx_decoder *d, const char *name)
{
    if (strcmp(name, "input_ids") == 0 || strcmp(name, "attention_mask") == 0 || strcmp(name, "position_ids") == 0)
        return true;
    for (size_t i = 0; i < d->slot_count; i++)
        if (strcmp(name, d->slots[i].past_name) == 0)
            return true;
    return false;
}

static gx_status check_contract(gx_decoder *d, gx_error *error)
{
    GX_TRY(check_ids_input(d, "input_ids", error));
    GX_TRY(check_ids_input(d, "attention_mask", error));
    d->wants_positions = gx_session_find_input(d->session, "position_ids") != NULL;
    if (d->wants_positions)
        GX_TRY(check_ids_input(d, "position_ids", error));
    GX_TRY(read_slots(d, error));
    for (size_t i = 0; i < gx_session_input_count(d->session); i++)
        if (!is_known_input(d, gx_session_input(d->session, i)->name))
            return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: wants an input '%s', which a text decoder has no values for",
                           gx_session_name(d->session), gx_session_input(d->session, i)->name);
    const gx_session_value *logits = gx_session_find_output(d->session, "logits");
    GX_TRY(check_value(d, "logits", logits, GX_DTYPE_F32, GX_DTYPE_F16, 3, error));
    d->vocabulary = logits->dims[2] > 0 ? (uint64_t)logits->dims[2] : 0;
    return GX_OK;
}

static bool declares_shared_cache(const gx_session *session)
{
    const char *declared = gx_session_metadata(session, SHARED_CACHE_KEY);
    return declared && strcmp(declared, "1") == 0;
}

gx_status gx_decoder_open(gx_decoder **out, gx_session *session, gx_decoder_cache cache, gx_error *error)
{
    gx_arena *arena = gx_arena_new();
    gx_decoder *d = arena ? GX_NEW(arena, gx_decoder) : NULL;
    if (!d) {
        gx_arena_free(arena);
        return gx_fail_memory(error);
    }
    *d = (gx_decoder){.session = session, .arena = arena, .batch = -1};
    d->shared = cache == GX_DECODER_CACHE_DECLARED ? declares_shared_cache(session) : cache == GX_DECODER_CACHE_SHARED;
    const gx_status status = check_contract(d, error);
    if (status != GX_OK) {
        gx_decoder_close(d);
        return status;
    }
    *out = d;
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
