/* config.json: what each key does to the model, what is refused and why, what is ignored with a note. */
#include <math.h>

#include "tiny_folder.h"

/* ---- refused ---- */

static const struct {
    const char *base, *patch;
    gx_status status;
    const char *words;
} refusals[] = {
    {"gemma-mqa", "[]", GX_ERROR_FORMAT, "the top level is not an object"},
    {"gemma-mqa", "{\"num_attention_heads\":3,\"num_key_value_heads\":2}", GX_ERROR_FORMAT,
     "num_attention_heads 3 is not a multiple of num_key_value_heads 2"},
    {"gemma-mqa", "{\"num_attention_heads\":1,\"num_key_value_heads\":2}", GX_ERROR_FORMAT, "is not a multiple"},
    {"gemma-mqa", "{\"num_key_value_heads\":0}", GX_ERROR_FORMAT, "num_key_value_heads is 0"},
    {"gemma-mqa", "{\"head_dim\":15}", GX_ERROR_FORMAT, "head_dim 15 is odd"},
    {"gemma-mqa", "{\"head_dim\":0}", GX_ERROR_FORMAT, "head_dim is 0"},
    {"gemma-mqa", "{\"hidden_size\":\"40\"}", GX_ERROR_FORMAT, "'hidden_size' is a string"},
    {"gemma-mqa", "{\"hidden_size\":-40}", GX_ERROR_FORMAT, "'hidden_size' is a negative integer"},
    {"gemma-mqa", "{\"hidden_size\":40.5}", GX_ERROR_FORMAT, "'hidden_size' is a number"},
    {"gemma-mqa", "{\"hidden_size\":1048577}", GX_ERROR_FORMAT, "hidden_size is 1048577, expected 1 … 1048576"},
    {"gemma-mqa", "{\"vocab_size\":0}", GX_ERROR_FORMAT, "vocab_size is 0"},
    {"gemma-mqa", "{\"vocab_size\":18446744073709551615}", GX_ERROR_FORMAT, "vocab_size is 18446744073709551615"},
    {"gemma-mqa", "{\"num_hidden_layers\":1025}", GX_ERROR_FORMAT, "num_hidden_layers is 1025"},
    {"gemma-mqa", "{\"num_hidden_layers\":[2]}", GX_ERROR_FORMAT, "'num_hidden_layers' is a list"},
    {"gemma-mqa", "{\"intermediate_size\":0}", GX_ERROR_FORMAT, "intermediate_size is 0"},
    {"gemma-mqa", "{\"max_position_embeddings\":0}", GX_ERROR_FORMAT, "max_position_embeddings is 0"},
    {"gemma-mqa", "{\"rms_norm_eps\":0}", GX_ERROR_FORMAT, "rms_norm_eps is 0"},
    {"gemma-mqa", "{\"rms_norm_eps\":-1e-6}", GX_ERROR_FORMAT, "rms_norm_eps is -1e-06"},
    {"gemma-mqa", "{\"rms_norm_eps\":\"1e-6\"}", GX_ERROR_FORMAT, "'rms_norm_eps' is a string"},
    {"gemma-mqa", "{\"rope_theta\":0}", GX_ERROR_FORMAT, "rope_theta is 0"},
    {"gemma-mqa", "{\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":2}}", GX_ERROR_UNSUPPORTED, "rope_type 'yarn'"},
    {"gemma-mqa", "{\"rope_scaling\":{\"rope_type\":\"linear\"}}", GX_ERROR_FORMAT, "factor is 0"},
    {"gemma-mqa", "{\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":-2}}", GX_ERROR_FORMAT, "factor is -2"},
    {"gemma-mqa", "{\"rope_scaling\":{\"rope_type\":1}}", GX_ERROR_FORMAT, "'rope_type' is an integer"},
    {"gemma-mqa", "{\"rope_parameters\":{\"rope_type\":\"dynamic\",\"rope_theta\":1e4}}", GX_ERROR_UNSUPPORTED, "rope_type 'dynamic'"},
    {"gemma3-types-bf16", "{\"rope_parameters\":{\"sliding_attention\":{\"rope_type\":\"llama3\"}}}", GX_ERROR_UNSUPPORTED,
     "rope_type 'llama3'"},
    {"gemma3-types-bf16", "{\"rope_parameters\":{\"full_attention\":{\"rope_theta\":-1}}}", GX_ERROR_FORMAT, "rope_theta is -1"},
    {"gemma3-types-bf16", "{\"layer_types\":[\"full_attention\"]}", GX_ERROR_FORMAT, "layer_types has 1 entries, num_hidden_layers is 4"},
    {"gemma3-types-bf16", "{\"layer_types\":\"full_attention\"}", GX_ERROR_FORMAT, "layer_types has 0 entries"},
    {"gemma3-types-bf16", "{\"layer_types\":[\"full_attention\",\"chunked_attention\",\"full_attention\",\"full_attention\"]}",
     GX_ERROR_UNSUPPORTED,
     "layer_types[1] is 'chunked_attention'"},
    {"gemma3-types-bf16", "{\"layer_types\":[1,2,3,4]}", GX_ERROR_UNSUPPORTED, "layer_types[0] is 'not a string'"},
    {"gemma3-types-bf16", "{\"sliding_window\":0}", GX_ERROR_FORMAT, "sliding_window is 0"},
    {"gemma3-types-bf16", "{\"sliding_window\":4294967296}", GX_ERROR_FORMAT, "sliding_window is 4294967296"},
    {"gemma3-types-bf16", "{\"sliding_window\":\"5\"}", GX_ERROR_FORMAT, "'sliding_window' is a string"},
    {"gemma3-types-bf16", "{\"final_logit_softcapping\":-3}", GX_ERROR_FORMAT, "final_logit_softcapping is -3"},
    {"gemma3-types-bf16", "{\"query_pre_attn_scalar\":0}", GX_ERROR_FORMAT, "query_pre_attn_scalar is 0"},
    {"gemma2-published", "{\"use_bidirectional_attention\":true}", GX_ERROR_UNSUPPORTED, "use_bidirectional_attention is on"},
    {"gemma3-pattern", "{\"sliding_window_pattern\":0}", GX_ERROR_FORMAT, "sliding_window_pattern is 0"},
    {"gemma3-pattern", "{\"hidden_activation\":\"silu\"}", GX_ERROR_UNSUPPORTED, "hidden_activation is 'silu'"},
    {"gemma-mqa", "{\"hidden_act\":\"relu\"}", GX_ERROR_UNSUPPORTED, "hidden_act is 'relu'"},
    {"gemma-mqa", "{\"hidden_act\":\"gelu\\u0000\"}", GX_ERROR_FORMAT, "'hidden_act' holds a NUL"},
    {"gemma-mqa", "{\"tie_word_embeddings\":\"false\"}", GX_ERROR_FORMAT, "'tie_word_embeddings' is a string"},
    {"gemma-mqa", "{\"eos_token_id\":\"1\"}", GX_ERROR_FORMAT, "eos_token_id is neither"},
    {"gemma-mqa", "{\"eos_token_id\":[1,2,3,4,5,6,7,8,9]}", GX_ERROR_FORMAT, "at most 8"},
    {"gemma-mqa", "{\"quantization_config\":{\"quant_method\":\"gptq\"}}", GX_ERROR_UNSUPPORTED, "quantization_config is present"},
    {"gemma-mqa", "{\"model_type\":\"recurrent_gemma\"}", GX_ERROR_UNSUPPORTED, "RecurrentGemma"},
    {"gemma-mqa", "{\"model_type\":\"t5gemma\"}", GX_ERROR_UNSUPPORTED, "'t5gemma' is T5Gemma, an encoder-decoder"},
    {"gemma-mqa", "{\"model_type\":\"t5gemma2\"}", GX_ERROR_UNSUPPORTED, "T5Gemma 2"},
    {"gemma-mqa", "{\"model_type\":\"gemma4\"}", GX_ERROR_FORMAT, "'gemma4' is that of a package, but there is no text_config"},
    {"gemma-mqa", "{\"model_type\":\"paligemma\",\"text_config\":{\"model_type\":\"gemma\"}}", GX_ERROR_UNSUPPORTED, "PaliGemma"},
    {"gemma-mqa", "{\"model_type\":\"llama\",\"architectures\":[\"LlamaForCausalLM\"]}", GX_ERROR_UNSUPPORTED,
     "model_type 'llama' is not a Gemma"},
    {"gemma-mqa", "{\"model_type\":null,\"architectures\":null}", GX_ERROR_UNSUPPORTED, "model_type '' is not a Gemma"},
    {"gemma-mqa", "{\"model_type\":7}", GX_ERROR_FORMAT, "'model_type' is an integer"},
};

