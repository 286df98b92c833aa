/* Opens a folder's model, whichever form it has. */
#include <string.h>

#include "base/checked.h"
#include "base/json.h"
#include "onnx/model_edit.h"
#include "onnx/model_reader.h"
#include "pipeline/opened_model.h"
#include "pipeline/static_document.h"

#define DOCUMENT_LIMIT (UINT64_C(16) << 20)
#define MODEL_LIMIT (UINT64_C(1) << 30)

static gx_status open_dynamic(gx_opened_model *m, gx_runtime *runtime, const gx_model_file *file, const gx_session_options *options, gx_error *error)
{
    GX_TRY(gx_session_open(&m->sessions[0], runtime, file->path, options, error));
    m->session_count = 1;
    return gx_decoder_open(&m->decoder, m->sessions[0], GX_DECODER_CACHE_DECLARED, error);
}

/* ---- the document ---- */

/* Of gemma_static.json; checked as far as it is used. */
typedef struct description {
    gx_static_rules rules;
    const char *data;
    const char *models[GX_STATIC_MAX_GRAPHS];
    size_t model_count;
} description;

static gx_status read_rules(gx_static_rules *rules, yyjson_val *root, const char *path, gx_error *error)
{
    yyjson_val *prefill = yyjson_obj_get(root, "prefill"), *length = yyjson_obj_get(root, "max_length");
    yyjson_val *padding = yyjson_obj_get(prefill, "padding"), *continues = yyjson_obj_get(prefill, "continues");
    yyjson_val *different = yyjson_obj_get(prefill, "rows_at_different_positions");
    if (!yyjson_is_uint(length) || yyjson_get_uint(length) == 0 || yyjson_get_uint(length) > INT32_MAX || !yyjson_is_bool(padding) ||
        !yyjson_is_bool(continues) || !yyjson_is_bool(different))
        return gx_fail(error, GX_ERROR_FORMAT, "%s: 'max_length' or a rule of 'prefill' is missing or not what it should be", path);
    *rules = (gx_static_rules){.max_length = yyjson_get_uint(length),
                               .padding = yyjson_get_bool(padding),
                               .rows_at_different_positions = yyjson_get_bool(different),
                               .continues = yyjson_get_bool(continues)};
    return GX_OK;
}

static bool is_file_name(const char *name)
{
    return name && name[0] && !strchr(name, '/') && strcmp(name, "..") != 0;
}

static gx_status read_description(description *d, yyjson_val *root, const gx_model_file *file, gx_error *error)
{
    GX_TRY(read_rules(&d->rules, root, file->path, error));
    yyjson_val *precision = yyjson_obj_get(yyjson_obj_get(root, "precisions"), file->precision), *graph;
    yyjson_val *graphs = yyjson_obj_get(precision, "graphs");
    d->data = yyjson_get_str(yyjson_obj_get(precision, "data"));
    if (!is_file_name(d->data) || yyjson_arr_size(graphs) == 0 || yyjson_arr_size(graphs) > GX_STATIC_MAX_GRAPHS)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: precision '%s' does not name its files", file->path, file->precision);
    size_t index, count;
    yyjson_arr_foreach(graphs, index, count, graph)
    {
        d->models[d->model_count] = yyjson_get_str(yyjson_obj_get(graph, "model"));
        if (!is_file_name(d->models[d->model_count++]))
            return gx_fail(error, GX_ERROR_FORMAT, "%s: precision '%s' does not name its files", file->path, file->precision);
    }
    return GX_OK;
}

/* ---- weights ---- */

static gx_status add_weight(gx_opened_model *m, const gx_onnx_tensor *tensor, const char *path, gx_error *error)
{
    const gx_dtype dtype = gx_dtype_from_onnx(tensor->data_type);
    uint64_t end;
    if (dtype == GX_DTYPE_COUNT || !gx_add_u64(tensor->offset, tensor->length, &end) || end > gx_mapping_nbytes(m->mapping))
        return gx_fail(error, GX_ERROR_FORMAT, "%s: '%s' lies outside its data file, or is of an unknown type", path, tensor->name);
    const char *data = (const char *)gx_mapping_bytes(m->mapping) + tensor->offset;
    return gx_shared_weights_add(m->weights, tensor->name, dtype, tensor->rank, tensor->dims, data, tensor->length, error);
}

/* The graphs of a pair name the same weights: those of one of them are all. Norms are left to ONNX Runtime: its fp16 kernel
 * packs them, and refuses to share what it packed. */
