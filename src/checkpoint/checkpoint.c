/* Opens checkpoints of every format and owns the index over them. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "checkpoint/internal.h"

#define MAX_FILES ((size_t)4096)

/* ---- filling ---- */

gx_status gx_checkpoint_add_file(gx_checkpoint *checkpoint, const char *path, unsigned *index, gx_error *error)
{
    if (checkpoint->file_count == MAX_FILES)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: more than %zu files", checkpoint->path, MAX_FILES);
    if (checkpoint->file_count == checkpoint->file_capacity) {
        const size_t capacity = checkpoint->file_capacity ? checkpoint->file_capacity * 2 : 4;
        gx_file **grown = gx_realloc(checkpoint->files, capacity, sizeof *grown);
        if (!grown)
            return gx_fail_memory(error);
        checkpoint->files = grown;
        checkpoint->file_capacity = capacity;
    }
    GX_TRY(gx_file_open(&checkpoint->files[checkpoint->file_count], path, error));
    *index = (unsigned)checkpoint->file_count++;
    return GX_OK;
}

static gx_status check_tensor(const gx_checkpoint *checkpoint, gx_tensor *tensor, gx_error *error)
{
    const gx_file *file = checkpoint->files[tensor->file];
    uint64_t elements = 1, expected = 0, end = 0;
    bool fits = true;
    for (unsigned i = 0; i < tensor->rank; i++)
        fits = fits && gx_mul_u64(elements, tensor->shape[i], &elements);
    const uint64_t row = tensor->rank ? tensor->shape[tensor->rank - 1] : 1;
    uint64_t row_nbytes = 0;
    fits = fits && gx_dtype_row_nbytes(tensor->dtype, row, &row_nbytes) && gx_mul_u64(row_nbytes, row ? elements / row : 0, &expected);
    if (!fits)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: tensor '%s': its shape overflows or its rows are no whole %s blocks", gx_file_path(file),
                       tensor->name, gx_dtype_get(tensor->dtype)->name);
    if (expected != tensor->nbytes)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: tensor '%s': %llu bytes, its shape and type need %llu", gx_file_path(file), tensor->name,
                       (unsigned long long)tensor->nbytes, (unsigned long long)expected);
    if (!gx_add_u64(tensor->offset, tensor->nbytes, &end) || end > gx_file_nbytes(file))
        return gx_fail(error, GX_ERROR_FORMAT, "%s: tensor '%s': bytes %llu … %llu are outside the file of %llu bytes", gx_file_path(file),
                       tensor->name, (unsigned long long)tensor->offset, (unsigned long long)end, (unsigned long long)gx_file_nbytes(file));
    tensor->elements = elements;
    return GX_OK;
}

gx_status gx_checkpoint_add_tensor(gx_checkpoint *checkpoint, const gx_tensor *tensor, gx_error *error)
{
    gx_tensor checked = *tensor;
    GX_TRY(check_tensor(checkpoint, &checked, error));
    if (checkpoint->tensor_count == GX_MAX_TENSORS)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: more than %zu tensors", checkpoint->path, GX_MAX_TENSORS);
    if (checkpoint->tensor_count == checkpoint->tensor_capacity) {
        const size_t capacity = checkpoint->tensor_capacity ? checkpoint->tensor_capacity * 2 : 256;
        gx_tensor *grown = gx_realloc(checkpoint->tensors, capacity, sizeof *grown);
        if (!grown)
            return gx_fail_memory(error);
        checkpoint->tensors = grown;
        checkpoint->tensor_capacity = capacity;
    }
    checkpoint->tensors[checkpoint->tensor_count++] = checked;
    return GX_OK;
}

/* ---- order ---- */

static int compare_places(const void *left, const void *right)
{
    const gx_tensor *a = left, *b = right;
    if (a->file != b->file)
        return a->file < b->file ? -1 : 1;
    if (a->offset != b->offset)
        return a->offset < b->offset ? -1 : 1;
    return a->nbytes < b->nbytes ? -1 : a->nbytes > b->nbytes;
}

