/* Files made from a GGUF's metadata against the tokenizer.json that Hugging Face's converter makes of the same vocabulary. */
#include <math.h>

#include "support.h"

#include "tokenizer/from_gguf.h"

#define MOST 1000

static yyjson_doc *golden;
static gx_gguf_piece pieces[MOST];
static double scores[MOST];
static int64_t types[MOST];
static gx_gguf_tokenizer source;

static int64_t number(const char *key)
{
    yyjson_val *value = yyjson_obj_get(yyjson_doc_get_root(golden), key);
    assert_true(yyjson_is_int(value));
    return yyjson_get_sint(value);
}

/* Fills the arrays anew: tests change them. */
static int set_up(void **state)
{
    (void)state;
    yyjson_val *root = yyjson_doc_get_root(golden), *tokens = yyjson_obj_get(root, "tokens"), *value;
    size_t index, count;
    assert_true(yyjson_arr_size(tokens) <= MOST);
    yyjson_arr_foreach(tokens, index, count, value) pieces[index] = (gx_gguf_piece){yyjson_get_str(value), yyjson_get_len(value)};
    yyjson_arr_foreach(yyjson_obj_get(root, "scores"), index, count, value) scores[index] = yyjson_get_num(value);
    yyjson_arr_foreach(yyjson_obj_get(root, "types"), index, count, value) types[index] = yyjson_get_sint(value);
    source = (gx_gguf_tokenizer){.name = "x.gguf",
                                 .kind = "llama",
                                 .pieces = pieces,
                                 .scores = scores,
                                 .types = types,
                                 .count = count,
                                 .bos = number("bos"),
                                 .eos = number("eos"),
                                 .unknown = number("unknown"),
                                 .padding = number("padding"),
                                 .add_bos = true};
    return 0;
}

static int set_up_group(void **state)
{
    (void)state;
    golden = read_document(FOLDER "small_source.json");
    return 0;
}

static int tear_down_group(void **state)
{
    (void)state;
    yyjson_doc_free(golden);
    return 0;
}

typedef gx_status (*writer)(const gx_gguf_tokenizer *, gx_text_sink, gx_error *);

static gx_status append(void *context, const void *bytes, size_t nbytes, gx_error *error)
{
    gx_buffer_append(context, bytes, nbytes);
    return gx_buffer_check(context, error);
}

static yyjson_doc *written(writer write)
{
    gx_buffer text = {0};
    gx_error error = {0};
    yyjson_doc *doc = NULL;
    if (write(&source, (gx_text_sink){append, &text}, &error) != GX_OK ||
        gx_json_parse(&doc, "written", (const char *)text.data, text.nbytes, &error) != GX_OK)
        fail_msg("%s", error.message);
    gx_buffer_deinit(&text);
    return doc;
}

static void test_same_as_converted(void **state)
{
    (void)state;
    yyjson_doc *got = written(gx_gguf_tokenizer_write), *expected = read_document(FOLDER "small.json");
    size_t index, count;
    yyjson_val *key, *value;
    yyjson_obj_foreach(yyjson_doc_get_root(expected), index, count, key, value)
    {
        if (!yyjson_equals(yyjson_obj_get(yyjson_doc_get_root(got), yyjson_get_str(key)), value))
            fail_msg("'%s' is different", yyjson_get_str(key));
    }
    assert_true(yyjson_equals(yyjson_doc_get_root(got), yyjson_doc_get_root(expected)));
    yyjson_doc_free(got);
    yyjson_doc_free(expected);
}

/* What we write, we read: the special tokens around a text follow the flags. */
static void assert_template(bool add_bos, bool add_eos, int64_t first, int64_t last, size_t extra)
{
    gx_buffer text = {0};
    gx_tokenizer *tokenizer = NULL;
    gx_token_ids plain = {0}, with = {0};
    source.add_bos = add_bos;
    source.add_eos = add_eos;
    assert_int_equal(gx_gguf_tokenizer_write(&source, (gx_text_sink){append, &text}, NULL), GX_OK);
    assert_int_equal(gx_tokenizer_parse(&tokenizer, "x", (const char *)text.data, text.nbytes, NULL), GX_OK);
    assert_int_equal(gx_tokenizer_encode(tokenizer, "the", 3, 0, &plain, NULL), GX_OK);
    assert_int_equal(gx_tokenizer_encode(tokenizer, "the", 3, GX_ENCODE_WITH_TEMPLATE, &with, NULL), GX_OK);
    assert_int_equal(with.count, plain.count + extra);
    assert_int_equal(with.ids[0], first < 0 ? plain.ids[0] : first);
    assert_int_equal(with.ids[with.count - 1], last < 0 ? plain.ids[plain.count - 1] : last);
    gx_token_ids_deinit(&plain);
    gx_token_ids_deinit(&with);
    gx_tokenizer_free(tokenizer);
    gx_buffer_deinit(&text);
}

static void test_template(void **state)
{
    (void)state;
    assert_template(true, false, 2, -1, 1);
    assert_template(false, true, -1, 1, 1);
    assert_template(true, true, 2, 1, 2);
    assert_template(false, false, -1, -1, 0);
    source.bos = source.eos = -1; /* nothing to add */
    assert_template(true, true, -1, -1, 0);
}

