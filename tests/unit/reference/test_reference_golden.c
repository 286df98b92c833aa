/*
 * The reference against Hugging Face Transformers on every tiny checkpoint, in every way of feeding it; and, since a test
 * that cannot fail proves nothing, models that are wrong in one number, which must be found out.
 */
#include <math.h>

#include "reference/reference.h"
#include "support/mutations.h"

typedef struct variant {
    const char *name;
    gx_reference_options options;
} variant;

static const variant variants[] = {
    {"default", {.threads = 2}},
    {"plain loops, one thread, weights kept", {.threads = 1, .plain_loops = true, .keep_weights = true}},
    {"angles in fp32", {.threads = 1, .rope_precision = GX_ROPE_FLOAT}}, /* prompts are short: no difference shows */
};

typedef struct judged {
    const tiny_model *tiny;
    const gx_model *model; /* the tiny one, or a mutation of it */
    gx_reference *reference;
    const char *variant;
} judged;

static void check_status(const judged *j, gx_status status, const gx_error *error)
{
    if (status != GX_OK)
        fail_msg("%s (%s): %s", j->tiny->name, j->variant, error->message);
}

/* Logits of all the sequences' rows; the caller frees. */
static float *logits_of(const judged *j, const gx_reference_sequence *sequences, size_t count)
{
    size_t rows = 0;
    gx_error error = {0};
    for (size_t i = 0; i < count; i++)
        rows += sequences[i].count;
    float *hidden = gx_alloc(rows * j->model->hidden_size, sizeof *hidden);
    float *logits = gx_alloc(rows * j->model->vocab_size, sizeof *logits);
    assert_true(hidden && logits);
    check_status(j, gx_reference_forward(j->reference, sequences, count, hidden, &error), &error);
    check_status(j, gx_reference_logits(j->reference, hidden, rows, logits, &error), &error);
    gx_free(hidden);
    return logits;
}

static double largest_difference(const float *found, const float *expected, size_t count)
{
    double worst = 0;
    for (size_t i = 0; i < count; i++) {
        const double difference = fabs((double)found[i] - (double)expected[i]);
        if (!(difference <= worst)) /* a NaN counts */
            worst = difference;
    }
    return worst;
}

static void check_rows(const judged *j, const char *what, const float *found, const float *expected, size_t rows)
{
    const double worst = largest_difference(found, expected, rows * j->model->vocab_size);
    if (!(worst <= j->tiny->bound))
        fail_msg("%s (%s), %s: off by %g, allowed %g", j->tiny->name, j->variant, what, worst, j->tiny->bound);
}

static golden_tensor get(const judged *j, const char *name, const char *dtype)
{
    return golden_get(&j->tiny->golden, name, dtype);
}

/* ---- ways of feeding ---- */

static double prompt_difference(const judged *j)
{
    const golden_tensor ids = get(j, "prompt.input_ids", "I64");
    const golden_tensor expected = get(j, "prompt.logits", "F32");
    assert_int_equal(expected.elements, ids.elements * j->model->vocab_size);
    float *logits = logits_of(j, &(gx_reference_sequence){.ids = ids.ids, .count = ids.elements}, 1);
    const double worst = largest_difference(logits, expected.floats, expected.elements);
    gx_free(logits);
    return worst;
}

static void check_prompt(const judged *j)
{
    const double worst = prompt_difference(j);
    if (!(worst <= j->tiny->bound))
        fail_msg("%s (%s), prompt: off by %g, allowed %g", j->tiny->name, j->variant, worst, j->tiny->bound);
}

static void check_pieces(const judged *j, const char *what, bool every_position)
{
    char key[64];
    snprintf(key, sizeof key, "%s.input_ids", what);
    const golden_tensor ids = get(j, key, "I64");
    snprintf(key, sizeof key, "%s.lengths", what);
    const golden_tensor lengths = get(j, key, "I64");
    snprintf(key, sizeof key, "%s.logits", what);
    const float *expected = get(j, key, "F32").floats;
    gx_reference_cache *cache = gx_reference_cache_new(j->model);
    assert_non_null(cache);
    size_t start = 0;
    for (size_t i = 0; i < lengths.elements; i++) {
        const size_t count = (size_t)lengths.ids[i];
        const size_t skipped = every_position ? 0 : count - 1;
        float *logits = logits_of(j, &(gx_reference_sequence){ids.ids + start, count, cache}, 1);
        check_rows(j, what, logits + skipped * j->model->vocab_size, expected, count - skipped);
        expected += (count - skipped) * j->model->vocab_size;
        gx_free(logits);
        start += count;
        assert_int_equal(gx_reference_cache_length(cache), start);
    }
    assert_int_equal(start, ids.elements);
    gx_reference_cache_free(cache);
}

