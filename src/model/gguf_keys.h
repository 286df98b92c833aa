/* GGUF metadata by suffix: "<the family's architecture>.<suffix>". */
#ifndef GX_MODEL_GGUF_KEYS_H
#define GX_MODEL_GGUF_KEYS_H

#include "model/config.h"

const gx_gguf_value *gx_gguf_find(const gx_checkpoint *checkpoint, const gx_family *family, const char *suffix); /* NULL: absent */

/* One number, which must be there. */
gx_status gx_gguf_get_u64(uint64_t *out, const gx_checkpoint *checkpoint, const gx_family *family, const char *suffix, gx_error *error) GX_MUST_USE;

/* 0 when absent. */
gx_status gx_gguf_get_optional_u64(uint64_t *out, const gx_checkpoint *checkpoint, const gx_family *family, const char *suffix, gx_error *error) GX_MUST_USE;

/* One number, which must be there, into `root` as `key`. */
gx_status gx_gguf_add_number(yyjson_mut_doc *doc, yyjson_mut_val *root, const char *key, const gx_checkpoint *checkpoint, const gx_family *family, const char *suffix,
                             gx_error *error) GX_MUST_USE;

/* The rows of a matrix into `root` as `key`; nothing when there is no such matrix. */
void gx_gguf_add_rows(yyjson_mut_doc *doc, yyjson_mut_val *root, const char *key, const gx_checkpoint *checkpoint, const char *tensor);

/* The same as gx_gguf_get_u64 of one layer, where the value may be a list. */
gx_status gx_gguf_get_layer_u64(uint64_t *out, const gx_checkpoint *checkpoint, const gx_family *family, const char *suffix, size_t layer, gx_error *error) GX_MUST_USE;

/* `fallback` when absent. */
gx_status gx_gguf_get_double(double *out, double fallback, const gx_checkpoint *checkpoint, const gx_family *family, const char *suffix, gx_error *error) GX_MUST_USE;

/* fp32 metadata such as 1e-6 is 9.99999997e-07 as a double; config files say 1e-06: the shortest decimal that gives the
 * same fp32. */
double gx_gguf_shortest_decimal(double value);

#endif
