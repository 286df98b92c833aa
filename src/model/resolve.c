/* Binds every weight of the family's table to a tensor of the checkpoint and checks every shape. All that is missing,
 * misshapen or unknown is listed in one message. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "model/config.h"
#include "model/published.h"
#include "model/sentence.h"

struct model_storage { /* what gx_model_close frees */
    gx_model model;
    gx_arena *arena;
};

static const char *const role_names[GX_ROLE_COUNT] = {
    [GX_ROLE_EMBEDDING] = "embed_tokens",
    [GX_ROLE_FINAL_NORM] = "norm",
    [GX_ROLE_LM_HEAD] = "lm_head",
    [GX_ROLE_INPUT_NORM] = "input_layernorm",
    [GX_ROLE_Q_PROJ] = "q_proj",
    [GX_ROLE_K_PROJ] = "k_proj",
    [GX_ROLE_V_PROJ] = "v_proj",
    [GX_ROLE_O_PROJ] = "o_proj",
    [GX_ROLE_Q_NORM] = "q_norm",
    [GX_ROLE_K_NORM] = "k_norm",
    [GX_ROLE_POST_ATTENTION_NORM] = "post_attention_layernorm",
    [GX_ROLE_PRE_FEEDFORWARD_NORM] = "pre_feedforward_layernorm",
    [GX_ROLE_GATE_PROJ] = "gate_proj",
    [GX_ROLE_UP_PROJ] = "up_proj",
    [GX_ROLE_DOWN_PROJ] = "down_proj",
    [GX_ROLE_POST_FEEDFORWARD_NORM] = "post_feedforward_layernorm",
    [GX_ROLE_PER_LAYER_EMBEDDING] = "embed_tokens_per_layer",
    [GX_ROLE_PER_LAYER_MODEL_PROJECTION] = "per_layer_model_projection",
    [GX_ROLE_PER_LAYER_PROJECTION_NORM] = "per_layer_projection_norm",
    [GX_ROLE_ROUTER_PROJ] = "router.proj",
    [GX_ROLE_ROUTER_SCALE] = "router.scale",
    [GX_ROLE_ROUTER_PER_EXPERT_SCALE] = "router.per_expert_scale",
    [GX_ROLE_EXPERTS_GATE_UP] = "experts.gate_up_proj",
    [GX_ROLE_EXPERTS_DOWN] = "experts.down_proj",
    [GX_ROLE_POST_MLP_NORM] = "post_feedforward_layernorm_1",
    [GX_ROLE_PRE_EXPERTS_NORM] = "pre_feedforward_layernorm_2",
    [GX_ROLE_POST_EXPERTS_NORM] = "post_feedforward_layernorm_2",
    [GX_ROLE_PER_LAYER_INPUT_GATE] = "per_layer_input_gate",
    [GX_ROLE_PER_LAYER_PROJECTION] = "per_layer_projection",
    [GX_ROLE_POST_PER_LAYER_INPUT_NORM] = "post_per_layer_input_norm",
    [GX_ROLE_LAYER_SCALAR] = "layer_scalar",
    [GX_ROLE_STREAM_IN] = "altup_projections",
    [GX_ROLE_STREAM_OUT] = "altup_unembed_projections",
    [GX_ROLE_LAUREL_LEFT] = "laurel.linear_left",
    [GX_ROLE_LAUREL_RIGHT] = "laurel.linear_right",
    [GX_ROLE_POST_LAUREL_NORM] = "laurel.post_laurel_norm",
    [GX_ROLE_ALTUP_ROUTER_NORM] = "altup.router_norm",
    [GX_ROLE_ALTUP_ROUTER] = "altup.modality_router",
    [GX_ROLE_ALTUP_PREDICTION] = "altup.prediction_coefs",
    [GX_ROLE_ALTUP_CORRECTION] = "altup.correction_coefs",
    [GX_ROLE_ALTUP_CORRECT_SCALE] = "altup.correct_output_scale",
};

