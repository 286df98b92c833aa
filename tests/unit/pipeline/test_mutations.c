/* The graph builder under mutated tables: planned, written, opened and run in ONNX Runtime, every mutation shows in the logits. */
#include "pipeline/plan.h"
#include "pipeline/writer.h"

#include "onnx/model_writer.h"
#include "runtime/decoder.h"
#include "support/scratch.h"

#include "support/mutations.h"

#include "../runtime/runtime_support.h"

/* fp32, logits of every position. */
static gx_status write_model(const gx_model *model, const char *folder, gx_error *error)
{
    gx_build_options options;
    gx_build_options_default(&options);
    options.all_logits = true;
    options.threads = 1;
    gx_plan *plan = NULL;
    GX_TRY(gx_plan_new(&plan, model, &options, NULL, error));
    gx_staging *staging = gx_staging_new();
    gx_sha256_hex *hashes = gx_alloc(gx_checkpoint_file_count(model->checkpoint), sizeof *hashes);
    gx_buffer bytes = {0};
    char path[512];
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    gx_status status = gx_write_data(staging, hashes, plan, folder, &options, error);
    if (status == GX_OK)
        status = gx_model_write(&bytes, plan->targets[0].graphs[0].graph, plan->targets[0].data_names, error);
    if (status == GX_OK)
        status = gx_staging_write(staging, path, bytes.data, bytes.nbytes, error);
    if (status == GX_OK)
        status = gx_staging_commit(staging, error);
    gx_buffer_deinit(&bytes);
    gx_free(hashes);
    gx_staging_free(staging);
    gx_plan_free(plan);
    return status;
}

static double difference(const float *found, const golden_tensor *expected)
{
    double worst = 0;
    for (size_t i = 0; i < expected->elements; i++) {
        const double d = fabs((double)found[i] - (double)expected->floats[i]);
        worst = d > worst || isnan(d) ? d : worst;
    }
    return isnan(worst) ? INFINITY : worst;
}

/* Infinite where ONNX Runtime refuses the graph: that shows, too. */
static double run_prompt(const tiny_model *tiny, const char *path)
{
    gx_error error = {0};
    const gx_session_options options = one_thread();
    gx_session *session = NULL;
    gx_decoder *decoder = NULL;
    gx_decoder_state *state = NULL;
    gx_decoder_logits logits;
    const golden_tensor ids = golden_get(&tiny->golden, "prompt.input_ids", "I64"), expected = golden_get(&tiny->golden, "prompt.logits", "F32");
    double worst = INFINITY;
    if (gx_session_open(&session, runtime, path, &options, &error) == GX_OK && gx_decoder_open(&decoder, session, GX_DECODER_CACHE_DECLARED, &error) == GX_OK &&
        gx_decoder_state_new(&state, decoder, 1, ids.elements, &error) == GX_OK && gx_decoder_step(state, ids.ids, ids.elements, &logits, &error) == GX_OK &&
        logits.rows * logits.vocabulary == expected.elements)
        worst = difference(logits.values, &expected);
    gx_decoder_state_free(state);
    gx_decoder_close(decoder);
    gx_session_close(session);
    return worst;
}

static double judge(const tiny_model *tiny, const gx_model *model, const char *name)
{
    gx_error error = {0};
    char path[512];
    snprintf(path, sizeof path, "%s/model.onnx", scratch_folder);
    if (write_model(model, scratch_folder, &error) != GX_OK)
        fail_msg("%s with %s: %s", tiny->name, name, error.message);
    return run_prompt(tiny, path);
}

/* Without it, the test below would pass on a harness that is always wrong. */
static void check_unchanged(const tiny_model *tiny, void *context)
{
    (void)context;
    const double worst = judge(tiny, tiny->model, "no change");
    if (!(worst <= tiny->bound))
        fail_msg("%s: off by %g, allowed %g", tiny->name, worst, tiny->bound);
}

static void unchanged_models_are_right(void **state)
{
    (void)state;
    NEEDS_RUNTIME();
    tiny_for_each(check_unchanged, NULL);
}

static void mutations_show(void **state)
{
    (void)state;
    NEEDS_RUNTIME();
    mutations_are_noticed(judge);
}

static int set_up(void **state)
{
    return scratch_open(state) == 0 ? open_runtime(state) : -1;
}

static int tear_down(void **state)
{
    close_runtime(state);
    return scratch_close(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unchanged_models_are_right),
        cmocka_unit_test(mutations_show),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
