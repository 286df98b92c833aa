/* Opens a static decoder: checks that its graphs are one another's, once, so that stepping need not. */
#include <string.h>

#include "runtime/decoder_internal.h"

static gx_status check_input(const gx_session *session, const char *name, gx_dtype dtype, size_t rank, gx_error *error)
{
    const gx_session_value *value = gx_session_find_input(session, name);
    GX_TRY(gx_decoder_check_value(session, name, value, dtype, dtype, rank, error));
    for (size_t i = 0; i < rank; i++)
        if (value->dims[i] < 1)
            return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: '%s' has no fixed shape, expected a static graph", gx_session_name(session), name);
    return GX_OK;
}

static gx_status add_call(gx_decoder *d, gx_session *session, gx_error *error)
{
    GX_TRY(check_input(session, "input_ids", GX_DTYPE_I64, 2, error));
    const gx_session_value *ids = gx_session_find_input(session, "input_ids");
    const gx_session_value *last_index = gx_session_find_input(session, "last_index");
    if (last_index)
        GX_TRY(check_input(session, "last_index", GX_DTYPE_I64, 1, error));
    if (d->batch >= 0 && d->batch != ids->dims[0])
        return gx_fail(error, GX_ERROR_FORMAT, "%s takes a batch of %lld, another graph beside it one of %lld", gx_session_name(session),
                       (long long)ids->dims[0], (long long)d->batch);
    d->batch = ids->dims[0];
    const gx_static_call call = {.session = session, .sequence = (size_t)ids->dims[1], .wants_last_index = last_index != NULL};
    size_t at = d->call_count++;
    for (; at > 0 && d->calls[at - 1].sequence < call.sequence; at--)
        d->calls[at] = d->calls[at - 1];
    d->calls[at] = call;
    return GX_OK;
}

static gx_status check_call(const gx_decoder *d, const gx_session *session, gx_error *error)
{
    if (d->takes_position) {
        GX_TRY(check_input(session, "position", GX_DTYPE_I64, 1, error));
    } else {
        GX_TRY(check_input(session, "seqlens_k", GX_DTYPE_I32, 1, error));
        GX_TRY(check_input(session, "total_sequence_length", GX_DTYPE_I32, 1, error));
    }
    for (size_t i = 0; i < d->slot_count; i++) {
        const gx_decoder_slot *slot = &d->slots[i];
        const gx_session_value *past = gx_session_find_input(session, slot->past_name), *present = gx_session_find_output(session, slot->present_name);
        const int64_t dims[4] = {d->batch, slot->heads, slot->length, slot->width};
        if (!past || !present || past->rank != 4 || present->rank != 4 || past->dtype != slot->dtype || present->dtype != slot->dtype ||
            memcmp(past->dims, dims, sizeof dims) != 0 || memcmp(present->dims, dims, sizeof dims) != 0)
            return gx_fail(error, GX_ERROR_FORMAT, "%s: '%s' and '%s' are not the caches of the graph beside it", gx_session_name(session),
                           slot->past_name, slot->present_name);
    }
    const gx_session_value *logits = gx_session_find_output(session, "logits");
    GX_TRY(gx_decoder_check_value(session, "logits", logits, GX_DTYPE_F32, GX_DTYPE_F32, 3, error));
    if (logits->dims[0] != d->batch || logits->dims[1] < 1 || logits->dims[2] != (int64_t)d->vocabulary)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: 'logits' does not have the shape of those of the graph beside it", gx_session_name(session));
    return GX_OK;
}

static gx_status check_graphs(gx_decoder *d, gx_session *const *sessions, size_t count, gx_error *error)
{
    for (size_t i = 0; i < count; i++)
        GX_TRY(add_call(d, sessions[i], error));
    if (count == 0 || d->calls[count - 1].sequence != 1)
        return gx_fail(error, GX_ERROR_FORMAT, "no decode graph, which takes one id a call, among %zu graphs", count);
    d->session = d->calls[count - 1].session;
    d->takes_position = gx_session_find_input(d->session, "position") != NULL;
    GX_TRY(gx_decoder_read_slots(d, false, error));
    const gx_session_value *logits = gx_session_find_output(d->session, "logits");
    d->vocabulary = logits && logits->rank == 3 && logits->dims[2] > 0 ? (uint64_t)logits->dims[2] : 0;
    d->rewinds = true;
    for (size_t i = 0; i < d->slot_count; i++)
        d->rewinds = d->rewinds && (uint64_t)d->slots[i].length == d->rules.max_length;
    for (size_t i = 0; i < count; i++)
        GX_TRY(check_call(d, sessions[i], error));
    return GX_OK;
}

gx_status gx_static_decoder_open(gx_decoder **out, gx_session *const *sessions, size_t count, const gx_static_rules *rules, gx_error *error)
{
    if (count > GX_STATIC_MAX_GRAPHS)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%zu graphs, expected at most %d", count, GX_STATIC_MAX_GRAPHS);
    gx_arena *arena = gx_arena_new();
    gx_decoder *d = arena ? GX_NEW(arena, gx_decoder) : NULL;
    if (!d) {
        gx_arena_free(arena);
        return gx_fail_memory(error);
    }
    *d = (gx_decoder){.kind = &gx_static_decoder_kind, .arena = arena, .shared = true, .batch = -1, .rules = *rules};
    const gx_status status = check_graphs(d, sessions, count, error);
    if (status != GX_OK) {
        gx_decoder_close(d);
        return status;
    }
    *out = d;
    return GX_OK;
}

size_t gx_static_decoder_longest_call(const gx_decoder *decoder)
{
    return decoder->calls[0].sequence;
}

bool gx_static_decoder_takes_padding(const gx_decoder *decoder)
{
    return decoder->rules.padding;
}
