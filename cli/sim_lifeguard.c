/* kith sim lifeguard: runs the experiment of sim/lifeguard.c and prints what the paper prints: false positives with each
 * part of Lifeguard in percent of those with plain SWIM, and how long true failures take to be found out.
 *
 * One world after another; between two the bar moves and Ctrl-C is heeded: then what there is so far is printed, with
 * exit code 130.  The kinds take turns, so even that is a comparison. */
#include "cli/sim.h"

#include <stdlib.h>
#include <string.h>

#include "sim/lifeguard.h"

#define LIFEGUARD_NODES 128
#define LIFEGUARD_NODES_QUICK 48
#define LIFEGUARD_COLUMNS 9

struct lifeguard_options {
    uint32_t nodes, runs;
    uint64_t seed;
    const char *report;
    bool quick, json;
};

/* What is printed: a row for each kind and number of slow members, and one for all numbers together. */
struct lifeguard_rows {
    uint32_t slow_count;
    struct ki_sim_guard_row rows[SIM_GUARD_KINDS][SIM_GUARD_SLOW + 1];
};

static double lifeguard_share(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

static const char *lifeguard_seconds(const struct sim_guard_times *t, uint64_t us, char buf[40])
{
    snprintf(buf, 40, t->count ? "%.2f" : "-", (double)us / 1e6);
    return buf;
}

/* Of an experiment that was cut short: how far it came. */
static bool lifeguard_cut_short(const struct sim_guard *g, char buf[80])
{
    uint64_t total, done = ki_sim_guard_done(g, &total);
    snprintf(buf, 80, "Cut short after %llu of %llu worlds", (unsigned long long)done, (unsigned long long)total);
    return done < total;
}

static const struct ki_sim_guard_row *lifeguard_all(const struct lifeguard_rows *r, unsigned kind)
{
    return &r->rows[kind][r->slow_count];
}

/* ---- for programs ---- */

static json_t *lifeguard_times(const struct sim_guard_times *t)
{
    if (t->count == 0)
        return json_pack("{s:n, s:n}", "p50", "p99");
    return json_pack("{s:f, s:f}", "p50", (double)t->p50_us / 1000, "p99", (double)t->p99_us / 1000);
}

static json_t *lifeguard_row(const struct ki_sim_guard_row *row)
{
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "config", ki_sim_guard_name(row->kind), "slow",
                     (json_int_t)row->slow, "fp", (json_int_t)row->fp, "fp_healthy", (json_int_t)row->fp_healthy,
                     "stopped", (json_int_t)row->stopped, "missed", (json_int_t)row->missed, "first_detect_ms",
                     lifeguard_times(&row->first), "spread_ms", lifeguard_times(&row->spread));
}

static int lifeguard_json(const struct lifeguard_options *o, const struct lifeguard_rows *r, const struct sim_guard *g)
{
    char digest[17];
    uint64_t total, done = ki_sim_guard_done(g, &total);
    json_t *rows = json_array(), *totals = json_array();
    snprintf(digest, sizeof digest, "%016llx", (unsigned long long)ki_sim_guard_digest(g));
    for (unsigned kind = 0; kind < SIM_GUARD_KINDS; kind++) {
        for (uint32_t i = 0; i < r->slow_count; i++)
            json_array_append_new(rows, lifeguard_row(&r->rows[kind][i]));
        json_array_append_new(totals, lifeguard_row(lifeguard_all(r, kind)));
    }
    return ki_json_print(json_pack("{s:i, s:i, s:o, s:b, s:I, s:I, s:s, s:o, s:o}", "nodes", (int)o->nodes, "runs",
                                   (int)o->runs, "seed", ki_json_u64(o->seed), "quick", o->quick, "worlds",
                                   (json_int_t)done, "worlds_planned", (json_int_t)total, "digest", digest, "rows", rows,
                                   "totals", totals),
                         KI_SIM_JSON_REALS);
}

