/* Reads a golden file (safetensors with F32 and I64 tensors) for tests. Any surprise fails the test: these files are ours. */
#ifndef TESTS_SUPPORT_GOLDEN_FILE_H
#define TESTS_SUPPORT_GOLDEN_FILE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"

typedef struct golden_file {
    gx_arena *arena;
    yyjson_doc *header;
    const char *bytes; /* the data section */
    size_t nbytes;
} golden_file;

typedef struct golden_tensor {
    union {
        const float *floats; /* "F32" */
        const int64_t *ids;  /* "I64" */
        const void *bytes;
    };
    size_t rank;
    size_t shape[4];
    size_t elements;
} golden_tensor;

static inline golden_file golden_open(const char *path)
{
    golden_file file = {.arena = gx_arena_new()};
    gx_error error = {0};
    char *content = NULL;
    size_t nbytes = 0;
    uint64_t header_nbytes = 0;
    assert_non_null(file.arena);
    if (gx_file_read_all(file.arena, path, (uint64_t)1 << 30, &content, &nbytes, &error) != GX_OK)
        fail_msg("%s", error.message);
    assert_true(nbytes > sizeof header_nbytes);
    memcpy(&header_nbytes, content, sizeof header_nbytes);
    assert_true(header_nbytes <= nbytes - sizeof header_nbytes);
    const char *header = content + sizeof header_nbytes;
    if (gx_json_parse(&file.header, path, header, (size_t)header_nbytes, &error) != GX_OK)
        fail_msg("%s", error.message);
    file.nbytes = nbytes - sizeof header_nbytes - (size_t)header_nbytes;
    file.bytes = header + header_nbytes;
    assert_true((uintptr_t)file.bytes % 8 == 0); /* safetensors pads its header; the arena aligns the file */
    return file;
}

static inline void golden_close(golden_file *file)
{
    yyjson_doc_free(file->header);
    gx_arena_free(file->arena);
}

static inline bool golden_has(const golden_file *file, const char *name)
{
    return yyjson_obj_get(yyjson_doc_get_root(file->header), name) != NULL;
}

static inline golden_tensor golden_get(const golden_file *file, const char *name, const char *dtype)
{
    golden_tensor tensor = {.elements = 1};
    yyjson_val *entry = yyjson_obj_get(yyjson_doc_get_root(file->header), name);
    yyjson_val *shape = yyjson_obj_get(entry, "shape");
    yyjson_val *offsets = yyjson_obj_get(entry, "data_offsets");
    if (!entry)
        fail_msg("no tensor '%s'", name);
    assert_string_equal(yyjson_get_str(yyjson_obj_get(entry, "dtype")), dtype);
    tensor.rank = yyjson_arr_size(shape);
    assert_true(tensor.rank <= 4);
    for (size_t i = 0; i < tensor.rank; i++) {
        tensor.shape[i] = (size_t)yyjson_get_uint(yyjson_arr_get(shape, i));
        tensor.elements *= tensor.shape[i];
    }
    const size_t begin = (size_t)yyjson_get_uint(yyjson_arr_get(offsets, 0));
    const size_t end = (size_t)yyjson_get_uint(yyjson_arr_get(offsets, 1));
    assert_true(begin <= end && end <= file->nbytes);
    assert_int_equal(end - begin, tensor.elements * (strcmp(dtype, "F32") == 0 ? 4 : 8));
    tensor.bytes = file->bytes + begin;
    return tensor;
}

#endif
