/* A file on its way: what has come is known again, whatever stopped the run, and never more than has come. */
#include <sys/wait.h>

#include "hub/partial.h"
#include "hub_support.h"

#define PIECE GX_PIECE_NBYTES
#define STEP ((size_t)256 << 10) /* what a crash may lose of a piece */

static gx_place place;

static void begin_case(void)
{
    static char paths[3][512];
    static const char *const names[3] = {"bytes", "half", "journal"};
    for (int i = 0; i < 3; i++) {
        snprintf(paths[i], sizeof paths[i], "%s", scratch_path(names[i]));
        unlink(paths[i]);
    }
    place = (gx_place){.path = paths[0], .bytes = paths[0], .partial = paths[1], .journal = paths[2]};
}

static gx_partial *open_partial(uint64_t nbytes)
{
    gx_partial *p = NULL;
    gx_error error = {0};
    check_ok("open", gx_partial_open(&p, &place, nbytes, &error), &error);
    return p;
}

/* The byte that belongs at an offset. */
static uint8_t byte_at(uint64_t offset)
{
    return (uint8_t)(offset * 31 + (offset >> 16) + 1);
}

/* The next nbytes of a piece. */
static gx_status write_next(gx_partial *p, size_t piece, size_t nbytes, gx_error *error)
{
    uint64_t begin, end;
    uint8_t *bytes = malloc(nbytes ? nbytes : 1);
    gx_partial_piece(p, piece, &begin, &end);
    for (size_t i = 0; i < nbytes; i++)
        bytes[i] = byte_at(begin + i);
    const gx_status status = gx_partial_write(p, piece, bytes, nbytes, error);
    free(bytes);
    return status;
}

static void must_write(gx_partial *p, size_t piece, size_t nbytes)
{
    gx_error error = {0};
    check_ok("write", write_next(p, piece, nbytes, &error), &error);
}

static void expect_piece(const gx_partial *p, size_t piece, uint64_t begin, uint64_t end)
{
    uint64_t b, e;
    gx_partial_piece(p, piece, &b, &e);
    assert_int_equal(b, begin);
    assert_int_equal(e, end);
}

/* What is said to be there is there. */
static void check_bytes(const gx_partial *p, const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(1 << 20);
    assert_non_null(file);
    for (size_t piece = 0; piece < gx_partial_piece_count(p); piece++) {
        uint64_t begin, end;
        gx_partial_piece(p, piece, &begin, &end);
        for (uint64_t at = piece * PIECE; at < begin;) {
            const size_t n = begin - at < 1 << 20 ? (size_t)(begin - at) : 1 << 20;
            assert_int_equal(fseeko(file, (off_t)at, SEEK_SET), 0);
            assert_int_equal(fread(bytes, 1, n, file), n);
            for (size_t i = 0; i < n; i++, at++)
                if (bytes[i] != byte_at(at))
                    fail_msg("piece %zu is said to be here up to %llu, and is not at %llu", piece, (unsigned long long)begin, (unsigned long long)at);
        }
    }
    fclose(file);
    free(bytes);
}

static uint64_t peek(uint64_t nbytes)
{
    uint64_t done = 77;
    gx_error error = {0};
    check_ok("peek", gx_partial_peek(&done, &place, nbytes, &error), &error);
    return done;
}

