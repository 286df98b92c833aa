/* Builds the lists of a graph in its arena. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "graph/graph.h"

static const char microsoft_prefix[] = "com.microsoft:";

const gx_shape gx_shape_scalar = {0};

/* What calls return when memory is out, so that building goes on without checks; never written to. */
static const gx_value no_value = {.name = ""};

gx_shape gx_shape_of(size_t rank, const gx_dim *dims)
{
    gx_shape shape = {.rank = (unsigned)rank};
    if (rank > GX_GRAPH_MAX_RANK)
        GX_BUG("a value of more than four dimensions");
    memcpy(shape.dims, dims, rank * sizeof *dims);
    return shape;
}

gx_graph *gx_graph_new(gx_arena *arena, const char *name)
{
    gx_graph *graph = GX_NEW(arena, gx_graph);
    if (!graph)
        return NULL;
    graph->arena = arena;
    graph->name = gx_arena_copy_string(arena, name);
    graph->inputs = GX_NEW_ARRAY(arena, const gx_value *, GX_GRAPH_MAX_IO);
    graph->outputs = GX_NEW_ARRAY(arena, const gx_value *, GX_GRAPH_MAX_IO);
    graph->failed = !graph->name || !graph->inputs || !graph->outputs;
    return graph;
}

gx_status gx_graph_check(const gx_graph *graph, gx_error *error)
{
    return graph->failed ? gx_fail_memory(error) : GX_OK;
}

static void *graph_alloc(gx_graph *graph, size_t nbytes)
{
    void *memory = graph->failed ? NULL : gx_arena_alloc(graph->arena, 1, nbytes);
    graph->failed = memory == NULL;
    return memory;
}

static const char *graph_copy(gx_graph *graph, const char *text)
{
    const char *copy = graph->failed ? NULL : gx_arena_copy_string(graph->arena, text);
    graph->failed = copy == NULL;
    return copy;
}

static gx_value *new_value(gx_graph *graph, const char *name, gx_dtype dtype, gx_shape shape)
{
    gx_value *value = graph_alloc(graph, sizeof *value);
    const char *copy = graph_copy(graph, name);
    if (!graph->failed)
        *value = (gx_value){.name = copy, .dtype = dtype, .shape = shape};
    return graph->failed ? NULL : value;
}

const gx_value *gx_graph_input(gx_graph *graph, const char *name, gx_dtype dtype, gx_shape shape)
{
    gx_value *value = new_value(graph, name, dtype, shape);
    if (!value)
        return &no_value;
    if (graph->input_count == GX_GRAPH_MAX_IO)
        GX_BUG("too many graph inputs");
    graph->inputs[graph->input_count++] = value;
    return value;
}

void gx_graph_output(gx_graph *graph, const gx_value *value)
{
    if (graph->failed)
        return;
    if (graph->output_count == GX_GRAPH_MAX_IO)
        GX_BUG("too many graph outputs");
    graph->outputs[graph->output_count++] = value;
}

void gx_graph_metadata_text(gx_graph *graph, const char *key, const char *value)
{
    gx_metadata *entry = graph_alloc(graph, sizeof *entry);
    const char *key_copy = graph_copy(graph, key), *value_copy = graph_copy(graph, value);
    if (graph->failed)
        return;
    *entry = (gx_metadata){.key = key_copy, .value = value_copy};
    if (graph->last_metadata)
        graph->last_metadata->next = entry;
    else
        graph->metadata = entry;
    graph->last_metadata = entry;
}

void gx_graph_metadata(gx_graph *graph, const char *key, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    gx_graph_metadata_text(graph, key, text);
}

static gx_initializer *new_initializer(gx_graph *graph, const char *name, gx_dtype dtype, gx_shape shape)
{
    gx_initializer *initializer = graph_alloc(graph, sizeof *initializer);
    const char *copy = graph_copy(graph, name);
    if (graph->failed)
        return NULL;
    initializer->value = (gx_value){.name = copy, .dtype = dtype, .shape = shape};
    if (graph->last_initializer)
        graph->last_initializer->next = initializer;
    else
        graph->initializers = initializer;
    graph->last_initializer = initializer;
    return initializer;
}

