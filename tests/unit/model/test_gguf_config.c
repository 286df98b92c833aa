/* A GGUF's metadata as a config: the same meaning as the folder's that it was made from, and what it must not lack. */
#include "model/config.h"
#include "support/gguf_bytes.h"
#include "tiny_folder.h"

static yyjson_doc *config_of(const gx_checkpoint *checkpoint)
{
    gx_buffer text = {0};
    gx_error error = {0};
    yyjson_doc *doc = NULL;
    check_ok("config", gx_gguf_config(&text, checkpoint, &error), &error);
    check_ok("JSON", gx_json_parse(&doc, "config", (const char *)text.data, text.nbytes, &error), &error);
    gx_buffer_deinit(&text);
    return doc;
}

/* Every key of `expected` is in the config with an equal value. */
static void check_config(const char *path, const char *expected)
{
    gx_checkpoint *checkpoint = NULL;
    gx_error error = {0};
    check_ok(path, gx_checkpoint_open(&checkpoint, path, &error), &error);
    yyjson_doc *found = config_of(checkpoint), *wanted = yyjson_read(expected, strlen(expected), 0);
    yyjson_val *key, *value;
    size_t index, count;
    assert_non_null(wanted);
    yyjson_obj_foreach(yyjson_doc_get_root(wanted), index, count, key, value)
    {
        yyjson_val *other = yyjson_obj_get(yyjson_doc_get_root(found), yyjson_get_str(key));
        if (!other || !yyjson_equals(other, value)) {
            char *text = yyjson_write(found, 0, NULL);
            fail_msg("%s: %s differs in %s", path, yyjson_get_str(key), text);
        }
    }
    yyjson_doc_free(found);
    yyjson_doc_free(wanted);
    gx_checkpoint_close(checkpoint);
}

static void tiny_files_say_what_their_recipes_say(void **state)
{
    (void)state;
    check_config(TINY "gemma3-kinds.gguf",
                 "{\"architectures\":[\"Gemma3ForCausalLM\"],\"model_type\":\"gemma3_text\",\"hidden_size\":256,\"intermediate_size\":32,"
                 "\"num_hidden_layers\":2,\"num_attention_heads\":2,\"num_key_value_heads\":1,\"head_dim\":16,\"vocab_size\":267,"
                 "\"max_position_embeddings\":32768,\"rms_norm_eps\":1e-6,\"rope_theta\":1000000.0,\"rope_local_base_freq\":20000.0,"
                 "\"query_pre_attn_scalar\":16,\"sliding_window\":6,\"layer_types\":[\"sliding_attention\",\"full_attention\"],"
                 "\"hidden_activation\":\"gelu_pytorch_tanh\",\"tie_word_embeddings\":true,\"bos_token_id\":2,\"eos_token_id\":1,"
                 "\"pad_token_id\":0,\"rope_scaling\":null}");
    check_config(TINY "gemma3-scaled.gguf",
                 "{\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":8.0},\"rope_local_base_freq\":10000.0,\"sliding_window\":7,"
                 "\"layer_types\":[\"sliding_attention\",\"sliding_attention\",\"sliding_attention\",\"sliding_attention\","
                 "\"sliding_attention\",\"full_attention\",\"sliding_attention\"]}");
    check_config(TINY "gemma-split-00001-of-00003.gguf",
                 "{\"architectures\":[\"GemmaForCausalLM\"],\"model_type\":\"gemma\",\"num_key_value_heads\":2,\"rope_theta\":10000.0,"
                 "\"rms_norm_eps\":1e-6}");
}

/* ---- files of our own ---- */

typedef struct metadata {
    uint32_t hidden, layers, heads;
    const char *left_out; /* a key */
    void (*add)(gguf_recipe *recipe);
    bool head; /* output.weight is stored */
    bool no_embedding, flat_embedding;
} metadata;

static metadata plain(void)
{
    return (metadata){.hidden = 8, .layers = 3, .heads = 2, .left_out = ""};
}

