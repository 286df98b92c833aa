/* Options, then the environment of huggingface_hub, then its defaults. */
#include "hub_support.h"

static char home[512];

typedef struct variable {
    const char *name, *value; /* a leading % in a value is the home folder */
} variable;

static const char *full(const char *value)
{
    static char paths[2][1024];
    static unsigned next;
    if (!value || value[0] != '%')
        return value;
    char *path = paths[next++ % 2];
    snprintf(path, sizeof paths[0], "%s%s", home, value + 1);
    return path;
}

static void set_environment(const variable *variables)
{
    clear_environment();
    setenv("HOME", home, 1);
    for (size_t i = 0; variables[i].name; i++)
        setenv(variables[i].name, full(variables[i].value), 1);
}

static void make(gx_hub_settings *out, gx_arena *arena, const gx_hub_options *options)
{
    gx_error error = {0};
    check_ok("settings", gx_hub_settings_make(out, arena, options, &error), &error);
}

static void refuse(const gx_hub_options *options, const char *words)
{
    gx_arena *arena = gx_arena_new();
    gx_hub_settings s;
    gx_error error = {0};
    const gx_status status = gx_hub_settings_make(&s, arena, options, &error);
    check_failure(words, status, &error, status, words);
    assert_int_not_equal(status, GX_OK);
    gx_arena_free(arena);
}

static void without_any(void **state)
{
    (void)state;
    gx_arena *arena = gx_arena_new();
    gx_hub_settings s;
    set_environment((variable[]){{0}});
    make(&s, arena, NULL);
    assert_string_equal(s.endpoint, "https://huggingface.co");
    assert_string_equal(s.cache_dir, full("%/.cache/huggingface/hub"));
    assert_null(s.token);
    assert_null(s.local_dir);
    assert_null(s.ca_file);
    assert_false(s.offline);
    assert_int_equal(s.connections, 8);
    assert_int_equal(s.stall_seconds, 10);
    gx_arena_free(arena);
}