static int compare_names(const void *left, const void *right)
{
    return strcmp((*(const gx_tensor *const *)left)->name, (*(const gx_tensor *const *)right)->name);
}

static gx_status check_order(const gx_checkpoint *checkpoint, gx_error *error)
{
    for (size_t i = 1; i < checkpoint->tensor_count; i++) {
        const gx_tensor *a = &checkpoint->tensors[i - 1], *b = &checkpoint->tensors[i];
        if (a->file == b->file && a->offset + a->nbytes > b->offset)
            return gx_fail(error, GX_ERROR_FORMAT, "%s: tensors '%s' and '%s' overlap", gx_file_path(checkpoint->files[a->file]), a->name, b->name);
        if (strcmp(checkpoint->by_name[i - 1]->name, checkpoint->by_name[i]->name) == 0)
            return gx_fail(error, GX_ERROR_FORMAT, "%s: tensor '%s' is there twice", checkpoint->path, checkpoint->by_name[i]->name);
    }
    return GX_OK;
}

gx_status gx_checkpoint_sort(gx_checkpoint *checkpoint, gx_error *error)
{
    const size_t count = checkpoint->tensor_count;
    if (count == 0)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: no tensors", checkpoint->path);
    checkpoint->by_name = GX_NEW_ARRAY(checkpoint->arena, const gx_tensor *, count);
    if (!checkpoint->by_name)
        return gx_fail_memory(error);
    qsort(checkpoint->tensors, count, sizeof *checkpoint->tensors, compare_places);
    for (size_t i = 0; i < count; i++)
        checkpoint->by_name[i] = &checkpoint->tensors[i];
    qsort(checkpoint->by_name, count, sizeof *checkpoint->by_name, compare_names);
    return check_order(checkpoint, error);
}

/* ---- opening ---- */

static bool ends_with(const char *text, const char *ending)
{
    const size_t n = strlen(text), m = strlen(ending);
    return n >= m && strcmp(text + n - m, ending) == 0;
}

/* "name-00001-of-00003.gguf" and "name-00002-of-00003.gguf" */
static bool parts_of_one_model(const char *a, const char *b)
{
    const size_t length = strlen(a), number = sizeof "00001-of-00003.gguf" - 1, total = sizeof "-of-00003.gguf" - 1;
    return length > number && strlen(b) == length && ends_with(a, ".gguf") && strncmp(a + length - total, "-of-", 4) == 0 &&
           memcmp(a, b, length - number) == 0 && strcmp(a + length - total, b + length - total) == 0;
}

/* The only file of a folder with this ending; NULL in *out when there is none or more than one (*count says). The parts of
 * a split model are one file: names are sorted, so that they follow each other. */
static gx_status find_only(const gx_checkpoint *checkpoint, const char *ending, const char **out, size_t *count, gx_error *error)
{
    char **names = NULL;
    size_t n = 0;
    GX_TRY(gx_folder_list(checkpoint->arena, checkpoint->path, &names, &n, error));
    *count = 0;
    *out = NULL;
    for (size_t i = 0; i < n; i++) {
        if (!ends_with(names[i], ending) || (i > 0 && parts_of_one_model(names[i - 1], names[i])))
            continue;
        if (++*count == 1)
            *out = names[i];
    }
    if (*count > 1)
        *out = NULL;
    return GX_OK;
}

static gx_status open_named(gx_checkpoint *checkpoint, const char *name, gx_status (*read)(gx_checkpoint *, const char *, gx_error *),
                            gx_error *error)
{
    char *path = gx_path_join(checkpoint->arena, checkpoint->path, name);
    return path ? read(checkpoint, path, error) : gx_fail_memory(error);
}

