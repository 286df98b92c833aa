/* The edit that shows every position changes one node and one output, and nothing else. */
#include "onnx_support.h"

static size_t count_of(const gx_onnx_model *m, const char *op_type)
{
    size_t count = 0;
    for (const gx_onnx_operator *op = m->operators; op; op = op->next)
        count += strcmp(op->op_type, op_type) == 0 ? op->count : 0;
    return count;
}

static void one_node_and_one_output_change(void **state)
{
    (void)state;
    for (unsigned policy = 0; policy < GX_POLICY_COUNT; policy++) {
        tiny_decoder d;
        gx_buffer edited = {0};
        gx_error error = {0};
        tiny_decoder_open(&d, "gemma-mqa", policy, 0, false);
        gx_buffer bytes = written(d.graph);
        check_ok("edit", gx_onnx_show_all_logits(&edited, bytes.data, bytes.nbytes, &error), &error);
        const gx_onnx_model before = read_back(&bytes), after = read_back(&edited);
        assert_int_equal(after.node_count, before.node_count);
        assert_int_equal(count_of(&after, "Gather"), count_of(&before, "Gather") - 1);
        assert_int_equal(count_of(&after, "Flatten"), count_of(&before, "Flatten") + 1);
        for (const gx_onnx_operator *op = before.operators; op; op = op->next)
            if (strcmp(op->op_type, "Gather") != 0 && strcmp(op->op_type, "Flatten") != 0)
                assert_int_equal(count_of(&after, op->op_type), count_of(&before, op->op_type));
        assert_int_equal(after.initializer_count, before.initializer_count - 1); /* the index of the last position */
        const gx_onnx_tensor *a = after.initializers;
        for (const gx_onnx_tensor *b = before.initializers; b; b = b->next) {
            if (strcmp(b->name, "/lm_head/last_index") == 0)
                continue;
            assert_string_equal(a->name, b->name);
            assert_int_equal(a->offset, b->offset); /* the same weight file */
            a = a->next;
        }
        assert_string_equal(after.outputs->name, "logits");
        assert_int_equal(after.outputs->rank, 0);
        assert_int_equal(before.outputs->rank, 3);
        for (const gx_onnx_value *x = after.outputs->next, *y = before.outputs->next; y; x = x->next, y = y->next) {
            assert_string_equal(x->name, y->name);
            assert_int_equal(x->rank, y->rank);
        }
        gx_buffer_deinit(&edited);
        gx_buffer_deinit(&bytes);
        tiny_decoder_close(&d);
    }
}

/* Flatten(rows, axis 2), where Gather(rows, -1) stood. */
static void the_new_node_has_its_bytes(void **state)
{
    (void)state;
    static const uint8_t expected[] = "\x0a\x55\x0a\x0d/lm_head/rows\x12\x16/lm_head/last_position\x1a\x16/lm_head/last_position"
                                      "\x22\x07"
                                      "Flatten\x2a\x0b\x0a\x04"
                                      "axis\x18\x02\xa0\x01\x02";
    tiny_decoder d;
    gx_buffer edited = {0};
    gx_error error = {0};
    tiny_decoder_open(&d, "gemma-mqa", 0, 0, false);
    gx_buffer bytes = written(d.graph);
    check_ok("edit", gx_onnx_show_all_logits(&edited, bytes.data, bytes.nbytes, &error), &error);
    assert_non_null(memmem(edited.data, edited.nbytes, expected, sizeof expected - 1));
    gx_buffer_deinit(&edited);
    gx_buffer_deinit(&bytes);
    tiny_decoder_close(&d);
}

static void what_has_no_selecting_node_is_refused(void **state)
{
    (void)state;
    tiny_decoder d;
    gx_buffer edited = {0};
    gx_error all = {0}, others = {0};
    tiny_decoder_open(&d, "gemma-mqa", 0, 0, true);
    gx_buffer bytes = written(d.graph);
    check_failure("all logits", gx_onnx_show_all_logits(&edited, bytes.data, bytes.nbytes, &all), &all, GX_ERROR_UNSUPPORTED,
                  "no node '/lm_head/last_position'");
    gx_buffer_deinit(&bytes);
    tiny_decoder_close(&d);
    gx_graph *other = gx_graph_new(arena, "other");
    assert_non_null(other);
    other->ir_version = 10;
    other->opset = 21;
    bytes = written(other);
    check_failure("another's", gx_onnx_show_all_logits(&edited, bytes.data, bytes.nbytes, &others), &others, GX_ERROR_UNSUPPORTED,
                  "no node");
    gx_buffer_deinit(&bytes);
    gx_buffer_deinit(&edited);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_node_and_one_output_change),
        TEST(the_new_node_has_its_bytes),
        TEST(what_has_no_selecting_node_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