static void where_the_cache_is(void **state)
{
    (void)state;
    static const struct {
        variable set[5];
        const char *option, *expected;
    } cases[] = {
        {{{"XDG_CACHE_HOME", "/xdg"}}, NULL, "/xdg/huggingface/hub"},
        {{{"XDG_CACHE_HOME", "/xdg"}, {"HF_HOME", "/hf"}}, NULL, "/hf/hub"},
        {{{"HF_HOME", "~/hf"}}, NULL, "%/hf/hub"},
        {{{"HF_HOME", "/hf/"}}, NULL, "/hf/hub"},
        {{{"HF_HOME", "/hf"}, {"HUGGINGFACE_HUB_CACHE", "/old"}}, NULL, "/old"},
        {{{"HF_HOME", "/hf"}, {"HUGGINGFACE_HUB_CACHE", "/old"}, {"HF_HUB_CACHE", "/new"}}, NULL, "/new"},
        {{{"HF_HUB_CACHE", "~/new"}}, NULL, "%/new"},
        {{{"HF_HUB_CACHE", "/new"}, {"HF_HOME", "/hf"}}, "/option", "/option"},
        {{{"HF_HUB_CACHE", ""}, {"HF_HOME", ""}, {"XDG_CACHE_HOME", ""}}, NULL, "%/.cache/huggingface/hub"}, /* empty is unset */
        {{{"HOME", ""}, {"HF_HUB_CACHE", "/new"}}, NULL, "/new"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gx_arena *arena = gx_arena_new();
        gx_hub_options options;
        gx_hub_settings s;
        gx_hub_options_default(&options);
        options.cache_dir = cases[i].option;
        set_environment(cases[i].set);
        make(&s, arena, &options);
        assert_string_equal(s.cache_dir, full(cases[i].expected));
        gx_arena_free(arena);
    }
    set_environment((variable[]){{"HOME", ""}, {0}});
    refuse(NULL, "no folder for the cache");
}

static void which_token(void **state)
{
    (void)state;
    static const struct {
        variable set[5];
        const char *option, *expected;
    } cases[] = {
        {{{0}}, NULL, "from-default-file"},
        {{{"HF_TOKEN", "new"}, {"HUGGING_FACE_HUB_TOKEN", "old"}}, NULL, "new"},
        {{{"HUGGING_FACE_HUB_TOKEN", "old"}}, NULL, "old"},
        {{{"HF_TOKEN", ""}, {"HUGGING_FACE_HUB_TOKEN", "old"}}, NULL, "old"},
        {{{"HF_TOKEN", " \tnew\r\n"}}, NULL, "new"},
        {{{"HF_TOKEN_PATH", "%/other-token"}}, NULL, "from-other-file"}, /* white space around it */
        {{{"HF_TOKEN_PATH", "~/other-token"}}, NULL, "from-other-file"},
        {{{"HF_TOKEN_PATH", "%/absent"}}, NULL, NULL},
        {{{"HF_TOKEN_PATH", "%/empty-token"}}, NULL, NULL},
        {{{"HF_TOKEN_PATH", "%/other-token"}, {"HF_TOKEN", "new"}}, NULL, "new"},
        {{{"HF_HOME", "%/hf"}}, NULL, "from-hf-home"},
        {{{"HF_TOKEN", "new"}}, "option", "option"},
        {{{"HF_TOKEN", "new"}}, "  option\n", "option"},
        {{{"HF_TOKEN", "new"}}, "", NULL}, /* none, though one is set */
        {{{"HF_TOKEN", "new"}, {"HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"}}, NULL, NULL},
        {{{"HF_HUB_DISABLE_IMPLICIT_TOKEN", "true"}}, NULL, NULL},
        {{{"HF_TOKEN", "new"}, {"HF_HUB_DISABLE_IMPLICIT_TOKEN", "0"}}, NULL, "new"},
        {{{"HF_TOKEN", "new"}, {"HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"}}, "option", "option"},
    };
    scratch_write_text("home/.cache/huggingface/token", "from-default-file");
    scratch_write_text("home/other-token", "\n  from-other-file \r\n");
    scratch_write_text("home/empty-token", " \n");
    scratch_write_text("home/hf/token", "from-hf-home\n");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gx_arena *arena = gx_arena_new();
        gx_hub_options options;
        gx_hub_settings s;
        gx_hub_options_default(&options);
        options.token = cases[i].option;
        set_environment(cases[i].set);
        make(&s, arena, &options);
        if (!s.token != !cases[i].expected || (s.token && strcmp(s.token, cases[i].expected) != 0))
            fail_msg("case %zu: %s", i, s.token ? s.token : "no token");
        gx_arena_free(arena);
    }
    unlink(scratch_path("home/.cache/huggingface/token"));
}

/* It becomes a line of a request: a second line in it would be another header. And no message may tell it. */
static void tokens_that_are_none(void **state)
{
    (void)state;
    static const char *const bad[] = {"hf_geheim\nX-Evil: 1", "hf_geheim\r\nX-Evil: 1", "hf geheim", "hf\tgeheim", "hf_geheim\177", "hf_gehe\303\255m", "hf\001geheim"};
    char *const long_token = gx_alloc(5001, 1);
    memset(long_token, 'x', 5000);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        for (int from = 0; from < 3; from++) {
            static const char *const places[] = {"the command line", "HF_TOKEN holds", "bad-token holds"};
            gx_arena *arena = gx_arena_new();
            gx_hub_options options;
            gx_hub_settings s;
            gx_error error = {0};
            gx_hub_options_default(&options);
            scratch_write_text("home/bad-token", bad[i]);
            set_environment((variable[]){{from == 1 ? "HF_TOKEN" : "HF_TOKEN_PATH", from == 1 ? bad[i] : "%/bad-token"}, {0}});
            options.token = from == 0 ? bad[i] : NULL;
            check_failure(bad[i], gx_hub_settings_make(&s, arena, &options, &error), &error, GX_ERROR_ARGUMENT, places[from]);
            assert_null(strstr(error.message, "geheim"));
            gx_arena_free(arena);
        }
    }
    scratch_write("home/bad-token", "hf_x\0y", 6); /* half of it is another token */
    set_environment((variable[]){{"HF_TOKEN_PATH", "%/bad-token"}, {0}});
    refuse(NULL, "bad-token");
    scratch_write_text("home/bad-token", long_token);
    refuse(NULL, "bad-token: 5000 bytes, expected at most 4096");
    set_environment((variable[]){{"HF_TOKEN_PATH", "%"}, {0}});
    refuse(NULL, "not a regular file");
    gx_free(long_token);
}