static void refusals_say_why(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        opened o = open_path(make_variant(refusals[i].base, refusals[i].patch, "{}"));
        check_failure(refusals[i].patch, o.status, &o.error, refusals[i].status, refusals[i].words);
        assert_non_null(strstr(o.error.message, "config.json"));
        assert_null(o.model);
        close_opened(&o);
    }
}

static void a_config_cut_anywhere_is_refused(void **state)
{
    (void)state;
    size_t nbytes = 0;
    char *text = read_bytes(TINY "gemma-mqa/config.json", &nbytes);
    make_variant("gemma-mqa", "{}", "{}");
    while (nbytes > 0 && text[nbytes - 1] != '}')
        nbytes--;
    for (size_t n = 0; n < nbytes; n++) {
        scratch_write("config.json", text, n);
        opened o = open_path(scratch_folder);
        check_failure("cut", o.status, &o.error, GX_ERROR_FORMAT, "config.json");
        close_opened(&o);
    }
    gx_free(text);
    unlink(scratch_path("config.json"));
    opened o = open_path(scratch_folder);
    check_failure("absent", o.status, &o.error, GX_ERROR_IO, "config.json");
    close_opened(&o);
}

/* ---- meaning ---- */

static opened open_variant(const char *base, const char *patch)
{
    opened o = open_path(make_variant(base, patch, "{}"));
    check_ok(patch, o.status, &o.error);
    return o;
}

