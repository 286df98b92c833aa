/*
 * What quantisation (or rounding) did to each weight: the data file's bytes, decoded as the runtime would, against the
 * source's own values. The plan is made again from the options that the manifest holds; nothing of it is written.
 */
#include <math.h>

#include "base/checked.h"
#include "pipeline/plan.h"
#include "pipeline/verify_internal.h"

#define CHUNK_FLOATS ((uint64_t)1 << 18)

typedef struct weighing {
    const gx_model *model;
    const gx_target *target;
    gx_file *files[GX_PLAN_MAX_DATA_FILES];
} weighing;

/* Of one chunk of rows. */
typedef struct chunk {
    uint64_t rows;     /* the most that fit */
    float *expected, *found; /* [rows, columns] */
    void *raw;         /* the source's bytes */
    uint8_t *parts[GX_PART_COUNT];
    uint8_t *turned;   /* [columns, rows] of a transposed matrix */
} chunk;

typedef struct sums {
    double error, square, largest;
} sums;

static void free_chunk(chunk *c)
{
    gx_free(c->expected);
    gx_free(c->found);
    gx_free(c->raw);
    gx_free(c->turned);
    for (int part = 0; part < GX_PART_COUNT; part++)
        gx_free(c->parts[part]);
}

static gx_status make_chunk(chunk *c, const gx_stored *stored, gx_error *error)
{
    const uint64_t columns = gx_recipe_columns(&stored->recipe), width = stored->recipe.sources[0]->columns;
    c->rows = width < CHUNK_FLOATS ? CHUNK_FLOATS / width : 1;
    uint64_t raw_nbytes = 0;
    for (unsigned i = 0; i < stored->recipe.source_count; i++) {
        uint64_t row_nbytes = 0;
        GX_TRY(gx_tensor_rows_nbytes(stored->recipe.sources[i]->tensor, 1, &row_nbytes, error));
        raw_nbytes = row_nbytes * c->rows > raw_nbytes ? row_nbytes * c->rows : raw_nbytes;
    }
    c->expected = gx_alloc(c->rows * width, sizeof *c->expected);
    c->found = gx_alloc(c->rows * columns, sizeof *c->found);
    c->raw = gx_alloc(raw_nbytes, 1);
    c->turned = gx_alloc(stored->scheme.transposed ? c->rows * columns : 0, 1);
    bool all = c->expected && c->found && c->raw && (c->turned || !stored->scheme.transposed);
    for (int part = 0; part < GX_PART_COUNT; part++) {
        const uint64_t nbytes = c->rows * gx_scheme_part_row_nbytes(&stored->scheme, (gx_part)part, columns);
        c->parts[part] = gx_alloc(nbytes, 1);
        all = all && (c->parts[part] || nbytes == 0);
    }
    return all ? GX_OK : gx_fail_memory(error);
}

/* The rows are a run in each line of a matrix stored [columns, all rows]. */
static gx_status read_transposed(const weighing *w, chunk *c, const gx_stored *stored, uint64_t first_row, uint64_t rows, gx_error *error)
{
    const uint64_t columns = gx_recipe_columns(&stored->recipe), all_rows = gx_recipe_rows(&stored->recipe);
    for (uint64_t k = 0; k < columns; k++)
        GX_TRY(gx_file_read(w->files[stored->parts[GX_PART_VALUES].file], stored->parts[GX_PART_VALUES].offset + k * all_rows + first_row,
                            c->turned + k * rows, rows, error));
    for (uint64_t r = 0; r < rows; r++)
        for (uint64_t k = 0; k < columns; k++)
            c->parts[GX_PART_VALUES][r * columns + k] = c->turned[k * rows + r];
    return GX_OK;
}

static gx_status read_found(const weighing *w, chunk *c, const gx_stored *stored, uint64_t first_row, uint64_t rows, gx_error *error)
{
    const uint64_t columns = gx_recipe_columns(&stored->recipe);
    for (int part = 0; part < GX_PART_COUNT; part++) {
        const uint64_t row_nbytes = gx_scheme_part_row_nbytes(&stored->scheme, (gx_part)part, columns);
        if (part == GX_PART_VALUES && stored->scheme.transposed)
            GX_TRY(read_transposed(w, c, stored, first_row, rows, error));
        else if (row_nbytes)
            GX_TRY(gx_file_read(w->files[stored->parts[part].file], stored->parts[part].offset + first_row * row_nbytes, c->parts[part],
                                rows * row_nbytes, error));
    }
    gx_scheme_decode(&stored->scheme, (const void *const *)c->parts, rows, columns, c->found);
    return GX_OK;
}

