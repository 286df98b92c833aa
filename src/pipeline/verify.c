/* gx_verify: the straight line of the proof. */
#include <string.h>

#include "base/hash.h"
#include "base/threads.h"
#include "pipeline/hub_model.h"
#include "pipeline/local_source.h"
#include "pipeline/manifest.h"
#include "pipeline/output_folder.h"
#include "pipeline/static_document.h"
#include "graph/profile.h"
#include "pipeline/verify_internal.h"

#define MANIFEST_LIMIT (UINT64_C(64) << 20)
#define HASH_NBYTES ((size_t)1 << 20)

/* fp32 must be right to the last digit that fp32 gives; fp16 indistinguishable in use; what quantisation costs is
 * reported, and bounded by --max-kl. */
static const gx_verify_bars bars[] = {
    {"fp32", 2e-4, 1e-5, 0.999, 1e-6, 2e-4},
    {"fp16", 0, 1e-3, 0.98, 1e-2, 0.2},
    {"q4", 0, 0, 0, 0.35, 0.5},
    {"q4f16", 0, 0, 0, 0.35, 0.5},
    {"q8", 0, 0, 0, 0.05, 0.5},
    {"int8", 0, 0, 0, 0.35, 0.5},
};

void gx_verify_options_default(gx_verify_options *options)
{
    *options = (gx_verify_options){.size = sizeof *options, .windows = 2, .greedy_ids = 32, .max_kl = 1};
}

gx_status gx_verify_progress(gx_verification *v, uint64_t steps, gx_error *error)
{
    v->done += steps;
    const gx_progress progress = {.phase = "verify", .done = v->done, .total = v->total};
    if (v->options->progress && !v->options->progress(v->options->progress_context, &progress))
        return gx_fail(error, GX_ERROR_CANCELLED, "cancelled");
    return GX_OK;
}

/* ---- which files ---- */

static const gx_verify_bars *find_bars(const char *precision)
{
    for (size_t i = 0; i < sizeof bars / sizeof *bars; i++)
        if (strcmp(bars[i].precision, precision) == 0)
            return &bars[i];
    return NULL;
}

static gx_profile_choice find_profile(const char *name)
{
    for (unsigned i = 0; name && i < GX_PROFILE_COUNT; i++)
        if (strcmp(gx_profile_get(i)->name, name) == 0)
            return (gx_profile_choice)i;
    return GX_PROFILE_ORT;
}

static gx_status add_result(gx_verification *v, const char *precision, yyjson_val *entry, gx_error *error)
{
    gx_verify_result *result = &v->results[v->result_count];
    const char *file = yyjson_get_str(v->is_static ? yyjson_arr_get_first(yyjson_obj_get(entry, "models")) : yyjson_obj_get(entry, "model"));
    if (!find_bars(precision) || !file || strchr(file, '/'))
        return gx_fail(error, GX_ERROR_FORMAT, "%s: precision '%s' is not one of ours", GX_MANIFEST_NAME, precision);
    *result = (gx_verify_result){.precision = gx_arena_copy_string(v->arena, precision),
                                 .file = gx_arena_copy_string(v->arena, file),
                                 .bars = find_bars(precision),
                                 .profile = find_profile(yyjson_get_str(yyjson_obj_get(entry, "profile"))),
                                 .block_size = (unsigned)yyjson_get_uint(yyjson_obj_get(entry, "block_size")),
                                 .embedding_bits = (unsigned)yyjson_get_uint(yyjson_obj_get(entry, "embedding_bits")),
                                 .embedding_dim = (unsigned)yyjson_get_uint(yyjson_obj_get(entry, "embedding_dim")),
                                 .residual_scale = yyjson_get_num(yyjson_obj_get(entry, "residual_scale"))};
    if (!result->precision || !result->file)
        return gx_fail_memory(error);
    size_t index, count;
    yyjson_val *data;
    yyjson_arr_foreach(yyjson_obj_get(entry, "data"), index, count, data)
        result->nbytes += yyjson_get_uint(yyjson_obj_get(data, "bytes"));
    v->result_count++;
    return GX_OK;
}