const char *gx_role_name(gx_role role)
{
    return role_names[role];
}

/* Where the decoder's tensors stand, by package; tried in this order. The last: a bare text model. */
static const char *const prefixes[] = {"model.", "language_model.model.", "model.language_model.", "language_model.", ""};
static const char *const head_names[] = {"lm_head.weight", "language_model.lm_head.weight", "model.lm_head.weight", "model.language_model.lm_head.weight"};

/* Parts of a multimodal package that are no part of the text decoder. */
static const char *const other_towers[] = {"vision_tower.",        "model.vision_tower.", "multi_modal_projector.",  "model.multi_modal_projector.",
                                           "audio_tower.",         "model.audio_tower.",  "model.vision_embedder.",  "model.embed_vision.",
                                           "model.embed_audio.",   "v.",                  "mm."};

typedef struct binder {
    gx_model *model;
    const gx_family *family;
    const gx_checkpoint *checkpoint;
    const char *prefix;
    bool gguf;
    bool *used; /* by tensor index */
    gx_buffer problems;
    unsigned problem_count;
} binder;

#define PROBLEMS_SHOWN 12u

static void problem(binder *b, const char *format, ...) GX_PRINTF(2, 3);
static void problem(binder *b, const char *format, ...)
{
    if (b->problem_count++ >= PROBLEMS_SHOWN)
        return;
    char text[320];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    gx_buffer_printf(&b->problems, "%s%s", b->problem_count > 1 ? "; " : "", text);
}

static uint64_t dimension(const gx_model *model, const gx_layer *layer, gx_dimension dim)
{
    switch (dim) {
    case GX_DIM_NONE: return 0;
    case GX_DIM_VOCAB: return model->vocab_size;
    case GX_DIM_HIDDEN: return model->hidden_size;
    case GX_DIM_HEADS: return (uint64_t)layer->num_attention_heads * layer->head_dim;
    case GX_DIM_KV_HEADS: return (uint64_t)layer->num_key_value_heads * layer->head_dim;
    case GX_DIM_HEAD: return layer->head_dim;
    case GX_DIM_INTERMEDIATE: return layer->intermediate_size;
    case GX_DIM_ONE: return 1;
    case GX_DIM_PER_LAYER_INPUT: return model->hidden_size_per_layer_input;
    case GX_DIM_PER_LAYER_INPUTS: return (uint64_t)model->num_hidden_layers * model->hidden_size_per_layer_input;
    case GX_DIM_PER_LAYER_VOCAB: return model->vocab_size_per_layer_input;
    case GX_DIM_EXPERTS: return layer->num_experts;
    case GX_DIM_EXPERT_INTERMEDIATE: return layer->moe_intermediate_size;
    case GX_DIM_EXPERT_GATE_AND_UP: return 2 * (uint64_t)layer->moe_intermediate_size;
    case GX_DIM_STREAMS: return model->altup.streams;
    case GX_DIM_STREAM_PAIRS: return (uint64_t)model->altup.streams * model->altup.streams;
    case GX_DIM_LAUREL: return model->altup.laurel_rank;
    }
    GX_BUG("unknown dimension");
}

/* Returns the rank. */
static unsigned shape_of(uint64_t *shape, const gx_model *model, const gx_tensor_row *row, const gx_layer *layer)
{
    unsigned rank = 0;
    for (; rank < 3 && row->shape[rank] != GX_DIM_NONE; rank++)
        shape[rank] = dimension(model, layer, row->shape[rank]);
    return rank;
}

