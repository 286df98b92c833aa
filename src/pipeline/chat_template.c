/*
 * Transformers writes a chat template to chat_template.jinja and reads it there. Transformers.js reads tokenizer_config.json alone, for the
 * text models that we write.
 */
#include <string.h>

#include "base/json.h"
#include "pipeline/chat_template.h"
#include "tokenizer/utf8.h"

#define LIMIT (UINT64_C(64) << 20)

/* A JSON object that has no template of its own. */
static bool lacks_template(const char *text, size_t nbytes)
{
    yyjson_doc *doc = yyjson_read(text, nbytes, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    const bool lacks = yyjson_is_obj(root) && !yyjson_obj_get(root, "chat_template");
    yyjson_doc_free(doc);
    return lacks;
}

static bool is_empty_object(const char *inside)
{
    return inside[strspn(inside, " \t\r\n")] == '}';
}

/* As its first key: the rest of the text stays as it is. */
static gx_status put_in(gx_buffer *out, const char *config, const char *chat_template, size_t nbytes, gx_error *error)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *value = doc ? yyjson_mut_strn(doc, chat_template, nbytes) : NULL;
    char *quoted = value ? yyjson_mut_val_write(value, 0, NULL) : NULL;
    const char *inside = strchr(config, '{') + 1;
    gx_buffer_append(out, config, (size_t)(inside - config));
    gx_buffer_printf(out, "\n  \"chat_template\": %s%s%s", quoted ? quoted : "", is_empty_object(inside) ? "\n" : ",", inside);
    const gx_status status = quoted ? gx_buffer_check(out, error) : gx_fail_memory(error);
    free(quoted);
    yyjson_mut_doc_free(doc);
    return status;
}

gx_status gx_tokenizer_config_stage(gx_staging *staging, gx_arena *arena, const char *folder, const char *output_dir, gx_error *error)
{
    char *config_path = gx_path_join(arena, folder, "tokenizer_config.json"), *template_path = gx_path_join(arena, folder, "chat_template.jinja");
    char *to = gx_path_join(arena, output_dir, "tokenizer_config.json");
    if (!config_path || !template_path || !to)
        return gx_fail_memory(error);
    if (!gx_path_exists(config_path))
        return GX_OK;
    if (!gx_path_exists(template_path))
        return gx_staging_copy(staging, to, config_path, error);
    char *config = NULL, *chat_template = NULL;
    size_t config_nbytes = 0, template_nbytes = 0;
    GX_TRY(gx_file_read_all(arena, config_path, LIMIT, &config, &config_nbytes, error));
    GX_TRY(gx_file_read_all(arena, template_path, LIMIT, &chat_template, &template_nbytes, error));
    if (!lacks_template(config, config_nbytes))
        return gx_staging_copy(staging, to, config_path, error);
    if (!gx_utf8_is_valid(chat_template, template_nbytes))
        return gx_fail(error, GX_ERROR_FORMAT, "%s is not valid UTF-8", template_path);
    gx_buffer text = {0};
    gx_status status = put_in(&text, config, chat_template, template_nbytes, error);
    if (status == GX_OK)
        status = gx_staging_write(staging, to, text.data, text.nbytes, error);
    gx_buffer_deinit(&text);
    return status;
}
