/* Opening a model of the Hub, and what the cache gives when nobody is to be asked. What is asked of a server is tested end to end. */
#include "hub/hub.h"
#include "hub_support.h"

static const gx_download_watch nobody = {0};
static char cache[512];

static void be_offline(gx_hub_options *options)
{
    clear_environment();
    gx_hub_options_default(options);
    snprintf(cache, sizeof cache, "%s", scratch_path("cache"));
    options->cache_dir = cache;
    options->offline = true;
}

static gx_hub *open_hub(const gx_model_id *id, const gx_hub_options *options)
{
    gx_hub *hub = NULL;
    gx_error error = {0};
    check_ok("open", gx_hub_open(&hub, id, options, &nobody, &error), &error);
    return hub;
}

static void from_the_cache(void **state)
{
    (void)state;
    gx_hub_options options;
    gx_hub_listing *listing = NULL;
    gx_error error = {0};
    const gx_model_id id = {.repository = "org/name"}, pinned = {.repository = "org/name", .revision = COMMIT};
    bool cached = false;
    be_offline(&options);
    scratch_write_text("cache/models--org--name/refs/main", COMMIT);
    scratch_write_text("cache/models--org--name/blobs/abc", "12345");
    scratch_write_text("cache/models--org--name/snapshots/" COMMIT "/config.json", "{}");
    assert_int_equal(symlink("../../blobs/abc", scratch_path("cache/models--org--name/snapshots/" COMMIT "/model.safetensors")), 0);
    for (int i = 0; i < 2; i++) {
        gx_hub *hub = open_hub(i ? &pinned : &id, &options);
        check_ok("list", gx_hub_list(hub, &listing, &cached, &error), &error);
        assert_true(cached);
        assert_string_equal(listing->commit, COMMIT);
        assert_int_equal(listing->count, 2);
        assert_int_equal(gx_hub_listing_find(listing, "model.safetensors")->nbytes, 5);
        assert_string_equal(gx_hub_folder(hub), scratch_path("cache/models--org--name/snapshots/" COMMIT));
        gx_hub_close(hub);
    }
    gx_hub_close(NULL);
}

static void what_is_not_cached(void **state)
{
    (void)state;
    static const gx_model_id cases[] = {
        {.repository = "org/other"},
        {.repository = "org/name", .revision = "dev"},
        {.repository = "org/name", .revision = OTHER_COMMIT},
        {.repository = "org/empty"},
        {.repository = "org/gone"},
    };
    gx_hub_options options;
    be_offline(&options);
    scratch_write_text("cache/models--org--empty/refs/main", COMMIT);
    scratch_write_text("cache/models--org--empty/snapshots/" COMMIT "/x", "");
    unlink(scratch_path("cache/models--org--empty/snapshots/" COMMIT "/x"));
    scratch_write_text("cache/models--org--gone/refs/main", COMMIT); /* its snapshot was removed */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gx_hub_listing *listing = NULL;
        gx_error error = {0};
        bool cached = true;
        gx_hub *hub = open_hub(&cases[i], &options);
        check_failure(cases[i].repository, gx_hub_list(hub, &listing, &cached, &error), &error, GX_ERROR_NETWORK, "offline");
        assert_non_null(strstr(error.message, cases[i].repository));
        assert_non_null(strstr(error.message, cache));
        gx_hub_close(hub);
    }
}

static void which_revision(void **state)
{
    (void)state;
    gx_hub *hub = NULL;
    gx_hub_options options;
    gx_error conflict = {0}, unsafe = {0};
    const gx_model_id id = {.repository = "org/name", .revision = "dev"}, plain = {.repository = "org/name"};
    be_offline(&options);
    options.revision = "main";
    check_failure("conflict", gx_hub_open(&hub, &id, &options, &nobody, &conflict), &conflict, GX_ERROR_ARGUMENT, "org/name@dev: the option says another revision, 'main'");
    options.revision = "dev";
    gx_hub_close(open_hub(&id, &options));
    options.revision = "../../x";
    check_failure("unsafe", gx_hub_open(&hub, &plain, &options, &nobody, &unsafe), &unsafe, GX_ERROR_ARGUMENT, "'../../x' is no name of a revision");
    assert_null(hub);
}

