/* A plot as inline SVG.
 *
 * The picture has fixed inner units (PLOT_WIDTH by PLOT_HEIGHT) and grows and shrinks with the page; all colours and sizes
 * of text are the page's style sheet's (report.c), by class: s0 .. s5 are the series' colours, a seventh series
 * takes the first colour again, dotted.
 *
 * Long curves are thinned to what a screen can show: within one unit of x, only the first, the lowest, the highest and
 * the last point are drawn.  Points carry a <title>, which browsers show under the pointer; up to PLOT_DOTS of a series
 * do, evenly chosen.  They are visible when there are few, or when a point stands alone between gaps.
 *
 * What it does not do: clip (the axes cover all data), or react (there is no script). */
#include "sim/report_html.h"

#include <math.h>

#include "sim/report.h"
#include "sim/report_axis.h"

#define PLOT_WIDTH   640
#define PLOT_HEIGHT  360
#define PLOT_LEFT    82
#define PLOT_RIGHT   18
#define PLOT_TOP     14
#define PLOT_BOTTOM  54
#define PLOT_COLOURS 6
#define PLOT_DOTS    80
#define PLOT_FEW     40

struct plot_frame {
    const struct sim_plot *plot;
    struct sim_axis x, y;
};

struct plot_range {
    double x_min, x_max, y_min, y_max; /* x_min > x_max: nothing yet */
};

static double plot_x(const struct plot_frame *f, double x)
{
    return PLOT_LEFT + ki_sim_axis_at(&f->x, x) * (PLOT_WIDTH - PLOT_LEFT - PLOT_RIGHT);
}

static double plot_y(const struct plot_frame *f, double y)
{
    return PLOT_HEIGHT - PLOT_BOTTOM - ki_sim_axis_at(&f->y, y) * (PLOT_HEIGHT - PLOT_TOP - PLOT_BOTTOM);
}

static bool plot_shows(const struct sim_plot *p, double x, double y)
{
    return ki_sim_axis_shows(p->x_log, x) && ki_sim_axis_shows(p->y_log, y);
}

static void plot_stretch(struct plot_range *r, const struct sim_plot *p, double x, double y)
{
    if (!plot_shows(p, x, y))
        return;
    bool first = r->x_min > r->x_max;
    r->x_min = first || x < r->x_min ? x : r->x_min;
    r->x_max = first || x > r->x_max ? x : r->x_max;
    r->y_min = first || y < r->y_min ? y : r->y_min;
    r->y_max = first || y > r->y_max ? y : r->y_max;
}

/* Returns false when there is nothing to show. */
static bool plot_fit(struct plot_frame *f)
{
    const struct sim_plot *p = f->plot;
    struct plot_range r = {.x_min = 1, .x_max = 0};
    for (size_t i = 0; i < p->series_count; i++) {
        for (size_t k = 0; k < p->series[i].count; k++)
            plot_stretch(&r, p, p->series[i].x[k], p->series[i].y[k]);
    }
    for (size_t k = 0; p->band && k < p->band->count; k++) {
        plot_stretch(&r, p, p->band->x[k], p->band->low[k]);
        plot_stretch(&r, p, p->band->x[k], p->band->high[k]);
    }
    if (r.x_min > r.x_max)
        return false;
    ki_sim_axis_fit(&f->x, p->x_log, true, r.x_min, r.x_max);
    ki_sim_axis_fit(&f->y, p->y_log, false, r.y_min, r.y_max);
    return true;
}

