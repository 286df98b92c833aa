/* What is a Hub id, and which names from a server may become paths. */
#include "hub/model_id.h"
#include "hub_support.h"

static char long_name[5000];

static const char *letters(size_t count)
{
    memset(long_name, 'a', count);
    long_name[count] = 0;
    return long_name;
}

static const char *shown(const char *text)
{
    return text ? text : "-";
}

static void good_ids(void **state)
{
    (void)state;
    static const struct {
        const char *text, *repository, *revision, *file;
    } cases[] = {
        {"google/gemma-3-270m", "google/gemma-3-270m", NULL, NULL},
        {"a/b", "a/b", NULL, NULL},
        {"_x_/B.c_d-1", "_x_/B.c_d-1", NULL, NULL},
        {"a/b.-c", "a/b.-c", NULL, NULL}, /* as the Hub has it: no two alike in a row */
        {"org/name@main", "org/name", "main", NULL},
        {"org/name@refs/pr/7", "org/name", "refs/pr/7", NULL},
        {"org/name@v1.0-rc+2_x", "org/name", "v1.0-rc+2_x", NULL},
        {"org/name@" COMMIT, "org/name", COMMIT, NULL},
        {"org/name:x.gguf", "org/name", NULL, "x.gguf"},
        {"org/name:sub/x y.gguf", "org/name", NULL, "sub/x y.gguf"},
        {"org/name@dev:sub/x.gguf", "org/name", "dev", "sub/x.gguf"},
        {"org/name:a@b:c.gguf", "org/name", NULL, "a@b:c.gguf"}, /* after the colon all is the file's name */
    };
    gx_arena *arena = gx_arena_new();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gx_model_id id = {0};
        if (!gx_model_id_parse(&id, arena, cases[i].text))
            fail_msg("%s is refused", cases[i].text);
        assert_string_equal(id.repository, cases[i].repository);
        assert_string_equal(shown(id.revision), shown(cases[i].revision));
        assert_string_equal(shown(id.file), shown(cases[i].file));
    }
    gx_arena_free(arena);
}

static void bad_ids(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "", "/", "name", "org/", "/name", "org//name", "a/b/c", "./name", "../name", "org/.", "org/..", "org/.name", "org/name.", "-org/name", "org-/name",
        "org/name-", "o--rg/name", "org/na--me", "org/na..me", "o..rg/name", "org/na me", " org/name", "org/name ", "org/name\n", "org/na\\me", "org/n\303\244me",
        "org/name?x", "org/name#x", "org/name%2e", "https://huggingface.co/org/name", "C:/models/x", "~/models", "org@main/name", "org:x/name",
        "org/name@", "org/name:", "org/name@:x.gguf", "org/name@main:", "org/name@../x", "org/name@a//b", "org/name@/main", "org/name@main/", "org/name@a..b",
        "org/name@a b", "org/name@a@b", "org/name@a\\b", "org/name@a%b", "org/name@.", "org/name:/etc/passwd", "org/name:../x.gguf", "org/name:a/../x.gguf",
        "org/name:a/./x.gguf", "org/name:a//x.gguf", "org/name:x.gguf/", "org/name:a\\x.gguf", "org/name:a\tx.gguf", "org/name:..",
    };
    gx_arena *arena = gx_arena_new();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gx_model_id id = {.repository = "untouched"};
        if (gx_model_id_parse(&id, arena, cases[i]))
            fail_msg("'%s' is taken for an id", cases[i]);
        assert_string_equal(id.repository, "untouched");
    }
    gx_arena_free(arena);
}

static void long_ids(void **state)
{
    (void)state;
    gx_arena *arena = gx_arena_new();
    for (size_t length = 95; length <= 98; length++) { /* the Hub's limit is 96 for each part */
        gx_model_id id;
        assert_int_equal(gx_model_id_parse(&id, arena, gx_arena_printf(arena, "org/%s", letters(length))), length <= 96);
        assert_int_equal(gx_model_id_parse(&id, arena, gx_arena_printf(arena, "%s/name", letters(length))), length <= 96);
    }
    gx_arena_free(arena);
}

