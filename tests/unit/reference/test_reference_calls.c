/* How the reference is called: refusals, running out of memory, threads, kept weights, taps, blocks of logits. */
#include "reference/reference.h"
#include "support/tiny_models.h"

#define TINY "gemma3-pattern"
#define LONG 300 /* ids: more rows than go through a layer together */

static tiny_model tiny;
static int64_t ids[LONG];

static int set_up(void **state)
{
    (void)state;
    tiny = tiny_open(TINY);
    for (size_t i = 0; i < LONG; i++)
        ids[i] = (int64_t)((i * 37 + 2) % tiny.model->vocab_size);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tiny_close(&tiny);
    return 0;
}

static gx_reference *new_reference(const gx_reference_options *options)
{
    gx_reference *reference = NULL;
    gx_error error = {0};
    if (gx_reference_new(&reference, tiny.model, options, &error) != GX_OK)
        fail_msg("%s", error.message);
    return reference;
}

static float *floats(size_t rows, size_t columns)
{
    float *out = gx_alloc(rows * columns, sizeof *out);
    assert_non_null(out);
    return out;
}

/* ---- refusals ---- */

static void assert_refused(const gx_reference_sequence *sequence, size_t count, const char *words)
{
    gx_reference *reference = new_reference(NULL);
    gx_error error = {0};
    float *hidden = floats(8, tiny.model->hidden_size);
    assert_int_equal(gx_reference_forward(reference, sequence, count, hidden, &error), GX_ERROR_ARGUMENT);
    if (!strstr(error.message, words))
        fail_msg("'%s' does not say '%s'", error.message, words);
    gx_free(hidden);
    gx_reference_free(reference);
}

static void test_refusals(void **state)
{
    (void)state;
    const int64_t negative[] = {2, -1};
    const int64_t beyond[] = {2, 5, (int64_t)tiny.model->vocab_size};
    gx_model other = *tiny.model;
    gx_reference_cache *cache = gx_reference_cache_new(&other);
    assert_refused(&(gx_reference_sequence){negative, 2, NULL}, 1, "token id -1 at place 1");
    assert_refused(&(gx_reference_sequence){beyond, 3, NULL}, 1, "at place 2");
    assert_refused(&(gx_reference_sequence){ids, 0, NULL}, 1, "empty");
    assert_refused(&(gx_reference_sequence){ids, 1, cache}, 1, "another model");
    assert_refused(NULL, 0, "no sequences");
    gx_reference_cache_free(cache);
}

static void test_a_refused_call_leaves_the_cache_alone(void **state)
{
    (void)state;
    gx_reference *reference = new_reference(NULL);
    gx_reference_cache *cache = gx_reference_cache_new(tiny.model);
    const int64_t bad[] = {2, -1};
    gx_error error = {0};
    float *hidden = floats(8, tiny.model->hidden_size);
    assert_int_equal(gx_reference_forward(reference, &(gx_reference_sequence){ids, 5, cache}, 1, hidden, &error), GX_OK);
    assert_int_equal(gx_reference_forward(reference, &(gx_reference_sequence){bad, 2, cache}, 1, hidden, &error), GX_ERROR_ARGUMENT);
    assert_int_equal(gx_reference_cache_length(cache), 5);
    gx_free(hidden);
    gx_reference_cache_free(cache);
    gx_reference_free(reference);
}

/* ---- memory ---- */

static gx_status generate_a_little(gx_error *error)
{
    const gx_reference_options options = {.threads = 1, .keep_weights = true};
    const gx_reference_prompt prompts[2] = {{ids, 3}, {ids, 5}};
    int64_t out[2 * 2];
    size_t lengths[2];
    gx_reference *reference = NULL;
    gx_status status = gx_reference_new(&reference, tiny.model, &options, error);
    if (status == GX_OK)
        status = gx_reference_generate(reference, prompts, 2, 2, NULL, 0, out, lengths, error);
    gx_reference_free(reference);
    return status;
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    gx_status status = GX_ERROR_MEMORY;
    uint64_t n = 0;
    while (status != GX_OK) {
        gx_error error = {0};
        gx_alloc_fail_after(++n);
        status = generate_a_little(&error);
        gx_alloc_fail_after(0);
        if (status != GX_OK && (status != GX_ERROR_MEMORY || !error.message[0]))
            fail_msg("allocation %u: status %d, '%s'", (unsigned)n, (int)status, error.message);
        assert_true(n < 10000);
    }
    assert_true(n > 20);
}