static void pieces(void **state)
{
    (void)state;
    static const struct {
        uint64_t nbytes;
        size_t count;
        uint64_t last;
    } cases[] = {{0, 1, 0}, {1, 1, 1}, {PIECE - 1, 1, PIECE - 1}, {PIECE, 1, PIECE}, {PIECE + 1, 2, 1}, {3 * PIECE, 3, PIECE}, {3 * PIECE - 1, 3, PIECE - 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin_case();
        gx_partial *p = open_partial(cases[i].nbytes);
        assert_int_equal(gx_partial_piece_count(p), cases[i].count);
        for (size_t piece = 0; piece + 1 < cases[i].count; piece++)
            expect_piece(p, piece, piece * PIECE, (piece + 1) * PIECE);
        expect_piece(p, cases[i].count - 1, cases[i].nbytes - cases[i].last, cases[i].nbytes);
        assert_int_equal(gx_partial_done(p), 0);
        assert_int_equal(gx_partial_contiguous(p), 0);
        gx_partial_discard(p);
        assert_false(gx_path_exists(place.partial));
        assert_false(gx_path_exists(place.journal));
    }
}

static void what_lies_before_the_first_gap(void **state)
{
    (void)state;
    begin_case();
    gx_partial *p = open_partial(3 * PIECE - 100);
    must_write(p, 1, PIECE); /* whole, behind a gap */
    assert_int_equal(gx_partial_contiguous(p), 0);
    assert_int_equal(gx_partial_done(p), PIECE);
    must_write(p, 0, 1000);
    assert_int_equal(gx_partial_contiguous(p), 1000);
    must_write(p, 0, PIECE - 1001);
    assert_int_equal(gx_partial_contiguous(p), PIECE - 1);
    must_write(p, 2, 7);
    assert_int_equal(gx_partial_contiguous(p), PIECE - 1);
    must_write(p, 0, 0);
    must_write(p, 0, 1); /* closes the gap over two pieces at once */
    assert_int_equal(gx_partial_contiguous(p), 2 * PIECE + 7);
    must_write(p, 2, PIECE - 107);
    assert_int_equal(gx_partial_contiguous(p), 3 * PIECE - 100);
    assert_int_equal(gx_partial_done(p), 3 * PIECE - 100);
    check_bytes(p, place.partial);
    gx_partial_discard(p);
}

static void a_suspended_one_goes_on(void **state)
{
    (void)state;
    gx_error error = {0};
    gx_path_info info;
    begin_case();
    gx_partial *p = open_partial(2 * PIECE + 5);
    must_write(p, 0, 12345); /* less than a step: the journal does not know of it before the end */
    must_write(p, 1, PIECE);
    must_write(p, 2, 4);
    gx_partial_suspend(p);
    assert_int_equal(peek(2 * PIECE + 5), 12345 + PIECE + 4);
    p = open_partial(2 * PIECE + 5);
    expect_piece(p, 0, 12345, PIECE);
    expect_piece(p, 1, 2 * PIECE, 2 * PIECE);
    expect_piece(p, 2, 2 * PIECE + 4, 2 * PIECE + 5);
    assert_int_equal(gx_partial_done(p), 12345 + PIECE + 4);
    assert_int_equal(gx_partial_contiguous(p), 12345);
    check_bytes(p, place.partial);
    must_write(p, 0, PIECE - 12345);
    must_write(p, 2, 1);
    check_bytes(p, place.partial);
    check_ok("commit", gx_partial_commit(p, &error), &error);
    assert_true(gx_path_stat(place.bytes, &info));
    assert_int_equal(info.nbytes, 2 * PIECE + 5);
    assert_false(gx_path_exists(place.partial));
    assert_false(gx_path_exists(place.journal));
    gx_partial_suspend(NULL);
}

static void an_empty_file(void **state)
{
    (void)state;
    gx_error error = {0};
    gx_path_info info;
    for (int again = 0; again < 2; again++) {
        begin_case();
        gx_partial *p = open_partial(0);
        if (again) {
            gx_partial_suspend(p);
            p = open_partial(0);
        }
        expect_piece(p, 0, 0, 0);
        assert_int_equal(gx_partial_contiguous(p), 0);
        check_ok("reserve", gx_partial_reserve(p, &error), &error);
        check_ok("join", gx_partial_join(p, &error), &error);
        assert_int_equal(gx_partial_piece_count(p), 1);
        check_ok("commit", gx_partial_commit(p, &error), &error);
        assert_true(gx_path_stat(place.bytes, &info));
        assert_int_equal(info.nbytes, 0);
    }
}

static void leave(uint64_t nbytes)
{
    begin_case();
    gx_partial *p = open_partial(nbytes);
    for (size_t piece = 0; piece < gx_partial_piece_count(p); piece++)
        must_write(p, piece, 300000);
    gx_partial_suspend(p);
}

static void rewrite(const char *path, uint64_t offset, const void *bytes, size_t nbytes)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseeko(file, (off_t)offset, SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, 1, nbytes, file), nbytes);
    assert_int_equal(fclose(file), 0);
}

