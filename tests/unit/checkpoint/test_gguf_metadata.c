/* Metadata of a GGUF file: every type of value, arrays, headers longer than the reader's window. */
#include "checkpoint/checkpoint.h"
#include "support/gguf_bytes.h"

static gguf_recipe with_a_tensor(void)
{
    gguf_recipe recipe = gguf_new();
    gguf_add_string(&recipe, "general.name", "metadata");
    gguf_add_tensor(&recipe, "t", 1, (const uint64_t[]){1}, 0, 0);
    recipe.data_nbytes = 4;
    return recipe;
}

static gx_status open_recipe(gx_checkpoint **out, const gguf_recipe *recipe, gx_error *error)
{
    return gx_checkpoint_open(out, gguf_write_file(recipe, "a.gguf"), error);
}

static void metadata_of_every_type_is_read(void **state)
{
    (void)state;
    gguf_recipe recipe = with_a_tensor();
    gx_checkpoint *checkpoint = NULL;
    gx_error error = {0};
    gguf_add_every_number(&recipe);
    gguf_add_key(&recipe, "text", GGUF_STRING);
    gguf_put_bytes(&recipe.pairs, "a\0b", 3); /* a token may hold any byte */
    check_ok("valid", open_recipe(&checkpoint, &recipe, &error), &error);
#define GET(key) gx_checkpoint_metadata(checkpoint, key)
    assert_true(GET("u8")->kind == GX_GGUF_UNSIGNED && GET("u8")->u == 255);
    assert_true(GET("i8")->kind == GX_GGUF_SIGNED && GET("i8")->i == -128);
    assert_true(GET("u16")->kind == GX_GGUF_UNSIGNED && GET("u16")->u == 65535);
    assert_true(GET("i16")->kind == GX_GGUF_SIGNED && GET("i16")->i == -2);
    assert_true(GET("u32")->kind == GX_GGUF_UNSIGNED && GET("u32")->u == 4294967295u);
    assert_true(GET("i32")->kind == GX_GGUF_SIGNED && GET("i32")->i == -2147483648ll);
    assert_true(GET("u64")->kind == GX_GGUF_UNSIGNED && GET("u64")->u == UINT64_MAX);
    assert_true(GET("i64")->kind == GX_GGUF_SIGNED && GET("i64")->i == INT64_MIN);
    assert_true(GET("f32")->kind == GX_GGUF_FLOAT && GET("f32")->f == (double)1e-6f);
    assert_true(GET("f64")->kind == GX_GGUF_FLOAT && GET("f64")->f == -0.1);
    assert_true(GET("true")->kind == GX_GGUF_BOOL && GET("true")->b);
    assert_true(GET("false")->kind == GX_GGUF_BOOL && !GET("false")->b);
    assert_int_equal(GET("text")->string.nbytes, 3);
    assert_memory_equal(GET("text")->string.bytes, "a\0b", 4);
    assert_null(GET("absent"));
    assert_int_equal(gx_checkpoint_metadata_count(checkpoint), 14);
    assert_string_equal(gx_checkpoint_metadata_at(checkpoint, 0)->key, "general.name");
    gx_checkpoint_close(checkpoint);
    gguf_free(&recipe);
}

static void arrays_are_read(void **state)
{
    (void)state;
    gguf_recipe recipe = with_a_tensor();
    gx_checkpoint *checkpoint = NULL;
    gx_error error = {0};
    gguf_add_array(&recipe, "strings", GGUF_STRING, 2);
    gguf_put_text(&recipe.pairs, "one");
    gguf_put_text(&recipe.pairs, "");
    gguf_add_array(&recipe, "signed", GGUF_I16, 2);
    gguf_put(&recipe.pairs, 0x7fffffff, 4); /* -1, 32767 */
    gguf_add_array(&recipe, "floats", GGUF_F64, 1);
    gguf_put(&recipe.pairs, gguf_bits(2.5), 8);
    gguf_add_array(&recipe, "bools", GGUF_BOOL, 3);
    gguf_put(&recipe.pairs, 0x010001, 3);
    gguf_add_array(&recipe, "bytes", GGUF_U8, 2);
    gguf_put(&recipe.pairs, 0xff00, 2);
    gguf_add_array(&recipe, "none", GGUF_STRING, 0);
    check_ok("valid", open_recipe(&checkpoint, &recipe, &error), &error);
    assert_int_equal(GET("strings")->element_kind, GX_GGUF_STRING);
    assert_int_equal(GET("strings")->count, 2);
    assert_string_equal(GET("strings")->array.strings[0].bytes, "one");
    assert_string_equal(GET("strings")->array.strings[1].bytes, "");
    assert_int_equal(GET("signed")->array.i[0], -1);
    assert_int_equal(GET("signed")->array.i[1], 32767);
    assert_true(GET("floats")->array.f[0] == 2.5);
    assert_true(GET("bools")->array.b[0] && !GET("bools")->array.b[1] && GET("bools")->array.b[2]);
    assert_true(GET("bytes")->array.u[0] == 0 && GET("bytes")->array.u[1] == 255);
    assert_int_equal(GET("none")->count, 0);
    gx_checkpoint_close(checkpoint);
    gguf_free(&recipe);
}

/* The header is read through a window; strings cross its edges. */
static void a_header_longer_than_the_window_is_read(void **state)
{
    (void)state;
    enum { COUNT = 60000 };
    gguf_recipe recipe = with_a_tensor();
    gx_checkpoint *checkpoint = NULL;
    gx_error error = {0};
    char text[32];
    gguf_add_array(&recipe, "strings", GGUF_STRING, COUNT);
    for (int i = 0; i < COUNT; i++) {
        snprintf(text, sizeof text, "token %d", i);
        gguf_put_text(&recipe.pairs, text);
    }
    check_ok("valid", open_recipe(&checkpoint, &recipe, &error), &error);
    for (int i = 0; i < COUNT; i++) {
        snprintf(text, sizeof text, "token %d", i);
        assert_string_equal(GET("strings")->array.strings[i].bytes, text);
    }
    gx_checkpoint_close(checkpoint);
    gguf_free(&recipe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metadata_of_every_type_is_read),
        cmocka_unit_test(arrays_are_read),
        cmocka_unit_test(a_header_longer_than_the_window_is_read),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
