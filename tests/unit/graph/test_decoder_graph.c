/* The decoder graph of every tiny checkpoint in every precision: inputs and outputs as promised, every value made before it is
 * read, no name twice, no weight stored that nobody reads. What the numbers are is judged elsewhere, by running the files. */
#include "support/tiny_decoder.h"

static const char *const models[] = {"gemma-mqa",         "gemma-gqa-sharded", "gemma-untied-f16",   "gemma3-pattern",
                                         "gemma3-types-bf16",
                                     "gemma3-untied-f16", "gemma3-other-head", "gemma3-multimodal", "gemma3-kinds.gguf",
                                         "gemma-split-00001-of-00003.gguf"};

static void for_each_graph(void (*check)(const tiny_decoder *d))
{
    static const unsigned embedding_bits[] = {0, 4, 8, 16, 32};
    for (size_t m = 0; m < sizeof models / sizeof *models; m++)
        for (unsigned policy = 0; policy < GX_POLICY_COUNT; policy++)
            for (size_t e = 0; e < sizeof embedding_bits / sizeof *embedding_bits; e++) {
                tiny_decoder d;
                tiny_decoder_open(&d, models[m], policy, embedding_bits[e], e % 2);
                check(&d);
                tiny_decoder_close(&d);
            }
}

/* ---- the contract ---- */

static void check_value(const gx_value *value, const char *name, gx_dtype dtype, unsigned rank, const gx_dim *dims)
{
    assert_string_equal(value->name, name);
    assert_int_equal(value->dtype, dtype);
    assert_int_equal(value->shape.rank, rank);
    for (unsigned i = 0; i < rank; i++) {
        if (dims[i].symbol)
            assert_string_equal(value->shape.dims[i].symbol, dims[i].symbol);
        else
            assert_null(value->shape.dims[i].symbol);
        assert_int_equal(value->shape.dims[i].number, dims[i].number);
    }
}

static void check_caches(const tiny_decoder *d)
{
    static const char *const what[] = {"key", "value"};
    const gx_dtype dtype = d->policy.activation;
    char name[64];
    for (uint32_t n = 0; n < d->model->num_hidden_layers; n++) {
        gx_dim dims[] = {gx_dim_symbol("batch_size"), gx_dim_number(d->model->layers[n].num_key_value_heads), gx_dim_symbol(""),
                         gx_dim_number(d->model->layers[n].head_dim)};
        for (int k = 0; k < 2; k++) {
            snprintf(name, sizeof name, "past_key_values.%u.%s", n, what[k]);
            dims[2] = gx_dim_symbol("past_sequence_length");
            check_value(d->graph->inputs[3 + 2 * n + (uint32_t)k], name, dtype, 4, dims);
            snprintf(name, sizeof name, "present.%u.%s", n, what[k]);
            dims[2] = gx_dim_symbol("total_sequence_length");
            check_value(d->graph->outputs[1 + 2 * n + (uint32_t)k], name, dtype, 4, dims);
        }
    }
}

static void check_contract(const tiny_decoder *d)
{
    const gx_dim batch = gx_dim_symbol("batch_size"), sequence = gx_dim_symbol("sequence_length");
    const gx_dim tokens[] = {batch, sequence}, mask[] = {batch, gx_dim_symbol("total_sequence_length")};
    const gx_dim logits[] = {batch, d->options.all_logits ? sequence : gx_dim_number(1), gx_dim_number(d->model->vocab_size)};
    const gx_graph *g = d->graph;
    assert_int_equal(g->input_count, 3 + 2 * d->model->num_hidden_layers);
    assert_int_equal(g->output_count, 1 + 2 * d->model->num_hidden_layers);
    check_value(g->inputs[0], "input_ids", GX_DTYPE_I64, 2, tokens);
    check_value(g->inputs[1], "attention_mask", GX_DTYPE_I64, 2, mask);
    check_value(g->inputs[2], "position_ids", GX_DTYPE_I64, 2, tokens);
    check_value(g->outputs[0], "logits", GX_DTYPE_F32, 3, logits);
    check_caches(d);
}

static void inputs_and_outputs_are_the_contract(void **state)
{
    (void)state;
    for_each_graph(check_contract);
}

/* ---- the lists ---- */

