/* Prints a plan: what --dry-run shows, as text or JSON. */
#ifndef GX_PIPELINE_PLAN_TEXT_H
#define GX_PIPELINE_PLAN_TEXT_H

#include "pipeline/genai_config.h"

gx_status gx_plan_print(const gx_plan *plan, const gx_genai_choice *genai, const gx_build_options *options, gx_error *error) GX_MUST_USE;

#endif
