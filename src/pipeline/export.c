/* gx_build and gx_convert: the straight line from a checkpoint to files that run. */
#include <stdio.h>
#include <string.h>

#include "onnx/model_writer.h"
#include "pipeline/clock.h"
#include "pipeline/companions.h"
#include "pipeline/document.h"
#include "pipeline/genai_config.h"
#include "pipeline/hub_model.h"
#include "pipeline/lint_report.h"
#include "pipeline/local_source.h"
#include "pipeline/manifest.h"
#include "pipeline/plan_text.h"
#include "pipeline/source.h"
#include "pipeline/static_document.h"
#include "pipeline/writer.h"

#define MANIFEST_LIMIT (UINT64_C(64) << 20)

void gx_build_options_default(gx_build_options *options)
{
    *options = (gx_build_options){
        .size = sizeof *options, .precisions = GX_PRECISION_FP32, .accuracy_level = 4};
}

unsigned gx_precision_from_name(const char *name)
{
    for (unsigned i = 0; i < GX_POLICY_COUNT; i++)
        if (strcmp(gx_policy_name(i), name) == 0)
            return 1u << i;
    return 0;
}

static gx_status check_options(const gx_build_options *options, gx_error *error)
{
    if (options->size != sizeof *options)
        return gx_fail(error, GX_ERROR_ARGUMENT, "gx_build_options: use gx_build_options_default first");
    if (!options->model)
        return gx_fail(error, GX_ERROR_ARGUMENT, "no MODEL given");
    if (!options->output_dir && !options->dry_run)
        return gx_fail(error, GX_ERROR_ARGUMENT, "no output folder given");
    if (options->precisions == 0 || options->precisions & ~(unsigned)GX_PRECISION_ALL)
        return gx_fail(error, GX_ERROR_ARGUMENT, "no precision given");
    if (options->genai_precision & ~(unsigned)GX_PRECISION_ALL)
        return gx_fail(error, GX_ERROR_ARGUMENT, "no such precision for ONNX Runtime GenAI");
    if ((unsigned)options->profile >= GX_PROFILE_COUNT)
        return gx_fail(error, GX_ERROR_ARGUMENT, "no such profile");
    if (options->accuracy_level != 0 && options->accuracy_level != 1 && options->accuracy_level != 4)
        return gx_fail(error, GX_ERROR_ARGUMENT, "accuracy level %d: expected 0, 1 or 4", options->accuracy_level);
    return GX_OK;
}

typedef struct job {
    const gx_build_options *options;
    const gx_static_request *request; /* NULL: gx_build */
    const char *path;
    gx_source source;
    gx_plan *plan;
    gx_staging *staging;
    const char *models_dir;
    gx_sha256_hex *hashes;
    yyjson_doc *old_manifest; /* NULL: none */
    gx_genai_choice genai;
    char *genai_config; /* NULL: none */
    size_t genai_nbytes;
    double begun;
    uint64_t read_before; /* of all files */
} job;

/* Existing models and data files are kept unless --force; config, tokenizer and manifest are merged or made again. */
static gx_status check_not_there(const job *j, const char *name, gx_error *error)
{
    char *path = gx_path_join(j->plan->arena, j->models_dir, name);
    if (!path)
        return gx_fail_memory(error);
    if (gx_path_exists(path) && !j->options->force)
        return gx_fail(error, GX_ERROR_ARGUMENT, "%s exists; use --force to overwrite it", path);
    return GX_OK;
}

static gx_status check_output(const job *j, gx_error *error)
{
    for (unsigned t = 0; t < j->plan->target_count; t++) {
        const gx_target *target = &j->plan->targets[t];
        for (unsigned i = 0; i < target->graph_count; i++)
            GX_TRY(check_not_there(j, target->graphs[i].name, error));
        for (unsigned i = 0; i < target->data_files; i++)
            GX_TRY(check_not_there(j, target->data_names[i], error));
    }
    return GX_OK;
}

static gx_status check_disk(const job *j, gx_error *error)
{
    uint64_t available = 0;
    const uint64_t needed = gx_plan_output_nbytes(j->plan) + (UINT64_C(64) << 20); /* tokenizer, graphs */
    GX_TRY(gx_disk_free_nbytes(j->options->output_dir, &available, error));
    if (available < needed)
        return gx_fail(error, GX_ERROR_IO, "%s: %.1f GB needed, %.1f GB free", j->options->output_dir, (double)needed / 1e9,
                       (double)available / 1e9);
    return GX_OK;
}