#define MOST_NAMES 8192

typedef struct names {
    const char *names[MOST_NAMES];
    size_t count;
} names;

static bool has(const names *list, const char *name)
{
    for (size_t i = list->count; i-- > 0;)
        if (strcmp(list->names[i], name) == 0)
            return true;
    return false;
}

static void add_new(names *list, const char *name)
{
    if (name[0] == 0 || has(list, name))
        fail_msg("the name '%s' is there twice, or empty", name);
    assert_true(list->count < MOST_NAMES);
    list->names[list->count++] = name;
}

static void check_order(const tiny_decoder *d)
{
    static names values, nodes;
    values.count = nodes.count = 0;
    for (size_t i = 0; i < d->graph->input_count; i++)
        add_new(&values, d->graph->inputs[i]->name);
    for (const gx_initializer *i = d->graph->initializers; i; i = i->next)
        add_new(&values, i->value.name);
    for (const gx_node *node = d->graph->nodes; node; node = node->next) {
        add_new(&nodes, node->name);
        for (unsigned i = 0; i < node->input_count; i++)
            if (node->inputs[i] && !has(&values, node->inputs[i]->name))
                fail_msg("%s reads '%s', which is not made before", node->name, node->inputs[i]->name);
        assert_true(node->output_count > 0);
        for (unsigned i = 0; i < node->output_count; i++)
            if (node->outputs[i])
                add_new(&values, node->outputs[i]->name);
    }
    for (size_t i = 0; i < d->graph->output_count; i++)
        assert_true(has(&values, d->graph->outputs[i]->name));
}

static void values_are_made_before_they_are_read(void **state)
{
    (void)state;
    for_each_graph(check_order);
}

static bool is_read(const gx_graph *graph, const gx_value *value)
{
    for (const gx_node *node = graph->nodes; node; node = node->next)
        for (unsigned i = 0; i < node->input_count; i++)
            if (node->inputs[i] == value)
                return true;
    return false;
}

static uint64_t elements_of(const gx_value *value)
{
    uint64_t elements = 1;
    for (unsigned i = 0; i < value->shape.rank; i++)
        elements *= (uint64_t)value->shape.dims[i].number;
    return elements;
}

/* Every initializer is read, and its shape and type make just the bytes it has. */
static void check_initializers(const tiny_decoder *d)
{
    for (const gx_initializer *i = d->graph->initializers; i; i = i->next) {
        if (!is_read(d->graph, &i->value))
            fail_msg("nobody reads '%s'", i->value.name);
        const uint64_t nbytes = i->stored ? i->stored->parts[i->part].nbytes : i->nbytes;
        if (elements_of(&i->value) * gx_dtype_get(i->value.dtype)->block_nbytes != nbytes)
            fail_msg("'%s' has %llu bytes", i->value.name, (unsigned long long)nbytes);
    }
}

static void initializers_are_read_and_fit(void **state)
{
    (void)state;
    for_each_graph(check_initializers);
}

static void check_parts(const tiny_decoder *d)
{
    uint64_t elements = 0;
    for (const gx_stored *stored = d->graph->stored; stored; stored = stored->next) {
        assert_true(stored->rule[0] != 0);
        elements += gx_recipe_rows(&stored->recipe) * gx_recipe_columns(&stored->recipe);
        for (int part = 0; part < GX_PART_COUNT; part++) {
            bool used = stored->parts[part].nbytes == 0;
            for (const gx_initializer *i = d->graph->initializers; !used && i; i = i->next)
                used = i->stored == stored && (int)i->part == part;
            if (!used)
                fail_msg("nobody reads part %d of '%s'", part, stored->name);
        }
    }
    assert_int_equal(elements, d->model->parameters); /* each weight once: a tied head is the embedding */
}

static void every_weight_is_stored_once(void **state)
{
    (void)state;
    for_each_graph(check_parts);
}

