/* Pieces of an HTML page: no scripts, no outside resources, readable in light and dark. */
#ifndef GX_REPORT_PAGE_H
#define GX_REPORT_PAGE_H

#include "base/buffer.h"

void gx_page_begin(gx_buffer *out, const char *title);
void gx_page_end(gx_buffer *out);
void gx_page_text(gx_buffer *out, const char *text); /* escaped */

typedef struct gx_page_series {
    const char *name;
    const double *values; /* [count]; values ≤ 0 are drawn at the lower edge */
    size_t count;         /* 0: named in the key only, so that a file has one colour in all plots of a page */
} gx_page_series;

/* Lines over position on a logarithmic scale. */
void gx_page_log_plot(gx_buffer *out, const char *title, const char *x_label, const char *y_label, const gx_page_series *series,
                      size_t series_count);

/* Horizontal bars of value / limit. */
void gx_page_bar(gx_buffer *out, const char *name, double value, double limit);

#endif
