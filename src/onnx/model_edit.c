/* Copies a ModelProto field by field and changes two things: the node that selects the last position becomes a Flatten of
 * [batch, sequence, hidden] to [tokens, hidden], and the output "logits" loses its fixed second dimension. */
#include <string.h>

#include "onnx/fields.h"
#include "onnx/model_edit.h"
#include "onnx/wire.h"
#include "onnx/wire_reader.h"

/* graph/blocks/head.c names them so. */
static const char selecting_node[] = "/lm_head/last_position", selecting_index[] = "/lm_head/last_index";

typedef struct edit {
    gx_buffer *out; /* of the graph's fields */
    bool found;
} edit;

static void copy_field(gx_buffer *out, const gx_wire_field *field, const gx_wire_reader *after)
{
    gx_buffer_append(out, field->begin, (size_t)(after->at - field->begin));
}

/* Whether the sub-message has this text in this field. */
static gx_status has_text(bool *out, gx_wire_reader reader, uint32_t number, const char *text, gx_error *error)
{
    gx_wire_field field;
    *out = false;
    GX_WIRE_FOREACH(reader, field)
    {
        if (field.number == number && gx_wire_is_text(&field, text))
            *out = true;
    }
    return GX_OK;
}

static void write_flatten(gx_buffer *out, const gx_buffer *input_and_outputs)
{
    gx_buffer node = {0}, axis = {0};
    gx_wire_string(&axis, ATTRIBUTE_NAME, "axis");
    gx_wire_uint(&axis, ATTRIBUTE_I, 2);
    gx_wire_uint(&axis, ATTRIBUTE_TYPE, ATTRIBUTE_TYPE_INT);
    gx_buffer_append(&node, input_and_outputs->data, input_and_outputs->nbytes);
    gx_wire_string(&node, NODE_NAME, selecting_node);
    gx_wire_string(&node, NODE_OP_TYPE, "Flatten");
    gx_wire_message(&node, NODE_ATTRIBUTE, &axis);
    gx_wire_message(out, GRAPH_NODE, &node);
    gx_buffer_deinit(&axis);
    gx_buffer_deinit(&node);
}

/* Keeps the node's first input and its output. */
static gx_status replace_node(edit *e, gx_wire_reader reader, gx_error *error)
{
    gx_buffer kept = {0};
    gx_wire_field field;
    bool has_input = false;
    gx_status status = GX_OK;
    while ((status = gx_wire_next(&reader, &field, error)) == GX_OK && !field.none) {
        if (field.number == NODE_OUTPUT || (field.number == NODE_INPUT && !has_input))
            copy_field(&kept, &field, &reader);
        has_input = has_input || field.number == NODE_INPUT;
    }
    if (status == GX_OK)
        status = gx_buffer_check(&kept, error);
    if (status == GX_OK)
        write_flatten(e->out, &kept);
    gx_buffer_deinit(&kept);
    e->found = true;
    return status;
}

/* The output without a shape: ONNX Runtime infers it. */
static gx_status replace_output(edit *e, gx_error *error)
{
    gx_buffer info = {0}, type = {0}, tensor = {0};
    gx_wire_uint(&tensor, TENSOR_TYPE_ELEMENT, 1);
    gx_wire_message(&type, TYPE_TENSOR, &tensor);
    gx_wire_string(&info, VALUE_NAME, "logits");
    gx_wire_message(&info, VALUE_TYPE, &type);
    gx_wire_message(e->out, GRAPH_OUTPUT, &info);
    gx_buffer_deinit(&tensor);
    gx_buffer_deinit(&type);
    const gx_status status = gx_buffer_check(&info, error);
    gx_buffer_deinit(&info);
    return status;
}

static gx_status edit_graph_field(edit *e, const gx_wire_field *field, const gx_wire_reader *after, gx_error *error)
{
    bool matches = false;
    if (field->number == GRAPH_NODE && field->type == 2) {
        GX_TRY(has_text(&matches, gx_wire_open(field), NODE_NAME, selecting_node, error));
        if (matches)
            return replace_node(e, gx_wire_open(field), error);
    } else if (field->number == GRAPH_INITIALIZER && field->type == 2) {
        GX_TRY(has_text(&matches, gx_wire_open(field), TENSOR_NAME, selecting_index, error));
        if (matches)
            return GX_OK;
    } else if (field->number == GRAPH_OUTPUT && field->type == 2) {
        GX_TRY(has_text(&matches, gx_wire_open(field), VALUE_NAME, "logits", error));
        if (matches)
            return replace_output(e, error);
    }
    copy_field(e->out, field, after);
    return GX_OK;
}

static gx_status edit_graph(edit *e, gx_wire_reader reader, gx_error *error)
{
    gx_wire_field field;
    GX_WIRE_FOREACH(reader, field) GX_TRY(edit_graph_field(e, &field, &reader, error));
    return GX_OK;
}

static gx_status edit_model(gx_buffer *out, gx_buffer *graph, gx_wire_reader reader, bool *found, gx_error *error)
{
    gx_wire_field field;
    GX_WIRE_FOREACH(reader, field)
    {
        if (field.number != MODEL_GRAPH || field.type != 2) {
            copy_field(out, &field, &reader);
            continue;
        }
        edit e = {.out = graph};
        GX_TRY(edit_graph(&e, gx_wire_open(&field), error));
        gx_wire_message(out, MODEL_GRAPH, graph);
        *found = e.found;
    }
    return gx_buffer_check(out, error);
}

gx_status gx_onnx_show_all_logits(gx_buffer *out, const void *bytes, size_t nbytes, gx_error *error)
{
    gx_buffer graph = {0};
    bool found = false;
    const gx_wire_reader reader = {bytes, (const uint8_t *)bytes + nbytes};
    gx_status status = edit_model(out, &graph, reader, &found, error);
    gx_buffer_deinit(&graph);
    if (status == GX_OK && !found)
        status = gx_fail(error, GX_ERROR_UNSUPPORTED, "the model has no node '%s'", selecting_node);
    return status;
}

gx_status gx_onnx_show_values(gx_buffer *out, const void *bytes, size_t nbytes, const char *const *names, size_t count, gx_error *error)
{
    gx_wire_reader reader = {bytes, (const uint8_t *)bytes + nbytes};
    gx_wire_field field;
    GX_WIRE_FOREACH(reader, field)
    {
        if (field.number != MODEL_GRAPH || field.type != 2) {
            copy_field(out, &field, &reader);
            continue;
        }
        gx_buffer graph = {0};
        const gx_wire_reader content = gx_wire_open(&field);
        gx_buffer_append(&graph, content.at, (size_t)(content.end - content.at));
        for (size_t i = 0; i < count; i++) {
            gx_buffer info = {0}; /* the name alone: ONNX Runtime infers type and shape */
            gx_wire_string(&info, VALUE_NAME, names[i]);
            gx_wire_message(&graph, GRAPH_OUTPUT, &info);
            gx_buffer_deinit(&info);
        }
        gx_wire_message(out, MODEL_GRAPH, &graph);
        gx_buffer_deinit(&graph);
    }
    return gx_buffer_check(out, error);
}
