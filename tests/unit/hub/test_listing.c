/* What the Hub says a revision holds, and everything that may be wrong with it. */
#include "hub/listing.h"
#include "hub_support.h"

#define SHA256 "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define SHA1 "a9993e364706816aba3e25717850c26c9cd0d89d"
#define HEAD "{\"sha\": \"" COMMIT "\", \"siblings\": "

static gx_status parse(gx_hub_listing *out, gx_arena *arena, const char *json, gx_error *error)
{
    return gx_hub_listing_parse(out, arena, json, strlen(json), "org/name", error);
}

static void a_good_one(void **state)
{
    (void)state;
    gx_arena *arena = gx_arena_new();
    gx_hub_listing listing = {0};
    gx_error error = {0};
    check_ok("listing",
             parse(&listing, arena,
                   "{\"id\": \"org/name\", \"private\": false, \"sha\": \"" COMMIT "\", \"more\": [1], \"siblings\": ["
                   "{\"rfilename\": \"model.safetensors\", \"size\": 5, \"blobId\": \"" SHA1 "\", \"lfs\": {\"sha256\": \"" SHA256
                   "\", \"size\": 17592186044416, \"pointerSize\": 134}},"
                   "{\"rfilename\": \"config.json\", \"size\": 1367, \"blobId\": \"" SHA1 "\"},"
                   "{\"rfilename\": \"empty\", \"size\": 0, \"blobId\": \"" SHA1 "\", \"lfs\": null},"
                   "{\"rfilename\": \"1_Pooling/config.json\", \"size\": 7, \"blobId\": \"" SHA1 "\"}]}",
                   &error),
             &error);
    assert_string_equal(listing.commit, COMMIT);
    assert_int_equal(listing.count, 4);
    static const char *const names[] = {"1_Pooling/config.json", "config.json", "empty", "model.safetensors"};
    static const uint64_t sizes[] = {7, 1367, 0, UINT64_C(1) << 44}; /* of a file in LFS its own, not that of its pointer */
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(listing.files[i].name, names[i]);
        assert_int_equal(listing.files[i].nbytes, sizes[i]);
        assert_int_equal(listing.files[i].hash, i == 3 ? GX_HASH_SHA256 : GX_HASH_SHA1);
        assert_string_equal(listing.files[i].etag, i == 3 ? SHA256 : SHA1);
        assert_false(listing.files[i].wanted);
        assert_int_equal(listing.files[i].head_nbytes, 0);
        assert_ptr_equal(gx_hub_listing_find(&listing, names[i]), &listing.files[i]);
    }
    assert_null(gx_hub_listing_find(&listing, "config"));
    assert_null(gx_hub_listing_find(&listing, ""));
    check_ok("none", parse(&listing, arena, HEAD "[]}", &error), &error);
    assert_int_equal(listing.count, 0);
    assert_null(gx_hub_listing_find(&listing, "config.json"));
    gx_arena_free(arena);
}