static void file_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool safe;
    } cases[] = {
        {"config.json", true}, {"a/b/c.safetensors", true}, {".gitattributes", true}, {"...", true}, {"a/.../b", true}, {"..a", true}, {"a..", true},
        {"with space", true}, {"\303\244.json", true}, {"a:b", true}, {"%2e%2e/x", true}, {"~/x", true}, {"-rf", true},
        {"", false}, {"/", false}, {"/etc/passwd", false}, {"//x", false}, {"a//b", false}, {"a/", false}, {".", false}, {"..", false}, {"./x", false},
        {"../x", false}, {"a/.", false}, {"a/..", false}, {"a/./b", false}, {"a/../b", false}, {"a/../../b", false}, {"..\\x", false}, {"a\\b", false},
        {"C:\\x", false}, {"a\nb", false}, {"a\tb", false}, {"\001", false}, {"a\177b", false}, {"\033[31m", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (gx_is_safe_file_name(cases[i].name) != cases[i].safe)
            fail_msg("'%s' is %s", cases[i].name, cases[i].safe ? "refused" : "let through");
}

static void long_file_names(void **state)
{
    (void)state;
    char path[1400];
    assert_true(gx_is_safe_file_name(letters(255)));
    assert_false(gx_is_safe_file_name(letters(256)));
    assert_false(gx_is_safe_file_name(letters(4096)));
    memset(path, 'a', sizeof path);
    for (size_t i = 200; i < sizeof path; i += 201)
        path[i] = '/';
    path[1024] = 0;
    assert_true(gx_is_safe_file_name(path));
    path[1024] = 'a';
    path[1025] = 0;
    assert_false(gx_is_safe_file_name(path));
}

static void revisions(void **state)
{
    (void)state;
    assert_true(gx_is_safe_revision("main"));
    assert_true(gx_is_safe_revision("refs/pr/1"));
    assert_true(gx_is_safe_revision(COMMIT));
    static const char *const bad[] = {"", "..", "../x", "a..b", "/a", "a/", "a//b", "a b", "a?b", "a#b", "a%2fb", "a\\b", "a\nb", "a:b", "a@b", "\303\244"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (gx_is_safe_revision(bad[i]))
            fail_msg("'%s' is let through", bad[i]);
    assert_false(gx_is_safe_revision(letters(4096)));
}

static void commits(void **state)
{
    (void)state;
    assert_true(gx_is_commit(COMMIT));
    assert_false(gx_is_commit(""));
    assert_false(gx_is_commit("main"));
    assert_false(gx_is_commit("0123456789abcdef0123456789abcdef0123456"));
    assert_false(gx_is_commit(COMMIT "8"));
    assert_false(gx_is_commit("0123456789ABCDEF0123456789abcdef01234567"));
    assert_false(gx_is_commit("g123456789abcdef0123456789abcdef01234567"));
}

static void without_memory(void **state)
{
    (void)state;
    gx_model_id id = {.repository = "untouched"};
    const char *text = "org/name@main:x.gguf";
    for (uint64_t n = 1; n <= 2; n++) { /* the arena's first block comes with its first string */
        gx_arena *arena = gx_arena_new();
        gx_alloc_fail_after(n);
        const bool parsed = gx_model_id_parse(&id, arena, text);
        gx_alloc_fail_after(0);
        assert_int_equal(parsed, n == 2);
        gx_arena_free(arena);
        if (n == 1)
            assert_string_equal(id.repository, "untouched");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_ids),
        cmocka_unit_test(bad_ids),
        cmocka_unit_test(long_ids),
        cmocka_unit_test(file_names),
        cmocka_unit_test(long_file_names),
        cmocka_unit_test(revisions),
        cmocka_unit_test(commits),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
