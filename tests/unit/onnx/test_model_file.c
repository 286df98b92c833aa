/* What the writer writes, the reader reads back; cut-off files are refused. */
#include "onnx/fields.h"
#include "onnx/wire.h"
#include "onnx_support.h"

/* ---- a small graph of every kind ---- */

static gx_tensor tensor = {.name = "w", .dtype = GX_DTYPE_F32, .rank = 2, .shape = {6, 8}, .elements = 48, .nbytes = 192};
static gx_weight weight = {.tensor = &tensor, .rows = 6, .columns = 8};

static gx_graph *small_graph(void)
{
    gx_graph *g = gx_graph_new(arena, "small");
    assert_non_null(g);
    g->ir_version = 10;
    g->opset = 21;
    g->microsoft_opset = 1;
    gx_graph_metadata(g, "key", "value %d", 7);
    const gx_value *x = gx_graph_input(g, "x", GX_DTYPE_F32, GX_SHAPE(gx_dim_symbol("batch"), gx_dim_number(8)));
    const gx_recipe recipe = {.sources = {&weight}, .source_count = 1, .multiply = 1};
    const gx_scheme scheme = {.kind = GX_SCHEME_FLOAT, .dtype = GX_DTYPE_F16};
    gx_stored *stored = gx_graph_store(g, "w", &recipe, &scheme, "as it is");
    stored->parts[GX_PART_VALUES].file = 2;
    stored->parts[GX_PART_VALUES].offset = 4096;
    const gx_value *w = gx_graph_stored_value(g, "w_table", stored, GX_PART_VALUES, GX_DTYPE_F16, GX_SHAPE(gx_dim_number(6),
        gx_dim_number(8)));
    gx_node *node = gx_graph_node(g, "com.microsoft:Thing", "thing", GX_INPUTS(x, NULL, w, NULL));
    gx_node_int(g, node, "int", -1);
    gx_node_float(g, node, "float", 0.5);
    gx_node_string(g, node, "string", "text");
    gx_node_ints(g, node, "ints", 2, (const int64_t[]){1, -2});
    const gx_value *y = gx_node_output(g, node, NULL, GX_DTYPE_F32, GX_SHAPE(gx_dim_symbol("batch"), gx_dim_number(6)));
    const gx_value *two = gx_graph_int64(g, "two", 2);
    const gx_value *z = gx_graph_apply(g, "Mul", "double", GX_DTYPE_F32, y->shape, GX_INPUTS(y, two));
    gx_graph_output(g, gx_graph_apply(g, "Mul", "again", GX_DTYPE_F32, y->shape, GX_INPUTS(z, two)));
    return g;
}

static void a_small_graph_is_read_back(void **state)
{
    (void)state;
    gx_buffer bytes = written(small_graph());
    const gx_onnx_model m = read_back(&bytes);
    assert_int_equal(m.ir_version, 10);
    assert_string_equal(m.producer_name, "gemma-onnx");
    assert_string_equal(m.producer_version, gx_version());
    assert_string_equal(m.opsets->domain, "");
    assert_int_equal(m.opsets->version, 21);
    assert_string_equal(m.opsets->next->domain, "com.microsoft");
    assert_int_equal(m.opsets->next->version, 1);
    assert_null(m.opsets->next->next);
    assert_string_equal(gx_onnx_metadata(&m, "key"), "value 7");
    assert_null(gx_onnx_metadata(&m, "kex"));
    assert_int_equal(m.node_count, 3);
    assert_string_equal(m.operators->op_type, "Mul"); /* the most frequent first */
    assert_int_equal(m.operators->count, 2);
    assert_string_equal(m.operators->next->op_type, "Thing");
    assert_string_equal(m.operators->next->domain, "com.microsoft");
    assert_null(m.operators->next->next);
    assert_string_equal(m.inputs->name, "x");
    assert_int_equal(m.inputs->element_type, 1);
    assert_int_equal(m.inputs->rank, 2);
    assert_string_equal(m.inputs->dims[0].symbol, "batch");
    assert_null(m.inputs->dims[1].symbol);
    assert_int_equal(m.inputs->dims[1].number, 8);
    assert_null(m.inputs->next);
    assert_string_equal(m.outputs->name, "again");
    assert_int_equal(m.initializer_count, 2);
    const gx_onnx_tensor *w = m.initializers, *two = w->next;
    assert_string_equal(w->name, "w_table");
    assert_int_equal(w->data_type, 10);
    assert_true(w->rank == 2 && w->dims[0] == 6 && w->dims[1] == 8);
    assert_string_equal(w->location, "m.onnx_data_2");
    assert_true(w->offset == 4096 && w->length == 96 && w->inline_nbytes == 0);
    assert_true(two->rank == 0 && two->data_type == 7 && !two->location && two->inline_nbytes == 8);
    gx_buffer_deinit(&bytes);
}