/* ---- the same numbers ---- */

static float *states_of(const gx_reference_options *options, const gx_reference_sequence *sequences, size_t count, size_t rows)
{
    gx_reference *reference = new_reference(options);
    gx_error error = {0};
    float *hidden = floats(rows, tiny.model->hidden_size);
    float *logits = floats(rows, tiny.model->vocab_size);
    for (int again = 0; again < 2; again++) /* kept weights and tables are used the second time */
        assert_int_equal(gx_reference_forward(reference, sequences, count, hidden, &error), GX_OK);
    assert_int_equal(gx_reference_logits(reference, hidden, rows, logits, &error), GX_OK);
    assert_int_equal(gx_reference_logits(reference, hidden, rows, logits, &error), GX_OK);
    gx_reference_free(reference);
    gx_free(hidden);
    return logits;
}

static void test_threads_and_kept_weights_change_no_bit(void **state)
{
    (void)state;
    const gx_reference_options options[] = {
        {.threads = 1},
        {.threads = 2},
        {.threads = 7},
        {.threads = 7, .keep_weights = true},
    };
    const gx_reference_sequence sequences[] = {{ids, LONG, NULL}, {ids + 1, 3, NULL}, {ids + 4, 1, NULL}};
    const size_t rows = LONG + 4;
    float *expected = states_of(&options[0], sequences, 3, rows);
    for (size_t i = 1; i < sizeof options / sizeof *options; i++) {
        float *found = states_of(&options[i], sequences, 3, rows);
        assert_memory_equal(found, expected, rows * tiny.model->vocab_size * sizeof *found);
        gx_free(found);
    }
    gx_free(expected);
}

static void assert_close(const float *found, const float *expected, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const double difference = (double)found[i] - (double)expected[i];
        if (!(difference <= tiny.bound && difference >= -tiny.bound))
            fail_msg("element %zu: found %g, expected %g", i, (double)found[i], (double)expected[i]);
    }
}

static void test_plain_loops_agree_with_openblas(void **state)
{
    (void)state;
    const gx_reference_sequence sequence = {ids, LONG, NULL};
    gx_reference *reference = new_reference(NULL);
    const bool blas = gx_reference_uses_blas(reference);
    gx_reference_free(reference);
    if (!blas) {
        print_message("OpenBLAS is not installed: plain loops only\n");
        skip();
    }
    float *with = states_of(&(gx_reference_options){.threads = 2}, &sequence, 1, LONG);
    float *without = states_of(&(gx_reference_options){.threads = 2, .plain_loops = true}, &sequence, 1, LONG);
    assert_close(without, with, LONG * tiny.model->vocab_size);
    gx_free(with);
    gx_free(without);
}

