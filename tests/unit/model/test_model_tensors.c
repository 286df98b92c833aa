/* Binding: every tiny checkpoint binds whole; what is missing, misshapen or unknown is listed in one message. */
#include "tiny_folder.h"

/* Sizes as in each config.json; parameters counted by hand over the files' tensors that belong to the decoder. */
static const struct {
    const char *name, *family;
    uint32_t vocab, hidden, intermediate, layers, heads, kv_heads, head_dim;
    bool tied;
    uint64_t parameters;
    size_t left_out;
} tiny[] = {
    {"gemma-mqa", "gemma", 257, 40, 28, 2, 2, 1, 16, true, 24880, 0},
    {"gemma-mha-bf16", "gemma", 301, 72, 44, 2, 3, 3, 16, true, 68688, 0},
    {"gemma-gqa-sharded", "gemma", 131, 24, 44, 2, 4, 2, 32, true, 28032, 0},
    {"gemma-untied-f16", "gemma", 131, 40, 60, 2, 2, 1, 32, false, 40440, 0}, /* inv_freq is nothing to speak of */
    {"gemma3-pattern", "gemma3", 157, 40, 30, 3, 2, 1, 16, true, 29216, 0},
    {"gemma3-types-bf16", "gemma3", 193, 40, 50, 4, 4, 2, 16, true, 63248, 0},
    {"gemma3-untied-f16", "gemma3", 97, 72, 40, 2, 3, 1, 32, false, 68888, 0},
    {"gemma3-finetune", "gemma3", 151, 40, 30, 2, 2, 2, 16, true, 23904, 0},
    {"gemma3-other-head", "gemma3", 109, 40, 30, 2, 2, 1, 16, false, 24024, 0},
    {"gemma3-multimodal", "gemma3", 103, 24, 36, 7, 2, 2, 16, true, 43040, 23},
    {"gemma3-multimodal-sharded", "gemma3", 101, 36, 40, 2, 3, 1, 16, true, 21880, 23},
    {"gemma3-kinds.gguf", "gemma3", 267, 256, 32, 2, 2, 1, 16, true, 169024, 0},
    {"gemma3-scaled.gguf", "gemma3", 265, 32, 64, 7, 2, 2, 16, true, 81312, 0},
    {"gemma-split-00001-of-00003.gguf", "gemma", 271, 64, 96, 2, 2, 2, 16, true, 70912, 0},
};

static void check_weight(const gx_weight *weight, uint64_t rows, uint64_t columns, double add)
{
    assert_non_null(weight->tensor);
    assert_int_equal(weight->rows, rows);
    assert_int_equal(weight->columns, columns);
    assert_int_equal(weight->tensor->elements, rows * columns);
    assert_true(weight->add == add);
}

static void check_layer(const gx_layer *layer, size_t i, double add)
{
    const uint32_t hidden = tiny[i].hidden, q = tiny[i].heads * tiny[i].head_dim, kv = tiny[i].kv_heads * tiny[i].head_dim;
    const bool gemma3 = tiny[i].family[5] == '3';
    check_weight(&layer->weights[GX_ROLE_Q_PROJ], q, hidden, 0);
    check_weight(&layer->weights[GX_ROLE_K_PROJ], kv, hidden, 0);
    check_weight(&layer->weights[GX_ROLE_V_PROJ], kv, hidden, 0);
    check_weight(&layer->weights[GX_ROLE_O_PROJ], hidden, q, 0);
    check_weight(&layer->weights[GX_ROLE_GATE_PROJ], tiny[i].intermediate, hidden, 0);
    check_weight(&layer->weights[GX_ROLE_UP_PROJ], tiny[i].intermediate, hidden, 0);
    check_weight(&layer->weights[GX_ROLE_DOWN_PROJ], hidden, tiny[i].intermediate, 0);
    check_weight(&layer->weights[GX_ROLE_INPUT_NORM], 1, hidden, add);
    check_weight(&layer->weights[GX_ROLE_PRE_FEEDFORWARD_NORM], 1, hidden, add);
    static const gx_role only_in_gemma3[] = {GX_ROLE_POST_ATTENTION_NORM, GX_ROLE_POST_FEEDFORWARD_NORM, GX_ROLE_Q_NORM, GX_ROLE_K_NORM};
    for (size_t k = 0; k < 4; k++) {
        if (gemma3)
            check_weight(&layer->weights[only_in_gemma3[k]], 1, k < 2 ? hidden : tiny[i].head_dim, add);
        else
            assert_null(layer->weights[only_in_gemma3[k]].tensor);
    }
}