static void shape_text(char *out, size_t size, unsigned rank, const uint64_t *shape)
{
    size_t used = 0;
    out[0] = 0;
    for (unsigned i = 0; i < rank && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%llu", i ? ", " : "", (unsigned long long)shape[i]);
}

static void check_shape(binder *b, const gx_tensor *tensor, unsigned rank, const uint64_t *expected)
{
    if (tensor->rank == rank && memcmp(tensor->shape, expected, rank * sizeof *expected) == 0)
        return;
    char found_text[128], expected_text[128];
    shape_text(found_text, sizeof found_text, tensor->rank, tensor->shape);
    shape_text(expected_text, sizeof expected_text, rank, expected);
    problem(b, "'%s' is [%s], expected [%s]", tensor->name, found_text, expected_text);
}

static size_t tensor_index(const binder *b, const gx_tensor *tensor)
{
    return (size_t)(tensor - gx_checkpoint_tensor(b->checkpoint, 0));
}

static void bind_as(binder *b, gx_weight *weight, const gx_tensor *tensor, unsigned rank, const uint64_t *shape)
{
    uint64_t rows = 1;
    for (unsigned i = 0; i + 1 < rank; i++)
        rows *= shape[i];
    check_shape(b, tensor, rank, shape);
    if (!gx_dtype_get(tensor->dtype)->decode)
        problem(b, "'%s' holds %s, which is no weight type", tensor->name, gx_dtype_get(tensor->dtype)->name);
    b->used[tensor_index(b, tensor)] = true;
    const double norm_add = b->gguf ? b->family->gguf_norm_add : b->family->norm_add;
    *weight = (gx_weight){.tensor = tensor, .rows = rows, .columns = shape[rank - 1], .add = rank == 1 ? norm_add : 0};
    b->model->parameters += tensor->elements;
}

static void bind(binder *b, gx_weight *weight, const gx_tensor *tensor, const gx_tensor_row *row, const gx_layer *layer)
{
    uint64_t shape[3];
    const unsigned rank = shape_of(shape, b->model, row, layer);
    bind_as(b, weight, tensor, rank, shape);
}

static bool is_wanted(const gx_model *model, const gx_tensor_row *row, const gx_layer *layer)
{
    switch (row->when) {
    case GX_ALWAYS: return true;
    case GX_WHEN_KEYS_ARE_OWN: return gx_layer_has_own_cache(model, (uint32_t)(layer - model->layers));
    case GX_WHEN_VALUES_ARE_OWN: return gx_layer_has_own_cache(model, (uint32_t)(layer - model->layers)) && !layer->keys_are_values;
    case GX_WHEN_PER_LAYER_INPUTS: return model->hidden_size_per_layer_input != 0;
    case GX_WHEN_EXPERTS: return layer->num_experts != 0;
    case GX_PER_STREAM: return true;
    }
    GX_BUG("unknown condition");
}

/* Published files hold tensors that a layer does not use: left out like the other towers. */
static void leave_out(binder *b, const gx_tensor *tensor)
{
    b->used[tensor_index(b, tensor)] = true;
    b->model->left_out[b->model->left_out_count++] = tensor;
}

static const gx_tensor *find_tensor(const binder *b, const char *format, unsigned number, char *name, size_t size)
{
    char suffix[128];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(suffix, sizeof suffix, format, number); /* the family's constant table */
#pragma GCC diagnostic pop
    snprintf(name, size, "%s%s", b->prefix, suffix);
    return gx_checkpoint_find(b->checkpoint, name);
}

/* `layer` NULL: a tensor of the model. */
static void bind_row(binder *b, const gx_tensor_row *row, gx_layer *layer, unsigned number)
{
    char name[256];
    const gx_tensor *tensor = find_tensor(b, b->gguf ? row->gguf_name : row->name, number, name, sizeof name);
    gx_weight *weight = layer ? &layer->weights[row->role] : &b->model->weights[row->role];
    const bool wanted = is_wanted(b->model, row, layer);
    if (tensor && wanted)
        bind(b, weight, tensor, row, layer);
    else if (tensor)
        leave_out(b, tensor);
    else if (wanted)
        problem(b, "'%s' is missing", name);
}

/* A GGUF has those of all streams in one tensor, [streams, rows, columns]. */
static void bind_stacked(binder *b, const gx_tensor_row *row, gx_weight *weights, uint32_t count)
{
    char name[256];
    const gx_tensor *tensor = find_tensor(b, row->gguf_name, 0, name, sizeof name);
    const uint64_t rows = dimension(b->model, NULL, row->shape[0]), shape[3] = {count, rows, dimension(b->model, NULL, row->shape[1])};
    if (!tensor) {
        problem(b, "'%s' is missing", name);
        return;
    }
    check_shape(b, tensor, 3, shape);
    for (uint32_t i = 0; i < count; i++)
        weights[i] = (gx_weight){.tensor = tensor, .first_row = i * rows, .rows = rows, .columns = shape[2]};
    b->used[tensor_index(b, tensor)] = true;
    b->model->parameters += tensor->elements;
}

static void bind_streams(binder *b, const gx_tensor_row *row)
{
    gx_altup *altup = &b->model->altup;
    gx_weight *weights = row->role == GX_ROLE_STREAM_IN ? altup->in : altup->out;
    const uint32_t count = altup->streams - 1;
    if (b->gguf) {
        bind_stacked(b, row, weights, count);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        bind_row(b, row, NULL, i);
        weights[i] = b->model->weights[row->role];
    }
}

static bool is_layer_row(const gx_tensor_row *row)
{
    return row->when != GX_PER_STREAM && strchr(row->name, '%') != NULL;
}

static const gx_tensor *find_head(const binder *b)
{
    if (b->gguf)
        return gx_checkpoint_find(b->checkpoint, "output.weight");
    for (size_t i = 0; i < sizeof head_names / sizeof *head_names; i++) {
        const gx_tensor *tensor = gx_checkpoint_find(b->checkpoint, head_names[i]);
        if (tensor)
            return tensor;
    }
    return NULL;
}

#define COMPARE_NBYTES ((size_t)1 << 20)

/* Whether two tensors have one shape and hold the same bytes; stops reading at the first difference. */
static gx_status same_content(bool *out, const gx_checkpoint *checkpoint, const gx_tensor *x, const gx_tensor *y, gx_error *error)
{
    *out = x->dtype == y->dtype && x->rank == y->rank && memcmp(x->shape, y->shape, sizeof x->shape) == 0;
    uint8_t *bytes = gx_alloc(2, COMPARE_NBYTES);
    gx_status status = bytes ? GX_OK : gx_fail_memory(error);
    for (uint64_t at = 0; status == GX_OK && *out && at < x->nbytes; at += COMPARE_NBYTES) {
        const size_t n = x->nbytes - at < COMPARE_NBYTES ? (size_t)(x->nbytes - at) : COMPARE_NBYTES;
        status = gx_file_read(gx_checkpoint_file(checkpoint, x->file), x->offset + at, bytes, n, error);
        if (status == GX_OK)
            status = gx_file_read(gx_checkpoint_file(checkpoint, y->file), y->offset + at, bytes + COMPARE_NBYTES, n, error);
        *out = status == GX_OK && memcmp(bytes, bytes + COMPARE_NBYTES, n) == 0;
    }
    gx_free(bytes);
    return status;
}

/* Tied by the config, but a head of its own is stored: Transformers keeps one that differs, and so do we. */
static gx_status check_stored_head(binder *b, const gx_tensor *head, gx_arena *arena, gx_error *error)
{
    const gx_tensor *embedding = b->model->weights[GX_ROLE_EMBEDDING].tensor;
    bool same = true;
    if (!embedding || !gx_checkpoint_has_payload(b->checkpoint))
        return GX_OK;
    GX_TRY(same_content(&same, b->checkpoint, embedding, head, error));
    if (same)
        return GX_OK;
    b->model->tie_word_embeddings = false;
    return gx_model_note(b->model, arena, error, "'%s' differs from the embedding and is used, although tie_word_embeddings is true", head->name);
}

/* Tied: the head is the embedding, and a stored copy of it is ignored. */
static gx_status bind_head(binder *b, gx_arena *arena, gx_error *error)
{
    static const gx_tensor_row row = {GX_ROLE_LM_HEAD, "lm_head.weight", "output.weight", {GX_DIM_VOCAB, GX_DIM_HIDDEN, GX_DIM_NONE}, GX_ALWAYS};
    const gx_tensor *tensor = find_head(b);
    if (b->model->tie_word_embeddings && tensor)
        GX_TRY(check_stored_head(b, tensor, arena, error));
    if (b->model->tie_word_embeddings) {
        b->model->weights[GX_ROLE_LM_HEAD] = b->model->weights[GX_ROLE_EMBEDDING];
        if (!tensor)
            return GX_OK;
        b->used[tensor_index(b, tensor)] = true;
        if (!gx_checkpoint_has_payload(b->checkpoint))
            return gx_model_note(b->model, arena, error, "whether '%s' is a copy of the embedding is not known before it is here", tensor->name);
        return gx_model_note(b->model, arena, error, "'%s' is left out: it is a copy of the embedding, which is the head", tensor->name);
    }
    if (tensor)
        bind(b, &b->model->weights[GX_ROLE_LM_HEAD], tensor, &row, NULL);
    else
        problem(b, "tie_word_embeddings is false, but there is no 'lm_head.weight'");
    return GX_OK;
}

/* A model that embeds texts has no head, but what follows the mean. */
static gx_status bind_sentence(binder *b, gx_arena *arena, gx_error *error)
{
    gx_sentence *sentence = &b->model->sentence;
    gx_sentence_plan plan;
    GX_TRY(gx_sentence_read(&plan, b->model, arena, error));
    sentence->normalize = plan.normalize;
    sentence->dimension = b->model->hidden_size;
    for (unsigned i = 0; i < plan.dense_count; i++) {
        const gx_dense *dense = &plan.dense[i];
        const gx_tensor *tensor = gx_checkpoint_find(b->checkpoint, dense->name);
        const uint64_t shape[2] = {dense->out, dense->in};
        if (tensor)
            bind_as(b, &sentence->dense[sentence->dense_count++], tensor, 2, shape);
        else
            problem(b, "'%s' is missing", dense->name);
        sentence->dimension = dense->out;
    }
    return GX_OK;
}

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool belongs_to_other_tower(const char *name)
{
    for (size_t i = 0; i < sizeof other_towers / sizeof *other_towers; i++)
        if (starts_with(name, other_towers[i]))
            return true;
    return false;
}

/* Frequencies that old uploads carry, or their divisors in a GGUF; the config says what they are. */
static bool is_redundant(const char *name)
{
    static const char ending[] = "rotary_emb.inv_freq";
    const size_t n = strlen(name), m = sizeof ending - 1;
    return (n >= m && strcmp(name + n - m, ending) == 0) || strcmp(name, "rope_freqs.weight") == 0;
}

static void collect_left_out(binder *b)
{
    for (size_t i = 0; i < gx_checkpoint_tensor_count(b->checkpoint); i++) {
        const gx_tensor *tensor = gx_checkpoint_tensor(b->checkpoint, i);
        if (b->used[i] || is_redundant(tensor->name))
            continue;
        if (belongs_to_other_tower(tensor->name))
            b->model->left_out[b->model->left_out_count++] = tensor;
        else
            problem(b, "'%s' is not a tensor of %s", tensor->name, b->family->name);
    }
}

static const char *find_prefix(const gx_checkpoint *checkpoint)
{
    char name[128];
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        snprintf(name, sizeof name, "%sembed_tokens.weight", prefixes[i]);
        if (gx_checkpoint_find(checkpoint, name))
            return prefixes[i];
    }
    return NULL;
}

