/* Files hashed while they grow. What the thread finds is waited for; the alarm is a safety net. */
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "base/threads.h"
#include "hub/hasher.h"
#include "hub_support.h"

/* pread, as the library calls it: a case may hold a reader inside it. */
static _Atomic int reading; /* 1: hold the next one; 2: it is held; 0: let it go */
ssize_t pread(int descriptor, void *buffer, size_t nbytes, off_t offset)
{
    int hold = 1;
    if (atomic_compare_exchange_strong(&reading, &hold, 2))
        while (atomic_load(&reading) == 2)
            sched_yield();
    return syscall(SYS_pread64, descriptor, buffer, nbytes, offset);
}

#define LARGE ((size_t)5 << 20)

static uint8_t *large; /* some bytes */
static gx_hub_file right_file;

static int open_all(void **state)
{
    large = malloc(LARGE);
    for (size_t i = 0; i < LARGE; i++)
        large[i] = (uint8_t)(i * 7 + (i >> 13));
    right_file = file_of("large", large, LARGE, GX_HASH_SHA256);
    return scratch_open(state);
}

static int close_all(void **state)
{
    free(large);
    return scratch_close(state);
}

static gx_hasher *open_hasher(size_t count)
{
    gx_hasher *hasher = NULL;
    gx_error error = {0};
    check_ok("open", gx_hasher_open(&hasher, count, &error), &error);
    return hasher;
}

static gx_hash_state wait_for(gx_hasher *hasher, size_t index, gx_error *error)
{
    gx_hash_state found;
    alarm(60);
    while ((found = gx_hasher_state(hasher, index, error)) == GX_HASHING)
        sched_yield();
    alarm(0);
    return found;
}

static gx_hash_state hash_all(const char *path, const gx_hub_file *file, gx_error *error)
{
    gx_hasher *hasher = open_hasher(1);
    assert_int_equal(gx_hasher_state(hasher, 0, error), GX_HASHING);
    gx_hasher_begin(hasher, 0, path, file);
    gx_hasher_advance(hasher, 0, file->nbytes);
    const gx_hash_state found = wait_for(hasher, 0, error);
    gx_hasher_close(hasher);
    return found;
}

static void right_and_wrong(void **state)
{
    (void)state;
    static const char text[] = "some text";
    static const struct {
        const char *bytes;
        size_t nbytes;
        gx_hash_kind kind;
        const char *etag; /* from the standards and from git hash-object */
    } cases[] = {
        {"abc", 3, GX_HASH_SHA256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"", 0, GX_HASH_SHA256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"", 0, GX_HASH_SHA1, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"},
        {"hello\n", 6, GX_HASH_SHA1, "ce013625030ba8dba906f756967f9e9ca394464a"},
    };
    gx_error error = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = scratch_write("vector", cases[i].bytes, cases[i].nbytes);
        gx_hub_file file = {.name = "x", .nbytes = cases[i].nbytes, .hash = cases[i].kind};
        memcpy(file.etag, cases[i].etag, strlen(cases[i].etag) + 1);
        assert_int_equal(hash_all(path, &file, &error), GX_HASH_RIGHT);
        file.etag[strlen(file.etag) - 1] ^= 1;
        assert_int_equal(hash_all(path, &file, &error), GX_HASH_WRONG);
        file.etag[0] = 0;
        assert_int_equal(hash_all(path, &file, &error), GX_HASH_WRONG);
    }
    const gx_hub_file file = file_of("x", text, sizeof text, GX_HASH_SHA256);
    const char *path = scratch_write("vector", "some Text", sizeof text);
    assert_int_equal(hash_all(path, &file, &error), GX_HASH_WRONG);
    assert_int_equal(error.status, GX_OK);
}

/* Only what is said to be there is read: the rest is written after the hash has begun. */
static void a_file_that_grows(void **state)
{
    (void)state;
    static const size_t steps[] = {1, 1000, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20, (3 << 20) + 5, LARGE - 1, LARGE};
    gx_error error = {0};
    const char *path = scratch_write("grows", "", 0);
    assert_int_equal(truncate(path, LARGE), 0);
    gx_hasher *hasher = open_hasher(3);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    setvbuf(file, NULL, _IONBF, 0);
    gx_hasher_begin(hasher, 1, path, &right_file);
    gx_hasher_advance(hasher, 1, 0);
    for (size_t i = 0, at = 0; i < sizeof steps / sizeof *steps; at = steps[i++]) {
        assert_int_equal(gx_hasher_state(hasher, 1, &error), GX_HASHING);
        assert_int_equal(fwrite(large + at, 1, steps[i] - at, file), steps[i] - at);
        gx_hasher_advance(hasher, 1, steps[i]);
        gx_hasher_advance(hasher, 1, steps[i]); /* no news */
        for (int k = 0; k < 200; k++)
            sched_yield(); /* lets it read now and then: too short a time hides an error, never makes one */
    }
    fclose(file);
    assert_int_equal(wait_for(hasher, 1, &error), GX_HASH_RIGHT);
    assert_int_equal(gx_hasher_state(hasher, 0, &error), GX_HASHING);
    assert_int_equal(gx_hasher_state(hasher, 2, &error), GX_HASHING);
    gx_hasher_close(hasher);
}

