/* Every decoder against what the Python package `gguf` gives, bit for bit: tests/golden/ggml_blocks.bin, made by
 * tools/make_ggml_blocks.py, which says how it is laid out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "tensor/dtype.h"

#define MAX_VALUES 8192

typedef struct format {
    gx_dtype dtype;
    size_t blocks, block_nbytes, block_elements;
    const uint8_t *bytes;
    const uint8_t *values; /* fp32 at any byte */
} format;

static const uint8_t *golden;
static size_t golden_nbytes;

static int open_golden(void **state)
{
    gx_arena *arena = gx_arena_new();
    char *bytes = NULL;
    gx_error error = {0};
    *state = arena;
    if (!arena || gx_file_read_all(arena, "tests/golden/ggml_blocks.bin", 1 << 20, &bytes, &golden_nbytes, &error) != GX_OK)
        fail_msg("%s", error.message);
    golden = (const uint8_t *)bytes;
    return 0;
}

static int close_golden(void **state)
{
    gx_arena_free(*state);
    return 0;
}

static bool next_format(size_t *at, format *out)
{
    uint32_t head[4];
    if (*at == golden_nbytes)
        return false;
    memcpy(head, golden + *at, sizeof head);
    if (!gx_dtype_from_ggml(head[0], &out->dtype))
        fail_msg("ggml type %u is not in the table", head[0]);
    out->blocks = head[1];
    out->block_nbytes = head[2];
    out->block_elements = head[3];
    out->bytes = golden + *at + sizeof head;
    out->values = out->bytes + out->blocks * out->block_nbytes;
    *at = (size_t)(out->values - golden) + out->blocks * out->block_elements * sizeof(float);
    assert_true(*at <= golden_nbytes && out->blocks * out->block_elements <= MAX_VALUES);
    return true;
}

static void compare(const format *f, size_t first, size_t blocks, const float *values)
{
    const uint8_t *expected = f->values + first * f->block_elements * sizeof(float);
    for (size_t i = 0; i < blocks * f->block_elements; i++) {
        float value;
        memcpy(&value, expected + i * sizeof value, sizeof value);
        if (memcmp(&value, values + i, sizeof value) != 0)
            fail_msg("%s: block %zu, element %zu: %a, expected %a", gx_dtype_get(f->dtype)->name, first + i / f->block_elements,
                     i % f->block_elements, (double)values[i], (double)value);
    }
}

static void equal_to_gguf(void **state)
{
    (void)state;
    static float values[MAX_VALUES];
    unsigned formats = 0;
    format f;
    for (size_t at = 0; next_format(&at, &f); formats++) {
        const gx_dtype_info *info = gx_dtype_get(f.dtype);
        assert_int_equal(info->block_nbytes, f.block_nbytes);
        assert_int_equal(info->block_elements, f.block_elements);
        info->decode(f.bytes, values, f.blocks);
        compare(&f, 0, f.blocks, values);
    }
    unsigned decoded = 0;
    for (int i = 0; i < GX_DTYPE_COUNT; i++)
        decoded += gx_dtype_get((gx_dtype)i)->decode != NULL;
    assert_int_equal(formats, decoded); /* no decoder without its judge */
}

/* Any number of blocks, from any byte: a vectorised loop has tails and may not read or write beyond its blocks. The copy
 * on the heap ends where the blocks end, so that a sanitizer sees one byte too many. */
static void every_length(void **state)
{
    (void)state;
    static float values[MAX_VALUES + 1];
    const float guard = 12345.0f;
    format f;
    for (size_t at = 0; next_format(&at, &f);) {
        for (size_t blocks = 0; blocks <= f.blocks; blocks++) {
            for (size_t shift = 0; shift < 2; shift++) {
                const size_t nbytes = blocks * f.block_nbytes, first = f.blocks - blocks;
                uint8_t *bytes = malloc(nbytes + shift + 1);
                assert_non_null(bytes);
                memcpy(bytes + 1 - shift, f.bytes + first * f.block_nbytes, nbytes);
                values[blocks * f.block_elements] = guard;
                gx_dtype_get(f.dtype)->decode(bytes + 1 - shift, values, blocks);
                compare(&f, first, blocks, values);
                assert_memory_equal(&values[blocks * f.block_elements], &guard, sizeof guard);
                free(bytes);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_to_gguf),
        cmocka_unit_test(every_length),
    };
    return cmocka_run_group_tests(tests, open_golden, close_golden);
}
