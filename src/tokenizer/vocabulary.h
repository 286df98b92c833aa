/* Pieces by id and ids by piece. */
#ifndef GX_TOKENIZER_VOCABULARY_H
#define GX_TOKENIZER_VOCABULARY_H

#include "base/arena.h"

#define GX_NO_TOKEN   UINT32_MAX
#define GX_MAX_TOKENS (UINT32_C(1) << 22) /* sixteen times Gemma's: what a file may make us allocate */

typedef struct gx_piece {
    const char *bytes; /* not 0-terminated; may hold NULs */
    uint32_t nbytes;   /* 0: no such token */
    bool added_only;   /* no piece of the model: an added token with an id of its own */
} gx_piece;

typedef struct gx_vocabulary {
    uint32_t count;          /* highest id + 1 */
    const uint32_t *offsets; /* [count + 1] into bytes */
    const char *bytes;
    const uint32_t *slots; /* open addressing: ids of the model's pieces, or GX_NO_TOKEN */
    uint32_t mask;
} gx_vocabulary;

/* Copies the pieces into the arena. The same piece twice is GX_ERROR_FORMAT. `name` is the file's, for messages. */
gx_status gx_vocabulary_build(gx_vocabulary *out, gx_arena *arena, const gx_piece *pieces, size_t count, const char *name,
                              gx_error *error) GX_MUST_USE;

/* The model's piece with these bytes, or GX_NO_TOKEN. */
uint32_t gx_vocabulary_find(const gx_vocabulary *vocabulary, const char *bytes, size_t nbytes);

/* Empty for an id without a token. */
gx_piece gx_vocabulary_piece(const gx_vocabulary *vocabulary, uint32_t id);

#endif