/* What was padded is here one call with sequences of different length; a sequence of one id is among them. */
static void check_batch(const judged *j)
{
    const golden_tensor ids = get(j, "leftpad.input_ids", "I64");
    const golden_tensor mask = get(j, "leftpad.attention_mask", "I64");
    const golden_tensor expected = get(j, "leftpad.logits", "F32");
    const golden_tensor one = get(j, "one.input_ids", "I64");
    const size_t rows = ids.shape[0], width = ids.shape[1], vocab_size = j->model->vocab_size;
    gx_reference_sequence sequences[8] = {{.ids = one.ids, .count = 1}};
    assert_true(rows < 8);
    for (size_t row = 0; row < rows; row++) {
        size_t padding = 0;
        while (mask.ids[row * width + padding] == 0)
            padding++;
        sequences[row + 1] = (gx_reference_sequence){.ids = ids.ids + row * width + padding, .count = width - padding};
    }
    float *logits = logits_of(j, sequences, rows + 1);
    check_rows(j, "one id", logits, get(j, "one.logits", "F32").floats, 1);
    const float *found = logits + vocab_size;
    for (size_t row = 0; row < rows; row++) {
        const size_t count = sequences[row + 1].count;
        check_rows(j, "batch", found, expected.floats + ((row + 1) * width - count) * vocab_size, count);
        found += count * vocab_size;
    }
    gx_free(logits);
}

/* Twice the prompt at once, the second stopped by an id that it must meet: half of the expected ids. */
static void check_greedy(const judged *j)
{
    enum { MOST = 64 };
    const golden_tensor ids = get(j, "greedy.input_ids", "I64");
    const golden_tensor expected = get(j, "greedy.output_ids", "I64");
    const size_t count = expected.elements;
    const gx_reference_prompt prompts[2] = {{ids.ids, ids.elements}, {ids.ids, ids.elements}};
    int64_t out[2 * MOST];
    size_t lengths[2];
    gx_error error = {0};
    assert_true(count <= MOST);
    check_status(j, gx_reference_generate(j->reference, prompts, 2, count, NULL, 0, out, lengths, &error), &error);
    for (size_t prompt = 0; prompt < 2; prompt++) {
        assert_int_equal(lengths[prompt], count);
        if (memcmp(out + prompt * count, expected.ids, count * sizeof *out) != 0)
            fail_msg("%s: other greedy ids", j->tiny->name);
    }
    size_t first = 0; /* where the middle id stands first */
    while (expected.ids[first] != expected.ids[count / 2])
        first++;
    check_status(j, gx_reference_generate(j->reference, prompts, 1, count, &expected.ids[first], 1, out, lengths, &error), &error);
    assert_int_equal(lengths[0], first + 1);
}

static void check_model(const tiny_model *tiny, void *context)
{
    (void)context;
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        judged j = {.tiny = tiny, .model = tiny->model, .variant = variants[i].name};
        gx_error error = {0};
        check_status(&j, gx_reference_new(&j.reference, tiny->model, &variants[i].options, &error), &error);
        check_prompt(&j);
        check_pieces(&j, "cached", false);
        check_pieces(&j, "chunks", true);
        check_batch(&j);
        check_greedy(&j);
        gx_reference_free(j.reference);
    }
}

static void test_golden(void **state)
{
    (void)state;
    tiny_for_each(check_model, NULL);
}

/* ---- mutations ---- */

static double judge_mutated(const tiny_model *tiny, const gx_model *model, const char *name)
{
    judged j = {.tiny = tiny, .model = model, .variant = name};
    gx_error error = {0};
    check_status(&j, gx_reference_new(&j.reference, model, &(gx_reference_options){.threads = 1}, &error), &error);
    const double worst = prompt_difference(&j);
    gx_reference_free(j.reference);
    return worst;
}

static void test_mutations_are_found_out(void **state)
{
    (void)state;
    mutations_are_noticed(judge_mutated);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_mutations_are_found_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