/* With its header's name a token must fit into one line of a request: that of transfers.c is 4,608 bytes long. */
static void a_long_token_from_anywhere(void **state)
{
    (void)state;
    gx_hub_options options;
    char *const token = gx_alloc(6001, 1);
    memset(token, 'x', 6000);
    gx_hub_options_default(&options);
    set_environment((variable[]){{"HF_TOKEN", token}, {0}});
    refuse(NULL, "HF_TOKEN");
    set_environment((variable[]){{0}});
    options.token = token;
    refuse(&options, "the command line");
    gx_free(token);
}

static void offline_or_not(void **state)
{
    (void)state;
    static const struct {
        variable set[3];
        bool option, expected;
    } cases[] = {
        {{{"HF_HUB_OFFLINE", "1"}}, false, true},     {{{"HF_HUB_OFFLINE", "on"}}, false, true},        {{{"HF_HUB_OFFLINE", "Yes"}}, false, true},
        {{{"HF_HUB_OFFLINE", "TRUE"}}, false, true},  {{{"HF_HUB_OFFLINE", "0"}}, false, false},        {{{"HF_HUB_OFFLINE", "no"}}, false, false},
        {{{"HF_HUB_OFFLINE", ""}}, false, false},     {{{"HF_HUB_OFFLINE", "2"}}, false, false},        {{{"HF_HUB_OFFLINE", " 1"}}, false, false},
        {{{"HF_HUB_OFFLINE", "true "}}, false, false}, {{{"TRANSFORMERS_OFFLINE", "1"}}, false, true},   {{{"HF_HUB_OFFLINE", "0"}}, true, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gx_arena *arena = gx_arena_new();
        gx_hub_options options;
        gx_hub_settings s;
        gx_hub_options_default(&options);
        options.offline = cases[i].option;
        set_environment(cases[i].set);
        make(&s, arena, &options);
        if (s.offline != cases[i].expected)
            fail_msg("case %zu: %s", i, s.offline ? "offline" : "not offline");
        gx_arena_free(arena);
    }
}

static void which_endpoint(void **state)
{
    (void)state;
    static const struct {
        const char *variable, *option, *expected;
    } cases[] = {
        {"https://hub.example", NULL, "https://hub.example"},
        {"https://hub.example/", NULL, "https://hub.example"},
        {"https://hub.example///", NULL, "https://hub.example"},
        {"https://hub.example/mirror/", NULL, "https://hub.example/mirror"},
        {"http://127.0.0.1:8080/", NULL, "http://127.0.0.1:8080"},
        {"https://hub.example", "https://other.example/", "https://other.example"},
        {"", NULL, "https://huggingface.co"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gx_arena *arena = gx_arena_new();
        gx_hub_options options;
        gx_hub_settings s;
        gx_hub_options_default(&options);
        options.endpoint = cases[i].option;
        set_environment((variable[]){{"HF_ENDPOINT", cases[i].variable}, {0}});
        make(&s, arena, &options);
        assert_string_equal(s.endpoint, cases[i].expected);
        gx_arena_free(arena);
    }
}

static void endpoints_that_are_none(void **state)
{
    (void)state;
    gx_hub_options options;
    gx_hub_options_default(&options);
    set_environment((variable[]){{"HF_ENDPOINT", "http://hub.example"}, {0}});
    refuse(NULL, "the endpoint (HF_ENDPOINT): 'http://hub.example' is not https");
    options.endpoint = "hub.example";
    refuse(&options, "the endpoint (--endpoint): 'hub.example' is no URL");
    options.endpoint = "///";
    refuse(&options, "the endpoint (--endpoint): '' is no URL");
}

/* Paths are put after it: what follows a '?' or '#' would swallow them, and everything would be asked of one address. */
static void endpoints_with_a_query(void **state)
{
    (void)state;
    gx_hub_options options;
    gx_hub_options_default(&options);
    set_environment((variable[]){{0}});
    options.endpoint = "https://hub.example/?x=";
    refuse(&options, "the endpoint (--endpoint)");
    options.endpoint = "https://hub.example/#";
    refuse(&options, "the endpoint (--endpoint)");
}

static void the_rest(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        unsigned expected;
    } seconds[] = {{"30", 30}, {"3599", 3599}, {"0", 10}, {"-5", 10}, {"x", 10}, {"", 10}, {"99999999999999999999", 10}};
    gx_arena *arena = gx_arena_new();
    gx_hub_options options;
    gx_hub_settings s;
    gx_hub_options_default(&options);
    for (size_t i = 0; i < sizeof seconds / sizeof *seconds; i++) {
        set_environment((variable[]){{"HF_HUB_DOWNLOAD_TIMEOUT", seconds[i].value}, {0}});
        make(&s, arena, NULL);
        assert_int_equal(s.stall_seconds, seconds[i].expected);
    }
    set_environment((variable[]){{"SSL_CERT_FILE", "/b"}, {"REQUESTS_CA_BUNDLE", "/c"}, {0}});
    make(&s, arena, NULL);
    assert_string_equal(s.ca_file, "/b");
    setenv("CURL_CA_BUNDLE", "/a", 1);
    options.connections = 64;
    options.local_dir = "/local";
    make(&s, arena, &options);
    assert_string_equal(s.ca_file, "/a");
    assert_string_equal(s.local_dir, "/local");
    assert_int_equal(s.connections, 64);
    options.connections = 65;
    refuse(&options, "connections: 65; at most 64");
    gx_arena_free(arena);
}

/* "" is no folder: joined with a name it would be the root. */
static void folders_without_a_name(void **state)
{
    (void)state;
    for (int local = 0; local < 2; local++) {
        gx_arena *arena = gx_arena_new();
        gx_hub_options options;
        gx_hub_settings s;
        gx_error error = {0};
        gx_hub_options_default(&options);
        set_environment((variable[]){{0}});
        *(local ? &options.local_dir : &options.cache_dir) = "";
        const gx_status status = gx_hub_settings_make(&s, arena, &options, &error);
        if (status == GX_OK && ((local && s.local_dir && !s.local_dir[0]) || !s.cache_dir[0]))
            fail_msg("an empty %s is taken for a folder", local ? "local_dir" : "cache_dir");
        gx_arena_free(arena);
    }
}

static gx_status make_all(void *context, gx_error *error)
{
    gx_arena *arena = gx_arena_new();
    gx_hub_settings s = {0};
    if (!arena)
        return gx_fail_memory(error);
    gx_status status = gx_hub_settings_make(&s, arena, context, error);
    if (status == GX_OK && (!s.token || strcmp(s.token, "from-file") != 0)) /* short of memory is not without a token */
        status = gx_fail(error, GX_ERROR_UNSUPPORTED, "the token was lost");
    gx_arena_free(arena);
    return status;
}

static void memory_runs_out(void **state)
{
    (void)state;
    scratch_write_text("home/.cache/huggingface/token", "from-file\n");
    set_environment((variable[]){{"HF_ENDPOINT", "http://127.0.0.1:8080/"}, {0}});
    sweep_memory("defaults", make_all, NULL, 3);
    set_environment((variable[]){{"HF_TOKEN_PATH", "~/.cache/huggingface/token"}, {"HF_HUB_CACHE", "~/x"}, {"HF_HOME", "~/y"}, {0}});
    sweep_memory("all of it set", make_all, NULL, 3);
}

static int open_all(void **state)
{
    const int status = scratch_open(state);
    snprintf(home, sizeof home, "%s", scratch_path("home"));
    return status;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_any),
        cmocka_unit_test(where_the_cache_is),
        cmocka_unit_test(which_token),
        cmocka_unit_test(tokens_that_are_none),
        cmocka_unit_test(a_long_token_from_anywhere),
        cmocka_unit_test(offline_or_not),
        cmocka_unit_test(which_endpoint),
        cmocka_unit_test(endpoints_that_are_none),
        cmocka_unit_test(endpoints_with_a_query),
        cmocka_unit_test(the_rest),
        cmocka_unit_test(folders_without_a_name),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, open_all, scratch_close);
}
