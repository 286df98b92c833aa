/*
 * GGUF, versions 2 and 3, little endian:
 *   "GGUF", u32 version, u64 tensors, u64 pairs;
 *   per pair: key (u64 length, bytes), u32 type, value; an array is u32 element type, u64 count, elements;
 *   per tensor: name, u32 rank, u64 dims (innermost first), u32 ggml type, u64 offset into the data section;
 *   the data section, at the next multiple of general.alignment.
 * Of a split model, any part opens all; only the first part's metadata counts.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "checkpoint/gguf_stream.h"
#include "checkpoint/internal.h"

#define DEFAULT_ALIGNMENT 32u
#define MAX_SPLITS 1024u
#define GGUF_MAX_RANK 4u
#define MAX_PAIRS 16384u /* real files have some dozens; each key is compared with all before it */

enum { TYPE_U8, TYPE_I8, TYPE_U16, TYPE_I16, TYPE_U32, TYPE_I32, TYPE_F32, TYPE_BOOL, TYPE_STRING, TYPE_ARRAY, TYPE_U64, TYPE_I64, TYPE_F64, TYPE_COUNT };

/* By GGUF value type. nbytes 0: of its own length. */
static const struct {
    gx_gguf_kind kind;
    uint32_t nbytes;
} types[TYPE_COUNT] = {
    [TYPE_U8] = {GX_GGUF_UNSIGNED, 1},  [TYPE_I8] = {GX_GGUF_SIGNED, 1},  [TYPE_U16] = {GX_GGUF_UNSIGNED, 2},
    [TYPE_I16] = {GX_GGUF_SIGNED, 2},   [TYPE_U32] = {GX_GGUF_UNSIGNED, 4}, [TYPE_I32] = {GX_GGUF_SIGNED, 4},
    [TYPE_F32] = {GX_GGUF_FLOAT, 4},    [TYPE_BOOL] = {GX_GGUF_BOOL, 1},  [TYPE_STRING] = {GX_GGUF_STRING, 0},
    [TYPE_ARRAY] = {GX_GGUF_ARRAY, 0},  [TYPE_U64] = {GX_GGUF_UNSIGNED, 8}, [TYPE_I64] = {GX_GGUF_SIGNED, 8},
    [TYPE_F64] = {GX_GGUF_FLOAT, 8},
};

typedef struct reader {
    gx_checkpoint *checkpoint;
    gx_gguf_stream stream;
    const char *path;
    unsigned file;
    gx_gguf_value *metadata;
    size_t metadata_count;
} reader;

static gx_status fail(reader *r, gx_status status, const char *format, ...) GX_PRINTF(3, 4);
static gx_status fail(reader *r, gx_status status, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (r->stream.status != GX_OK) /* a count or a short file: said already */
        return r->stream.status;
    return gx_fail(r->stream.error, status, "%s: %s", r->path, text);
}

/* ---- values ---- */

static gx_gguf_string take_string(reader *r)
{
    const uint64_t nbytes = gx_gguf_take_count(&r->stream, "bytes of a string", 1);
    char *bytes = gx_arena_alloc(r->checkpoint->arena, nbytes + 1, 1);
    if (!bytes) {
        r->stream.status = gx_fail_memory(r->stream.error);
        return (gx_gguf_string){"", 0};
    }
    gx_gguf_take(&r->stream, bytes, nbytes);
    return (gx_gguf_string){bytes, nbytes};
}

/* A name: no NULs. */
static const char *take_name(reader *r)
{
    const gx_gguf_string name = take_string(r);
    if (r->stream.status == GX_OK && name.nbytes > GX_MAX_NAME_NBYTES)
        r->stream.status = fail(r, GX_ERROR_FORMAT, "a name of %zu bytes, expected at most %zu: '%.100s…'", name.nbytes, GX_MAX_NAME_NBYTES,
                                name.bytes);
    if (r->stream.status == GX_OK && (name.nbytes == 0 || strlen(name.bytes) != name.nbytes))
        r->stream.status = fail(r, GX_ERROR_FORMAT, "a name is empty or holds a NUL character");
    return name.bytes;
}

typedef union number {
    uint64_t u;
    int64_t i;
    double f;
    bool b;
} number;

