/* Parses ModelProto into lists. Unknown fields are passed over, as protobuf demands. */
#include <stdlib.h>
#include <string.h>

#include "onnx/fields.h"
#include "onnx/model_reader.h"
#include "onnx/wire_reader.h"

#define MAX_OPERATORS 4096u /* each node is compared with them; the standard has some 200 */

typedef struct parser {
    gx_arena *arena;
    gx_onnx_model *model;
    gx_onnx_value **last_input, **last_output;
    gx_onnx_tensor **last_initializer;
    gx_onnx_pair **last_metadata;
    gx_onnx_opset **last_opset;
} parser;

static gx_status text_of(const parser *p, const gx_wire_field *field, const char **out, gx_error *error)
{
    *out = gx_arena_copy_bytes(p->arena, field->bytes, field->nbytes);
    return *out ? GX_OK : gx_fail_memory(error);
}

static gx_status new_entry(const parser *p, void **out, size_t size, gx_error *error)
{
    *out = gx_arena_alloc(p->arena, 1, size);
    return *out ? GX_OK : gx_fail_memory(error);
}

/* ---- values ---- */

static gx_status read_dim(const parser *p, gx_onnx_value *value, gx_wire_reader reader, gx_error *error)
{
    gx_wire_field field;
    if (value->rank == GX_ONNX_MAX_RANK)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "value '%s' has more than %d dimensions", value->name, GX_ONNX_MAX_RANK);
    value->dims[value->rank].symbol = "";
    GX_WIRE_FOREACH(reader, field)
    {
        if (field.number == DIM_VALUE && field.type == 0) {
            value->dims[value->rank].number = (int64_t)field.value;
            value->dims[value->rank].symbol = NULL;
        } else if (field.number == DIM_PARAM && field.type == 2) {
            GX_TRY(text_of(p, &field, &value->dims[value->rank].symbol, error));
        }
    }
    value->rank++;
    return GX_OK;
}

static gx_status read_tensor_type(const parser *p, gx_onnx_value *value, gx_wire_reader reader, gx_error *error)
{
    gx_wire_field field, dim;
    GX_WIRE_FOREACH(reader, field)
    {
        if (field.number == TENSOR_TYPE_ELEMENT && field.type == 0) {
            value->element_type = (int)field.value;
        } else if (field.number == TENSOR_TYPE_SHAPE && field.type == 2) {
            gx_wire_reader shape = gx_wire_open(&field);
            GX_WIRE_FOREACH(shape, dim)
            {
                if (dim.number == SHAPE_DIM && dim.type == 2)
                    GX_TRY(read_dim(p, value, gx_wire_open(&dim), error));
            }
        }
    }
    return GX_OK;
}

static gx_status read_value(const parser *p, gx_onnx_value ***last, gx_wire_reader reader, gx_error *error)
{
    gx_onnx_value *value;
    gx_wire_field field, type;
    GX_TRY(new_entry(p, (void **)&value, sizeof *value, error));
    value->name = "";
    GX_WIRE_FOREACH(reader, field)
    {
        if (field.number == VALUE_NAME && field.type == 2) {
            GX_TRY(text_of(p, &field, &value->name, error));
        } else if (field.number == VALUE_TYPE && field.type == 2) {
            gx_wire_reader types = gx_wire_open(&field);
            GX_WIRE_FOREACH(types, type)
            {
                if (type.number == TYPE_TENSOR && type.type == 2)
                    GX_TRY(read_tensor_type(p, value, gx_wire_open(&type), error));
            }
        }
    }
    **last = value;
    *last = &value->next;
    return GX_OK;
}

/* ---- key and value ---- */

static gx_status read_pair(const parser *p, gx_onnx_pair *pair, gx_wire_reader reader, gx_error *error)
{
    gx_wire_field field;
    *pair = (gx_onnx_pair){.key = "", .value = ""};
    GX_WIRE_FOREACH(reader, field)
    {
        if (field.number == ENTRY_KEY && field.type == 2)
            GX_TRY(text_of(p, &field, &pair->key, error));
        else if (field.number == ENTRY_VALUE && field.type == 2)
            GX_TRY(text_of(p, &field, &pair->value, error));
    }
    return GX_OK;
}

