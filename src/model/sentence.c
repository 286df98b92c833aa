/* Reads modules.json and the config.json of each module it names. Keys have changed their names between versions of sentence-transformers. */
#include <string.h>

#include "model/sentence.h"

#define MODULE_CONFIG_LIMIT (UINT64_C(1) << 20)

typedef struct reader {
    gx_sentence_plan *plan;
    gx_arena *arena;
    const char *folder;
    const char *path; /* of modules.json */
    uint64_t width;   /* of what the last module gives */
} reader;

/* A module as modules.json and its own config.json describe it. */
typedef struct module {
    const char *path; /* its folder's name; "": the model itself */
    const char *config_path;
    yyjson_val *config;
} module;

static gx_status read_pooling(reader *r, const module *m, gx_error *error)
{
    static const char *const others[] = {"pooling_mode_cls_token", "pooling_mode_max_tokens", "pooling_mode_mean_sqrt_len_tokens", "pooling_mode_weightedmean_tokens",
                                         "pooling_mode_lasttoken"};
    const char *mode = NULL;
    bool mean = true, other = false;
    (void)r;
    GX_TRY(gx_json_get_string(m->config, m->config_path, "pooling_mode", &mode, error));
    GX_TRY(gx_json_get_bool(m->config, m->config_path, "pooling_mode_mean_tokens", &mean, error));
    for (size_t i = 0; i < sizeof others / sizeof *others && !other; i++)
        GX_TRY(gx_json_get_bool(m->config, m->config_path, others[i], &other, error));
    if (other || (mode && strcmp(mode, "mean") != 0) || !mean)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: pooling that is not the mean of all tokens", m->config_path);
    bool include_prompt = true;
    GX_TRY(gx_json_get_bool(m->config, m->config_path, "include_prompt", &include_prompt, error));
    return include_prompt ? GX_OK : gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: include_prompt is false", m->config_path);
}

static gx_status read_dense(reader *r, const module *m, gx_error *error)
{
    const char *activation = NULL;
    bool bias = true;
    uint64_t in = 0, out = 0;
    GX_TRY(gx_json_get_bool(m->config, m->config_path, "bias", &bias, error));
    GX_TRY(gx_json_get_string(m->config, m->config_path, "activation_function", &activation, error));
    GX_TRY(gx_json_get_u64(m->config, m->config_path, "in_features", &in, error));
    GX_TRY(gx_json_get_u64(m->config, m->config_path, "out_features", &out, error));
    if (bias || !activation || strcmp(activation, "torch.nn.modules.linear.Identity") != 0)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: a dense layer with %s", m->config_path, bias ? "a bias" : "an activation");
    if (in != r->width || out == 0 || out > 1u << 20)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: in_features is %llu, out_features %llu, after a module that gives %llu", m->config_path, (unsigned long long)in,
                       (unsigned long long)out, (unsigned long long)r->width);
    if (r->plan->dense_count == GX_MAX_DENSE)
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: more than %d dense layers", r->path, GX_MAX_DENSE);
    char *name = gx_arena_printf(r->arena, "%s/linear.weight", m->path);
    if (!name)
        return gx_fail_memory(error);
    r->plan->dense[r->plan->dense_count++] = (gx_dense){name, in, out};
    r->width = out;
    return GX_OK;
}

static gx_status read_normalize(reader *r, const module *m, gx_error *error)
{
    (void)m, (void)error;
    r->plan->normalize = true;
    return GX_OK;
}

static const struct {
    const char *type; /* after the last dot */
    gx_status (*read)(reader *r, const module *m, gx_error *error); /* NULL: nothing to read */
    bool has_config;
} kinds[] = {
    {"Transformer", NULL, false},
    {"Pooling", read_pooling, true},
    {"Dense", read_dense, true},
    {"Normalize", read_normalize, false},
};

static gx_status read_with_config(reader *r, size_t kind, const char *path, gx_error *error)
{
    module m = {.path = path, .config_path = gx_arena_printf(r->arena, "%s/%s/config.json", r->folder, path)};
    yyjson_doc *doc = NULL;
    if (!m.config_path)
        return gx_fail_memory(error);
    if (!kinds[kind].has_config)
        return kinds[kind].read(r, &m, error);
    GX_TRY(gx_json_read(&doc, m.config_path, MODULE_CONFIG_LIMIT, error));
    m.config = yyjson_doc_get_root(doc);
    const gx_status status = kinds[kind].read(r, &m, error);
    yyjson_doc_free(doc);
    return status;
}

static gx_status read_module(reader *r, yyjson_val *value, gx_error *error)
{
    const char *type = NULL, *path = "";
    GX_TRY(gx_json_get_string(value, r->path, "type", &type, error));
    GX_TRY(gx_json_get_string(value, r->path, "path", &path, error));
    const char *dot = type ? strrchr(type, '.') : NULL;
    for (size_t i = 0; dot && i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].type, dot + 1) != 0)
            continue;
        if (r->plan->normalize)
            return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: a module of type %s behind Normalize", r->path, kinds[i].type);
        return kinds[i].read ? read_with_config(r, i, path, error) : GX_OK;
    }
    return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: a module of type '%s' is not supported (Transformer, Pooling, Dense, Normalize)", r->path, type ? type : "");
}

static gx_status read_modules(reader *r, gx_error *error)
{
    yyjson_doc *doc = NULL;
    GX_TRY(gx_json_read(&doc, r->path, GX_MODULES_LIMIT, error));
    gx_status status = GX_OK;
    size_t index, count;
    yyjson_val *value;
    yyjson_arr_foreach(yyjson_doc_get_root(doc), index, count, value)
    {
        if (status == GX_OK)
            status = read_module(r, value, error);
    }
    yyjson_doc_free(doc);
    return status;
}

/* llama.cpp pools as it is told to, and brings what it gives to length 1. */
static gx_status read_gguf(reader *r, const gx_model *model, gx_error *error)
{
    static const char *const names[] = {"dense_2.weight", "dense_3.weight"};
    char key[64];
    snprintf(key, sizeof key, "%s.pooling_type", model->family->gguf_architecture);
    const gx_gguf_value *pooling = gx_checkpoint_metadata(model->checkpoint, key);
    if (pooling && (pooling->kind != GX_GGUF_UNSIGNED || pooling->u != 1))
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: %s is not 1, the mean of all tokens", gx_checkpoint_path(model->checkpoint), key);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const gx_tensor *tensor = gx_checkpoint_find(model->checkpoint, names[i]);
        if (!tensor)
            continue;
        r->plan->dense[r->plan->dense_count++] = (gx_dense){names[i], r->width, tensor->shape[0]};
        r->width = tensor->shape[0];
    }
    r->plan->normalize = true;
    return GX_OK;
}

gx_status gx_sentence_read(gx_sentence_plan *out, gx_model *model, gx_arena *arena, gx_error *error)
{
    reader r = {.plan = out, .arena = arena, .folder = gx_checkpoint_folder(model->checkpoint), .width = model->hidden_size};
    *out = (gx_sentence_plan){0};
    if (gx_checkpoint_get_format(model->checkpoint) == GX_CHECKPOINT_GGUF)
        return read_gguf(&r, model, error);
    r.path = gx_path_join(arena, r.folder, GX_MODULES_NAME);
    if (!r.path)
        return gx_fail_memory(error);
    if (gx_path_exists(r.path))
        return read_modules(&r, error);
    out->normalize = true;
    return gx_model_note(model, arena, error, "no %s: the embedding is the mean of the last hidden states, brought to length 1", GX_MODULES_NAME);
}
