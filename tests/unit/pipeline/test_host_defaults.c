/* Which file each device gets by default, from which files there are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pipeline/host_defaults.h"

static const gx_model small = {.parameters = 268098176};                           /* Gemma 3 270M */
static const gx_model large = {.parameters = 999885952};                           /* Gemma 3 1B */
static const gx_model encoder = {.parameters = 302863104, .bidirectional = true}; /* EmbeddingGemma */

typedef struct defaults_case {
    const gx_model *model;
    const char *files;    /* names, apart by blanks */
    const char *expected; /* transformers.js_config without the files */
} defaults_case;

#define ALL "model.onnx model_fp16.onnx model_q4.onnx model_q4f16.onnx model_quantized.onnx model_int8.onnx"

static const defaults_case cases[] = {
    {&small, ALL, "{\"dtype\":\"q8\",\"device_config\":{\"cpu\":{\"dtype\":\"q4\"},\"webgpu\":{\"dtype\":\"q4\"}}}"},
    {&small, "model.onnx", "{\"dtype\":\"fp32\"}"},
    {&small, "model_fp16.onnx", "{\"dtype\":\"fp16\"}"},
    {&small, "model_q4.onnx", "{\"dtype\":\"q4\"}"},
    {&small, "model_q4f16.onnx", "{\"dtype\":\"q4f16\"}"},
    {&small, "model_quantized.onnx", "{\"dtype\":\"q8\"}"},
    {&small, "model_int8.onnx", "{\"dtype\":\"int8\"}"},
    {&small, "model_quantized.onnx model_int8.onnx", "{\"dtype\":\"q8\",\"device_config\":{\"cpu\":{\"dtype\":\"int8\"},\"webgpu\":{\"dtype\":\"int8\"}}}"},
    {&small, "model_fp16.onnx model.onnx", "{\"dtype\":\"fp16\",\"device_config\":{\"cpu\":{\"dtype\":\"fp32\"},\"webgpu\":{\"dtype\":\"fp32\"}}}"},
    {&small, "model_quantized.onnx model.onnx", "{\"dtype\":\"q8\",\"device_config\":{\"webgpu\":{\"dtype\":\"fp32\"}}}"},
    {&small, "embed_tokens_q4.onnx decoder_model_merged_q4.onnx", "{\"dtype\":\"q4\"}"},
    {&small, "model_other.onnx", "{}"},
    {&large, ALL, "{\"dtype\":\"q4\"}"},
    {&large, "model.onnx model_quantized.onnx", "{\"dtype\":\"q8\",\"device_config\":{\"webgpu\":{\"dtype\":\"fp32\"}}}"},
    {&encoder, ALL, "{\"dtype\":\"q8\"}"},
    {&encoder, "model_q4.onnx model.onnx", "{\"dtype\":\"fp32\"}"},
};

/* As a source's own config may say of other files. */
static const char foreign[] = "{\"dtype\":\"int8\",\"device_config\":{\"wasm\":{\"dtype\":\"bnb4\"}}}";

static void check_case(const defaults_case *c)
{
    gx_error error = {0};
    yyjson_doc *source = yyjson_read(foreign, sizeof foreign - 1, 0);
    yyjson_mut_doc *doc = yyjson_doc_mut_copy(source, NULL);
    yyjson_mut_val *files = yyjson_mut_obj(doc), *settings = yyjson_mut_doc_get_root(doc);
    char names[256];
    snprintf(names, sizeof names, "%s", c->files);
    for (char *rest = NULL, *name = strtok_r(names, " ", &rest); name; name = strtok_r(NULL, " ", &rest))
        yyjson_mut_obj_add_uint(doc, files, name, 1);
    assert_int_equal(gx_host_defaults_add(doc, settings, files, c->model, &error), GX_OK);
    char *text = yyjson_mut_write(doc, 0, NULL);
    assert_string_equal(text, c->expected);
    free(text);
    yyjson_mut_doc_free(doc);
    yyjson_doc_free(source);
}

static void test_each_device_gets_the_best_that_is_there(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_case(&cases[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_device_gets_the_best_that_is_there)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