static gx_status open_folder(gx_checkpoint *checkpoint, gx_error *error)
{
    char *index = gx_path_join(checkpoint->arena, checkpoint->path, "model.safetensors.index.json");
    char *whole = gx_path_join(checkpoint->arena, checkpoint->path, "model.safetensors");
    if (!index || !whole)
        return gx_fail_memory(error);
    GX_TRY(gx_modules_read(checkpoint, error));
    if (gx_path_exists(whole))
        return gx_safetensors_read(checkpoint, whole, error);
    if (gx_path_exists(index))
        return gx_shards_read(checkpoint, index, error);
    const char *only = NULL;
    size_t safetensors = 0, gguf = 0;
    GX_TRY(find_only(checkpoint, ".safetensors", &only, &safetensors, error));
    if (only)
        return open_named(checkpoint, only, gx_safetensors_read, error);
    GX_TRY(find_only(checkpoint, ".gguf", &only, &gguf, error));
    if (safetensors == 0 && only)
        return open_named(checkpoint, only, gx_gguf_read, error);
    if (safetensors > 1)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: %zu .safetensors files, but no model.safetensors.index.json", checkpoint->path, safetensors);
    if (gguf > 1)
        return gx_fail(error, GX_ERROR_ARGUMENT, "%s: %zu .gguf files; name one", checkpoint->path, gguf);
    return gx_fail(error, GX_ERROR_FORMAT, "%s: no model.safetensors, no model.safetensors.index.json, no .gguf file", checkpoint->path);
}

static gx_status folder_of(gx_checkpoint *checkpoint, gx_error *error)
{
    const char *name = gx_path_name(checkpoint->path);
    const size_t length = (size_t)(name - checkpoint->path);
    checkpoint->folder = length == 0   ? "."
                         : length == 1 ? "/"
                                       : gx_arena_copy_bytes(checkpoint->arena, checkpoint->path, length - 1);
    return checkpoint->folder ? GX_OK : gx_fail_memory(error);
}

static gx_status open_any(gx_checkpoint *checkpoint, gx_error *error)
{
    if (gx_path_is_folder(checkpoint->path)) {
        checkpoint->folder = checkpoint->path;
        return open_folder(checkpoint, error);
    }
    GX_TRY(folder_of(checkpoint, error));
    if (ends_with(checkpoint->path, ".safetensors"))
        return gx_safetensors_read(checkpoint, checkpoint->path, error);
    if (ends_with(checkpoint->path, ".npz"))
        return gx_npz_read(checkpoint, checkpoint->path, error);
    if (ends_with(checkpoint->path, ".safetensors.index.json"))
        return gx_shards_read(checkpoint, checkpoint->path, error);
    return gx_gguf_read(checkpoint, checkpoint->path, error);
}

static gx_status open_checkpoint(gx_checkpoint **out, const char *path, bool headers_only, gx_error *error)
{
    gx_arena *arena = gx_arena_new();
    gx_checkpoint *checkpoint = arena ? GX_NEW(arena, gx_checkpoint) : NULL;
    if (!checkpoint) {
        gx_arena_free(arena);
        return gx_fail_memory(error);
    }
    checkpoint->arena = arena;
    checkpoint->headers_only = headers_only;
    checkpoint->path = gx_arena_copy_string(arena, path);
    gx_status status = checkpoint->path ? open_any(checkpoint, error) : gx_fail_memory(error);
    if (status == GX_OK && !checkpoint->by_name)
        status = gx_checkpoint_sort(checkpoint, error);
    if (status == GX_OK)
        *out = checkpoint;
    else
        gx_checkpoint_close(checkpoint);
    return status;
}

gx_status gx_checkpoint_open(gx_checkpoint **out, const char *path, gx_error *error)
{
    return open_checkpoint(out, path, false, error);
}

gx_status gx_checkpoint_open_headers(gx_checkpoint **out, const char *path, gx_error *error)
{
    return open_checkpoint(out, path, true, error);
}

bool gx_checkpoint_has_payload(const gx_checkpoint *checkpoint)
{
    return !checkpoint->headers_only;
}

void gx_checkpoint_close(gx_checkpoint *checkpoint)
{
    if (!checkpoint)
        return;
    for (size_t i = 0; i < checkpoint->file_count; i++)
        gx_file_close(checkpoint->files[i]);
    gx_free(checkpoint->files);
    gx_free(checkpoint->tensors);
    gx_arena_free(checkpoint->arena);
}

