/* Where a request may go, and whom a token is for. */
#include "hub/url.h"
#include "hub_support.h"

static void let_through(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "https://huggingface.co", "https://huggingface.co/", "HTTPS://HUGGINGFACE.CO/x", "https://example.com:8443/a/b?c=d#e", "https://10.0.0.1/x",
        "https://[2001:db8::1]/x", "http://localhost", "http://LOCALHOST:8080/x", "http://127.0.0.1:8080", "http://127.1.2.3/x", "http://[::1]:80", "http://[::1]/x",
        "HTTP://127.0.0.1/", "http://127.1/x", "http://2130706433/", /* two ways to write 127.0.0.1 */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gx_error error = {0};
        check_ok(cases[i], gx_url_check(cases[i], &error), &error);
    }
}

static void not_https(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "http://huggingface.co", "HTTP://huggingface.co/x", "http://localhost.evil.com", "http://127.0.0.1.evil.com",
        "http://evil.com#@localhost", "http://evil.com?@localhost", "http://evil.com/@127.0.0.1",
        "http://notlocalhost", "http://localhost.", "http://128.0.0.1", "http://10.0.0.1", "http://0.0.0.0", "http://[::2]", "http://[::ffff:10.0.0.1]",
        "http://127.evil", "http://127.0.0.1x", "http://localhosts", "ftp://localhost/x",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gx_error error = {0};
        const gx_status status = gx_url_check(cases[i], &error);
        check_failure(cases[i], status, &error, GX_ERROR_NETWORK, "is not https: nothing is asked there");
    }
}

static void no_address_of_this_machine(void **state)
{
    (void)state;
    /* Digits and dots alone, beginning with 127, but no address: names, which somebody's name server may answer for. */
    static const char *const cases[] = {"http://127.0.0.1.5", "http://127.0.0.1.", "http://127.999.0.1", "http://127.0.0.256", "http://127..1"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gx_error error = {0};
        if (gx_url_check(cases[i], &error) == GX_OK)
            fail_msg("%s is let through", cases[i]);
    }
}

static void no_url(void **state)
{
    (void)state;
    static const char *const cases[] = {"", "huggingface.co", "/x", "//huggingface.co", "https://", "http://", "https://a b/", "https://host:99999/",
                                        "https://host:x/", "javascript:alert(1)", "gx://host/", "https://[::1", "https://a\nb/"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gx_error error = {0};
        const gx_status status = gx_url_check(cases[i], &error);
        check_failure(cases[i], status, &error, GX_ERROR_NETWORK, "is no URL of a server");
    }
}

static void other_schemes(void **state)
{
    (void)state;
    static const char *const cases[] = {"file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://localhost/", "dict://localhost:11211/", "smb://localhost/x", "ldap://localhost/"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gx_error error = {0};
        if (gx_url_check(cases[i], &error) == GX_OK)
            fail_msg("%s is let through", cases[i]);
    }
}

/* A signed address is as good as a password. */
static void a_signature_is_not_shown(void **state)
{
    (void)state;
    gx_error query = {0}, fragment = {0};
    check_failure("query", gx_url_check("http://cdn.example/x?Signature=geheim", &query), &query, GX_ERROR_NETWORK, "'http://cdn.example/x' is not https");
    assert_null(strstr(query.message, "geheim"));
    check_failure("fragment", gx_url_check("http://cdn.example/x#geheim", &fragment), &fragment, GX_ERROR_NETWORK, "'http://cdn.example/x' is not https");
    assert_null(strstr(fragment.message, "geheim"));
}

static void names_in_front_of_hosts(void **state)
{
    (void)state;
    static const char *const cases[] = {"http://127.0.0.1@evil.com", "http://localhost:80@evil.com", "http://localhost@evil.com:80/", "https://user@huggingface.co/a"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gx_error error = {0};
        const gx_status status = gx_url_check(cases[i], &error);
        check_failure(cases[i], status, &error, GX_ERROR_NETWORK, "has an '@'");
    }
}