static void malformed(void **state)
{
    (void)state;
#define ONE(entry) HEAD "[" entry "]}"
#define SIZED(size) ONE("{\"rfilename\": \"x\", \"size\": " size ", \"blobId\": \"" SHA1 "\"}")
#define LFS(lfs) ONE("{\"rfilename\": \"x\", \"size\": 5, \"blobId\": \"" SHA1 "\", \"lfs\": " lfs "}")
    static const struct {
        const char *json, *words;
        gx_status status;
    } cases[] = {
        {"", "line", GX_ERROR_FORMAT},
        {"<html>", "line 1", GX_ERROR_FORMAT},
        {HEAD "[", "line 1", GX_ERROR_FORMAT},
        {HEAD "[]} x", "line 1", GX_ERROR_FORMAT},
        {"{\"sha\": \"\xff\"}", "line 1", GX_ERROR_FORMAT},
        {"[]", "names no commit ('sha')", GX_ERROR_NETWORK},
        {"7", "names no commit ('sha')", GX_ERROR_NETWORK},
        {"{}", "names no commit ('sha')", GX_ERROR_NETWORK},
        {"{\"sha\": null, \"siblings\": []}", "names no commit", GX_ERROR_NETWORK},
        {"{\"sha\": 7, \"siblings\": []}", "'sha' is an integer, expected a string", GX_ERROR_FORMAT},
        {"{\"sha\": \"main\", \"siblings\": []}", "names no commit", GX_ERROR_NETWORK},
        {"{\"sha\": \"../../../../../../../../../../../../../x\", \"siblings\": []}", "names no commit", GX_ERROR_NETWORK},
        {"{\"sha\": \"0123456789ABCDEF0123456789abcdef01234567\", \"siblings\": []}", "names no commit", GX_ERROR_NETWORK},
        {"{\"sha\": \"" COMMIT "\\u0000\", \"siblings\": []}", "NUL", GX_ERROR_FORMAT},
        {"{\"sha\": \"" COMMIT "\"}", "no list of files ('siblings')", GX_ERROR_NETWORK},
        {HEAD "null}", "no list of files", GX_ERROR_NETWORK},
        {HEAD "{}}", "no list of files", GX_ERROR_NETWORK},
        {HEAD "\"x\"}", "no list of files", GX_ERROR_NETWORK},
        {ONE("{}"), "a file without a name", GX_ERROR_NETWORK},
        {ONE("7"), "a file without a name", GX_ERROR_NETWORK},
        {ONE("null"), "a file without a name", GX_ERROR_NETWORK},
        {ONE("[\"rfilename\"]"), "a file without a name", GX_ERROR_NETWORK},
        {ONE("{\"rfilename\": 7}"), "a file without a name", GX_ERROR_NETWORK},
        {ONE("{\"rfilename\": \"x\"}"), "no size of 'x'", GX_ERROR_NETWORK},
        {SIZED("null"), "no size of 'x'", GX_ERROR_NETWORK},
        {SIZED("-1"), "no size of 'x'", GX_ERROR_NETWORK},
        {SIZED("-9223372036854775808"), "no size of 'x'", GX_ERROR_NETWORK},
        {SIZED("1.5"), "no size of 'x'", GX_ERROR_NETWORK},
        {SIZED("1e3"), "no size of 'x'", GX_ERROR_NETWORK},
        {SIZED("\"5\""), "no size of 'x'", GX_ERROR_NETWORK},
        {SIZED("17592186044417"), "no size of 'x'", GX_ERROR_NETWORK},
        {SIZED("18446744073709551615"), "no size of 'x'", GX_ERROR_NETWORK},
        {SIZED("18446744073709551616"), "no size of 'x'", GX_ERROR_NETWORK},
        {ONE("{\"rfilename\": \"x\", \"size\": 5}"), "no hash of 'x'", GX_ERROR_NETWORK},
        {ONE("{\"rfilename\": \"x\", \"size\": 5, \"blobId\": 7}"), "no hash of 'x'", GX_ERROR_NETWORK},
        {ONE("{\"rfilename\": \"x\", \"size\": 5, \"blobId\": \"\"}"), "no hash of 'x'", GX_ERROR_NETWORK},
        {ONE("{\"rfilename\": \"x\", \"size\": 5, \"blobId\": \"../../../../../../../../../../../../../x\"}"), "no hash of 'x'", GX_ERROR_NETWORK},
        {ONE("{\"rfilename\": \"x\", \"size\": 5, \"blobId\": \"" SHA256 "\"}"), "no hash of 'x'", GX_ERROR_NETWORK},
        {ONE("{\"rfilename\": \"x\", \"size\": 5, \"blobId\": \"A9993E364706816ABA3E25717850C26C9CD0D89D\"}"), "no hash of 'x'", GX_ERROR_NETWORK},
        {LFS("{}"), "no hash of 'x'", GX_ERROR_NETWORK},
        {LFS("{\"sha256\": \"" SHA1 "\", \"size\": 5}"), "no hash of 'x'", GX_ERROR_NETWORK},
        {LFS("{\"sha256\": \"" SHA256 "\", \"size\": -1}"), "no size of 'x'", GX_ERROR_NETWORK},
        {LFS("{\"sha256\": \"" SHA256 "\", \"size\": \"5\"}"), "no size of 'x'", GX_ERROR_NETWORK},
        {HEAD "[{\"rfilename\": \"x\", \"size\": 5, \"blobId\": \"" SHA1 "\"}, {\"rfilename\": \"y\", \"size\": 5, \"blobId\": \"" SHA1
              "\"}, {\"rfilename\": \"x\", \"size\": 6, \"blobId\": \"" SHA1 "\"}]}",
         "has 'x' twice", GX_ERROR_NETWORK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gx_arena *arena = gx_arena_new();
        gx_hub_listing listing = {.count = 77};
        gx_error error = {0};
        check_failure(cases[i].json, parse(&listing, arena, cases[i].json, &error), &error, cases[i].status, cases[i].words);
        if (strncmp(error.message, "org/name: ", 10) != 0)
            fail_msg("the message does not name the model: %s", error.message);
        assert_int_equal(listing.count, 77);
        gx_arena_free(arena);
    }
}

/* Nothing of ours has such a name; nothing at all may be made of it. */
static void names_left_out(void **state)
{
    (void)state;
    static const char *const names[] = {"../x", "/etc/passwd", "a/../../x", "a\\\\b", "..", "", "a//b", "x\\u0000y", "\\u0000", "a\\nb", "\\u001b[31m", "./x", "a/"};
    gx_arena *arena = gx_arena_new();
    gx_buffer json = {0};
    gx_hub_listing listing = {0};
    gx_error error = {0};
    gx_buffer_append_text(&json, HEAD "[");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        gx_buffer_printf(&json, "{\"rfilename\": \"%s\", \"size\": 5, \"blobId\": \"" SHA1 "\"},", names[i]);
    gx_buffer_append_text(&json, "{\"rfilename\": \"");
    for (int i = 0; i < 4096; i++)
        gx_buffer_append_text(&json, i % 100 == 99 ? "/" : "a");
    gx_buffer_append_text(&json, "\", \"size\": 5, \"blobId\": \"" SHA1 "\"},{\"rfilename\": \"kept\", \"size\": 5, \"blobId\": \"" SHA1 "\"}]}");
    check_ok("listing", parse(&listing, arena, gx_buffer_text(&json), &error), &error);
    assert_int_equal(listing.count, 1);
    assert_string_equal(listing.files[0].name, "kept");
    gx_buffer_deinit(&json);
    gx_arena_free(arena);
}

static void very_many_files(void **state)
{
    (void)state;
    for (unsigned count = 100000; count <= 100001; count++) {
        gx_arena *arena = gx_arena_new();
        gx_buffer json = {0};
        gx_hub_listing listing = {0};
        gx_error error = {0};
        gx_buffer_append_text(&json, HEAD "[");
        for (unsigned i = 0; i < count; i++)
            gx_buffer_printf(&json, "%s{\"rfilename\": \"f%u\", \"size\": 17592186044416, \"blobId\": \"" SHA1 "\"}", i ? "," : "", (i * 7919) % count);
        gx_buffer_append_text(&json, "]}");
        const gx_status status = parse(&listing, arena, gx_buffer_text(&json), &error);
        if (count == 100000) {
            check_ok("listing", status, &error);
            assert_int_equal(listing.count, count);
            for (unsigned i = 1; i < count; i++)
                assert_true(strcmp(listing.files[i - 1].name, listing.files[i].name) < 0);
            assert_non_null(gx_hub_listing_find(&listing, "f99999"));
        } else {
            check_failure("listing", status, &error, GX_ERROR_NETWORK, "org/name: the Hub's answer: 100001 files");
        }
        gx_buffer_deinit(&json);
        gx_arena_free(arena);
    }
}

static void a_folder(void **state)
{
    (void)state;
    gx_arena *arena = gx_arena_new();
    gx_hub_listing listing = {0};
    gx_error error = {0}, absent = {0};
    char name[64];
    scratch_write_text("folder/config.json", "{}");
    scratch_write_text("folder/blob", "12345");
    scratch_write_text("folder/2_Dense/model.safetensors", "123");
    scratch_write_text("folder/2_Dense/deeper/x", "left out: nothing of ours is so deep");
    assert_int_equal(symlink("blob", scratch_path("folder/model.safetensors")), 0);
    assert_int_equal(symlink("nowhere", scratch_path("folder/dangling")), 0);
    for (int i = 0; i < 200; i++) { /* more than fit at first */
        snprintf(name, sizeof name, "folder/many/f%03d", i);
        scratch_write_text(name, "x");
    }
    check_ok("scan", gx_hub_listing_scan(&listing, arena, scratch_path("folder"), COMMIT, &error), &error);
    assert_string_equal(listing.commit, COMMIT);
    assert_int_equal(listing.count, 204);
    static const char *const names[] = {"2_Dense/model.safetensors", "blob", "config.json", "many/f000", "model.safetensors"};
    static const uint64_t sizes[] = {3, 5, 2, 1, 5};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const gx_hub_file *file = gx_hub_listing_find(&listing, names[i]);
        assert_non_null(file);
        assert_int_equal(file->nbytes, sizes[i]);
        assert_string_equal(file->etag, "");
    }
    assert_null(gx_hub_listing_find(&listing, "dangling"));
    for (size_t i = 1; i < listing.count; i++)
        assert_true(strcmp(listing.files[i - 1].name, listing.files[i].name) < 0);
    check_failure("absent", gx_hub_listing_scan(&listing, arena, scratch_path("absent"), COMMIT, &absent), &absent, GX_ERROR_IO, "absent: No such file");
    gx_arena_free(arena);
}