static number take_number(reader *r, uint32_t type)
{
    uint8_t bytes[8] = {0};
    const uint32_t nbytes = types[type].nbytes;
    gx_gguf_take(&r->stream, bytes, nbytes);
    uint64_t bits = 0;
    for (int k = 7; k >= 0; k--)
        bits = bits << 8 | bytes[k];
    switch (types[type].kind) {
    case GX_GGUF_SIGNED: {
        const unsigned shift = 64 - 8 * nbytes;
        return (number){.i = (int64_t)(bits << shift) >> shift};
    }
    case GX_GGUF_FLOAT: {
        float narrow;
        double wide;
        memcpy(&narrow, bytes, sizeof narrow);
        memcpy(&wide, bytes, sizeof wide);
        return (number){.f = nbytes == 4 ? (double)narrow : wide};
    }
    case GX_GGUF_BOOL: return (number){.b = bits != 0};
    default: return (number){.u = bits};
    }
}

static uint32_t take_type(reader *r, bool element)
{
    const uint32_t type = gx_gguf_take_u32(&r->stream);
    if (type >= TYPE_COUNT || (element && type == TYPE_ARRAY))
        r->stream.status = fail(r, GX_ERROR_FORMAT, "byte %llu: value type %u%s", (unsigned long long)(r->stream.at - 4), type,
                                element ? " in an array" : "");
    return r->stream.status == GX_OK ? type : TYPE_U8;
}

static void take_elements(reader *r, gx_gguf_value *value, uint32_t type)
{
    static const size_t sizes[] = {[GX_GGUF_UNSIGNED] = sizeof(uint64_t), [GX_GGUF_SIGNED] = sizeof(int64_t), [GX_GGUF_FLOAT] = sizeof(double),
                                   [GX_GGUF_BOOL] = sizeof(bool), [GX_GGUF_STRING] = sizeof(gx_gguf_string)};
    void *elements = gx_arena_alloc(r->checkpoint->arena, value->count, sizes[value->element_kind]);
    if (!elements) {
        r->stream.status = gx_fail_memory(r->stream.error);
        return;
    }
    for (size_t i = 0; i < value->count && r->stream.status == GX_OK; i++) {
        if (value->element_kind == GX_GGUF_STRING) {
            ((gx_gguf_string *)elements)[i] = take_string(r);
            continue;
        }
        const number n = take_number(r, type);
        switch (value->element_kind) {
        case GX_GGUF_SIGNED: ((int64_t *)elements)[i] = n.i; break;
        case GX_GGUF_FLOAT: ((double *)elements)[i] = n.f; break;
        case GX_GGUF_BOOL: ((bool *)elements)[i] = n.b; break;
        default: ((uint64_t *)elements)[i] = n.u; break;
        }
    }
    value->array.u = elements;
}

static void take_value(reader *r, gx_gguf_value *value)
{
    const uint32_t type = take_type(r, false);
    value->kind = types[type].kind;
    if (type == TYPE_STRING) {
        value->string = take_string(r);
    } else if (type == TYPE_ARRAY) {
        const uint32_t element = take_type(r, true);
        value->element_kind = types[element].kind;
        value->count = gx_gguf_take_count(&r->stream, "array elements", element == TYPE_STRING ? 8 : types[element].nbytes);
        take_elements(r, value, element);
    } else {
        const number n = take_number(r, type);
        switch (value->kind) {
        case GX_GGUF_SIGNED: value->i = n.i; break;
        case GX_GGUF_FLOAT: value->f = n.f; break;
        case GX_GGUF_BOOL: value->b = n.b; break;
        default: value->u = n.u; break;
        }
    }
}

static const gx_gguf_value *find(const reader *r, const char *key)
{
    for (size_t i = 0; i < r->metadata_count; i++)
        if (strcmp(r->metadata[i].key, key) == 0)
            return &r->metadata[i];
    return NULL;
}

static gx_status take_metadata(reader *r, uint64_t count)
{
    r->metadata = GX_NEW_ARRAY(r->checkpoint->arena, gx_gguf_value, count);
    if (!r->metadata)
        return gx_fail_memory(r->stream.error);
    for (uint64_t i = 0; i < count; i++) {
        gx_gguf_value value = {.key = take_name(r)};
        if (r->stream.status == GX_OK && find(r, value.key))
            return fail(r, GX_ERROR_FORMAT, "key '%s' is there twice", value.key);
        take_value(r, &value);
        if (r->stream.status != GX_OK)
            return r->stream.status;
        r->metadata[r->metadata_count++] = value;
    }
    return GX_OK;
}

/* ---- tensors ---- */