static const char *write_metadata(const metadata *m)
{
    gguf_recipe recipe = gguf_new();
    const struct {
        const char *key;
        uint32_t value;
    } numbers[] = {{"gemma3.embedding_length", m->hidden}, {"gemma3.block_count", m->layers},          {"gemma3.attention.head_count",
        m->heads},
                   {"gemma3.feed_forward_length", 16},     {"gemma3.attention.head_count_kv", 1},      {"gemma3.attention.key_length", 6},
                   {"gemma3.context_length", 100},         {"gemma3.attention.sliding_window", 4}};
    if (strcmp(m->left_out, "general.architecture") != 0)
        gguf_add_string(&recipe, "general.architecture", "gemma3");
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (strcmp(m->left_out, numbers[i].key) != 0)
            gguf_add_u32(&recipe, numbers[i].key, numbers[i].value);
    if (m->add)
        m->add(&recipe);
    if (m->flat_embedding)
        gguf_add_tensor(&recipe, "token_embd.weight", 1, (const uint64_t[]){80}, 0, 0);
    else if (!m->no_embedding)
        gguf_add_tensor(&recipe, "token_embd.weight", 2, (const uint64_t[]){8, 10}, 0, 0);
    gguf_add_tensor(&recipe, m->head ? "output.weight" : "other", 2, (const uint64_t[]){8, 10}, 0, 320);
    recipe.data_nbytes = 640;
    const char *path = gguf_write_file(&recipe, "m.gguf");
    gguf_free(&recipe);
    return path;
}

static void what_must_be_there_is_named(void **state)
{
    (void)state;
    static const char *const needed[] = {"general.architecture",           "gemma3.embedding_length",        "gemma3.block_count",
                                         "gemma3.attention.head_count",    "gemma3.feed_forward_length",
                                                 "gemma3.attention.head_count_kv",
                                         "gemma3.attention.key_length",    "gemma3.context_length"};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        metadata m = plain();
        m.left_out = needed[i];
        opened o = open_path(write_metadata(&m));
        check_failure(needed[i], o.status, &o.error, GX_ERROR_FORMAT, needed[i]);
        close_opened(&o);
    }
}

static void other_architecture(gguf_recipe *r) { gguf_add_string(r, "general.architecture", "llama"); }
static void number_for_architecture(gguf_recipe *r) { gguf_add_u32(r, "general.architecture", 1); }
static void heads_by_layer(gguf_recipe *r)
{
    gguf_add_array(r, "gemma3.attention.head_count", GGUF_U32, 1);
    gguf_put(&r->pairs, 2, 4);
}
static void negative_layers(gguf_recipe *r) { gguf_add_number(r, "gemma3.block_count", GGUF_I32, UINT32_MAX, 4); }
static void many_layers(gguf_recipe *r) { gguf_add_u32(r, "gemma3.block_count", 65536); }
static void layers_in_words(gguf_recipe *r) { gguf_add_string(r, "gemma3.block_count", "3"); }
static void integer_theta(gguf_recipe *r) { gguf_add_u32(r, "gemma3.rope.freq_base", 10000); }
static void nan_theta(gguf_recipe *r) { gguf_add_number(r, "gemma3.rope.freq_base", GGUF_F32, 0x7fc00000, 4); }
static void infinite_epsilon(gguf_recipe *r) { gguf_add_number(r, "gemma3.attention.layer_norm_rms_epsilon", GGUF_F32, 0x7f800000, 4); }
static void pattern_0(gguf_recipe *r) { gguf_add_u32(r, "gemma3.attention.sliding_window_pattern", 0); }
static void short_pattern(gguf_recipe *r)
{
    gguf_add_array(r, "gemma3.attention.sliding_window_pattern", GGUF_BOOL, 2);
    gguf_put(&r->pairs, 1, 2);
}
static void yarn(gguf_recipe *r) { gguf_add_string(r, "gemma3.rope.scaling.type", "yarn"); }
static void no_heads(gguf_recipe *r) { gguf_add_u32(r, "gemma3.attention.head_count", 0); }

static void wrong_metadata_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *left_out;
        void (*add)(gguf_recipe *recipe);
        gx_status status;
        const char *words;
    } cases[] = {
        {"general.architecture", other_architecture, GX_ERROR_UNSUPPORTED, "architecture 'llama' is not a Gemma"},
        {"general.architecture", number_for_architecture, GX_ERROR_FORMAT, "no general.architecture"},
        {"gemma3.attention.head_count", heads_by_layer, GX_ERROR_UNSUPPORTED, "head_count is not one non-negative integer"},
        {"gemma3.attention.head_count", no_heads, GX_ERROR_FORMAT, "no attention heads"},
        {"gemma3.block_count", negative_layers, GX_ERROR_UNSUPPORTED, "block_count is not one non-negative integer"},
        {"gemma3.block_count", layers_in_words, GX_ERROR_UNSUPPORTED, "block_count is not one"},
        {"gemma3.block_count", many_layers, GX_ERROR_FORMAT, "65536 layers"},
        {"", integer_theta, GX_ERROR_FORMAT, "gemma3.rope.freq_base is not a finite float"},
        {"", nan_theta, GX_ERROR_FORMAT, "gemma3.rope.freq_base is not a finite float"},
        {"", infinite_epsilon, GX_ERROR_FORMAT, "layer_norm_rms_epsilon is not a finite float"},
        {"", pattern_0, GX_ERROR_FORMAT, "window pattern 0"},
        {"", short_pattern, GX_ERROR_UNSUPPORTED, "sliding_window_pattern is not one non-negative integer"},
        {"", yarn, GX_ERROR_UNSUPPORTED, "rope_type 'yarn'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        metadata m = plain();
        m.left_out = cases[i].left_out;
        m.add = cases[i].add;
        opened o = open_path(write_metadata(&m));
        check_failure(cases[i].words, o.status, &o.error, cases[i].status, cases[i].words);
        assert_non_null(strstr(o.error.message, "m.gguf"));
        close_opened(&o);
    }
}