static void bind_layers(binder *b)
{
    for (uint32_t n = 0; n < b->model->num_hidden_layers; n++)
        for (size_t i = 0; i < b->family->tensor_count; i++)
            if (is_layer_row(&b->family->tensors[i]))
                bind_row(b, &b->family->tensors[i], &b->model->layers[n], n);
}

static gx_status bind_all(binder *b, gx_arena *arena, gx_error *error)
{
    b->used = GX_NEW_ARRAY(arena, bool, gx_checkpoint_tensor_count(b->checkpoint));
    b->model->left_out = GX_NEW_ARRAY(arena, const gx_tensor *, gx_checkpoint_tensor_count(b->checkpoint));
    if (!b->used || !b->model->left_out)
        return gx_fail_memory(error);
    b->prefix = b->gguf ? "" : find_prefix(b->checkpoint);
    if (!b->prefix)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: no tensor 'model.embed_tokens.weight' under any known prefix; is this a %s checkpoint?",
                       gx_checkpoint_path(b->checkpoint), b->family->name);
    for (size_t i = 0; i < b->family->tensor_count; i++)
        if (b->family->tensors[i].when == GX_PER_STREAM)
            bind_streams(b, &b->family->tensors[i]);
        else if (!is_layer_row(&b->family->tensors[i]))
            bind_row(b, &b->family->tensors[i], NULL, 0);
    bind_layers(b);
    GX_TRY(b->model->bidirectional ? bind_sentence(b, arena, error) : bind_head(b, arena, error));
    collect_left_out(b);
    GX_TRY(gx_buffer_check(&b->problems, error));
    if (b->problem_count == 0)
        return GX_OK;
    char more[48] = "";
    if (b->problem_count > PROBLEMS_SHOWN)
        snprintf(more, sizeof more, "; and %u more", b->problem_count - PROBLEMS_SHOWN);
    return gx_fail(error, GX_ERROR_FORMAT, "%s: the tensors do not fit config.json: %s%s", gx_checkpoint_path(b->checkpoint),
                   gx_buffer_text(&b->problems), more);
}

