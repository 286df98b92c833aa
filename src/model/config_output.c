/* config.json as it should stand beside the ONNX files. */
#include "model/config.h"

/* What both a package and its text decoder say. */
static const char *const shared[] = {"bos_token_id", "eos_token_id", "pad_token_id", "tie_word_embeddings", "torch_dtype", "dtype"};

/* The text decoder of a multimodal package becomes a text model of its own. */
static gx_status promote_text_config(yyjson_mut_doc *doc, const gx_config_source *source, gx_error *error)
{
    yyjson_mut_val *root = yyjson_val_mut_copy(doc, source->text);
    yyjson_mut_val *architectures = yyjson_mut_arr(doc);
    if (!root || !yyjson_mut_arr_add_str(doc, architectures, source->family->text_architecture))
        return gx_fail_memory(error);
    yyjson_mut_obj_remove_key(root, "model_type");
    yyjson_mut_obj_remove_key(root, "architectures");
    yyjson_mut_obj_add_str(doc, root, "model_type", source->family->text_model_type);
    yyjson_mut_obj_add_val(doc, root, "architectures", architectures);
    for (size_t i = 0; i < sizeof shared / sizeof *shared; i++) {
        yyjson_val *value = yyjson_obj_get(source->root, shared[i]);
        if (value && !yyjson_mut_obj_get(root, shared[i]))
            yyjson_mut_obj_add_val(doc, root, shared[i], yyjson_val_mut_copy(doc, value));
    }
    yyjson_mut_doc_set_root(doc, root);
    return GX_OK;
}

gx_status gx_config_for_output(yyjson_mut_doc **out, bool *is_source, const gx_config_source *source, gx_error *error)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    if (!doc)
        return gx_fail_memory(error);
    gx_status status = GX_OK;
    if (source->text == source->root)
        yyjson_mut_doc_set_root(doc, yyjson_val_mut_copy(doc, source->root));
    else
        status = promote_text_config(doc, source, error);
    if (status == GX_OK && !yyjson_mut_doc_get_root(doc))
        status = gx_fail_memory(error);
    if (status != GX_OK) {
        yyjson_mut_doc_free(doc);
        return status;
    }
    *out = doc;
    *is_source = source->text == source->root;
    return GX_OK;
}

gx_status gx_config_put_apart(yyjson_mut_doc *config, const gx_family *family, gx_error *error)
{
    if (!family->apart.model_type)
        return GX_OK;
    yyjson_mut_val *text = yyjson_mut_doc_get_root(config), *root = yyjson_mut_obj(config), *architectures = yyjson_mut_arr(config);
    if (!root || !yyjson_mut_arr_add_str(config, architectures, family->apart.architecture))
        return gx_fail_memory(error);
    yyjson_mut_val *settings = yyjson_mut_obj_remove_key(text, "transformers.js_config");
    yyjson_mut_obj_add_val(config, root, "architectures", architectures);
    yyjson_mut_obj_add_str(config, root, "model_type", family->apart.model_type);
    for (size_t i = 0; i < sizeof shared / sizeof *shared; i++) {
        yyjson_mut_val *value = yyjson_mut_obj_get(text, shared[i]);
        if (value)
            yyjson_mut_obj_add_val(config, root, shared[i], yyjson_mut_val_mut_copy(config, value));
    }
    yyjson_mut_obj_add_val(config, root, "text_config", text);
    if (settings)
        yyjson_mut_obj_add_val(config, root, "transformers.js_config", settings);
    yyjson_mut_doc_set_root(config, root);
    return GX_OK;
}
