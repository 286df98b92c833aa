/*
 * A graph before it is a file: values with types and shapes, nodes, and initializers whose bytes are either here (small
 * constants) or a recipe: which source weights, transformed how, stored under which scheme. No payload byte is read to
 * build one.
 *
 * Building never fails half-way: when memory is out the graph remembers it, every call goes on with a dummy, and
 * gx_graph_check says so at the end.
 */
#ifndef GX_GRAPH_GRAPH_H
#define GX_GRAPH_GRAPH_H

#include "model/model.h"
#include "quant/scheme.h"

#define GX_GRAPH_MAX_RANK 4

typedef struct gx_graph gx_graph;

/* A number, or a symbol when `symbol` is not NULL. */
typedef struct gx_dim {
    int64_t number;
    const char *symbol;
} gx_dim;

typedef struct gx_shape {
    unsigned rank;
    gx_dim dims[GX_GRAPH_MAX_RANK];
} gx_shape;

static inline gx_dim gx_dim_number(uint64_t number)
{
    return (gx_dim){.number = (int64_t)number};
}
static inline gx_dim gx_dim_symbol(const char *symbol)
{
    return (gx_dim){.symbol = symbol};
}
#define GX_SHAPE(...) gx_shape_of(sizeof((gx_dim[]){__VA_ARGS__}) / sizeof(gx_dim), (gx_dim[]){__VA_ARGS__})
gx_shape gx_shape_of(size_t rank, const gx_dim *dims);
extern const gx_shape gx_shape_scalar;

typedef struct gx_value {
    const char *name; /* unique in the graph */
    gx_dtype dtype;
    gx_shape shape;
} gx_value;

typedef enum gx_attribute_kind { GX_ATTRIBUTE_INT, GX_ATTRIBUTE_FLOAT, GX_ATTRIBUTE_STRING, GX_ATTRIBUTE_INTS, GX_ATTRIBUTE_GRAPH } gx_attribute_kind;

typedef struct gx_attribute {
    const char *name;
    gx_attribute_kind kind;
    int64_t i;
    float f;
    const char *s;
    const int64_t *ints;
    size_t ints_count;
    const struct gx_graph *graph;
    struct gx_attribute *next;
} gx_attribute;

#define GX_NODE_MAX_OUTPUTS 4

typedef struct gx_node {
    const char *domain; /* "" or "com.microsoft" */
    const char *op_type;
    const char *name;
    const gx_value **inputs; /* NULL: an optional input left out */
    unsigned input_count;
    const gx_value *outputs[GX_NODE_MAX_OUTPUTS]; /* NULL: not wanted */
    unsigned output_count;
    gx_attribute *attributes;
    struct gx_node *next;
} gx_node;

#define GX_RECIPE_MAX_SOURCES 7 /* of Gemma 3n's streams */

/* A logical matrix [rows, columns]: the rows of its sources one after another, or some columns of them, every element times
 * `multiply` and its column's scale. */
typedef struct gx_recipe {
    const gx_weight *sources[GX_RECIPE_MAX_SOURCES];
    unsigned source_count;
    uint64_t first_column, column_count; /* column_count 0: all */
    double multiply;
    const float *column_scales; /* [columns]; NULL: 1 */
    const float *importance;    /* [columns]: what an error costs there (quant/importance.h); NULL: all alike */
} gx_recipe;

/* Whether its rows are not the source's own. */
static inline bool gx_recipe_changes_rows(const gx_recipe *recipe)
{
    return recipe->multiply != 1 || recipe->column_scales || recipe->column_count;
}

uint64_t gx_recipe_rows(const gx_recipe *recipe);
uint64_t gx_recipe_columns(const gx_recipe *recipe);

/* Weight bytes of the output: one recipe under one scheme. Each part has a place that the plan decides. */
typedef struct gx_stored {
    const char *name;
    const char *rule; /* why this scheme, for --dry-run and the manifest */
    gx_recipe recipe;
    gx_scheme scheme;
    struct {
        uint64_t nbytes; /* 0: no such part */
        unsigned file;   /* index of the external data file */
        uint64_t offset;
    } parts[GX_PART_COUNT];
    struct gx_stored *next;
} gx_stored;

/* Whether these are the same bytes, in whichever graphs. */
bool gx_stored_equal(const gx_stored *a, const gx_stored *b);