/* The node as protobuf has it: an input left out in the middle is "", at the end nothing; negative numbers take ten bytes. */
static void a_node_has_its_bytes(void **state)
{
    (void)state;
    static const uint8_t expected[] = "\x0a\x01x\x0a\x00\x0a\x07w_table\x12\x05thing\x1a\x05thing\x22\x05Thing"
                                      "\x2a\x13\x0a\x03int\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\xa0\x01\x02"
                                      "\x2a\x0f\x0a\x05"
                                      "float\x15\x00\x00\x00\x3f\xa0\x01\x01"
                                      "\x2a\x11\x0a\x06string\x22\x04text\xa0\x01\x03"
                                      "\x2a\x16\x0a\x04ints\x40\x01\x40\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\xa0\x01\x07"
                                      "\x3a\x0d"
                                      "com.microsoft";
    gx_buffer bytes = written(small_graph());
    assert_non_null(memmem(bytes.data, bytes.nbytes, expected, sizeof expected - 1));
    gx_buffer_deinit(&bytes);
}

static void nothing_is_imported_that_is_not_used(void **state)
{
    (void)state;
    gx_graph *graph = small_graph();
    graph->microsoft_opset = 0;
    gx_buffer bytes = written(graph);
    assert_null(read_back(&bytes).opsets->next);
    gx_buffer_deinit(&bytes);
}

static void a_model_cut_anywhere_does_no_harm(void **state)
{
    (void)state;
    gx_buffer bytes = written(small_graph());
    for (size_t n = 0; n < bytes.nbytes; n++) {
        uint8_t *exact = gx_alloc(n, 1); /* so that the sanitizer sees a byte too far */
        gx_onnx_model model;
        gx_error error = {0};
        if (n)
            memcpy(exact, bytes.data, n);
        const gx_status status = gx_onnx_read(&model, arena, exact, n, &error);
        assert_true(status == GX_OK || status == GX_ERROR_FORMAT); /* between two fields a shorter model is a model */
        assert_true((status == GX_OK) == (error.message[0] == 0));
        gx_free(exact);
    }
    gx_buffer_deinit(&bytes);
}

static void a_changed_byte_does_no_harm(void **state)
{
    (void)state;
    gx_buffer bytes = written(small_graph());
    for (size_t i = 0; i < bytes.nbytes; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            gx_buffer edited = {0};
            gx_onnx_model model;
            gx_error error = {0}, edit_error = {0};
            bytes.data[i] ^= (uint8_t)(1u << bit);
            const gx_status status = gx_onnx_read(&model, arena, bytes.data, bytes.nbytes, &error);
            assert_true((status == GX_OK) == (error.message[0] == 0));
            assert_true(gx_onnx_show_all_logits(&edited, bytes.data, bytes.nbytes, &edit_error) != GX_OK);
            bytes.data[i] ^= (uint8_t)(1u << bit);
            gx_buffer_deinit(&edited);
        }
    }
    gx_buffer_deinit(&bytes);
}

static void what_is_no_model_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        size_t nbytes;
        const char *bytes, *words;
    } cases[] = {
        {"nothing", 0, "", "no IR version"},
        {"text", 5, "Hello", "no ONNX model"},
        {"only a version", 2, "\x08\x0a", "no opset import"},
        {"only an opset", 4, "\x42\x02\x10\x15", "no IR version"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gx_onnx_model model;
        gx_error error = {0};
        check_failure(cases[i].what, gx_onnx_read(&model, arena, cases[i].bytes, cases[i].nbytes, &error), &error, GX_ERROR_FORMAT,
                      cases[i].words);
    }
}