static void plot_axes(struct sim_html *h, const struct plot_frame *f)
{
    char label[SIM_LABEL_MAX];
    double bottom = PLOT_HEIGHT - PLOT_BOTTOM;
    ki_sim_html_put(h, "<g class=\"grid\">");
    for (size_t i = 0; i < f->x.tick_count; i++)
        ki_sim_html_put(h, "<path d=\"M%.1f %dV%.1f\"/>", plot_x(f, f->x.ticks[i]), PLOT_TOP, bottom);
    for (size_t i = 0; i < f->y.tick_count; i++)
        ki_sim_html_put(h, "<path d=\"M%d %.1fH%d\"/>", PLOT_LEFT, plot_y(f, f->y.ticks[i]), PLOT_WIDTH - PLOT_RIGHT);
    ki_sim_html_put(h, "</g>\n<g class=\"x\">");
    for (size_t i = 0; i < f->x.tick_count; i++)
        ki_sim_html_put(h, "<text x=\"%.1f\" y=\"%.1f\">%s</text>", plot_x(f, f->x.ticks[i]), bottom + 18,
                        ki_sim_axis_label(&f->x, f->x.ticks[i], label));
    ki_sim_html_put(h, "</g>\n<g class=\"y\">");
    for (size_t i = 0; i < f->y.tick_count; i++)
        ki_sim_html_put(h, "<text x=\"%d\" y=\"%.1f\">%s</text>", PLOT_LEFT - 8, plot_y(f, f->y.ticks[i]) + 4,
                        ki_sim_axis_label(&f->y, f->y.ticks[i], label));
    ki_sim_html_put(h, "</g>\n<path class=\"frame\" d=\"M%d %dV%.1fH%d\"/>\n", PLOT_LEFT, PLOT_TOP, bottom,
                    PLOT_WIDTH - PLOT_RIGHT);
    ki_sim_html_put(h, "<text class=\"x\" x=\"%d\" y=\"%d\">", (PLOT_LEFT + PLOT_WIDTH - PLOT_RIGHT) / 2, PLOT_HEIGHT - 10);
    ki_sim_html_text(h, f->plot->x_label);
    ki_sim_html_put(h, "</text><text class=\"x\" transform=\"translate(16 %d) rotate(-90)\">",
                    (PLOT_TOP + PLOT_HEIGHT - PLOT_BOTTOM) / 2);
    ki_sim_html_text(h, f->plot->y_label);
    ki_sim_html_put(h, "</text>\n");
}

/* ---- curves ---- */

struct plot_pen {
    struct sim_html *h;
    bool step, down;
    double x, last; /* the unit of x it is in, and the last y there */
    double low, high;
    unsigned skipped; /* points of it not yet drawn */
};

static void plot_line_to(struct plot_pen *pen, double x, double y)
{
    if (!pen->down)
        ki_sim_html_put(pen->h, "M%.1f %.1f", x, y);
    else if (pen->step)
        ki_sim_html_put(pen->h, "H%.1fV%.1f", x, y);
    else
        ki_sim_html_put(pen->h, "L%.1f %.1f", x, y);
    pen->down = true;
}

static void plot_catch_up(struct plot_pen *pen)
{
    if (pen->skipped > 1)
        ki_sim_html_put(pen->h, "V%.1fV%.1f", pen->low, pen->high);
    if (pen->skipped > 0)
        ki_sim_html_put(pen->h, "V%.1f", pen->last);
    pen->skipped = 0;
}

static void plot_point(struct plot_pen *pen, double x, double y)
{
    if (!pen->down || fabs(x - pen->x) >= 1) {
        plot_catch_up(pen);
        plot_line_to(pen, x, y);
        pen->x = x;
        return;
    }
    pen->low = pen->skipped == 0 || y < pen->low ? y : pen->low;
    pen->high = pen->skipped == 0 || y > pen->high ? y : pen->high;
    pen->last = y;
    pen->skipped++;
}

static void plot_curve(struct sim_html *h, const struct plot_frame *f, size_t index)
{
    const struct sim_series *s = &f->plot->series[index];
    struct plot_pen pen = {.h = h, .step = f->plot->step};
    ki_sim_html_put(h, "<path class=\"line s%zu%s%s\" d=\"", index % PLOT_COLOURS, s->dashed ? " dashed" : "",
                    index >= PLOT_COLOURS ? " dotted" : "");
    for (size_t i = 0; i < s->count; i++) {
        if (plot_shows(f->plot, s->x[i], s->y[i])) {
            plot_point(&pen, plot_x(f, s->x[i]), plot_y(f, s->y[i]));
        } else {
            plot_catch_up(&pen);
            pen.down = false;
        }
    }
    plot_catch_up(&pen);
    ki_sim_html_put(h, "\"/>\n");
}

static bool plot_is_alone(const struct plot_frame *f, const struct sim_series *s, size_t i)
{
    return (i == 0 || !plot_shows(f->plot, s->x[i - 1], s->y[i - 1])) &&
           (i + 1 == s->count || !plot_shows(f->plot, s->x[i + 1], s->y[i + 1]));
}