const gx_value *gx_graph_constant(gx_graph *graph, const char *name, gx_dtype dtype, gx_shape shape, const void *bytes, size_t nbytes)
{
    gx_initializer *initializer = new_initializer(graph, name, dtype, shape);
    void *copy = graph_alloc(graph, nbytes);
    if (graph->failed)
        return &no_value;
    memcpy(copy, bytes, nbytes);
    initializer->bytes = copy;
    initializer->nbytes = nbytes;
    return &initializer->value;
}

const gx_value *gx_graph_int64(gx_graph *graph, const char *name, int64_t value)
{
    return gx_graph_constant(graph, name, GX_DTYPE_I64, gx_shape_scalar, &value, sizeof value);
}

const gx_value *gx_graph_int64_list(gx_graph *graph, const char *name, size_t count, const int64_t *values)
{
    return gx_graph_constant(graph, name, GX_DTYPE_I64, GX_SHAPE(gx_dim_number(count)), values, count * sizeof *values);
}

const gx_value *gx_graph_float(gx_graph *graph, const char *name, double value)
{
    const float narrow = (float)value;
    return gx_graph_constant(graph, name, GX_DTYPE_F32, gx_shape_scalar, &narrow, sizeof narrow);
}

/* ---- weights ---- */

uint64_t gx_recipe_rows(const gx_recipe *recipe)
{
    uint64_t rows = 0;
    for (unsigned i = 0; i < recipe->source_count; i++)
        rows += recipe->sources[i]->rows;
    return rows;
}

uint64_t gx_recipe_columns(const gx_recipe *recipe)
{
    return recipe->column_count ? recipe->column_count : recipe->sources[0]->columns;
}

static bool same_recipe(const gx_recipe *a, const gx_recipe *b)
{
    if (a->source_count != b->source_count || a->multiply != b->multiply || a->column_scales != b->column_scales || a->importance != b->importance ||
        a->first_column != b->first_column || a->column_count != b->column_count)
        return false;
    for (unsigned i = 0; i < a->source_count; i++) /* two weights may be one tensor: a tied head */
        if (a->sources[i]->tensor != b->sources[i]->tensor || a->sources[i]->first_row != b->sources[i]->first_row || a->sources[i]->add != b->sources[i]->add)
            return false;
    return true;
}

static bool same_scheme(const gx_scheme *a, const gx_scheme *b)
{
    return a->kind == b->kind && a->dtype == b->dtype && a->bits == b->bits && a->block_size == b->block_size &&
           a->zero_points == b->zero_points && a->transposed == b->transposed;
}

bool gx_stored_equal(const gx_stored *a, const gx_stored *b)
{
    return same_recipe(&a->recipe, &b->recipe) && same_scheme(&a->scheme, &b->scheme);
}

gx_stored *gx_graph_store(gx_graph *graph, const char *name, const gx_recipe *recipe, const gx_scheme *scheme, const char *rule)
{
    for (gx_stored *stored = graph->stored; stored; stored = stored->next)
        if (gx_stored_equal(stored, &(gx_stored){.recipe = *recipe, .scheme = *scheme}))
            return stored;
    gx_stored *stored = graph_alloc(graph, sizeof *stored);
    const char *copy = graph_copy(graph, name);
    const char *rule_copy = graph_copy(graph, rule);
    if (graph->failed)
        return NULL;
    *stored = (gx_stored){.name = copy, .rule = rule_copy, .recipe = *recipe, .scheme = *scheme};
    for (int part = 0; part < GX_PART_COUNT; part++)
        stored->parts[part].nbytes =
            gx_recipe_rows(recipe) * gx_scheme_part_row_nbytes(scheme, (gx_part)part, gx_recipe_columns(recipe));
    if (graph->last_stored)
        graph->last_stored->next = stored;
    else
        graph->stored = stored;
    graph->last_stored = stored;
    return stored;
}

static bool is_same_shape(const gx_shape *a, const gx_shape *b)
{
    for (unsigned i = 0; a->rank == b->rank && i < a->rank; i++)
        if (a->dims[i].number != b->dims[i].number)
            return false;
    return a->rank == b->rank;
}

const gx_value *gx_graph_stored_value(gx_graph *graph, const char *name, gx_stored *stored, gx_part part, gx_dtype dtype, gx_shape shape)
{
    for (gx_initializer *i = graph->failed ? NULL : graph->initializers; i; i = i->next)
        if (i->stored == stored && i->part == part && i->value.dtype == dtype && is_same_shape(&i->value.shape, &shape))
            return &i->value;
    gx_initializer *initializer = new_initializer(graph, name, dtype, shape);
    if (graph->failed)
        return &no_value;
    initializer->stored = stored;
    initializer->part = part;
    return &initializer->value;
}

