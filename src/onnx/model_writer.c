/* Graph → ModelProto. Sub-messages are built in buffers of their own and appended, so lengths are always right. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "onnx/fields.h"
#include "onnx/model_writer.h"
#include "onnx/wire.h"

static void write_entry(gx_buffer *out, uint32_t field, const char *key, const char *value)
{
    gx_buffer entry = {0};
    gx_wire_string(&entry, ENTRY_KEY, key);
    gx_wire_string(&entry, ENTRY_VALUE, value);
    gx_wire_message(out, field, &entry);
    gx_buffer_deinit(&entry);
}

static void write_shape(gx_buffer *out, const gx_shape *shape)
{
    gx_buffer message = {0}, dim = {0};
    for (unsigned i = 0; i < shape->rank; i++) {
        gx_buffer_clear(&dim);
        if (shape->dims[i].symbol)
            gx_wire_string(&dim, DIM_PARAM, shape->dims[i].symbol);
        else
            gx_wire_uint(&dim, DIM_VALUE, (uint64_t)shape->dims[i].number);
        gx_wire_message(&message, SHAPE_DIM, &dim);
    }
    gx_wire_message(out, TENSOR_TYPE_SHAPE, &message);
    gx_buffer_deinit(&dim);
    gx_buffer_deinit(&message);
}

static void write_value_info(gx_buffer *out, uint32_t field, const gx_value *value)
{
    gx_buffer info = {0}, type = {0}, tensor = {0};
    gx_wire_uint(&tensor, TENSOR_TYPE_ELEMENT, (uint64_t)gx_dtype_get(value->dtype)->onnx_type);
    write_shape(&tensor, &value->shape);
    gx_wire_message(&type, TYPE_TENSOR, &tensor);
    gx_wire_string(&info, VALUE_NAME, value->name);
    gx_wire_message(&info, VALUE_TYPE, &type);
    gx_wire_message(out, field, &info);
    gx_buffer_deinit(&tensor);
    gx_buffer_deinit(&type);
    gx_buffer_deinit(&info);
}

static void write_graph(gx_buffer *out, uint32_t field, const gx_graph *graph, const char *const *data_names);

static void write_attribute(gx_buffer *out, const gx_attribute *attribute)
{
    gx_buffer message = {0};
    gx_wire_string(&message, ATTRIBUTE_NAME, attribute->name);
    switch (attribute->kind) {
    case GX_ATTRIBUTE_INT:
        gx_wire_uint(&message, ATTRIBUTE_I, (uint64_t)attribute->i);
        gx_wire_uint(&message, ATTRIBUTE_TYPE, ATTRIBUTE_TYPE_INT);
        break;
    case GX_ATTRIBUTE_FLOAT:
        gx_wire_float(&message, ATTRIBUTE_F, attribute->f);
        gx_wire_uint(&message, ATTRIBUTE_TYPE, ATTRIBUTE_TYPE_FLOAT);
        break;
    case GX_ATTRIBUTE_STRING:
        gx_wire_string(&message, ATTRIBUTE_S, attribute->s);
        gx_wire_uint(&message, ATTRIBUTE_TYPE, ATTRIBUTE_TYPE_STRING);
        break;
    case GX_ATTRIBUTE_INTS:
        for (size_t i = 0; i < attribute->ints_count; i++)
            gx_wire_uint(&message, ATTRIBUTE_INTS, (uint64_t)attribute->ints[i]);
        gx_wire_uint(&message, ATTRIBUTE_TYPE, ATTRIBUTE_TYPE_INTS);
        break;
    case GX_ATTRIBUTE_GRAPH: /* without weights of its own */
        write_graph(&message, ATTRIBUTE_G, attribute->graph, NULL);
        gx_wire_uint(&message, ATTRIBUTE_TYPE, ATTRIBUTE_TYPE_GRAPH);
        break;
    }
    gx_wire_message(out, NODE_ATTRIBUTE, &message);
    gx_buffer_deinit(&message);
}

/* An optional input that is left out in the middle is an empty string; at the end it is not written. */
static void write_node(gx_buffer *out, const gx_node *node)
{
    gx_buffer message = {0};
    unsigned input_count = node->input_count;
    while (input_count > 0 && !node->inputs[input_count - 1])
        input_count--;
    for (unsigned i = 0; i < input_count; i++)
        gx_wire_string(&message, NODE_INPUT, node->inputs[i] ? node->inputs[i]->name : "");
    for (unsigned i = 0; i < node->output_count; i++)
        gx_wire_string(&message, NODE_OUTPUT, node->outputs[i] ? node->outputs[i]->name : "");
    gx_wire_string(&message, NODE_NAME, node->name);
    gx_wire_string(&message, NODE_OP_TYPE, node->op_type);
    for (const gx_attribute *attribute = node->attributes; attribute; attribute = attribute->next)
        write_attribute(&message, attribute);
    if (node->domain[0])
        gx_wire_string(&message, NODE_DOMAIN, node->domain);
    gx_wire_message(out, GRAPH_NODE, &message);
    gx_buffer_deinit(&message);
}

