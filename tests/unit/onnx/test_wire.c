/* The protobuf wire format: exact bytes out, the same values back, and nothing malformed accepted. */
#include <math.h>

#include "onnx/wire.h"
#include "onnx/wire_reader.h"
#include "support/scratch.h"

static void varints_have_their_bytes(void **state)
{
    (void)state;
    static const struct {
        uint64_t value;
        size_t nbytes;
        uint8_t bytes[10];
    } cases[] = {
        {0, 1, {0x00}},
        {1, 1, {0x01}},
        {127, 1, {0x7f}},
        {128, 2, {0x80, 0x01}},
        {300, 2, {0xac, 0x02}},
        {16383, 2, {0xff, 0x7f}},
        {16384, 3, {0x80, 0x80, 0x01}},
        {2097151, 3, {0xff, 0xff, 0x7f}},
        {2097152, 4, {0x80, 0x80, 0x80, 0x01}},
        {UINT32_MAX, 5, {0xff, 0xff, 0xff, 0xff, 0x0f}},
        {(uint64_t)1 << 32, 5, {0x80, 0x80, 0x80, 0x80, 0x10}},
        {INT64_MAX, 9, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}},
        {(uint64_t)1 << 63, 10, {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01}},
        {(uint64_t)-1, 10, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gx_buffer out = {0};
        gx_wire_varint(&out, cases[i].value);
        assert_int_equal(out.nbytes, cases[i].nbytes);
        assert_memory_equal(out.data, cases[i].bytes, out.nbytes);
        gx_buffer_clear(&out);
        gx_wire_uint(&out, 1, cases[i].value);
        gx_wire_reader reader = {out.data, out.data + out.nbytes};
        gx_wire_field field;
        gx_error error = {0};
        check_ok("varint", gx_wire_next(&reader, &field, &error), &error);
        assert_true(field.number == 1 && field.type == 0 && field.value == cases[i].value && !field.none);
        check_ok("end", gx_wire_next(&reader, &field, &error), &error);
        assert_true(field.none);
        gx_buffer_deinit(&out);
    }
}

static void fields_have_their_bytes(void **state)
{
    (void)state;
    static const uint8_t expected[] = {
        0x08, 0x96, 0x01,                         /* 1: 150 */
        0xa0, 0x01, 0x07,                         /* 20: 7, a tag of two bytes */
        0x15, 0x00, 0x00, 0x20, 0xc0,             /* 2: -2.5f */
        0x12, 0x02, 'h',  'i',                    /* 2: "hi" */
        0x12, 0x00,                               /* 2: "" */
        0x4a, 0x03, 0x00, 0x01, 0x02,             /* 9: bytes with a NUL */
        0x3a, 0x02, 0x08, 0x01,                   /* 7: {1: 1} */
        0x3a, 0x00,                               /* 7: {} */
    };
    gx_buffer out = {0}, message = {0}, empty = {0};
    gx_wire_uint(&out, 1, 150);
    gx_wire_uint(&out, 20, 7);
    gx_wire_float(&out, 2, -2.5f);
    gx_wire_string(&out, 2, "hi");
    gx_wire_string(&out, 2, "");
    gx_wire_bytes(&out, 9, "\0\1\2", 3);
    gx_wire_uint(&message, 1, 1);
    gx_wire_message(&out, 7, &message);
    gx_wire_message(&out, 7, &empty);
    assert_int_equal(out.nbytes, sizeof expected);
    assert_memory_equal(out.data, expected, sizeof expected);
    gx_buffer_deinit(&message);
    gx_buffer_deinit(&out);
}

static void a_failed_message_fails_its_owner(void **state)
{
    (void)state;
    gx_buffer out = {0}, message = {.failed = true};
    gx_error error = {0};
    gx_wire_message(&out, 7, &message);
    check_failure("message", gx_buffer_check(&out, &error), &error, GX_ERROR_MEMORY, "out of memory");
    gx_buffer_deinit(&out);
}

static void fields_are_read_back(void **state)
{
    (void)state;
    gx_buffer out = {0};
    gx_wire_field field;
    gx_error error = {0};
    gx_wire_float(&out, 536870911, -2.5f); /* the largest field number */
    gx_wire_bytes(&out, 3, "logits", 6);
    gx_buffer_append(&out, "\x21\1\2\3\4\5\6\7\x88", 9); /* 4: fixed64 */
    gx_wire_reader reader = {out.data, out.data + out.nbytes};
    check_ok("float", gx_wire_next(&reader, &field, &error), &error);
    assert_true(field.number == 536870911 && field.type == 5 && field.value == 0xc0200000);
    assert_ptr_equal(field.begin, out.data);
    check_ok("bytes", gx_wire_next(&reader, &field, &error), &error);
    assert_true(field.number == 3 && field.type == 2 && field.nbytes == 6);
    assert_true(gx_wire_is_text(&field, "logits"));
    assert_false(gx_wire_is_text(&field, "logit") || gx_wire_is_text(&field, "logits2") || gx_wire_is_text(&field, ""));
    check_ok("fixed64", gx_wire_next(&reader, &field, &error), &error);
    assert_true(field.number == 4 && field.type == 1 && field.value == 0x8807060504030201);
    assert_ptr_equal(reader.at, reader.end);
    gx_buffer_deinit(&out);
}

static void malformed_fields_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *defect;
        size_t nbytes;
        uint8_t bytes[12];
    } cases[] = {
        {"field 0", 2, {0x00, 0x01}},
        {"tag cut off", 1, {0x80}},
        {"tag over 29 bits", 6, {0x80, 0x80, 0x80, 0x80, 0x10, 0x01}},
        {"tag without a value", 1, {0x08}},
        {"varint cut off", 2, {0x08, 0x80}},
        {"varint of eleven bytes", 12, {0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00}},
        {"start of a group", 2, {0x0b, 0x0c}},
        {"end of a group", 1, {0x0c}},
        {"type 6", 2, {0x0e, 0x00}},
        {"type 7", 2, {0x0f, 0x00}},
        {"length without bytes", 2, {0x0a, 0x01}},
        {"length too long", 4, {0x0a, 0x03, 'a', 'b'}},
        {"longest length", 12, {0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 'a'}},
        {"fixed32 cut off", 4, {0x0d, 1, 2, 3}},
        {"fixed64 cut off", 8, {0x09, 1, 2, 3, 4, 5, 6, 7}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t *exact = gx_alloc(cases[i].nbytes, 1); /* so that the sanitizer sees a byte too far */
        gx_wire_field field;
        gx_error error = {0};
        memcpy(exact, cases[i].bytes, cases[i].nbytes);
        gx_wire_reader reader = {exact, exact + cases[i].nbytes};
        check_failure(cases[i].defect, gx_wire_next(&reader, &field, &error), &error, GX_ERROR_FORMAT, "malformed or cut off");
        gx_free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(varints_have_their_bytes),
        cmocka_unit_test(fields_have_their_bytes),
        cmocka_unit_test(a_failed_message_fails_its_owner),
        cmocka_unit_test(fields_are_read_back),
        cmocka_unit_test(malformed_fields_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
