/* An edit of a model in memory: our decoder graphs select the last position before the head; for measuring, every position
 * is wanted, over the same weight file. */
#ifndef GX_ONNX_MODEL_EDIT_H
#define GX_ONNX_MODEL_EDIT_H

#include "base/buffer.h"

/* Appends to `out` the model with logits of every position. A model without our selecting node (one that gives all
 * positions already, or another tool's) is GX_ERROR_UNSUPPORTED. */
gx_status gx_onnx_show_all_logits(gx_buffer *out, const void *bytes, size_t nbytes, gx_error *error) GX_MUST_USE;

#endif