static void several_at_once(void **state)
{
    (void)state;
    enum { FILES = 20 };
    char paths[FILES][512], names[FILES][16];
    gx_hub_file files[FILES];
    gx_error error = {0};
    gx_hasher *hasher = open_hasher(FILES);
    for (size_t i = 0; i < FILES; i++) {
        const size_t nbytes = i * 150001;
        snprintf(names[i], sizeof names[i], "several%zu", i);
        snprintf(paths[i], sizeof paths[i], "%s", scratch_write(names[i], large, nbytes));
        files[i] = file_of(names[i], large, nbytes, i % 2 ? GX_HASH_SHA1 : GX_HASH_SHA256);
        if (i % 5 == 4)
            files[i].etag[0] = 'x';
        gx_hasher_begin(hasher, i, paths[i], &files[i]);
    }
    for (size_t i = FILES; i-- > 0;)
        gx_hasher_advance(hasher, i, files[i].nbytes / 2);
    for (size_t i = 0; i < FILES; i++)
        gx_hasher_advance(hasher, i, files[i].nbytes);
    for (size_t i = 0; i < FILES; i++)
        assert_int_equal(wait_for(hasher, i, &error), i % 5 == 4 ? GX_HASH_WRONG : GX_HASH_RIGHT);
    gx_hasher_close(hasher);
}

/* What was read of it before does not count, even if the thread is reading it just now. */
static void forgotten_and_begun_anew(void **state)
{
    (void)state;
    char wrong[512], right[512];
    gx_error error = {0};
    uint8_t *other = malloc(LARGE);
    memset(other, 1, LARGE);
    snprintf(wrong, sizeof wrong, "%s", scratch_write("wrong", other, LARGE));
    snprintf(right, sizeof right, "%s", scratch_write("right", large, LARGE));
    free(other);
    gx_hasher *hasher = open_hasher(1);
    gx_hasher_forget(hasher, 0); /* never begun */
    for (size_t round = 0; round < 40; round++) {
        gx_hasher_begin(hasher, 0, wrong, &right_file);
        gx_hasher_advance(hasher, 0, round % 2 ? LARGE : LARGE / 2);
        for (size_t k = 0; k < round; k++)
            sched_yield();
        if (round % 8 == 7)
            assert_int_equal(wait_for(hasher, 0, &error), GX_HASH_WRONG);
        gx_hasher_forget(hasher, 0);
        assert_int_equal(gx_hasher_state(hasher, 0, &error), GX_HASHING);
    }
    gx_hasher_begin(hasher, 0, right, &right_file);
    gx_hasher_advance(hasher, 0, LARGE);
    assert_int_equal(wait_for(hasher, 0, &error), GX_HASH_RIGHT);
    gx_hasher_close(hasher);
}

typedef struct forgetter {
    gx_hasher *hasher;
    _Atomic bool done;
} forgetter;

static void forget(void *context)
{
    forgetter *f = context;
    gx_hasher_forget(f->hasher, 0);
    atomic_store(&f->done, true);
}

/* Who forgets a file may remove it and free its name at once: the thread must be out of it by then. */
static void forgotten_while_it_is_read(void **state)
{
    (void)state;
    char path[512];
    gx_error error = {0};
    forgetter f = {.hasher = open_hasher(1)};
    snprintf(path, sizeof path, "%s", scratch_write("held", large, LARGE));
    gx_hasher_begin(f.hasher, 0, path, &right_file);
    atomic_store(&reading, 1);
    gx_hasher_advance(f.hasher, 0, LARGE);
    alarm(60);
    while (atomic_load(&reading) != 2)
        sched_yield();
    gx_thread *thread = gx_thread_start(forget, &f);
    for (int i = 0; i < 5000; i++)
        sched_yield(); /* too short a time hides an error, never makes one */
    const bool too_early = atomic_load(&f.done);
    atomic_store(&reading, 0);
    gx_thread_join(thread);
    alarm(0);
    assert_false(too_early);
    assert_true(f.done);
    gx_hasher_begin(f.hasher, 0, path, &right_file);
    gx_hasher_advance(f.hasher, 0, LARGE);
    assert_int_equal(wait_for(f.hasher, 0, &error), GX_HASH_RIGHT);
    gx_hasher_close(f.hasher);
}