/* A cache that has to grow, two sequences of different length that go on together. */
static void test_caches_in_a_batch(void **state)
{
    (void)state;
    enum { STEPS = 20, WIDTH = 2 };
    gx_reference *reference = new_reference(NULL);
    gx_reference_cache *caches[WIDTH] = {gx_reference_cache_new(tiny.model), gx_reference_cache_new(tiny.model)};
    const size_t starts[WIDTH] = {3, 8};
    const size_t width = tiny.model->hidden_size;
    gx_error error = {0};
    float *whole = floats(LONG, width), *pieces = floats(64, width);
    const gx_reference_sequence prompts[WIDTH] = {{ids, starts[0], caches[0]}, {ids, starts[1], caches[1]}};
    assert_int_equal(gx_reference_forward(reference, &(gx_reference_sequence){ids, LONG, NULL}, 1, whole, &error), GX_OK);
    assert_int_equal(gx_reference_forward(reference, prompts, WIDTH, pieces, &error), GX_OK);
    for (size_t step = 0; step < STEPS; step++) {
        gx_reference_sequence next[WIDTH];
        for (size_t i = 0; i < WIDTH; i++)
            next[i] = (gx_reference_sequence){ids + starts[i] + step, 1, caches[i]};
        assert_int_equal(gx_reference_forward(reference, next, WIDTH, pieces, &error), GX_OK);
        for (size_t i = 0; i < WIDTH; i++)
            assert_close(pieces + i * width, whole + (starts[i] + step) * width, width);
    }
    gx_free(whole);
    gx_free(pieces);
    gx_reference_cache_free(caches[0]);
    gx_reference_cache_free(caches[1]);
    gx_reference_free(reference);
}

/* ---- taps ---- */

typedef struct seen {
    size_t rows, columns, calls;
} seen;

typedef struct tap_log {
    seen embedding, queries, keys, gated, residual, final;
    char layer_1[512]; /* names of the second layer's first piece */
    float last_hidden;
} tap_log;

static void note(seen *s, const char *expected, const char *name, size_t first_row, size_t rows, size_t columns)
{
    if (strcmp(expected, name) != 0)
        return;
    assert_int_equal(first_row, s->rows);
    s->rows = first_row + rows == LONG ? 0 : first_row + rows;
    s->columns = columns;
    s->calls++;
}

static void log_tap(void *context, const char *name, int layer, size_t first_row, size_t rows, size_t columns, const float *values)
{
    tap_log *log = context;
    note(&log->embedding, "embedding", name, first_row, rows, columns);
    note(&log->queries, "q_rope", name, first_row, rows, columns);
    note(&log->keys, "k_rope", name, first_row, rows, columns);
    note(&log->gated, "gated", name, first_row, rows, columns);
    note(&log->residual, "feedforward_residual", name, first_row, rows, columns);
    note(&log->final, "final_norm", name, first_row, rows, columns);
    if (layer == 1 && first_row == 0)
        strncat(strncat(log->layer_1, name, 40), " ", 2);
    if (strcmp(name, "final_norm") == 0)
        log->last_hidden = values[rows * columns - 1];
}

static void test_taps(void **state)
{
    (void)state;
    tap_log log = {0};
    const gx_reference_options options = {.threads = 4, .tap = log_tap, .tap_context = &log};
    gx_reference *reference = new_reference(&options);
    const gx_layer *layer = &tiny.model->layers[0];
    const size_t pieces = 3; /* of LONG rows */
    gx_error error = {0};
    float *hidden = floats(LONG, tiny.model->hidden_size);
    assert_int_equal(gx_reference_forward(reference, &(gx_reference_sequence){ids, LONG, NULL}, 1, hidden, &error), GX_OK);
    assert_int_equal(log.embedding.calls, pieces);
    assert_int_equal(log.embedding.columns, tiny.model->hidden_size);
    assert_int_equal(log.queries.calls, pieces * tiny.model->num_hidden_layers);
    assert_int_equal(log.queries.columns, layer->num_attention_heads * layer->head_dim);
    assert_int_equal(log.keys.columns, layer->num_key_value_heads * layer->head_dim);
    assert_int_equal(log.gated.columns, layer->intermediate_size);
    assert_int_equal(log.residual.calls, pieces * tiny.model->num_hidden_layers);
    assert_int_equal(log.final.calls, 1);
    assert_true(log.last_hidden == hidden[LONG * tiny.model->hidden_size - 1]);
    assert_string_equal(log.layer_1, "input_norm q_proj q_norm q_rope k_proj v_proj k_norm k_rope attention o_proj post_attention_norm "
                                     "attention_residual pre_feedforward_norm gate_proj up_proj gated down_proj post_feedforward_norm "
                                     "feedforward_residual ");
    gx_free(hidden);
    gx_reference_free(reference);
}