/* ---- for a person ---- */

static void lifeguard_text(const struct lifeguard_options *o, const struct lifeguard_rows *r, const struct sim_guard *g)
{
    const struct ki_sim_guard_row *swim = lifeguard_all(r, SIM_GUARD_SWIM);
    char a[40], b[40], c[40], d[40], cut[80];
    printf("%u members, seed %llu; suspicion alpha 5, beta 6, for plain SWIM 1\n", o->nodes, (unsigned long long)o->seed);
    if (lifeguard_cut_short(g, cut))
        printf("%s: the rest counts as nothing\n", cut);
    printf("\nFailures reported of members that were not slow\n\n");
    printf("%-14s %12s %9s   %12s %9s\n", "", "by anybody", "% of SWIM", "by healthy", "% of SWIM");
    for (unsigned kind = 0; kind < SIM_GUARD_KINDS; kind++) {
        const struct ki_sim_guard_row *row = lifeguard_all(r, kind);
        printf("%-14s %12s %9.2f   %12s %9.2f\n", ki_sim_guard_name(row->kind), ki_sim_figure((double)row->fp, a),
               lifeguard_share(row->fp, swim->fp), ki_sim_figure((double)row->fp_healthy, b),
               lifeguard_share(row->fp_healthy, swim->fp_healthy));
    }
    printf("\nby anybody, for so many slow members\n\n%-14s", "");
    for (uint32_t i = 0; i < r->slow_count; i++)
        printf(" %10u", r->rows[0][i].slow);
    for (unsigned kind = 0; kind < SIM_GUARD_KINDS; kind++) {
        printf("\n%-14s", ki_sim_guard_name((enum sim_guard_kind)kind));
        for (uint32_t i = 0; i < r->slow_count; i++)
            printf(" %10s", ki_sim_figure((double)r->rows[kind][i].fp, a));
    }
    printf("\n\nSeconds until %u members that stopped were reported\n\n", swim->stopped);
    printf("%-14s %10s %10s   %10s %10s %8s\n", "", "first, p50", "p99", "last, p50", "p99", "missed");
    for (unsigned kind = 0; kind < SIM_GUARD_KINDS; kind++) {
        const struct ki_sim_guard_row *row = lifeguard_all(r, kind);
        const struct sim_guard_times *first = &row->first, *spread = &row->spread;
        printf("%-14s %10s %10s   %10s %10s %8u\n", ki_sim_guard_name(row->kind), lifeguard_seconds(first, first->p50_us, a),
               lifeguard_seconds(first, first->p99_us, b), lifeguard_seconds(spread, spread->p50_us, c),
               lifeguard_seconds(spread, spread->p99_us, d), row->missed);
    }
}

/* ---- the page ---- */

static void lifeguard_report_table(struct sim_report *page, const struct lifeguard_rows *r)
{
    static const char *const columns[LIFEGUARD_COLUMNS] = {
        "detector",      "slow members", "false positives", "at healthy members", "first report, median (s)", "p99 (s)",
        "last, median (s)", "p99 (s)",  "missed"};
    static char text[SIM_GUARD_KINDS * (SIM_GUARD_SLOW + 1)][LIFEGUARD_COLUMNS][40];
    const char *cells[SIM_GUARD_KINDS * (SIM_GUARD_SLOW + 1) * LIFEGUARD_COLUMNS];
    size_t rows = 0;
    for (unsigned kind = 0; kind < SIM_GUARD_KINDS; kind++) {
        for (uint32_t i = 0; i <= r->slow_count; i++, rows++) {
            const struct ki_sim_guard_row *row = &r->rows[kind][i];
            char (*to)[40] = text[rows];
            snprintf(to[0], sizeof to[0], "%s", ki_sim_guard_name(row->kind));
            snprintf(to[1], sizeof to[1], "%u", row->slow);
            if (i == r->slow_count)
                snprintf(to[1], sizeof to[1], "all");
            ki_sim_figure((double)row->fp, to[2]);
            ki_sim_figure((double)row->fp_healthy, to[3]);
            lifeguard_seconds(&row->first, row->first.p50_us, to[4]);
            lifeguard_seconds(&row->first, row->first.p99_us, to[5]);
            lifeguard_seconds(&row->spread, row->spread.p50_us, to[6]);
            lifeguard_seconds(&row->spread, row->spread.p99_us, to[7]);
            snprintf(to[8], sizeof to[8], "%u", row->missed);
            for (unsigned c = 0; c < LIFEGUARD_COLUMNS; c++)
                cells[rows * LIFEGUARD_COLUMNS + c] = to[c];
        }
    }
    ki_sim_report_table(page, "By detector and number of slow members", columns, LIFEGUARD_COLUMNS, cells, rows);
}

