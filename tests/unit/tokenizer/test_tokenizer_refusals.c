/* What a tokenizer.json may not say: a good one with one thing changed must be refused for that thing. */
#include "support.h"

static gx_arena *arena;
static char *good;
static size_t good_nbytes;

static int set_up(void **state)
{
    (void)state;
    arena = gx_arena_new();
    return !arena || gx_file_read_all(arena, FOLDER "quirks.json", 1 << 20, &good, &good_nbytes, NULL) != GX_OK;
}

static int tear_down(void **state)
{
    (void)state;
    gx_arena_free(arena);
    return 0;
}

/* The first `from` after `after` replaced. */
static char *changed(const char *after, const char *from, const char *to)
{
    char *at = strstr(good, after);
    at = at ? strstr(at, from) : NULL;
    if (!at)
        fail_msg("'%s' after '%s' is not in the file", from, after);
    char *text = gx_arena_printf(arena, "%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
    assert_non_null(text);
    return text;
}

static const struct change {
    const char *after, *from, *to;
    gx_status status;
    const char *words;
} changes[] = {
    {"\"model\"", "\"model\"", "\"xodel\"", GX_ERROR_FORMAT, "no 'model'"},
    {"\"model\"", "\"BPE\"", "\"Unigram\"", GX_ERROR_UNSUPPORTED, "'Unigram'"},
    {"\"model\"", "\"dropout\":null", "\"dropout\":0.1", GX_ERROR_UNSUPPORTED, "'dropout'"},
    {"\"model\"", "\"ignore_merges\":false", "\"ignore_merges\":true", GX_ERROR_UNSUPPORTED, "'ignore_merges'"},
    {"\"model\"", "\"continuing_subword_prefix\":null", "\"continuing_subword_prefix\":\"##\"", GX_ERROR_UNSUPPORTED,
     "continuing_subword_prefix"},
    {"\"model\"", "\"end_of_word_suffix\":null", "\"end_of_word_suffix\":\"x\"", GX_ERROR_UNSUPPORTED, "end_of_word_suffix"},
    {"\"model\"", "\"unk_token\":\"<unk>\"", "\"unk_token\":\"<none>\"", GX_ERROR_FORMAT, "'unk_token'"},
    {"\"model\"", "\"fuse_unk\":true", "\"fuse_unk\":1", GX_ERROR_FORMAT, "'fuse_unk'"},
    {"\"model\"", "\"byte_fallback\":true", "\"byte_fallback\":\"yes\"", GX_ERROR_FORMAT, "'byte_fallback'"},
    {"\"model\"", "\"vocab\":{", "\"vocab\":0,\"x\":{", GX_ERROR_FORMAT, "'vocab'"},
    {"\"vocab\"", "\"<pad>\":0", "\"<pad>\":-1", GX_ERROR_FORMAT, "id is not a whole number"},
    {"\"vocab\"", "\"<pad>\":0", "\"<pad>\":4194304", GX_ERROR_FORMAT, "id is not a whole number"},
    {"\"vocab\"", "\"<pad>\":0", "\"<pad>\":1e3", GX_ERROR_FORMAT, "id is not a whole number"},
    {"\"vocab\"", "\"<pad>\":0", "\"<pad>\":1", GX_ERROR_FORMAT, "two tokens have the id 1"},
    {"\"vocab\"", "\"<0x00>\":6", "\"<0x01>\":6", GX_ERROR_FORMAT, "are both '<0x01>'"},
    {"\"vocab\"", "\"<pad>\":0", "\"\":0", GX_ERROR_FORMAT, "token 0 has no text"},
    {"\"model\"", "\"merges\":[", "\"merges\":{\"x\":1},\"y\":[", GX_ERROR_FORMAT, "'merges'"},
    {"\"merges\"", "\"a b\"", "\"a\"", GX_ERROR_FORMAT, "merge 0 is not a pair"},
    {"\"merges\"", "\"a b\"", "\"a b c\"", GX_ERROR_FORMAT, "merge 0 is not a pair"},
    {"\"merges\"", "\"a b\"", "[\"a\"]", GX_ERROR_FORMAT, "merge 0 is not a pair"},
    {"\"merges\"", "\"a b\"", "[\"a\",1]", GX_ERROR_FORMAT, "merge 0 is not a pair"},
    {"\"merges\"", "\"a b\"", "7", GX_ERROR_FORMAT, "merge 0 is not a pair"},
    {"\"merges\"", "\"b c\"", "\"b z\"", GX_ERROR_FORMAT, "merge 1, 'b' and 'z'"},
    {"\"merges\"", "\"b c\"", "\"c b\"", GX_ERROR_FORMAT, "merge 1, 'c' and 'b'"},
    {"\"normalizer\"", "\"Replace\"", "\"NFKC\"", GX_ERROR_UNSUPPORTED, "'normalizer' is NFKC"},
    {"\"normalizer\"", "\"content\":\"\xE2\x96\x81\"", "\"content\":\"_\"", GX_ERROR_UNSUPPORTED, "'normalizer' is Replace"},
    {"\"normalizer\"", "\"normalizers\":[", "\"normalizers\":[{\"type\":\"Lowercase\"},", GX_ERROR_UNSUPPORTED, "'normalizer' is Sequence"},
    {"\"normalizer\"", "\"normalizer\"", "\"xormalizer\"", GX_ERROR_UNSUPPORTED, "'normalizer'"},
    {"\"pre_tokenizer\"", ":null", ":{\"type\":\"ByteLevel\"}", GX_ERROR_UNSUPPORTED, "'pre_tokenizer' is ByteLevel"},
    {"\"pre_tokenizer\"", ":null", ":{\"type\":\"Split\",\"pattern\":{\"Regex\":\" \"},\"behavior\":\"MergedWithPrevious\"}",
     GX_ERROR_UNSUPPORTED, "'pre_tokenizer' is Split"},
    {"\"decoder\"", "\"Fuse\"", "\"Strip\"", GX_ERROR_UNSUPPORTED, "'decoder' is Sequence"},
    {"\"decoder\"", "\"decoder\":{", "\"decoder\":null,\"x\":{", GX_ERROR_UNSUPPORTED, "'decoder' is null"},
    {"\"post_processor\"", "\"TemplateProcessing\"", "\"RobertaProcessing\"", GX_ERROR_UNSUPPORTED,
     "'post_processor' is RobertaProcessing"},
    {"\"single\"", "\"Sequence\"", "\"Something\"", GX_ERROR_FORMAT, "item 2 of 'single'"},
    {"\"single\"", "\"single\"", "\"xingle\"", GX_ERROR_FORMAT, "leaves out the text"},
    {"\"single\"", "\"id\":\"<bos>\"", "\"id\":\"<xos>\"", GX_ERROR_FORMAT, "'<xos>'"},
    {"\"special_tokens\"", "\"ids\":[2]", "\"ids\":[99999]", GX_ERROR_FORMAT, "no token's"},
    {"\"special_tokens\"", "\"ids\":[2]", "\"ids\":[2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2]", GX_ERROR_UNSUPPORTED, "more than 16"},
    {"\"added_tokens\"", "\"added_tokens\":[", "\"added_tokens\":3,\"x\":[", GX_ERROR_FORMAT, "'added_tokens' is a"},
    {"\"added_tokens\"", "\"id\":0", "\"id\":1", GX_ERROR_FORMAT, "two tokens have the id 1"},
    {"\"added_tokens\"", "\"id\":0", "\"xd\":0", GX_ERROR_FORMAT, "id is not a whole number"},
    {"\"added_tokens\"", "\"content\":\"<pad>\"", "\"content\":7", GX_ERROR_FORMAT, "token 0 has no text"},
    {"\"added_tokens\"", "\"single_word\":false", "\"single_word\":true", GX_ERROR_UNSUPPORTED, "'<pad>' is 'single_word'"},
    {"\"added_tokens\"", "\"special\":true", "\"special\":\"\"", GX_ERROR_FORMAT, "'special'"},
    {"{", "{", "{{", GX_ERROR_FORMAT, "line 1, column 2"},
};

static void test_changes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        gx_tokenizer *tokenizer = NULL;
        gx_error error = {0};
        const char *text = changed(changes[i].after, changes[i].from, changes[i].to);
        const gx_status status = gx_tokenizer_parse(&tokenizer, "some.json", text, strlen(text), &error);
        if (status != changes[i].status || !strstr(error.message, changes[i].words) || !strstr(error.message, "some.json") || tokenizer)
            fail_msg("'%s' → '%s': status %d, '%s' does not say '%s'", changes[i].from, changes[i].to, (int)status, error.message,
                     changes[i].words);
    }
}

