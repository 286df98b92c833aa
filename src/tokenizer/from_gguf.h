/*
 * A GGUF's tokenizer metadata as the files that Hugging Face's libraries load: tokenizer.json, tokenizer_config.json. A
 * GGUF keeps SentencePiece's pieces and scores; the merges (up to Gemma 3) and the added tokens are worked out from them, and the ids that
 * the result gives are those of the published tokenizer.json. Both are written in pieces; nothing of their size is held.
 */
#ifndef GX_TOKENIZER_FROM_GGUF_H
#define GX_TOKENIZER_FROM_GGUF_H

#include "base/error.h"

typedef struct gx_gguf_piece {
    const char *bytes;
    size_t nbytes;
} gx_gguf_piece;

/* Everything is borrowed. Keys are GGUF's, "tokenizer.ggml." in front where none is given. */
typedef struct gx_gguf_tokenizer {
    const char *name;            /* the file's, for messages */
    const char *kind;            /* model */
    const char *merged_kind;     /* the kind that the model's family writes with merges; NULL: it writes SentencePiece's "llama" with scores */
    const gx_gguf_piece *pieces; /* tokens [count] */
    const double *scores;        /* scores [count] */
    const int64_t *types;        /* token_type [count] */
    size_t count;
    const gx_gguf_piece *merges; /* merges [merge_count]: two pieces with a space between; NULL: they follow from the scores */
    size_t merge_count;
    int64_t bos, eos, unknown, padding; /* …_token_id; -1: not given */
    bool add_bos, add_eos;              /* add_bos_token, add_eos_token */
    const char *chat_template;          /* tokenizer.chat_template; NULL: none */
    uint64_t longest;                   /* {architecture}.context_length; 0: not given */
} gx_gguf_tokenizer;

typedef struct gx_text_sink {
    gx_status (*write)(void *context, const void *bytes, size_t nbytes, gx_error *error);
    void *context;
} gx_text_sink;

gx_status gx_gguf_tokenizer_write(const gx_gguf_tokenizer *source, gx_text_sink sink, gx_error *error) GX_MUST_USE;
gx_status gx_gguf_tokenizer_config_write(const gx_gguf_tokenizer *source, gx_text_sink sink, gx_error *error) GX_MUST_USE;

#endif
