/* A report: one page of HTML that tells what a run found.  It needs nothing but itself: no network, no script.
 *
 *     struct sim_report *r = ki_sim_report_new("Spread of one rumour", "kith sim spread --nodes 1000");
 *     ki_sim_report_text(r, "Residue is the share of nodes never reached.");
 *     ki_sim_report_figures(r, names, values, 3);
 *     ki_sim_report_plot(r, &(struct sim_plot){.title = "Infected over time", .x_label = "round", .y_label = "nodes",
 *                                           .series = &curve, .series_count = 1});
 *     int result = ki_sim_report_save(r, "out.html");
 *     ki_sim_report_free(r);
 *
 * Parts appear in the order of the calls.  All text is plain (it is escaped here) and, like all data, copied.  A NULL
 * text is an empty one.  Running out of memory is remembered, and told by ki_sim_report_save(). */
#ifndef KI_SIM_REPORT_H
#define KI_SIM_REPORT_H

#include <stdbool.h>
#include <stddef.h>

struct sim_report;

/* A curve.  Points in the order of x.  One that no axis can show (not finite; zero or less on a logarithmic axis) is
 * left out, and the line is interrupted there. */
struct sim_series {
    const char *name; /* for the legend; NULL: not in it */
    const double *x;
    const double *y;
    size_t count;
    bool dashed; /* for theory, limits, the other variant */
};

/* The area between two curves, for percentiles. */
struct sim_band {
    const char *name; /* "5 % to 95 % of runs" */
    const double *x;
    const double *low;
    const double *high;
    size_t count;
};

struct sim_plot {
    const char *title;
    const char *x_label; /* with the unit: "time (s)" */
    const char *y_label;
    bool x_log, y_log; /* to base 10 */
    bool step;         /* a value holds until the next point: counts over time, distribution functions */
    const struct sim_series *series;
    size_t series_count;
    const struct sim_band *band; /* in the colour of the first series; NULL: none */
};

/* Out: owned by the caller; NULL: out of memory (all functions below take NULL and do nothing). */
struct sim_report *ki_sim_report_new(const char *title, const char *command);
void ki_sim_report_free(struct sim_report *r);

void ki_sim_report_text(struct sim_report *r, const char *paragraph);
/* Key figures, large: values[i] as text with its unit, names[i] what it is. */
void ki_sim_report_figures(struct sim_report *r, const char *const names[], const char *const values[], size_t count);
/* Cells row by row: cells[row * column_count + column].  A column of numbers is
 *  aligned to the right. */
void ki_sim_report_table(struct sim_report *r, const char *caption, const char *const columns[], size_t column_count,
                         const char *const cells[], size_t row_count);
void ki_sim_report_plot(struct sim_report *r, const struct sim_plot *plot);

/* Whether a page can be written there: makes the file that ki_sim_report_save() would begin with, and takes it away again.
 * Returns 0 or -errno. */
int ki_sim_report_try(const char *path);

/* Writes the page: whole or not at all (a file beside it, then renamed), but into a path that is no regular file, as
 * /dev/stdout, directly.  May be called again after more parts.  Returns 0 or -errno. */
int ki_sim_report_save(const struct sim_report *r, const char *path);

#endif
