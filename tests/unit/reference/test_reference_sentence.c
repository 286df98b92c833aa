/* Encoders: hidden states and embeddings against Transformers and sentence-transformers; and encoders that are wrong in one place, which must be
 * found out. */
#include <math.h>

#include "reference/reference.h"
#include "support/tiny_models.h"

#define MOST_TEXTS 8u

typedef struct texts {
    gx_reference_sequence sequences[MOST_TEXTS];
    size_t counts[MOST_TEXTS];
    size_t first[MOST_TEXTS]; /* where the text begins in its row of the golden file */
    size_t count, rows;
} texts;

static double worse(double worst, const float *found, const float *expected, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const double difference = fabs((double)found[i] - (double)expected[i]);
        if (!(difference <= worst)) /* a NaN counts */
            worst = difference;
    }
    return worst;
}

/* The rows of a case, without their padding. */
static texts texts_of(const tiny_model *tiny, const char *what)
{
    char key[64];
    texts t = {0};
    snprintf(key, sizeof key, "%s.input_ids", what);
    const golden_tensor ids = golden_get(&tiny->golden, key, "I64");
    snprintf(key, sizeof key, "%s.attention_mask", what);
    const bool padded = golden_has(&tiny->golden, key);
    const int64_t *mask = padded ? golden_get(&tiny->golden, key, "I64").ids : NULL;
    const size_t width = ids.shape[1];
    assert_true(ids.shape[0] <= MOST_TEXTS);
    for (size_t row = 0; row < ids.shape[0]; row++) {
        size_t begin = 0, end = width;
        while (mask && mask[row * width + begin] == 0)
            begin++;
        while (mask && mask[row * width + end - 1] == 0)
            end--;
        t.first[t.count] = row * width + begin;
        t.counts[t.count] = end - begin;
        t.rows += end - begin;
        t.sequences[t.count++] = (gx_reference_sequence){.ids = ids.ids + row * width + begin, .count = end - begin};
    }
    return t;
}

typedef struct difference {
    double hidden, embedding; /* in bounds: above 1 is too much */
} difference;

static difference judge(const tiny_model *tiny, const gx_model *model, const gx_reference_options *options, const char *what)
{
    char key[64];
    gx_error error = {0};
    gx_reference *reference = NULL;
    const texts t = texts_of(tiny, what);
    const size_t width = model->hidden_size, dimension = (size_t)tiny->model->sentence.dimension;
    float *hidden = gx_alloc(t.rows * width, sizeof *hidden), *embeddings = gx_alloc(MOST_TEXTS * dimension, sizeof *embeddings);
    assert_true(hidden && embeddings);
    if (gx_reference_new(&reference, model, options, &error) != GX_OK || gx_reference_forward(reference, t.sequences, t.count, hidden, &error) != GX_OK ||
        gx_reference_embed(reference, hidden, t.counts, t.count, 0, embeddings, &error) != GX_OK)
        fail_msg("%s, %s: %s", tiny->name, what, error.message);
    snprintf(key, sizeof key, "%s.last_hidden_state", what);
    const float *expected = golden_get(&tiny->golden, key, "F32").floats;
    difference d = {0};
    for (size_t i = 0, row = 0; i < t.count; row += t.counts[i++])
        d.hidden = worse(d.hidden, hidden + row * width, expected + t.first[i] * width, t.counts[i] * width);
    snprintf(key, sizeof key, "%s.sentence_embedding", what);
    const golden_tensor golden = golden_get(&tiny->golden, key, "F32");
    assert_int_equal(golden.elements, t.count * dimension);
    d.embedding = worse(0, embeddings, golden.floats, golden.elements);
    d.hidden /= tiny->bound;
    d.embedding /= 2e-4 * (double)golden_get(&tiny->golden, "sentence_embedding.std", "F32").floats[0];
    gx_reference_free(reference);
    gx_free(hidden);
    gx_free(embeddings);
    return d;
}

static const char *const cases[] = {"prompt", "one", "leftpad", "rightpad"};

