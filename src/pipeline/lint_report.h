/* What a target does not take of planned graphs, told before anything is written. */
#ifndef GX_PIPELINE_LINT_REPORT_H
#define GX_PIPELINE_LINT_REPORT_H

#include "pipeline/plan.h"

/* GX_ERROR_ARGUMENT: no such target. */
gx_status gx_lint_check_name(const char *target, gx_error *error) GX_MUST_USE;

/* Sends the findings to the options' text. `strict`: any is GX_ERROR_UNSUPPORTED. */
gx_status gx_lint_plan(const gx_plan *plan, const char *target, bool strict, const gx_build_options *options, gx_error *error) GX_MUST_USE;

#endif