static void expect_anew(const char *what, uint64_t nbytes)
{
    gx_path_info info;
    if (peek(nbytes) != 0)
        fail_msg("%s: %llu bytes are seen", what, (unsigned long long)peek(nbytes));
    gx_partial *p = open_partial(nbytes);
    if (gx_partial_done(p) != 0 || gx_partial_contiguous(p) != 0)
        fail_msg("%s: %llu bytes are taken up", what, (unsigned long long)gx_partial_done(p));
    assert_true(gx_path_stat(place.partial, &info));
    assert_int_equal(info.nbytes, nbytes);
    must_write(p, 0, 1000);
    gx_partial_suspend(p);
    p = open_partial(nbytes); /* and its own journal is a good one */
    assert_int_equal(gx_partial_done(p), 1000);
    gx_partial_discard(p);
}

static void journals_that_say_nothing(void **state)
{
    (void)state;
    const uint64_t nbytes = 2 * PIECE + 400000, other = nbytes + 1;
    gx_path_info info;
    leave(nbytes);
    assert_true(gx_path_stat(place.journal, &info));
    const off_t whole = (off_t)info.nbytes;
    for (off_t length = 0; length < whole; length++) { /* torn anywhere */
        leave(nbytes);
        assert_int_equal(truncate(place.journal, length), 0);
        expect_anew("torn", nbytes);
    }
    leave(nbytes);
    assert_int_equal(truncate(place.journal, whole + 1), 0);
    expect_anew("too long", nbytes);
    for (int i = 0; i < 8; i++) {
        leave(nbytes);
        rewrite(place.journal, (uint64_t)i, "\xee", 1);
        expect_anew("foreign", nbytes);
    }
    leave(nbytes);
    rewrite(place.journal, 8, &other, 8);
    expect_anew("of another size", nbytes);
    leave(nbytes);
    rewrite(place.journal, 16, &(uint64_t){PIECE / 2}, 8);
    expect_anew("of other pieces", nbytes);
    leave(nbytes);
    rewrite(place.journal, 16, &(uint64_t){0}, 8);
    expect_anew("of pieces of nothing", nbytes);
    leave(nbytes);
    unlink(place.journal);
    expect_anew("none", nbytes);
    leave(nbytes);
    scratch_write_text("journal", "<html>an answer of a proxy, long enough to be a journal of something</html>");
    expect_anew("garbage", nbytes);
}

/* A count that cannot be is not believed; those beside it are. */
static void counts_that_cannot_be(void **state)
{
    (void)state;
    const uint64_t nbytes = 2 * PIECE + 400000;
    static const uint64_t wrong[] = {PIECE + 1, UINT64_MAX, UINT64_C(1) << 63};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        leave(nbytes);
        rewrite(place.journal, 24, &wrong[i], 8);
        gx_partial *p = open_partial(nbytes);
        expect_piece(p, 0, 0, PIECE);
        expect_piece(p, 1, PIECE + 300000, 2 * PIECE);
        assert_int_equal(gx_partial_done(p), 600000);
        gx_partial_discard(p);
    }
    leave(nbytes);
    rewrite(place.journal, 24 + 16, &(uint64_t){400001}, 8); /* fits a piece, but not the last */
    gx_partial *p = open_partial(nbytes);
    expect_piece(p, 2, 2 * PIECE, nbytes);
    gx_partial_discard(p);
}

static void bytes_of_another_length(void **state)
{
    (void)state;
    const uint64_t nbytes = PIECE + 400000;
    leave(nbytes);
    assert_int_equal(truncate(place.partial, (off_t)nbytes - 1), 0);
    expect_anew("shorter", nbytes);
    leave(nbytes);
    assert_int_equal(truncate(place.partial, (off_t)nbytes + 1), 0);
    expect_anew("longer", nbytes);
    leave(nbytes);
    expect_anew("another file's", nbytes + 1);
    leave(nbytes);
    unlink(place.partial);
    expect_anew("gone", nbytes);
}