/* A model around one graph field, as another tool might write it. */
static gx_buffer around(uint32_t field, const gx_buffer *content)
{
    gx_buffer graph = {0}, opset = {0}, out = {0};
    gx_wire_message(&graph, field, content);
    gx_wire_uint(&out, MODEL_IR_VERSION, 8);
    gx_wire_uint(&opset, OPSET_VERSION, 17);
    gx_wire_message(&out, MODEL_OPSET_IMPORT, &opset);
    gx_wire_message(&out, MODEL_GRAPH, &graph);
    gx_buffer_deinit(&opset);
    gx_buffer_deinit(&graph);
    return out;
}

static void other_tools_forms_are_read(void **state)
{
    (void)state;
    gx_buffer content = {0};
    gx_wire_bytes(&content, TENSOR_DIMS, "\x80\x01\x03", 3); /* packed: 128, 3 */
    gx_wire_string(&content, TENSOR_NAME, "packed");
    gx_wire_bytes(&content, 4, "\0\0\0\0", 4); /* float_data */
    gx_wire_uint(&content, 999, 1);            /* a field of the future */
    gx_buffer bytes = around(GRAPH_INITIALIZER, &content);
    const gx_onnx_model m = read_back(&bytes);
    assert_true(m.initializers->rank == 2 && m.initializers->dims[0] == 128 && m.initializers->dims[1] == 3);
    assert_int_equal(m.initializers->inline_nbytes, 4);
    gx_buffer_deinit(&bytes);
    gx_buffer_deinit(&content);
}

static void too_many_dimensions_are_refused(void **state)
{
    (void)state;
    gx_buffer content = {0};
    gx_error error = {0};
    gx_onnx_model model;
    gx_wire_string(&content, TENSOR_NAME, "deep");
    gx_wire_bytes(&content, TENSOR_DIMS, "\1\1\1\1\1\1\1\1\1", 9);
    gx_buffer bytes = around(GRAPH_INITIALIZER, &content);
    check_failure("rank 9", gx_onnx_read(&model, arena, bytes.data, bytes.nbytes, &error), &error, GX_ERROR_UNSUPPORTED,
                  "'deep' has more than 8");
    gx_buffer_deinit(&bytes);
    gx_buffer_deinit(&content);
}

/* Operators are compared with each other: a file that names a new one in every node is refused in time. */
static void endless_operators_are_refused(void **state)
{
    (void)state;
    gx_buffer graph = {0}, node = {0}, out = {0}, opset = {0};
    gx_error error = {0};
    gx_onnx_model model;
    char name[32];
    for (unsigned i = 0; i < 5000; i++) {
        gx_buffer_clear(&node);
        snprintf(name, sizeof name, "Op%u", i);
        gx_wire_string(&node, NODE_OP_TYPE, name);
        gx_wire_message(&graph, GRAPH_NODE, &node);
    }
    gx_wire_uint(&out, MODEL_IR_VERSION, 8);
    gx_wire_uint(&opset, OPSET_VERSION, 17);
    gx_wire_message(&out, MODEL_OPSET_IMPORT, &opset);
    gx_wire_message(&out, MODEL_GRAPH, &graph);
    check_failure("operators", gx_onnx_read(&model, arena, out.data, out.nbytes, &error), &error, GX_ERROR_UNSUPPORTED,
                  "different operators");
    gx_buffer_deinit(&opset);
    gx_buffer_deinit(&out);
    gx_buffer_deinit(&node);
    gx_buffer_deinit(&graph);
}

static void types_have_names(void **state)
{
    (void)state;
    assert_string_equal(gx_onnx_type_name(1), "float32");
    assert_string_equal(gx_onnx_type_name(7), "int64");
    assert_string_equal(gx_onnx_type_name(10), "float16");
    assert_string_equal(gx_onnx_type_name(16), "bfloat16");
    assert_string_equal(gx_onnx_type_name(0), "?");
    assert_string_equal(gx_onnx_type_name(-1), "?");
    assert_string_equal(gx_onnx_type_name(INT32_MAX), "?");
}

/* ---- decoders ---- */

