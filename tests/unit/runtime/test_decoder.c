/* Does a decoder give the logits of a plain loop, however the ids are fed: at once, in chunks, one by one, left-padded in a
 * batch, rewound; with growing caches and with a shared one? */
#include <math.h>

#include "base/json.h"
#include "runtime/decoder.h"
#include "runtime/generate.h"
#include "runtime_support.h"

#define MAX_IDS 16
#define VOCABULARY 20
#define CAPACITY 24
#define FP32_BOUND 1e-5 /* the logits' standard deviation is 2.6 */
#define FP16_BOUND 2e-2

typedef struct row {
    int64_t ids[MAX_IDS];
    size_t count;
    double logits[MAX_IDS][VOCABULARY];
} row;

static row rows[2];

static int read_expected(void **state)
{
    yyjson_doc *document = NULL;
    gx_error error = {0};
    if (gx_json_read(&document, MODELS "expected.json", 1 << 20, &error) != GX_OK)
        return -1;
    yyjson_val *list = yyjson_obj_get(yyjson_doc_get_root(document), "rows");
    for (size_t r = 0; r < 2; r++) {
        yyjson_val *ids = yyjson_obj_get(yyjson_arr_get(list, r), "ids"), *logits = yyjson_obj_get(yyjson_arr_get(list, r), "logits");
        rows[r].count = yyjson_arr_size(ids);
        for (size_t i = 0; i < rows[r].count; i++) {
            rows[r].ids[i] = yyjson_get_sint(yyjson_arr_get(ids, i));
            for (size_t v = 0; v < VOCABULARY; v++)
                rows[r].logits[i][v] = yyjson_get_num(yyjson_arr_get(yyjson_arr_get(logits, i), v));
        }
    }
    yyjson_doc_free(document);
    return open_runtime(state);
}

typedef struct fixture {
    gx_session *session;
    gx_decoder *decoder;
    gx_decoder_state *state;
} fixture;

static fixture open_decoder(const char *model, gx_decoder_cache cache, size_t batch, size_t capacity)
{
    fixture f = {.session = open_session(model)};
    assert_ok(gx_decoder_open(&f.decoder, f.session, cache, error));
    assert_ok(gx_decoder_state_new(&f.state, f.decoder, batch, capacity, error));
    return f;
}

/* Runs, too, go without a warning. */
static void close_decoder(fixture *f)
{
    assert_string_equal(gx_session_first_warning(f->session), "");
    gx_decoder_state_free(f->state);
    gx_decoder_close(f->decoder);
    gx_session_close(f->session);
}

static void assert_logits(const float *logits, const double *expected, double bound)
{
    for (size_t v = 0; v < VOCABULARY; v++)
        if (!(fabs((double)logits[v] - expected[v]) <= bound))
            fail_msg("logit %zu is %.8g, expected %.8g", v, (double)logits[v], expected[v]);
}

/* Feeds the next ids of row 0 and checks every row of logits that comes back. */
static void feed(fixture *f, size_t count, double bound)
{
    gx_decoder_logits logits;
    const size_t first = gx_decoder_state_length(f->state);
    assert_ok(gx_decoder_step(f->state, rows[0].ids + first, count, &logits, error));
    assert_int_equal(logits.vocabulary, VOCABULARY);
    assert_int_equal(gx_decoder_state_length(f->state), first + count);
    for (size_t i = 0; i < logits.rows; i++)
        assert_logits(logits.values + i * VOCABULARY, rows[0].logits[first + count - logits.rows + i], bound);
    assert_ptr_equal(gx_decoder_last_logits(&logits, 0), logits.values + (logits.rows - 1) * VOCABULARY);
}

static const struct variant {
    const char *model;
    gx_decoder_cache cache;
    double bound;
} variants[] = {
    {MODELS "decoder.onnx", GX_DECODER_CACHE_GROWING, FP32_BOUND},      {MODELS "decoder.onnx", GX_DECODER_CACHE_SHARED, FP32_BOUND},
    {MODELS "decoder_last.onnx", GX_DECODER_CACHE_GROWING, FP32_BOUND}, {MODELS "decoder_last.onnx", GX_DECODER_CACHE_SHARED, FP32_BOUND},
    {MODELS "decoder_fp16.onnx", GX_DECODER_CACHE_GROWING, FP16_BOUND}, {MODELS "decoder_fp16.onnx", GX_DECODER_CACHE_SHARED, FP16_BOUND},
};
#define VARIANTS (sizeof variants / sizeof *variants)