/* One curve a kind over the number of slow members. */
static void lifeguard_report_plot(struct sim_report *page, const struct lifeguard_rows *r, const char *title,
                                  const char *label, bool healthy)
{
    struct sim_series series[SIM_GUARD_KINDS];
    double x[SIM_GUARD_SLOW], y[SIM_GUARD_KINDS][SIM_GUARD_SLOW];
    for (unsigned kind = 0; kind < SIM_GUARD_KINDS; kind++) {
        for (uint32_t i = 0; i < r->slow_count; i++) {
            x[i] = r->rows[kind][i].slow;
            y[kind][i] = (double)(healthy ? r->rows[kind][i].fp_healthy : r->rows[kind][i].fp);
        }
        series[kind] = (struct sim_series){.name = ki_sim_guard_name((enum sim_guard_kind)kind),
                                           .x = x,
                                           .y = y[kind],
                                           .count = r->slow_count,
                                           .dashed = kind == SIM_GUARD_SWIM};
    }
    ki_sim_report_plot(page, &(struct sim_plot){.title = title,
                                                .x_label = "slow members",
                                                .y_label = label,
                                                .x_log = true,
                                                .y_log = true,
                                                .series = series,
                                                .series_count = SIM_GUARD_KINDS});
}

static int lifeguard_report(const struct lifeguard_options *o, const struct lifeguard_rows *r, const struct sim_guard *g,
                            const char *command)
{
    static const char *const names[] = {"false positives with plain SWIM", "with Lifeguard", "first report, SWIM (s)",
                                        "first report, Lifeguard (s)"};
    const struct ki_sim_guard_row *swim = lifeguard_all(r, SIM_GUARD_SWIM), *all = lifeguard_all(r, SIM_GUARD_LIFEGUARD);
    char text[4][40], cut[80];
    const char *values[] = {text[0], text[1], text[2], text[3]};
    ki_sim_figure((double)swim->fp, text[0]);
    ki_sim_figure((double)all->fp, text[1]);
    lifeguard_seconds(&swim->first, swim->first.p50_us, text[2]);
    lifeguard_seconds(&all->first, all->first.p50_us, text[3]);
    struct sim_report *page = ki_sim_report_new("Lifeguard: slow members and false positives", command);
    if (lifeguard_cut_short(g, cut))
        ki_sim_report_text(page, cut);
    ki_sim_report_figures(page, names, values, KI_COUNT(names));
    ki_sim_report_text(page, "Some members are too busy to read and write for seconds at a time, again and again, while "
                             "their timers run on. A failure reported of a member that is not slow is a false positive. "
                             "Apart from that, as many members stop for good, and the time is taken until the first and "
                             "the last of the others has reported them.");
    lifeguard_report_plot(page, r, "False positives", "failures reported by anybody", false);
    lifeguard_report_plot(page, r, "False positives at healthy members", "failures reported by healthy members", true);
    lifeguard_report_table(page, r);
    return ki_sim_report_write(page, "sim lifeguard", o->report);
}

/* ---- the command ---- */

