/* Sends documents. */
#include "pipeline/document.h"

yyjson_mut_doc *gx_document_new(void)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = doc ? yyjson_mut_obj(doc) : NULL;
    if (!root) {
        yyjson_mut_doc_free(doc);
        return NULL;
    }
    yyjson_mut_doc_set_root(doc, root);
    return doc;
}

gx_status gx_text_send(gx_text_callback callback, void *context, const char *text, size_t nbytes, gx_error *error)
{
    if (callback && !callback(context, text, nbytes))
        return gx_fail(error, GX_ERROR_IO, "writing the result failed");
    return GX_OK;
}

gx_status gx_text_finish(gx_buffer *text, gx_text_callback callback, void *context, gx_error *error)
{
    gx_status status = gx_buffer_check(text, error);
    if (status == GX_OK)
        status = gx_text_send(callback, context, (const char *)text->data, text->nbytes, error);
    gx_buffer_deinit(text);
    return status;
}

gx_status gx_document_send(yyjson_mut_doc *doc, gx_text_callback callback, void *context, gx_error *error)
{
    char *text = NULL;
    size_t nbytes = 0;
    gx_status status = gx_json_write(&text, &nbytes, doc, error);
    if (status == GX_OK)
        status = gx_text_send(callback, context, text, nbytes, error);
    gx_free(text);
    return status;
}
