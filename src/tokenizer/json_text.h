/* JSON text written in pieces through a small buffer. The first failure sticks; look once, at the end. */
#ifndef GX_TOKENIZER_JSON_TEXT_H
#define GX_TOKENIZER_JSON_TEXT_H

#include "base/buffer.h"
#include "tokenizer/from_gguf.h"

typedef struct gx_json_text {
    gx_text_sink sink;
    gx_buffer buffer;
    gx_status status;
    gx_error *error;
} gx_json_text;

void gx_json_text_raw(gx_json_text *out, const char *text);
void gx_json_text_number(gx_json_text *out, uint64_t number);
void gx_json_text_string(gx_json_text *out, const char *bytes, size_t nbytes); /* valid UTF-8; with its quotes */
gx_status gx_json_text_finish(gx_json_text *out) GX_MUST_USE;                  /* hands on the rest and frees the buffer */

#endif
