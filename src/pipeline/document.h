/* A JSON document under construction that is handed to a gx_text_callback, as JSON or, by the caller, as text. */
#ifndef GX_PIPELINE_DOCUMENT_H
#define GX_PIPELINE_DOCUMENT_H

#include "base/json.h"

/* An empty object as root; NULL when memory is out. */
yyjson_mut_doc *gx_document_new(void);

/* Sends text; a NULL callback swallows it. */
gx_status gx_text_send(gx_text_callback callback, void *context, const char *text, size_t nbytes, gx_error *error) GX_MUST_USE;

/* Sends what a text was built to and frees it. */
gx_status gx_text_finish(gx_buffer *text, gx_text_callback callback, void *context, gx_error *error) GX_MUST_USE;

/* Serialises and sends. */
gx_status gx_document_send(yyjson_mut_doc *doc, gx_text_callback callback, void *context, gx_error *error) GX_MUST_USE;

/* Writes the document to `path` (NULL: nowhere), and sends it when `format` is JSON. */
gx_status gx_document_keep(yyjson_mut_doc *doc, const char *path, gx_format format, gx_text_callback callback, void *context,
                           gx_error *error) GX_MUST_USE;

/* Writes a finished page to `path`, and frees it. */
gx_status gx_page_keep(gx_buffer *page, const char *path, gx_error *error) GX_MUST_USE;

#endif
