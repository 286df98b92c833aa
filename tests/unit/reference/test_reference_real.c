/*
 * The reference on the real Gemma 3 270M against what Transformers computed: prompts with their greedy continuation, one of
 * them longer than the sliding window, and a text of 8 × 512 ids. It takes about a minute and a gigabyte, so it runs only
 * when GX_TEST_REAL_MODEL names the model: the fp32 folder, or the GGUF that it was made from. GX_TEST_REAL_GOLDEN names the
 * golden file of another copy (bf16).
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "reference/reference.h"
#include "support/golden_file.h"

#define MAX_PROMPTS 64

typedef struct prompt {
    golden_tensor ids;
    size_t first_row; /* of its states */
} prompt;

typedef struct real_model {
    gx_checkpoint *checkpoint;
    gx_model *model;
    gx_reference *reference;
    golden_file golden;
    double bound;
    double worst; /* difference seen in the running test */
    prompt prompts[MAX_PROMPTS];
    size_t prompt_count;
    size_t rows; /* of all prompts */
} real_model;

static real_model real;

static bool prompt_key(char *out, size_t size, size_t index, const char *what)
{
    snprintf(out, size, "prompt.%02zu.%s", index, what);
    return golden_has(&real.golden, out);
}

static golden_tensor prompt_get(size_t index, const char *what, const char *dtype)
{
    char key[64];
    prompt_key(key, sizeof key, index, what);
    return golden_get(&real.golden, key, dtype);
}

static void find_prompts(void)
{
    char key[64];
    while (real.prompt_count < MAX_PROMPTS && prompt_key(key, sizeof key, real.prompt_count, "ids")) {
        prompt *p = &real.prompts[real.prompt_count++];
        *p = (prompt){golden_get(&real.golden, key, "I64"), real.rows};
        real.rows += p->ids.elements;
    }
    assert_true(real.prompt_count >= 20);
}

static int set_up(void **state)
{
    (void)state;
    gx_error error = {0};
    const gx_reference_options options = {.threads = 2, .keep_weights = true};
    if (gx_checkpoint_open(&real.checkpoint, getenv("GX_TEST_REAL_MODEL"), &error) != GX_OK ||
        gx_model_open(&real.model, real.checkpoint, &error) != GX_OK ||
        gx_reference_new(&real.reference, real.model, &options, &error) != GX_OK)
        fail_msg("%s", error.message);
    const char *golden = getenv("GX_TEST_REAL_GOLDEN");
    real.golden = golden_open(golden ? golden : "tests/golden/gemma-3-270m.safetensors");
    real.bound = 2e-4 * (double)golden_get(&real.golden, "logits.std", "F32").floats[0];
    find_prompts();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    golden_close(&real.golden);
    gx_reference_free(real.reference);
    gx_model_close(real.model);
    gx_checkpoint_close(real.checkpoint);
    return 0;
}

static void check_value(const char *what, size_t sequence, size_t place, double found, double expected)
{
    const double difference = fabs(found - expected);
    if (!(difference <= real.bound))
        fail_msg("%s (sequence %zu, place %zu): found %.7g, expected %.7g", what, sequence, place, found, expected);
    real.worst = fmax(real.worst, difference);
}

static void report(const char *what)
{
    print_message("%s: largest difference %.2g standard deviations of the logits\n", what, real.worst / real.bound * 2e-4);
    real.worst = 0;
}

static double logsumexp(const float *row, size_t count)
{
    double largest = -INFINITY, sum = 0;
    for (size_t i = 0; i < count; i++)
        largest = fmax(largest, (double)row[i]);
    for (size_t i = 0; i < count; i++)
        sum += exp((double)row[i] - largest);
    return largest + log(sum);
}

