/* gx_models: the table of published checkpoints. */
#include <inttypes.h>
#include <string.h>

#include "gemma_onnx.h"
#include "model/published.h"
#include "pipeline/document.h"

void gx_models_options_default(gx_models_options *options)
{
    *options = (gx_models_options){.size = sizeof *options};
}

typedef struct tensor_list {
    yyjson_mut_doc *doc;
    yyjson_mut_val *list;
} tensor_list;

static gx_status add_tensor(void *context, const char *name, unsigned rank, const uint64_t *shape, gx_error *error)
{
    tensor_list *tensors = context;
    yyjson_mut_val *entry = yyjson_mut_arr_add_obj(tensors->doc, tensors->list);
    yyjson_mut_val *dims = yyjson_mut_obj_add_arr(tensors->doc, entry, "shape");
    if (!dims || !yyjson_mut_obj_add_strcpy(tensors->doc, entry, "name", name))
        return gx_fail_memory(error);
    for (unsigned i = 0; i < rank; i++)
        yyjson_mut_arr_add_uint(tensors->doc, dims, shape[i]);
    return GX_OK;
}

static bool has_id(const gx_published *published, const char *id)
{
    for (const char *const *own = published->ids; *own; own++)
        if (strcmp(*own, id) == 0)
            return true;
    return false;
}

static gx_status add_model(yyjson_mut_doc *doc, yyjson_mut_val *list, const gx_published *published, const gx_model *model, bool tensors, gx_error *error)
{
    yyjson_doc *config = NULL;
    yyjson_mut_val *entry = yyjson_mut_arr_add_obj(doc, list), *ids = yyjson_mut_obj_add_arr(doc, entry, "ids");
    for (const char *const *id = published->ids; *id; id++)
        yyjson_mut_arr_add_str(doc, ids, *id);
    yyjson_mut_obj_add_str(doc, entry, "family", model->family_name);
    yyjson_mut_obj_add_uint(doc, entry, "parameters", published->parameters);
    yyjson_mut_obj_add_str(doc, entry, "judged", published->judged);
    yyjson_mut_obj_add_str(doc, entry, "trap", published->trap ? published->trap : "");
    GX_TRY(gx_json_parse(&config, published->ids[0], published->config, strlen(published->config), error));
    yyjson_mut_obj_add_val(doc, entry, "config", yyjson_val_mut_copy(doc, yyjson_doc_get_root(config)));
    yyjson_doc_free(config);
    if (!tensors)
        return GX_OK;
    tensor_list all = {doc, yyjson_mut_obj_add_arr(doc, entry, "tensors")};
    return gx_model_each_tensor(model, add_tensor, &all, error);
}

static void print_model(gx_buffer *out, const gx_published *published, const gx_model *model)
{
    gx_buffer_printf(out, "%-28s %-16s %14" PRIu64 " parameters\n", published->ids[0], model->family_name, published->parameters);
    for (const char *const *id = published->ids + 1; *id; id++)
        gx_buffer_printf(out, "  %s\n", *id);
}

static gx_status list_models(yyjson_mut_doc *doc, gx_buffer *text, const gx_models_options *options, gx_error *error)
{
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, yyjson_mut_doc_get_root(doc), "models");
    bool found = false;
    for (const gx_published *published = gx_published_models; published->ids; published++) {
        if (options->id && !has_id(published, options->id))
            continue;
        gx_model *model = NULL;
        GX_TRY(gx_published_open(&model, published, error));
        found = true;
        print_model(text, published, model);
        const gx_status status = add_model(doc, list, published, model, options->id != NULL, error);
        gx_model_close(model);
        GX_TRY(status);
    }
    return found ? GX_OK : gx_fail(error, GX_ERROR_ARGUMENT, "'%s' is no published checkpoint that is known; 'gemma-onnx models' lists them", options->id);
}

gx_status gx_models(const gx_models_options *options, gx_error *error)
{
    gx_error_clear(error);
    if (options->size != sizeof *options)
        return gx_fail(error, GX_ERROR_ARGUMENT, "gx_models_options: use gx_models_options_default first");
    gx_buffer text = {0};
    yyjson_mut_doc *doc = gx_document_new();
    if (!doc)
        return gx_fail_memory(error);
    gx_status status = list_models(doc, &text, options, error);
    if (status == GX_OK && options->format == GX_FORMAT_JSON)
        status = gx_document_send(doc, options->text, options->text_context, error);
    else if (status == GX_OK)
        status = gx_text_send(options->text, options->text_context, (const char *)text.data, text.nbytes, error);
    gx_buffer_deinit(&text);
    yyjson_mut_doc_free(doc);
    return status;
}
