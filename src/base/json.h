/*
 * JSON access over yyjson. Files are bounded by size; nesting needs no bound, since reading and writing do not recurse.
 * Typed getters say "config.json: 'x' is a string, expected a non-negative integer". Values borrow from the document.
 */
#ifndef GX_BASE_JSON_H
#define GX_BASE_JSON_H

#include <yyjson.h>

#include "base/arena.h"
#include "base/buffer.h"

/* Parses text; `name` stands in the messages (a file name). The caller frees with yyjson_doc_free. Line and column are
 * in the message of a syntax error. Of a key that is there twice the getters take the first. */
gx_status gx_json_parse(yyjson_doc **out, const char *name, const char *text, size_t nbytes, gx_error *error) GX_MUST_USE;

/* Reads and parses a file of at most `limit` bytes. */
gx_status gx_json_read(yyjson_doc **out, const char *path, uint64_t limit, gx_error *error) GX_MUST_USE;

/* A key that is absent or null leaves *out untouched and returns GX_OK; a wrong type is GX_ERROR_FORMAT. `object` may
 * be NULL (all absent). `name` is the file's name for messages. */
gx_status gx_json_get_u64(yyjson_val *object, const char *name, const char *key, uint64_t *out, gx_error *error) GX_MUST_USE;
gx_status gx_json_get_double(yyjson_val *object, const char *name, const char *key, double *out, gx_error *error) GX_MUST_USE;
gx_status gx_json_get_bool(yyjson_val *object, const char *name, const char *key, bool *out, gx_error *error) GX_MUST_USE;
gx_status gx_json_get_string(yyjson_val *object, const char *name, const char *key, const char **out, gx_error *error) GX_MUST_USE; /* borrowed; refused when it holds a NUL */

/* "a list", "an integer": what a value is, for messages. NULL is "nothing". */
const char *gx_json_kind(yyjson_val *value);

/* Serialises with two-space indentation and a final newline; the caller frees with gx_free. NaN and infinities, which JSON
 * cannot say, become null. */
gx_status gx_json_write(char **out, size_t *nbytes, yyjson_mut_doc *doc, gx_error *error) GX_MUST_USE;

#endif