/* ---- without a checkpoint ---- */

/* The tensor of a row: of layer or stream `number`, where the row is of one. */
static gx_status visit_row(const gx_model *model, const gx_tensor_row *row, const gx_layer *layer, unsigned number, gx_tensor_visitor visitor, void *context,
                           gx_error *error)
{
    char suffix[128], name[192];
    uint64_t shape[3];
    if (!is_wanted(model, row, layer))
        return GX_OK;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(suffix, sizeof suffix, row->name, number);
#pragma GCC diagnostic pop
    snprintf(name, sizeof name, "%s%s", prefixes[0], suffix);
    const unsigned rank = shape_of(shape, model, row, layer);
    return visitor(context, name, rank, shape, error);
}

gx_status gx_model_each_tensor(const gx_model *model, gx_tensor_visitor visitor, void *context, gx_error *error)
{
    for (size_t i = 0; i < model->family->tensor_count; i++) {
        const gx_tensor_row *row = &model->family->tensors[i];
        if (is_layer_row(row))
            continue;
        const unsigned count = row->when == GX_PER_STREAM ? model->altup.streams - 1 : 1;
        for (unsigned n = 0; n < count; n++)
            GX_TRY(visit_row(model, row, NULL, n, visitor, context, error));
    }
    for (uint32_t n = 0; n < model->num_hidden_layers; n++)
        for (size_t i = 0; i < model->family->tensor_count; i++)
            if (is_layer_row(&model->family->tensors[i]))
                GX_TRY(visit_row(model, &model->family->tensors[i], &model->layers[n], n, visitor, context, error));
    return GX_OK;
}