static void every_tiny_checkpoint_binds(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof tiny / sizeof *tiny; i++) {
        char path[256];
        snprintf(path, sizeof path, TINY "%s", tiny[i].name);
        opened o = open_path(path);
        check_ok(tiny[i].name, o.status, &o.error);
        const gx_model *m = o.model;
        const double add = strstr(tiny[i].name, ".gguf") ? 0 : 1; /* GGUF stores the sum */
        assert_string_equal(m->family_name, tiny[i].family);
        assert_int_equal(m->vocab_size, tiny[i].vocab);
        assert_int_equal(m->hidden_size, tiny[i].hidden);
        assert_int_equal(m->num_hidden_layers, tiny[i].layers);
        assert_int_equal(m->tie_word_embeddings, tiny[i].tied);
        assert_int_equal(m->parameters, tiny[i].parameters);
        assert_int_equal(m->left_out_count, tiny[i].left_out);
        check_weight(&m->weights[GX_ROLE_EMBEDDING], tiny[i].vocab, tiny[i].hidden, 0);
        check_weight(&m->weights[GX_ROLE_LM_HEAD], tiny[i].vocab, tiny[i].hidden, 0);
        check_weight(&m->weights[GX_ROLE_FINAL_NORM], 1, tiny[i].hidden, add);
        assert_int_equal(m->weights[GX_ROLE_LM_HEAD].tensor == m->weights[GX_ROLE_EMBEDDING].tensor, tiny[i].tied);
        for (uint32_t n = 0; n < tiny[i].layers; n++)
            check_layer(&m->layers[n], i, add);
        close_opened(&o);
    }
}

static void norms_are_read_with_their_one(void **state)
{
    (void)state;
    opened o = open_path(TINY "gemma-mqa");
    check_ok("gemma-mqa", o.status, &o.error);
    const gx_weight *norm = &o.model->weights[GX_ROLE_FINAL_NORM], *embedding = &o.model->weights[GX_ROLE_EMBEDDING];
    float raw[40], scratch[40], with_one[40], row[40];
    gx_error error = {0};
    check_ok("raw", gx_file_read(gx_checkpoint_file(o.checkpoint, 0), norm->tensor->offset, raw, sizeof raw, &error), &error);
    check_ok("vector", gx_weight_read_vector(o.model, norm, with_one, &error), &error);
    for (int i = 0; i < 40; i++)
        assert_true(with_one[i] == raw[i] + 1);
    check_ok("raw", gx_file_read(gx_checkpoint_file(o.checkpoint, 0), embedding->tensor->offset + 7 * 160, raw, sizeof raw, &error),
             &error);
    check_ok("row", gx_weight_read_rows(o.model, embedding, 7, 1, scratch, row, &error), &error);
    assert_memory_equal(row, raw, sizeof raw);
    close_opened(&o);
}

/* ---- what does not fit ---- */

#define FP32(shape, begin, end) "{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end "]}"
#define NORM_0 "model.layers.0.input_layernorm.weight" /* [40], bytes 41120 … 41280 */