static void write_external(gx_buffer *tensor, const gx_initializer *initializer, const char *const *data_names)
{
    char number[32];
    write_entry(tensor, TENSOR_EXTERNAL_DATA, "location", data_names[initializer->stored->parts[initializer->part].file]);
    snprintf(number, sizeof number, "%" PRIu64, initializer->stored->parts[initializer->part].offset);
    write_entry(tensor, TENSOR_EXTERNAL_DATA, "offset", number);
    snprintf(number, sizeof number, "%" PRIu64, initializer->stored->parts[initializer->part].nbytes);
    write_entry(tensor, TENSOR_EXTERNAL_DATA, "length", number);
    gx_wire_uint(tensor, TENSOR_DATA_LOCATION, DATA_LOCATION_EXTERNAL);
}

static void write_initializer(gx_buffer *out, const gx_initializer *initializer, const char *const *data_names)
{
    gx_buffer tensor = {0};
    for (unsigned i = 0; i < initializer->value.shape.rank; i++)
        gx_wire_uint(&tensor, TENSOR_DIMS, (uint64_t)initializer->value.shape.dims[i].number);
    gx_wire_uint(&tensor, TENSOR_DATA_TYPE, (uint64_t)gx_dtype_get(initializer->value.dtype)->onnx_type);
    gx_wire_string(&tensor, TENSOR_NAME, initializer->value.name);
    if (initializer->stored)
        write_external(&tensor, initializer, data_names);
    else
        gx_wire_bytes(&tensor, TENSOR_RAW_DATA, initializer->bytes, initializer->nbytes);
    gx_wire_message(out, GRAPH_INITIALIZER, &tensor);
    gx_buffer_deinit(&tensor);
}

/* Every value that a node makes, but for the graph's outputs. */
static void write_inner_values(gx_buffer *out, const gx_graph *graph)
{
    for (const gx_node *node = graph->nodes; node; node = node->next)
        for (unsigned i = 0; i < node->output_count; i++) {
            bool is_output = !node->outputs[i];
            for (size_t k = 0; k < graph->output_count && !is_output; k++)
                is_output = graph->outputs[k] == node->outputs[i];
            if (!is_output)
                write_value_info(out, GRAPH_VALUE_INFO, node->outputs[i]);
        }
}

static void write_graph(gx_buffer *out, uint32_t field, const gx_graph *graph, const char *const *data_names)
{
    gx_buffer message = {0};
    for (const gx_node *node = graph->nodes; node; node = node->next)
        write_node(&message, node);
    gx_wire_string(&message, GRAPH_NAME, graph->name);
    for (const gx_initializer *initializer = graph->initializers; initializer; initializer = initializer->next)
        write_initializer(&message, initializer, data_names);
    for (size_t i = 0; i < graph->input_count; i++)
        write_value_info(&message, GRAPH_INPUT, graph->inputs[i]);
    for (size_t i = 0; i < graph->output_count; i++)
        write_value_info(&message, GRAPH_OUTPUT, graph->outputs[i]);
    if (graph->describes_values)
        write_inner_values(&message, graph);
    gx_wire_message(out, field, &message);
    gx_buffer_deinit(&message);
}

static void write_opset(gx_buffer *out, const char *domain, int64_t version)
{
    gx_buffer message = {0};
    gx_wire_string(&message, OPSET_DOMAIN, domain);
    gx_wire_uint(&message, OPSET_VERSION, (uint64_t)version);
    gx_wire_message(out, MODEL_OPSET_IMPORT, &message);
    gx_buffer_deinit(&message);
}

gx_status gx_model_write(gx_buffer *out, const gx_graph *graph, const char *const *data_names, gx_error *error)
{
    gx_wire_uint(out, MODEL_IR_VERSION, (uint64_t)graph->ir_version);
    gx_wire_string(out, MODEL_PRODUCER_NAME, "gemma-onnx");
    gx_wire_string(out, MODEL_PRODUCER_VERSION, gx_version());
    write_graph(out, MODEL_GRAPH, graph, data_names);
    write_opset(out, "", graph->opset);
    if (graph->microsoft_opset)
        write_opset(out, "com.microsoft", graph->microsoft_opset);
    for (const gx_metadata *entry = graph->metadata; entry; entry = entry->next)
        write_entry(out, MODEL_METADATA_PROPS, entry->key, entry->value);
    return gx_buffer_check(out, error);
}
