/* Opens config.json, or makes one from GGUF metadata, and finds the family. */
#include <string.h>

#include "model/config.h"

#define CONFIG_LIMIT (16u << 20)

/* Relatives that are no decoder-only Gemma of ours: what they are, for the message. */
static const struct {
    const char *model_type;
    const char *what;
} refused[] = {
    {"recurrent_gemma", "RecurrentGemma, a recurrent model with another architecture"},
    {"t5gemma", "T5Gemma, an encoder-decoder model"},
    {"t5gemma2", "T5Gemma 2, an encoder-decoder model"},
    {"paligemma", "PaliGemma, a vision-language model"},
};

static bool list_has(const char *const *list, const char *text)
{
    for (; *list; list++)
        if (strcmp(*list, text) == 0)
            return true;
    return false;
}

/* Two families may have one name, and look in different directions. */
static bool looks_like(const gx_family *family, bool bidirectional)
{
    return family->bidirectional == bidirectional;
}

static const gx_family *family_by_architecture(yyjson_val *architectures, bool bidirectional)
{
    size_t index, count;
    yyjson_val *value;
    yyjson_arr_foreach(architectures, index, count, value)
    {
        for (const gx_family *const *family = gx_families; *family; family++)
            if (yyjson_is_str(value) && looks_like(*family, bidirectional) && list_has((*family)->architectures, yyjson_get_str(value)))
                return *family;
    }
    return NULL;
}

static const gx_family *family_by_model_type(const char *model_type, bool bidirectional)
{
    for (const gx_family *const *family = gx_families; *family; family++)
        if (looks_like(*family, bidirectional) && list_has((*family)->model_types, model_type))
            return *family;
    return NULL;
}

static bool is_package(const char *model_type)
{
    for (const gx_family *const *family = gx_families; *family; family++)
        if ((*family)->package_model_type && strcmp((*family)->package_model_type, model_type) == 0)
            return true;
    return false;
}

/* Of text alone, "vision" says nothing. */
static gx_status read_direction(bool *bidirectional, const gx_config_source *source, gx_error *error)
{
    yyjson_val *value = yyjson_obj_get(source->text, "use_bidirectional_attention");
    const char *name = yyjson_get_str(value);
    if (value && !yyjson_is_null(value) && !yyjson_is_bool(value) && !name)
        return gx_fail(error, GX_ERROR_FORMAT, "%s: use_bidirectional_attention is %s, expected a boolean or a string", source->name, gx_json_kind(value));
    *bidirectional = yyjson_is_true(value) || (name && strcmp(name, "vision") != 0);
    return GX_OK;
}

static gx_status find_family(gx_config_source *source, gx_error *error)
{
    const char *top_type = NULL, *text_type = NULL;
    bool bidirectional = false;
    GX_TRY(read_direction(&bidirectional, source, error));
    GX_TRY(gx_json_get_string(source->root, source->name, "model_type", &top_type, error));
    GX_TRY(gx_json_get_string(source->text, source->name, "model_type", &text_type, error));
    const char *type = text_type ? text_type : top_type ? top_type : "";
    source->family = family_by_model_type(type, bidirectional);
    if (!source->family)
        source->family = family_by_architecture(yyjson_obj_get(source->root, "architectures"), bidirectional);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        const bool top_is = top_type && strcmp(top_type, refused[i].model_type) == 0;
        if (top_is || strcmp(type, refused[i].model_type) == 0)
            return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: model_type '%s' is %s", source->name, refused[i].model_type, refused[i].what);
    }
    if (source->text == source->root && is_package(type))
        return gx_fail(error, GX_ERROR_FORMAT, "%s: model_type '%s' is that of a package, but there is no text_config in it", source->name, type);
    if (source->family)
        return GX_OK;
    if (family_by_model_type(type, !bidirectional))
        return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: use_bidirectional_attention is %s, which this version does not convert for model_type '%s'", source->name,
                       bidirectional ? "on" : "off", type);
    char known[256];
    gx_families_text(known, sizeof known, false);
    return gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: model_type '%s' is not a Gemma that this version converts (%s)", source->name, type, known);
}

static gx_status config_parse(gx_config_source *source, const gx_checkpoint *checkpoint, gx_error *error)
{
    if (gx_checkpoint_get_format(checkpoint) == GX_CHECKPOINT_GGUF) {
        gx_buffer text = {0};
        gx_status status = gx_gguf_config(&text, checkpoint, error);
        if (status == GX_OK)
            status = gx_json_parse(&source->doc, gx_checkpoint_path(checkpoint), (const char *)text.data, text.nbytes, error);
        gx_buffer_deinit(&text);
        return status;
    }
    gx_arena *arena = gx_arena_new();
    char *path = arena ? gx_path_join(arena, gx_checkpoint_folder(checkpoint), "config.json") : NULL;
    gx_status status = path ? gx_json_read(&source->doc, path, CONFIG_LIMIT, error) : gx_fail_memory(error);
    gx_arena_free(arena);
    return status;
}

/* Takes over source->doc. */
static gx_status begin(gx_config_source *out, gx_config_source source, gx_error *error)
{
    source.root = yyjson_doc_get_root(source.doc);
    gx_status status = GX_OK;
    if (!yyjson_is_obj(source.root)) {
        status = gx_fail(error, GX_ERROR_FORMAT, "%s: the top level is not an object", source.name);
    } else if (yyjson_obj_get(source.root, "quantization_config")) {
        status = gx_fail(error, GX_ERROR_UNSUPPORTED, "%s: quantization_config is present; convert the unquantised checkpoint instead",
                         source.name);
    } else {
        yyjson_val *text = yyjson_obj_get(source.root, "text_config");
        source.text = yyjson_is_obj(text) ? text : source.root;
        status = find_family(&source, error);
    }
    if (status == GX_OK)
        *out = source;
    else
        yyjson_doc_free(source.doc);
    return status;
}

gx_status gx_config_open(gx_config_source *out, const gx_checkpoint *checkpoint, gx_error *error)
{
    gx_config_source source = {0};
    source.name = gx_checkpoint_get_format(checkpoint) == GX_CHECKPOINT_GGUF ? gx_path_name(gx_checkpoint_path(checkpoint)) : "config.json";
    GX_TRY(config_parse(&source, checkpoint, error));
    return begin(out, source, error);
}

gx_status gx_config_open_text(gx_config_source *out, const char *name, const char *text, gx_error *error)
{
    gx_config_source source = {.name = name};
    GX_TRY(gx_json_parse(&source.doc, name, text, strlen(text), error));
    return begin(out, source, error);
}

void gx_config_close(gx_config_source *source)
{
    yyjson_doc_free(source->doc);
    *source = (gx_config_source){0};
}