static gx_status read_old_manifest(job *j, gx_error *error)
{
    if (!j->options->output_dir) /* a dry run */
        return GX_OK;
    char *path = gx_path_join(j->plan->arena, j->options->output_dir, GX_MANIFEST_NAME);
    if (!path)
        return gx_fail_memory(error);
    return gx_path_exists(path) ? gx_json_read(&j->old_manifest, path, MANIFEST_LIMIT, error) : GX_OK;
}

/* Before the work: what GenAI will run, or that it cannot. */
static gx_status prepare_genai(job *j, gx_error *error)
{
    yyjson_val *kept = gx_manifest_kept(yyjson_doc_get_root(j->old_manifest), j->plan, NULL);
    GX_TRY(gx_genai_choose(&j->genai, j->plan, j->options->genai_precision, kept, j->options->output_dir, error));
    return j->genai.precision ? gx_genai_config_make(&j->genai_config, &j->genai_nbytes, j->plan, &j->genai, error) : GX_OK;
}

static gx_status prepare(job *j, gx_error *error)
{
    GX_TRY(gx_source_open(&j->source, j->path, error));
    GX_TRY(gx_plan_new(&j->plan, j->source.model, j->options, j->request, error));
    GX_TRY(read_old_manifest(j, error));
    return prepare_genai(j, error);
}

/* One folder, one model: what is there already must come from the same source. By sizes before the work, by hashes after. */
static gx_status check_origin(const job *j, const gx_sha256_hex *hashes, gx_error *error)
{
    yyjson_val *old = yyjson_doc_get_root(j->old_manifest);
    if (!old || j->options->force || gx_manifest_is_same_origin(old, j->plan, hashes))
        return GX_OK;
    return gx_fail(error, GX_ERROR_ARGUMENT, "%s holds files of another model, or of another version of this program; use --force to overwrite them",
                   j->options->output_dir);
}

static gx_status prepare_output(job *j, gx_error *error)
{
    j->staging = gx_staging_new();
    j->hashes = GX_NEW_ARRAY(j->plan->arena, gx_sha256_hex, gx_checkpoint_file_count(j->source.checkpoint));
    j->models_dir = j->request ? j->options->output_dir : gx_path_join(j->plan->arena, j->options->output_dir, "onnx");
    if (!j->staging || !j->hashes || !j->models_dir)
        return gx_fail_memory(error);
    GX_TRY(check_output(j, error));
    GX_TRY(check_origin(j, NULL, error));
    GX_TRY(gx_folder_create(j->models_dir, error));
    return check_disk(j, error);
}

static gx_status stage_manifest(job *j, gx_error *error)
{
    char *text = NULL;
    size_t nbytes = 0;
    char *path = gx_path_join(j->plan->arena, j->options->output_dir, GX_MANIFEST_NAME);
    if (!path)
        return gx_fail_memory(error);
    GX_TRY(gx_manifest_make(&text, &nbytes, j->plan, j->hashes, j->options, &j->genai, yyjson_doc_get_root(j->old_manifest), error));
    const gx_status status = gx_staging_write(j->staging, path, text, nbytes, error);
    gx_free(text);
    return status;
}

static gx_status stage_genai(job *j, gx_error *error)
{
    char *path = gx_path_join(j->plan->arena, j->options->output_dir, GX_GENAI_CONFIG_NAME);
    if (!path)
        return gx_fail_memory(error);
    return j->genai_config ? gx_staging_write(j->staging, path, j->genai_config, j->genai_nbytes, error) : GX_OK;
}

static gx_status stage_model(job *j, const gx_target *target, gx_target_graph *entry, gx_error *error)
{
    gx_buffer bytes = {0};
    gx_status status = gx_model_write(&bytes, entry->graph, target->data_names, error);
    char *path = gx_path_join(j->plan->arena, j->models_dir, entry->name);
    if (status == GX_OK && !path)
        status = gx_fail_memory(error);
    if (status == GX_OK)
        status = gx_staging_write(j->staging, path, bytes.data, bytes.nbytes, error);
    entry->nbytes = bytes.nbytes;
    gx_buffer_deinit(&bytes);
    return status;
}

