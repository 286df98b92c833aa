/* Sends documents. */
#include "base/file.h"
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

gx_status gx_document_keep(yyjson_mut_doc *doc, const char *path, gx_format format, gx_text_callback callback, void *context, gx_error *error)
{
    char *text = NULL;
    size_t nbytes = 0;
    gx_status status = gx_json_write(&text, &nbytes, doc, error);
    if (status == GX_OK && path)
        status = gx_file_write_all(path, text, nbytes, error);
    if (status == GX_OK && format == GX_FORMAT_JSON)
        status = gx_text_send(callback, context, text, nbytes, error);
    gx_free(text);
    return status;
}

gx_status gx_page_keep(gx_buffer *page, const char *path, gx_error *error)
{
    gx_status status = gx_buffer_check(page, error);
    if (status == GX_OK)
        status = gx_file_write_all(path, page->data, page->nbytes, error);
    gx_buffer_deinit(page);
    return status;
}
