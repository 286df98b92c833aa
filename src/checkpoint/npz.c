/*
 * One .npz file, as NumPy's savez writes it: a ZIP archive of .npy members that are stored, not compressed. Of ZIP only
 * what that needs: the end record (and its 64-bit form), the central directory, the local headers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "checkpoint/internal.h"

#define END_NBYTES 22u
#define COMMENT_LIMIT 65535u
#define LOCATOR_NBYTES 20u
#define END64_NBYTES 56u
#define ENTRY_NBYTES 46u
#define LOCAL_NBYTES 30u
#define DIRECTORY_LIMIT (UINT64_C(64) << 20)
#define NPY_HEADER_LIMIT 65536u
#define IN_EXTRA UINT32_C(0xffffffff) /* the number stands in the 64-bit extra field */

typedef struct reader {
    gx_checkpoint *checkpoint;
    unsigned file;
    const char *path;
} reader;

typedef struct member {
    const char *name;
    uint64_t nbytes, local; /* stored bytes; offset of the local header */
} member;

static uint64_t little(const uint8_t *bytes, unsigned nbytes)
{
    uint64_t value = 0;
    while (nbytes-- > 0)
        value = value << 8 | bytes[nbytes];
    return value;
}

static gx_status damaged(const reader *r, const char *what, gx_error *error)
{
    return gx_fail(error, GX_ERROR_FORMAT, "%s: not a sound .npz file: %s", r->path, what);
}

static gx_status read_at(const reader *r, uint64_t offset, void *out, size_t nbytes, gx_error *error)
{
    return gx_file_read(r->checkpoint->files[r->file], offset, out, nbytes, error);
}

/* ---- .npy ---- */

static const struct {
    const char *description;
    gx_dtype dtype;
} types[] = {
    {"<f4", GX_DTYPE_F32}, {"<f2", GX_DTYPE_F16}, {"<f8", GX_DTYPE_F64}, {"<i8", GX_DTYPE_I64}, {"<i4", GX_DTYPE_I32}, {"|b1", GX_DTYPE_BOOL},
};

/* The text behind 'key': in the header's Python dictionary; NULL: not there. */
static const char *value_of(const char *header, const char *key)
{
    char quoted[32];
    snprintf(quoted, sizeof quoted, "'%s':", key);
    const char *at = strstr(header, quoted);
    if (!at)
        return NULL;
    at += strlen(quoted);
    return at + strspn(at, " ");
}

static gx_status parse_type(gx_tensor *tensor, const reader *r, const char *header, gx_error *error)
{
    const char *description = value_of(header, "descr"), *order = value_of(header, "fortran_order");
    if (!description || !order || strncmp(order, "False", 5) != 0)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: array '%s' is not in row-major order, or does not say its type", r->path, tensor->name);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (description[0] == '\'' && strncmp(description + 1, types[i].description, 3) == 0 && description[4] == '\'') {
            tensor->dtype = types[i].dtype;
            return GX_OK;
        }
    }
    return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: array '%s' is of type %.8s, which is not read", r->path, tensor->name, description);
}

static gx_status parse_shape(gx_tensor *tensor, const reader *r, const char *header, gx_error *error)
{
    const char *at = value_of(header, "shape");
    if (!at || *at++ != '(')
        return damaged(r, "an array without a shape", error);
    while (*at && *at != ')') {
        char *end = NULL;
        const unsigned long long size = strtoull(at, &end, 10);
        if (end == at || *at < '0' || *at > '9' || tensor->rank == GX_MAX_RANK)
            return damaged(r, "an array's shape is no list of sizes", error);
        tensor->shape[tensor->rank++] = size;
        at = end + strspn(end, ", ");
    }
    return *at == ')' ? GX_OK : damaged(r, "an array's shape does not end", error);
}

static gx_status read_array(const reader *r, const member *m, uint64_t begin, gx_error *error)
{
    uint8_t prefix[12];
    gx_tensor tensor = {.name = m->name, .file = r->file};
    if (m->nbytes < sizeof prefix)
        return damaged(r, "an array is too short", error);
    GX_TRY(read_at(r, begin, prefix, sizeof prefix, error));
    const unsigned length_nbytes = prefix[6] == 1 ? 2 : 4;
    const uint64_t length = little(prefix + 8, length_nbytes), start = 8 + length_nbytes + length;
    if (memcmp(prefix, "\x93NUMPY", 6) != 0 || length > NPY_HEADER_LIMIT || start > m->nbytes)
        return damaged(r, "a member is no .npy array", error);
    char *header = gx_alloc(length + 1, 1);
    gx_status status = header ? read_at(r, begin + 8 + length_nbytes, header, length, error) : gx_fail_memory(error);
    if (status == GX_OK)
        status = parse_type(&tensor, r, header, error);
    if (status == GX_OK)
        status = parse_shape(&tensor, r, header, error);
    gx_free(header);
    tensor.offset = begin + start;
    tensor.nbytes = m->nbytes - start;
    return status == GX_OK ? gx_checkpoint_add_tensor(r->checkpoint, &tensor, error) : status;
}

/* ---- ZIP ---- */

/* Sizes of 2^32 and more are in an extra field, those that need it, in this order. */
static bool read_extra(member *m, uint64_t *compressed, const uint8_t *extra, size_t nbytes)
{
    uint64_t *const wanted[3] = {m->nbytes == IN_EXTRA ? &m->nbytes : NULL, *compressed == IN_EXTRA ? compressed : NULL,
                                 m->local == IN_EXTRA ? &m->local : NULL};
    const bool any = wanted[0] || wanted[1] || wanted[2];
    while (nbytes >= 4) {
        const size_t size = little(extra + 2, 2);
        if (size > nbytes - 4)
            return false;
        if (little(extra, 2) == 1) {
            size_t at = 0;
            for (int i = 0; i < 3; i++) {
                if (!wanted[i])
                    continue;
                if (at + 8 > size)
                    return false;
                *wanted[i] = little(extra + 4 + at, 8);
                at += 8;
            }
            return true;
        }
        extra += 4 + size;
        nbytes -= 4 + size;
    }
    return !any;
}