static gx_status parse_small(void *context, gx_error *error)
{
    gx_arena *arena = gx_arena_new();
    gx_hub_listing listing;
    if (!arena)
        return gx_fail_memory(error);
    const gx_status status = parse(&listing, arena, context, error);
    gx_arena_free(arena);
    return status;
}

static gx_status scan_small(void *context, gx_error *error)
{
    gx_arena *arena = gx_arena_new();
    gx_hub_listing listing;
    if (!arena)
        return gx_fail_memory(error);
    const gx_status status = gx_hub_listing_scan(&listing, arena, context, COMMIT, error);
    gx_arena_free(arena);
    return status;
}

static void memory_runs_out(void **state)
{
    (void)state;
    char json[] = HEAD "[{\"rfilename\": \"x\", \"size\": 5, \"blobId\": \"" SHA1 "\"}]}", folder[512];
    sweep_memory("parse", parse_small, json, 2);
    scratch_write_text("small/a", "x");
    scratch_write_text("small/b/c", "x");
    snprintf(folder, sizeof folder, "%s", scratch_path("small"));
    sweep_memory("scan", scan_small, folder, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_one),
        cmocka_unit_test(malformed),
        cmocka_unit_test(names_left_out),
        cmocka_unit_test(very_many_files),
        cmocka_unit_test(a_folder),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
