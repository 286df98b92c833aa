/* The cache's layout and that of a local folder, as huggingface_hub has them. */
#include <fcntl.h>
#include <math.h>
#include <sys/time.h>
#include <time.h>

#include "base/threads.h"
#include "hub_support.h"

static const gx_model_id id = {.repository = "org/name"};

typedef struct fixture {
    gx_arena *arena;
    gx_hub_settings settings;
    gx_storage storage;
    char cache[512], local[512];
} fixture;

/* A cache, or a local folder, of this name. */
static void open_storage(fixture *f, const char *cache, const char *local)
{
    gx_error error = {0};
    f->arena = gx_arena_new();
    snprintf(f->cache, sizeof f->cache, "%s", scratch_path(cache));
    snprintf(f->local, sizeof f->local, "%s", scratch_path(local ? local : ""));
    f->settings = (gx_hub_settings){.endpoint = "https://hub.example", .cache_dir = f->cache, .local_dir = local ? f->local : NULL};
    check_ok("open", gx_storage_open(&f->storage, f->arena, &f->settings, &id, &error), &error);
}

static gx_place place_of(const fixture *f, const gx_hub_file *file)
{
    gx_place place;
    gx_error error = {0};
    check_ok("place", gx_storage_place(&f->storage, &place, COMMIT, file, &error), &error);
    return place;
}

static void prepare(const fixture *f, const gx_place *place)
{
    gx_error error = {0};
    check_ok("prepare", gx_storage_prepare(&f->storage, place, &error), &error);
}

static void settle(const fixture *f, const gx_place *place, const char *commit, const gx_hub_file *file)
{
    gx_error error = {0};
    check_ok("settle", gx_storage_settle(&f->storage, place, commit, file, &error), &error);
}

static bool has(const gx_place *place, const gx_hub_file *file)
{
    bool there = false;
    gx_error error = {0};
    check_ok("has", gx_storage_has(place, file, &there, &error), &error);
    return there;
}

