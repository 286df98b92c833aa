/*
 * Logits recorded elsewhere, under the names that the older scripts used: input_ids [rows, n], attention_mask [rows, n],
 * prefill_logits [rows, n or 1, vocabulary], decode_input_ids [rows, steps], decode_logits [rows, steps, vocabulary];
 * next_token is not needed. tools/record_reference.py writes such files.
 */
#include "pipeline/compare_internal.h"

typedef struct array {
    const gx_tensor *tensor;
    uint64_t rows, columns, width; /* width: of the last dimension of a rank of 3, else 1 */
} array;

static gx_status find(array *out, const gx_checkpoint *file, const char *name, unsigned rank, gx_error *error)
{
    const gx_tensor *tensor = gx_checkpoint_find(file, name);
    if (!tensor || tensor->rank != rank)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: no array '%s' of rank %u", gx_checkpoint_path(file), name, rank);
    *out = (array){tensor, tensor->shape[0], tensor->shape[1], rank == 3 ? tensor->shape[2] : 1};
    return GX_OK;
}

static gx_status read_ids(int64_t **out, gx_arena *arena, const gx_checkpoint *file, const array *a, gx_error *error)
{
    if (a->tensor->dtype != GX_DTYPE_I64)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: '%s' is not of 64-bit integers", gx_checkpoint_path(file), a->tensor->name);
    *out = GX_NEW_ARRAY(arena, int64_t, a->tensor->elements);
    if (!*out)
        return gx_fail_memory(error);
    return gx_file_read(gx_checkpoint_file(file, a->tensor->file), a->tensor->offset, *out, a->tensor->nbytes, error);
}

/* Row `row` of the array seen as [rows * columns, width]. */
static gx_status read_logits(float *out, const gx_checkpoint *file, const array *a, uint64_t row, gx_error *error)
{
    uint64_t nbytes = 0;
    GX_TRY(gx_tensor_rows_nbytes(a->tensor, 1, &nbytes, error));
    void *scratch = gx_alloc(nbytes, 1);
    const gx_status status = scratch ? gx_checkpoint_read_rows(file, a->tensor, row, 1, scratch, out, error) : gx_fail_memory(error);
    gx_free(scratch);
    return status;
}

typedef struct record {
    const gx_checkpoint *file;
    array ids, mask, prefill, decode_ids, decode;
} record;

static gx_status check_shapes(const record *r, const gx_static_comparison *c, gx_error *error)
{
    const uint64_t rows = r->ids.rows;
    const bool fit = rows > 0 && rows % c->batch == 0 && r->mask.rows == rows && r->mask.columns == r->ids.columns && r->prefill.rows == rows &&
                     (r->prefill.columns == r->ids.columns || r->prefill.columns == 1) && r->decode_ids.rows == rows && r->decode.rows == rows &&
                     r->decode.columns == r->decode_ids.columns && r->prefill.width == c->vocabulary && r->decode.width == c->vocabulary;
    if (!fit)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: the arrays' shapes do not fit each other, a vocabulary of %zu and a batch of %zu",
                       gx_checkpoint_path(r->file), c->vocabulary, c->batch);
    if (r->ids.columns + r->decode_ids.columns > c->max_length)
        return gx_fail(error, GX_ERROR_ARGUMENT, "%s: %llu positions were recorded, the caches hold %zu", gx_checkpoint_path(r->file),
                       (unsigned long long)(r->ids.columns + r->decode_ids.columns), c->max_length);
    return GX_OK;
}

/* The ids that count (mask 1), wherever the padding is, then those of the steps. */
static gx_status take_row(gx_static_comparison *c, const record *r, size_t row, const int64_t *ids, const int64_t *mask, const int64_t *steps,
                          gx_error *error)
{
    const size_t columns = r->ids.columns;
    int64_t *all = GX_NEW_ARRAY(c->arena, int64_t, columns + c->steps);
    size_t count = 0, last = 0;
    if (!all)
        return gx_fail_memory(error);
    for (size_t i = 0; i < columns; i++) {
        if (!mask[row * columns + i])
            continue;
        all[count++] = ids[row * columns + i];
        last = i;
    }
    if (count == 0)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: row %zu is padding only", gx_checkpoint_path(r->file), row);
    for (size_t i = 0; i < c->steps; i++)
        all[count + i] = steps[row * c->steps + i];
    c->sequences[row] = (gx_compare_sequence){all, count};
    const uint64_t at = r->prefill.columns == 1 ? row : row * columns + last;
    GX_TRY(read_logits(c->record.prefill + row * c->vocabulary, r->file, &r->prefill, at, error));
    for (size_t i = 0; i < c->steps; i++)
        GX_TRY(read_logits(c->record.decode + (row * c->steps + i) * c->vocabulary, r->file, &r->decode, row * c->steps + i, error));
    return GX_OK;
}

static gx_status read_all(gx_static_comparison *c, record *r, gx_error *error)
{
    int64_t *ids = NULL, *mask = NULL, *steps = NULL;
    GX_TRY(find(&r->ids, r->file, "input_ids", 2, error));
    GX_TRY(find(&r->mask, r->file, "attention_mask", 2, error));
    GX_TRY(find(&r->prefill, r->file, "prefill_logits", 3, error));
    GX_TRY(find(&r->decode_ids, r->file, "decode_input_ids", 2, error));
    GX_TRY(find(&r->decode, r->file, "decode_logits", 3, error));
    GX_TRY(check_shapes(r, c, error));
    GX_TRY(read_ids(&ids, c->arena, r->file, &r->ids, error));
    GX_TRY(read_ids(&mask, c->arena, r->file, &r->mask, error));
    GX_TRY(read_ids(&steps, c->arena, r->file, &r->decode_ids, error));
    c->steps = r->decode_ids.columns;
    c->sequence_count = r->ids.rows;
    c->sequences = GX_NEW_ARRAY(c->arena, gx_compare_sequence, c->sequence_count);
    c->record.prefill = GX_NEW_ARRAY(c->arena, float, c->sequence_count * c->vocabulary);
    c->record.decode = GX_NEW_ARRAY(c->arena, float, c->sequence_count * c->steps * c->vocabulary);
    if (!c->sequences || !c->record.prefill || !c->record.decode)
        return gx_fail_memory(error);
    for (size_t row = 0; row < c->sequence_count; row++)
        GX_TRY(take_row(c, r, row, ids, mask, steps, error));
    return GX_OK;
}

gx_status gx_compare_read_record(gx_static_comparison *c, gx_error *error)
{
    gx_checkpoint *file = NULL;
    GX_TRY(gx_checkpoint_open(&file, c->options->reference_file, error));
    record r = {.file = file};
    const gx_status status = read_all(c, &r, error);
    gx_checkpoint_close(file);
    return status;
}