static gx_status read_published(gx_model *model, gx_arena *arena, const gx_published *published, gx_error *error)
{
    gx_config_source source = {0};
    GX_TRY(gx_config_open_text(&source, published->ids[0], published->config, error));
    const gx_status status = gx_config_read(model, arena, &source, error);
    gx_config_close(&source);
    return status;
}

/* ---- with one ---- */

static gx_status resolve(gx_model *model, gx_arena *arena, const gx_checkpoint *checkpoint, gx_error *error)
{
    gx_config_source source = {0};
    GX_TRY(gx_config_open(&source, checkpoint, error));
    model->checkpoint = checkpoint;
    gx_status status = gx_config_read(model, arena, &source, error);
    if (status == GX_OK)
        status = gx_config_for_output(&model->config, &model->config_is_source, &source, error);
    if (status == GX_OK) {
        binder b = {.model = model,
                    .family = source.family,
                    .checkpoint = checkpoint,
                    .gguf = gx_checkpoint_get_format(checkpoint) == GX_CHECKPOINT_GGUF};
        status = bind_all(&b, arena, error);
        gx_buffer_deinit(&b.problems);
    }
    gx_config_close(&source);
    return status;
}

static struct model_storage *new_storage(void)
{
    gx_arena *arena = gx_arena_new();
    struct model_storage *storage = arena ? GX_NEW(arena, struct model_storage) : NULL;
    if (storage)
        storage->arena = arena;
    else
        gx_arena_free(arena);
    return storage;
}