/* `moments`: mean, standard deviation, logsumexp. */
static void check_moments(size_t index, const float *row, const float *moments)
{
    const size_t count = real.model->vocab_size;
    double mean = 0, squares = 0;
    for (size_t i = 0; i < count; i++)
        mean += (double)row[i] / (double)count;
    for (size_t i = 0; i < count; i++)
        squares += pow((double)row[i] - mean, 2);
    check_value("mean", index, 0, mean, (double)moments[0]);
    check_value("standard deviation", index, 0, sqrt(squares / (double)(count - 1)), (double)moments[1]);
    check_value("logsumexp", index, 0, logsumexp(row, count), (double)moments[2]);
}

static void check_last_row(size_t index, const float *row)
{
    const golden_tensor ids = prompt_get(index, "top_ids", "I64");
    const float *logits = prompt_get(index, "top_logits", "F32").floats;
    for (size_t i = 0; i < ids.elements; i++)
        check_value("logit", index, (size_t)ids.ids[i], (double)row[ids.ids[i]], (double)logits[i]);
    check_moments(index, row, prompt_get(index, "moments", "F32").floats);
}

static void check_sample(size_t index, size_t place, const float *row)
{
    const golden_tensor vocabulary = golden_get(&real.golden, "sample.vocabulary_ids", "I64");
    const float *expected = prompt_get(index, "sample_logits", "F32").floats + place * vocabulary.elements;
    for (size_t i = 0; i < vocabulary.elements; i++)
        check_value("sampled logit", index, place, (double)row[vocabulary.ids[i]], (double)expected[i]);
    check_moments(index, row, prompt_get(index, "sample_moments", "F32").floats + place * 3);
}

static void logits_of_row(const float *hidden, size_t row, float *logits)
{
    gx_error error = {0};
    if (gx_reference_logits(real.reference, hidden + row * real.model->hidden_size, 1, logits, &error) != GX_OK)
        fail_msg("%s", error.message);
}

static void check_prompt(size_t index, const float *hidden, float *logits)
{
    const prompt *p = &real.prompts[index];
    char key[64];
    logits_of_row(hidden, p->first_row + p->ids.elements - 1, logits);
    check_last_row(index, logits);
    if (!prompt_key(key, sizeof key, index, "sample_positions"))
        return;
    const golden_tensor positions = golden_get(&real.golden, key, "I64");
    for (size_t i = 0; i < positions.elements; i++) {
        logits_of_row(hidden, p->first_row + (size_t)positions.ids[i], logits);
        check_sample(index, i, logits);
    }
}

static void test_prompts(void **state)
{
    (void)state;
    gx_reference_sequence sequences[MAX_PROMPTS];
    gx_error error = {0};
    size_t longest = 0;
    float *hidden = gx_alloc(real.rows * real.model->hidden_size, sizeof *hidden);
    float *logits = gx_alloc(real.model->vocab_size, sizeof *logits);
    assert_true(hidden && logits);
    for (size_t i = 0; i < real.prompt_count; i++) {
        sequences[i] = (gx_reference_sequence){real.prompts[i].ids.ids, real.prompts[i].ids.elements, NULL};
        longest = longest > sequences[i].count ? longest : sequences[i].count;
    }
    assert_true(longest > real.model->layers[0].sliding_window + 100);
    if (gx_reference_forward(real.reference, sequences, real.prompt_count, hidden, &error) != GX_OK)
        fail_msg("%s", error.message);
    for (size_t i = 0; i < real.prompt_count; i++)
        check_prompt(i, hidden, logits);
    gx_free(hidden);
    gx_free(logits);
    report("prompts");
}