static void plot_dots(struct sim_html *h, const struct plot_frame *f, size_t index)
{
    const struct sim_series *s = &f->plot->series[index];
    size_t every = (s->count + PLOT_DOTS - 1) / PLOT_DOTS;
    ki_sim_html_put(h, "<g class=\"dots s%zu\">", index % PLOT_COLOURS);
    for (size_t i = 0; i < s->count; i++) {
        bool alone = plot_is_alone(f, s, i);
        if (!plot_shows(f->plot, s->x[i], s->y[i]) || (!alone && i % every != 0 && i + 1 != s->count))
            continue;
        ki_sim_html_put(h, "<circle%s cx=\"%.1f\" cy=\"%.1f\" r=\"%s\"><title>",
                        alone || s->count <= PLOT_FEW ? "" : " class=\"hidden\"", plot_x(f, s->x[i]), plot_y(f, s->y[i]),
                        alone || s->count <= PLOT_FEW ? "3" : "6");
        ki_sim_html_text(h, s->name);
        ki_sim_html_put(h, "%s%.6g, %.4g</title></circle>", s->name ? ": " : "", s->x[i], s->y[i]);
    }
    ki_sim_html_put(h, "</g>\n");
}

/* What lies below a logarithmic axis reaches down to its end. */
static double plot_band_low(const struct plot_frame *f, double low)
{
    return f->y.log && !(low > f->y.low) ? f->y.low : low;
}

/* One stretch of the band, points first .. end - 1: along the upper curve, and back along the lower one. */
static void plot_band_stretch(struct sim_html *h, const struct plot_frame *f, size_t first, size_t end)
{
    const struct sim_band *b = f->plot->band;
    struct plot_pen pen = {.h = h, .step = f->plot->step};
    for (size_t i = first; i < end; i++)
        plot_point(&pen, plot_x(f, b->x[i]), plot_y(f, b->high[i]));
    plot_catch_up(&pen);
    for (size_t i = end; i-- > first;) {
        double y = plot_y(f, plot_band_low(f, b->low[i]));
        size_t until = f->plot->step && i + 1 < end ? i + 1 : i; /* of a step: this value held until there */
        ki_sim_html_put(h, "L%.1f %.1fH%.1f", plot_x(f, b->x[until]), y, plot_x(f, b->x[i]));
    }
    ki_sim_html_put(h, "Z");
}

static void plot_band(struct sim_html *h, const struct plot_frame *f)
{
    const struct sim_band *b = f->plot->band;
    ki_sim_html_put(h, "<path class=\"band s0\" d=\"");
    size_t first = 0;
    for (size_t i = 0; i <= b->count; i++) {
        if (i < b->count && plot_shows(f->plot, b->x[i], b->high[i]) && !isnan(b->low[i]))
            continue;
        if (i > first)
            plot_band_stretch(h, f, first, i);
        first = i + 1;
    }
    ki_sim_html_put(h, "\"/>\n");
}

static void plot_legend(struct sim_html *h, const struct sim_plot *p)
{
    if (p->series_count < 2 && !p->band)
        return;
    ki_sim_html_put(h, "<div class=\"legend\">");
    for (size_t i = 0; i < p->series_count; i++) {
        if (!p->series[i].name)
            continue;
        ki_sim_html_put(h, "<span><i class=\"s%zu%s%s\"></i>", i % PLOT_COLOURS, p->series[i].dashed ? " dashed" : "",
                        i >= PLOT_COLOURS ? " dotted" : "");
        ki_sim_html_text(h, p->series[i].name);
        ki_sim_html_put(h, "</span>\n");
    }
    if (p->band && p->band->name) {
        ki_sim_html_put(h, "<span><i class=\"area s0\"></i>");
        ki_sim_html_text(h, p->band->name);
        ki_sim_html_put(h, "</span>\n");
    }
    ki_sim_html_put(h, "</div>\n");
}

void ki_sim_html_plot(struct sim_html *h, const struct sim_plot *plot)
{
    struct plot_frame f = {.plot = plot};
    ki_sim_html_put(h, "<figure>\n<figcaption>");
    ki_sim_html_text(h, plot->title);
    ki_sim_html_put(h, "</figcaption>\n");
    plot_legend(h, plot);
    ki_sim_html_put(h, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", PLOT_WIDTH, PLOT_HEIGHT);
    ki_sim_html_text(h, plot->title);
    ki_sim_html_put(h, "\">\n");
    if (plot_fit(&f)) {
        plot_axes(h, &f);
        if (plot->band)
            plot_band(h, &f);
        for (size_t i = 0; i < plot->series_count; i++)
            plot_curve(h, &f, i);
        for (size_t i = 0; i < plot->series_count; i++)
            plot_dots(h, &f, i);
    } else {
        ki_sim_html_put(h, "<text class=\"x\" x=\"%d\" y=\"%d\">no data</text>\n", PLOT_WIDTH / 2, PLOT_HEIGHT / 2);
    }
    ki_sim_html_put(h, "</svg>\n</figure>\n");
}