static void options_of_another_version(void **state)
{
    (void)state;
    gx_hub *hub = NULL;
    gx_hub_options options;
    gx_error error = {0};
    const gx_model_id id = {.repository = "org/name"};
    be_offline(&options);
    options.size--;
    check_failure("size", gx_hub_open(&hub, &id, &options, &nobody, &error), &error, GX_ERROR_ARGUMENT, "use gx_hub_options_default first");
}

/* Nothing may be asked of a server that the token would go to in the clear. */
static void endpoints_are_judged_first(void **state)
{
    (void)state;
    gx_hub *hub = NULL;
    gx_hub_options options;
    gx_error error = {0};
    const gx_model_id id = {.repository = "org/name"};
    be_offline(&options);
    options.offline = false;
    options.endpoint = "http://hub.example";
    check_failure("http", gx_hub_open(&hub, &id, &options, &nobody, &error), &error, GX_ERROR_NETWORK, "is not https");
    options.endpoint = "http://127.0.0.1:1";
    gx_hub_close(open_hub(&id, &options));
}

static gx_status open_and_close(void *context, gx_error *error)
{
    gx_hub *hub = NULL;
    const gx_model_id id = {.repository = "org/name"};
    GX_TRY(gx_hub_open(&hub, &id, context, &nobody, error));
    gx_hub_close(hub);
    return GX_OK;
}

static gx_status list_cached(void *context, gx_error *error)
{
    gx_hub *hub = NULL;
    gx_hub_listing *listing;
    bool cached;
    const gx_model_id id = {.repository = "org/name"};
    GX_TRY(gx_hub_open(&hub, &id, context, &nobody, error));
    const gx_status status = gx_hub_list(hub, &listing, &cached, error);
    gx_hub_close(hub);
    return status;
}

/* One of the wanted files is here. */
static gx_status open_download(void *context, gx_error *error)
{
    const gx_hub_settings *settings = context;
    static const gx_model_id id = {.repository = "org/name"};
    gx_hub_file files[] = {{.name = "a", .nbytes = 5, .etag = "abc", .wanted = true},
                           {.name = "b", .nbytes = 6, .etag = "abd", .wanted = true, .head_nbytes = 6},
                           {.name = "c", .nbytes = 7, .etag = "abe"}};
    gx_hub_listing listing = {.commit = COMMIT, .files = files, .count = 3};
    gx_arena *arena = gx_arena_new();
    gx_storage storage;
    gx_download *download = NULL;
    size_t count = 0;
    gx_status status = arena ? gx_storage_open(&storage, arena, settings, &id, error) : gx_fail_memory(error);
    if (status == GX_OK)
        status = gx_download_open(&download, &storage, NULL, &id, &listing, &nobody, error);
    if (status == GX_OK) {
        const gx_download_item *items = gx_download_items(download, &count);
        assert_int_equal(count, 2);
        for (size_t i = 0; i < count; i++) {
            const bool is_first = items[i].file == &files[0];
            assert_int_equal(items[i].here, is_first);
            assert_int_equal(items[i].missing, is_first ? 0 : 6);
        }
        assert_int_equal(gx_download_disk_nbytes(download), 6);
        assert_false(gx_download_is_done(download));
        gx_download_close(download);
    }
    gx_arena_free(arena);
    return status;
}

static void memory_runs_out(void **state)
{
    (void)state;
    gx_hub_options options;
    be_offline(&options);
    sweep_memory("offline", list_cached, &options, 5);
    options.offline = false;
    options.endpoint = "http://127.0.0.1:1";
    sweep_memory("open", open_and_close, &options, 3);
    gx_hub_settings settings = {.endpoint = "http://127.0.0.1:1", .cache_dir = cache, .connections = 8, .stall_seconds = 10};
    sweep_memory("download", open_download, &settings, 5);
}

