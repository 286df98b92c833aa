/*
 * The reference against Hugging Face Transformers on every tiny checkpoint, in every way of feeding it; and, since a test
 * that cannot fail proves nothing, models that are wrong in one number, which must be found out.
 */
#include <math.h>

#include "reference/reference.h"
#include "tiny_models.h"

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

/* ---- mutations: a model wrong in one place. False: it has no such place ---- */

#define PROMPT_IDS 23 /* of every golden prompt: a longer window is none */

static gx_layer *first_sliding(gx_model *model)
{
    for (uint32_t n = 0; n < model->num_hidden_layers; n++)
        if (model->layers[n].sliding_window && model->layers[n].sliding_window < PROMPT_IDS)
            return &model->layers[n];
    return NULL;
}

static bool wider_window(gx_model *model)
{
    gx_layer *layer = first_sliding(model);
    return layer && ++layer->sliding_window;
}

static bool narrower_window(gx_model *model)
{
    gx_layer *layer = first_sliding(model);
    return layer && layer->sliding_window--;
}

static bool no_window(gx_model *model)
{
    gx_layer *layer = first_sliding(model);
    if (layer)
        layer->sliding_window = 0;
    return layer != NULL;
}

/* The layers that slide do not, and the reverse. */
static bool other_parity(gx_model *model)
{
    const gx_layer *layer = first_sliding(model);
    const uint64_t window = layer ? layer->sliding_window : 0;
    for (uint32_t n = 0; window && n < model->num_hidden_layers; n++)
        model->layers[n].sliding_window = model->layers[n].sliding_window ? 0 : window;
    return window != 0;
}

static bool no_attention_softcap(gx_model *model)
{
    const bool found = model->layers[0].attention_softcap != 0;
    return model->layers[0].attention_softcap = 0, found;
}

static bool attention_softcap_slightly_off(gx_model *model)
{
    const bool found = model->layers[0].attention_softcap != 0;
    return model->layers[0].attention_softcap *= 1.1, found;
}

static bool rope_factor_dropped(gx_model *model)
{
    bool found = false;
    for (uint32_t n = 0; n < model->num_hidden_layers; n++) {
        found = found || model->layers[n].rope.factor != 1;
        model->layers[n].rope.factor = 1;
    }
    return found;
}

/* The factor on the layers that must not have it. */
static bool rope_factor_everywhere(gx_model *model)
{
    double factor = 1;
    bool found = false;
    for (uint32_t n = 0; n < model->num_hidden_layers; n++)
        factor = fmax(factor, model->layers[n].rope.factor);
    for (uint32_t n = 0; n < model->num_hidden_layers; n++) {
        found = found || model->layers[n].rope.factor != factor;
        model->layers[n].rope.factor = factor;
    }
    return found;
}

static bool one_theta_for_all(gx_model *model)
{
    bool found = false;
    for (uint32_t n = 1; n < model->num_hidden_layers; n++) {
        found = found || model->layers[n].rope.theta != model->layers[0].rope.theta;
        model->layers[n].rope.theta = model->layers[0].rope.theta;
    }
    return found;
}

static bool theta_slightly_off(gx_model *model)
{
    return model->layers[0].rope.theta *= 1.1, true;
}

static bool scale_slightly_off(gx_model *model)
{
    return model->layers[0].attention_scale *= 1.01, true;
}

static bool scale_from_head_dim(gx_model *model)
{
    bool found = false;
    for (uint32_t n = 0; n < model->num_hidden_layers; n++) {
        const double usual = 1 / sqrt((double)model->layers[n].head_dim);
        found = found || fabs(model->layers[n].attention_scale / usual - 1) > 1e-6;
        model->layers[n].attention_scale = usual;
    }
    return found;
}

static bool other_activation(gx_model *model)
{
    const bool tanh_form = model->activation == GX_ACTIVATION_GELU_TANH;
    return model->activation = tanh_form ? GX_ACTIVATION_GELU_ERF : GX_ACTIVATION_GELU_TANH, true;
}

static bool no_softcap(gx_model *model)
{
    const bool found = model->final_logit_softcapping > 0;
    return model->final_logit_softcapping = 0, found;
}

/* sqrt(hidden_size) rounded to two decimals, a mistake that was really made. */
static bool rounded_multiplier(gx_model *model)
{
    const double rounded = round(model->embedding_multiplier * 100) / 100;
    const bool found = fabs(rounded / model->embedding_multiplier - 1) > 1e-5;
    return model->embedding_multiplier = rounded, found;
}

static bool usual_epsilon(gx_model *model)
{
    const bool found = model->rms_norm_eps > 1e-4;
    return model->rms_norm_eps = 1e-6, found;
}

