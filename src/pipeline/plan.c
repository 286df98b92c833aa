/* Makes the plan: a graph per precision, a place for every stored part, the list of reads in file order. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "model/family.h"
#include "pipeline/plan.h"
#include "pipeline/residual_scale.h"
#include "pipeline/stream_importance.h"

/* Browsers hold an external data file in one buffer, and fail at 2,150,000,000 bytes. */
#define DATA_FILE_LIMIT UINT64_C(2000000000)

/* fp32 bytes of one read's rows: what a thread reads, hashes, decodes, encodes and writes should stay in its cache. A
 * transposed matrix is written in as many pieces as it has columns, and wants them longer. */
#define TASK_FLOAT_NBYTES (UINT64_C(1) << 20)
#define TRANSPOSED_TASK_FLOAT_NBYTES (UINT64_C(4) << 20)

/* ---- places ---- */

/* Large tensors are mapped by ONNX Runtime: page alignment, and Windows' granularity for the largest. */
static uint64_t alignment_of(uint64_t nbytes)
{
    return nbytes >= 1u << 20 ? 65536 : nbytes >= 65536 ? 4096 : 64;
}

static gx_status add_data_file(gx_target *target, gx_target_graph *owner, gx_arena *arena, gx_error *error)
{
    if (target->data_files == GX_PLAN_MAX_DATA_FILES)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s needs more than %u external data files", target->graphs[0].name, GX_PLAN_MAX_DATA_FILES);
    const unsigned number = owner->data_files++;
    const char *name = number == 0 ? owner->data_name : gx_arena_printf(arena, "%s_%u", owner->data_name, number);
    target->data_names[target->data_files++] = name;
    return name ? GX_OK : gx_fail_memory(error);
}

/* Browsers take several data files, drivers of a static pair one: `limit` bytes each. */
static gx_status place_part(gx_target *target, gx_target_graph *owner, gx_stored *stored, int part, uint64_t limit, gx_arena *arena, gx_error *error)
{
    const uint64_t nbytes = stored->parts[part].nbytes;
    if (nbytes == 0)
        return GX_OK;
    uint64_t end = target->data_nbytes[target->data_files - 1], offset = gx_align_up(end, alignment_of(nbytes));
    if (end > 0 && offset + nbytes > limit) {
        GX_TRY(add_data_file(target, owner, arena, error));
        offset = 0;
    }
    stored->parts[part].file = target->data_files - 1;
    stored->parts[part].offset = offset;
    target->data_nbytes[target->data_files - 1] = offset + nbytes;
    return GX_OK;
}

static gx_status place_graph(gx_target *target, gx_target_graph *owner, uint64_t limit, gx_arena *arena, gx_error *error)
{
    GX_TRY(add_data_file(target, owner, arena, error));
    for (gx_stored *stored = owner->graph->stored; stored; stored = stored->next) {
        target->stored[target->stored_count++] = stored;
        for (int part = 0; part < GX_PART_COUNT; part++)
            GX_TRY(place_part(target, owner, stored, part, limit, arena, error));
    }
    return GX_OK;
}

/* A weight that another graph placed, under the same name. */
static const gx_stored *find_placed(const gx_target *target, size_t *at, const char *name)
{
    for (size_t tried = 0; tried < target->stored_count; tried++, ++*at) {
        *at %= target->stored_count;
        if (strcmp(target->stored[*at]->name, name) == 0)
            return target->stored[(*at)++];
    }
    GX_BUG("a graph of a precision reads a weight that none stores");
}

/* Graphs of one target store the same weights, mostly in the same order. */
static void adopt_places(gx_target *target, gx_target_graph *reader)
{
    size_t at = 0;
    for (gx_stored *stored = reader->graph->stored; stored; stored = stored->next)
        memcpy(stored->parts, find_placed(target, &at, stored->name)->parts, sizeof stored->parts);
}