/* ---- nodes ---- */

gx_node *gx_graph_node(gx_graph *graph, const char *op_type, const char *name, unsigned input_count, const gx_value *const *inputs)
{
    gx_node *node = graph_alloc(graph, sizeof *node);
    const char *copy = graph_copy(graph, name);
    const gx_value **kept = graph_alloc(graph, input_count * sizeof *kept);
    if (graph->failed)
        return NULL;
    const bool microsoft = strncmp(op_type, microsoft_prefix, sizeof microsoft_prefix - 1) == 0;
    node->domain = microsoft ? "com.microsoft" : "";
    node->op_type = microsoft ? op_type + sizeof microsoft_prefix - 1 : op_type;
    node->name = copy;
    memcpy(kept, inputs, input_count * sizeof *inputs);
    node->inputs = kept;
    node->input_count = input_count;
    if (graph->last_node)
        graph->last_node->next = node;
    else
        graph->nodes = node;
    graph->last_node = node;
    return node;
}

static gx_attribute *new_attribute(gx_graph *graph, gx_node *node, const char *name, gx_attribute_kind kind)
{
    gx_attribute *attribute = graph_alloc(graph, sizeof *attribute);
    if (graph->failed)
        return NULL;
    attribute->name = name; /* always a literal */
    attribute->kind = kind;
    gx_attribute **last = &node->attributes;
    while (*last)
        last = &(*last)->next;
    *last = attribute;
    return attribute;
}

void gx_node_int(gx_graph *graph, gx_node *node, const char *name, int64_t value)
{
    gx_attribute *attribute = new_attribute(graph, node, name, GX_ATTRIBUTE_INT);
    if (attribute)
        attribute->i = value;
}

void gx_node_float(gx_graph *graph, gx_node *node, const char *name, double value)
{
    gx_attribute *attribute = new_attribute(graph, node, name, GX_ATTRIBUTE_FLOAT);
    if (attribute)
        attribute->f = (float)value;
}

void gx_node_string(gx_graph *graph, gx_node *node, const char *name, const char *value)
{
    gx_attribute *attribute = new_attribute(graph, node, name, GX_ATTRIBUTE_STRING);
    const char *copy = graph_copy(graph, value);
    if (attribute && copy)
        attribute->s = copy;
}

void gx_node_ints(gx_graph *graph, gx_node *node, const char *name, size_t count, const int64_t *values)
{
    gx_attribute *attribute = new_attribute(graph, node, name, GX_ATTRIBUTE_INTS);
    int64_t *copy = graph_alloc(graph, count * sizeof *values);
    if (!attribute || !copy)
        return;
    memcpy(copy, values, count * sizeof *values);
    attribute->ints = copy;
    attribute->ints_count = count;
}

void gx_node_body(gx_graph *graph, gx_node *node, const char *name, const gx_graph *body)
{
    gx_attribute *attribute = new_attribute(graph, node, name, GX_ATTRIBUTE_GRAPH);
    graph->failed = graph->failed || body->failed;
    if (attribute)
        attribute->graph = body;
}

const gx_value *gx_node_output(gx_graph *graph, gx_node *node, const char *name, gx_dtype dtype, gx_shape shape)
{
    char automatic[256];
    if (graph->failed)
        return &no_value;
    if (!name) {
        if (node->output_count == 0)
            snprintf(automatic, sizeof automatic, "%s", node->name);
        else
            snprintf(automatic, sizeof automatic, "%s:%u", node->name, node->output_count);
        name = automatic;
    }
    gx_value *value = new_value(graph, name, dtype, shape);
    if (!value)
        return &no_value;
    if (node->output_count >= GX_NODE_MAX_OUTPUTS)
        GX_BUG("a node with too many outputs");
    node->outputs[node->output_count++] = value;
    return value;
}

void gx_node_skip_outputs(gx_graph *graph, gx_node *node, unsigned count)
{
    if (!graph->failed)
        node->output_count += count;
}

const gx_value *gx_graph_apply(gx_graph *graph, const char *op_type, const char *name, gx_dtype dtype, gx_shape shape, unsigned input_count,
                               const gx_value *const *inputs)
{
    gx_node *node = gx_graph_node(graph, op_type, name, input_count, inputs);
    return gx_node_output(graph, node, NULL, dtype, shape);
}
