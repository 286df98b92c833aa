/* A GGUF in several files: any part opens all, the first part's metadata counts, and each defect has its reason. */
#include "checkpoint/checkpoint.h"
#include "support/gguf_bytes.h"

#define FIRST "m-00001-of-00002.gguf"
#define SECOND "m-00002-of-00002.gguf"

/* What the two parts say of themselves. */
typedef struct split {
    uint32_t numbers[2], counts[2];
    uint64_t tensors_count;
    const char *names[2]; /* of the files; NULL: not written */
    const char *tensors[2];
} split;

static split valid(void)
{
    return (split){.numbers = {0, 1}, .counts = {2, 2}, .tensors_count = 2, .names = {FIRST, SECOND}, .tensors = {"a", "b"}};
}

static void write_split(const split *s)
{
    unlink(scratch_path(FIRST));
    unlink(scratch_path(SECOND));
    for (uint32_t i = 0; i < 2; i++) {
        gguf_recipe recipe = gguf_new();
        gguf_add_number(&recipe, "split.no", GGUF_U16, s->numbers[i], 2);
        gguf_add_number(&recipe, "split.count", GGUF_U16, s->counts[i], 2);
        gguf_add_number(&recipe, "split.tensors.count", GGUF_I32, s->tensors_count, 4);
        gguf_add_u32(&recipe, "part", i);
        gguf_add_tensor(&recipe, s->tensors[i], 1, (const uint64_t[]){8}, 0, 0);
        recipe.data_nbytes = 32;
        if (s->names[i])
            gguf_write_file(&recipe, s->names[i]);
        gguf_free(&recipe);
    }
}

static void any_part_opens_all(void **state)
{
    (void)state;
    const split s = valid();
    write_split(&s);
    for (int i = 0; i < 2; i++) {
        gx_checkpoint *checkpoint = NULL;
        gx_error error = {0};
        check_ok("split", gx_checkpoint_open(&checkpoint, scratch_path(s.names[i]), &error), &error);
        assert_int_equal(gx_checkpoint_file_count(checkpoint), 2);
        assert_int_equal(gx_checkpoint_tensor_count(checkpoint), 2);
        const gx_tensor *b = gx_checkpoint_find(checkpoint, "b");
        assert_string_equal(gx_path_name(gx_file_path(gx_checkpoint_file(checkpoint, b->file))), SECOND);
        assert_int_equal(gx_checkpoint_metadata(checkpoint, "part")->u, 0);
        gx_checkpoint_close(checkpoint);
    }
}

static void one_part_is_a_whole_file(void **state)
{
    (void)state;
    split s = valid();
    gx_checkpoint *checkpoint = NULL;
    gx_error error = {0};
    s.counts[0] = 1;
    s.names[0] = "any name.gguf";
    write_split(&s);
    check_ok("one", gx_checkpoint_open(&checkpoint, scratch_path(s.names[0]), &error), &error);
    assert_int_equal(gx_checkpoint_tensor_count(checkpoint), 1);
    gx_checkpoint_close(checkpoint);
}

static void second_missing(split *s) { s->names[1] = NULL; }
static void wrong_name(split *s) { s->names[0] = "m.gguf"; }
static void wrong_total_in_name(split *s) { s->names[0] = "m-00001-of-00003.gguf"; }
static void no_dash_in_name(split *s) { s->names[0] = "m_00001-of-00002.gguf"; }
static void second_says_first(split *s) { s->numbers[1] = 0; }
static void second_says_third(split *s) { s->numbers[1] = 2; }
static void first_says_second(split *s) { s->numbers[0] = 1; }
static void first_says_eighth(split *s) { s->numbers[0] = 7; }
static void counts_differ(split *s) { s->counts[1] = 3; }
static void second_alone(split *s) { s->counts[1] = 1; }
static void more_parts_than_files(split *s) { s->counts[0] = 3, s->names[0] = "m-00001-of-00003.gguf"; }
static void too_many_parts(split *s) { s->counts[0] = 1025; }
static void tensor_missing(split *s) { s->tensors_count = 3; }
static void tensor_too_many(split *s) { s->tensors_count = 1; }
static void tensor_twice(split *s) { s->tensors[1] = "a"; }

static const struct {
    const char *name;
    void (*make)(split *s);
    gx_status status;
    const char *words;
} defects[] = {
    {"second part missing", second_missing, GX_ERROR_IO, "part 2 of 2 is missing"},
    {"wrong name", wrong_name, GX_ERROR_FORMAT, "split into 2 files, but not named NAME-00001-of-00002.gguf"},
    {"wrong total in the name", wrong_total_in_name, GX_ERROR_FORMAT, "not named"},
    {"no dash in the name", no_dash_in_name, GX_ERROR_FORMAT, "not named"},
    {"second says it is the first", second_says_first, GX_ERROR_FORMAT, SECOND ": says it is part 1 of 2"},
    {"second says it is the third", second_says_third, GX_ERROR_FORMAT, SECOND ": says it is part 3 of 2"},
    {"first says it is the second", first_says_second, GX_ERROR_FORMAT, FIRST ": says it is part 2 of 2"},
    {"first says it is the eighth", first_says_eighth, GX_ERROR_FORMAT, "says it is part 8 of 2"},
    {"counts differ", counts_differ, GX_ERROR_FORMAT, "says it is part 2 of 3"},
    {"second says it is alone", second_alone, GX_ERROR_FORMAT, "says it is part 2 of 1"},
    {"more parts than files", more_parts_than_files, GX_ERROR_IO, "part 2 of 3 is missing"},
    {"too many parts", too_many_parts, GX_ERROR_FORMAT, "split.count is 1025"},
    {"a tensor missing", tensor_missing, GX_ERROR_FORMAT, "2 tensors in all parts, split.tensors.count is 3"},
    {"a tensor too many", tensor_too_many, GX_ERROR_FORMAT, "split.tensors.count is 1"},
    {"a tensor in both", tensor_twice, GX_ERROR_FORMAT, "'a' is there twice"},
};

static void defects_are_refused_for_their_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof defects / sizeof *defects; i++) {
        split s = valid();
        gx_checkpoint *checkpoint = NULL;
        gx_error error = {0};
        defects[i].make(&s);
        write_split(&s);
        check_failure(defects[i].name, gx_checkpoint_open(&checkpoint, scratch_path(s.names[0]), &error), &error, defects[i].status,
                      defects[i].words);
        assert_null(checkpoint);
    }
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    const split s = valid();
    uint64_t n = 1;
    write_split(&s);
    for (gx_status status = GX_ERROR_MEMORY; status != GX_OK; n++) {
        gx_checkpoint *checkpoint = NULL;
        gx_error error = {0};
        gx_alloc_fail_after(n);
        status = gx_checkpoint_open(&checkpoint, scratch_path(SECOND), &error);
        gx_alloc_fail_after(0);
        if (status != GX_OK)
            check_failure("memory", status, &error, GX_ERROR_MEMORY, "out of memory");
        gx_checkpoint_close(checkpoint);
        assert_true(n < 1000);
    }
    assert_true(n > 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_part_opens_all),
        cmocka_unit_test(one_part_is_a_whole_file),
        cmocka_unit_test(defects_are_refused_for_their_reason),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