static gx_status place_all(gx_target *target, uint64_t limit, gx_arena *arena, gx_error *error)
{
    size_t count = 0;
    for (unsigned i = 0; i < target->graph_count; i++)
        for (const gx_stored *stored = target->graphs[i].data_name ? target->graphs[i].graph->stored : NULL; stored; stored = stored->next)
            count++;
    target->stored = GX_NEW_ARRAY(arena, const gx_stored *, count);
    if (!target->stored)
        return gx_fail_memory(error);
    for (unsigned i = 0; i < target->graph_count; i++)
        if (target->graphs[i].data_name)
            GX_TRY(place_graph(target, &target->graphs[i], limit, arena, error));
    for (unsigned i = 0; i < target->graph_count; i++)
        if (!target->graphs[i].data_name)
            adopt_places(target, &target->graphs[i]);
    return GX_OK;
}

/* ---- graphs ---- */

static gx_decoder_options decoder_options(const gx_target *target, const gx_plan *plan, const gx_build_options *options)
{
    return (gx_decoder_options){.policy = target->policy,
                                .profile = plan->profile,
                                .embedding_dim = options->embedding_dim,
                                .all_logits = options->all_logits,
                                .residual_scale = target->residual_scale,
                                .accuracy_level = options->accuracy_level,
                                .importance = gx_policy_has_four_bits(target->policy) ? plan->importance : NULL};
}

/* A file of a dynamic build. */
typedef struct layout_row {
    const char *name; /* in front of the precision's suffix */
    gx_decoder_piece piece;
    bool owns_data;
} layout_row;

#define LAYOUT_ROWS 3u

static const layout_row whole[LAYOUT_ROWS] = {{"model", GX_DECODER_WHOLE, true}};

/* A session of Transformers.js sees data files of its own name alone: those of the two pieces hold all weights. */
static const layout_row apart[LAYOUT_ROWS] = {
    {"model", GX_DECODER_WHOLE, false}, {"embed_tokens", GX_DECODER_EMBEDDING, true}, {"decoder_model_merged", GX_DECODER_BODY, true}};

static gx_status make_dynamic_graph(gx_target *target, gx_plan *plan, const layout_row *row, const gx_build_options *options, gx_error *error)
{
    gx_decoder_options decoder = decoder_options(target, plan, options);
    gx_target_graph *entry = &target->graphs[target->graph_count++];
    decoder.piece = row->piece;
    entry->name = gx_arena_printf(plan->arena, "%s%s.onnx", row->name, target->policy->suffix);
    entry->data_name = row->owns_data && entry->name ? gx_arena_printf(plan->arena, "%s_data", entry->name) : NULL;
    if (!entry->name || (row->owns_data && !entry->data_name))
        return gx_fail_memory(error);
    return gx_decoder_build(&entry->graph, plan->arena, plan->model, &decoder, error);
}

static gx_status make_dynamic_graphs(gx_target *target, gx_plan *plan, const gx_build_options *options, gx_error *error)
{
    const layout_row *rows = plan->model->family->apart.model_type ? apart : whole;
    for (unsigned i = 0; i < LAYOUT_ROWS && rows[i].name; i++)
        GX_TRY(make_dynamic_graph(target, plan, &rows[i], options, error));
    return GX_OK;
}

/* What a graph of an encoder or a decoder's prefill is called: the first one plainly, others by their length. */
static const char *name_by_length(const gx_target *target, gx_arena *arena, const char *stem, unsigned length, const char *suffix)
{
    return target->graph_count == 0 ? gx_arena_printf(arena, "%s%s.onnx", stem, suffix) : gx_arena_printf(arena, "%s_%u%s.onnx", stem, length, suffix);
}

/* `length` 0: the decode graph. The first prefill graph has the plain name. */
static gx_status make_static_graph(gx_target *target, gx_plan *plan, unsigned length, const gx_static_form *form, const char *suffix,
                                   const gx_build_options *options, gx_error *error)
{
    gx_decoder_options decoder = decoder_options(target, plan, options);
    gx_static_form own = *form;
    gx_target_graph *entry = &target->graphs[target->graph_count];
    own.sequence_length = entry->sequence_length = length ? length : 1;
    decoder.form = &own;
    if (!length)
        entry->name = gx_arena_printf(plan->arena, "gemma_decode%s.onnx", suffix);
    else
        entry->name = name_by_length(target, plan->arena, plan->model->bidirectional ? "gemma_encoder" : "gemma_prefill", length, suffix);
    target->graph_count++;
    if (!entry->name)
        return gx_fail_memory(error);
    return gx_decoder_build(&entry->graph, plan->arena, plan->model, &decoder, error);
}