static void check_encoder(const tiny_model *tiny, void *context)
{
    static const gx_reference_options options[] = {{.threads = 2}, {.threads = 1, .plain_loops = true, .keep_weights = true}};
    (void)context;
    for (size_t k = 0; k < sizeof options / sizeof *options; k++) {
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            const difference d = judge(tiny, tiny->model, &options[k], cases[i]);
            if (!(d.hidden <= 1 && d.embedding <= 1))
                fail_msg("%s, %s: %g and %g times what is allowed", tiny->name, cases[i], d.hidden, d.embedding);
        }
    }
}

static void test_golden(void **state)
{
    (void)state;
    tiny_for_each_encoder(check_encoder, NULL);
}

/* Leading values alone, of length 1 again. */
static void check_leading(const tiny_model *tiny, void *context)
{
    (void)context;
    const texts t = texts_of(tiny, "prompt");
    gx_error error = {0};
    gx_reference *reference = NULL;
    float *hidden = gx_alloc(t.rows * tiny->model->hidden_size, sizeof *hidden);
    float embedding[64];
    assert_non_null(hidden);
    if (gx_reference_new(&reference, tiny->model, NULL, &error) != GX_OK || gx_reference_forward(reference, t.sequences, 1, hidden, &error) != GX_OK)
        fail_msg("%s: %s", tiny->name, error.message);
    for (size_t part = 2; part <= 4; part *= 2) {
        char key[64];
        const size_t wanted = (size_t)tiny->model->sentence.dimension / part;
        snprintf(key, sizeof key, "matryoshka.%zu", wanted);
        assert_int_equal(gx_reference_embed(reference, hidden, t.counts, 1, wanted, embedding, &error), GX_OK);
        assert_true(worse(0, embedding, golden_get(&tiny->golden, key, "F32").floats, wanted) <= 2e-6);
    }
    gx_reference_free(reference);
    gx_free(hidden);
}

static void test_leading_values(void **state)
{
    (void)state;
    tiny_for_each_encoder(check_leading, NULL);
}

/* ---- mutations ---- */

static void look_back_alone(gx_model *model)
{
    model->bidirectional = false;
}

static void widen_window(gx_model *model)
{
    for (uint32_t n = 0; n < model->num_hidden_layers; n++)
        if (model->layers[n].sliding_window)
            model->layers[n].sliding_window++;
}

static void take_whole_window(gx_model *model)
{
    for (uint32_t n = 0; n < model->num_hidden_layers; n++)
        model->layers[n].sliding_window = 2 * model->layers[n].sliding_window;
}

static void leave_dense_out(gx_model *model)
{
    model->sentence.dense_count = 0;
    model->sentence.dimension = model->hidden_size;
}

static void keep_length(gx_model *model)
{
    model->sentence.normalize = false;
}

static const struct {
    const char *name;
    void (*mutate)(gx_model *model);
    bool of_dense; /* of models with dense layers alone */
} mutations[] = {
    {"look back alone", look_back_alone, false}, {"a wider window", widen_window, false}, {"the whole window to each side", take_whole_window, false},
    {"no dense layers", leave_dense_out, true},  {"another length", keep_length, false},
};

static void check_mutations(const tiny_model *tiny, void *context)
{
    (void)context;
    for (size_t i = 0; i < sizeof mutations / sizeof *mutations; i++) {
        if (mutations[i].of_dense && tiny->model->sentence.dense_count == 0)
            continue;
        gx_model mutated = *tiny->model;
        gx_layer *layers = gx_alloc(mutated.num_hidden_layers, sizeof *layers);
        assert_non_null(layers);
        memcpy(layers, mutated.layers, mutated.num_hidden_layers * sizeof *layers);
        mutated.layers = layers;
        mutations[i].mutate(&mutated);
        const difference d = judge(tiny, &mutated, NULL, "prompt");
        if (!(d.embedding > 5))
            fail_msg("%s: %s is not noticed (%g)", tiny->name, mutations[i].name, d.embedding);
        gx_free(layers);
    }
}

static void test_mutations_are_found_out(void **state)
{
    (void)state;
    tiny_for_each_encoder(check_mutations, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_leading_values),
        cmocka_unit_test(test_mutations_are_found_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
