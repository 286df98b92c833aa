/* A checkpoint: family and numbers when it converts, why not when it does not, files, tensors, GGUF metadata. */
#include <inttypes.h>
#include <stdio.h>

#include "pipeline/document.h"
#include "pipeline/inspect_parts.h"

static const char *format_name(const gx_checkpoint *checkpoint)
{
    return gx_checkpoint_get_format(checkpoint) == GX_CHECKPOINT_GGUF ? "gguf" : "safetensors";
}

static uint64_t total_nbytes(const gx_checkpoint *checkpoint)
{
    uint64_t nbytes = 0;
    for (size_t i = 0; i < gx_checkpoint_file_count(checkpoint); i++)
        nbytes += gx_file_nbytes(gx_checkpoint_file(checkpoint, i));
    return nbytes;
}

/* One line for a scalar or short string; arrays by kind and count. */
static void value_text(const gx_gguf_value *value, char *out, size_t nbytes)
{
    static const char *const kinds[] = {"unsigned", "signed", "float", "bool", "string", "array"};
    switch (value->kind) {
    case GX_GGUF_UNSIGNED: snprintf(out, nbytes, "%" PRIu64, value->u); break;
    case GX_GGUF_SIGNED: snprintf(out, nbytes, "%" PRId64, value->i); break;
    case GX_GGUF_FLOAT: snprintf(out, nbytes, "%g", value->f); break;
    case GX_GGUF_BOOL: snprintf(out, nbytes, "%s", value->b ? "true" : "false"); break;
    case GX_GGUF_STRING: snprintf(out, nbytes, "%.60s%s", value->string.bytes, value->string.nbytes > 60 ? "…" : ""); break;
    case GX_GGUF_ARRAY: snprintf(out, nbytes, "[%zu %s]", value->count, kinds[value->element_kind]); break;
    }
}

/* ---- JSON ---- */

static void add_model(yyjson_mut_doc *doc, yyjson_mut_val *root, const gx_model *model)
{
    yyjson_mut_obj_add_str(doc, root, "family", model->family_name);
    yyjson_mut_obj_add_uint(doc, root, "parameters", model->parameters);
    yyjson_mut_obj_add_val(doc, root, "config", yyjson_mut_val_mut_copy(doc, yyjson_mut_doc_get_root(model->config)));
    yyjson_mut_val *notes = yyjson_mut_obj_add_arr(doc, root, "notes");
    for (size_t i = 0; i < model->note_count; i++)
        yyjson_mut_arr_add_strcpy(doc, notes, model->notes[i]);
    yyjson_mut_val *left_out = yyjson_mut_obj_add_arr(doc, root, "left_out");
    for (size_t i = 0; i < model->left_out_count; i++)
        yyjson_mut_arr_add_strcpy(doc, left_out, model->left_out[i]->name);
}

static void add_tensors(yyjson_mut_doc *doc, yyjson_mut_val *root, const gx_checkpoint *checkpoint)
{
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, root, "tensors");
    for (size_t i = 0; i < gx_checkpoint_tensor_count(checkpoint); i++) {
        const gx_tensor *tensor = gx_checkpoint_tensor(checkpoint, i);
        yyjson_mut_val *entry = yyjson_mut_arr_add_obj(doc, list);
        yyjson_mut_obj_add_strcpy(doc, entry, "name", tensor->name);
        yyjson_mut_obj_add_str(doc, entry, "dtype", gx_dtype_get(tensor->dtype)->name);
        yyjson_mut_val *shape = yyjson_mut_obj_add_arr(doc, entry, "shape");
        for (unsigned k = 0; k < tensor->rank; k++)
            yyjson_mut_arr_add_uint(doc, shape, tensor->shape[k]);
        yyjson_mut_obj_add_uint(doc, entry, "bytes", tensor->nbytes);
    }
}

static void fill_document(yyjson_mut_doc *doc, const gx_inspect_options *options, const gx_source *source, const gx_error *reason)
{
    yyjson_mut_val *root = yyjson_mut_doc_get_root(doc);
    yyjson_mut_obj_add_str(doc, root, "kind", "checkpoint");
    yyjson_mut_obj_add_str(doc, root, "format", format_name(source->checkpoint));
    yyjson_mut_obj_add_uint(doc, root, "bytes", total_nbytes(source->checkpoint));
    yyjson_mut_obj_add_uint(doc, root, "tensor_count", gx_checkpoint_tensor_count(source->checkpoint));
    if (source->model)
        add_model(doc, root, source->model);
    else
        yyjson_mut_obj_add_strcpy(doc, root, "not_convertible", reason->message);
    char text[128];
    yyjson_mut_val *metadata = yyjson_mut_obj_add_obj(doc, root, "gguf_metadata");
    for (size_t i = 0; i < gx_checkpoint_metadata_count(source->checkpoint); i++) {
        const gx_gguf_value *value = gx_checkpoint_metadata_at(source->checkpoint, i);
        value_text(value, text, sizeof text);
        yyjson_mut_obj_add(metadata, yyjson_mut_strcpy(doc, value->key), yyjson_mut_strcpy(doc, text));
    }
    if (options->tensors)
        add_tensors(doc, root, source->checkpoint);
}