static gx_status pick_results(gx_verification *v, yyjson_val *manifest, gx_error *error)
{
    yyjson_val *precisions = yyjson_obj_get(manifest, v->is_static ? "static_precisions" : "precisions"), *key, *entry;
    v->results = GX_NEW_ARRAY(v->arena, gx_verify_result, yyjson_obj_size(precisions));
    if (!v->results)
        return gx_fail_memory(error);
    size_t index, count;
    yyjson_obj_foreach(precisions, index, count, key, entry)
    {
        const char *name = yyjson_get_str(key);
        if (v->options->precisions == 0 || v->options->precisions & gx_precision_from_name(name))
            GX_TRY(add_result(v, name, entry, error));
    }
    if (v->result_count == 0)
        return gx_fail(error, GX_ERROR_ARGUMENT, "%s: none of the wanted precisions is there", v->options->output_dir);
    return GX_OK;
}

/* ---- against what ---- */

static gx_status hash_file(char hex[65], gx_file *file, gx_error *error)
{
    gx_hash *hash = gx_hash_new(GX_HASH_SHA256);
    uint8_t *buffer = gx_alloc(HASH_NBYTES, 1);
    gx_status status = hash && buffer ? GX_OK : gx_fail_memory(error);
    for (uint64_t at = 0; status == GX_OK && at < gx_file_nbytes(file); at += HASH_NBYTES) {
        const uint64_t left = gx_file_nbytes(file) - at;
        const size_t n = left < HASH_NBYTES ? (size_t)left : HASH_NBYTES;
        status = gx_file_read(file, at, buffer, n, error);
        if (status == GX_OK)
            gx_hash_update(hash, buffer, n);
    }
    if (status == GX_OK)
        gx_hash_finish(hash, hex);
    gx_hash_free(hash);
    gx_free(buffer);
    return status;
}

static gx_status compare_hashes(gx_verification *v, yyjson_val *manifest, gx_error *error)
{
    yyjson_val *files = yyjson_obj_get(yyjson_obj_get(manifest, "source"), "files");
    v->source_is_same = yyjson_arr_size(files) == gx_checkpoint_file_count(v->source.checkpoint);
    for (size_t i = 0; v->source_is_same && i < yyjson_arr_size(files); i++) {
        char hex[65];
        const char *expected = yyjson_get_str(yyjson_obj_get(yyjson_arr_get(files, i), "sha256"));
        GX_TRY(hash_file(hex, gx_checkpoint_file(v->source.checkpoint, i), error));
        v->source_is_same = expected && strcmp(expected, hex) == 0;
    }
    if (!v->source_is_same && !v->options->against)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: the checkpoint has changed since the conversion; name the one to judge by with --against",
                       v->source_path);
    return GX_OK;
}

static gx_status open_source(gx_verification *v, yyjson_val *manifest, gx_error *error)
{
    const gx_hub_request source = {.model = v->options->against, .options = v->options->hub, .progress = v->options->progress, .progress_context = v->options->progress_context};
    GX_TRY(gx_judge_locate(&v->source_path, v->arena, &source, v->options->output_dir, error));
    if (!v->source_path || !gx_path_exists(v->source_path))
        return gx_fail(error, GX_ERROR_ARGUMENT, "%s: the checkpoint it was made from is not known here; name it with --against MODEL",
                       v->options->output_dir);
    GX_TRY(gx_source_open(&v->source, v->source_path, error));
    return compare_hashes(v, manifest, error);
}

/* ---- the line ---- */

static gx_status open_manifest(gx_verification *v, yyjson_doc **doc, gx_error *error)
{
    char *path = gx_path_join(v->arena, v->options->output_dir, GX_MANIFEST_NAME);
    if (!path)
        return gx_fail_memory(error);
    if (!gx_path_exists(path))
        return gx_fail(error, GX_ERROR_ARGUMENT, "%s: no %s; verify wants a folder that build wrote", v->options->output_dir, GX_MANIFEST_NAME);
    return gx_json_read(doc, path, MANIFEST_LIMIT, error);
}