static void write_to(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

static const char *content_of(const char *path)
{
    static char text[4096];
    FILE *file = fopen(path, "rb");
    text[file ? fread(text, 1, sizeof text - 1, file) : 0] = 0;
    if (file)
        fclose(file);
    return text;
}

static const char *below(const char *folder, const char *name)
{
    static char paths[4][1024];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void expect_path(const char *found, const char *folder, const char *name)
{
    assert_string_equal(found, below(folder, name));
}

static void places_in_the_cache(void **state)
{
    (void)state;
    fixture f;
    open_storage(&f, "places", NULL);
    const gx_hub_file file = {.name = "sub/model.safetensors", .nbytes = 5, .etag = "abc"};
    const gx_place place = place_of(&f, &file);
    expect_path(place.path, f.cache, "models--org--name/snapshots/" COMMIT "/sub/model.safetensors");
    expect_path(place.bytes, f.cache, "models--org--name/blobs/abc");
    expect_path(place.partial, f.cache, "models--org--name/blobs/abc.gemma-onnx.partial");
    expect_path(place.journal, f.cache, "models--org--name/blobs/abc.gemma-onnx.journal");
    expect_path(place.lock, f.cache, ".locks/models--org--name/abc.lock");
    assert_null(place.metadata);
    expect_path(gx_storage_folder(&f.storage, COMMIT), f.cache, "models--org--name/snapshots/" COMMIT);
    prepare(&f, &place);
    assert_true(gx_path_is_folder(below(f.cache, "models--org--name/snapshots/" COMMIT "/sub")));
    assert_true(gx_path_is_folder(below(f.cache, "models--org--name/blobs")));
    assert_true(gx_path_is_folder(below(f.cache, ".locks/models--org--name")));
    /* The standard's first line, which backup programs look for. */
    assert_memory_equal(content_of(below(f.cache, "CACHEDIR.TAG")), "Signature: 8a477f597d28d172789f06886806bc55\n", 44);
    write_to(below(f.cache, "CACHEDIR.TAG"), "another's");
    prepare(&f, &place);
    assert_string_equal(content_of(below(f.cache, "CACHEDIR.TAG")), "another's");
    gx_arena_free(f.arena);
}

static void places_in_a_folder(void **state)
{
    (void)state;
    fixture f;
    open_storage(&f, "unused", "local");
    const gx_hub_file file = {.name = "sub/x.json", .nbytes = 5, .etag = "abc"};
    const gx_place place = place_of(&f, &file);
    expect_path(place.path, f.local, "sub/x.json");
    expect_path(place.bytes, f.local, "sub/x.json");
    expect_path(place.partial, f.local, ".cache/huggingface/download/sub/x.json.abc.gemma-onnx.partial");
    expect_path(place.journal, f.local, ".cache/huggingface/download/sub/x.json.abc.gemma-onnx.journal");
    expect_path(place.lock, f.local, ".cache/huggingface/download/sub/x.json.lock");
    expect_path(place.metadata, f.local, ".cache/huggingface/download/sub/x.json.metadata");
    assert_string_equal(gx_storage_folder(&f.storage, COMMIT), f.local);
    prepare(&f, &place);
    assert_true(gx_path_is_folder(below(f.local, "sub")));
    assert_true(gx_path_is_folder(below(f.local, ".cache/huggingface/download/sub")));
    assert_false(gx_path_exists(f.cache)); /* the cache is not touched */
    gx_arena_free(f.arena);
}

static void commits_are_noted(void **state)
{
    (void)state;
    fixture f;
    gx_error error = {0};
    const char *commit = "untouched";
    open_storage(&f, "commits", NULL);
    check_ok("unknown", gx_storage_known_commit(&f.storage, &commit, "main", &error), &error);
    assert_null(commit);
    check_ok("a commit is one", gx_storage_known_commit(&f.storage, &commit, COMMIT, &error), &error);
    assert_string_equal(commit, COMMIT);
    check_ok("note", gx_storage_note_commit(&f.storage, "main", COMMIT, &error), &error);
    assert_string_equal(content_of(below(f.cache, "models--org--name/refs/main")), COMMIT); /* no newline: huggingface_hub has none */
    check_ok("known", gx_storage_known_commit(&f.storage, &commit, "main", &error), &error);
    assert_string_equal(commit, COMMIT);
    check_ok("moved", gx_storage_note_commit(&f.storage, "main", OTHER_COMMIT, &error), &error);
    check_ok("known", gx_storage_known_commit(&f.storage, &commit, "main", &error), &error);
    assert_string_equal(commit, OTHER_COMMIT);
    check_ok("nested", gx_storage_note_commit(&f.storage, "refs/pr/1", COMMIT, &error), &error);
    assert_string_equal(content_of(below(f.cache, "models--org--name/refs/refs/pr/1")), COMMIT);
    check_ok("of itself", gx_storage_note_commit(&f.storage, COMMIT, COMMIT, &error), &error);
    assert_false(gx_path_exists(below(f.cache, "models--org--name/refs/" COMMIT)));
    gx_arena_free(f.arena);
}

/* Nothing is written when nothing changes: the cache may be another's, or on a disk that cannot be written. */
static void a_known_commit_is_not_written_again(void **state)
{
    (void)state;
    fixture f;
    gx_error error = {0};
    open_storage(&f, "again", NULL);
    check_ok("note", gx_storage_note_commit(&f.storage, "main", COMMIT, &error), &error);
    gx_file_fail_after(3); /* opening and reading it is all that may happen */
    const gx_status status = gx_storage_note_commit(&f.storage, "main", COMMIT, &error);
    gx_file_fail_after(0);
    check_ok("again", status, &error);
    gx_arena_free(f.arena);
}

static void refs_that_say_nothing(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "\n", "main", "ref: refs/heads/main", "../../../x", "0123456789ABCDEF0123456789abcdef01234567", COMMIT "0"};
    static const char *const good[] = {COMMIT, COMMIT "\n", COMMIT "\r\n", COMMIT " "};
    fixture f;
    gx_error error = {0}, large = {0};
    const char *commit;
    char bytes[5000];
    open_storage(&f, "refs", NULL);
    for (size_t i = 0; i < sizeof texts / sizeof *texts + sizeof good / sizeof *good; i++) {
        const bool is_good = i >= sizeof texts / sizeof *texts;
        scratch_write_text("refs/models--org--name/refs/main", is_good ? good[i - sizeof texts / sizeof *texts] : texts[i]);
        commit = "untouched";
        check_ok("ref", gx_storage_known_commit(&f.storage, &commit, "main", &error), &error);
        if (is_good)
            assert_string_equal(commit, COMMIT);
        else
            assert_null(commit);
    }
    memset(bytes, 'a', sizeof bytes);
    scratch_write("refs/models--org--name/refs/main", bytes, sizeof bytes);
    check_failure("large", gx_storage_known_commit(&f.storage, &commit, "main", &large), &large, GX_ERROR_FORMAT, "refs/main: 5000 bytes");
    gx_arena_free(f.arena);
}

static void settled_in_the_cache(void **state)
{
    (void)state;
    static const struct {
        const char *name, *target;
    } cases[] = {{"config.json", "../../blobs/"}, {"a/config.json", "../../../blobs/"}, {"a/b/c/config.json", "../../../../../blobs/"}};
    fixture f;
    open_storage(&f, "settled", NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const gx_hub_file file = file_of(cases[i].name, "bytes", 5, GX_HASH_SHA1);
        const gx_place place = place_of(&f, &file);
        char target[256] = {0}, expected[256];
        assert_int_equal(has(&place, &file), i > 0); /* the same bytes under another name */
        prepare(&f, &place);
        write_to(place.bytes, "bytes");
        assert_true(has(&place, &file));
        settle(&f, &place, COMMIT, &file);
        assert_true(readlink(place.path, target, sizeof target - 1) > 0);
        snprintf(expected, sizeof expected, "%s%s", cases[i].target, file.etag);
        assert_string_equal(target, expected);
        assert_string_equal(content_of(place.path), "bytes");
        struct stat before, after;
        assert_int_equal(lstat(place.path, &before), 0);
        settle(&f, &place, COMMIT, &file); /* nothing changes */
        assert_int_equal(lstat(place.path, &after), 0);
        assert_true(before.st_ino == after.st_ino);
    }
    gx_arena_free(f.arena);
}

static void links_that_lead_nowhere(void **state)
{
    (void)state;
    fixture f;
    open_storage(&f, "dangling", NULL);
    const gx_hub_file file = file_of("config.json", "bytes", 5, GX_HASH_SHA1);
    const gx_place place = place_of(&f, &file);
    prepare(&f, &place);
    assert_int_equal(symlink("../../blobs/gone", place.path), 0);
    assert_false(has(&place, &file));
    write_to(place.bytes, "bytes");
    settle(&f, &place, COMMIT, &file);
    assert_string_equal(content_of(place.path), "bytes");
    write_to(place.bytes, "torn");
    assert_false(has(&place, &file)); /* of another length */
    gx_arena_free(f.arena);
}

/* Where links cannot be made, huggingface_hub leaves the file itself in the snapshot. */
static void a_snapshot_of_files(void **state)
{
    (void)state;
    fixture f;
    struct stat info;
    open_storage(&f, "files", NULL);
    const gx_hub_file file = file_of("config.json", "bytes", 5, GX_HASH_SHA1);
    const gx_place place = place_of(&f, &file);
    prepare(&f, &place);
    write_to(place.path, "bytes");
    assert_true(has(&place, &file));
    settle(&f, &place, COMMIT, &file);
    assert_int_equal(lstat(place.path, &info), 0);
    assert_true(S_ISREG(info.st_mode));
    write_to(place.path, "byte");
    assert_false(has(&place, &file));
    gx_arena_free(f.arena);
}

static void settled_in_a_folder(void **state)
{
    (void)state;
    fixture f;
    char commit[64] = {0}, etag[80] = {0};
    double when = 0;
    open_storage(&f, "unused", "noted");
    const gx_hub_file file = file_of("sub/config.json", "bytes", 5, GX_HASH_SHA1);
    const gx_place place = place_of(&f, &file);
    assert_false(has(&place, &file));
    prepare(&f, &place);
    write_to(place.bytes, "bytes");
    settle(&f, &place, COMMIT, &file);
    const char *text = content_of(place.metadata);
    assert_int_equal(sscanf(text, "%63[^\n]\n%79[^\n]\n%lf", commit, etag, &when), 3);
    assert_string_equal(commit, COMMIT);
    assert_string_equal(etag, file.etag);
    assert_true(fabs(when - (double)time(NULL)) < 3600);
    assert_int_equal(text[strlen(text) - 1], '\n');
    assert_true(strchr(strrchr(text, '.'), ' ') == NULL);
    gx_arena_free(f.arena);
}

static uint64_t nbytes_read_by_has(const gx_place *place, const gx_hub_file *file, bool expected)
{
    const uint64_t before = gx_file_nbytes_read_total();
    assert_int_equal(has(place, file), expected);
    return gx_file_nbytes_read_total() - before;
}

/* A file that somebody wrote into is not what was noted: it is read again, whatever its length says. */
static void a_changed_file_is_noticed(void **state)
{
    (void)state;
    enum { NBYTES = 3 << 20 };
    char *bytes = calloc(NBYTES + 1, 1);
    memset(bytes, 'a', NBYTES);
    fixture f;
    const struct timespec later[2] = {{.tv_sec = time(NULL) + 100}, {.tv_sec = time(NULL) + 100}};
    open_storage(&f, "unused", "changed");
    const gx_hub_file file = file_of("model.gguf", bytes, NBYTES, GX_HASH_SHA256);
    const gx_place place = place_of(&f, &file);
    prepare(&f, &place);
    write_to(place.bytes, bytes);
    assert_true(nbytes_read_by_has(&place, &file, true) >= NBYTES); /* nothing is known of it */
    settle(&f, &place, COMMIT, &file);
    assert_true(nbytes_read_by_has(&place, &file, true) < 4096);
    assert_int_equal(utimensat(AT_FDCWD, place.bytes, later, 0), 0);
    assert_true(nbytes_read_by_has(&place, &file, true) >= NBYTES); /* touched, and still the same */
    bytes[NBYTES - 1] = 'b';
    write_to(place.bytes, bytes);
    assert_int_equal(utimensat(AT_FDCWD, place.bytes, later, 0), 0);
    assert_true(nbytes_read_by_has(&place, &file, false) >= NBYTES);
    bytes[NBYTES - 1] = 0;
    write_to(place.bytes, bytes);
    assert_int_equal(nbytes_read_by_has(&place, &file, false), 0); /* its length is enough */
    free(bytes);
    gx_arena_free(f.arena);
}

static void metadata_that_says_nothing(void **state)
{
    (void)state;
    fixture f;
    open_storage(&f, "unused", "metadata");
    const gx_hub_file file = file_of("x", "right", 5, GX_HASH_SHA1);
    const gx_place place = place_of(&f, &file);
    char texts[7][200];
    prepare(&f, &place);
    write_to(place.bytes, "wrong"); /* noted as right it would pass */
    snprintf(texts[0], sizeof texts[0], "%s", "");
    snprintf(texts[1], sizeof texts[1], "%s\n%s", COMMIT, file.etag);
    snprintf(texts[2], sizeof texts[2], "%s\n%s\n", COMMIT, file.etag);
    snprintf(texts[3], sizeof texts[3], "%s\n%s\nsoon\n", COMMIT, file.etag);
    snprintf(texts[4], sizeof texts[4], "%s\n%sx\n9999999999\n", COMMIT, file.etag);
    snprintf(texts[5], sizeof texts[5], "%s\n%.39s\n9999999999\n", COMMIT, file.etag);
    snprintf(texts[6], sizeof texts[6], "%s\n%s\n1000000000.5\n", COMMIT, file.etag); /* long ago */
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        write_to(place.metadata, texts[i]);
        if (has(&place, &file))
            fail_msg("'%s' is believed", texts[i]);
    }
    gx_arena_free(f.arena);
}

