/* The graph's own lists: shapes, constants, weights stored once, nodes, and building on when memory is out. */
#include "graph/graph.h"
#include "support/scratch.h"

static gx_arena *arena;
static gx_graph *graph;
static gx_tensor tensors[2] = {
    {.name = "a", .dtype = GX_DTYPE_F32, .rank = 2, .shape = {6, 40}, .elements = 240, .nbytes = 960},
    {.name = "b", .dtype = GX_DTYPE_F32, .rank = 2, .shape = {4, 40}, .elements = 160, .nbytes = 640},
};
static gx_weight a = {.tensor = &tensors[0], .rows = 6, .columns = 40}, b = {.tensor = &tensors[1], .rows = 4, .columns = 40};

static int set_up(void **state)
{
    (void)state;
    arena = gx_arena_new();
    graph = arena ? gx_graph_new(arena, "g") : NULL;
    return graph ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    gx_arena_free(arena);
    return 0;
}

static void shapes_hold_numbers_and_symbols(void **state)
{
    (void)state;
    const gx_shape shape = GX_SHAPE(gx_dim_symbol("batch"), gx_dim_number(7));
    assert_int_equal(shape.rank, 2);
    assert_string_equal(shape.dims[0].symbol, "batch");
    assert_null(shape.dims[1].symbol);
    assert_int_equal(shape.dims[1].number, 7);
    assert_int_equal(gx_shape_scalar.rank, 0);
}

static void names_are_copied(void **state)
{
    (void)state;
    char name[] = "input", key[] = "key";
    const gx_value *input = gx_graph_input(graph, name, GX_DTYPE_I64, gx_shape_scalar);
    gx_graph_metadata(graph, key, "%s-%d", name, 3);
    name[0] = key[0] = '?';
    assert_string_equal(input->name, "input");
    assert_string_equal(graph->metadata->key, "key");
    assert_string_equal(graph->metadata->value, "input-3");
    assert_ptr_equal(graph->inputs[0], input);
    assert_int_equal(graph->input_count, 1);
}

static void constants_hold_their_bytes(void **state)
{
    (void)state;
    int64_t list[] = {1, -1};
    const gx_value *scalar = gx_graph_int64(graph, "scalar", -5), *values = gx_graph_int64_list(graph, "list", 2, list);
    const gx_value *number = gx_graph_float(graph, "number", 0.1);
    list[0] = 9;
    const gx_initializer *first = graph->initializers, *second = first->next, *third = second->next;
    const float tenth = 0.1f;
    assert_ptr_equal(&first->value, scalar);
    assert_true(first->nbytes == 8 && *(const int64_t *)first->bytes == -5);
    assert_true(scalar->dtype == GX_DTYPE_I64 && scalar->shape.rank == 0);
    assert_true(second->nbytes == 16 && memcmp(second->bytes, (int64_t[]){1, -1}, 16) == 0);
    assert_true(values->shape.rank == 1 && values->shape.dims[0].number == 2);
    assert_true(third->nbytes == 4 && memcmp(third->bytes, &tenth, 4) == 0);
    assert_true(number->dtype == GX_DTYPE_F32 && !third->next && !third->stored);
}

static const gx_scheme fp16 = {.kind = GX_SCHEME_FLOAT, .dtype = GX_DTYPE_F16};
static const gx_scheme int4 = {.kind = GX_SCHEME_BLOCK, .dtype = GX_DTYPE_F16, .bits = 4, .block_size = 32, .zero_points = true};

static gx_recipe recipe_of(unsigned count, const gx_weight *first, const gx_weight *second)
{
    return (gx_recipe){.sources = {first, second}, .source_count = count, .multiply = 1};
}