static void all_problems_are_in_one_message(void **state)
{
    (void)state;
    /* layer 0's input norm under another name; the embedding turned */
    opened o = open_path(make_variant("gemma-mqa", "{}",
                                      "{\"" NORM_0 "\":null,\"model.layers.0.extra.weight\":" FP32("[40]", 41120, 41280)
                                      ",\"model.embed_tokens.weight\":" FP32("[40,257]", 0, 41120) "}"));
    check_failure("three", o.status, &o.error, GX_ERROR_FORMAT, "'" NORM_0 "' is missing");
    check_failure("three", o.status, &o.error, GX_ERROR_FORMAT, "'model.embed_tokens.weight' is [40, 257], expected [257, 40]");
    check_failure("three", o.status, &o.error, GX_ERROR_FORMAT, "'model.layers.0.extra.weight' is not a tensor of gemma");
    close_opened(&o);
}

static void single_problems_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *defect, *base, *config, *header, *words;
    } cases[] = {
        {"vector as a matrix", "gemma-mqa", "{}", "{\"" NORM_0 "\":" FP32("[1,40]", 41120, 41280) "}", "is [1, 40], expected [40]"},
        {"no weight type", "gemma-mqa", "{}", "{\"" NORM_0 "\":{\"dtype\":\"I32\",\"shape\":[40],\"data_offsets\":[41120,41280]}}",
         "holds I32, which is no weight type"},
        {"bias", "gemma-mqa", "{}", "{\"" NORM_0 "\":null,\"model.layers.0.self_attn.q_proj.bias\":" FP32("[40]", 41120, 41280) "}",
         "q_proj.bias' is not a tensor of gemma"},
        {"a layer too many", "gemma-mqa", "{\"num_hidden_layers\":1}", "{}", "'model.layers.1.input_layernorm.weight' is not a tensor"},
        {"a layer too few", "gemma-mqa", "{\"num_hidden_layers\":3}", "{}", "'model.layers.2.self_attn.q_proj.weight' is missing"},
        {"other heads", "gemma-mqa", "{\"head_dim\":32}", "{}", "q_proj.weight' is [32, 40], expected [64, 40]"},
        {"other vocabulary", "gemma-mqa", "{\"vocab_size\":256}", "{}", "is [257, 40], expected [256, 40]"},
        {"no head", "gemma-mqa", "{\"tie_word_embeddings\":false}", "{}", "tie_word_embeddings is false, but there is no 'lm_head.weight'"},
        {"no embedding", "gemma-mqa", "{}", "{\"model.embed_tokens.weight\":null}",
         "no tensor 'model.embed_tokens.weight' under any known prefix"},
        {"another family's tensors", "gemma3-pattern", "{\"model_type\":\"gemma\",\"architectures\":null}", "{}",
         "is not a tensor of gemma"},
        {"tied, but the head has another shape", "gemma3-finetune", "{}", "{\"lm_head.weight\":{\"shape\":[40,151]}}",
         "'lm_head.weight' is [40, 151], expected [151, 40]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        opened o = open_path(make_variant(cases[i].base, cases[i].config, cases[i].header));
        check_failure(cases[i].defect, o.status, &o.error, GX_ERROR_FORMAT, cases[i].words);
        close_opened(&o);
    }
}

static void a_long_list_is_counted(void **state)
{
    (void)state;
    opened o = open_path(make_variant("gemma-mqa", "{\"num_hidden_layers\":6}", "{}"));
    check_failure("36 tensors", o.status, &o.error, GX_ERROR_FORMAT, "'model.layers.2.input_layernorm.weight' is missing");
    check_failure("36 tensors", o.status, &o.error, GX_ERROR_FORMAT, "; and 24 more");
    close_opened(&o);
}