/* The same file of a later commit: what huggingface_hub finds noted is the commit that it is of. */
static void a_later_commit_is_noted(void **state)
{
    (void)state;
    fixture f;
    open_storage(&f, "unused", "later");
    const gx_hub_file file = file_of("x", "bytes", 5, GX_HASH_SHA1);
    const gx_place place = place_of(&f, &file);
    prepare(&f, &place);
    write_to(place.bytes, "bytes");
    settle(&f, &place, COMMIT, &file);
    settle(&f, &place, OTHER_COMMIT, &file);
    assert_memory_equal(content_of(place.metadata), OTHER_COMMIT "\n", 41);
    gx_arena_free(f.arena);
}

typedef struct race {
    char cache[512];
    bool local;
} race;

static gx_status bring_small_one(void *context, size_t item, unsigned worker, gx_error *error)
{
    const race *r = context;
    gx_arena *arena = gx_arena_new();
    const gx_hub_settings settings = {.cache_dir = r->cache, .local_dir = r->local ? r->cache : NULL};
    const gx_hub_file file = file_of("a/config.json", "bytes", 5, GX_HASH_SHA1);
    gx_storage storage;
    gx_place place;
    (void)item;
    (void)worker;
    gx_status status = arena ? gx_storage_open(&storage, arena, &settings, &id, error) : gx_fail_memory(error);
    if (status == GX_OK)
        status = gx_storage_place(&storage, &place, COMMIT, &file, error);
    if (status == GX_OK)
        status = gx_storage_prepare(&storage, &place, error);
    if (status == GX_OK)
        status = gx_storage_settle(&storage, &place, COMMIT, &file, error);
    if (status == GX_OK)
        status = gx_storage_note_commit(&storage, "main", COMMIT, error);
    gx_arena_free(arena);
    return status;
}