static void recipes_stack_rows(void **state)
{
    (void)state;
    const gx_recipe recipe = recipe_of(2, &a, &b);
    assert_int_equal(gx_recipe_rows(&recipe), 10);
    assert_int_equal(gx_recipe_columns(&recipe), 40);
    const gx_stored *stored = gx_graph_store(graph, "ab", &recipe, &int4, "because");
    assert_string_equal(stored->name, "ab");
    assert_string_equal(stored->rule, "because");
    assert_int_equal(stored->parts[GX_PART_VALUES].nbytes, 10 * 32);     /* two blocks of 32 nibbles a row */
    assert_int_equal(stored->parts[GX_PART_SCALES].nbytes, 10 * 2 * 2);
    assert_int_equal(stored->parts[GX_PART_ZERO_POINTS].nbytes, 10 * 1); /* two nibbles */
    const gx_stored *plain = gx_graph_store(graph, "half", &recipe, &fp16, "");
    assert_int_equal(plain->parts[GX_PART_VALUES].nbytes, 10 * 40 * 2);
    assert_int_equal(plain->parts[GX_PART_SCALES].nbytes, 0);
    assert_ptr_equal(graph->stored, stored);
    assert_ptr_equal(stored->next, plain);
}

static size_t stored_count(void)
{
    size_t count = 0;
    for (const gx_stored *stored = graph->stored; stored; stored = stored->next)
        count++;
    return count;
}

static void equal_weights_are_stored_once(void **state)
{
    (void)state;
    gx_weight same_tensor = a, with_one = a;
    with_one.add = 1;
    gx_recipe first = recipe_of(1, &a, NULL), same = recipe_of(1, &same_tensor, NULL);
    gx_stored *stored = gx_graph_store(graph, "embedding", &first, &int4, "");
    assert_ptr_equal(gx_graph_store(graph, "head", &same, &int4, ""), stored);
    assert_int_equal(stored_count(), 1);
    const gx_value *rows = gx_graph_stored_value(graph, "rows", stored, GX_PART_VALUES, GX_DTYPE_U8, GX_SHAPE(gx_dim_number(6),
        gx_dim_number(32)));
    const gx_value *blocks =
        gx_graph_stored_value(graph, "blocks", stored, GX_PART_VALUES, GX_DTYPE_U8, GX_SHAPE(gx_dim_number(6), gx_dim_number(2),
            gx_dim_number(16)));
    assert_true(rows != blocks && graph->initializers->stored == graph->initializers->next->stored);
    /* anything that changes the bytes makes them others' */
    gx_recipe other_add = recipe_of(1, &with_one, NULL), two = recipe_of(2, &a, &b), turned = recipe_of(2, &b, &a), doubled = first;
    doubled.multiply = 2;
    static const struct {
        const char *what;
        gx_scheme scheme;
    } schemes[] = {
        {"kind", {.kind = GX_SCHEME_ROW_INT8, .dtype = GX_DTYPE_F32}},
        {"turned", {.kind = GX_SCHEME_ROW_INT8, .dtype = GX_DTYPE_F32, .transposed = true}},
        {"bits", {.kind = GX_SCHEME_BLOCK, .dtype = GX_DTYPE_F16, .bits = 8, .block_size = 32, .zero_points = true}},
        {"block size", {.kind = GX_SCHEME_BLOCK, .dtype = GX_DTYPE_F16, .bits = 4, .block_size = 16, .zero_points = true}},
        {"zero points", {.kind = GX_SCHEME_BLOCK, .dtype = GX_DTYPE_F16, .bits = 4, .block_size = 32}},
        {"scales", {.kind = GX_SCHEME_BLOCK, .dtype = GX_DTYPE_F32, .bits = 4, .block_size = 32, .zero_points = true}},
    };
    const gx_recipe *others[] = {&other_add, &two, &turned, &doubled};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_ptr_not_equal(gx_graph_store(graph, "other", others[i], &int4, ""), stored);
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        assert_ptr_not_equal(gx_graph_store(graph, schemes[i].what, &first, &schemes[i].scheme, ""), stored);
    assert_int_equal(stored_count(), 11);
}