static gx_status stage_models(job *j, gx_error *error)
{
    for (unsigned t = 0; t < j->plan->target_count; t++)
        for (unsigned i = 0; i < j->plan->targets[t].graph_count; i++)
            GX_TRY(stage_model(j, &j->plan->targets[t], &j->plan->targets[t].graphs[i], error));
    return GX_OK;
}

static uint64_t target_nbytes(const gx_target *target)
{
    uint64_t nbytes = 0;
    for (unsigned i = 0; i < target->graph_count; i++)
        nbytes += target->graphs[i].nbytes;
    for (unsigned i = 0; i < target->data_files; i++)
        nbytes += target->data_nbytes[i];
    return nbytes;
}

static void summarise_text(gx_buffer *out, const job *j, double seconds)
{
    for (unsigned t = 0; t < j->plan->target_count; t++) {
        const gx_target *target = &j->plan->targets[t];
        gx_buffer_printf(out, "%-8s %s/%-24s", target->policy->name, j->models_dir, target->graphs[0].name);
        for (unsigned i = 1; i < target->graph_count; i++) /* on the same weights */
            gx_buffer_printf(out, " %-24s", target->graphs[i].name);
        gx_buffer_printf(out, " %10.1f MB\n", (double)target_nbytes(target) / 1e6);
    }
    gx_buffer_printf(out, "read %.1f MB of source in %.2f s; peak memory %.0f MB\n", (double)j->plan->source_nbytes / 1e6, seconds,
                     (double)gx_peak_memory_nbytes() / 1e6);
}

static gx_status summarise_json(const job *j, double seconds, gx_error *error)
{
    yyjson_mut_doc *doc = gx_document_new();
    if (!doc)
        return gx_fail_memory(error);
    yyjson_mut_val *root = yyjson_mut_doc_get_root(doc);
    yyjson_mut_val *files = yyjson_mut_obj_add_arr(doc, root, "files");
    for (unsigned t = 0; t < j->plan->target_count; t++) {
        const gx_target *target = &j->plan->targets[t];
        yyjson_mut_val *entry = yyjson_mut_arr_add_obj(doc, files);
        yyjson_mut_obj_add_str(doc, entry, "precision", target->policy->name);
        yyjson_mut_val *models = yyjson_mut_obj_add_arr(doc, entry, "models");
        for (unsigned i = 0; i < target->graph_count; i++)
            yyjson_mut_arr_add_str(doc, models, target->graphs[i].name);
        yyjson_mut_obj_add_uint(doc, entry, "bytes", target_nbytes(target));
    }
    yyjson_mut_obj_add_uint(doc, root, "source_bytes", j->plan->source_nbytes);
    yyjson_mut_obj_add_uint(doc, root, "read_bytes", gx_file_nbytes_read_total() - j->read_before);
    yyjson_mut_obj_add_real(doc, root, "seconds", seconds);
    yyjson_mut_obj_add_uint(doc, root, "peak_memory_bytes", gx_peak_memory_nbytes());
    const gx_status status = gx_document_send(doc, j->options->text, j->options->text_context, error);
    yyjson_mut_doc_free(doc);
    return status;
}

static gx_status summarise(const job *j, gx_error *error)
{
    const double seconds = gx_clock_seconds() - j->begun;
    if (j->options->format == GX_FORMAT_JSON)
        return summarise_json(j, seconds, error);
    gx_buffer text = {0};
    summarise_text(&text, j, seconds);
    return gx_text_finish(&text, j->options->text, j->options->text_context, error);
}

/* Data first, the .onnx files last: their presence means success. */
static gx_status write_output(job *j, gx_error *error)
{
    GX_TRY(gx_write_data(j->staging, j->hashes, j->plan, j->models_dir, j->options, error));
    GX_TRY(check_origin(j, j->hashes, error));
    GX_TRY(gx_companions_stage(j->staging, j->plan, j->options->output_dir, error));
    GX_TRY(stage_genai(j, error));
    GX_TRY(stage_manifest(j, error));
    if (j->request)
        GX_TRY(gx_static_document_stage(j->staging, j->plan, j->options->output_dir, error));
    GX_TRY(gx_local_source_stage(j->staging, j->plan->arena, j->options->output_dir, j->path, error));
    GX_TRY(stage_models(j, error));
    return gx_staging_commit(j->staging, error);
}

