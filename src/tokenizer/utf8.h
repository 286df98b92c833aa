/* UTF-8: stepping over text that may be ill-formed, replacing what is, and the white space of Python and of Unicode. */
#ifndef GX_TOKENIZER_UTF8_H
#define GX_TOKENIZER_UTF8_H

#include "base/buffer.h"

#define GX_REPLACEMENT_CHARACTER "\xEF\xBF\xBD" /* U+FFFD */

/* The length of what stands at `text` (nbytes ≥ 1): a whole character (*valid = true), or the longest start of one that
 * breaks off (*valid = false), which decoders replace by one U+FFFD. */
size_t gx_utf8_step(const char *text, size_t nbytes, bool *valid);

bool gx_utf8_is_valid(const char *text, size_t nbytes);
size_t gx_utf8_count(const char *text, size_t nbytes); /* characters of valid text */

/* Appends the text as Python's bytes.decode("utf-8", errors="replace") has it. */
void gx_utf8_append_repaired(gx_buffer *buffer, const char *text, size_t nbytes);

/* Which characters count as white space: `\s` of Unicode, or Python's str.strip(), which takes U+001C … U+001F, too. */
typedef enum gx_space_kind { GX_SPACE_UNICODE, GX_SPACE_PYTHON } gx_space_kind;

size_t gx_utf8_leading_space(const char *text, size_t nbytes, gx_space_kind kind);  /* bytes, of valid text */
size_t gx_utf8_trailing_space(const char *text, size_t nbytes, gx_space_kind kind); /* bytes, of valid text */

#endif