static void nodes_keep_their_order(void **state)
{
    (void)state;
    const gx_value *x = gx_graph_input(graph, "x", GX_DTYPE_F32, gx_shape_scalar);
    gx_node *first = gx_graph_node(graph, "com.microsoft:MatMulNBits", "/first", GX_INPUTS(x, NULL));
    gx_node_int(graph, first, "K", 7);
    gx_node_string(graph, first, "mode", "floor");
    const gx_value *y0 = gx_node_output(graph, first, NULL, GX_DTYPE_F32, gx_shape_scalar);
    const gx_value *y1 = gx_node_output(graph, first, NULL, GX_DTYPE_F16, gx_shape_scalar);
    const gx_value *y2 = gx_node_output(graph, first, "named", GX_DTYPE_F16, gx_shape_scalar);
    const gx_value *z = gx_graph_apply(graph, "Add", "/second", GX_DTYPE_F32, gx_shape_scalar, GX_INPUTS(x, y0));
    assert_string_equal(first->domain, "com.microsoft");
    assert_string_equal(first->op_type, "MatMulNBits");
    assert_int_equal(first->input_count, 2);
    assert_null(first->inputs[1]);
    assert_string_equal(y0->name, "/first");
    assert_string_equal(y1->name, "/first:1");
    assert_string_equal(y2->name, "named");
    assert_string_equal(first->attributes->name, "K");
    assert_string_equal(first->attributes->next->s, "floor");
    assert_string_equal(z->name, "/second");
    assert_string_equal(first->next->domain, "");
    assert_null(first->next->next);
    gx_graph_output(graph, z);
    assert_true(graph->output_count == 1 && graph->outputs[0] == z);
}

/* One long straight line through every call. */
static void build_something(gx_graph *g)
{
    const gx_recipe recipe = recipe_of(1, &a, NULL);
    const gx_value *x = gx_graph_input(g, "x", GX_DTYPE_F32, gx_shape_scalar);
    gx_graph_metadata(g, "k", "%d", 1);
    gx_stored *stored = gx_graph_store(g, "w", &recipe, &fp16, "");
    const gx_value *w = gx_graph_stored_value(g, "w", stored, GX_PART_VALUES, GX_DTYPE_F16, gx_shape_scalar);
    gx_node *node = gx_graph_node(g, "Gemm", "n", GX_INPUTS(x, w, gx_graph_float(g, "f", 1)));
    gx_node_int(g, node, "i", 1);
    gx_node_float(g, node, "f", 1);
    gx_node_string(g, node, "s", "s");
    gx_node_ints(g, node, "is", 1, (const int64_t[]){1});
    const gx_value *y = gx_node_output(g, node, NULL, GX_DTYPE_F32, gx_shape_scalar);
    gx_graph_output(g, gx_graph_apply(g, "Add", "m", GX_DTYPE_F32, y->shape, GX_INPUTS(y, gx_graph_int64(g, "i", 1))));
}

#define PIECE 16

/* Takes pieces from the arena's last block: `most`, or as many as there are. */
static size_t use_up(gx_arena *tight, size_t most)
{
    size_t count = 0;
    gx_alloc_fail_after(1); /* no further block */
    while (count < most && gx_arena_alloc(tight, 1, PIECE))
        count++;
    return count;
}

/* An arena asks for memory in blocks; so that each object of the graph may be the one that fails, the block is used up but
 * for some pieces. */
static void building_goes_on_without_memory(void **state)
{
    (void)state;
    const size_t all = use_up(arena, SIZE_MAX);
    size_t failures = 0;
    for (gx_status status = GX_ERROR_MEMORY; status != GX_OK; failures++) {
        gx_alloc_fail_after(0);
        gx_arena *tight = gx_arena_new();
        gx_error error = {0};
        gx_graph *g = gx_graph_new(tight, "g");
        assert_non_null(g);
        assert_int_equal(use_up(tight, all - failures), all - failures);
        build_something(g);
        status = gx_graph_check(g, &error);
        if (status != GX_OK)
            check_failure("memory", status, &error, GX_ERROR_MEMORY, "out of memory");
        gx_arena_free(tight);
        assert_true(failures < all);
    }
    gx_alloc_fail_after(0);
    assert_true(failures > 50);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(shapes_hold_numbers_and_symbols),
        TEST(names_are_copied),
        TEST(constants_hold_their_bytes),
        TEST(recipes_stack_rows),
        TEST(equal_weights_are_stored_once),
        TEST(nodes_keep_their_order),
        TEST(building_goes_on_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
