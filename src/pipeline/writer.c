/* The only stage that touches payload. Peak memory: four buffers per thread, sized from the plan. */
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/hash.h"
#include "base/threads.h"
#include "kernels/kernels.h"
#include "pipeline/residual_scale.h"
#include "pipeline/writer.h"

/* One thread's buffers. */
typedef struct workspace {
    uint8_t *raw;     /* the bytes of a task */
    float *values;    /* decoded rows */
    float *scaled;    /* rows as a recipe has them */
    uint8_t *encoded; /* one destination's parts, one after another */
    uint8_t *turned;  /* the same, transposed */
    uint8_t *scratch; /* of the scheme */
} workspace;

typedef struct writing {
    const gx_plan *plan;
    gx_staging *staging;
    gx_output *outputs[GX_POLICY_COUNT][GX_PLAN_MAX_DATA_FILES]; /* by target and data file; the staging owns them */
    const gx_build_options *options;
    gx_turn *turn;
    gx_hash **hashes; /* by file */
    uint64_t done;      /* source bytes, in order */
    workspace *workspaces;
    size_t raw_nbytes, scaled_floats, encoded_nbytes, turned_nbytes, scratch_nbytes;
} writing;

/* ---- buffers ---- */

static size_t encoded_nbytes(const gx_stored *stored, uint64_t rows)
{
    size_t nbytes = 0;
    for (int part = 0; part < GX_PART_COUNT; part++)
        nbytes += gx_align_up(rows * gx_scheme_part_row_nbytes(&stored->scheme, (gx_part)part, gx_recipe_columns(&stored->recipe)), 64);
    return nbytes;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void measure(writing *w)
{
    for (size_t i = 0; i < w->plan->task_count; i++) {
        const gx_task *task = &w->plan->tasks[i];
        w->raw_nbytes = larger(w->raw_nbytes, task->nbytes);
        for (const gx_destination *d = task->destinations; d; d = d->next) {
            w->encoded_nbytes = larger(w->encoded_nbytes, encoded_nbytes(d->stored, task->rows));
            const uint64_t columns = gx_recipe_columns(&d->stored->recipe);
            if (gx_recipe_changes_rows(&d->stored->recipe))
                w->scaled_floats = larger(w->scaled_floats, task->rows * columns);
            if (d->stored->scheme.transposed)
                w->turned_nbytes = larger(w->turned_nbytes, task->rows * columns);
            w->scratch_nbytes = larger(w->scratch_nbytes, gx_scheme_scratch_nbytes(&d->stored->scheme, columns));
        }
    }
}

static gx_status make_workspaces(writing *w, unsigned threads, gx_error *error)
{
    w->workspaces = gx_alloc(threads, sizeof *w->workspaces);
    if (!w->workspaces)
        return gx_fail_memory(error);
    for (unsigned i = 0; i < threads; i++) {
        workspace *space = &w->workspaces[i];
        space->raw = gx_alloc(w->raw_nbytes, 1);
        space->values = gx_alloc(w->plan->largest_task_floats, sizeof(float));
        space->scaled = gx_alloc(w->scaled_floats, sizeof(float));
        space->encoded = gx_alloc(w->encoded_nbytes, 1);
        space->turned = gx_alloc(w->turned_nbytes, 1);
        space->scratch = gx_alloc(w->scratch_nbytes, 1);
        if (!space->raw || !space->values || !space->scaled || !space->encoded || !space->turned || !space->scratch)
            return gx_fail_memory(error);
    }
    return GX_OK;
}

static void free_workspaces(writing *w, unsigned threads)
{
    for (unsigned i = 0; w->workspaces && i < threads; i++) {
        workspace *space = &w->workspaces[i];
        gx_free(space->raw);
        gx_free(space->values);
        gx_free(space->scaled);
        gx_free(space->encoded);
        gx_free(space->turned);
        gx_free(space->scratch);
    }
    gx_free(w->workspaces);
}

/* ---- one destination ---- */

/* out [columns, rows] = in [rows, columns], bytes. */
static void transpose_bytes(uint8_t *out, const uint8_t *in, uint64_t rows, uint64_t columns)
{
    enum { TILE = 64 };
    for (uint64_t r0 = 0; r0 < rows; r0 += TILE)
        for (uint64_t c0 = 0; c0 < columns; c0 += TILE)
            for (uint64_t r = r0; r < rows && r < r0 + TILE; r++)
                for (uint64_t c = c0; c < columns && c < c0 + TILE; c++)
                    out[c * rows + r] = in[r * columns + c];
}

/* A transposed matrix [columns, all rows]: the rows of this task are a run in each of its lines. */
static gx_status write_transposed(gx_output *output, const gx_stored *stored, uint64_t first_row, uint64_t rows, const uint8_t *bytes,
                                  uint8_t *turned, gx_error *error)
{
    const uint64_t columns = gx_recipe_columns(&stored->recipe), all_rows = gx_recipe_rows(&stored->recipe);
    transpose_bytes(turned, bytes, rows, columns);
    for (uint64_t c = 0; c < columns; c++)
        GX_TRY(gx_output_write(output, stored->parts[GX_PART_VALUES].offset + c * all_rows + first_row, turned + c * rows, rows, error));
    return GX_OK;
}

static gx_status write_part(writing *w, const workspace *space, unsigned target, const gx_stored *stored, gx_part part, uint64_t first_row, uint64_t rows,
                            const uint8_t *bytes, gx_error *error)
{
    gx_output *output = w->outputs[target][stored->parts[part].file];
    if (part == GX_PART_VALUES && stored->scheme.transposed)
        return write_transposed(output, stored, first_row, rows, bytes, space->turned, error);
    const uint64_t row_nbytes = gx_scheme_part_row_nbytes(&stored->scheme, part, gx_recipe_columns(&stored->recipe));
    return gx_output_write(output, stored->parts[part].offset + first_row * row_nbytes, bytes, rows * row_nbytes, error);
}

static gx_status write_parts(writing *w, const workspace *space, const gx_task *task, const gx_destination *d, const gx_stored *stored, void *const parts[GX_PART_COUNT],
                             gx_error *error)
{
    for (int part = 0; part < GX_PART_COUNT; part++)
        if (stored->parts[part].nbytes)
            GX_TRY(write_part(w, space, d->target, stored, (gx_part)part, d->first_row + task->first_row, task->rows, parts[part], error));
    return GX_OK;
}

static gx_status check_embedding(const writing *w, const gx_task *task, const gx_destination *d, const float *values, gx_error *error)
{
    const gx_model *model = w->plan->model;
    const gx_target *target = &w->plan->targets[d->target];
    if (target->policy->activation != GX_DTYPE_F16 || task->weight->tensor != model->weights[GX_ROLE_EMBEDDING].tensor ||
        !gx_residual_is_bounded(model))
        return GX_OK;
    const float limit = (float)(GX_RESIDUAL_EMBEDDING_LIMIT / model->embedding_multiplier);
    const float largest = gx_kernels_get()->magnitude(values, task->rows * task->weight->columns);
    if (!(largest <= limit)) /* NaN, too */
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: '%s' holds %g, too much for an fp16 residual stream; use fp32 or q4",
                       target->policy->name, task->weight->tensor->name, (double)largest);
    return GX_OK;
}

