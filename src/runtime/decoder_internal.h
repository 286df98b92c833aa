/* What decoder.c finds out about a graph and decoder_state.c drives it by. */
#ifndef GX_RUNTIME_DECODER_INTERNAL_H
#define GX_RUNTIME_DECODER_INTERNAL_H

#include "runtime/decoder.h"

typedef struct gx_decoder_slot { /* one key or value cache */
    const char *past_name, *present_name;
    gx_dtype dtype;
    int64_t heads, width;
} gx_decoder_slot;

struct gx_decoder {
    gx_session *session;
    gx_arena *arena; /* the decoder itself, too */
    bool shared;
    bool wants_positions;
    int64_t batch; /* -1: any */
    uint64_t vocabulary;
    gx_decoder_slot *slots; /* key and value of every layer */
    size_t slot_count;
};

/* Row-major [batch, heads, length, width]. */
static inline void gx_decoder_cache_dims(int64_t dims[4], const gx_decoder_slot *slot, size_t batch, size_t length)
{
    dims[0] = (int64_t)batch;
    dims[1] = slot->heads;
    dims[2] = (int64_t)length;
    dims[3] = slot->width;
}

#endif