/* Two runs begin at once, on a cache that is not there yet, and find the bytes of both: neither may fail for the other's sake. */
static void two_begin_at_once(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 400; round++) {
        race r = {.local = round % 2};
        char name[64];
        gx_error error = {0};
        snprintf(name, sizeof name, "race%u", round);
        snprintf(r.cache, sizeof r.cache, "%s", scratch_path(name));
        snprintf(name, sizeof name, "race%u/%s", round, r.local ? "a/config.json" : "models--org--name/blobs/some");
        scratch_write_text(name, "bytes");
        check_ok(r.local ? "a folder" : "a cache", gx_parallel_for(2, 2, bring_small_one, &r, &error), &error);
    }
}

static gx_status do_all(void *context, gx_error *error)
{
    fixture *f = context;
    gx_arena *arena = gx_arena_new();
    gx_storage storage;
    gx_place place;
    const char *commit;
    bool there;
    const gx_hub_file file = {.name = "a/config.json", .nbytes = 5, .etag = "b6862c638cdf872a1946aeff705f4b4d90f71f41", .hash = GX_HASH_SHA1};
    gx_status status = arena ? gx_storage_open(&storage, arena, &f->settings, &id, error) : gx_fail_memory(error);
    if (status == GX_OK)
        status = gx_storage_place(&storage, &place, COMMIT, &file, error);
    if (status == GX_OK)
        status = gx_storage_prepare(&storage, &place, error);
    if (status == GX_OK)
        write_to(place.bytes, "bytes");
    if (status == GX_OK)
        status = gx_storage_settle(&storage, &place, COMMIT, &file, error);
    if (status == GX_OK)
        status = gx_storage_has(&place, &file, &there, error);
    if (status == GX_OK)
        status = gx_storage_note_commit(&storage, "main", COMMIT, error);
    if (status == GX_OK)
        status = gx_storage_known_commit(&storage, &commit, "main", error);
    gx_arena_free(arena);
    return status;
}

static void memory_runs_out(void **state)
{
    (void)state;
    fixture f;
    open_storage(&f, "memory", NULL);
    sweep_memory("cache", do_all, &f, 10);
    gx_arena_free(f.arena);
    open_storage(&f, "unused", "memory-local");
    sweep_memory("folder", do_all, &f, 10);
    gx_arena_free(f.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_in_the_cache),
        cmocka_unit_test(places_in_a_folder),
        cmocka_unit_test(commits_are_noted),
        cmocka_unit_test(a_known_commit_is_not_written_again),
        cmocka_unit_test(refs_that_say_nothing),
        cmocka_unit_test(settled_in_the_cache),
        cmocka_unit_test(links_that_lead_nowhere),
        cmocka_unit_test(a_snapshot_of_files),
        cmocka_unit_test(settled_in_a_folder),
        cmocka_unit_test(a_changed_file_is_noticed),
        cmocka_unit_test(metadata_that_says_nothing),
        cmocka_unit_test(a_later_commit_is_noted),
        cmocka_unit_test(two_begin_at_once),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