static gx_status measure_all(gx_verification *v, gx_error *error)
{
    const char *folder = gx_path_join(v->arena, v->options->output_dir, "onnx");
    if (!folder)
        return gx_fail_memory(error);
    for (size_t i = 0; i < v->result_count; i++) {
        const gx_status status = gx_verify_measure(v, &v->results[i], folder, error);
        if (status != GX_OK) {
            gx_error_note(error, "%s", v->results[i].precision);
            return status;
        }
    }
    return GX_OK;
}

static gx_status verdict(const gx_verification *v, gx_error *error)
{
    for (size_t i = 0; i < v->result_count; i++)
        if (!v->results[i].passed)
            return gx_fail(error, GX_ERROR_MISMATCH, "%s: %s", v->results[i].file, v->results[i].failure);
    return GX_OK;
}

static gx_status run(gx_verification *v, gx_error *error)
{
    yyjson_doc *manifest = NULL;
    GX_TRY(open_manifest(v, &manifest, error));
    gx_status status = pick_results(v, yyjson_doc_get_root(manifest), error);
    if (status == GX_OK)
        status = gx_runtime_open(&v->runtime, v->options->ort_library, error); /* before the long work */
    if (status == GX_OK)
        status = open_source(v, yyjson_doc_get_root(manifest), error);
    yyjson_doc_free(manifest);
    if (status != GX_OK)
        return status;
    if (v->source.model->bidirectional) {
        GX_TRY(gx_verify_encoder(v, error));
        return verdict(v, error);
    }
    GX_TRY(gx_verify_make_truth(v, error));
    GX_TRY(measure_all(v, error));
    GX_TRY(gx_verify_report(v, error));
    return verdict(v, error);
}

/* A static pair: the same question, asked of other graphs. */
static gx_status verify_static(const gx_verify_options *options, gx_error *error)
{
    gx_compare_options compare;
    gx_compare_options_default(&compare);
    compare.output_dir = options->output_dir;
    compare.against = options->against;
    compare.hub = options->hub;
    compare.precisions = options->precisions;
    compare.max_kl = options->max_kl;
    compare.text_file = options->text_file;
    compare.ort_library = options->ort_library;
    compare.threads = options->threads;
    compare.format = options->format;
    compare.progress = options->progress;
    compare.progress_context = options->progress_context;
    compare.text = options->text;
    compare.text_context = options->text_context;
    return gx_compare(&compare, error);
}

static gx_status holds_only_static(bool *out, gx_verification *v, gx_error *error)
{
    gx_model_file files[GX_MAX_MODEL_FILES];
    size_t count = 0;
    char *manifest = gx_path_join(v->arena, v->options->output_dir, GX_STATIC_DOCUMENT_NAME);
    if (!manifest)
        return gx_fail_memory(error);
    *out = false;
    if (!gx_path_exists(manifest))
        return GX_OK;
    GX_TRY(gx_output_folder_models(files, &count, v->arena, v->options->output_dir, v->options->precisions, error));
    *out = files[0].is_static; /* dynamic ones come first */
    return GX_OK;
}

gx_status gx_verify(const gx_verify_options *options, gx_error *error)
{
    gx_error_clear(error);
    if (options->size != sizeof *options || !options->output_dir)
        return gx_fail(error, GX_ERROR_ARGUMENT, "nothing to verify: name a folder that build wrote");
    if (options->windows == 0 || options->windows > 64)
        return gx_fail(error, GX_ERROR_ARGUMENT, "%u windows: expected 1 … 64", options->windows);
    gx_verification v = {.options = options, .arena = gx_arena_new()};
    if (!v.arena)
        return gx_fail_memory(error);
    v.threads = options->threads ? options->threads : gx_cpu_count();
    bool embeds = false;
    gx_status status = holds_only_static(&v.is_static, &v, error);
    if (status == GX_OK)
        status = gx_output_folder_embeds(&embeds, options->output_dir, error);
    if (status == GX_OK)
        status = v.is_static && !embeds ? verify_static(options, error) : run(&v, error);
    gx_verify_free_truth(&v);
    gx_reference_free(v.reference);
    gx_runtime_close(v.runtime);
    gx_source_close(&v.source);
    gx_arena_free(v.arena);
    return status;
}