/* ---- blocks of logits ---- */

typedef struct collected {
    const float *expected;
    size_t rows;
    size_t blocks;
    gx_status answer;
} collected;

static gx_status collect(void *context, size_t first_row, size_t rows, const float *logits, gx_error *error)
{
    collected *c = context;
    assert_int_equal(first_row, c->rows);
    assert_close(logits, c->expected + first_row * tiny.model->vocab_size, rows * tiny.model->vocab_size);
    c->rows += rows;
    return c->answer == GX_OK ? GX_OK : gx_fail(error, c->answer, "enough");
}

static void test_visited_logits(void **state)
{
    (void)state;
    gx_reference *reference = new_reference(NULL);
    gx_error error = {0};
    float *hidden = floats(LONG, tiny.model->hidden_size);
    float *logits = floats(LONG, tiny.model->vocab_size);
    assert_int_equal(gx_reference_forward(reference, &(gx_reference_sequence){ids, LONG, NULL}, 1, hidden, &error), GX_OK);
    assert_int_equal(gx_reference_logits(reference, hidden, LONG, logits, &error), GX_OK);
    collected all = {.expected = logits};
    assert_int_equal(gx_reference_visit_logits(reference, hidden, LONG, collect, &all, &error), GX_OK);
    assert_int_equal(all.rows, LONG);
    collected stopped = {.expected = logits, .answer = GX_ERROR_CANCELLED};
    assert_int_equal(gx_reference_visit_logits(reference, hidden, LONG, collect, &stopped, &error), GX_ERROR_CANCELLED);
    gx_free(hidden);
    gx_free(logits);
    gx_reference_free(reference);
}

static gx_status count_block(void *context, size_t first_row, size_t rows, const float *logits, gx_error *error)
{
    (void)error;
    collected *c = context;
    const size_t vocab_size = tiny.model->vocab_size;
    assert_int_equal(first_row, c->rows);
    assert_close(logits, c->expected + first_row % LONG * vocab_size, vocab_size);
    assert_close(logits + (rows - 1) * vocab_size, c->expected + (first_row + rows - 1) % LONG * vocab_size, vocab_size);
    c->rows += rows;
    c->blocks++;
    return GX_OK;
}

/* The same rows again and again, until they need a second buffer of 128 MiB. */
static void test_visited_logits_come_in_blocks(void **state)
{
    (void)state;
    gx_reference *reference = new_reference(NULL);
    gx_error error = {0};
    const size_t width = tiny.model->hidden_size;
    const size_t rows = ((size_t)128 << 20) / sizeof(float) / tiny.model->vocab_size + 7;
    float *hidden = floats(rows, width);
    float *logits = floats(LONG, tiny.model->vocab_size);
    assert_int_equal(gx_reference_forward(reference, &(gx_reference_sequence){ids, LONG, NULL}, 1, hidden, &error), GX_OK);
    assert_int_equal(gx_reference_logits(reference, hidden, LONG, logits, &error), GX_OK);
    for (size_t row = LONG; row < rows; row++)
        memcpy(hidden + row * width, hidden + row % LONG * width, width * sizeof *hidden);
    collected all = {.expected = logits};
    assert_int_equal(gx_reference_visit_logits(reference, hidden, rows, count_block, &all, &error), GX_OK);
    assert_int_equal(all.rows, rows);
    assert_int_equal(all.blocks, 2);
    gx_free(hidden);
    gx_free(logits);
    gx_reference_free(reference);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_a_refused_call_leaves_the_cache_alone),
        cmocka_unit_test(test_every_allocation_may_fail),
        cmocka_unit_test(test_threads_and_kept_weights_change_no_bit),
        cmocka_unit_test(test_plain_loops_agree_with_openblas),
        cmocka_unit_test(test_caches_in_a_batch),
        cmocka_unit_test(test_taps),
        cmocka_unit_test(test_visited_logits),
        cmocka_unit_test(test_visited_logits_come_in_blocks),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
