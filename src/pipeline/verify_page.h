/* verify.html: one page, no scripts, plots as SVG. */
#ifndef GX_PIPELINE_VERIFY_PAGE_H
#define GX_PIPELINE_VERIFY_PAGE_H

#include "pipeline/verify_internal.h"

void gx_verify_page(gx_buffer *out, const gx_verification *v);

/* The error of each weight matrix of all files, and the worst of them; nothing where none differs. */
void gx_verify_weight_plot(gx_buffer *out, const gx_verification *v);

/* The first missed bar of each file. */
void gx_verify_failures(gx_buffer *out, const gx_verification *v);

/* Whether the file's activations are fp16. */
bool gx_verify_is_half(const gx_verify_result *result);

/* The largest magnitude of a value as the fp16 graph holds it. */
double gx_verify_magnitude_in(const gx_verify_result *result, const gx_verify_magnitude *magnitude);

#endif