/* The journal of a file that is gone is there, and opening fails at its nth call: then, too, nothing was here. */
static void a_journal_without_its_bytes(void **state)
{
    (void)state;
    const uint64_t nbytes = PIECE + 400000;
    for (uint64_t n = 1;; n++) {
        gx_partial *p = NULL;
        gx_error error = {0};
        leave(nbytes);
        unlink(place.partial);
        gx_file_fail_after(n);
        const gx_status status = gx_partial_open(&p, &place, nbytes, &error);
        gx_file_fail_after(0);
        if (status == GX_OK) {
            gx_partial_discard(p);
            assert_true(n > 5);
            return;
        }
        check_failure("open", status, &error, GX_ERROR_IO, scratch_folder);
        expect_anew("after a failure", nbytes);
    }
}

static void joining(void **state)
{
    (void)state;
    gx_error error = {0};
    const uint64_t nbytes = 3 * PIECE;
    begin_case();
    gx_partial *p = open_partial(nbytes);
    must_write(p, 0, PIECE);
    must_write(p, 1, 500);
    must_write(p, 2, PIECE); /* beyond the gap: given up */
    check_ok("join", gx_partial_join(p, &error), &error);
    assert_int_equal(gx_partial_piece_count(p), 1);
    expect_piece(p, 0, PIECE + 500, nbytes);
    assert_int_equal(gx_partial_done(p), PIECE + 500);
    assert_int_equal(gx_partial_contiguous(p), PIECE + 500);
    must_write(p, 0, 1 << 20);
    gx_partial_suspend(p);
    p = open_partial(nbytes); /* remains one */
    assert_int_equal(gx_partial_piece_count(p), 1);
    expect_piece(p, 0, PIECE + 500 + (1 << 20), nbytes);
    check_bytes(p, place.partial);
    must_write(p, 0, (size_t)(2 * PIECE - 500 - (1 << 20)));
    assert_int_equal(gx_partial_contiguous(p), nbytes);
    check_ok("join a whole one", gx_partial_join(p, &error), &error);
    assert_int_equal(gx_partial_contiguous(p), nbytes);
    check_bytes(p, place.partial);
    gx_partial_discard(p);
}

/* Without memory for its pieces a join fails, and what is there can still be left for the next run. */
static void joining_without_memory(void **state)
{
    (void)state;
    gx_error error = {0};
    const uint64_t nbytes = 2 * PIECE;
    begin_case();
    gx_partial *p = open_partial(nbytes);
    must_write(p, 0, PIECE);
    must_write(p, 1, 500000);
    gx_alloc_fail_after(1);
    const gx_status status = gx_partial_join(p, &error);
    gx_alloc_fail_after(0);
    check_failure("join", status, &error, GX_ERROR_MEMORY, "out of memory");
    gx_partial_suspend(p);
    p = open_partial(nbytes);
    assert_int_equal(gx_partial_done(p), PIECE + 500000);
    gx_partial_discard(p);
}

/* Brings as much as it may, and stops dead: neither suspends nor closes. */
static void bring_and_die(uint64_t nbytes, uint64_t calls, size_t chunk)
{
    gx_partial *p = NULL;
    gx_file_fail_after(calls);
    if (gx_partial_open(&p, &place, nbytes, NULL) != GX_OK)
        _exit(0);
    for (size_t piece = gx_partial_piece_count(p); piece-- > 0;) {
        uint64_t begin, end;
        for (gx_partial_piece(p, piece, &begin, &end); begin < end; gx_partial_piece(p, piece, &begin, &end))
            if (write_next(p, piece, end - begin < chunk ? (size_t)(end - begin) : chunk, NULL) != GX_OK)
                _exit(0);
    }
    _exit(1); /* all is here */
}

/* Stopped at any call, between the bytes and the note of them, too; again and again, until all is here. */
static void stopped_at_any_call(void **state)
{
    (void)state;
    const uint64_t nbytes = 2 * PIECE + 70000;
    uint64_t before = 0;
    int finished = 0;
    begin_case();
    for (unsigned run = 0; !finished; run++) {
        int status;
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            bring_and_die(nbytes, 1 + run % 11, STEP - 1000 + run % 3 * 1000);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        finished = WEXITSTATUS(status);
        gx_partial *p = open_partial(nbytes);
        check_bytes(p, place.partial);
        assert_true(gx_partial_done(p) >= before); /* what was known once stays known */
        before = gx_partial_done(p);
        gx_partial_suspend(p);
        assert_true(run < 1000);
    }
    assert_int_equal(before, nbytes);
}

