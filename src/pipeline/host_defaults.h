/* Which file Transformers.js takes when its user names none: "dtype" and "device_config" of transformers.js_config. */
#ifndef GX_PIPELINE_HOST_DEFAULTS_H
#define GX_PIPELINE_HOST_DEFAULTS_H

#include "base/json.h"
#include "model/model.h"

/* `settings`: transformers.js_config; `files`: its use_external_data_format, which names every file of weights that is there. */
gx_status gx_host_defaults_add(yyjson_mut_doc *doc, yyjson_mut_val *settings, yyjson_mut_val *files, const gx_model *model, gx_error *error) GX_MUST_USE;

#endif