static void reads_that_fail(void **state)
{
    (void)state;
    gx_error absent = {0}, shorter = {0}, fault = {0}, folder = {0};
    assert_int_equal(hash_all(scratch_path("absent"), &right_file, &absent), GX_HASH_FAILED);
    check_failure("absent", absent.status, &absent, GX_ERROR_IO, "absent: No such file");
    assert_int_equal(hash_all(scratch_write("short", large, LARGE - 1), &right_file, &shorter), GX_HASH_FAILED);
    check_failure("short", shorter.status, &shorter, GX_ERROR_FORMAT, "short: ");
    assert_int_equal(hash_all(scratch_folder, &right_file, &folder), GX_HASH_FAILED);
    check_failure("folder", folder.status, &folder, GX_ERROR_IO, "not a regular file");
    gx_hasher *hasher = open_hasher(2);
    char path[512];
    snprintf(path, sizeof path, "%s", scratch_write("whole", large, LARGE));
    gx_hasher_begin(hasher, 0, path, &right_file);
    gx_file_fail_after(3);
    gx_hasher_advance(hasher, 0, LARGE);
    assert_int_equal(wait_for(hasher, 0, &fault), GX_HASH_FAILED);
    gx_file_fail_after(0);
    check_failure("fault", fault.status, &fault, GX_ERROR_IO, "whole: reading: Input/output error");
    gx_hasher_begin(hasher, 1, path, &right_file); /* one failure is not the next file's */
    gx_hasher_advance(hasher, 1, LARGE);
    assert_int_equal(wait_for(hasher, 1, &(gx_error){0}), GX_HASH_RIGHT);
    gx_hasher_forget(hasher, 0);
    gx_hasher_begin(hasher, 0, path, &right_file);
    gx_hasher_advance(hasher, 0, LARGE);
    assert_int_equal(wait_for(hasher, 0, &(gx_error){0}), GX_HASH_RIGHT);
    gx_hasher_close(hasher);
}

/* Whoever closes it does not wait for all that could be read. */
static void closed_in_the_middle(void **state)
{
    (void)state;
    char path[512];
    snprintf(path, sizeof path, "%s", scratch_write("middle", large, LARGE));
    for (int round = 0; round < 20; round++) {
        gx_hasher *hasher = open_hasher(1);
        gx_hasher_begin(hasher, 0, path, &right_file);
        gx_hasher_advance(hasher, 0, round % 2 ? LARGE : LARGE - 1);
        for (int k = 0; k < round; k++)
            sched_yield();
        gx_hasher_close(hasher);
    }
    gx_hasher_close(NULL);
    gx_hasher_close(open_hasher(0));
}

static gx_status open_and_close(void *context, gx_error *error)
{
    gx_hasher *hasher = NULL;
    (void)context;
    GX_TRY(gx_hasher_open(&hasher, 3, error));
    gx_hasher_close(hasher);
    return GX_OK;
}

static void memory_runs_out(void **state)
{
    (void)state;
    char path[512];
    sweep_memory("open", open_and_close, NULL, 4);
    snprintf(path, sizeof path, "%s", scratch_write("memory", large, LARGE));
    for (uint64_t n = 1; n <= 3; n++) { /* the file's two, the hash's one: in the thread */
        gx_error error = {0};
        gx_hasher *hasher = open_hasher(1);
        gx_hasher_begin(hasher, 0, path, &right_file);
        gx_alloc_fail_after(n);
        gx_hasher_advance(hasher, 0, LARGE);
        assert_int_equal(wait_for(hasher, 0, &error), GX_HASH_FAILED);
        gx_alloc_fail_after(0);
        check_failure("hash", error.status, &error, GX_ERROR_MEMORY, "out of memory");
        gx_hasher_close(hasher);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_and_wrong),
        cmocka_unit_test(a_file_that_grows),
        cmocka_unit_test(several_at_once),
        cmocka_unit_test(forgotten_and_begun_anew),
        cmocka_unit_test(forgotten_while_it_is_read),
        cmocka_unit_test(reads_that_fail),
        cmocka_unit_test(closed_in_the_middle),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