static void check_layer(const gx_layer *layer, uint64_t window, double theta, double factor)
{
    assert_int_equal(layer->sliding_window, window);
    assert_true(layer->rope.theta == theta);
    assert_true(layer->rope.factor == factor);
}

static void the_older_dialect_is_read(void **state)
{
    (void)state;
    opened o = open_variant("gemma3-pattern", "{}");
    const gx_model *m = o.model;
    assert_string_equal(m->family_name, "gemma3");
    check_layer(&m->layers[0], 6, 10000, 1);
    check_layer(&m->layers[1], 0, 1000000, 1); /* every second layer is full */
    check_layer(&m->layers[2], 6, 10000, 1);
    assert_true(m->layers[0].attention_scale == 1 / sqrt(24));
    assert_true(m->embedding_multiplier == (double)sqrtf(40));
    assert_true(m->rms_norm_eps == 1e-6 && m->final_logit_softcapping == 0);
    assert_int_equal(m->max_position_embeddings, 32768);
    assert_int_equal(m->activation, GX_ACTIVATION_GELU_TANH);
    assert_int_equal(m->bos_token_id, 2);
    assert_int_equal(m->pad_token_id, 0);
    assert_int_equal(m->eos_token_count, 2);
    assert_true(m->eos_token_ids[0] == 1 && m->eos_token_ids[1] == 106);
    assert_int_equal(m->note_count, 0);
    close_opened(&o);
}