/* Keeps the model when all is well. */
static gx_status finish(gx_model **out, struct model_storage *storage, gx_status status)
{
    if (status == GX_OK)
        *out = &storage->model;
    else
        gx_model_close(&storage->model);
    return status;
}

gx_status gx_model_open(gx_model **out, const gx_checkpoint *checkpoint, gx_error *error)
{
    struct model_storage *storage = new_storage();
    if (!storage)
        return gx_fail_memory(error);
    return finish(out, storage, resolve(&storage->model, storage->arena, checkpoint, error));
}

gx_status gx_published_open(gx_model **out, const gx_published *published, gx_error *error)
{
    struct model_storage *storage = new_storage();
    if (!storage)
        return gx_fail_memory(error);
    return finish(out, storage, read_published(&storage->model, storage->arena, published, error));
}

void gx_model_close(gx_model *model)
{
    if (!model)
        return;
    yyjson_mut_doc_free(model->config);
    gx_arena_free(((struct model_storage *)model)->arena);
}

gx_status gx_weight_read_rows(const gx_model *model, const gx_weight *weight, uint64_t first_row, uint64_t rows, void *scratch, float *out,
                              gx_error *error)
{
    GX_TRY(gx_checkpoint_read_rows(model->checkpoint, weight->tensor, weight->first_row + first_row, rows, scratch, out, error));
    if (weight->add != 0)
        for (uint64_t i = 0; i < rows * weight->columns; i++)
            out[i] += (float)weight->add;
    return GX_OK;
}

gx_status gx_weight_read_vector(const gx_model *model, const gx_weight *weight, float *out, gx_error *error)
{
    uint64_t nbytes = 0;
    GX_TRY(gx_tensor_rows_nbytes(weight->tensor, 1, &nbytes, error));
    void *scratch = gx_alloc(nbytes, 1);
    if (!scratch)
        return gx_fail_memory(error);
    const gx_status status = gx_weight_read_rows(model, weight, 0, 1, scratch, out, error);
    gx_free(scratch);
    return status;
}

gx_status gx_layer_read_scalar(double *out, const gx_model *model, const gx_layer *layer, gx_error *error)
{
    float value = 1;
    if (layer->weights[GX_ROLE_LAYER_SCALAR].tensor)
        GX_TRY(gx_weight_read_vector(model, &layer->weights[GX_ROLE_LAYER_SCALAR], &value, error));
    if (!isfinite(value))
        return gx_fail(error, GX_ERROR_FORMAT, "'%s' is not a finite number", layer->weights[GX_ROLE_LAYER_SCALAR].tensor->name);
    *out = (double)value;
    return GX_OK;
}