static void follows_the_plain_loop(void **state)
{
    (void)state;
    NEEDS_RUNTIME();
    static const size_t feeds[][MAX_IDS] = {
        {12}, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, {7, 1, 1, 1, 1, 1}, {3, 4, 5}, {6, 1, 5}, {1, 11},
    };
    for (size_t v = 0; v < VARIANTS; v++) {
        fixture f = open_decoder(variants[v].model, variants[v].cache, 1, CAPACITY);
        for (size_t way = 0; way < sizeof feeds / sizeof *feeds; way++) {
            for (size_t i = 0; i < MAX_IDS && feeds[way][i]; i++)
                feed(&f, feeds[way][i], variants[v].bound);
            assert_int_equal(gx_decoder_state_length(f.state), rows[0].count);
            assert_ok(gx_decoder_state_reset(f.state, NULL, error));
        }
        close_decoder(&f);
    }
}

enum { PROMPT = 9, SHORT = 4, STEPS = 3 };

/* Both texts of a batch go on id by id after PROMPT positions; `logits` are those of the prompt. */
static void continue_batch(fixture *f, gx_decoder_logits *logits, double bound)
{
    for (size_t step = 0; step <= STEPS; step++) {
        assert_logits(gx_decoder_last_logits(logits, 0), rows[0].logits[PROMPT - 1 + step], bound);
        assert_logits(gx_decoder_last_logits(logits, 1), rows[1].logits[SHORT - 1 + step], bound);
        const int64_t next[2] = {rows[0].ids[PROMPT + step % STEPS], rows[1].ids[SHORT + step % STEPS]};
        if (step < STEPS)
            assert_ok(gx_decoder_step(f->state, next, 1, logits, error));
    }
}

/* Two texts of different length, padded on the left to the same; then both go on, go back one before the prompt's end and go
 * on again. */
static void feeds_left_padded_batches(void **state)
{
    (void)state;
    NEEDS_RUNTIME();
    const size_t padding[2] = {0, PROMPT - SHORT};
    const int64_t again[2] = {rows[0].ids[PROMPT - 1], rows[1].ids[SHORT - 1]};
    for (size_t v = 0; v < VARIANTS; v++) {
        fixture f = open_decoder(variants[v].model, variants[v].cache, 2, CAPACITY);
        int64_t ids[2 * PROMPT] = {0};
        gx_decoder_logits logits;
        memcpy(ids, rows[0].ids, PROMPT * sizeof *ids);
        memcpy(ids + PROMPT + padding[1], rows[1].ids, SHORT * sizeof *ids);
        assert_ok(gx_decoder_state_reset(f.state, padding, error));
        assert_ok(gx_decoder_step(f.state, ids, PROMPT, &logits, error));
        continue_batch(&f, &logits, variants[v].bound);
        assert_ok(gx_decoder_state_rewind(f.state, PROMPT - 1, error));
        assert_ok(gx_decoder_step(f.state, again, 1, &logits, error));
        continue_batch(&f, &logits, variants[v].bound);
        close_decoder(&f);
    }
}

static void goes_back(void **state)
{
    (void)state;
    NEEDS_RUNTIME();
    for (size_t v = 0; v < VARIANTS; v++) {
        const int64_t wrong[4] = {1, 1, 1, 1};
        gx_decoder_logits logits;
        fixture f = open_decoder(variants[v].model, variants[v].cache, 1, CAPACITY);
        feed(&f, 6, variants[v].bound);
        assert_ok(gx_decoder_step(f.state, wrong, 4, &logits, error));
        assert_ok(gx_decoder_state_rewind(f.state, 10, error)); /* where it is */
        assert_ok(gx_decoder_state_rewind(f.state, 6, error));
        feed(&f, 3, variants[v].bound);
        assert_ok(gx_decoder_state_rewind(f.state, 2, error));
        feed(&f, 10, variants[v].bound);
        assert_fails(gx_decoder_state_rewind(f.state, 13, error), GX_ERROR_ARGUMENT, "13");
        assert_fails(gx_decoder_state_rewind(f.state, 0, error), GX_ERROR_ARGUMENT, "padding");
        close_decoder(&f);
    }
}

