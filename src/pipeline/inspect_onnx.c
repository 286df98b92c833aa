/* An .onnx file: opsets, inputs, outputs, operators, weights, metadata. */
#include <inttypes.h>

#include "pipeline/document.h"
#include "pipeline/inspect_parts.h"

static uint64_t payload_nbytes(const gx_onnx_tensor *tensor)
{
    return tensor->location ? tensor->length : tensor->inline_nbytes;
}

/* ---- JSON ---- */

static void add_values(yyjson_mut_doc *doc, yyjson_mut_val *object, const char *key, const gx_onnx_value *values)
{
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, object, key);
    for (const gx_onnx_value *value = values; value; value = value->next) {
        yyjson_mut_val *entry = yyjson_mut_arr_add_obj(doc, list);
        yyjson_mut_obj_add_strcpy(doc, entry, "name", value->name);
        yyjson_mut_obj_add_str(doc, entry, "type", gx_onnx_type_name(value->element_type));
        yyjson_mut_val *shape = yyjson_mut_obj_add_arr(doc, entry, "shape");
        for (unsigned i = 0; i < value->rank; i++) {
            if (value->dims[i].symbol)
                yyjson_mut_arr_add_strcpy(doc, shape, value->dims[i].symbol);
            else
                yyjson_mut_arr_add_int(doc, shape, value->dims[i].number);
        }
    }
}

static void add_initializers(yyjson_mut_doc *doc, yyjson_mut_val *object, const gx_onnx_tensor *tensors)
{
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, object, "initializers");
    for (const gx_onnx_tensor *tensor = tensors; tensor; tensor = tensor->next) {
        yyjson_mut_val *entry = yyjson_mut_arr_add_obj(doc, list);
        yyjson_mut_obj_add_strcpy(doc, entry, "name", tensor->name);
        yyjson_mut_obj_add_str(doc, entry, "type", gx_onnx_type_name(tensor->data_type));
        yyjson_mut_val *shape = yyjson_mut_obj_add_arr(doc, entry, "shape");
        for (unsigned i = 0; i < tensor->rank; i++)
            yyjson_mut_arr_add_int(doc, shape, tensor->dims[i]);
        yyjson_mut_obj_add_uint(doc, entry, "bytes", payload_nbytes(tensor));
        if (tensor->location) {
            yyjson_mut_obj_add_strcpy(doc, entry, "location", tensor->location);
            yyjson_mut_obj_add_uint(doc, entry, "offset", tensor->offset);
        }
    }
}

static void fill_document(yyjson_mut_doc *doc, const gx_inspect_options *options, const gx_onnx_model *model)
{
    yyjson_mut_val *root = yyjson_mut_doc_get_root(doc);
    yyjson_mut_obj_add_str(doc, root, "kind", "onnx");
    yyjson_mut_obj_add_int(doc, root, "ir_version", model->ir_version);
    yyjson_mut_obj_add_strcpy(doc, root, "producer", model->producer_name);
    yyjson_mut_obj_add_strcpy(doc, root, "producer_version", model->producer_version);
    yyjson_mut_val *opsets = yyjson_mut_obj_add_obj(doc, root, "opsets");
    for (const gx_onnx_opset *opset = model->opsets; opset; opset = opset->next)
        yyjson_mut_obj_add_int(doc, opsets, opset->domain[0] ? opset->domain : "ai.onnx", opset->version);
    add_values(doc, root, "inputs", model->inputs);
    add_values(doc, root, "outputs", model->outputs);
    yyjson_mut_obj_add_uint(doc, root, "nodes", model->node_count);
    yyjson_mut_val *operators = yyjson_mut_obj_add_arr(doc, root, "operators");
    for (const gx_onnx_operator *op = model->operators; op; op = op->next) {
        yyjson_mut_val *entry = yyjson_mut_arr_add_obj(doc, operators);
        yyjson_mut_obj_add_strcpy(doc, entry, "op_type", op->op_type);
        yyjson_mut_obj_add_strcpy(doc, entry, "domain", op->domain);
        yyjson_mut_obj_add_uint(doc, entry, "count", op->count);
    }
    yyjson_mut_val *metadata = yyjson_mut_obj_add_obj(doc, root, "metadata");
    for (const gx_onnx_pair *pair = model->metadata; pair; pair = pair->next)
        yyjson_mut_obj_add_strcpy(doc, metadata, pair->key, pair->value);
    if (options->tensors)
        add_initializers(doc, root, model->initializers);
}