/* Engines cannot divide products of unknown lengths: a Reshape leaves at most one dimension open, and copies none. */
static void check_reshapes(const tiny_decoder *d)
{
    for (const gx_node *node = d->graph->nodes; node; node = node->next) {
        if (strcmp(node->op_type, "Reshape") != 0)
            continue;
        const gx_initializer *shape = d->graph->initializers;
        while (shape && &shape->value != node->inputs[1])
            shape = shape->next;
        unsigned open = 0;
        for (size_t i = 0; shape && i < shape->nbytes / sizeof(int64_t); i++) {
            int64_t dim;
            memcpy(&dim, (const char *)shape->bytes + i * sizeof dim, sizeof dim);
            open += dim == -1;
            if (dim == 0)
                fail_msg("%s copies a dimension", node->name);
        }
        if (open > 1)
            fail_msg("%s leaves %u dimensions open", node->name, open);
    }
}

static void reshapes_are_told_their_shapes(void **state)
{
    (void)state;
    static const char *const told[] = {"gemma2-published", "gemma3-types-bf16", "gemma3n-streams", "gemma4-per-layer-bf16", "embeddinggemma-published"};
    for (size_t m = 0; m < sizeof told / sizeof *told; m++)
        for (unsigned profile = 0; profile < GX_PROFILE_COUNT; profile++) {
            tiny_decoder d;
            tiny_decoder_open(&d, told[m], 1, 0, false);
            gx_arena_free(d.arena);
            d.options.profile = gx_profile_get(profile);
            tiny_decoder_build(&d);
            check_reshapes(&d);
            check_order(&d);
            tiny_decoder_close(&d);
        }
}

/* ---- apart ---- */

static const char *const apart_models[] = {"gemma3n-streams", "gemma4-dense", "gemma4-per-layer-bf16"};

static void for_each_piece(void (*check)(const tiny_decoder *d))
{
    for (size_t m = 0; m < sizeof apart_models / sizeof *apart_models; m++)
        for (unsigned policy = 0; policy < GX_POLICY_COUNT; policy++)
            for (int piece = GX_DECODER_EMBEDDING; piece <= GX_DECODER_BODY; piece++) {
                tiny_decoder d;
                tiny_decoder_open(&d, apart_models[m], policy, 0, false);
                gx_arena_free(d.arena);
                d.options.piece = (gx_decoder_piece)piece;
                tiny_decoder_build(&d);
                check(&d);
                tiny_decoder_close(&d);
            }
}

/* What the embedding's graph gives is what the body's takes. */
static void check_embedded(const tiny_decoder *d)
{
    const gx_dim batch = gx_dim_symbol("batch_size"), sequence = gx_dim_symbol("sequence_length"), hidden = gx_dim_number(d->model->hidden_size);
    const gx_dim layers = gx_dim_number(d->model->num_hidden_layers), width = gx_dim_number(d->model->hidden_size_per_layer_input);
    const bool is_embedding = d->options.piece == GX_DECODER_EMBEDDING;
    const gx_value **values = is_embedding ? d->graph->outputs : d->graph->inputs;
    const size_t count = 1 + (width.number != 0);
    check_value(values[0], "inputs_embeds", GX_DTYPE_F32, 3, (const gx_dim[]){batch, sequence, hidden});
    if (count == 2)
        check_value(values[1], "per_layer_inputs", GX_DTYPE_F32, 4, (const gx_dim[]){batch, sequence, layers, width});
    const size_t caches = 2 * gx_model_cache_count(d->model);
    assert_int_equal(d->graph->input_count, is_embedding ? 1 : count + 2 + caches);
    assert_int_equal(d->graph->output_count, is_embedding ? count : 1 + caches);
    assert_string_equal(d->graph->inputs[is_embedding ? 0 : count]->name, is_embedding ? "input_ids" : "attention_mask");
    assert_string_equal(d->graph->outputs[0]->name, is_embedding ? "inputs_embeds" : "logits");
}

static void pieces_fit_together(void **state)
{
    (void)state;
    for_each_piece(check_embedded);
}

static void pieces_are_sound(void **state)
{
    (void)state;
    for_each_piece(check_order);
    for_each_piece(check_initializers);
}

/* ---- choices ---- */

static size_t count_of(const gx_graph *graph, const char *op_type)
{
    size_t count = 0;
    for (const gx_node *node = graph->nodes; node; node = node->next)
        count += strcmp(node->op_type, op_type) == 0;
    return count;
}

