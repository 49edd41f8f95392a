/* Axes with ticks at round numbers.
 *
 * Linear: steps of 1, 2 or 5 times a power of ten, so that there are three to eight of them.  A tick is a whole
 * multiple of the step, computed as such, so that 0.3 is not 0.30000000000000004 and zero is zero.  Labels of one axis
 * have one number of decimals and one unit prefix.
 *
 * Logarithmic: whole decades; with few of them also twice and five times, with many only every second, third, ...
 *
 * Values are for the eye alone: nothing here feeds a digest. */
#include "sim/report_axis.h"

#include <math.h>
#include <stdio.h>

bool ki_sim_axis_shows(bool log, double value)
{
    return fabs(value) < 1e300 && (!log || value > 1e-300); /* NaN is neither */
}

static void axis_tick(struct sim_axis *axis, double value)
{
    if (axis->tick_count < SIM_TICKS_MAX)
        axis->ticks[axis->tick_count++] = value;
}

/* The step for about five of them in a range. */
static double axis_step(double range)
{
    double power = pow(10, floor(log10(range / 5)));
    double times = range / 5 / power; /* 1 .. 10 */
    return (times < 1.5 ? 1 : times < 3.2 ? 2 : times < 7.1 ? 5 : 10) * power;
}

/* i steps.  The inverse of a fraction that is 1, 2 or 5 times a power of ten is whole. */
static double axis_multiple(double i, double step)
{
    return step < 1 ? i / round(1 / step) : i * step;
}

static void axis_fit_linear(struct sim_axis *axis, bool tight, double min, double max)
{
    double most = fmax(fabs(min), fabs(max));
    if (max - min <= 1e-9 * most || most < 1e-300) { /* one value */
        double room = most < 1e-300 ? 1 : most / 2;
        max += room;
        min -= tight ? room : 0;
    }
    if (!tight && min > 0)
        min = 0;
    axis->step = axis_step(max - min);
    double first = tight ? ceil(min / axis->step - 1e-9) : floor(min / axis->step + 1e-9);
    double last = tight ? floor(max / axis->step + 1e-9) : ceil(max / axis->step - 1e-9);
    for (double i = 0; i < SIM_TICKS_MAX && first + i <= last; i++)
        axis_tick(axis, axis_multiple(first + i, axis->step));
    axis->low = tight ? min : axis_multiple(first, axis->step);
    axis->high = tight ? max : axis_multiple(last, axis->step);
}

static void axis_fit_log(struct sim_axis *axis, double min, double max)
{
    double first = floor(log10(min) + 1e-9);
    double last = ceil(log10(max) - 1e-9);
    if (last <= first)
        last = first + 1;
    double every = ceil((last - first) / 8);
    axis->low = pow(10, first);
    axis->high = pow(10, last);
    for (double decade = first; decade <= last; decade += every) {
        axis_tick(axis, pow(10, decade));
        if (last - first <= 2 && decade < last) {
            axis_tick(axis, 2 * pow(10, decade));
            axis_tick(axis, 5 * pow(10, decade));
        }
    }
}

void ki_sim_axis_fit(struct sim_axis *axis, bool log, bool tight, double min, double max)
{
    *axis = (struct sim_axis){.log = log};
    if (log)
        axis_fit_log(axis, min, max);
    else
        axis_fit_linear(axis, tight, min, max);
}

double ki_sim_axis_at(const struct sim_axis *axis, double value)
{
    if (!axis->log)
        return (value - axis->low) / (axis->high - axis->low);
    return (log10(value) - log10(axis->low)) / (log10(axis->high) - log10(axis->low));
}

static const struct {
    double unit;
    const char *prefix;
} axis_units[] = {{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}, {1, ""}};

/* The largest unit that goes into a value. */
static size_t axis_unit(double value)
{
    size_t i = 0;
    while (axis_units[i].unit > 1 && value < 0.999 * axis_units[i].unit)
        i++;
    return i;
}

/* A power of ten as people write it, in superscript digits; for far-off values. */
static void axis_label_power(double tick, char buf[SIM_LABEL_MAX])
{
    static const char *const digits[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
    int exponent = (int)floor(log10(tick) + 1e-9);
    unsigned size = (unsigned)(exponent < 0 ? -exponent : exponent);
    double times = round(tick / pow(10, exponent));
    char factor[8] = "";
    if (times > 1)
        snprintf(factor, sizeof factor, "%.0f·", times);
    snprintf(buf, SIM_LABEL_MAX, "%s10%s%s%s%s", factor, exponent < 0 ? "⁻" : "",
             size >= 100 ? digits[size / 100 % 10] : "",
             size >= 10 ? digits[size / 10 % 10] : "", digits[size % 10]);
}

const char *ki_sim_axis_label(const struct sim_axis *axis, double tick, char buf[SIM_LABEL_MAX])
{
    double most = fmax(fabs(axis->low), fabs(axis->high));
    if (tick == 0) {
        snprintf(buf, SIM_LABEL_MAX, "0");
    } else if (axis->log && (tick < 0.99e-3 || tick > 1e15)) {
        axis_label_power(tick, buf);
    } else if (axis->log) {
        size_t i = axis_unit(tick);
        snprintf(buf, SIM_LABEL_MAX, "%.3g%s", tick / axis_units[i].unit, axis_units[i].prefix);
    } else if (axis->step < 1e-6 || most > 1e15) {
        snprintf(buf, SIM_LABEL_MAX, "%.3g", tick);
    } else {
        size_t i = most > 10000 ? axis_unit(most) : sizeof axis_units / sizeof *axis_units - 1;
        double step = axis->step / axis_units[i].unit;
        int decimals = step < 0.999 ? (int)ceil(-log10(step) - 1e-9) : 0;
        snprintf(buf, SIM_LABEL_MAX, "%.*f%s", decimals, tick / axis_units[i].unit, axis_units[i].prefix);
    }
    return buf;
}