typedef struct gx_initializer {
    gx_value value;
    const void *bytes; /* NULL: stored */
    size_t nbytes;
    gx_stored *stored; /* several initializers may name the same part, with other dims: same bytes, stored once */
    gx_part part;
    struct gx_initializer *next;
} gx_initializer;

typedef struct gx_metadata {
    const char *key, *value;
    struct gx_metadata *next;
} gx_metadata;

#define GX_GRAPH_MAX_IO 4096

struct gx_graph {
    gx_arena *arena;
    bool failed;
    const char *name;
    int64_t ir_version, opset, microsoft_opset; /* microsoft_opset 0: no such import */
    bool describes_values; /* the file tells type and shape of every value, not of inputs and outputs alone */
    gx_node *nodes, *last_node;
    gx_initializer *initializers, *last_initializer;
    gx_stored *stored, *last_stored;
    gx_metadata *metadata, *last_metadata;
    const gx_value **inputs, **outputs;
    size_t input_count, output_count;
};

gx_graph *gx_graph_new(gx_arena *arena, const char *name); /* NULL when memory is out */
gx_status gx_graph_check(const gx_graph *graph, gx_error *error) GX_MUST_USE;

/* All names are copied or formatted into the arena. */
const gx_value *gx_graph_input(gx_graph *graph, const char *name, gx_dtype dtype, gx_shape shape);
void gx_graph_output(gx_graph *graph, const gx_value *value);
void gx_graph_metadata(gx_graph *graph, const char *key, const char *format, ...) GX_PRINTF(3, 4); /* up to 255 bytes */
void gx_graph_metadata_text(gx_graph *graph, const char *key, const char *value);

/* A small constant; bytes are copied. */
const gx_value *gx_graph_constant(gx_graph *graph, const char *name, gx_dtype dtype, gx_shape shape, const void *bytes, size_t nbytes);
const gx_value *gx_graph_int64(gx_graph *graph, const char *name, int64_t value);                        /* scalar */
const gx_value *gx_graph_int64_list(gx_graph *graph, const char *name, size_t count, const int64_t *values); /* [count] */
const gx_value *gx_graph_float(gx_graph *graph, const char *name, double value);                         /* fp32 scalar */

/* Declares weight bytes; a recipe that was stored under an equal scheme before is not stored again. */
gx_stored *gx_graph_store(gx_graph *graph, const char *name, const gx_recipe *recipe, const gx_scheme *scheme, const char *rule);

/* An initializer that reads one part of them. dtype and shape may be another view of the same bytes; of one view there is one initializer, since
 * WebAssembly loads the bytes of each. */
const gx_value *gx_graph_stored_value(gx_graph *graph, const char *name, gx_stored *stored, gx_part part, gx_dtype dtype, gx_shape shape);

/* Appends a node; nodes stand in topological order. `op_type` with a "com.microsoft:" prefix is of that domain. */
gx_node *gx_graph_node(gx_graph *graph, const char *op_type, const char *name, unsigned input_count, const gx_value *const *inputs);
#define GX_INPUTS(...) sizeof((const gx_value *[]){__VA_ARGS__}) / sizeof(gx_value *), (const gx_value *[]){__VA_ARGS__}

void gx_node_int(gx_graph *graph, gx_node *node, const char *name, int64_t value);
void gx_node_float(gx_graph *graph, gx_node *node, const char *name, double value);
void gx_node_string(gx_graph *graph, gx_node *node, const char *name, const char *value);
void gx_node_ints(gx_graph *graph, gx_node *node, const char *name, size_t count, const int64_t *values);

/* A body, as Loop has one: a graph in the same arena, whose nodes may read values of the graph around it. Weights are stored outside. */
void gx_node_body(gx_graph *graph, gx_node *node, const char *name, const gx_graph *body);

/* Declares the node's next output. `name` NULL: "<node name>:<index>" or, for the first, the node's own name. */
const gx_value *gx_node_output(gx_graph *graph, gx_node *node, const char *name, gx_dtype dtype, gx_shape shape);

/* The node's next `count` outputs are optional ones that nobody wants. */
void gx_node_skip_outputs(gx_graph *graph, gx_node *node, unsigned count);

/* A node without attributes and with one output. */
const gx_value *gx_graph_apply(gx_graph *graph, const char *op_type, const char *name, gx_dtype dtype, gx_shape shape, unsigned input_count,
                               const gx_value *const *inputs);

#endif
