/* A decoder and its states as the files of this layer know them. What is said of one kind alone is left empty by the other. */
#ifndef GX_RUNTIME_DECODER_INTERNAL_H
#define GX_RUNTIME_DECODER_INTERNAL_H

#include "runtime/static_decoder.h"

/* How one kind of decoder does what runtime/decoder.h promises; arguments were checked as far as they concern both. */
typedef struct gx_decoder_kind {
    gx_status (*allocate)(gx_decoder_state *state, gx_error *error);
    void (*release)(gx_decoder_state *state); /* also what allocate left half-way */
    gx_status (*reset)(gx_decoder_state *state, const size_t *padding, gx_error *error);
    gx_status (*rewind)(gx_decoder_state *state, size_t length, gx_error *error);
    gx_status (*step)(gx_decoder_state *state, const int64_t *ids, size_t sequence, gx_decoder_logits *out, gx_error *error);
} gx_decoder_kind;

extern const gx_decoder_kind gx_dynamic_decoder_kind;
extern const gx_decoder_kind gx_static_decoder_kind;

typedef struct gx_decoder_slot { /* one key or value cache */
    const char *past_name, *present_name;
    gx_dtype dtype;
    int64_t heads, length, width; /* length: static */
} gx_decoder_slot;

typedef struct gx_static_call { /* one graph of a static decoder */
    gx_session *session;
    size_t sequence;
    bool wants_last_index;
} gx_static_call;

struct gx_decoder {
    const gx_decoder_kind *kind;
    gx_arena *arena; /* the decoder itself, too */
    gx_session *session; /* static: the decode graph's */
    bool shared;
    int64_t batch; /* -1: any */
    uint64_t vocabulary;
    gx_decoder_slot *slots; /* key and value of every layer */
    size_t slot_count;
    bool wants_positions; /* dynamic: an input "position_ids" */
    /* static */
    gx_static_rules rules;
    bool takes_position, rewinds;
    gx_static_call calls[GX_STATIC_MAX_GRAPHS]; /* longest first; the last is decode */
    size_t call_count;
};

struct gx_decoder_state {
    const gx_decoder *decoder;
    gx_arena *arena; /* the state itself and its tables */
    size_t batch, capacity;
    size_t length;          /* positions held by every row; static: by the fullest */
    gx_ort_tensor **caches; /* [slots] */
    const char **input_names, **output_names;
    gx_ort_tensor **inputs, **outputs;
    /* dynamic */
    size_t *padding;            /* [batch] */
    int64_t *mask, *positions;  /* [batch * capacity]: filled anew for every step; static: positions [rows] */
    gx_ort_tensor **new_caches; /* [slots]; NULL outside of a step or a rewind */
    gx_ort_tensor *logits;      /* of the last step; NULL: none */
    float *converted_logits;    /* the same as fp32, when they were fp16 */
    /* static */
    size_t rows;               /* of the graphs; batch, or more: then all rows are alike */
    int64_t *ids, *starts, *last_index; /* [rows * longest call], [rows], [rows]: a call's inputs */
    int32_t *lengths, *total;  /* [rows], [1] */
    float *last_logits, *new_logits; /* [rows, vocabulary] */
    const gx_static_tap *tap;        /* NULL: none */
};

static inline const gx_runtime *gx_decoder_runtime(const gx_decoder_state *state)
{
    return gx_session_runtime(state->decoder->session);
}

/* Of row-major [batch, heads, length, width]. */
static inline void gx_decoder_cache_dims(int64_t dims[4], const gx_decoder_slot *slot, size_t batch, size_t length)
{
    dims[0] = (int64_t)batch;
    dims[1] = slot->heads;
    dims[2] = (int64_t)length;
    dims[3] = slot->width;
}

/* dynamic_state.c: drops the logits of the last step. */
void gx_dynamic_drop_logits(gx_decoder_state *state);

/* dynamic_state.c: ends a step or rewind: the new caches replace the old ones, or go. */
void gx_dynamic_settle_caches(gx_decoder_state *state, bool keep_new);

gx_status gx_dynamic_step(gx_decoder_state *state, const int64_t *ids, size_t sequence, gx_decoder_logits *out, gx_error *error) GX_MUST_USE;

/* decoder.c: reads "past_key_values.N.key|value" of a session into d->slots. `length` -1: they must grow; else they may not. */
gx_status gx_decoder_read_slots(gx_decoder *d, bool grow, gx_error *error) GX_MUST_USE;
gx_status gx_decoder_check_value(const gx_session *session, const char *name, const gx_session_value *value, gx_dtype dtype, gx_dtype other, size_t rank,
                                 gx_error *error) GX_MUST_USE;
gx_status gx_decoder_check_ids(const gx_decoder *decoder, const int64_t *ids, size_t count, size_t row, gx_error *error) GX_MUST_USE;

#endif