static void test_not_a_tokenizer(void **state)
{
    (void)state;
    static const char *const texts[] = {"[]", "3", "{}", "{\"model\":[]}", "{\"model\":{}}"};
    gx_tokenizer *tokenizer = NULL;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_not_equal(gx_tokenizer_parse(&tokenizer, "x", texts[i], strlen(texts[i]), NULL), GX_OK);
    assert_int_equal(gx_tokenizer_load(&tokenizer, FOLDER "none.json", NULL), GX_ERROR_IO);
    assert_null(tokenizer);
}

/* Every way to cut the file short is refused; none crashes. */
static void test_cut_short(void **state)
{
    (void)state;
    gx_tokenizer *tokenizer = NULL;
    for (size_t nbytes = 0; nbytes + 1 < good_nbytes; nbytes++)
        assert_int_equal(gx_tokenizer_parse(&tokenizer, "x", good, nbytes, NULL), GX_ERROR_FORMAT);
    assert_int_equal(gx_tokenizer_parse(&tokenizer, "x", good, good_nbytes, NULL), GX_OK);
    gx_tokenizer_free(tokenizer);
}

/* Text that is too long is refused before it is read. */
static void test_text_too_long(void **state)
{
    (void)state;
    gx_tokenizer *tokenizer = NULL;
    gx_token_ids ids = {0};
    assert_int_equal(gx_tokenizer_parse(&tokenizer, "x", good, good_nbytes, NULL), GX_OK);
    assert_int_equal(gx_tokenizer_encode(tokenizer, "", ((size_t)1 << 30) + 1, 0, &ids, NULL), GX_ERROR_ARGUMENT);
    gx_tokenizer_free(tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_not_a_tokenizer),
        cmocka_unit_test(test_cut_short),
        cmocka_unit_test(test_text_too_long),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