static gx_status read_metadata(parser *p, gx_wire_reader reader, gx_error *error)
{
    gx_onnx_pair *pair;
    GX_TRY(new_entry(p, (void **)&pair, sizeof *pair, error));
    GX_TRY(read_pair(p, pair, reader, error));
    *p->last_metadata = pair;
    p->last_metadata = &pair->next;
    return GX_OK;
}

/* ---- initializers ---- */

static gx_status read_external(const parser *p, gx_onnx_tensor *tensor, gx_wire_reader reader, gx_error *error)
{
    gx_onnx_pair pair;
    GX_TRY(read_pair(p, &pair, reader, error));
    if (strcmp(pair.key, "location") == 0)
        tensor->location = pair.value;
    else if (strcmp(pair.key, "offset") == 0)
        tensor->offset = strtoull(pair.value, NULL, 10);
    else if (strcmp(pair.key, "length") == 0)
        tensor->length = strtoull(pair.value, NULL, 10);
    return GX_OK;
}

static gx_status add_dim(gx_onnx_tensor *tensor, uint64_t dim, gx_error *error)
{
    if (tensor->rank == GX_ONNX_MAX_RANK)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "initializer '%s' has more than %d dimensions", tensor->name, GX_ONNX_MAX_RANK);
    tensor->dims[tensor->rank++] = (int64_t)dim;
    return GX_OK;
}

/* Other writers pack repeated numbers: varints one after another in one field. */
static gx_status add_packed_dims(gx_onnx_tensor *tensor, const gx_wire_field *field, gx_error *error)
{
    uint64_t value = 0;
    unsigned shift = 0;
    for (size_t i = 0; i < field->nbytes; i++) {
        value |= shift < 64 ? (uint64_t)(field->bytes[i] & 0x7f) << shift : 0;
        shift += 7;
        if (field->bytes[i] & 0x80)
            continue;
        GX_TRY(add_dim(tensor, value, error));
        value = 0;
        shift = 0;
    }
    return GX_OK;
}

static gx_status read_initializer_field(const parser *p, gx_onnx_tensor *tensor, const gx_wire_field *field, gx_error *error)
{
    if (field->number == TENSOR_DIMS)
        return field->type == 0 ? add_dim(tensor, field->value, error) : add_packed_dims(tensor, field, error);
    if (field->number == TENSOR_DATA_TYPE && field->type == 0)
        tensor->data_type = (int)field->value;
    else if (field->number == TENSOR_NAME && field->type == 2)
        return text_of(p, field, &tensor->name, error);
    else if (field->number == TENSOR_EXTERNAL_DATA && field->type == 2)
        return read_external(p, tensor, gx_wire_open(field), error);
    else if (field->type == 2) /* raw_data or a typed list */
        tensor->inline_nbytes += field->nbytes;
    return GX_OK;
}

static gx_status read_initializer(parser *p, gx_wire_reader reader, gx_error *error)
{
    gx_onnx_tensor *tensor;
    gx_wire_field field;
    GX_TRY(new_entry(p, (void **)&tensor, sizeof *tensor, error));
    tensor->name = "";
    GX_WIRE_FOREACH(reader, field) GX_TRY(read_initializer_field(p, tensor, &field, error));
    *p->last_initializer = tensor;
    p->last_initializer = &tensor->next;
    p->model->initializer_count++;
    return GX_OK;
}

/* ---- nodes ---- */

static gx_status count_operator(parser *p, const char *domain, const char *op_type, gx_error *error)
{
    gx_onnx_operator **at = &p->model->operators;
    unsigned others = 0;
    for (; *at && (strcmp((*at)->op_type, op_type) != 0 || strcmp((*at)->domain, domain) != 0); others++)
        at = &(*at)->next;
    if (!*at) {
        if (others == MAX_OPERATORS)
            return gx_fail(error, GX_ERROR_UNSUPPORTED, "more than %u different operators", MAX_OPERATORS);
        GX_TRY(new_entry(p, (void **)at, sizeof **at, error));
        **at = (gx_onnx_operator){.domain = domain, .op_type = op_type};
    }
    (*at)->count++;
    return GX_OK;
}

static gx_status read_node(parser *p, gx_wire_reader reader, gx_error *error)
{
    gx_wire_field field;
    const char *domain = "", *op_type = "";
    GX_WIRE_FOREACH(reader, field)
    {
        if (field.number == NODE_OP_TYPE && field.type == 2)
            GX_TRY(text_of(p, &field, &op_type, error));
        else if (field.number == NODE_DOMAIN && field.type == 2)
            GX_TRY(text_of(p, &field, &domain, error));
    }
    p->model->node_count++;
    return count_operator(p, domain, op_type, error);
}

