/* Every refusal of the Hub, and the way out that its message names. */
#include "hub/refusal.h"
#include "hub_support.h"

static gx_status refuse(long status, const char *code, bool token, const char *revision, gx_error *error)
{
    const gx_hub_settings settings = {.endpoint = "https://hub.example", .token = token ? "hf_geheim" : NULL};
    const gx_model_id id = {.repository = "org/name", .revision = revision};
    gx_transfer transfer = {.http_status = status, .by_endpoint = true};
    snprintf(transfer.error_code, sizeof transfer.error_code, "%s", code);
    return gx_hub_refusal(&settings, &id, &transfer, error);
}

static void each_has_its_message(void **state)
{
    (void)state;
    static const struct {
        long status;
        const char *code;
        int token; /* -1: both ways */
        const char *words;
    } cases[] = {
        {401, "GatedRepo", 0, "gated, and no token was given (401): accept the licence at https://hub.example/org/name, then set HF_TOKEN"},
        {401, "", 0, "no such model, or a private or gated one (401). If the id is right (https://hub.example/org/name), set HF_TOKEN"},
        {401, "RepoNotFound", 0, "no such model, or a private or gated one (401)"},
        {401, "", 1, "the Hub does not accept the token (401)"},
        {401, "RepoNotFound", 1, "the Hub does not accept the token (401)"},
        {401, "GatedRepo", 1, "the Hub does not accept the token (401)"},
        {403, "GatedRepo", 1, "no access yet (403): accept the licence at https://hub.example/org/name with"},
        {403, "", 1, "may not read it (403)"},
        {403, "SomethingNew", 1, "may not read it (403)"},
        {404, "RevisionNotFound", -1, "there is no such revision (404); see the branches and tags at https://hub.example/org/name"},
        {404, "EntryNotFound", -1, "not there any more (404); see https://hub.example/org/name"},
        {404, "RepoNotFound", -1, "there is no such model (404): https://hub.example/org/name;"},
        {404, "", -1, "there is no such model (404): https://hub.example/org/name;"},
        {416, "", -1, "fewer bytes than it listed (416)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int token = 0; token < 2; token++) {
            gx_error plain = {0}, revised = {0};
            if (cases[i].token >= 0 && cases[i].token != token)
                continue;
            check_failure(cases[i].words, refuse(cases[i].status, cases[i].code, token, NULL, &plain), &plain, GX_ERROR_NETWORK, cases[i].words);
            assert_memory_equal(plain.message, "org/name: ", 10);
            check_failure(cases[i].words, refuse(cases[i].status, cases[i].code, token, "dev", &revised), &revised, GX_ERROR_NETWORK, cases[i].words);
            assert_memory_equal(revised.message, "org/name@dev: ", 14);
            assert_null(strstr(plain.message, "geheim"));
            assert_null(strstr(plain.message, "%"));
        }
    }
}

static void others_say_enough_themselves(void **state)
{
    (void)state;
    static const long statuses[] = {0, 200, 206, 302, 400, 402, 405, 408, 429, 500, 503};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        gx_error error = {0};
        check_ok("none", refuse(statuses[i], "GatedRepo", i % 2, NULL, &error), &error);
        assert_string_equal(error.message, "");
    }
}

/* Long names do not overflow a message. */
static void names_of_any_length(void **state)
{
    (void)state;
    char repository[194], endpoint[2048];
    gx_error error = {0};
    memset(repository, 'a', sizeof repository);
    repository[96] = '/';
    repository[193] = 0;
    memset(endpoint, 'e', sizeof endpoint);
    endpoint[sizeof endpoint - 1] = 0;
    const gx_hub_settings settings = {.endpoint = endpoint};
    const gx_model_id id = {.repository = repository};
    const gx_transfer transfer = {.http_status = 404, .by_endpoint = true};
    check_failure("long", gx_hub_refusal(&settings, &id, &transfer, &error), &error, GX_ERROR_NETWORK, "there is no such model (404): eee");
    assert_int_equal(gx_hub_refusal(&settings, &id, &transfer, NULL), GX_ERROR_NETWORK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_has_its_message),
        cmocka_unit_test(others_say_enough_themselves),
        cmocka_unit_test(names_of_any_length),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
