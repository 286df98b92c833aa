/* Writing and reading models in memory, with an arena for each test. */
#ifndef TESTS_UNIT_ONNX_ONNX_SUPPORT_H
#define TESTS_UNIT_ONNX_ONNX_SUPPORT_H

#include "onnx/model_edit.h"
#include "onnx/model_reader.h"
#include "onnx/model_writer.h"
#include "support/tiny_decoder.h"

static gx_arena *arena;

static inline int set_up(void **state)
{
    (void)state;
    arena = gx_arena_new();
    return arena ? 0 : -1;
}

static inline int tear_down(void **state)
{
    (void)state;
    gx_arena_free(arena);
    return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static inline gx_buffer written(const gx_graph *graph)
{
    gx_buffer out = {0};
    gx_error error = {0};
    check_ok("write", gx_model_write(&out, graph, (const char *const[]){"m.onnx_data", "m.onnx_data_1", "m.onnx_data_2"}, &error), &error);
    return out;
}

static inline gx_onnx_model read_back(const gx_buffer *bytes)
{
    gx_onnx_model model = {0};
    gx_error error = {0};
    check_ok("read", gx_onnx_read(&model, arena, bytes->data, bytes->nbytes, &error), &error);
    return model;
}

#endif