static void lifeguard_run(struct sim_guard *g)
{
    struct ki_sim_progress progress;
    uint64_t total, done = ki_sim_guard_done(g, &total);
    ki_sim_interruptible();
    ki_sim_progress_begin(&progress);
    while (!ki_sim_interrupted() && ki_sim_guard_next(g)) {
        done = ki_sim_guard_done(g, &total);
        ki_sim_progress_show(&progress, done, total, "%llu of %llu worlds", (unsigned long long)done,
                             (unsigned long long)total);
    }
    ki_sim_progress_wipe(&progress);
}

static int lifeguard_tell(const struct lifeguard_options *o, const struct sim_guard *g, int argc, char **argv)
{
    struct lifeguard_rows r = {.slow_count = ki_sim_guard_slow_count(g)};
    for (unsigned kind = 0; kind < SIM_GUARD_KINDS; kind++) {
        for (uint32_t i = 0; i <= r.slow_count; i++)
            r.rows[kind][i] = ki_sim_guard_row(g, (enum sim_guard_kind)kind, i);
    }
    int code = KI_EXIT_OK;
    if (o->json)
        code = lifeguard_json(o, &r, g);
    else
        lifeguard_text(o, &r, g);
    if (o->report && code == KI_EXIT_OK) {
        char *command = ki_sim_command(argc, argv);
        code = lifeguard_report(o, &r, g, command);
        free(command);
    }
    return code == KI_EXIT_OK && ki_sim_interrupted() ? KI_EXIT_INTERRUPTED : code;
}

int ki_cmd_sim_lifeguard(int argc, char **argv)
{
    struct lifeguard_options o = {.runs = 1};
    struct ki_flag_uint nodes = {.given = false};
    const char *seed = "1";
    const struct ki_flag flags[] = {
        {"nodes", KI_FLAG_UINT_GIVEN, &nodes, "128", "Members, 8 to 1024; 48 with -quick."},
        {"runs", KI_FLAG_UINT, &o.runs, "1", "The whole experiment so often, each time with other luck."},
        {"seed", KI_FLAG_TEXT, &seed, "1", "Everything random follows from it."},
        {"quick", KI_FLAG_BOOL, &o.quick, NULL, "A short form: one pattern of slowness, fewer members that stop."},
        {"json", KI_FLAG_BOOL, &o.json, NULL, "Print JSON."},
        {"report", KI_FLAG_TEXT, &o.report, "path", "Write a page with plots."},
    };
    const struct ki_usage usage = {
        "sim lifeguard", "",
        "The experiment of the Lifeguard paper: members too slow to read and write in time make others look failed.\n"
        "  Compares plain SWIM, each part of Lifeguard, and all of it: false positives, and how soon true failures are\n"
        "  reported.  Takes three to five minutes on one core; -quick a few seconds.",
        flags, KI_COUNT(flags), 0, 0};
    int first, code;
    if (!ki_flags_parse(&usage, argc, argv, &first, &code))
        return code;
    o.nodes = nodes.given ? nodes.value : o.quick ? LIFEGUARD_NODES_QUICK : LIFEGUARD_NODES;
    if (!ki_flag_fits(&usage, "seed", seed, ki_sim_seed(seed, &o.seed)) ||
        !ki_flag_within(&usage, "nodes", o.nodes, SIM_GUARD_NODES_MIN, SIM_GUARD_NODES_MAX) ||
        !ki_flag_within(&usage, "runs", o.runs, 1, SIM_GUARD_RUNS_MAX) ||
        !ki_flag_fits(&usage, "report", o.report, ki_sim_report_refusal(o.report)))
        return KI_EXIT_USAGE;
    const struct sim_guard_plan plan = {.nodes = o.nodes, .runs = o.runs, .seed = o.seed, .quick = o.quick};
    struct sim_guard *g = ki_sim_guard_new(&plan);
    lifeguard_run(g);
    code = lifeguard_tell(&o, g, argc, argv);
    ki_sim_guard_free(g);
    return code;
}
