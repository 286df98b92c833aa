/*
 * Text to token ids and back, as Hugging Face's `tokenizers` does it for Gemma: byte-pair merging with byte fallback over
 * whole texts, added tokens, a template of special tokens. Loaded from a tokenizer.json; whatever of that format Gemma
 * does not use is refused by name. A loaded tokenizer is never written to: any number of threads may share it.
 */
#ifndef GX_TOKENIZER_TOKENIZER_H
#define GX_TOKENIZER_TOKENIZER_H

#include "base/buffer.h"

typedef struct gx_tokenizer gx_tokenizer;

/* Truncation and padding settings in the file are left to the caller, as Transformers leaves them. */
gx_status gx_tokenizer_load(gx_tokenizer **out, const char *tokenizer_json_path, gx_error *error) GX_MUST_USE;

/* The same from bytes; `name` stands in the messages. */
gx_status gx_tokenizer_parse(gx_tokenizer **out, const char *name, const char *json, size_t nbytes, gx_error *error) GX_MUST_USE;

void gx_tokenizer_free(gx_tokenizer *tokenizer); /* NULL allowed */

size_t gx_tokenizer_vocabulary_size(const gx_tokenizer *tokenizer); /* the highest id + 1 */

/* False, *id untouched: no token has this content. */
bool gx_tokenizer_token_id(const gx_tokenizer *tokenizer, const char *content, int64_t *id);

typedef struct gx_token_ids {
    int64_t *ids;
    size_t count;
    size_t capacity;
} gx_token_ids; /* {0} is empty */

gx_status gx_token_ids_append(gx_token_ids *ids, int64_t id, gx_error *error) GX_MUST_USE;
void gx_token_ids_deinit(gx_token_ids *ids); /* frees; {0} again */

enum {
    GX_ENCODE_WITH_TEMPLATE = 1 << 0,   /* add the special tokens of the file's template: Gemma's <bos> */
    GX_ENCODE_SPECIAL_AS_TEXT = 1 << 1, /* "<end_of_turn>" in the text is twelve characters, not a control token */
};

/* Appends the ids of any bytes (NULs are text; what is not UTF-8 becomes U+FFFD as by Python's errors="replace"). Time is
 * n log n. On failure `ids` is as it was. */
gx_status gx_tokenizer_encode(const gx_tokenizer *tokenizer, const char *text, size_t nbytes, unsigned flags, gx_token_ids *ids,
                              gx_error *error) GX_MUST_USE;

/* Appends the text of the ids; ids without a token are left out, and special tokens if so wished. A run of byte tokens that
 * is no UTF-8 gives one U+FFFD for each of its bytes. */
gx_status gx_tokenizer_decode(const gx_tokenizer *tokenizer, const int64_t *ids, size_t count, bool skip_special, gx_buffer *text,
                              gx_error *error) GX_MUST_USE;

/* Decoding id by id: text comes as soon as it is whole characters. The pieces together are what gx_tokenizer_decode gives,
 * except that characters already given stay when their run of byte tokens turns out to be broken later. */
typedef struct gx_token_stream gx_token_stream;
gx_status gx_token_stream_new(gx_token_stream **out, const gx_tokenizer *tokenizer, bool skip_special, gx_error *error) GX_MUST_USE;
void gx_token_stream_free(gx_token_stream *stream); /* NULL allowed */
/* Append what is new to `text`, maybe nothing. */
gx_status gx_token_stream_push(gx_token_stream *stream, int64_t id, gx_buffer *text, gx_error *error) GX_MUST_USE;
gx_status gx_token_stream_finish(gx_token_stream *stream, gx_buffer *text, gx_error *error) GX_MUST_USE; /* ready for the next text */

#endif