/* ---- text ---- */

static void print_model(gx_buffer *out, const gx_model *model)
{
    unsigned sliding = 0;
    uint64_t window = 0;
    for (uint32_t n = 0; n < model->num_hidden_layers; n++) {
        sliding += model->layers[n].sliding_window != 0;
        window = model->layers[n].sliding_window ? model->layers[n].sliding_window : window;
    }
    const gx_layer *layer = &model->layers[0];
    gx_buffer_printf(out, "family %s, %" PRIu64 " parameters\n", model->family_name, model->parameters);
    gx_buffer_printf(out, "  %u layers (%u with a window of %" PRIu64 "), hidden_size %u, intermediate_size %u, vocab_size %u\n",
                     model->num_hidden_layers, sliding, window, model->hidden_size, layer->intermediate_size, model->vocab_size);
    gx_buffer_printf(out, "  %u heads, %u key/value heads, head_dim %u, context %u, %s embeddings\n", layer->num_attention_heads,
                     layer->num_key_value_heads, layer->head_dim, model->max_position_embeddings, model->tie_word_embeddings ? "tied" : "untied");
    for (size_t i = 0; i < model->note_count; i++)
        gx_buffer_printf(out, "  note: %s\n", model->notes[i]);
    if (model->left_out_count)
        gx_buffer_printf(out, "  left out, no part of the text decoder: %zu tensors from '%s' to '%s'\n", model->left_out_count,
                         model->left_out[0]->name, model->left_out[model->left_out_count - 1]->name);
}

static void print_checkpoint(gx_buffer *out, const gx_inspect_options *options, const gx_source *source, const gx_error *reason)
{
    const gx_checkpoint *checkpoint = source->checkpoint;
    char text[128];
    gx_buffer_printf(out, "%s: %s, %zu file%s, %zu tensors, %.1f MB\n", options->path, format_name(checkpoint),
                     gx_checkpoint_file_count(checkpoint), gx_checkpoint_file_count(checkpoint) == 1 ? "" : "s",
                     gx_checkpoint_tensor_count(checkpoint), (double)total_nbytes(checkpoint) / 1e6);
    if (source->model)
        print_model(out, source->model);
    else
        gx_buffer_printf(out, "does not convert: %s\n", reason->message);
    for (size_t i = 0; i < gx_checkpoint_metadata_count(checkpoint); i++) {
        const gx_gguf_value *value = gx_checkpoint_metadata_at(checkpoint, i);
        value_text(value, text, sizeof text);
        gx_buffer_printf(out, "  %-44s %s\n", value->key, text);
    }
    for (size_t i = 0; options->tensors && i < gx_checkpoint_tensor_count(checkpoint); i++) {
        const gx_tensor *tensor = gx_checkpoint_tensor(checkpoint, i);
        gx_buffer_printf(out, "  %-60s %-8s [", tensor->name, gx_dtype_get(tensor->dtype)->name);
        for (unsigned k = 0; k < tensor->rank; k++)
            gx_buffer_printf(out, "%s%" PRIu64, k ? ", " : "", tensor->shape[k]);
        gx_buffer_printf(out, "]  %" PRIu64 " bytes\n", tensor->nbytes);
    }
}

gx_status gx_inspect_checkpoint_source(const gx_inspect_options *options, const gx_source *source, const gx_error *reason, gx_error *error)
{
    if (options->format == GX_FORMAT_JSON) {
        yyjson_mut_doc *doc = gx_document_new();
        if (!doc)
            return gx_fail_memory(error);
        fill_document(doc, options, source, reason);
        const gx_status status = gx_document_send(doc, options->text, options->text_context, error);
        yyjson_mut_doc_free(doc);
        return status;
    }
    gx_buffer text = {0};
    print_checkpoint(&text, options, source, reason);
    return gx_text_finish(&text, options->text, options->text_context, error);
}