static void decoders_are_read_back(void **state)
{
    (void)state;
    for (unsigned policy = 0; policy < GX_POLICY_COUNT; policy++) {
        tiny_decoder d;
        tiny_decoder_open(&d, "gemma3-pattern", policy, 0, false);
        gx_buffer bytes = written(d.graph);
        const gx_onnx_model m = read_back(&bytes);
        size_t nodes = 0, initializers = 0, inputs = 0, outputs = 0;
        for (const gx_node *node = d.graph->nodes; node; node = node->next)
            nodes++;
        for (const gx_onnx_value *value = m.inputs; value; value = value->next, inputs++)
            assert_string_equal(value->name, d.graph->inputs[inputs]->name);
        for (const gx_onnx_value *value = m.outputs; value; value = value->next, outputs++)
            assert_string_equal(value->name, d.graph->outputs[outputs]->name);
        const gx_onnx_tensor *read = m.initializers;
        for (const gx_initializer *i = d.graph->initializers; i; i = i->next, read = read->next, initializers++) {
            assert_string_equal(read->name, i->value.name);
            assert_int_equal(read->rank, i->value.shape.rank);
            assert_int_equal(read->location != NULL, i->stored != NULL);
            if (i->stored) {
                assert_int_equal(read->offset, i->stored->parts[i->part].offset);
                assert_int_equal(read->length, i->stored->parts[i->part].nbytes);
            }
        }
        assert_null(read);
        assert_int_equal(m.node_count, nodes);
        assert_int_equal(m.initializer_count, initializers);
        assert_int_equal(inputs, d.graph->input_count);
        assert_int_equal(outputs, d.graph->output_count);
        assert_string_equal(gx_onnx_metadata(&m, "gemma_onnx.logits"), "last");
        assert_string_equal(gx_onnx_metadata(&m, "gemma_onnx.precision"), gx_policy_name(policy));
        gx_buffer_deinit(&bytes);
        tiny_decoder_close(&d);
    }
}

static void the_same_graph_gives_the_same_bytes(void **state)
{
    (void)state;
    tiny_decoder d;
    tiny_decoder_open(&d, "gemma3-types-bf16", 2, 0, false);
    gx_buffer first = written(d.graph);
    gx_arena_free(d.arena);
    tiny_decoder_build(&d);
    gx_buffer second = written(d.graph);
    assert_int_equal(first.nbytes, second.nbytes);
    assert_memory_equal(first.data, second.data, first.nbytes);
    gx_buffer_deinit(&first);
    gx_buffer_deinit(&second);
    tiny_decoder_close(&d);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    tiny_decoder d;
    tiny_decoder_open(&d, "gemma-mqa", 2, 0, false);
    gx_buffer bytes = written(d.graph);
    uint64_t n = 1;
    for (gx_status status = GX_ERROR_MEMORY; status != GX_OK; n++) {
        gx_buffer out = {0}, edited = {0};
        gx_arena *scratch = gx_arena_new();
        gx_error error = {0};
        gx_onnx_model model;
        gx_alloc_fail_after(n);
        status = gx_model_write(&out, d.graph, (const char *const[]){"m"}, &error);
        if (status == GX_OK)
            status = gx_onnx_show_all_logits(&edited, bytes.data, bytes.nbytes, &error);
        if (status == GX_OK)
            status = gx_onnx_read(&model, scratch, bytes.data, bytes.nbytes, &error);
        gx_alloc_fail_after(0);
        if (status != GX_OK)
            check_failure("memory", status, &error, GX_ERROR_MEMORY, "out of memory");
        gx_arena_free(scratch);
        gx_buffer_deinit(&edited);
        gx_buffer_deinit(&out);
    }
    assert_true(n > 20);
    gx_buffer_deinit(&bytes);
    tiny_decoder_close(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_small_graph_is_read_back),
        TEST(a_node_has_its_bytes),
        TEST(nothing_is_imported_that_is_not_used),
        TEST(a_model_cut_anywhere_does_no_harm),
        TEST(a_changed_byte_does_no_harm),
        TEST(what_is_no_model_is_refused),
        TEST(other_tools_forms_are_read),
        TEST(too_many_dimensions_are_refused),
        TEST(endless_operators_are_refused),
        TEST(types_have_names),
        TEST(decoders_are_read_back),
        TEST(the_same_graph_gives_the_same_bytes),
        TEST(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
