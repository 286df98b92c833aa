/* HTML and SVG by hand: a page that opens from disk, years later. */
#include <math.h>

#include "report/page.h"

static const char style[] =
    ":root{color-scheme:light dark;--line:#8886;--bar:#4a7bd0}"
    "body{font:15px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem}"
    "h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}"
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "th,td{padding:.3rem .7rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}th:first-child,td:first-child{text-align:left}"
    ".ok{color:#2a8a3c}.failed{color:#c62828;font-weight:600}svg{max-width:100%;height:auto}"
    "svg text{font:12px system-ui,sans-serif;fill:currentColor}"
    ".bar{display:inline-block;height:.7rem;background:var(--bar)}.track{display:inline-block;width:14rem;border:1px solid var(--line)}"
    "code{font-size:.95em}";

static const char *const colours[] = {"#4a7bd0", "#d0743c", "#3c9d5f", "#a350b8", "#b8a02c", "#777"};
#define COLOURS (sizeof colours / sizeof *colours)

void gx_page_text(gx_buffer *out, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '<': gx_buffer_append_text(out, "&lt;"); break;
        case '>': gx_buffer_append_text(out, "&gt;"); break;
        case '&': gx_buffer_append_text(out, "&amp;"); break;
        case '"': gx_buffer_append_text(out, "&quot;"); break;
        default: gx_buffer_append_byte(out, (uint8_t)*text);
        }
    }
}

void gx_page_begin(gx_buffer *out, const char *title)
{
    gx_buffer_append_text(out, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                               "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>");
    gx_page_text(out, title);
    gx_buffer_printf(out, "</title><style>%s</style></head><body>\n<h1>", style);
    gx_page_text(out, title);
    gx_buffer_append_text(out, "</h1>\n");
}

void gx_page_end(gx_buffer *out)
{
    gx_buffer_append_text(out, "</body></html>\n");
}

void gx_page_bar(gx_buffer *out, const char *name, double value, double limit)
{
    const double part = limit > 0 && value > 0 ? fmin(1, value / limit) : 0;
    gx_buffer_append_text(out, "<tr><td>");
    gx_page_text(out, name);
    gx_buffer_printf(out,
                     "</td><td>%.5g</td><td style=\"text-align:left\"><span class=\"track\"><span class=\"bar\" style=\"width:%.1f%%\"></span></span> "
                     "%.1f %%</td></tr>\n",
                     value, 100 * part, 100 * part);
}

/* ---- the plot ---- */

enum { WIDTH = 860, HEIGHT = 320, LEFT = 70, RIGHT = 20, TOP = 16, BOTTOM = 44 };

typedef struct scale {
    double low, high; /* powers of ten */
    size_t count;     /* of positions */
} scale;

static double x_of(const scale *s, size_t i)
{
    return LEFT + (double)(WIDTH - LEFT - RIGHT) * (double)i / (double)(s->count > 1 ? s->count - 1 : 1);
}

static double y_of(const scale *s, double value)
{
    const double exponent = value > 0 ? log10(value) : s->low;
    const double clipped = fmin(s->high, fmax(s->low, exponent));
    return HEIGHT - BOTTOM - (double)(HEIGHT - TOP - BOTTOM) * (clipped - s->low) / (s->high - s->low);
}

static scale fit_scale(const gx_page_series *series, size_t series_count)
{
    double smallest = INFINITY, largest = 0;
    scale s = {.count = 0};
    for (size_t k = 0; k < series_count; k++) {
        s.count = series[k].count > s.count ? series[k].count : s.count;
        for (size_t i = 0; i < series[k].count; i++) {
            const double value = series[k].values[i];
            if (!(value > 0) || !isfinite(value))
                continue;
            smallest = fmin(smallest, value);
            largest = fmax(largest, value);
        }
    }
    s.high = largest > 0 ? ceil(log10(largest)) : 0;
    s.low = isfinite(smallest) ? fmax(floor(log10(smallest)), s.high - 10) : -1;
    if (s.low >= s.high)
        s.low = s.high - 1;
    return s;
}

static void draw_axes(gx_buffer *out, const scale *s, const char *x_label, const char *y_label)
{
    for (double e = s->low; e <= s->high; e += 1) {
        const double y = y_of(s, pow(10, e));
        gx_buffer_printf(out, "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#8884\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">1e%g</text>",
                         LEFT, WIDTH - RIGHT, y, y, LEFT - 8, y + 4, e);
    }
    for (int k = 0; k <= 4; k++) {
        const size_t i = (s->count > 1 ? s->count - 1 : 1) * (size_t)k / 4;
        gx_buffer_printf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%zu</text>", x_of(s, i), HEIGHT - BOTTOM + 18, i);
    }
    gx_buffer_printf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s</text><text x=\"14\" y=\"%d\" transform=\"rotate(-90 14 %d)\" text-anchor=\"middle\">%s</text>",
                     (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, x_label, HEIGHT / 2, HEIGHT / 2, y_label);
}

static void draw_series(gx_buffer *out, const scale *s, const gx_page_series *series, size_t index)
{
    gx_buffer_printf(out, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.3\" points=\"", colours[index % COLOURS]);
    for (size_t i = 0; i < series->count; i++)
        gx_buffer_printf(out, "%.1f,%.1f ", x_of(s, i), y_of(s, series->values[i]));
    gx_buffer_append_text(out, "\"/>");
}

void gx_page_log_plot(gx_buffer *out, const char *title, const char *x_label, const char *y_label, const gx_page_series *series, size_t series_count)
{
    const scale s = fit_scale(series, series_count);
    gx_buffer_append_text(out, "<h2>");
    gx_page_text(out, title);
    gx_buffer_printf(out, "</h2>\n<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">", WIDTH, HEIGHT, title);
    draw_axes(out, &s, x_label, y_label);
    for (size_t k = 0; k < series_count; k++)
        draw_series(out, &s, &series[k], k);
    gx_buffer_append_text(out, "</svg>\n<p>");
    for (size_t k = 0; k < series_count; k++) {
        gx_buffer_printf(out, "<span style=\"color:%s\">■</span> ", colours[k % COLOURS]);
        gx_page_text(out, series[k].name);
        gx_buffer_append_text(out, series[k].count ? "&emsp;" : " (exact)&emsp;");
    }
    gx_buffer_append_text(out, "</p>\n");
}
