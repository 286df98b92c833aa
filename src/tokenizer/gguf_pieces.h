/* A GGUF's tokens as they stand in a tokenizer.json, and which of them are added tokens. */
#ifndef GX_TOKENIZER_GGUF_PIECES_H
#define GX_TOKENIZER_GGUF_PIECES_H

#include "tokenizer/from_gguf.h"
#include "tokenizer/vocabulary.h"

/* tokenizer.ggml.token_type */
enum { GX_GGUF_NORMAL = 1, GX_GGUF_UNKNOWN, GX_GGUF_CONTROL, GX_GGUF_USER_DEFINED, GX_GGUF_UNUSED, GX_GGUF_BYTE };

/* Counts, ids, types, scores, every piece's text and the chat template's. */
gx_status gx_gguf_tokenizer_check(const gx_gguf_tokenizer *source, gx_error *error) GX_MUST_USE;

/* Of a checked source. */
gx_status gx_gguf_pieces_build(gx_vocabulary *out, gx_arena *arena, const gx_gguf_tokenizer *source, gx_error *error) GX_MUST_USE;

/* Whether the token is looked for in raw text before merging. */
bool gx_gguf_is_added(const gx_gguf_tokenizer *source, uint32_t id);

/* Whether an added token is special: left out of decoded text when asked, plain text in user input when asked. */
bool gx_gguf_is_special(const gx_gguf_tokenizer *source, uint32_t id);

/* What SentencePiece says: a GGUF keeps no true score of tokens that are not learnt, and they all have 0. */
double gx_gguf_score(const gx_gguf_tokenizer *source, uint32_t id);

#endif
