/* Opens a dynamic decoder: checks a session's inputs and outputs against the contract, once, so that stepping need not. */
#include <string.h>

#include "runtime/decoder_internal.h"

#define SHARED_CACHE_KEY "gemma_onnx.shared_cache"

/* A static graph has numbers where a growing one has names; a batch may be fixed. */
static gx_status check_ids_input(gx_decoder *d, const char *name, gx_error *error)
{
    const gx_session_value *value = gx_session_find_input(d->session, name);
    GX_TRY(gx_decoder_check_value(d->session, name, value, GX_DTYPE_I64, GX_DTYPE_I64, 2, error));
    if (value->dims[1] >= 0)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: '%s' has a fixed length of %lld: a static graph, expected one of dynamic shape",
                       gx_session_name(d->session), name, (long long)value->dims[1]);
    if (value->dims[0] >= 0)
        d->batch = value->dims[0];
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
    GX_TRY(gx_decoder_read_slots(d, true, error));
    for (size_t i = 0; i < gx_session_input_count(d->session); i++)
        if (!is_known_input(d, gx_session_input(d->session, i)->name))
            return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: wants an input '%s', which a text decoder has no values for",
                           gx_session_name(d->session), gx_session_input(d->session, i)->name);
    const gx_session_value *logits = gx_session_find_output(d->session, "logits");
    GX_TRY(gx_decoder_check_value(d->session, "logits", logits, GX_DTYPE_F32, GX_DTYPE_F16, 3, error));
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
    *d = (gx_decoder){.kind = &gx_dynamic_decoder_kind, .session = session, .arena = arena, .batch = -1};
    d->shared = cache == GX_DECODER_CACHE_DECLARED ? declares_shared_cache(session) : cache == GX_DECODER_CACHE_SHARED;
    const gx_status status = check_contract(d, error);
    if (status != GX_OK) {
        gx_decoder_close(d);
        return status;
    }
    *out = d;
    return GX_OK;
}