static void add_up(sums *s, const chunk *c, const gx_recipe *recipe, uint64_t rows)
{
    const uint64_t columns = gx_recipe_columns(recipe), width = recipe->sources[0]->columns;
    for (uint64_t r = 0; r < rows; r++) {
        for (uint64_t k = 0; k < columns; k++) {
            const double scale = recipe->multiply * (recipe->column_scales ? (double)recipe->column_scales[k] : 1);
            const double expected = c->expected[r * width + recipe->first_column + k], difference = fabs((double)c->found[r * columns + k] / scale - expected);
            s->error += difference * difference;
            s->square += expected * expected;
            s->largest = difference > s->largest || isnan(difference) ? difference : s->largest;
        }
    }
}

static gx_status compare_rows(sums *s, const weighing *w, chunk *c, const gx_stored *stored, gx_error *error)
{
    uint64_t stored_row = 0;
    for (unsigned i = 0; i < stored->recipe.source_count; i++) {
        const gx_weight *source = stored->recipe.sources[i];
        for (uint64_t row = 0; row < source->rows; row += c->rows) {
            const uint64_t rows = source->rows - row < c->rows ? source->rows - row : c->rows;
            GX_TRY(gx_weight_read_rows(w->model, source, row, rows, c->raw, c->expected, error));
            GX_TRY(read_found(w, c, stored, stored_row + row, rows, error));
            add_up(s, c, &stored->recipe, rows);
        }
        stored_row += source->rows;
    }
    return GX_OK;
}

static double relative(double error, double square)
{
    return error == 0 ? 0 : square > 0 ? sqrt(error / square) : INFINITY;
}

static gx_status weigh_one(gx_verify_weight *out, sums *all, const weighing *w, const gx_stored *stored, gx_arena *arena, gx_error *error)
{
    char scheme[96];
    gx_scheme_name(&stored->scheme, scheme, sizeof scheme);
    chunk c = {0};
    sums s = {0};
    gx_status status = make_chunk(&c, stored, error);
    if (status == GX_OK)
        status = compare_rows(&s, w, &c, stored, error);
    free_chunk(&c);
    if (status != GX_OK)
        return status;
    *out = (gx_verify_weight){.name = gx_arena_copy_string(arena, stored->name),
                              .scheme = gx_arena_copy_string(arena, scheme),
                              .relative_error = relative(s.error, s.square),
                              .largest_error = s.largest,
                              .is_matrix = gx_recipe_rows(&stored->recipe) > 1};
    if (out->is_matrix) { /* norms, as large as they are few, would drown the matrices */
        all->error += s.error;
        all->square += s.square;
    }
    return out->name && out->scheme ? GX_OK : gx_fail_memory(error);
}

static gx_status weigh_all(gx_verification *v, gx_verify_result *result, const weighing *w, gx_error *error)
{
    result->weights = GX_NEW_ARRAY(v->arena, gx_verify_weight, w->target->stored_count);
    if (!result->weights)
        return gx_fail_memory(error);
    sums all = {0};
    for (size_t i = 0; i < w->target->stored_count; i++)
        GX_TRY(weigh_one(&result->weights[result->weight_count++], &all, w, w->target->stored[i], v->arena, error));
    result->weight_error = relative(all.error, all.square);
    return GX_OK;
}

static gx_status open_files(weighing *w, const gx_plan *plan, const char *folder, gx_error *error)
{
    for (unsigned i = 0; i < w->target->data_files; i++) {
        const char *path = gx_path_join(plan->arena, folder, w->target->data_names[i]);
        if (!path)
            return gx_fail_memory(error);
        GX_TRY(gx_file_open(&w->files[i], path, error));
        if (gx_file_nbytes(w->files[i]) != w->target->data_nbytes[i])
            return gx_fail(error, GX_ERROR_FORMAT, "%s: %llu bytes, but this version writes %llu", path,
                           (unsigned long long)gx_file_nbytes(w->files[i]), (unsigned long long)w->target->data_nbytes[i]);
    }
    return GX_OK;
}

gx_status gx_verify_weigh(gx_verification *v, gx_verify_result *result, const char *folder, gx_error *error)
{
    if (!v->source_is_same) /* what the file holds is another checkpoint's, balanced by that one's norms */
        return GX_OK;
    gx_build_options options;
    gx_build_options_default(&options);
    options.precisions = gx_precision_from_name(result->precision);
    options.profile = result->profile;
    options.block_size = result->block_size;
    options.embedding_bits = result->embedding_bits;
    options.embedding_dim = result->embedding_dim;
    gx_plan *plan = NULL;
    GX_TRY(gx_plan_new(&plan, v->source.model, &options, NULL, error));
    weighing w = {.model = v->source.model, .target = &plan->targets[0]};
    gx_status status = open_files(&w, plan, folder, error);
    if (status == GX_OK)
        status = weigh_all(v, result, &w, error);
    for (unsigned i = 0; i < w.target->data_files; i++)
        gx_file_close(w.files[i]);
    gx_plan_free(plan);
    return status;
}
