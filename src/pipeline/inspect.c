/* gx_inspect: says what a path is, and what is in it. */
#include <string.h>

#include "onnx/model_reader.h"
#include "pipeline/document.h"
#include "pipeline/hub_model.h"
#include "pipeline/inspect_parts.h"
#include "pipeline/manifest.h"
#include "pipeline/source.h"

#define ONNX_LIMIT (UINT64_C(2) << 30)
#define MANIFEST_LIMIT (UINT64_C(64) << 20)

void gx_inspect_options_default(gx_inspect_options *options)
{
    *options = (gx_inspect_options){.size = sizeof *options};
}

static bool ends_with(const char *text, const char *ending)
{
    const size_t n = strlen(text), m = strlen(ending);
    return n >= m && strcmp(text + n - m, ending) == 0;
}

static gx_status inspect_onnx(const gx_inspect_options *options, gx_arena *arena, gx_error *error)
{
    char *bytes = NULL;
    size_t nbytes = 0;
    gx_onnx_model model;
    GX_TRY(gx_file_read_all(arena, options->path, ONNX_LIMIT, &bytes, &nbytes, error));
    const gx_status status = gx_onnx_read(&model, arena, bytes, nbytes, error);
    if (status != GX_OK) {
        gx_error_note(error, "%s", options->path);
        return status;
    }
    return gx_inspect_onnx_model(options, &model, error);
}

/* Takes the checkpoint over. */
static gx_status inspect_checkpoint(const gx_inspect_options *options, gx_checkpoint *checkpoint, gx_error *error)
{
    gx_source source = {.checkpoint = checkpoint};
    gx_error reason = {0};
    /* What cannot be converted can be looked at all the same. */
    if (gx_model_open(&source.model, source.checkpoint, &reason) != GX_OK)
        source.model = NULL;
    const gx_status status = gx_inspect_checkpoint_source(options, &source, &reason, error);
    gx_source_close(&source);
    return status;
}

static gx_status inspect_output(const gx_inspect_options *options, const char *manifest, gx_error *error)
{
    yyjson_doc *doc = NULL;
    GX_TRY(gx_json_read(&doc, manifest, MANIFEST_LIMIT, error));
    const gx_status status = gx_inspect_manifest(options, yyjson_doc_get_root(doc), error);
    yyjson_doc_free(doc);
    return status;
}

static gx_status inspect_on_hub(const gx_inspect_options *options, gx_error *error)
{
    const gx_hub_request request = {.model = options->path, .options = options->hub};
    gx_hub_model *model = NULL;
    const char *path = NULL;
    GX_TRY(gx_hub_model_open(&model, &request, error));
    gx_status status = gx_hub_model_look(model, &path, error);
    gx_checkpoint *checkpoint = NULL;
    if (status == GX_OK)
        status = gx_checkpoint_open_headers(&checkpoint, path, error);
    if (status == GX_OK)
        status = inspect_checkpoint(options, checkpoint, error);
    if (status != GX_OK)
        gx_hub_model_name_errors(model, error);
    gx_hub_model_close(model);
    return status;
}

static gx_status inspect_any(const gx_inspect_options *options, gx_arena *arena, gx_error *error)
{
    if (ends_with(options->path, ".onnx"))
        return inspect_onnx(options, arena, error);
    if (gx_model_is_on_hub(options->path))
        return inspect_on_hub(options, error);
    if (!gx_path_exists(options->path))
        return gx_fail(error, GX_ERROR_IO, "%s: there is no such file or folder", options->path);
    char *manifest = gx_path_join(arena, options->path, GX_MANIFEST_NAME);
    if (!manifest)
        return gx_fail_memory(error);
    if (gx_path_exists(manifest))
        return inspect_output(options, manifest, error);
    gx_checkpoint *checkpoint = NULL;
    GX_TRY(gx_checkpoint_open(&checkpoint, options->path, error));
    return inspect_checkpoint(options, checkpoint, error);
}

gx_status gx_inspect(const gx_inspect_options *options, gx_error *error)
{
    gx_error_clear(error);
    if (options->size != sizeof *options || !options->path)
        return gx_fail(error, GX_ERROR_ARGUMENT, "nothing to inspect: name a checkpoint, an output folder or an .onnx file");
    gx_arena *arena = gx_arena_new();
    const gx_status status = arena ? inspect_any(options, arena, error) : gx_fail_memory(error);
    gx_arena_free(arena);
    return status;
}