/* A crash loses less than a step of each piece, however small the parts are that come. */
static void a_crash_loses_little(void **state)
{
    (void)state;
    static const size_t chunks[] = {1000, 16384, STEP - 1, STEP, STEP + 1, 1 << 20};
    for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++) {
        int status;
        begin_case();
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            gx_partial *p = open_partial(2 * PIECE);
            for (size_t at = 0; at + chunks[c] <= 3 << 20; at += chunks[c])
                if (write_next(p, 1, chunks[c], NULL) != GX_OK)
                    _exit(1);
            _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        gx_partial *p = open_partial(2 * PIECE);
        check_bytes(p, place.partial);
        const uint64_t written = (3 << 20) / chunks[c] * chunks[c];
        assert_true(gx_partial_done(p) <= written);
        assert_true(gx_partial_done(p) + STEP > written);
        gx_partial_discard(p);
    }
}

static void a_write_that_fails(void **state)
{
    (void)state;
    const uint64_t nbytes = 3 << 20;
    for (uint64_t n = 1; n <= 8; n++) {
        gx_error error = {0};
        gx_status status = GX_OK;
        begin_case();
        gx_partial *p = open_partial(nbytes);
        must_write(p, 0, STEP);
        gx_file_fail_after(n);
        for (int i = 0; i < 11 && status == GX_OK; i++)
            status = write_next(p, 0, STEP, &error);
        gx_file_fail_after(0);
        check_failure("write", status, &error, GX_ERROR_IO, "writing: Input/output error");
        gx_partial_suspend(p);
        p = open_partial(nbytes);
        check_bytes(p, place.partial);
        assert_true(gx_partial_done(p) >= STEP);
        gx_partial_discard(p);
    }
}

/* A name that cannot be taken must not cost what was brought. */
static void a_place_that_cannot_be_taken(void **state)
{
    (void)state;
    gx_error error = {0};
    begin_case();
    scratch_write_text("bytes/in-the-way", "");
    gx_partial *p = open_partial(1000);
    must_write(p, 0, 1000);
    check_failure("commit", gx_partial_commit(p, &error), &error, GX_ERROR_IO, "half: renaming");
    p = open_partial(1000);
    assert_int_equal(gx_partial_done(p), 1000);
    gx_partial_discard(p);
    unlink(scratch_path("bytes/in-the-way"));
    rmdir(scratch_path("bytes"));
}

static gx_status open_and_leave(void *context, gx_error *error)
{
    gx_partial *p = NULL;
    const uint64_t *nbytes = context;
    GX_TRY(gx_partial_open(&p, &place, *nbytes, error));
    gx_partial_suspend(p);
    return GX_OK;
}

static void memory_runs_out(void **state)
{
    (void)state;
    uint64_t nbytes = 2 * PIECE;
    begin_case();
    sweep_memory("anew", open_and_leave, &nbytes, 5);
    leave(nbytes);
    for (uint64_t n = 1, done = 1; done; n++) { /* what is here stays known */
        gx_error error = {0};
        gx_alloc_fail_after(n);
        done = open_and_leave(&nbytes, &error) != GX_OK;
        gx_alloc_fail_after(0);
        gx_partial *p = open_partial(nbytes);
        assert_int_equal(gx_partial_done(p), 600000);
        gx_partial_suspend(p);
        if (done)
            check_failure("taken up", error.status, &error, GX_ERROR_MEMORY, "out of memory");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces),
        cmocka_unit_test(what_lies_before_the_first_gap),
        cmocka_unit_test(a_suspended_one_goes_on),
        cmocka_unit_test(an_empty_file),
        cmocka_unit_test(journals_that_say_nothing),
        cmocka_unit_test(counts_that_cannot_be),
        cmocka_unit_test(bytes_of_another_length),
        cmocka_unit_test(a_journal_without_its_bytes),
        cmocka_unit_test(joining),
        cmocka_unit_test(joining_without_memory),
        cmocka_unit_test(stopped_at_any_call),
        cmocka_unit_test(a_crash_loses_little),
        cmocka_unit_test(a_write_that_fails),
        cmocka_unit_test(a_place_that_cannot_be_taken),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