static gx_status run(job *j, gx_error *error)
{
    GX_TRY(prepare(j, error));
    if (j->request && j->request->lint)
        GX_TRY(gx_lint_plan(j->plan, j->request->lint, j->request->lint_strict, j->options, error));
    if (j->options->dry_run)
        return gx_plan_print(j->plan, &j->genai, j->options, error);
    GX_TRY(prepare_output(j, error));
    GX_TRY(write_output(j, error));
    return summarise(j, error);
}

static gx_status export(const gx_build_options *options, const gx_static_request *request, const char *path, gx_error *error)
{
    job j = {.options = options, .request = request, .path = path, .begun = gx_clock_seconds(), .read_before = gx_file_nbytes_read_total()};
    const gx_status status = run(&j, error);
    gx_staging_free(j.staging);
    gx_free(j.genai_config);
    yyjson_doc_free(j.old_manifest);
    gx_plan_free(j.plan);
    gx_source_close(&j.source);
    return status;
}

static gx_status locate_and_export(const gx_build_options *options, const gx_static_request *request, gx_error *error)
{
    GX_TRY(check_options(options, error));
    const gx_hub_request source = {.model = options->model, .options = options->hub, .dry_run = options->dry_run, .progress = options->progress, .progress_context = options->progress_context};
    const char *path = NULL;
    gx_arena *arena = gx_arena_new();
    gx_status status = arena ? gx_model_locate(&path, arena, &source, error) : gx_fail_memory(error);
    if (status == GX_OK && path)
        status = export(options, request, path, error);
    gx_arena_free(arena);
    return status;
}

gx_status gx_build(const gx_build_options *options, gx_error *error)
{
    gx_error_clear(error);
    return locate_and_export(options, NULL, error);
}

/* ---- static ---- */

void gx_convert_options_default(gx_convert_options *options)
{
    *options = (gx_convert_options){
        .size = sizeof *options, .batch_size = 1, .sequence_lengths = {128}, .max_length = 512};
    gx_build_options_default(&options->build);
}

static gx_status check_lengths(gx_static_request *request, const gx_convert_options *options, gx_error *error)
{
    for (unsigned i = 0; i < GX_CONVERT_MAX_LENGTHS && options->sequence_lengths[i]; i++) {
        const unsigned length = options->sequence_lengths[i];
        if (length > options->max_length)
            return gx_fail(error, GX_ERROR_ARGUMENT, "sequence length %u is above the maximum length, %u", length, options->max_length);
        for (unsigned k = 0; k < i; k++)
            if (options->sequence_lengths[k] == length)
                return gx_fail(error, GX_ERROR_ARGUMENT, "sequence length %u is asked for twice", length);
        request->sequence_lengths[request->sequence_count++] = length;
    }
    return request->sequence_count ? GX_OK : gx_fail(error, GX_ERROR_ARGUMENT, "no sequence length given");
}

static gx_status make_request(gx_static_request *request, const gx_convert_options *options, gx_error *error)
{
    if (options->size != sizeof *options)
        return gx_fail(error, GX_ERROR_ARGUMENT, "gx_convert_options: use gx_convert_options_default first");
    if (options->batch_size < 1 || options->batch_size > 8)
        return gx_fail(error, GX_ERROR_ARGUMENT, "batch size %u: expected 1 to 8", options->batch_size);
    if (options->max_length < 1)
        return gx_fail(error, GX_ERROR_ARGUMENT, "maximum length 0");
    if (options->lint)
        GX_TRY(gx_lint_check_name(options->lint, error));
    const unsigned precisions = options->build.precisions;
    *request = (gx_static_request){.batch_size = options->batch_size,
                                   .max_length = options->max_length,
                                   .bounded = options->bounded_cache,
                                   .lint = options->lint,
                                   .lint_strict = options->lint_strict,
                                   .plain_precision = options->first_precision ? options->first_precision : precisions & -precisions};
    return check_lengths(request, options, error);
}

gx_status gx_convert(const gx_convert_options *options, gx_error *error)
{
    gx_error_clear(error);
    gx_static_request request;
    GX_TRY(make_request(&request, options, error));
    return locate_and_export(&options->build, &request, error);
}