static void test_greedy(void **state)
{
    (void)state;
    gx_reference_prompt prompts[MAX_PROMPTS];
    size_t lengths[MAX_PROMPTS];
    gx_error error = {0};
    const size_t count = prompt_get(0, "greedy_ids", "I64").elements;
    int64_t *out = gx_alloc(real.prompt_count * count, sizeof *out);
    assert_non_null(out);
    assert_true(count >= 64);
    for (size_t i = 0; i < real.prompt_count; i++)
        prompts[i] = (gx_reference_prompt){real.prompts[i].ids.ids, real.prompts[i].ids.elements};
    if (gx_reference_generate(real.reference, prompts, real.prompt_count, count, NULL, 0, out, lengths, &error) != GX_OK)
        fail_msg("%s", error.message);
    for (size_t i = 0; i < real.prompt_count; i++) {
        const golden_tensor expected = prompt_get(i, "greedy_ids", "I64");
        for (size_t step = 0; step < count; step++)
            if (out[i * count + step] != expected.ids[step])
                fail_msg("prompt %zu differs at step %zu, where the first id leads the second by %g", i, step,
                         (double)prompt_get(i, "greedy_gaps", "F32").floats[step]);
    }
    gx_free(out);
    print_message("greedy: %zu prompts, %zu ids each, all equal\n", real.prompt_count, count);
}

/* ---- the text ---- */

typedef struct text {
    golden_tensor ids; /* [windows, window] */
    const float *losses; /* [windows, window - 1] */
    const int64_t *best; /* [windows, window] */
    double loss;
    size_t equal;
} text;

/* The likeliest id is the same, or one that is as good as it within the bound. */
static void check_best(text *t, size_t place, const float *row)
{
    size_t best = 0;
    for (size_t i = 1; i < real.model->vocab_size; i++)
        if (row[i] > row[best])
            best = i;
    t->equal += (int64_t)best == t->best[place];
    if ((double)row[best] - (double)row[t->best[place]] > 2 * real.bound)
        fail_msg("place %zu: the likeliest id is %zu, expected %lld", place, best, (long long)t->best[place]);
}

static gx_status check_text_rows(void *context, size_t first_row, size_t rows, const float *logits, gx_error *error)
{
    (void)error;
    text *t = context;
    const size_t window = t->ids.shape[1];
    for (size_t i = 0; i < rows; i++) {
        const size_t place = first_row + i;
        const float *row = logits + i * real.model->vocab_size;
        check_best(t, place, row);
        if (place % window == window - 1)
            continue; /* no next id */
        const double loss = logsumexp(row, real.model->vocab_size) - (double)row[t->ids.ids[place + 1]];
        check_value("loss of the text", place / window, place % window, loss, (double)t->losses[place - place / window]);
        t->loss += loss;
    }
    return GX_OK;
}

static void test_text(void **state)
{
    (void)state;
    text t = {.ids = golden_get(&real.golden, "eval.input_ids", "I64"),
              .losses = golden_get(&real.golden, "eval.loss", "F32").floats,
              .best = golden_get(&real.golden, "eval.argmax", "I64").ids};
    const size_t windows = t.ids.shape[0], window = t.ids.shape[1], rows = windows * window;
    gx_reference_sequence sequences[16];
    gx_error error = {0};
    float *hidden = gx_alloc(rows * real.model->hidden_size, sizeof *hidden);
    assert_non_null(hidden);
    assert_true(windows <= 16);
    for (size_t i = 0; i < windows; i++)
        sequences[i] = (gx_reference_sequence){t.ids.ids + i * window, window, NULL};
    if (gx_reference_forward(real.reference, sequences, windows, hidden, &error) != GX_OK ||
        gx_reference_visit_logits(real.reference, hidden, rows, check_text_rows, &t, &error) != GX_OK)
        fail_msg("%s", error.message);
    gx_free(hidden);
    print_message("text: perplexity %.4f, the likeliest id equal at %zu of %zu places\n",
                  exp(t.loss / (double)(windows * (window - 1))), t.equal, rows);
    report("loss of each place");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prompts),
        cmocka_unit_test(test_greedy),
        cmocka_unit_test(test_text),
    };
    if (!getenv("GX_TEST_REAL_MODEL")) {
        print_message("skipped: GX_TEST_REAL_MODEL names no model\n");
        return 0;
    }
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