gx_static_form gx_static_request_form(const gx_static_request *request)
{
    gx_static_form form = {.batch_size = request->batch_size, .max_length = request->max_length, .bounded = request->bounded};
    for (unsigned i = 0; i < request->sequence_count; i++)
        form.longest_call = request->sequence_lengths[i] > form.longest_call ? request->sequence_lengths[i] : form.longest_call;
    return form;
}

static gx_status make_static_graphs(gx_target *target, gx_plan *plan, const gx_build_options *options, gx_error *error)
{
    const gx_static_request *request = plan->request;
    const bool plain = gx_precision_from_name(target->policy->name) == request->plain_precision;
    const char *suffix = plain ? "" : gx_arena_printf(plan->arena, "_%s", target->policy->name);
    target->graphs[0].data_name = suffix ? gx_arena_printf(plan->arena, "gemma%s.onnx_data", suffix) : NULL;
    if (!target->graphs[0].data_name)
        return gx_fail_memory(error);
    const gx_static_form form = gx_static_request_form(request);
    for (unsigned i = 0; i < request->sequence_count; i++)
        GX_TRY(make_static_graph(target, plan, request->sequence_lengths[i], &form, suffix, options, error));
    return plan->model->bidirectional ? GX_OK : make_static_graph(target, plan, 0, &form, suffix, options, error);
}

static gx_status make_target(gx_target *target, gx_plan *plan, const gx_policy *policy, const gx_build_options *options, gx_error *error)
{
    target->policy = policy;
    target->residual_scale = 1;
    if (policy->activation == GX_DTYPE_F16)
        GX_TRY(gx_residual_scale(&target->residual_scale, plan->model, error));
    if (plan->request)
        GX_TRY(make_static_graphs(target, plan, options, error));
    else
        GX_TRY(make_dynamic_graphs(target, plan, options, error));
    return place_all(target, plan->request ? UINT64_MAX : DATA_FILE_LIMIT, plan->arena, error);
}

/* ---- reads ---- */

/* By tensor index: the weights that read rows of it, in order, and where the rows go. */
typedef struct use {
    const gx_weight *weight;
    gx_destination *destinations;
    struct use *next;
} use;

/* The use of these rows; a new one in its place when there is none. Two weights may be the same rows: a tied head. */
static use *find_use(use **list, gx_arena *arena, const gx_weight *weight)
{
    while (*list && (*list)->weight->first_row < weight->first_row)
        list = &(*list)->next;
    if (*list && (*list)->weight->first_row == weight->first_row)
        return *list;
    use *entry = GX_NEW(arena, use);
    if (entry) {
        *entry = (use){.weight = weight, .next = *list};
        *list = entry;
    }
    return entry;
}

/* The destination of the same bytes in the same target; NULL: there is none. */
static gx_destination *find_twin(const use *entry, unsigned target, const gx_stored *stored)
{
    for (gx_destination *d = entry->destinations; d; d = d->next)
        if (d->target == target && gx_stored_equal(d->stored, stored))
            return d;
    return NULL;
}

static gx_status add_destination(use *entry, const gx_destination *destination, gx_arena *arena, gx_error *error)
{
    gx_destination *twin = find_twin(entry, destination->target, destination->stored);
    if (twin) {
        twin->twin = destination->stored;
        return GX_OK;
    }
    gx_destination *added = GX_NEW(arena, gx_destination);
    if (!added)
        return gx_fail_memory(error);
    *added = *destination;
    added->next = entry->destinations;
    entry->destinations = added;
    return GX_OK;
}