/* ---- text ---- */

static void print_values(gx_buffer *out, const char *title, const gx_onnx_value *values)
{
    gx_buffer_printf(out, "%s:\n", title);
    for (const gx_onnx_value *value = values; value; value = value->next) {
        gx_buffer_printf(out, "  %-28s %-8s [", value->name, gx_onnx_type_name(value->element_type));
        for (unsigned i = 0; i < value->rank; i++) {
            gx_buffer_append_text(out, i ? ", " : "");
            if (value->dims[i].symbol)
                gx_buffer_append_text(out, value->dims[i].symbol[0] ? value->dims[i].symbol : "?");
            else
                gx_buffer_printf(out, "%" PRId64, value->dims[i].number);
        }
        gx_buffer_append_text(out, "]\n");
    }
}

static void print_model(gx_buffer *out, const gx_inspect_options *options, const gx_onnx_model *model)
{
    gx_buffer_printf(out, "%s: ONNX, IR %" PRId64 ", by %s %s\n", options->path, model->ir_version, model->producer_name, model->producer_version);
    for (const gx_onnx_opset *opset = model->opsets; opset; opset = opset->next)
        gx_buffer_printf(out, "opset %s %" PRId64 "\n", opset->domain[0] ? opset->domain : "ai.onnx", opset->version);
    print_values(out, "inputs", model->inputs);
    print_values(out, "outputs", model->outputs);
    gx_buffer_printf(out, "nodes: %zu\n", model->node_count);
    for (const gx_onnx_operator *op = model->operators; op; op = op->next)
        gx_buffer_printf(out, "  %6zu  %s%s%s\n", op->count, op->domain, op->domain[0] ? ":" : "", op->op_type);
    uint64_t inline_nbytes = 0, external_nbytes = 0;
    for (const gx_onnx_tensor *tensor = model->initializers; tensor; tensor = tensor->next)
        *(tensor->location ? &external_nbytes : &inline_nbytes) += payload_nbytes(tensor);
    gx_buffer_printf(out, "initializers: %zu (%.3f MB in the file, %.3f MB named in external data; bytes named twice count twice)\n",
                     model->initializer_count, (double)inline_nbytes / 1e6, (double)external_nbytes / 1e6);
    for (const gx_onnx_tensor *tensor = options->tensors ? model->initializers : NULL; tensor; tensor = tensor->next)
        gx_buffer_printf(out, "  %-64s %-8s %12" PRIu64 " bytes  %s\n", tensor->name, gx_onnx_type_name(tensor->data_type), payload_nbytes(tensor),
                         tensor->location ? tensor->location : "");
    for (const gx_onnx_pair *pair = model->metadata; pair; pair = pair->next)
        gx_buffer_printf(out, "metadata %s = %s\n", pair->key, pair->value);
}

gx_status gx_inspect_onnx_model(const gx_inspect_options *options, const gx_onnx_model *model, gx_error *error)
{
    if (options->format == GX_FORMAT_JSON) {
        yyjson_mut_doc *doc = gx_document_new();
        if (!doc)
            return gx_fail_memory(error);
        fill_document(doc, options, model);
        const gx_status status = gx_document_send(doc, options->text, options->text_context, error);
        yyjson_mut_doc_free(doc);
        return status;
    }
    gx_buffer text = {0};
    print_model(&text, options, model);
    return gx_text_finish(&text, options->text, options->text_context, error);
}