static gx_status read_graph(parser *p, gx_wire_reader reader, gx_error *error)
{
    gx_wire_field field;
    GX_WIRE_FOREACH(reader, field)
    {
        if (field.type != 2)
            continue;
        const gx_wire_reader message = gx_wire_open(&field);
        switch (field.number) {
        case GRAPH_NODE: GX_TRY(read_node(p, message, error)); break;
        case GRAPH_INITIALIZER: GX_TRY(read_initializer(p, message, error)); break;
        case GRAPH_INPUT: GX_TRY(read_value(p, &p->last_input, message, error)); break;
        case GRAPH_OUTPUT: GX_TRY(read_value(p, &p->last_output, message, error)); break;
        default: break;
        }
    }
    return GX_OK;
}

static gx_status read_opset(parser *p, gx_wire_reader reader, gx_error *error)
{
    gx_onnx_opset *opset;
    gx_wire_field field;
    GX_TRY(new_entry(p, (void **)&opset, sizeof *opset, error));
    opset->domain = "";
    GX_WIRE_FOREACH(reader, field)
    {
        if (field.number == OPSET_DOMAIN && field.type == 2)
            GX_TRY(text_of(p, &field, &opset->domain, error));
        else if (field.number == OPSET_VERSION && field.type == 0)
            opset->version = (int64_t)field.value;
    }
    *p->last_opset = opset;
    p->last_opset = &opset->next;
    return GX_OK;
}

static gx_status read_model_field(parser *p, const gx_wire_field *field, gx_error *error)
{
    if (field->number == MODEL_IR_VERSION && field->type == 0)
        p->model->ir_version = (int64_t)field->value;
    if (field->type != 2)
        return GX_OK;
    switch (field->number) {
    case MODEL_PRODUCER_NAME: return text_of(p, field, &p->model->producer_name, error);
    case MODEL_PRODUCER_VERSION: return text_of(p, field, &p->model->producer_version, error);
    case MODEL_GRAPH: return read_graph(p, gx_wire_open(field), error);
    case MODEL_OPSET_IMPORT: return read_opset(p, gx_wire_open(field), error);
    case MODEL_METADATA_PROPS: return read_metadata(p, gx_wire_open(field), error);
    default: return GX_OK;
    }
}

static void sort_operators(gx_onnx_model *model)
{
    gx_onnx_operator *sorted = NULL;
    for (gx_onnx_operator *op = model->operators; op;) {
        gx_onnx_operator *next = op->next, **at = &sorted;
        while (*at && (*at)->count >= op->count)
            at = &(*at)->next;
        op->next = *at;
        *at = op;
        op = next;
    }
    model->operators = sorted;
}

gx_status gx_onnx_read(gx_onnx_model *out, gx_arena *arena, const void *bytes, size_t nbytes, gx_error *error)
{
    gx_onnx_model model = {.producer_name = "", .producer_version = ""};
    parser p = {.arena = arena,
                .model = &model,
                .last_input = &model.inputs,
                .last_output = &model.outputs,
                .last_initializer = &model.initializers,
                .last_metadata = &model.metadata,
                .last_opset = &model.opsets};
    gx_wire_reader reader = {bytes, (const uint8_t *)bytes + nbytes};
    gx_wire_field field;
    GX_WIRE_FOREACH(reader, field) GX_TRY(read_model_field(&p, &field, error));
    if (model.ir_version == 0 || !model.opsets)
        return gx_fail(error, GX_ERROR_FORMAT, "no ONNX model: no IR version or no opset import");
    sort_operators(&model);
    *out = model;
    return GX_OK;
}

const char *gx_onnx_metadata(const gx_onnx_model *model, const char *key)
{
    for (const gx_onnx_pair *pair = model->metadata; pair; pair = pair->next)
        if (strcmp(pair->key, key) == 0)
            return pair->value;
    return NULL;
}

const char *gx_onnx_type_name(int data_type)
{
    static const char *const names[] = {"?",      "float32", "uint8",     "int8",       "uint16", "int16",  "int32",    "int64", "string",
                                        "bool",   "float16", "float64",   "uint32",     "uint64", "complex64", "complex128", "bfloat16"};
    return data_type > 0 && (size_t)data_type < sizeof names / sizeof *names ? names[data_type] : "?";
}