static void the_newer_dialect_is_read(void **state)
{
    (void)state;
    opened o = open_variant("gemma3-types-bf16", "{}");
    check_layer(&o.model->layers[0], 0, 50000, 1);
    check_layer(&o.model->layers[1], 5, 3000, 1);
    check_layer(&o.model->layers[3], 0, 50000, 1);
    assert_true(o.model->final_logit_softcapping == 3 && o.model->rms_norm_eps == 0.001);
    close_opened(&o);
    o = open_path(TINY "gemma-gqa-sharded");
    check_ok("gqa", o.status, &o.error);
    check_layer(&o.model->layers[1], 0, 5000, 2); /* one set for all layers */
    close_opened(&o);
}

static void scaling_is_for_full_layers(void **state)
{
    (void)state;
    opened o = open_variant("gemma3-untied-f16", "{}");
    check_layer(&o.model->layers[0], 5, 10000, 1);
    check_layer(&o.model->layers[1], 0, 1000000, 8);
    close_opened(&o);
    o = open_variant("gemma-mqa", "{\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":4}}");
    check_layer(&o.model->layers[0], 0, 10000, 4); /* a family with one theta: for all */
    close_opened(&o);
    o = open_variant("gemma-mqa", "{\"rope_scaling\":{\"rope_type\":\"default\",\"factor\":4}}");
    check_layer(&o.model->layers[0], 0, 10000, 1);
    close_opened(&o);
}

static void absent_keys_have_the_class_defaults(void **state)
{
    (void)state;
    opened o = open_path(TINY "gemma3-multimodal");
    check_ok("multimodal", o.status, &o.error);
    for (unsigned n = 0; n < 7; n++) /* every sixth layer is full */
        check_layer(&o.model->layers[n], n == 5 ? 0 : 7, n == 5 ? 1000000 : 10000, n == 5 ? 8 : 1);
    assert_int_equal(o.model->max_position_embeddings, 131072);
    assert_true(o.model->rms_norm_eps == 1e-6);
    assert_int_equal(o.model->bos_token_id, 2);
    assert_int_equal(o.model->pad_token_id, 0);
    assert_int_equal(o.model->eos_token_ids[1], 98); /* from the package's level */
    close_opened(&o);
    o = open_variant("gemma-mqa", "{\"eos_token_id\":null}"); /* a merge patch: the key is taken away */
    assert_true(o.model->eos_token_count == 1 && o.model->eos_token_ids[0] == 1);
    close_opened(&o);
}

static void no_window_makes_all_layers_full(void **state)
{
    (void)state;
    opened o = {0};
    size_t nbytes = 0;
    make_variant("gemma3-pattern", "{}", "{}");
    char *text = read_bytes(scratch_path("config.json"), &nbytes), *window = strstr(text, "\"sliding_window\":6");
    assert_non_null(window); /* a merge patch cannot say null */
    gx_buffer changed = {0};
    gx_buffer_append(&changed, text, (size_t)(window - text));
    gx_buffer_append_text(&changed, "\"sliding_window\":null");
    gx_buffer_append_text(&changed, window + strlen("\"sliding_window\":6"));
    scratch_write("config.json", changed.data, changed.nbytes);
    gx_buffer_deinit(&changed);
    gx_free(text);
    o = open_path(scratch_folder);
    check_ok("null window", o.status, &o.error);
    check_layer(&o.model->layers[0], 0, 10000, 1); /* its theta stays the sliding layers' */
    close_opened(&o);
}

static void the_activation_depends_on_the_key(void **state)
{
    (void)state;
    static const struct {
        const char *base, *patch;
        gx_activation expected;
    } cases[] = {
        {"gemma-mqa", "{}", GX_ACTIVATION_GELU_TANH}, /* "hidden_act": "gelu" */
        {"gemma-mqa", "{\"hidden_act\":null}", GX_ACTIVATION_GELU_TANH},
        {"gemma3-pattern", "{\"hidden_activation\":null}", GX_ACTIVATION_GELU_TANH},
        {"gemma3-pattern", "{\"hidden_activation\":\"gelu\"}", GX_ACTIVATION_GELU_ERF},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        opened o = open_variant(cases[i].base, cases[i].patch);
        assert_int_equal(o.model->activation, cases[i].expected);
        close_opened(&o);
    }
}

