/* An output folder: its manifest. */
#include <inttypes.h>

#include "pipeline/document.h"
#include "pipeline/inspect_parts.h"

static const char *text_at(yyjson_val *object, const char *key)
{
    const char *text = yyjson_get_str(yyjson_obj_get(object, key));
    return text ? text : "?";
}

static void print_precision(gx_buffer *out, const gx_inspect_options *options, const char *name, yyjson_val *precision)
{
    size_t index, count;
    yyjson_val *entry, *models = yyjson_obj_get(precision, "models"); /* of a static pair, beside the manifest */
    const char *folder = models ? "" : "onnx/";
    gx_buffer_printf(out, "%s:", name);
    if (!models)
        gx_buffer_printf(out, " %s%s", folder, text_at(precision, "model"));
    yyjson_arr_foreach(models, index, count, entry) gx_buffer_printf(out, " %s", yyjson_is_str(entry) ? yyjson_get_str(entry) : "?");
    if (yyjson_obj_get(precision, "embedding_dim"))
        gx_buffer_append_text(out, ", sentence embeddings\n");
    else
        gx_buffer_printf(out, ", logits of %s\n", text_at(precision, "logits")[0] == 'a' ? "every position" : "the last position");
    yyjson_arr_foreach(yyjson_obj_get(precision, "data"), index, count, entry)
        gx_buffer_printf(out, "  %s%-36s %14" PRIu64 " bytes\n", folder, text_at(entry, "name"), yyjson_get_uint(yyjson_obj_get(entry, "bytes")));
    if (!options->tensors)
        return;
    yyjson_arr_foreach(yyjson_obj_get(precision, "tensors"), index, count, entry)
        gx_buffer_printf(out, "    %-62s %12" PRIu64 " bytes  %s\n", text_at(entry, "name"), yyjson_get_uint(yyjson_obj_get(entry, "bytes")),
                         text_at(entry, "scheme"));
}

static void print_manifest(gx_buffer *out, const gx_inspect_options *options, yyjson_val *manifest)
{
    size_t index, count;
    yyjson_val *key, *entry, *source = yyjson_obj_get(manifest, "source");
    gx_buffer_printf(out, "%s: written by gemma-onnx %s\n", options->path, text_at(manifest, "version"));
    gx_buffer_printf(out, "from %s (%s), %" PRIu64 " parameters\n", text_at(source, "family"), text_at(source, "format"),
                     yyjson_get_uint(yyjson_obj_get(source, "parameters")));
    yyjson_arr_foreach(yyjson_obj_get(source, "files"), index, count, entry)
        gx_buffer_printf(out, "  %s  sha256 %s\n", text_at(entry, "name"), text_at(entry, "sha256"));
    yyjson_obj_foreach(yyjson_obj_get(manifest, "precisions"), index, count, key, entry)
        print_precision(out, options, yyjson_get_str(key), entry);
    yyjson_obj_foreach(yyjson_obj_get(manifest, "static_precisions"), index, count, key, entry)
        print_precision(out, options, yyjson_get_str(key), entry);
}

gx_status gx_inspect_manifest(const gx_inspect_options *options, yyjson_val *manifest, gx_error *error)
{
    if (options->format == GX_FORMAT_JSON) {
        yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
        if (!doc)
            return gx_fail_memory(error);
        yyjson_mut_doc_set_root(doc, yyjson_val_mut_copy(doc, manifest));
        const gx_status status = gx_document_send(doc, options->text, options->text_context, error);
        yyjson_mut_doc_free(doc);
        return status;
    }
    gx_buffer text = {0};
    print_manifest(&text, options, manifest);
    return gx_text_finish(&text, options->text, options->text_context, error);
}