static void precisions_have_their_operators(void **state)
{
    (void)state;
    static const struct {
        const char *precision;
        size_t gemm, blocks, plain; /* of two layers (qkv, o, gate and up, down) and the head */
    } expected[GX_POLICY_COUNT] = {{"fp32", 9, 0, 0}, {"fp16", 9, 0, 0}, {"q4", 0, 9, 0}, {"q4f16", 0, 9, 0}, {"q8", 8, 0, 1}, {"int8", 0, 9, 0}};
    for (unsigned policy = 0; policy < GX_POLICY_COUNT; policy++) {
        tiny_decoder d;
        tiny_decoder_open(&d, "gemma-mqa", policy, 0, false);
        assert_string_equal(d.policy.name, expected[policy].precision);
        assert_int_equal(count_of(d.graph, "Gemm"), expected[policy].gemm);
        assert_int_equal(count_of(d.graph, "MatMulNBits"), expected[policy].blocks);
        assert_int_equal(count_of(d.graph, "MatMul"), expected[policy].plain);
        assert_int_equal(count_of(d.graph, "GroupQueryAttention"), 2);
        assert_int_equal(count_of(d.graph, "GatherBlockQuantized"), 0); /* no kernel in the web build */
        tiny_decoder_close(&d);
    }
}

static const gx_attribute *attribute_of(const gx_graph *graph, const char *node_name, const char *name)
{
    for (const gx_node *node = graph->nodes; node; node = node->next)
        for (const gx_attribute *a = node->attributes; a; a = a->next)
            if (strcmp(node->name, node_name) == 0 && strcmp(a->name, name) == 0)
                return a;
    return NULL;
}

static void softcap_is_there_when_honoured(void **state)
{
    (void)state;
    tiny_decoder d;
    tiny_decoder_open(&d, "gemma3-types-bf16", 0, 0, false);
    assert_int_equal(count_of(d.graph, "Tanh"), 1);
    tiny_decoder_close(&d);
    tiny_decoder_open(&d, "gemma3-pattern", 0, 0, false);
    assert_int_equal(count_of(d.graph, "Tanh"), 0);
    assert_string_equal(attribute_of(d.graph, "/model/layers.0/mlp/gelu", "approximate")->s, "tanh");
    tiny_decoder_close(&d);
}

static const char *metadata_of(const gx_graph *graph, const char *key)
{
    const gx_metadata *entry = graph->metadata;
    while (entry && strcmp(entry->key, key) != 0)
        entry = entry->next;
    return entry ? entry->value : NULL;
}