/* ---- notes ---- */

static void what_is_ignored_is_noted(void **state)
{
    (void)state;
    static const struct {
        const char *base, *patch, *words;
    } cases[] = {
        {"gemma3-types-bf16", "{}", "attn_logit_softcapping 2 is ignored"},
        {"gemma3-finetune", "{}", "'type' but no 'rope_type': ignored"},
        {"gemma3-finetune", "{}", "'lm_head.weight' is left out: it is a copy of the embedding"},
        {"gemma3-other-head", "{}", "_sliding_window_pattern 2 is ignored"},
        {"gemma3-other-head", "{}", "'lm_head.weight' differs from the embedding and is used"},
        {"gemma-mqa", "{\"final_logit_softcapping\":30}", "final_logit_softcapping 30 is ignored"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        opened o = open_variant(cases[i].base, cases[i].patch);
        if (!has_note(o.model, cases[i].words))
            fail_msg("%s %s: no note '%s'", cases[i].base, cases[i].patch, cases[i].words);
        close_opened(&o);
    }
    opened o = open_variant("gemma-mqa", "{\"final_logit_softcapping\":30}");
    assert_true(o.model->final_logit_softcapping == 0);
    close_opened(&o);
}

/* ---- config.json beside the output ---- */

static const char *config_string(const gx_model *model, const char *key)
{
    return yyjson_mut_get_str(yyjson_mut_obj_get(yyjson_mut_doc_get_root(model->config), key));
}

static void a_text_config_goes_out_as_it_came(void **state)
{
    (void)state;
    opened o = open_variant("gemma-mqa", "{\"something_of_its_own\":{\"x\":[1,2.5,null]}}");
    assert_true(o.model->config_is_source);
    size_t nbytes = 0;
    char *source = read_bytes(scratch_path("config.json"), &nbytes), *out = yyjson_mut_write(o.model->config, 0, NULL);
    assert_string_equal(out, source);
    gx_free(out);
    gx_free(source);
    close_opened(&o);
}

static void a_package_gives_a_text_config(void **state)
{
    (void)state;
    opened o = open_path(TINY "gemma3-multimodal");
    check_ok("multimodal", o.status, &o.error);
    yyjson_mut_val *root = yyjson_mut_doc_get_root(o.model->config);
    assert_false(o.model->config_is_source);
    assert_string_equal(config_string(o.model, "model_type"), "gemma3_text");
    assert_string_equal(yyjson_mut_get_str(yyjson_mut_arr_get_first(yyjson_mut_obj_get(root, "architectures"))), "Gemma3ForCausalLM");
    assert_string_equal(config_string(o.model, "torch_dtype"), "bfloat16");
    assert_int_equal(yyjson_mut_arr_size(yyjson_mut_obj_get(root, "eos_token_id")), 2);
    assert_int_equal(yyjson_mut_get_uint(yyjson_mut_obj_get(root, "vocab_size")), 103);
    assert_null(yyjson_mut_obj_get(root, "vision_config"));
    assert_null(yyjson_mut_obj_get(root, "text_config"));
    close_opened(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals_say_why),
        cmocka_unit_test(a_config_cut_anywhere_is_refused),
        cmocka_unit_test(the_older_dialect_is_read),
        cmocka_unit_test(the_newer_dialect_is_read),
        cmocka_unit_test(scaling_is_for_full_layers),
        cmocka_unit_test(absent_keys_have_the_class_defaults),
        cmocka_unit_test(no_window_makes_all_layers_full),
        cmocka_unit_test(the_activation_depends_on_the_key),
        cmocka_unit_test(what_is_ignored_is_noted),
        cmocka_unit_test(a_text_config_goes_out_as_it_came),
        cmocka_unit_test(a_package_gives_a_text_config),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