/* The recipe's columns of rows of `width`, scaled. */
static void change_rows(float *out, const gx_recipe *recipe, const float *values, uint64_t rows, uint64_t width)
{
    const float multiply = (float)recipe->multiply, *column_scales = recipe->column_scales;
    const uint64_t columns = gx_recipe_columns(recipe);
    values += recipe->first_column;
    for (uint64_t r = 0; r < rows; r++, out += columns, values += width) {
        for (uint64_t c = 0; c < columns; c++)
            out[c] = values[c] * multiply;
        for (uint64_t c = 0; column_scales && c < columns; c++)
            out[c] *= column_scales[c];
    }
}

static gx_status encode(writing *w, const workspace *space, const gx_task *task, const gx_destination *d, gx_error *error)
{
    const gx_stored *stored = d->stored;
    const uint64_t columns = gx_recipe_columns(&stored->recipe);
    const float *values = space->values;
    if (gx_recipe_changes_rows(&stored->recipe)) {
        change_rows(space->scaled, &stored->recipe, values, task->rows, task->weight->columns);
        values = space->scaled;
    }
    GX_TRY(check_embedding(w, task, d, values, error));
    void *parts[GX_PART_COUNT] = {0};
    size_t at = 0;
    for (int part = 0; part < GX_PART_COUNT; part++) {
        parts[part] = space->encoded + at;
        at += gx_align_up(task->rows * gx_scheme_part_row_nbytes(&stored->scheme, (gx_part)part, columns), 64);
    }
    gx_status status = gx_scheme_encode_weighted(&stored->scheme, values, task->rows, columns, stored->recipe.importance, parts,
                                                 space->scratch, error);
    if (status != GX_OK) {
        gx_error_note(error, "%s: '%s', rows from %llu", w->plan->targets[d->target].policy->name, task->weight->tensor->name,
                      (unsigned long long)task->first_row);
        return status;
    }
    GX_TRY(write_parts(w, space, task, d, stored, parts, error));
    return d->twin ? write_parts(w, space, task, d, d->twin, parts, error) : GX_OK;
}