static void a_password_is_not_shown(void **state)
{
    (void)state;
    gx_error error = {0};
    assert_int_equal(gx_url_check("http://user:geheim@cdn.example/x", &error), GX_ERROR_NETWORK);
    if (strstr(error.message, "geheim"))
        fail_msg("the message tells the password: %s", error.message);
}

static void origins(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool same;
    } cases[] = {
        {"https://huggingface.co/a/b?c", "https://huggingface.co", true},
        {"https://huggingface.co:443/a", "https://huggingface.co", true},
        {"http://127.0.0.1:80/a", "http://127.0.0.1", true},
        {"HTTPS://HuggingFace.CO/a", "https://huggingface.co", true},
        {"https://user:pw@huggingface.co/a", "https://huggingface.co", false},
        {"http://[::1]:8080/a", "http://[::1]:8080", true},
        {"https://huggingface.co:80/a", "https://huggingface.co", false},
        {"https://huggingface.co:8443/a", "https://huggingface.co", false},
        {"http://huggingface.co:443/a", "https://huggingface.co", false},
        {"http://127.0.0.1:8080/a", "http://127.0.0.1:8081", false},
        {"http://127.0.0.1/a", "http://localhost", false},
        {"https://cdn.huggingface.co/a", "https://huggingface.co", false},
        {"https://huggingface.co.evil.com/a", "https://huggingface.co", false},
        {"https://huggingface.co@evil.com/a", "https://huggingface.co", false},
        {"https://evil.com/https://huggingface.co", "https://huggingface.co", false},
        {"https://huggingface.com/a", "https://huggingface.co", false},
        {"no url", "https://huggingface.co", false},
        {"no url", "no url", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (gx_url_same_origin(cases[i].a, cases[i].b) != cases[i].same || gx_url_same_origin(cases[i].b, cases[i].a) != cases[i].same)
            fail_msg("%s and %s are taken for %s", cases[i].a, cases[i].b, cases[i].same ? "different" : "the same");
}

static void hosts(void **state)
{
    (void)state;
    gx_arena *arena = gx_arena_new();
    assert_string_equal(gx_url_host(arena, "https://cdn.example:8443/x?y"), "cdn.example");
    assert_string_equal(gx_url_host(arena, "https://user:pw@cdn.example/x"), "?");
    assert_string_equal(gx_url_host(arena, "http://[::1]:8080/"), "[::1]");
    assert_string_equal(gx_url_host(arena, "no url"), "?");
    gx_arena_free(arena);
    arena = gx_arena_new();
    gx_alloc_fail_after(1);
    const char *host = gx_url_host(arena, "https://cdn.example/");
    gx_alloc_fail_after(0);
    assert_string_equal(host, "?");
    gx_arena_free(arena);
}

static void expect_appended(const char *text, bool keep_slashes, const char *expected)
{
    gx_buffer url = {0};
    gx_buffer_append_text(&url, "x/");
    gx_url_append(&url, text, keep_slashes);
    assert_string_equal(gx_buffer_text(&url) + 2, expected);
    gx_buffer_deinit(&url);
}

static void escaping(void **state)
{
    (void)state;
    expect_appended("refs/pr/1", false, "refs%2Fpr%2F1");
    expect_appended("a/b c.json", true, "a/b%20c.json");
    expect_appended("-._~Az09", true, "-._~Az09");
    expect_appended("?#%&+=:@!$'()*,;[]\"<>^`{|}", true, "%3F%23%25%26%2B%3D%3A%40%21%24%27%28%29%2A%2C%3B%5B%5D%22%3C%3E%5E%60%7B%7C%7D");
    expect_appended("\303\244\n\177", true, "%C3%A4%0A%7F");
    expect_appended("", true, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(let_through),
        cmocka_unit_test(not_https),
        cmocka_unit_test(no_address_of_this_machine),
        cmocka_unit_test(no_url),
        cmocka_unit_test(other_schemes),
        cmocka_unit_test(a_signature_is_not_shown),
        cmocka_unit_test(names_in_front_of_hosts),
        cmocka_unit_test(a_password_is_not_shown),
        cmocka_unit_test(origins),
        cmocka_unit_test(hosts),
        cmocka_unit_test(escaping),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