/* ---- looking ---- */

gx_checkpoint_format gx_checkpoint_get_format(const gx_checkpoint *checkpoint)
{
    return checkpoint->format;
}

const char *gx_checkpoint_path(const gx_checkpoint *checkpoint)
{
    return checkpoint->path;
}

const char *gx_checkpoint_folder(const gx_checkpoint *checkpoint)
{
    return checkpoint->folder;
}

size_t gx_checkpoint_tensor_count(const gx_checkpoint *checkpoint)
{
    return checkpoint->tensor_count;
}

const gx_tensor *gx_checkpoint_tensor(const gx_checkpoint *checkpoint, size_t index)
{
    return &checkpoint->tensors[index];
}

const gx_tensor *gx_checkpoint_find(const gx_checkpoint *checkpoint, const char *name)
{
    size_t low = 0, high = checkpoint->tensor_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(name, checkpoint->by_name[middle]->name);
        if (order == 0)
            return checkpoint->by_name[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

size_t gx_checkpoint_file_count(const gx_checkpoint *checkpoint)
{
    return checkpoint->file_count;
}

gx_file *gx_checkpoint_file(const gx_checkpoint *checkpoint, size_t index)
{
    return checkpoint->files[index];
}

const char *gx_checkpoint_file_name(const gx_checkpoint *checkpoint, size_t index)
{
    const char *path = gx_file_path(checkpoint->files[index]);
    const size_t n = strlen(checkpoint->folder);
    return strncmp(path, checkpoint->folder, n) == 0 && path[n] == '/' ? path + n + 1 : gx_path_name(path);
}

size_t gx_checkpoint_metadata_count(const gx_checkpoint *checkpoint)
{
    return checkpoint->metadata_count;
}

const gx_gguf_value *gx_checkpoint_metadata_at(const gx_checkpoint *checkpoint, size_t index)
{
    return &checkpoint->metadata[index];
}

const gx_gguf_value *gx_checkpoint_metadata(const gx_checkpoint *checkpoint, const char *key)
{
    for (size_t i = 0; i < checkpoint->metadata_count; i++)
        if (strcmp(checkpoint->metadata[i].key, key) == 0)
            return &checkpoint->metadata[i];
    return NULL;
}

/* ---- reading ---- */

gx_status gx_tensor_rows_nbytes(const gx_tensor *tensor, uint64_t rows, uint64_t *out, gx_error *error)
{
    const uint64_t row = tensor->rank ? tensor->shape[tensor->rank - 1] : 1;
    uint64_t row_nbytes = 0;
    if (!gx_dtype_row_nbytes(tensor->dtype, row, &row_nbytes) || !gx_mul_u64(row_nbytes, rows, out))
        return gx_fail(error, GX_ERROR_ARGUMENT, "tensor '%s': %llu rows", tensor->name, (unsigned long long)rows);
    return GX_OK;
}

gx_status gx_checkpoint_read_rows(const gx_checkpoint *checkpoint, const gx_tensor *tensor, uint64_t first_row, uint64_t rows, void *scratch,
                                  float *out, gx_error *error)
{
    const gx_dtype_info *info = gx_dtype_get(tensor->dtype);
    if (!info->decode)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "tensor '%s' holds %s, which is no weight type", tensor->name, info->name);
    uint64_t skipped = 0, nbytes = 0;
    GX_TRY(gx_tensor_rows_nbytes(tensor, first_row, &skipped, error));
    GX_TRY(gx_tensor_rows_nbytes(tensor, rows, &nbytes, error));
    if (skipped > tensor->nbytes || nbytes > tensor->nbytes - skipped)
        return gx_fail(error, GX_ERROR_ARGUMENT, "tensor '%s': rows %llu … %llu are outside it", tensor->name, (unsigned long long)first_row,
                       (unsigned long long)(first_row + rows));
    GX_TRY(gx_file_read(checkpoint->files[tensor->file], tensor->offset + skipped, scratch, nbytes, error));
    info->decode(scratch, out, nbytes / info->block_nbytes);
    return GX_OK;
}