static void the_embedding_gives_the_vocabulary(void **state)
{
    (void)state;
    metadata m = plain();
    check_config(write_metadata(&m), "{\"vocab_size\":10,\"tie_word_embeddings\":true}");
    m.head = true;
    check_config(write_metadata(&m), "{\"vocab_size\":10,\"tie_word_embeddings\":false}");
    m.no_embedding = true;
    opened none = open_path(write_metadata(&m));
    check_failure("none", none.status, &none.error, GX_ERROR_FORMAT, "no tensor 'token_embd.weight' of two dimensions");
    close_opened(&none);
    m.flat_embedding = true;
    opened flat = open_path(write_metadata(&m));
    check_failure("flat", flat.status, &flat.error, GX_ERROR_FORMAT, "'token_embd.weight' of two dimensions");
    close_opened(&flat);
}

static void per_layer_pattern(gguf_recipe *r)
{
    gguf_add_array(r, "gemma3.attention.sliding_window_pattern", GGUF_BOOL, 3);
    gguf_put(&r->pairs, 0x010001, 3);
}
static void softcap(gguf_recipe *r) { gguf_add_number(r, "gemma3.final_logit_softcapping", GGUF_F32, 0x41f00000, 4); }
static void odd_numbers(gguf_recipe *r)
{
    gguf_add_number(r, "gemma3.attention.layer_norm_rms_epsilon", GGUF_F32, 0x3727c5ac, 4); /* 1e-5 */
    gguf_add_number(r, "gemma3.rope.freq_base", GGUF_F32, 0x3dcccccd, 4);                   /* 0.1 */
}
static void no_scaling(gguf_recipe *r) { gguf_add_string(r, "gemma3.rope.scaling.type", "none"); }

static void optional_keys_count(void **state)
{
    (void)state;
    metadata m = plain();
    check_config(write_metadata(&m), "{\"rope_theta\":1000000.0,\"rope_local_base_freq\":10000.0,\"rms_norm_eps\":1e-6,"
                                     "\"query_pre_attn_scalar\":6,\"rope_scaling\":null}");
    m.add = per_layer_pattern;
    check_config(write_metadata(&m), "{\"layer_types\":[\"sliding_attention\",\"full_attention\",\"sliding_attention\"]}");
    m.add = softcap;
    check_config(write_metadata(&m), "{\"final_logit_softcapping\":30.0}");
    m.add = odd_numbers; /* fp32 numbers come back as they were written */
    check_config(write_metadata(&m), "{\"rms_norm_eps\":1e-05,\"rope_theta\":0.1}");
    m.add = no_scaling;
    check_config(write_metadata(&m), "{\"rope_scaling\":null}");
    m.add = NULL;
    m.left_out = "gemma3.attention.sliding_window";
    check_config(write_metadata(&m),
                 "{\"sliding_window\":null,\"layer_types\":[\"full_attention\",\"full_attention\",\"full_attention\"]}");
}

/* The one size whose attention scale is not that of head_dim is known by its depth. */
static void sixty_two_layers_scale_by_width(void **state)
{
    (void)state;
    metadata m = plain();
    m.layers = 62;
    m.hidden = 336;
    check_config(write_metadata(&m), "{\"query_pre_attn_scalar\":168}");
    m.layers = 61;
    check_config(write_metadata(&m), "{\"query_pre_attn_scalar\":6}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiny_files_say_what_their_recipes_say),
        cmocka_unit_test(what_must_be_there_is_named),
        cmocka_unit_test(wrong_metadata_is_refused),
        cmocka_unit_test(the_embedding_gives_the_vocabulary),
        cmocka_unit_test(optional_keys_count),
        cmocka_unit_test(sixty_two_layers_scale_by_width),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