static void fills_the_cache_to_the_brim(void **state)
{
    (void)state;
    NEEDS_RUNTIME();
    for (size_t v = 0; v < VARIANTS; v++) {
        gx_decoder_logits logits;
        fixture f = open_decoder(variants[v].model, variants[v].cache, 1, 8);
        feed(&f, 5, variants[v].bound);
        assert_fails(gx_decoder_step(f.state, rows[0].ids + 5, 4, &logits, error), GX_ERROR_ARGUMENT, "room for 8");
        feed(&f, 3, variants[v].bound);
        assert_int_equal(gx_decoder_state_room(f.state), 0);
        assert_fails(gx_decoder_step(f.state, rows[0].ids + 8, 1, &logits, error), GX_ERROR_ARGUMENT, "room for 8");
        close_decoder(&f);
    }
}

static void believes_what_the_model_declares(void **state)
{
    (void)state;
    NEEDS_RUNTIME();
    static const struct {
        const char *model;
        bool shared;
    } declared[] = {{MODELS "decoder.onnx", true}, {MODELS "decoder_fp16.onnx", false}};
    for (size_t i = 0; i < 2; i++) {
        fixture f = open_decoder(declared[i].model, GX_DECODER_CACHE_DECLARED, 1, CAPACITY);
        assert_int_equal(gx_decoder_shares_cache(f.decoder), declared[i].shared);
        assert_int_equal(gx_decoder_layer_count(f.decoder), 1);
        assert_int_equal(gx_decoder_vocabulary(f.decoder), VOCABULARY);
        close_decoder(&f);
    }
}

static void refuses_other_contracts(void **state)
{
    (void)state;
    NEEDS_RUNTIME();
    static const struct {
        const char *model, *word;
    } others[] = {
        {MODELS "affine.onnx", "input_ids"},
        {MODELS "decoder_static.onnx", "fixed length of 8"},
        {MODELS "decoder_extra.onnx", "pixel_values"},
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        gx_session *session = open_session(others[i].model);
        gx_decoder *decoder = NULL;
        assert_fails(gx_decoder_open(&decoder, session, GX_DECODER_CACHE_DECLARED, error), GX_ERROR_UNSUPPORTED, others[i].word);
        assert_fails(gx_decoder_open(&decoder, session, GX_DECODER_CACHE_DECLARED, error), GX_ERROR_UNSUPPORTED, others[i].model);
        assert_null(decoder);
        gx_session_close(session);
    }
}

static void refuses_wrong_steps(void **state)
{
    (void)state;
    NEEDS_RUNTIME();
    const int64_t outside[2][2] = {{1, VOCABULARY}, {-1, 1}};
    const size_t padding[2] = {0, 3};
    gx_decoder_logits logits = {0};
    gx_decoder_state *none = NULL;
    fixture f = open_decoder(MODELS "decoder.onnx", GX_DECODER_CACHE_DECLARED, 2, CAPACITY);
    assert_fails(gx_decoder_state_new(&none, f.decoder, 0, 8, error), GX_ERROR_ARGUMENT, "at least 1");
    assert_fails(gx_decoder_state_new(&none, f.decoder, 1, 0, error), GX_ERROR_ARGUMENT, "at least 1");
    assert_fails(gx_decoder_state_new(&none, f.decoder, SIZE_MAX, SIZE_MAX, error), GX_ERROR_ARGUMENT, "too large");
    assert_fails(gx_decoder_step(f.state, rows[0].ids, 0, &logits, error), GX_ERROR_ARGUMENT, "0 ids");
    assert_fails(gx_decoder_step(f.state, outside[0], 1, &logits, error), GX_ERROR_ARGUMENT, "id 20 at place 0 of row 1");
    assert_fails(gx_decoder_step(f.state, outside[1], 1, &logits, error), GX_ERROR_ARGUMENT, "id -1");
    assert_ok(gx_decoder_state_reset(f.state, padding, error));
    assert_fails(gx_decoder_step(f.state, rows[0].ids, 3, &logits, error), GX_ERROR_ARGUMENT, "row 1");
    assert_ok(gx_decoder_step(f.state, rows[0].ids, 4, &logits, error));
    assert_fails(gx_decoder_step(f.state, rows[0].ids, 2, &logits, error), GX_ERROR_ARGUMENT, "GroupQueryAttention");
    assert_fails(gx_decoder_state_rewind(f.state, 3, error), GX_ERROR_ARGUMENT, "padding");
    assert_int_equal(gx_decoder_state_length(f.state), 4);
    assert_null(none);
    close_decoder(&f);
}

typedef struct text {
    int64_t ids[CAPACITY];
    size_t count, wanted;
} text;

