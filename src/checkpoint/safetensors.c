/*
 * One safetensors file: a little-endian u64 header length, a JSON header {"name": {"dtype", "shape", "data_offsets"}}, the
 * data section. Refuses headers over 100 MB, as the format's own library does.
 */
#include <string.h>

#include "base/checked.h"
#include "base/json.h"
#include "checkpoint/internal.h"

#define HEADER_LIMIT UINT64_C(100000000)

typedef struct reader {
    gx_checkpoint *checkpoint;
    unsigned file;
    const char *path;
    const char *prefix; /* of the tensors' names */
    uint64_t data; /* offset of the data section */
} reader;

static gx_status read_shape(gx_tensor *tensor, const reader *r, yyjson_val *shape, gx_error *error)
{
    size_t index, count;
    yyjson_val *value;
    if (!yyjson_is_arr(shape) || yyjson_arr_size(shape) > GX_MAX_RANK)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: tensor '%s': 'shape' is no list of at most %d sizes", r->path, tensor->name, GX_MAX_RANK);
    yyjson_arr_foreach(shape, index, count, value)
    {
        if (!yyjson_is_uint(value))
            return gx_fail(error, GX_ERROR_FORMAT, "%s: tensor '%s': shape[%zu] is no non-negative integer", r->path, tensor->name, index);
        tensor->shape[index] = yyjson_get_uint(value);
    }
    tensor->rank = (unsigned)count;
    return GX_OK;
}

static gx_status read_span(gx_tensor *tensor, const reader *r, yyjson_val *span, gx_error *error)
{
    yyjson_val *first = yyjson_arr_get(span, 0), *last = yyjson_arr_get(span, 1);
    if (!yyjson_is_arr(span) || yyjson_arr_size(span) != 2 || !yyjson_is_uint(first) || !yyjson_is_uint(last))
        return gx_fail(error, GX_ERROR_FORMAT, "%s: tensor '%s': 'data_offsets' is no pair of offsets", r->path, tensor->name);
    const uint64_t begin = yyjson_get_uint(first), end = yyjson_get_uint(last), size = gx_file_nbytes(r->checkpoint->files[r->file]) - r->data;
    if (begin > end || end > size)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: tensor '%s': bytes %llu … %llu are outside the data section of %llu bytes", r->path,
                       tensor->name, (unsigned long long)begin, (unsigned long long)end, (unsigned long long)size);
    tensor->offset = r->data + begin;
    tensor->nbytes = end - begin;
    return GX_OK;
}

static gx_status read_tensor(const reader *r, yyjson_val *key, yyjson_val *value, gx_error *error)
{
    const char *name = yyjson_get_str(key), *dtype = NULL;
    if (yyjson_get_len(key) > GX_MAX_NAME_NBYTES)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: tensor '%.100s…': a name of %zu bytes, expected at most %zu", r->path, name,
                       yyjson_get_len(key), GX_MAX_NAME_NBYTES);
    if (strlen(name) != yyjson_get_len(key))
        return gx_fail(error, GX_ERROR_FORMAT, "%s: tensor '%s…': its name holds a NUL character", r->path, name);
    gx_tensor tensor = {.name = gx_arena_printf(r->checkpoint->arena, "%s%s", r->prefix, name), .file = r->file};
    if (!tensor.name)
        return gx_fail_memory(error);
    if (!yyjson_is_obj(value))
        return gx_fail(error, GX_ERROR_FORMAT, "%s: tensor '%s' is described by %s, expected an object", r->path, name, gx_json_kind(value));
    gx_status status = gx_json_get_string(value, name, "dtype", &dtype, error);
    if (status == GX_OK && (!dtype || !gx_dtype_from_safetensors(dtype, &tensor.dtype)))
        status = gx_fail(error, GX_ERROR_UNSUPPORTED, "tensor '%s': dtype '%.40s' is not known", name, dtype ? dtype : "(none)");
    if (status != GX_OK) {
        gx_error_note(error, "%s", r->path);
        return status;
    }
    GX_TRY(read_shape(&tensor, r, yyjson_obj_get(value, "shape"), error));
    GX_TRY(read_span(&tensor, r, yyjson_obj_get(value, "data_offsets"), error));
    return gx_checkpoint_add_tensor(r->checkpoint, &tensor, error);
}

static gx_status read_header(const reader *r, yyjson_val *root, gx_error *error)
{
    size_t index, count;
    yyjson_val *key, *value;
    if (!yyjson_is_obj(root))
        return gx_fail(error, GX_ERROR_FORMAT, "%s: the header is no JSON object", r->path);
    yyjson_obj_foreach(root, index, count, key, value)
    {
        if (!yyjson_equals_str(key, "__metadata__"))
            GX_TRY(read_tensor(r, key, value, error));
    }
    return GX_OK;
}

gx_status gx_safetensors_read(gx_checkpoint *checkpoint, const char *path, gx_error *error)
{
    return gx_safetensors_read_as(checkpoint, path, "", error);
}

gx_status gx_safetensors_read_as(gx_checkpoint *checkpoint, const char *path, const char *prefix, gx_error *error)
{
    reader r = {.checkpoint = checkpoint, .path = path, .prefix = prefix};
    uint8_t length_bytes[8];
    uint64_t length = 0;
    checkpoint->format = GX_CHECKPOINT_SAFETENSORS;
    GX_TRY(gx_checkpoint_add_file(checkpoint, path, &r.file, error));
    gx_file *file = checkpoint->files[r.file];
    if (gx_file_nbytes(file) < sizeof length_bytes)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: %llu bytes, too short for a safetensors file", path, (unsigned long long)gx_file_nbytes(file));
    GX_TRY(gx_file_read(file, 0, length_bytes, sizeof length_bytes, error));
    for (int i = 7; i >= 0; i--)
        length = length << 8 | length_bytes[i];
    if (length > HEADER_LIMIT || length > gx_file_nbytes(file) - sizeof length_bytes)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: a header of %llu bytes does not fit into the file of %llu bytes (or is over %llu)", path,
                       (unsigned long long)length, (unsigned long long)gx_file_nbytes(file), (unsigned long long)HEADER_LIMIT);
    r.data = sizeof length_bytes + length;
    char *text = gx_alloc(length + 1, 1);
    yyjson_doc *doc = NULL;
    gx_status status = text ? gx_file_read(file, sizeof length_bytes, text, length, error) : gx_fail_memory(error);
    if (status == GX_OK)
        status = gx_json_parse(&doc, path, text, length, error);
    if (status == GX_OK)
        status = read_header(&r, yyjson_doc_get_root(doc), error);
    yyjson_doc_free(doc);
    gx_free(text);
    return status;
}