/* ---- one task ---- */

/* In file order, one thread at a time: the hash, and the progress. */
static gx_status take_turn(writing *w, size_t item, const uint8_t *raw, gx_error *error)
{
    const gx_task *task = &w->plan->tasks[item];
    gx_turn_wait(w->turn, item);
    gx_hash_update(w->hashes[task->file], raw, task->nbytes);
    w->done += task->nbytes;
    const gx_progress progress = {.phase = "convert", .in_bytes = true, .done = w->done, .total = w->plan->source_nbytes};
    const bool go_on = !w->options->progress || w->options->progress(w->options->progress_context, &progress);
    gx_turn_done(w->turn);
    return go_on ? GX_OK : gx_fail(error, GX_ERROR_CANCELLED, "cancelled");
}

static void decode(const workspace *space, const gx_task *task)
{
    const gx_weight *weight = task->weight;
    const gx_dtype_info *info = gx_dtype_get(weight->tensor->dtype);
    const uint64_t elements = task->rows * weight->columns;
    info->decode(space->raw, space->values, elements / info->block_elements);
    if (weight->add != 0)
        for (uint64_t i = 0; i < elements; i++)
            space->values[i] += (float)weight->add;
}

static gx_status run_task(writing *w, size_t item, const workspace *space, gx_error *error)
{
    const gx_task *task = &w->plan->tasks[item];
    gx_file *file = gx_checkpoint_file(w->plan->model->checkpoint, task->file);
    const gx_status read = gx_file_read(file, task->offset, space->raw, task->nbytes, error);
    if (read != GX_OK) { /* later items wait for this one's turn */
        gx_turn_wait(w->turn, item);
        gx_turn_done(w->turn);
        return read;
    }
    GX_TRY(take_turn(w, item, space->raw, error));
    if (!task->weight)
        return GX_OK;
    decode(space, task);
    for (const gx_destination *d = task->destinations; d; d = d->next)
        GX_TRY(encode(w, space, task, d, error));
    return GX_OK;
}

static gx_status parallel_task(void *context, size_t item, unsigned worker, gx_error *error)
{
    writing *w = context;
    return run_task(w, item, &w->workspaces[worker], error);
}

/* ---- all ---- */

static gx_status create_outputs(writing *w, const char *folder, gx_error *error)
{
    for (unsigned t = 0; t < w->plan->target_count; t++) {
        const gx_target *target = &w->plan->targets[t];
        for (unsigned i = 0; i < target->data_files; i++) {
            const char *path = gx_path_join(w->plan->arena, folder, target->data_names[i]);
            if (!path)
                return gx_fail_memory(error);
            GX_TRY(gx_staging_create(w->staging, &w->outputs[t][i], path, error));
            GX_TRY(gx_output_resize(w->outputs[t][i], target->data_nbytes[i], error));
        }
    }
    return GX_OK;
}

static gx_status make_hashes(writing *w, size_t files, gx_error *error)
{
    w->hashes = gx_alloc(files, sizeof *w->hashes);
    if (!w->hashes)
        return gx_fail_memory(error);
    for (size_t i = 0; i < files; i++)
        if (!(w->hashes[i] = gx_hash_new(GX_HASH_SHA256)))
            return gx_fail_memory(error);
    return GX_OK;
}

static gx_status write_everything(writing *w, const char *folder, unsigned threads, gx_error *error)
{
    measure(w);
    w->turn = gx_turn_new();
    if (!w->turn)
        return gx_fail_memory(error);
    GX_TRY(make_hashes(w, gx_checkpoint_file_count(w->plan->model->checkpoint), error));
    GX_TRY(make_workspaces(w, threads, error));
    GX_TRY(create_outputs(w, folder, error));
    return gx_parallel_for(w->plan->task_count, threads, parallel_task, w, error);
}

gx_status gx_write_data(gx_staging *staging, gx_sha256_hex *hashes, const gx_plan *plan, const char *folder, const gx_build_options *options,
                        gx_error *error)
{
    const unsigned threads = options->threads ? options->threads : gx_cpu_count();
    const size_t files = gx_checkpoint_file_count(plan->model->checkpoint);
    writing w = {.plan = plan, .staging = staging, .options = options};
    const gx_status status = write_everything(&w, folder, threads, error);
    for (size_t i = 0; w.hashes && i < files; i++) {
        if (status == GX_OK)
            gx_hash_finish(w.hashes[i], hashes[i]);
        gx_hash_free(w.hashes[i]);
    }
    gx_free(w.hashes);
    gx_turn_free(w.turn);
    free_workspaces(&w, threads);
    return status;
}
