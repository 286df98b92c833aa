/* Binds every weight of the family's table to a tensor of the checkpoint and checks every shape. All that is missing,
 * misshapen or unknown is listed in one message. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "model/config.h"

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
};

const char *gx_role_name(gx_role role)
{
    return role_names[role];
}

/* Where the decoder's tensors stand, by package; tried in this order. The last: a bare text model. */
static const char *const prefixes[] = {"model.", "language_model.model.", "model.language_model.", "language_model.", ""};
static const char *const head_names[] = {"lm_head.weight", "language_model.lm_head.weight", "model.lm_head.weight", "model.language_model.lm_head.weight"};

/* Parts of a multimodal package that are no part of the text decoder. */
static const char *const other_towers[] = {"vision_tower.", "model.vision_tower.", "multi_modal_projector.", "model.multi_modal_projector.",
                                           "model.embed_vision.", "v.", "mm."};

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
    }
    GX_BUG("unknown dimension");
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

static void bind(binder *b, gx_weight *weight, const gx_tensor *tensor, const gx_tensor_row *row, const gx_layer *layer)
{
    const uint64_t shape[2] = {dimension(b->model, layer, row->shape[0]), dimension(b->model, layer, row->shape[1])};
    const bool vector = row->shape[1] == GX_DIM_NONE;
    check_shape(b, tensor, vector ? 1 : 2, shape);
    if (!gx_dtype_get(tensor->dtype)->decode)
        problem(b, "'%s' holds %s, which is no weight type", tensor->name, gx_dtype_get(tensor->dtype)->name);
    b->used[tensor_index(b, tensor)] = true;
    const double norm_add = b->gguf ? b->family->gguf_norm_add : b->family->norm_add;
    *weight = (gx_weight){.tensor = tensor, .rows = vector ? 1 : shape[0], .columns = vector ? shape[0] : shape[1], .add = vector ? norm_add : 0};
    b->model->parameters += tensor->elements;
}

/* `layer` NULL: a tensor of the model. */
static void bind_row(binder *b, const gx_tensor_row *row, gx_layer *layer, unsigned number)
{
    char suffix[128], name[256];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(suffix, sizeof suffix, b->gguf ? row->gguf_name : row->name, number); /* the family's constant table */
#pragma GCC diagnostic pop
    snprintf(name, sizeof name, "%s%s", b->prefix, suffix);
    const gx_tensor *tensor = gx_checkpoint_find(b->checkpoint, name);
    gx_weight *weight = layer ? &layer->weights[row->role] : &b->model->weights[row->role];
    if (tensor)
        bind(b, weight, tensor, row, layer);
    else if (!row->optional)
        problem(b, "'%s' is missing", name);
}

static bool is_layer_row(const gx_tensor_row *row)
{
    return strchr(row->name, '%') != NULL;
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
    if (!embedding)
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
    static const gx_tensor_row row = {GX_ROLE_LM_HEAD, "lm_head.weight", "output.weight", {GX_DIM_VOCAB, GX_DIM_HIDDEN}, false};
    const gx_tensor *tensor = find_head(b);
    if (b->model->tie_word_embeddings && tensor)
        GX_TRY(check_stored_head(b, tensor, arena, error));
    if (b->model->tie_word_embeddings) {
        b->model->weights[GX_ROLE_LM_HEAD] = b->model->weights[GX_ROLE_EMBEDDING];
        if (!tensor)
            return GX_OK;
        b->used[tensor_index(b, tensor)] = true;
        return gx_model_note(b->model, arena, error, "'%s' is left out: it is a copy of the embedding, which is the head", tensor->name);
    }
    if (tensor)
        bind(b, &b->model->weights[GX_ROLE_LM_HEAD], tensor, &row, NULL);
    else
        problem(b, "tie_word_embeddings is false, but there is no 'lm_head.weight'");
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

/* Frequencies that old uploads carry; the config determines them. */
static bool is_redundant(const char *name)
{
    static const char ending[] = "rotary_emb.inv_freq";
    const size_t n = strlen(name), m = sizeof ending - 1;
    return n >= m && strcmp(name + n - m, ending) == 0;
}

static gx_status collect_left_out(binder *b, gx_arena *arena, gx_error *error)
{
    const size_t count = gx_checkpoint_tensor_count(b->checkpoint);
    b->model->left_out = GX_NEW_ARRAY(arena, const gx_tensor *, count);
    if (!b->model->left_out)
        return gx_fail_memory(error);
    for (size_t i = 0; i < count; i++) {
        const gx_tensor *tensor = gx_checkpoint_tensor(b->checkpoint, i);
        if (b->used[i] || is_redundant(tensor->name))
            continue;
        if (belongs_to_other_tower(tensor->name))
            b->model->left_out[b->model->left_out_count++] = tensor;
        else
            problem(b, "'%s' is not a tensor of %s", tensor->name, b->family->name);
    }
    return GX_OK;
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
    if (!b->used)
        return gx_fail_memory(error);
    b->prefix = b->gguf ? "" : find_prefix(b->checkpoint);
    if (!b->prefix)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: no tensor 'model.embed_tokens.weight' under any known prefix; is this a %s checkpoint?",
                       gx_checkpoint_path(b->checkpoint), b->family->name);
    for (size_t i = 0; i < b->family->tensor_count; i++)
        if (!is_layer_row(&b->family->tensors[i]))
            bind_row(b, &b->family->tensors[i], NULL, 0);
    bind_layers(b);
    GX_TRY(bind_head(b, arena, error));
    GX_TRY(collect_left_out(b, arena, error));
    GX_TRY(gx_buffer_check(&b->problems, error));
    if (b->problem_count == 0)
        return GX_OK;
    char more[48] = "";
    if (b->problem_count > PROBLEMS_SHOWN)
        snprintf(more, sizeof more, "; and %u more", b->problem_count - PROBLEMS_SHOWN);
    return gx_fail(error, GX_ERROR_FORMAT, "%s: the tensors do not fit config.json: %s%s", gx_checkpoint_path(b->checkpoint),
                   gx_buffer_text(&b->problems), more);
}

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

gx_status gx_model_open(gx_model **out, const gx_checkpoint *checkpoint, gx_error *error)
{
    gx_arena *arena = gx_arena_new();
    struct model_storage *storage = arena ? GX_NEW(arena, struct model_storage) : NULL;
    if (!storage) {
        gx_arena_free(arena);
        return gx_fail_memory(error);
    }
    storage->arena = arena;
    gx_status status = resolve(&storage->model, arena, checkpoint, error);
    if (status != GX_OK)
        gx_model_close(&storage->model);
    else
        *out = &storage->model;
    return status;
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
    GX_TRY(gx_checkpoint_read_rows(model->checkpoint, weight->tensor, first_row, rows, scratch, out, error));
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
