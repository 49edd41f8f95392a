/* An axis of a plot: what it spans, where its ticks are, what stands beside them. */
#ifndef KI_SIM_REPORT_AXIS_H
#define KI_SIM_REPORT_AXIS_H

#include <stdbool.h>
#include <stddef.h>

#define SIM_TICKS_MAX 16
#define SIM_LABEL_MAX 32

struct sim_axis {
    bool log;         /* to base 10 */
    double low, high; /* low < high */
    double ticks[SIM_TICKS_MAX];
    size_t tick_count;
    double step; /* between the ticks of a linear axis */
};

/* True when the axis can show it: finite, and above zero if logarithmic. */
bool ki_sim_axis_shows(bool log, double value);
/* Makes an axis for values that it can show, min <= max.  A logarithmic one spans whole decades, a linear one from 0 (if
 * nothing is below) to a round number; `tight` leaves a linear one's ends where the values end. */
void ki_sim_axis_fit(struct sim_axis *axis, bool log, bool tight, double min, double max);
/* 0 at the low end, 1 at the high one. */
double ki_sim_axis_at(const struct sim_axis *axis, double value);
/* The text for a tick, UTF-8.  Returns buf. */
const char *ki_sim_axis_label(const struct sim_axis *axis, double tick, char buf[SIM_LABEL_MAX]);

#endif