static gx_status collect_uses(use **uses, gx_plan *plan, gx_error *error)
{
    const gx_tensor *first = gx_checkpoint_tensor(plan->model->checkpoint, 0);
    for (unsigned t = 0; t < plan->target_count; t++) {
        for (size_t s = 0; s < plan->targets[t].stored_count; s++) {
            const gx_stored *stored = plan->targets[t].stored[s];
            uint64_t row = 0;
            for (unsigned i = 0; i < stored->recipe.source_count; i++) {
                const gx_weight *weight = stored->recipe.sources[i];
                use *entry = find_use(&uses[weight->tensor - first], plan->arena, weight);
                if (!entry)
                    return gx_fail_memory(error);
                GX_TRY(add_destination(entry, &(gx_destination){.target = t, .stored = stored, .first_row = row}, plan->arena, error));
                row += weight->rows;
            }
        }
    }
    return GX_OK;
}

typedef struct task_list {
    gx_task *tasks;
    size_t count, capacity;
} task_list;

static gx_status add_task(task_list *list, const gx_task *task, gx_error *error)
{
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity ? list->capacity * 2 : 256;
        gx_task *grown = gx_realloc(list->tasks, capacity, sizeof *grown);
        if (!grown)
            return gx_fail_memory(error);
        list->tasks = grown;
        list->capacity = capacity;
    }
    list->tasks[list->count++] = *task;
    return GX_OK;
}

/* Bytes between tensors, headers, and tensors that no graph uses: read for the file's hash alone. */
static gx_status add_gap(task_list *list, unsigned file, uint64_t begin, uint64_t end, gx_error *error)
{
    for (uint64_t at = begin; at < end;) {
        const uint64_t nbytes = end - at < TASK_FLOAT_NBYTES ? end - at : TASK_FLOAT_NBYTES;
        const gx_task task = {.file = file, .offset = at, .nbytes = nbytes};
        GX_TRY(add_task(list, &task, error));
        at += nbytes;
    }
    return GX_OK;
}

static bool is_transposed(const use *entry)
{
    for (const gx_destination *d = entry->destinations; d; d = d->next)
        if (d->stored->scheme.transposed)
            return true;
    return false;
}

static gx_status add_rows(task_list *list, gx_plan *plan, const use *entry, uint64_t row_nbytes, gx_error *error)
{
    const gx_weight *weight = entry->weight;
    const gx_tensor *tensor = weight->tensor;
    uint64_t step = (is_transposed(entry) ? TRANSPOSED_TASK_FLOAT_NBYTES : TASK_FLOAT_NBYTES) / (weight->columns * sizeof(float));
    step = step ? step : 1;
    for (uint64_t row = 0; row < weight->rows; row += step) {
        const uint64_t rows = weight->rows - row < step ? weight->rows - row : step;
        const gx_task task = {.file = tensor->file,
                              .offset = tensor->offset + (weight->first_row + row) * row_nbytes,
                              .nbytes = rows * row_nbytes,
                              .weight = weight,
                              .first_row = row,
                              .rows = rows,
                              .destinations = entry->destinations};
        GX_TRY(add_task(list, &task, error));
        if (rows * weight->columns > plan->largest_task_floats)
            plan->largest_task_floats = rows * weight->columns;
    }
    return GX_OK;
}

static gx_status add_tasks(task_list *list, gx_plan *plan, use *const *uses, gx_error *error)
{
    const gx_checkpoint *checkpoint = plan->model->checkpoint;
    size_t next = 0;
    const size_t tensors = gx_checkpoint_tensor_count(checkpoint);
    for (unsigned file = 0; file < gx_checkpoint_file_count(checkpoint); file++) {
        uint64_t at = 0;
        const uint64_t nbytes = gx_file_nbytes(gx_checkpoint_file(checkpoint, file));
        for (; next < tensors && gx_checkpoint_tensor(checkpoint, next)->file == file; next++) {
            const gx_tensor *tensor = gx_checkpoint_tensor(checkpoint, next);
            for (const use *entry = uses[next]; entry; entry = entry->next) {
                uint64_t row_nbytes = 0;
                GX_TRY(gx_tensor_rows_nbytes(tensor, 1, &row_nbytes, error));
                GX_TRY(add_gap(list, file, at, tensor->offset + entry->weight->first_row * row_nbytes, error));
                GX_TRY(add_rows(list, plan, entry, row_nbytes, error));
                at = tensor->offset + (entry->weight->first_row + entry->weight->rows) * row_nbytes;
            }
        }
        GX_TRY(add_gap(list, file, at, nbytes, error));
        plan->source_nbytes += nbytes;
    }
    return GX_OK;
}