static bool take_id(void *context, int64_t id)
{
    text *t = context;
    t->ids[t->count++] = id;
    return t->count < t->wanted;
}

static int64_t likeliest(const double *logits)
{
    int64_t best = 0;
    for (int64_t v = 1; v < VOCABULARY; v++)
        if (logits[v] > logits[best])
            best = v;
    return best;
}

static size_t generate(fixture *f, const gx_generate_options *options)
{
    gx_sampler *sampler = NULL;
    size_t count = 0;
    const gx_sampler_options greedy = {.top_p = 1};
    assert_ok(gx_decoder_state_reset(f->state, NULL, error));
    assert_ok(gx_sampler_new(&sampler, &greedy, VOCABULARY, error));
    assert_ok(gx_generate(f->state, sampler, options, &count, error));
    gx_sampler_free(sampler);
    return count;
}

static void generates_until_it_is_told_to_stop(void **state)
{
    (void)state;
    NEEDS_RUNTIME();
    fixture f = open_decoder(MODELS "decoder.onnx", GX_DECODER_CACHE_DECLARED, 1, CAPACITY);
    text all = {.wanted = CAPACITY}, chunked = {.wanted = CAPACITY}, cut = {.wanted = 3};
    gx_generate_options options = {.prompt = rows[0].ids, .prompt_count = 7, .new_ids = 10, .callback = take_id, .context = &all};
    assert_int_equal(generate(&f, &options), 10);
    assert_int_equal(all.count, 10);
    assert_int_equal(all.ids[0], likeliest(rows[0].logits[6]));

    options.prompt_chunk = 3;
    options.context = &chunked;
    assert_int_equal(generate(&f, &options), 10);
    assert_memory_equal(chunked.ids, all.ids, 10 * sizeof *all.ids);

    options.context = &cut;
    assert_int_equal(generate(&f, &options), 3);
    assert_memory_equal(cut.ids, all.ids, 3 * sizeof *all.ids);

    size_t first_of_stop = 0; /* the first time that the fifth new id appears */
    while (all.ids[first_of_stop] != all.ids[4])
        first_of_stop++;
    text stopped = {.wanted = CAPACITY};
    options.context = &stopped;
    options.stop_ids = &all.ids[4];
    options.stop_count = 1;
    assert_int_equal(generate(&f, &options), first_of_stop);
    assert_int_equal(stopped.count, first_of_stop);

    text full = {.wanted = CAPACITY};
    options.stop_count = 0;
    options.new_ids = 100;
    options.context = &full;
    assert_int_equal(generate(&f, &options), CAPACITY - 7 + 1); /* the last id needs no room */
    close_decoder(&f);
}

static void survives_a_full_memory(void **state)
{
    (void)state;
    NEEDS_RUNTIME();
    gx_session *session = open_session(MODELS "decoder_fp16.onnx");
    for (uint64_t n = 1; n < 200; n++) {
        gx_decoder *decoder = NULL;
        gx_decoder_state *made = NULL;
        gx_decoder_logits logits;
        gx_error error = {0};
        gx_alloc_fail_after(n);
        gx_status status = gx_decoder_open(&decoder, session, GX_DECODER_CACHE_GROWING, &error);
        if (status == GX_OK)
            status = gx_decoder_state_new(&made, decoder, 1, CAPACITY, &error);
        if (status == GX_OK)
            status = gx_decoder_step(made, rows[0].ids, 3, &logits, &error);
        gx_alloc_fail_after(0);
        if (made)
            assert_int_equal(gx_decoder_state_length(made), status == GX_OK ? 3 : 0);
        gx_decoder_state_free(made);
        gx_decoder_close(decoder);
        if (status == GX_OK) {
            assert_true(n > 3);
            gx_session_close(session);
            return;
        }
        assert_int_equal(status, GX_ERROR_MEMORY);
    }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_the_plain_loop),           cmocka_unit_test(feeds_left_padded_batches),
        cmocka_unit_test(goes_back),                        cmocka_unit_test(fills_the_cache_to_the_brim),
        cmocka_unit_test(believes_what_the_model_declares), cmocka_unit_test(refuses_other_contracts),
        cmocka_unit_test(refuses_wrong_steps),              cmocka_unit_test(generates_until_it_is_told_to_stop),
        cmocka_unit_test(survives_a_full_memory),
    };
    return cmocka_run_group_tests(tests, read_expected, close_runtime);
}