static gx_status take_tensor(reader *r, gx_tensor *tensor)
{
    *tensor = (gx_tensor){.name = take_name(r), .file = r->file};
    tensor->rank = gx_gguf_take_u32(&r->stream);
    if (r->stream.status == GX_OK && (tensor->rank == 0 || tensor->rank > GGUF_MAX_RANK))
        return fail(r, GX_ERROR_FORMAT, "tensor '%s': %u dimensions, expected 1 … %u", tensor->name, tensor->rank, GGUF_MAX_RANK);
    for (unsigned i = 0; r->stream.status == GX_OK && i < tensor->rank; i++)
        tensor->shape[tensor->rank - 1 - i] = gx_gguf_take_u64(&r->stream);
    const uint32_t type = gx_gguf_take_u32(&r->stream);
    if (r->stream.status == GX_OK && !gx_dtype_from_ggml(type, &tensor->dtype))
        return fail(r, GX_ERROR_UNSUPPORTED, "tensor '%s': ggml type %u is not supported", tensor->name, type);
    tensor->offset = gx_gguf_take_u64(&r->stream);
    return r->stream.status;
}

static bool tensor_nbytes(const gx_tensor *tensor, uint64_t *out)
{
    uint64_t nbytes = 0;
    if (!gx_dtype_row_nbytes(tensor->dtype, tensor->shape[tensor->rank - 1], &nbytes))
        return false;
    for (unsigned i = 0; i + 1 < tensor->rank; i++)
        if (!gx_mul_u64(nbytes, tensor->shape[i], &nbytes))
            return false;
    *out = nbytes;
    return true;
}

static gx_status get_alignment(reader *r, uint64_t *out)
{
    const gx_gguf_value *value = find(r, "general.alignment");
    *out = DEFAULT_ALIGNMENT;
    if (!value)
        return GX_OK;
    if (value->kind != GX_GGUF_UNSIGNED || value->u == 0 || (value->u & (value->u - 1)) != 0 || value->u > 1u << 20)
        return fail(r, GX_ERROR_FORMAT, "general.alignment is no power of two up to %u", 1u << 20);
    *out = value->u;
    return GX_OK;
}

static gx_status take_tensors(reader *r, uint64_t count)
{
    gx_tensor *tensors = GX_NEW_ARRAY(r->checkpoint->arena, gx_tensor, count);
    uint64_t alignment = 0;
    if (!tensors)
        return gx_fail_memory(r->stream.error);
    for (uint64_t i = 0; i < count; i++)
        GX_TRY(take_tensor(r, &tensors[i]));
    GX_TRY(get_alignment(r, &alignment));
    const uint64_t data = gx_align_up(r->stream.at, alignment);
    for (uint64_t i = 0; i < count; i++) {
        if (tensors[i].offset % alignment != 0)
            return fail(r, GX_ERROR_FORMAT, "tensor '%s': offset %llu is no multiple of the alignment %llu", tensors[i].name,
                        (unsigned long long)tensors[i].offset, (unsigned long long)alignment);
        if (!tensor_nbytes(&tensors[i], &tensors[i].nbytes) || !gx_add_u64(tensors[i].offset, data, &tensors[i].offset))
            return fail(r, GX_ERROR_FORMAT, "tensor '%s': its rows are no whole %s blocks, or its size overflows", tensors[i].name,
                        gx_dtype_get(tensors[i].dtype)->name);
        GX_TRY(gx_checkpoint_add_tensor(r->checkpoint, &tensors[i], r->stream.error));
    }
    return GX_OK;
}

/* ---- one file ---- */

static gx_status take_file(reader *r)
{
    char magic[4];
    gx_gguf_take(&r->stream, magic, sizeof magic);
    if (r->stream.status == GX_OK && memcmp(magic, "GGUF", sizeof magic) != 0)
        return fail(r, GX_ERROR_FORMAT, "not a GGUF file: it begins with bytes %02x %02x %02x %02x", (uint8_t)magic[0], (uint8_t)magic[1],
                    (uint8_t)magic[2], (uint8_t)magic[3]);
    const uint32_t version = gx_gguf_take_u32(&r->stream);
    if (r->stream.status == GX_OK && version != 2 && version != 3)
        return fail(r, GX_ERROR_UNSUPPORTED, "GGUF version %u%s; versions 2 and 3 are supported", version,
                    version > 0xffff ? " (a big-endian file)" : "");
    const uint64_t tensors = gx_gguf_take_count(&r->stream, "tensors", 32); /* name, rank, one dim, type, offset */
    const uint64_t pairs = gx_gguf_take_count(&r->stream, "metadata pairs", 13);
    if (r->stream.status != GX_OK)
        return r->stream.status;
    if (tensors > GX_MAX_TENSORS)
        return fail(r, GX_ERROR_FORMAT, "%llu tensors, expected at most %zu", (unsigned long long)tensors, GX_MAX_TENSORS);
    if (pairs > MAX_PAIRS)
        return fail(r, GX_ERROR_FORMAT, "%llu metadata pairs, expected at most %u", (unsigned long long)pairs, MAX_PAIRS);
    GX_TRY(take_metadata(r, pairs));
    return take_tensors(r, tensors);
}