static gx_status make_tasks(gx_plan *plan, gx_error *error)
{
    use **uses = GX_NEW_ARRAY(plan->arena, use *, gx_checkpoint_tensor_count(plan->model->checkpoint));
    if (!uses)
        return gx_fail_memory(error);
    GX_TRY(collect_uses(uses, plan, error));
    task_list list = {0};
    gx_status status = add_tasks(&list, plan, uses, error);
    plan->tasks = list.tasks;
    plan->task_count = list.count;
    return status;
}

/* ---- the plan ---- */

/* Options that only a decoder has, or only an encoder. */
static gx_status check_kind(const gx_plan *plan, const gx_build_options *options, gx_error *error)
{
    const gx_model *model = plan->model;
    if (options->embedding_dim && !model->bidirectional)
        return gx_fail(error, GX_ERROR_ARGUMENT, "an embedding's dimension was given, but %s generates text", model->family_name);
    if (options->embedding_dim > model->sentence.dimension)
        return gx_fail(error, GX_ERROR_ARGUMENT, "embedding dimension %u: this model's embeddings have %llu", options->embedding_dim,
                       (unsigned long long)model->sentence.dimension);
    if (options->all_logits && model->bidirectional)
        return gx_fail(error, GX_ERROR_ARGUMENT, "logits of all positions were asked for, but %s has none: it embeds texts", model->family_name);
    return GX_OK;
}

static gx_status make_targets(gx_plan *plan, const gx_build_options *options, gx_error *error)
{
    GX_TRY(check_kind(plan, options, error));
    plan->targets = GX_NEW_ARRAY(plan->arena, gx_target, GX_POLICY_COUNT);
    if (!plan->targets)
        return gx_fail_memory(error);
    for (unsigned i = 0; i < GX_POLICY_COUNT; i++) {
        if (!(options->precisions & 1u << i))
            continue;
        gx_policy *policy = GX_NEW(plan->arena, gx_policy);
        if (!policy)
            return gx_fail_memory(error);
        GX_TRY(gx_policy_make(policy, i, options->block_size, options->embedding_bits, error));
        if (gx_policy_has_four_bits(policy) && !plan->importance) /* reads the norms: only where it matters */
            GX_TRY(gx_stream_importance(&plan->importance, plan->arena, plan->model, error));
        GX_TRY(make_target(&plan->targets[plan->target_count], plan, policy, options, error));
        plan->target_count++;
    }
    return GX_OK;
}

gx_status gx_plan_new(gx_plan **out, const gx_model *model, const gx_build_options *options, const gx_static_request *request, gx_error *error)
{
    gx_arena *arena = gx_arena_new();
    gx_plan *plan = arena ? GX_NEW(arena, gx_plan) : NULL;
    if (!plan) {
        gx_arena_free(arena);
        return gx_fail_memory(error);
    }
    plan->arena = arena;
    plan->model = model;
    plan->profile = gx_profile_get((unsigned)options->profile);
    plan->request = request;
    gx_status status = make_targets(plan, options, error);
    if (status == GX_OK)
        status = make_tasks(plan, error);
    if (status == GX_OK)
        *out = plan;
    else
        gx_plan_free(plan);
    return status;
}

void gx_plan_free(gx_plan *plan)
{
    if (!plan)
        return;
    gx_free(plan->tasks);
    gx_arena_free(plan->arena);
}

uint64_t gx_plan_output_nbytes(const gx_plan *plan)
{
    uint64_t total = 0;
    for (unsigned t = 0; t < plan->target_count; t++)
        for (unsigned i = 0; i < plan->targets[t].data_files; i++)
            total += plan->targets[t].data_nbytes[i];
    return total;
}