static void test_config(void **state)
{
    (void)state;
    source.chat_template = "{{ '<b>\"\\x\\n' }}\n\t\x01\xC3\xA9";
    source.longest = 32768;
    yyjson_doc *doc = written(gx_gguf_tokenizer_config_write);
    yyjson_val *root = yyjson_doc_get_root(doc);
    assert_string_equal(yyjson_get_str(yyjson_obj_get(root, "chat_template")), source.chat_template);
    assert_string_equal(yyjson_get_str(yyjson_obj_get(root, "bos_token")), "<bos>");
    assert_string_equal(yyjson_get_str(yyjson_obj_get(root, "eos_token")), "<eos>");
    assert_string_equal(yyjson_get_str(yyjson_obj_get(root, "pad_token")), "<pad>");
    assert_string_equal(yyjson_get_str(yyjson_obj_get(root, "unk_token")), "<unk>");
    assert_string_equal(yyjson_get_str(yyjson_obj_get(root, "tokenizer_class")), "GemmaTokenizer");
    assert_int_equal(yyjson_get_uint(yyjson_obj_get(root, "model_max_length")), 32768);
    assert_true(yyjson_is_true(yyjson_obj_get(root, "add_bos_token")));
    assert_true(yyjson_is_false(yyjson_obj_get(root, "add_eos_token")));
    yyjson_doc_free(doc);
    source = (gx_gguf_tokenizer){.name = "x",
                                 .kind = "llama",
                                 .pieces = pieces,
                                 .scores = scores,
                                 .types = types,
                                 .count = 300,
                                 .bos = -1,
                                 .eos = -1,
                                 .unknown = -1,
                                 .padding = -1};
    doc = written(gx_gguf_tokenizer_config_write);
    assert_null(yyjson_obj_get(yyjson_doc_get_root(doc), "bos_token"));
    assert_null(yyjson_obj_get(yyjson_doc_get_root(doc), "chat_template"));
    assert_null(yyjson_obj_get(yyjson_doc_get_root(doc), "model_max_length"));
    yyjson_doc_free(doc);
}

/* ---- refusals ---- */

static void assert_refused(gx_status status, const char *words)
{
    gx_buffer text = {0};
    static const writer writers[] = {gx_gguf_tokenizer_write, gx_gguf_tokenizer_config_write};
    for (size_t i = 0; i < 2; i++) {
        gx_error error = {0};
        assert_int_equal(writers[i](&source, (gx_text_sink){append, &text}, &error), status);
        if (!strstr(error.message, words) || !strstr(error.message, "x.gguf"))
            fail_msg("'%s' does not say '%s'", error.message, words);
    }
    assert_int_equal(text.nbytes, 0);
    set_up(NULL);
}

static void test_refusals(void **state)
{
    (void)state;
    static char long_piece[1025];
    memset(long_piece, 'a', sizeof long_piece);
    source.kind = "gpt2";
    assert_refused(GX_ERROR_UNSUPPORTED, "'gpt2'");
    source.kind = NULL;
    assert_refused(GX_ERROR_UNSUPPORTED, "'missing'");
    source.count = 0;
    assert_refused(GX_ERROR_FORMAT, "same length");
    source.scores = NULL;
    assert_refused(GX_ERROR_FORMAT, "same length");
    source.bos = (int64_t)source.count;
    assert_refused(GX_ERROR_FORMAT, "bos_token_id");
    source.padding = -2;
    assert_refused(GX_ERROR_FORMAT, "padding_token_id");
    pieces[300] = (gx_gguf_piece){"\xFF", 1};
    assert_refused(GX_ERROR_FORMAT, "token 300 is not valid UTF-8");
    pieces[300] = (gx_gguf_piece){"", 0};
    assert_refused(GX_ERROR_FORMAT, "token 300 is 0 bytes");
    pieces[300] = (gx_gguf_piece){long_piece, sizeof long_piece};
    assert_refused(GX_ERROR_FORMAT, "token 300 is 1025 bytes");
    types[300] = 7;
    assert_refused(GX_ERROR_FORMAT, "type 7");
    scores[300] = NAN;
    assert_refused(GX_ERROR_FORMAT, "score of token 300");
    source.chat_template = "\xC3";
    assert_refused(GX_ERROR_FORMAT, "chat_template");
}

static void test_same_piece_twice(void **state)
{
    (void)state;
    gx_buffer text = {0};
    gx_error error = {0};
    pieces[301] = pieces[300];
    assert_int_equal(gx_gguf_tokenizer_write(&source, (gx_text_sink){append, &text}, &error), GX_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "tokens 300 and 301"));
    gx_buffer_deinit(&text);
}

static gx_status refuse_first(void *context, const void *bytes, size_t nbytes, gx_error *error)
{
    (void)bytes;
    (void)nbytes;
    return ++*(int *)context == 1 ? gx_fail(error, GX_ERROR_IO, "disk full") : GX_OK;
}

static void test_sink_fails(void **state)
{
    (void)state;
    int calls = 0;
    assert_int_equal(gx_gguf_tokenizer_write(&source, (gx_text_sink){refuse_first, &calls}, NULL), GX_ERROR_IO);
    assert_int_equal(calls, 1);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    gx_status status = GX_ERROR_MEMORY;
    uint64_t n = 1;
    for (; status != GX_OK && n < 1000; n++) {
        gx_buffer text = {0};
        gx_alloc_fail_after(n);
        status = gx_gguf_tokenizer_write(&source, (gx_text_sink){append, &text}, NULL);
        gx_alloc_fail_after(0);
        assert_true(status == GX_OK || status == GX_ERROR_MEMORY);
        gx_buffer_deinit(&text);
    }
    assert_int_equal(status, GX_OK);
    assert_true(n > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_same_as_converted, set_up),
        cmocka_unit_test_setup(test_template, set_up),
        cmocka_unit_test_setup(test_config, set_up),
        cmocka_unit_test_setup(test_refusals, set_up),
        cmocka_unit_test_setup(test_same_piece_twice, set_up),
        cmocka_unit_test_setup(test_sink_fails, set_up),
        cmocka_unit_test_setup(test_out_of_memory, set_up),
    };
    return cmocka_run_group_tests(tests, set_up_group, tear_down_group);
}