/* Every spelling of the decoder's place that packages use. */
static void prefixes_are_found(void **state)
{
    (void)state;
    static const char *const prefixes[] = {"model.", "language_model.model.", "model.language_model.", "language_model.", ""};
    size_t nbytes = 0;
    for (size_t p = 0; p < sizeof prefixes / sizeof *prefixes; p++) {
        make_variant("gemma-mqa", "{}", "{}");
        char *bytes = read_bytes(scratch_path("model.safetensors"), &nbytes);
        uint64_t header_nbytes = 0;
        memcpy(&header_nbytes, bytes, 8);
        gx_buffer header = {0}, whole = {0};
        for (size_t i = 0; i < header_nbytes; i++) {
            const bool here = strncmp(bytes + 8 + i, "\"model.", 7) == 0;
            gx_buffer_append_byte(&header, (uint8_t)bytes[8 + i]);
            if (here)
                gx_buffer_append_text(&header, prefixes[p]);
            i += here ? 6 : 0;
        }
        const uint64_t length = header.nbytes;
        gx_buffer_append(&whole, &length, 8);
        gx_buffer_append(&whole, header.data, header.nbytes);
        gx_buffer_append(&whole, bytes + 8 + header_nbytes, nbytes - 8 - (size_t)header_nbytes);
        scratch_write("model.safetensors", whole.data, whole.nbytes);
        opened o = open_path(scratch_folder);
        check_ok(prefixes[p], o.status, &o.error);
        assert_int_equal(o.model->parameters, 24880);
        close_opened(&o);
        gx_buffer_deinit(&header);
        gx_buffer_deinit(&whole);
        gx_free(bytes);
    }
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    static const char *const names[] = {"gemma3-finetune", "gemma3-scaled.gguf"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[256];
        uint64_t n = 1;
        gx_checkpoint *checkpoint = NULL;
        gx_error error = {0};
        snprintf(path, sizeof path, TINY "%s", names[i]);
        check_ok(path, gx_checkpoint_open(&checkpoint, path, &error), &error);
        for (gx_status status = GX_ERROR_MEMORY; status != GX_OK; n++) {
            gx_model *model = NULL;
            gx_error failure = {0};
            gx_alloc_fail_after(n);
            status = gx_model_open(&model, checkpoint, &failure);
            gx_alloc_fail_after(0);
            if (status != GX_OK)
                check_failure("memory", status, &failure, GX_ERROR_MEMORY, "out of memory");
            gx_model_close(model);
            assert_true(n < 1000);
        }
        assert_true(n > 5);
        gx_checkpoint_close(checkpoint);
    }
}

/* The config and both copies of the head are read. */
static void every_file_call_may_fail(void **state)
{
    (void)state;
    uint64_t n = 1;
    gx_checkpoint *checkpoint = NULL;
    gx_error error = {0};
    check_ok("finetune", gx_checkpoint_open(&checkpoint, TINY "gemma3-finetune", &error), &error);
    for (gx_status status = GX_ERROR_IO; status != GX_OK; n++) {
        gx_model *model = NULL;
        gx_error failure = {0};
        gx_file_fail_after(n);
        status = gx_model_open(&model, checkpoint, &failure);
        gx_file_fail_after(0);
        if (status != GX_OK)
            check_failure("file", status, &failure, GX_ERROR_IO, "finetune");
        gx_model_close(model);
        assert_true(n < 100);
    }
    assert_true(n > 4);
    gx_checkpoint_close(checkpoint);
}

static void roles_have_names(void **state)
{
    (void)state;
    for (int a = 0; a < GX_ROLE_COUNT; a++)
        for (int b = 0; b < a; b++)
            assert_string_not_equal(gx_role_name((gx_role)a), gx_role_name((gx_role)b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tiny_checkpoint_binds),
        cmocka_unit_test(norms_are_read_with_their_one),
        cmocka_unit_test(all_problems_are_in_one_message),
        cmocka_unit_test(single_problems_are_named),
        cmocka_unit_test(a_long_list_is_counted),
        cmocka_unit_test(prefixes_are_found),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(every_file_call_may_fail),
        cmocka_unit_test(roles_have_names),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