static gx_status share_weights(gx_opened_model *m, gx_arena *arena, gx_runtime *runtime, const char *model_path, const char *data_path, gx_error *error)
{
    char *bytes = NULL;
    size_t nbytes = 0;
    gx_onnx_model model;
    GX_TRY(gx_mapping_open(&m->mapping, data_path, error));
    GX_TRY(gx_shared_weights_new(&m->weights, runtime, error));
    GX_TRY(gx_file_read_all(arena, model_path, MODEL_LIMIT, &bytes, &nbytes, error));
    gx_status status = gx_onnx_read(&model, arena, bytes, nbytes, error);
    for (const gx_onnx_tensor *tensor = status == GX_OK ? model.initializers : NULL; status == GX_OK && tensor; tensor = tensor->next)
        if (tensor->location && tensor->rank > 1)
            status = add_weight(m, tensor, model_path, error);
    if (status != GX_OK)
        gx_error_note(error, "%s", model_path);
    return status;
}

/* ---- the pair ---- */

static gx_status open_edited(gx_session **out, gx_runtime *runtime, const char *path, const char *folder, const gx_shown_values *shown,
                             const gx_session_options *options, gx_error *error)
{
    gx_arena *arena = gx_arena_new();
    gx_buffer edited = {0};
    char *bytes = NULL;
    size_t nbytes = 0;
    if (!arena)
        return gx_fail_memory(error);
    gx_status status = gx_file_read_all(arena, path, MODEL_LIMIT, &bytes, &nbytes, error);
    if (status == GX_OK)
        status = gx_onnx_show_values(&edited, bytes, nbytes, shown->names, shown->count, error);
    if (status == GX_OK)
        status = gx_session_open_bytes(out, runtime, path, edited.data, edited.nbytes, folder, options, error);
    gx_buffer_deinit(&edited);
    gx_arena_free(arena);
    return status;
}

static gx_status open_graphs(gx_opened_model *m, gx_arena *arena, gx_runtime *runtime, const description *d, const char *folder,
                             const gx_shown_values *shown, const gx_session_options *options, gx_error *error)
{
    gx_session_options shared = *options;
    for (size_t i = 0; i < d->model_count; i++) {
        char *path = gx_path_join(arena, folder, d->models[i]), *data = gx_path_join(arena, folder, d->data);
        if (!path || !data)
            return gx_fail_memory(error);
        if (i == 0)
            GX_TRY(share_weights(m, arena, runtime, path, data, error));
        shared.weights = m->weights;
        if (shown->count)
            GX_TRY(open_edited(&m->sessions[i], runtime, path, folder, shown, &shared, error));
        else
            GX_TRY(gx_session_open(&m->sessions[i], runtime, path, &shared, error));
        m->session_count++;
    }
    return gx_static_decoder_open(&m->decoder, m->sessions, m->session_count, &d->rules, error);
}

gx_status gx_opened_model_open_static(gx_opened_model *m, gx_runtime *runtime, const gx_model_file *file, const gx_shown_values *shown,
                                      const gx_session_options *options, gx_error *error)
{
    *m = (gx_opened_model){0};
    yyjson_doc *document = NULL;
    description d = {0};
    gx_arena *arena = gx_arena_new();
    if (!arena)
        return gx_fail_memory(error);
    gx_status status = gx_json_read(&document, file->path, DOCUMENT_LIMIT, error);
    if (status == GX_OK)
        status = read_description(&d, yyjson_doc_get_root(document), file, error);
    if (status == GX_OK)
        status = open_graphs(m, arena, runtime, &d, file->folder, shown, options, error);
    yyjson_doc_free(document);
    gx_arena_free(arena);
    return status;
}

gx_status gx_opened_model_open(gx_opened_model *out, gx_runtime *runtime, const gx_model_file *file, const gx_session_options *options,
                               gx_error *error)
{
    *out = (gx_opened_model){0};
    return file->is_static ? gx_opened_model_open_static(out, runtime, file, &(gx_shown_values){0}, options, error)
                           : open_dynamic(out, runtime, file, options, error);
}

void gx_opened_model_close(gx_opened_model *model)
{
    gx_decoder_close(model->decoder);
    for (size_t i = 0; i < model->session_count; i++)
        gx_session_close(model->sessions[i]);
    gx_shared_weights_free(model->weights);
    gx_mapping_close(model->mapping);
    *model = (gx_opened_model){0};
}
