/* .npz files as NumPy writes them: what is in them, and that no damage to one goes unnoticed or does harm. */
#include "support/scratch.h"

#include "checkpoint/checkpoint.h"

#define GOLDEN "tests/golden/arrays.npz" /* numpy.savez: ids int64 [2, 3] = 0 … 5, logits float32 [1, 2, 2] = 0.5 * (0 … 3), flags bool [2] */

static char *read_golden(size_t *nbytes)
{
    gx_arena *arena = gx_arena_new();
    char *bytes = NULL, *copy = NULL;
    assert_int_equal(gx_file_read_all(arena, GOLDEN, 1 << 20, &bytes, nbytes, NULL), GX_OK);
    copy = gx_alloc(*nbytes, 1);
    assert_non_null(copy);
    memcpy(copy, bytes, *nbytes);
    gx_arena_free(arena);
    return copy;
}

static void arrays_are_found(void **state)
{
    (void)state;
    gx_checkpoint *file = NULL;
    gx_error error = {0};
    check_ok("open", gx_checkpoint_open(&file, GOLDEN, &error), &error);
    assert_int_equal(gx_checkpoint_tensor_count(file), 3);
    const gx_tensor *ids = gx_checkpoint_find(file, "ids"), *logits = gx_checkpoint_find(file, "logits"), *flags = gx_checkpoint_find(file, "flags");
    assert_true(ids && logits && flags);
    assert_true(ids->dtype == GX_DTYPE_I64 && ids->rank == 2 && ids->shape[0] == 2 && ids->shape[1] == 3 && ids->nbytes == 48);
    assert_true(flags->dtype == GX_DTYPE_BOOL && flags->rank == 1 && flags->shape[0] == 2);
    assert_true(logits->dtype == GX_DTYPE_F32 && logits->rank == 3);
    float values[2], scratch[2];
    check_ok("read", gx_checkpoint_read_rows(file, logits, 1, 1, scratch, values, &error), &error);
    assert_true(values[0] == 1 && values[1] == 1.5f);
    int64_t numbers[6];
    check_ok("read", gx_file_read(gx_checkpoint_file(file, ids->file), ids->offset, numbers, sizeof numbers, &error), &error);
    for (int i = 0; i < 6; i++)
        assert_int_equal(numbers[i], i);
    gx_checkpoint_close(file);
}

static void open_bytes(const char *what, const uint8_t *bytes, size_t nbytes, bool must_fail)
{
    gx_checkpoint *file = NULL;
    gx_error error = {0};
    scratch_write("arrays.npz", bytes, nbytes);
    const gx_status status = gx_checkpoint_open(&file, scratch_path("arrays.npz"), &error);
    if (must_fail && status == GX_OK)
        fail_msg("%s is taken", what);
    if (status != GX_OK && !strstr(error.message, "arrays.npz"))
        fail_msg("%s: the message does not name the file: %s", what, error.message);
    gx_checkpoint_close(file);
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    (void)state;
    size_t nbytes = 0;
    char *bytes = read_golden(&nbytes);
    for (size_t n = 0; n < nbytes; n++)
        open_bytes("a cut file", (const uint8_t *)bytes, n, true);
    gx_free(bytes);
}

/* Payload may change unnoticed; nothing may be read outside of the file (sanitizers watch). */
static void changed_bytes_do_no_harm(void **state)
{
    (void)state;
    static const uint8_t others[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    size_t nbytes = 0;
    char *bytes = read_golden(&nbytes);
    for (size_t n = 0; n < nbytes; n++) {
        const char kept = bytes[n];
        for (size_t i = 0; i < sizeof others; i++) {
            bytes[n] = (char)others[i];
            open_bytes("a changed file", (const uint8_t *)bytes, nbytes, false);
        }
        bytes[n] = kept;
    }
    gx_free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrays_are_found),
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(changed_bytes_do_no_harm),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