static bool drop_weight(gx_model *model, gx_role role)
{
    gx_weight *weight = &model->layers[model->num_hidden_layers - 1].weights[role];
    const bool found = weight->tensor;
    return *weight = (gx_weight){0}, found;
}

static bool no_q_norm(gx_model *model)
{
    return drop_weight(model, GX_ROLE_Q_NORM);
}

static bool no_k_norm(gx_model *model)
{
    return drop_weight(model, GX_ROLE_K_NORM);
}

static bool no_post_attention_norm(gx_model *model)
{
    return drop_weight(model, GX_ROLE_POST_ATTENTION_NORM);
}

static bool no_post_feedforward_norm(gx_model *model)
{
    return drop_weight(model, GX_ROLE_POST_FEEDFORWARD_NORM);
}

static bool norm_factor_without_one(gx_model *model)
{
    gx_weight *weight = &model->layers[0].weights[GX_ROLE_INPUT_NORM];
    const bool found = weight->add != 0;
    return weight->add = 0, found;
}

static bool fewer_layers(gx_model *model)
{
    return --model->num_hidden_layers > 0;
}

static bool gate_and_up_exchanged(gx_model *model)
{
    gx_weight *weights = model->layers[0].weights;
    const gx_weight gate = weights[GX_ROLE_GATE_PROJ];
    weights[GX_ROLE_GATE_PROJ] = weights[GX_ROLE_UP_PROJ];
    return weights[GX_ROLE_UP_PROJ] = gate, true;
}

static bool head_from_embedding(gx_model *model)
{
    const bool found = model->weights[GX_ROLE_LM_HEAD].tensor != model->weights[GX_ROLE_EMBEDDING].tensor;
    return model->weights[GX_ROLE_LM_HEAD] = model->weights[GX_ROLE_EMBEDDING], found;
}

typedef struct mutation {
    const char *name;
    bool (*apply)(gx_model *model);
} mutation;

static const mutation mutations[] = {
    {"a window wider by one", wider_window},
    {"a window narrower by one", narrower_window},
    {"no window", no_window},
    {"windows on the other layers", other_parity},
    {"no attention softcap", no_attention_softcap},
    {"an attention softcap slightly off", attention_softcap_slightly_off},
    {"rope factor dropped", rope_factor_dropped},
    {"rope factor on all layers", rope_factor_everywhere},
    {"one theta for all layers", one_theta_for_all},
    {"theta slightly off", theta_slightly_off},
    {"attention scale slightly off", scale_slightly_off},
    {"attention scale from head_dim", scale_from_head_dim},
    {"the other gelu", other_activation},
    {"no softcap", no_softcap},
    {"rounded multiplier", rounded_multiplier},
    {"the usual epsilon", usual_epsilon},
    {"no query norm", no_q_norm},
    {"no key norm", no_k_norm},
    {"no post-attention norm", no_post_attention_norm},
    {"no post-feedforward norm", no_post_feedforward_norm},
    {"norm factor without its one", norm_factor_without_one},
    {"a layer less", fewer_layers},
    {"gate and up exchanged", gate_and_up_exchanged},
    {"head from the embedding", head_from_embedding},
};

#define MUTATIONS (sizeof mutations / sizeof *mutations)

static void check_mutation(const tiny_model *tiny, const mutation *m, bool *applied)
{
    gx_model model = *tiny->model;
    model.layers = gx_alloc(model.num_hidden_layers, sizeof *model.layers);
    assert_non_null(model.layers);
    memcpy(model.layers, tiny->model->layers, model.num_hidden_layers * sizeof *model.layers);
    if (m->apply(&model)) {
        judged j = {.tiny = tiny, .model = &model, .variant = m->name};
        gx_error error = {0};
        check_status(&j, gx_reference_new(&j.reference, &model, &(gx_reference_options){.threads = 1}, &error), &error);
        const double worst = prompt_difference(&j);
        if (!(worst > tiny->bound))
            fail_msg("%s with %s passes: off by %g, allowed %g", tiny->name, m->name, worst, tiny->bound);
        *applied = true;
        gx_reference_free(j.reference);
    }
    gx_free(model.layers);
}

static void check_mutations(const tiny_model *tiny, void *context)
{
    bool *applied = context;
    for (size_t i = 0; i < MUTATIONS; i++)
        check_mutation(tiny, &mutations[i], &applied[i]);
}

static void test_mutations_are_found_out(void **state)
{
    (void)state;
    bool applied[MUTATIONS] = {0};
    tiny_for_each(check_mutations, applied);
    for (size_t i = 0; i < MUTATIONS; i++)
        if (!applied[i])
            fail_msg("no tiny checkpoint can have %s", mutations[i].name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_mutations_are_found_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