static gx_status read_member(const reader *r, const member *m, gx_error *error)
{
    uint8_t local[LOCAL_NBYTES];
    uint64_t begin, end;
    GX_TRY(read_at(r, m->local, local, sizeof local, error));
    if (little(local, 4) != 0x04034b50)
        return damaged(r, "a local header is not where the directory says", error);
    if (!gx_add_u64(m->local, LOCAL_NBYTES + little(local + 26, 2) + little(local + 28, 2), &begin) || !gx_add_u64(begin, m->nbytes, &end) ||
        end > gx_file_nbytes(r->checkpoint->files[r->file]))
        return damaged(r, "a member lies outside the file", error);
    return read_array(r, m, begin, error);
}

/* One entry of the directory; *used: its bytes. */
static gx_status read_entry(const reader *r, const uint8_t *at, size_t left, size_t *used, gx_error *error)
{
    if (left < ENTRY_NBYTES || little(at, 4) != 0x02014b50)
        return damaged(r, "the directory is damaged", error);
    const size_t name_nbytes = little(at + 28, 2), extra_nbytes = little(at + 30, 2);
    *used = ENTRY_NBYTES + name_nbytes + extra_nbytes + little(at + 32, 2);
    if (*used > left || name_nbytes > GX_MAX_NAME_NBYTES)
        return damaged(r, "the directory is damaged", error);
    const char *raw = (const char *)at + ENTRY_NBYTES;
    char *name = gx_arena_printf(r->checkpoint->arena, "%.*s", (int)name_nbytes, raw);
    if (!name)
        return gx_fail_memory(error);
    if (strlen(name) < 4 || strcmp(name + strlen(name) - 4, ".npy") != 0)
        return damaged(r, "a member is no .npy array", error);
    if (little(at + 10, 2) != 0)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: '%s' is compressed; write it with numpy.savez, not savez_compressed", r->path, name);
    name[strlen(name) - 4] = 0;
    member m = {.name = name, .nbytes = little(at + 24, 4), .local = little(at + 42, 4)};
    uint64_t compressed = little(at + 20, 4);
    if (!read_extra(&m, &compressed, at + ENTRY_NBYTES + name_nbytes, extra_nbytes) || compressed != m.nbytes)
        return damaged(r, "a member's sizes are damaged", error);
    return read_member(r, &m, error);
}

typedef struct directory {
    uint64_t offset, nbytes, entries;
} directory;

static gx_status read_end64(directory *d, const reader *r, uint64_t end, gx_error *error)
{
    uint8_t locator[LOCATOR_NBYTES], record[END64_NBYTES];
    if (end < LOCATOR_NBYTES)
        return damaged(r, "no 64-bit end record", error);
    GX_TRY(read_at(r, end - LOCATOR_NBYTES, locator, sizeof locator, error));
    if (little(locator, 4) != 0x07064b50)
        return damaged(r, "no 64-bit end record", error);
    GX_TRY(read_at(r, little(locator + 8, 8), record, sizeof record, error));
    if (little(record, 4) != 0x06064b50)
        return damaged(r, "no 64-bit end record", error);
    *d = (directory){.entries = little(record + 32, 8), .nbytes = little(record + 40, 8), .offset = little(record + 48, 8)};
    return GX_OK;
}

/* The end record stands last, before a comment that NumPy does not write. */
static gx_status find_directory(directory *d, const reader *r, gx_error *error)
{
    const uint64_t nbytes = gx_file_nbytes(r->checkpoint->files[r->file]);
    uint8_t end[END_NBYTES];
    for (uint64_t comment = 0; comment <= COMMENT_LIMIT && nbytes >= END_NBYTES + comment; comment++) {
        const uint64_t at = nbytes - END_NBYTES - comment;
        GX_TRY(read_at(r, at, end, sizeof end, error));
        if (little(end, 4) != 0x06054b50 || little(end + 20, 2) != comment)
            continue;
        *d = (directory){.entries = little(end + 10, 2), .nbytes = little(end + 12, 4), .offset = little(end + 16, 4)};
        return d->offset == IN_EXTRA || d->nbytes == IN_EXTRA || d->entries == 0xffff ? read_end64(d, r, at, error) : GX_OK;
    }
    return damaged(r, "no end record", error);
}

gx_status gx_npz_read(gx_checkpoint *checkpoint, const char *path, gx_error *error)
{
    reader r = {.checkpoint = checkpoint, .path = path};
    directory d = {0};
    checkpoint->format = GX_CHECKPOINT_NPZ;
    GX_TRY(gx_checkpoint_add_file(checkpoint, path, &r.file, error));
    GX_TRY(find_directory(&d, &r, error));
    if (d.nbytes > DIRECTORY_LIMIT || d.entries > GX_MAX_TENSORS)
        return damaged(&r, "the directory is too large", error);
    uint8_t *bytes = gx_alloc(d.nbytes, 1);
    gx_status status = bytes ? read_at(&r, d.offset, bytes, d.nbytes, error) : gx_fail_memory(error);
    size_t at = 0;
    for (uint64_t i = 0; status == GX_OK && i < d.entries; i++) {
        size_t used = 0;
        status = read_entry(&r, bytes + at, d.nbytes - at, &used, error);
        at += used;
    }
    gx_free(bytes);
    return status;
}
