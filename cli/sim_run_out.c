/* What a run of `kith sim run` has found, three times: a table for a person, JSON for a program, a page to pass on.
 *
 * All three say the same numbers.  A rate is for one node and second, over the time that nodes lived (a node that is down
 * sends nothing and does not count); bytes are what datagrams and streams carry, without the headers of IP, UDP and TCP.
 * What never happened is null in JSON, and said in words elsewhere. */
#include "cli/sim_run.h"

#include <stdlib.h>
#include <string.h>

#include "cli/sim.h"

#define OUT_CDF_POINTS 200
#define OUT_ROWS_MAX   32
#define OUT_TEXT       112

static double out_ms(uint64_t us)
{
    return (double)us / 1e3;
}

static double out_rate(uint64_t count, uint64_t node_us)
{
    return node_us ? (double)count / ((double)node_us / 1e6) : 0;
}

static double out_ratio(double value, double by)
{
    return by > 0 ? value / by : 0;
}

/* ---- for a person ---- */

struct out_rows {
    char name[OUT_ROWS_MAX][OUT_TEXT];
    char value[OUT_ROWS_MAX][OUT_TEXT];
    size_t count;
};

static void out_row(struct out_rows *rows, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void out_row(struct out_rows *rows, const char *name, const char *format, ...)
{
    KI_ASSERT(rows->count < OUT_ROWS_MAX);
    va_list args;
    va_start(args, format);
    snprintf(rows->name[rows->count], OUT_TEXT, "%s", name);
    vsnprintf(rows->value[rows->count++], OUT_TEXT, format, args);
    va_end(args);
}

static void out_row_detect(struct out_rows *rows, const char *name, const struct sim_histogram *h)
{
    if (h->count == 0)
        return;
    out_row(rows, name, "median %.2f s, 99 %% %.2f s, last %.2f s", out_ms(ki_sim_histogram_quantile_us(h, 500000)) / 1e3,
            out_ms(ki_sim_histogram_quantile_us(h, 990000)) / 1e3, out_ms(h->max_us) / 1e3);
}

static void out_rows_views(struct out_rows *rows, const struct sim_result *r)
{
    const struct sim_stats *st = r->stats;
    if (st->agreed_us == KITH_NEVER)
        out_row(rows, "full views", "not reached: %u of %u at the end", st->full, st->up);
    else
        out_row(rows, "full views after", "%.3f s (the last node started at %.3f s)", out_ms(st->agreed_us) / 1e3,
                out_ms(r->last_start_us) / 1e3);
    if (st->agreed_us != KITH_NEVER && st->agreed)
        out_row(rows, "slowest convergence", "%.3f s after the last start or fault", out_ms(st->slowest_us) / 1e3);
    else if (st->agreed_us != KITH_NEVER)
        out_row(rows, "slowest convergence", "not again by the end: %u of %u views full", st->full, st->up);
}

static void out_rows_failures(struct out_rows *rows, const struct sim_result *r)
{
    const struct sim_stats *st = r->stats;
    char figure[40];
    if (st->kill_count > 0) {
        out_row(rows, "failures", "%zu, of which %llu were seen", st->kill_count,
                (unsigned long long)st->first_detect.count);
        out_row_detect(rows, "first detection", &st->first_detect);
        out_row_detect(rows, "detection by all", &st->detect);
        out_row(rows, "not detected by the end", "%s%s", ki_sim_figure((double)r->undetected, figure),
                r->undetected ? ", counted in every view" : "");
    }
    out_row(rows, "false positives", "%s", ki_sim_figure((double)st->false_positives, figure));
}

static void out_rows_traffic(struct out_rows *rows, const struct sim_result *r)
{
    const struct kith_sim_totals *t = &r->totals;
    char a[40], b[40];
    out_row(rows, "datagrams per node and second", "%s of %s bytes", ki_sim_figure(out_rate(t->datagrams, r->node_us), a),
            ki_sim_figure(out_ratio((double)t->datagram_bytes, (double)t->datagrams), b));
    out_row(rows, "streams per node and second", "%s of %s bytes", ki_sim_figure(out_rate(t->streams, r->node_us), a),
            ki_sim_figure(out_ratio((double)t->stream_bytes, (double)t->streams), b));
    out_row(rows, "bytes per node and second", "%s in datagrams, %s in streams",
            ki_sim_figure(out_rate(t->datagram_bytes, r->node_us), a),
            ki_sim_figure(out_rate(t->stream_bytes, r->node_us), b));
}

static void out_rows_cost(struct out_rows *rows, const struct ki_sim_run_about *about, const struct sim_result *r)
{
    char a[40], b[40];
    double virtual_s = (double)r->virtual_us / 1e6;
    out_row(rows, "memory of a node", "%s KiB; %s bytes a member, %s MiB in all",
            ki_sim_figure(out_ratio((double)r->memory_bytes / 1024, r->stats->up), a),
            ki_sim_figure(out_ratio((double)r->memory_bytes, (double)r->entries), b),
            ki_sim_figure((double)about->peak_rss_bytes / 1048576, (char[40]){0}));
    out_row(rows, "speed", "%s times real time: %.2f s and %.2f s of setup; %s happenings a second",
            ki_sim_figure(out_ratio(virtual_s, about->wall_s), a), about->wall_s, about->setup_s,
            ki_sim_figure(out_ratio((double)r->totals.events, about->wall_s), b));
    out_row(rows, "digest", "%016llx", (unsigned long long)r->digest);
}

static void out_rows_all(struct out_rows *rows, const struct ki_sim_run_about *about, const struct sim_result *r)
{
    rows->count = 0;
    out_rows_views(rows, r);
    out_rows_failures(rows, r);
    out_rows_traffic(rows, r);
    out_rows_cost(rows, about, r);
}

static void out_title(const struct ki_sim_run_about *about, const struct sim_result *r, char *buf, size_t size)
{
    const struct sim_scenario *scenario = about->scenario;
    char seconds[40];
    snprintf(buf, size, "%u node%s, %s, %s start, seed %llu, %s s%s", scenario->nodes, scenario->nodes == 1 ? "" : "s",
             about->profile, scenario->warm ? "warm" : "cold", (unsigned long long)scenario->seed,
             ki_sim_figure((double)r->virtual_us / 1e6, seconds), about->interrupted ? " (cut short)" : "");
}

void ki_sim_run_table(const struct ki_sim_run_about *about, const struct sim_result *result)
{
    struct out_rows rows;
    char title[256];
    const char *line;
    for (size_t i = 0; (line = kith_sim_trace(about->world, i)) != NULL; i++)
        printf("%s\n", line);
    out_title(about, result, title, sizeof title);
    out_rows_all(&rows, about, result);
    printf("%s\n\n", title);
    for (size_t i = 0; i < rows.count; i++)
        printf("  %-30s  %s\n", rows.name[i], rows.value[i]);
}

/* ---- for a program ---- */

static json_t *out_json_ms(bool is, uint64_t us)
{
    return is ? json_real(out_ms(us)) : json_null();
}

static json_t *out_json_quantiles(const struct sim_histogram *h)
{
    bool any = h->count > 0;
    return json_pack("{s:o, s:o, s:o}", "p50", out_json_ms(any, any ? ki_sim_histogram_quantile_us(h, 500000) : 0), "p99",
                     out_json_ms(any, any ? ki_sim_histogram_quantile_us(h, 990000) : 0), "max",
                     out_json_ms(any, h->max_us));
}

static json_t *out_json_views(const struct sim_result *r)
{
    json_t *views = json_array();
    for (size_t i = 0; i < r->sample_count; i++) {
        const struct sim_sample *s = &r->samples[i];
        json_array_append_new(
            views, json_pack("{s:f, s:I, s:I, s:f, s:f, s:f, s:f}", "at_s", (double)s->at_us / 1e6, "nodes",
                             (json_int_t)s->up, "full", (json_int_t)s->full, "right",
                             out_ratio((double)s->right, (double)s->up * s->up), "wrong",
                             out_ratio((double)s->wrong, (double)s->up * s->up), "datagrams_per_node_s",
                             out_rate(s->datagrams, s->node_us), "bytes_per_node_s",
                             out_rate(s->datagram_bytes + s->stream_bytes, s->node_us)));
    }
    return views;
}

static json_t *out_json_trace(kith_sim *world)
{
    json_t *lines = json_array();
    const char *line;
    for (size_t i = 0; (line = kith_sim_trace(world, i)) != NULL; i++)
        json_array_append_new(lines, ki_json_bytes(ki_span(line, strlen(line))));
    return lines;
}

static json_t *out_json_scenario(const struct ki_sim_run_about *about, const struct sim_result *r)
{
    const struct sim_scenario *scenario = about->scenario;
    json_t *command = ki_json_bytes(ki_span(about->command, strlen(about->command))); /* with a path of any bytes */
    json_t *root = json_pack("{s:o, s:I, s:s, s:b, s:f, s:b}", "command", command, "nodes", (json_int_t)scenario->nodes,
                             "profile", about->profile, "warm", scenario->warm, "virtual_s", (double)r->virtual_us / 1e6,
                             "interrupted", about->interrupted);
    json_object_set_new(root, "seed", ki_json_u64(scenario->seed));
    return root;
}

static void out_json_numbers(json_t *root, const struct ki_sim_run_about *about, const struct sim_result *r)
{
    const struct kith_sim_totals *t = &r->totals;
    const struct sim_stats *st = r->stats;
    const struct {
        const char *name;
        double value;
    } reals[] = {
        {"setup_s", about->setup_s},
        {"wall_s", about->wall_s},
        {"speed", out_ratio((double)r->virtual_us / 1e6, about->wall_s)},
        {"events_per_s", out_ratio((double)t->events, about->wall_s)},
        {"bytes_per_entry", out_ratio((double)r->memory_bytes, (double)r->entries)},
        {"memory_bytes_per_node", out_ratio((double)r->memory_bytes, st->up)},
        {"datagrams_per_node_s", out_rate(t->datagrams, r->node_us)},
        {"streams_per_node_s", out_rate(t->streams, r->node_us)},
        {"bytes_per_node_s", out_rate(t->datagram_bytes + t->stream_bytes, r->node_us)},
        {"datagram_bytes_per_node_s", out_rate(t->datagram_bytes, r->node_us)},
        {"stream_bytes_per_node_s", out_rate(t->stream_bytes, r->node_us)},
        {"last_start_ms", out_ms(r->last_start_us)},
    };
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {
        {"peak_rss_bytes", about->peak_rss_bytes}, {"false_positives", st->false_positives},
        {"failed_events", st->failed_events},      {"kills", st->kill_count},
        {"undetected", r->undetected},             {"nodes_at_end", st->up},
        {"full_at_end", st->full},                 {"events", t->events},
        {"datagrams", t->datagrams},               {"datagrams_lost", t->lost},
        {"datagrams_cut", t->cut},                 {"streams", t->streams},
    };
    for (size_t i = 0; i < KI_COUNT(reals); i++)
        json_object_set_new(root, reals[i].name, json_real(reals[i].value));
    for (size_t i = 0; i < KI_COUNT(counts); i++)
        json_object_set_new(root, counts[i].name, json_integer((json_int_t)counts[i].value));
}

int ki_sim_run_json(const struct ki_sim_run_about *about, const struct sim_result *result)
{
    const struct sim_stats *st = result->stats;
    char digest[17];
    json_t *root = out_json_scenario(about, result);
    snprintf(digest, sizeof digest, "%016llx", (unsigned long long)result->digest);
    json_object_set_new(root, "digest", json_string(digest));
    out_json_numbers(root, about, result);
    json_object_set_new(root, "converged_ms", out_json_ms(st->agreed_us != KITH_NEVER, st->agreed_us));
    json_object_set_new(root, "slowest_convergence_ms",
                        out_json_ms(st->agreed_us != KITH_NEVER && st->agreed, st->slowest_us));
    json_object_set_new(root, "detect_ms", out_json_quantiles(&st->detect));
    json_object_set_new(root, "first_detect_ms", out_json_quantiles(&st->first_detect));
    json_object_set_new(root, "violation", result->violation ? json_string(result->violation) : json_null());
    json_object_set_new(root, "views", out_json_views(result));
    if (about->scenario->trace_lines)
        json_object_set_new(root, "trace", out_json_trace(about->world));
    return ki_json_print(root, KI_SIM_JSON_REALS);
}

/* ---- to pass on ---- */

struct out_curves { /* one value for each sample */
    double *at, *full, *right, *datagrams, *datagram_bytes, *stream_bytes;
};

static double out_column(const struct sim_sample *s, unsigned column)
{
    switch (column) {
    case 0:
        return (double)s->at_us / 1e6;
    case 1:
        return out_ratio(100.0 * s->full, s->up);
    case 2:
        return out_ratio(100.0 * (double)s->right, (double)s->up * s->up);
    case 3:
        return out_rate(s->datagrams, s->node_us);
    case 4:
        return out_rate(s->datagram_bytes, s->node_us);
    case 5:
        return out_rate(s->stream_bytes, s->node_us);
    }
    KI_UNREACHABLE();
}

static void out_plot(struct sim_report *page, const char *title, const char *x_label, const char *y_label,
                     const struct sim_series *series, size_t count)
{
    ki_sim_report_plot(page, &(struct sim_plot){.title = title, .x_label = x_label, .y_label = y_label, .series = series,
                                                .series_count = count});
}

static void out_plots_time(struct sim_report *page, const struct sim_result *r)
{
    size_t n = r->sample_count;
    double *columns[6];
    for (unsigned c = 0; c < KI_COUNT(columns); c++) {
        columns[c] = ki_sim_new((n + 1) * sizeof(double));
        for (size_t i = 0; i < n; i++)
            columns[c][i] = out_column(&r->samples[i], c);
    }
    const double *at = columns[0];
    const struct sim_series views[] = {{.name = "nodes whose view is full", .x = at, .y = columns[1], .count = n},
                                       {.name = "entries that are right", .x = at, .y = columns[2], .count = n}};
    const struct sim_series bytes[] = {{.name = "in datagrams", .x = at, .y = columns[4], .count = n},
                                       {.name = "in streams", .x = at, .y = columns[5], .count = n}};
    const struct sim_series datagrams[] = {{.x = at, .y = columns[3], .count = n}};
    out_plot(page, "Views over time", "time (s)", "share (%)", views, KI_COUNT(views));
    out_plot(page, "Traffic over time: bytes", "time (s)", "bytes per node and second", bytes, KI_COUNT(bytes));
    out_plot(page, "Traffic over time: datagrams", "time (s)", "datagrams per node and second", datagrams,
             KI_COUNT(datagrams));
    for (unsigned c = 0; c < KI_COUNT(columns); c++)
        free(columns[c]);
}

static void out_cdf(const struct sim_histogram *h, double *seconds, double *share)
{
    for (uint32_t i = 0; i <= OUT_CDF_POINTS; i++) {
        share[i] = 100.0 * i / OUT_CDF_POINTS;
        seconds[i] = out_ms(ki_sim_histogram_quantile_us(h, i * (1000000 / OUT_CDF_POINTS))) / 1e3;
    }
}

static void out_plot_detection(struct sim_report *page, const struct sim_stats *st)
{
    double x[2][OUT_CDF_POINTS + 1], y[2][OUT_CDF_POINTS + 1];
    if (st->detect.count == 0)
        return;
    out_cdf(&st->first_detect, x[0], y[0]);
    out_cdf(&st->detect, x[1], y[1]);
    const struct sim_series series[] = {{.name = "by the first", .x = x[0], .y = y[0], .count = OUT_CDF_POINTS + 1},
                                        {.name = "by each", .x = x[1], .y = y[1], .count = OUT_CDF_POINTS + 1}};
    out_plot(page, "Detection of failures", "time since the failure (s)", "detections so far (%)", series,
             KI_COUNT(series));
}

static void out_page(struct sim_report *page, const struct ki_sim_run_about *about, const struct sim_result *r)
{
    struct out_rows rows;
    const char *cells[2 * OUT_ROWS_MAX];
    const char *const columns[] = {"what", "measured"};
    out_rows_all(&rows, about, r);
    for (size_t i = 0; i < rows.count; i++) {
        cells[2 * i] = rows.name[i];
        cells[2 * i + 1] = rows.value[i];
    }
    if (r->violation)
        ki_sim_report_text(page, r->violation);
    ki_sim_report_table(page, "Measured", columns, KI_COUNT(columns), cells, rows.count);
    out_plots_time(page, r);
    out_plot_detection(page, r->stats);
    ki_sim_report_text(page, "Rates are for one node and second of its life. Bytes are what datagrams and streams carry, "
                             "without the headers of IP, UDP and TCP. A view is full when it holds alive exactly the nodes "
                             "whose process has not ended. A false positive is a verdict on a node that runs, is not paused "
                             "or slow, and can be reached by the judge and back at that time.");
}

int ki_sim_run_report(const struct ki_sim_run_about *about, const struct sim_result *result, const char *path)
{
    char title[256];
    out_title(about, result, title, sizeof title);
    struct sim_report *page = ki_sim_report_new(title, about->command);
    out_page(page, about, result);
    return ki_sim_report_write(page, "sim run", path);
}