/* What a killed run has reserved on disk is not here yet: the plan must say what has still to come. */
static void reserved_is_not_here(void **state)
{
    (void)state;
    static const gx_model_id id = {.repository = "org/name"};
    gx_hub_file file = {.name = "b", .nbytes = 1 << 20, .etag = "reserved", .wanted = true, .head_nbytes = 1};
    gx_hub_listing listing = {.commit = COMMIT, .files = &file, .count = 1};
    gx_hub_options options;
    be_offline(&options);
    const gx_hub_settings settings = {.endpoint = "http://127.0.0.1:1", .cache_dir = cache, .connections = 8, .stall_seconds = 10};
    gx_arena *arena = gx_arena_new();
    gx_storage storage;
    gx_download *download = NULL;
    gx_error error = {0};
    size_t count;
    char *zeros = calloc(1 << 20, 1);
    scratch_write("cache/models--org--name/blobs/reserved.gemma-onnx.partial", zeros, 1 << 20);
    scratch_write("cache/models--org--name/blobs/reserved.gemma-onnx.journal", zeros, 32);
    free(zeros);
    check_ok("storage", gx_storage_open(&storage, arena, &settings, &id, &error), &error);
    check_ok("download", gx_download_open(&download, &storage, NULL, &id, &listing, &nobody, &error), &error);
    assert_int_equal(gx_download_items(download, &count)[0].missing, 1 << 20);
    assert_int_equal(gx_download_disk_nbytes(download), 0);
    gx_download_close(download);
    gx_arena_free(arena);
}

static bool look_a_few_times(void *context, const gx_progress *progress)
{
    unsigned *looks = context;
    (void)progress;
    return ++*looks < 20;
}

/* One lock for both, and this run has it already: it must not wait for itself. Nothing is asked of a server: no head is wanted. */
static void the_same_bytes_under_two_names(void **state)
{
    (void)state;
    static const gx_model_id id = {.repository = "org/name"};
    gx_hub_file files[] = {{.name = "added_tokens.json", .nbytes = 2, .etag = "same", .wanted = true}, {.name = "special_tokens_map.json", .nbytes = 2, .etag = "same", .wanted = true}};
    gx_hub_listing listing = {.commit = COMMIT, .files = files, .count = 2};
    gx_hub_options options;
    be_offline(&options);
    const gx_hub_settings settings = {.endpoint = "http://127.0.0.1:1", .cache_dir = cache, .connections = 8, .stall_seconds = 10};
    unsigned looks = 0;
    const gx_download_watch watch = {.progress = look_a_few_times, .progress_context = &looks};
    gx_arena *arena = gx_arena_new();
    gx_storage storage;
    gx_transfers *transfers = NULL;
    gx_download *download = NULL;
    gx_error error = {0};
    check_ok("transfers", gx_transfers_open(&transfers, &settings, &error), &error);
    check_ok("storage", gx_storage_open(&storage, arena, &settings, &id, &error), &error);
    check_ok("download", gx_download_open(&download, &storage, transfers, &id, &listing, &watch, &error), &error);
    const gx_status status = gx_download_run(download, GX_DOWNLOAD_HEADS, &error);
    gx_download_close(download);
    gx_transfers_close(transfers);
    gx_arena_free(arena);
    check_ok("heads", status, &error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_the_cache),
        cmocka_unit_test(what_is_not_cached),
        cmocka_unit_test(which_revision),
        cmocka_unit_test(options_of_another_version),
        cmocka_unit_test(endpoints_are_judged_first),
        cmocka_unit_test(memory_runs_out),
        cmocka_unit_test(reserved_is_not_here),
        cmocka_unit_test(the_same_bytes_under_two_names),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