static gx_status read_part(reader *r, gx_checkpoint *checkpoint, const char *path, gx_error *error)
{
    *r = (reader){.checkpoint = checkpoint, .path = path};
    GX_TRY(gx_checkpoint_add_file(checkpoint, path, &r->file, error));
    GX_TRY(gx_gguf_stream_open(&r->stream, checkpoint->files[r->file], error));
    const gx_status status = take_file(r);
    gx_gguf_stream_close(&r->stream);
    return status;
}

/* ---- splits ---- */

static uint64_t split_number(const reader *r, const char *key)
{
    const gx_gguf_value *value = find(r, key);
    if (!value)
        return 0;
    return value->kind == GX_GGUF_UNSIGNED ? value->u : value->kind == GX_GGUF_SIGNED && value->i > 0 ? (uint64_t)value->i : 0;
}

/* "name-00002-of-00003.gguf" → "name" */
static gx_status split_stem(reader *r, char **out, uint64_t count)
{
    char ending[64];
    const int n = snprintf(ending, sizeof ending, "-%05u-of-%05u.gguf", 1u, (unsigned)count);
    const size_t length = strlen(r->path);
    const char *of = length > (size_t)n ? r->path + length - n + 6 : NULL;
    if (!of || strcmp(of, ending + 6) != 0 || r->path[length - (size_t)n] != '-')
        return fail(r, GX_ERROR_FORMAT, "part of a model split into %llu files, but not named NAME%s", (unsigned long long)count, ending);
    *out = gx_arena_copy_bytes(r->checkpoint->arena, r->path, length - (size_t)n);
    return *out ? GX_OK : gx_fail_memory(r->stream.error);
}

static void keep_metadata(const reader *r)
{
    r->checkpoint->metadata = r->metadata;
    r->checkpoint->metadata_count = r->metadata_count;
}

static gx_status read_splits(reader *given, uint64_t count, gx_error *error)
{
    char *stem = NULL;
    GX_TRY(split_stem(given, &stem, count));
    const uint64_t given_number = split_number(given, "split.no");
    if (given_number == 0)
        keep_metadata(given);
    for (uint64_t i = 0; i < count; i++) {
        if (i == given_number)
            continue;
        char *path = gx_arena_printf(given->checkpoint->arena, "%s-%05u-of-%05u.gguf", stem, (unsigned)i + 1, (unsigned)count);
        if (!path)
            return gx_fail_memory(error);
        if (!gx_path_exists(path))
            return gx_fail(error, GX_ERROR_IO, "%s: part %llu of %llu is missing: %s", given->path, (unsigned long long)i + 1,
                           (unsigned long long)count, path);
        reader part;
        GX_TRY(read_part(&part, given->checkpoint, path, error));
        if (split_number(&part, "split.count") != count || split_number(&part, "split.no") != i)
            return fail(&part, GX_ERROR_FORMAT, "says it is part %llu of %llu", (unsigned long long)split_number(&part, "split.no") + 1,
                        (unsigned long long)split_number(&part, "split.count"));
        if (i == 0)
            keep_metadata(&part);
    }
    const uint64_t expected = split_number(given, "split.tensors.count");
    if (expected != 0 && expected != given->checkpoint->tensor_count)
        return fail(given, GX_ERROR_FORMAT, "%zu tensors in all parts, split.tensors.count is %llu", given->checkpoint->tensor_count,
                    (unsigned long long)expected);
    return GX_OK;
}

gx_status gx_gguf_read(gx_checkpoint *checkpoint, const char *path, gx_error *error)
{
    reader r;
    checkpoint->format = GX_CHECKPOINT_GGUF;
    GX_TRY(read_part(&r, checkpoint, path, error));
    const uint64_t count = split_number(&r, "split.count");
    if (count > MAX_SPLITS)
        return fail(&r, GX_ERROR_FORMAT, "split.count is %llu, expected at most %u", (unsigned long long)count, MAX_SPLITS);
    if (count > 1)
        return read_splits(&r, count, error);
    keep_metadata(&r);
    return GX_OK;
}
