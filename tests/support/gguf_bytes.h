/* Writes GGUF files for tests: a recipe whose every number may be made wrong. */
#ifndef TESTS_SUPPORT_GGUF_BYTES_H
#define TESTS_SUPPORT_GGUF_BYTES_H

#include "base/buffer.h"
#include "support/scratch.h"

enum {
    GGUF_U8, GGUF_I8, GGUF_U16, GGUF_I16, GGUF_U32, GGUF_I32, GGUF_F32, GGUF_BOOL, GGUF_STRING, GGUF_ARRAY, GGUF_U64, GGUF_I64, GGUF_F64
};

typedef struct gguf_recipe {
    char magic[5];
    uint32_t version;
    uint64_t tensor_count, pair_count; /* as written; the adding functions count */
    gx_buffer pairs, tensors;
    uint64_t alignment; /* of the data section */
    size_t data_nbytes;
} gguf_recipe;

static inline void gguf_put(gx_buffer *out, uint64_t value, unsigned nbytes)
{
    for (unsigned i = 0; i < nbytes; i++)
        gx_buffer_append_byte(out, (uint8_t)(value >> 8 * i));
}

static inline void gguf_put_bytes(gx_buffer *out, const char *bytes, size_t nbytes)
{
    gguf_put(out, nbytes, 8);
    gx_buffer_append(out, bytes, nbytes);
}

static inline void gguf_put_text(gx_buffer *out, const char *text)
{
    gguf_put_bytes(out, text, strlen(text));
}

static inline gguf_recipe gguf_new(void)
{
    return (gguf_recipe){.magic = "GGUF", .version = 3, .alignment = 32};
}

static inline void gguf_free(gguf_recipe *recipe)
{
    gx_buffer_deinit(&recipe->pairs);
    gx_buffer_deinit(&recipe->tensors);
}

static inline void gguf_add_key(gguf_recipe *recipe, const char *key, uint32_t type)
{
    gguf_put_text(&recipe->pairs, key);
    gguf_put(&recipe->pairs, type, 4);
    recipe->pair_count++;
}

static inline void gguf_add_number(gguf_recipe *recipe, const char *key, uint32_t type, uint64_t bits, unsigned nbytes)
{
    gguf_add_key(recipe, key, type);
    gguf_put(&recipe->pairs, bits, nbytes);
}

static inline void gguf_add_u32(gguf_recipe *recipe, const char *key, uint32_t value)
{
    gguf_add_number(recipe, key, GGUF_U32, value, 4);
}

static inline void gguf_add_string(gguf_recipe *recipe, const char *key, const char *value)
{
    gguf_add_key(recipe, key, GGUF_STRING);
    gguf_put_text(&recipe->pairs, value);
}

/* The elements follow. */
static inline void gguf_add_array(gguf_recipe *recipe, const char *key, uint32_t type, uint64_t count)
{
    gguf_add_key(recipe, key, GGUF_ARRAY);
    gguf_put(&recipe->pairs, type, 4);
    gguf_put(&recipe->pairs, count, 8);
}

/* `dims`: innermost first, as the format has it. */
static inline void gguf_add_tensor(gguf_recipe *recipe, const char *name, uint32_t rank, const uint64_t *dims, uint32_t type,
                                   uint64_t offset)
{
    gguf_put_text(&recipe->tensors, name);
    gguf_put(&recipe->tensors, rank, 4);
    for (uint32_t i = 0; i < rank; i++)
        gguf_put(&recipe->tensors, dims[i], 8);
    gguf_put(&recipe->tensors, type, 4);
    gguf_put(&recipe->tensors, offset, 8);
    recipe->tensor_count++;
}

static inline uint64_t gguf_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* A pair of every scalar type at the edge of its range, under the type's name. */
static inline void gguf_add_every_number(gguf_recipe *recipe)
{
    const float narrow = 1e-6f;
    uint32_t narrow_bits;
    memcpy(&narrow_bits, &narrow, sizeof narrow_bits);
    gguf_add_number(recipe, "u8", GGUF_U8, 255, 1);
    gguf_add_number(recipe, "i8", GGUF_I8, (uint64_t)-128, 1);
    gguf_add_number(recipe, "u16", GGUF_U16, 65535, 2);
    gguf_add_number(recipe, "i16", GGUF_I16, (uint64_t)-2, 2);
    gguf_add_number(recipe, "u32", GGUF_U32, 4294967295u, 4);
    gguf_add_number(recipe, "i32", GGUF_I32, (uint64_t)-2147483648ll, 4);
    gguf_add_number(recipe, "u64", GGUF_U64, UINT64_MAX, 8);
    gguf_add_number(recipe, "i64", GGUF_I64, (uint64_t)INT64_MIN, 8);
    gguf_add_number(recipe, "f32", GGUF_F32, narrow_bits, 4);
    gguf_add_number(recipe, "f64", GGUF_F64, gguf_bits(-0.1), 8);
    gguf_add_number(recipe, "true", GGUF_BOOL, 1, 1);
    gguf_add_number(recipe, "false", GGUF_BOOL, 0, 1);
}

/* Data bytes count up from 0. */
static inline void gguf_write(const gguf_recipe *recipe, gx_buffer *out)
{
    gx_buffer_append(out, recipe->magic, 4);
    gguf_put(out, recipe->version, 4);
    gguf_put(out, recipe->tensor_count, 8);
    gguf_put(out, recipe->pair_count, 8);
    gx_buffer_append(out, recipe->pairs.data, recipe->pairs.nbytes);
    gx_buffer_append(out, recipe->tensors.data, recipe->tensors.nbytes);
    while (out->nbytes % recipe->alignment != 0)
        gx_buffer_append_byte(out, 0);
    for (size_t i = 0; i < recipe->data_nbytes; i++)
        gx_buffer_append_byte(out, (uint8_t)i);
    assert_false(out->failed);
}

/* The path of the file in the scratch folder. */
static inline const char *gguf_write_file(const gguf_recipe *recipe, const char *name)
{
    gx_buffer bytes = {0};
    gguf_write(recipe, &bytes);
    const char *path = scratch_write(name, bytes.data, bytes.nbytes);
    gx_buffer_deinit(&bytes);
    return path;
}

#endif