static void options_show_in_the_metadata(void **state)
{
    (void)state;
    tiny_decoder d;
    tiny_decoder_open(&d, "gemma3-pattern", 1, 0, true);
    gx_arena_free(d.arena);
    d.options.residual_scale = 0.125;
    tiny_decoder_build(&d);
    const struct {
        const char *key, *value;
    } expected[] = {{"gemma_onnx.family", "gemma3"},        {"gemma_onnx.precision", "fp16"},
                    {"gemma_onnx.logits", "all"},           {"gemma_onnx.residual_scale", "0.125"},
                    {"gemma_onnx.max_position_embeddings", "32768"}, {"gemma_onnx.version", gx_version()}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_string_equal(metadata_of(d.graph, expected[i].key), expected[i].value);
    tiny_decoder_close(&d);
}

/* As measured on every release: tools/runtimes. */
static void the_oldest_runtime_shows_in_the_metadata(void **state)
{
    (void)state;
    const gx_static_form full = {.batch_size = 1, .sequence_length = 4, .longest_call = 4, .max_length = 256};
    const gx_static_form bounded = {.batch_size = 1, .sequence_length = 4, .longest_call = 4, .max_length = 256, .bounded = true};
    const struct {
        const char *model, *profile, *precision;
        const gx_static_form *form;
        const char *oldest;
    } expected[] = {
        {"gemma3-pattern", "ort", "fp32", NULL, "1.24"},
        {"gemma3-pattern", "ort", "q4", NULL, "1.24"},
        {"gemma3-pattern", "ort", "fp32", &full, "1.24"},
        {"gemma3-pattern", "ort", "fp32", &bounded, "1.29"},
        {"gemma2-published", "ort", "fp32", NULL, "1.24"},
        {"gemma3-pattern", "standard", "fp32", NULL, "1.24"},
        {"gemma3-pattern", "standard", "fp32", &full, "1.25"},
        {"gemma2-published", "standard", "fp32", NULL, "1.27"},
        {"gemma2-published", "standard", "fp32", &bounded, "1.27"},
        {"embeddinggemma-published", "standard", "fp32", NULL, "1.24"},
        {"gemma2-published", "primitive", "fp16", NULL, "1.15"},
        {"gemma3-pattern", "primitive", "fp32", &bounded, "1.15"},
        {"gemma3-pattern", "primitive", "q8", NULL, "1.15"},
        {"gemma3-pattern", "primitive", "q4", &full, "1.19"},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        unsigned policy = 0;
        while (strcmp(gx_policy_name(policy), expected[i].precision) != 0)
            policy++;
        tiny_decoder d;
        tiny_decoder_open(&d, expected[i].model, policy, 0, false);
        gx_arena_free(d.arena);
        d.options.profile = gx_profile_find(expected[i].profile);
        d.options.form = expected[i].form;
        tiny_decoder_build(&d);
        assert_string_equal(metadata_of(d.graph, "gemma_onnx.min_onnxruntime"), expected[i].oldest);
        tiny_decoder_close(&d);
    }
}

static void check_allocations(const char *name, unsigned policy, unsigned profile, gx_decoder_piece piece, const gx_static_form *form)
{
    tiny_decoder d;
    uint64_t n = 1;
    tiny_decoder_open(&d, name, policy, 0, false);
    d.options.piece = piece;
    d.options.profile = gx_profile_get(profile);
    d.options.form = form;
    for (gx_status status = GX_ERROR_MEMORY; status != GX_OK; n++) {
        gx_arena *arena = gx_arena_new();
        gx_graph *graph = NULL;
        gx_error error = {0};
        gx_alloc_fail_after(n);
        status = gx_decoder_build(&graph, arena, d.model, &d.options, &error);
        gx_alloc_fail_after(0);
        if (status != GX_OK)
            check_failure("memory", status, &error, GX_ERROR_MEMORY, "out of memory");
        assert_int_equal(graph != NULL, status == GX_OK);
        gx_arena_free(arena);
        assert_true(n < 1000);
    }
    tiny_decoder_close(&d);
}

/* Whole graphs of every kind of layer, dynamic and static, in every profile; and pieces. */
static void every_allocation_may_fail(void **state)
{
    (void)state;
    static const char *const kinds[] = {"gemma3-types-bf16", "gemma2-published", "gemma3n-streams", "gemma4-per-layer-bf16", "gemma4-experts-sharded", "embeddinggemma-published"};
    const gx_static_form several = {.batch_size = 2, .sequence_length = 4, .max_length = 32, .longest_call = 4, .bounded = true};
    const gx_static_form one = {.batch_size = 1, .sequence_length = 1, .max_length = 32, .longest_call = 4};
    const gx_static_form *const forms[] = {NULL, &several, &one};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (unsigned profile = 0; profile < GX_PROFILE_COUNT; profile++)
            for (size_t k = 0; k < sizeof forms / sizeof *forms; k++)
                check_allocations(kinds[i], 3, profile, GX_DECODER_WHOLE, forms[k]);
    check_allocations("embeddinggemma-no-dense-f16", 0, 0, GX_DECODER_WHOLE, NULL);
    check_allocations("gemma3n-streams", 3, 0, GX_DECODER_EMBEDDING, NULL);
    check_allocations("gemma3n-streams", 3, 0, GX_DECODER_BODY, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inputs_and_outputs_are_the_contract),
        cmocka_unit_test(values_are_made_before_they_are_read),
        cmocka_unit_test(initializers_are_read_and_fit),
        cmocka_unit_test(every_weight_is_stored_once),
        cmocka_unit_test(reshapes_are_told_their_shapes),
        cmocka_unit_test(pieces_fit_together),
        cmocka_unit_test(pieces_are_sound),
        cmocka_unit_test(precisions_have_their_operators),
        cmocka_unit_test(softcap_is_there_when_honoured),
        cmocka_unit_test(options_show_in_the_metadata),
        cmocka_unit_test(the_oldest_runtime_shows_in_the_metadata),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
