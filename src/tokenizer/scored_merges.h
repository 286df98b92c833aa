/* Byte-pair merges worked out from pieces and their scores. */
#ifndef GX_TOKENIZER_SCORED_MERGES_H
#define GX_TOKENIZER_SCORED_MERGES_H

#include "tokenizer/from_gguf.h"
#include "tokenizer/vocabulary.h"

/* Receives the merges in order of rank. */
typedef void (*gx_merge_callback)(void *context, gx_piece left, gx_piece right);

/* Every way to cut a piece into two pieces is a merge; a higher score goes first, then a longer left half, a longer right
 * half, a lower id: the order of the published files. Holds the merges of one score at a time. */
gx_status gx_scored_merges_each(const gx_vocabulary *vocabulary, const gx_gguf_tokenizer *source, gx_merge_callback callback, void *context,
                                gx_error *error) GX_MUST_USE;

#endif
