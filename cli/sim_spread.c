/* kith sim spread: the textbook epidemic, many runs of it, in a table, a curve, JSON or a page.
 *
 * The model is sim/model/spread.c and says by which rules a round goes; here are the words of the command line and
 * what a reader sees: means over the runs with their standard errors, the rounds until everybody knew (only if
 * that was so in every run: a mean over the lucky ones would mislead), and the S-curve with its 5th and 95th percentile.
 *
 * Nothing runs unless every flag makes sense.  Ctrl-C ends the runs; what is printed then counts those made.  The one that
 * it has cut short is none of them, unless there is no other.  Runs that were cut short are counted wherever a result is. */
#include "cli/sim.h"

#include <stdlib.h>
#include <string.h>

#include "sim/model/spread_stats.h"

#define SPREAD_RUNS_MAX 1000000
#define SPREAD_COLUMNS  61 /* of the curve in text */
#define SPREAD_ROWS     13

static const char *const spread_modes[] = {
    [SIM_SPREAD_PUSH] = "push", [SIM_SPREAD_PULL] = "pull", [SIM_SPREAD_PUSH_PULL] = "push-pull"};
static const char *const spread_stops[] = {[SIM_SPREAD_NEVER] = "never",
                                           [SIM_SPREAD_FEEDBACK_COUNTER] = "feedback-counter",
                                           [SIM_SPREAD_FEEDBACK_COIN] = "feedback-coin",
                                           [SIM_SPREAD_BLIND_COUNTER] = "blind-counter",
                                           [SIM_SPREAD_BLIND_COIN] = "blind-coin"};

struct spread_job {
    struct sim_spread_config config;
    uint32_t runs;
    bool json;
    const char *report; /* NULL: none */
    const char *command;
};

/* ---- text ---- */

/* The rounds that theory expects, in words that follow the measured ones. */
static const char *spread_theory(const struct sim_spread_config *config, char buf[40])
{
    double rounds;
    buf[0] = '\0';
    if (ki_sim_spread_theory_rounds(config, &rounds))
        snprintf(buf, 40, ", %.2f by theory", rounds);
    return buf;
}

static void spread_title(const struct spread_job *job, uint32_t runs, char buf[200])
{
    const struct sim_spread_config *c = &job->config;
    char k[32] = "";
    if (c->stop != SIM_SPREAD_NEVER)
        snprintf(k, sizeof k, " k = %u", (unsigned)c->k);
    snprintf(buf, 200, "%u nodes, %s, stop: %s%s, fan-out %u, loss %g %%; %u runs, seed %llu", (unsigned)c->nodes,
             spread_modes[c->mode], spread_stops[c->stop], k, (unsigned)c->fanout, c->loss_ppm / 1e4, (unsigned)runs,
             (unsigned long long)c->seed);
}

static void spread_print_mean(const char *name, const struct sim_mean *value, const char *about)
{
    printf("  %-14s %10.4g ± %-8.2g %s\n", name, value->mean, value->error, about);
}

/* The row of a curve in a column, between two rounds on the straight line. */
static int spread_row(const double *curve, size_t rounds, size_t column)
{
    double at = (double)column * (double)(rounds - 1) / (SPREAD_COLUMNS - 1);
    size_t round = (size_t)at;
    double share = curve[round];
    if (round + 1 < rounds)
        share += (curve[round + 1] - share) * (at - (double)round);
    return SPREAD_ROWS - 1 - (int)(share * (SPREAD_ROWS - 1) + 0.5);
}

/* What a reader of means must know of runs that were not over; "" when all were. */
static const char *spread_cut(const struct sim_spread_summary *s, char buf[160])
{
    buf[0] = '\0';
    if (s->cut > 0)
        snprintf(buf, 160,
                 "%u of %u runs were cut short (by an interrupt, or after %d rounds) and count as far as they came",
                 (unsigned)s->cut, (unsigned)s->runs, SIM_SPREAD_ROUNDS_MAX);
    return buf;
}

static void spread_print_curve(const struct sim_spread_summary *s)
{
    char grid[SPREAD_ROWS][SPREAD_COLUMNS + 1];
    memset(grid, ' ', sizeof grid);
    int before = spread_row(s->mean, s->rounds, 0);
    for (size_t column = 0; column < SPREAD_COLUMNS; column++) {
        int low = spread_row(s->low, s->rounds, column);
        for (int row = spread_row(s->high, s->rounds, column); row <= low; row++)
            grid[row][column] = ':';
        int at = spread_row(s->mean, s->rounds, column);
        for (int row = at; row == at || row < before; row++)
            grid[row][column] = '*';
        before = at;
    }
    printf("\n  nodes that know it (*), 5 %% to 95 %% of the runs (:)%s\n",
           s->curve_cut ? "; the first rounds, for it goes on" : "");
    for (int row = 0; row < SPREAD_ROWS; row++) {
        grid[row][SPREAD_COLUMNS] = '\0';
        size_t len = SPREAD_COLUMNS;
        while (len > 0 && grid[row][len - 1] == ' ')
            grid[row][--len] = '\0';
        const char *label = row == 0 ? "100 %" : row == SPREAD_ROWS / 2 ? "50 %" : row == SPREAD_ROWS - 1 ? "0 %" : "";
        printf("  %5s |%s\n", label, grid[row]);
    }
    printf("        +");
    for (size_t column = 0; column < SPREAD_COLUMNS; column++)
        putchar('-');
    printf("\n         0%*s%*zu\n", SPREAD_COLUMNS / 2 + 2, "round", SPREAD_COLUMNS / 2 - 2, s->rounds - 1);
}

static void spread_print(const struct spread_job *job, const struct sim_spread_summary *s)
{
    char title[200];
    char theory[40];
    char cut[160];
    spread_title(job, s->runs, title);
    printf("%s\n", title);
    if (s->cut > 0)
        printf("%s\n", spread_cut(s, cut));
    printf("\n");
    spread_print_mean("residue", &s->residue, "share of nodes never reached");
    spread_print_mean("traffic", &s->traffic, "payloads sent per node");
    spread_print_mean("t_avg", &s->t_avg, "mean round of arrival");
    spread_print_mean("t_last", &s->t_last, "round of the last arrival");
    if (s->runs_to_all == s->runs)
        printf("  %-14s %10.4g ± %-8.2g p99 %u%s\n", "rounds to all", s->rounds_to_all.mean, s->rounds_to_all.error,
               (unsigned)s->rounds_to_all_p99, spread_theory(&job->config, theory));
    else
        printf("  %-14s %10s   %-8s %u of %u runs reached everybody\n", "rounds to all", "-", "", (unsigned)s->runs_to_all,
               (unsigned)s->runs);
    spread_print_curve(s);
}

/* ---- JSON ---- */

static json_t *spread_json_curve(const struct sim_spread_summary *s)
{
    json_t *curve = json_array();
    for (size_t round = 0; round < s->rounds; round++)
        json_array_append_new(curve, json_pack("{s:I, s:f, s:f, s:f}", "round", (json_int_t)round, "mean", s->mean[round],
                                               "p5", s->low[round], "p95", s->high[round]));
    return curve;
}

static int spread_print_json(const struct spread_job *job, const struct sim_spread_summary *s)
{
    const struct sim_spread_config *c = &job->config;
    json_t *to_all = json_null();
    if (s->runs_to_all == s->runs)
        to_all = json_pack("{s:f, s:I}", "mean", s->rounds_to_all.mean, "p99", (json_int_t)s->rounds_to_all_p99);
    json_t *root = json_pack(
        "{s:I, s:s, s:s, s:I, s:I, s:f, s:I, s:I, s:o, s:f, s:f, s:f, s:f, s:o, s:I, s:{s:f, s:f, s:f, s:f}, s:o, s:b}",
        "nodes", (json_int_t)c->nodes, "mode", spread_modes[c->mode], "stop", spread_stops[c->stop], "k", (json_int_t)c->k,
        "fanout", (json_int_t)c->fanout, "loss", c->loss_ppm / 1e6, "runs", (json_int_t)s->runs, "cut", (json_int_t)s->cut,
        "seed", ki_json_u64(c->seed), "residue", s->residue.mean, "traffic", s->traffic.mean, "t_avg", s->t_avg.mean,
        "t_last", s->t_last.mean, "rounds_to_all", to_all, "runs_to_all", (json_int_t)s->runs_to_all, "standard_error",
        "residue", s->residue.error, "traffic", s->traffic.error, "t_avg", s->t_avg.error, "t_last", s->t_last.error,
        "s_curve", spread_json_curve(s), "s_curve_cut", s->curve_cut);
    return ki_json_print(root, KI_SIM_JSON_REALS);
}

/* ---- the page ---- */

#define SPREAD_CELL 40

static void spread_report_numbers(struct sim_report *r, const struct spread_job *job, const struct sim_spread_summary *s)
{
    static const char *const columns[] = {"", "mean", "standard error", "what it is"};
    static const char *const names[] = {"residue", "traffic", "t_avg", "t_last"};
    static const char *const about[] = {"share of nodes never reached", "payloads sent per node", "mean round of arrival",
                                        "round of the last arrival"};
    const struct sim_mean *const means[] = {&s->residue, &s->traffic, &s->t_avg, &s->t_last};
    char text[2 * KI_COUNT(names)][SPREAD_CELL];
    const char *cells[4 * KI_COUNT(names)];
    for (size_t i = 0; i < KI_COUNT(names); i++) {
        snprintf(text[2 * i], SPREAD_CELL, "%.4g", means[i]->mean);
        snprintf(text[2 * i + 1], SPREAD_CELL, "%.2g", means[i]->error);
        memcpy(&cells[4 * i], (const char *[]){names[i], text[2 * i], text[2 * i + 1], about[i]}, 4 * sizeof *cells);
    }
    char all[SPREAD_CELL];
    char theory[40];
    snprintf(all, sizeof all, "%u of %u", (unsigned)s->runs_to_all, (unsigned)s->runs);
    char rounds[2 * SPREAD_CELL] = "-";
    if (s->runs_to_all == s->runs)
        snprintf(rounds, sizeof rounds, "%.2f (p99 %u%s)", s->rounds_to_all.mean, (unsigned)s->rounds_to_all_p99,
                 spread_theory(&job->config, theory));
    const char *const figures[] = {"residue", "payloads per node", "runs that reached all", "rounds to all"};
    const char *const values[] = {text[0], text[2], all, rounds};
    ki_sim_report_figures(r, figures, values, KI_COUNT(figures));
    ki_sim_report_table(r, "Means over the runs", columns, KI_COUNT(columns), cells, KI_COUNT(names));
}

/* Two plots of one thing: who knows it, and, so that the end can be seen, who does not, on a logarithmic axis. */
static bool spread_report_curves(struct sim_report *r, const struct sim_spread_summary *s)
{
    double *x = malloc(4 * s->rounds * sizeof *x);
    if (!x)
        return false;
    double *missing = x + s->rounds;
    double *missing_low = missing + s->rounds;
    double *missing_high = missing_low + s->rounds;
    for (size_t i = 0; i < s->rounds; i++) {
        x[i] = (double)i;
        missing[i] = 1 - s->mean[i];
        missing_low[i] = 1 - s->high[i];
        missing_high[i] = 1 - s->low[i];
    }
    const struct sim_series knows = {.name = "mean", .x = x, .y = s->mean, .count = s->rounds};
    const struct sim_series lacks = {.name = "mean", .x = x, .y = missing, .count = s->rounds};
    const char *band = "5 % to 95 % of the runs";
    ki_sim_report_plot(r, &(struct sim_plot){
                           .title = "Nodes that know it",
                           .x_label = "round",
                           .y_label = "share of nodes",
                           .series = &knows,
                           .series_count = 1,
                           .band = &(struct sim_band){band, x, s->low, s->high, s->rounds},
                       });
    ki_sim_report_plot(r, &(struct sim_plot){
                           .title = "Nodes that do not know it yet",
                           .x_label = "round",
                           .y_label = "share of nodes, logarithmic",
                           .y_log = true,
                           .series = &lacks,
                           .series_count = 1,
                           .band = &(struct sim_band){band, x, missing_low, missing_high, s->rounds},
                       });
    free(x);
    return true;
}

/* Returns the exit code. */
static int spread_report(const struct spread_job *job, const struct sim_spread_summary *s)
{
    char title[200];
    char cut[160];
    spread_title(job, s->runs, title);
    struct sim_report *r = ki_sim_report_new("Spread of a rumour", job->command);
    ki_sim_report_text(r, title);
    if (s->cut > 0)
        ki_sim_report_text(r, spread_cut(s, cut));
    spread_report_numbers(r, job, s);
    bool drawn = spread_report_curves(r, s);
    if (s->curve_cut)
        ki_sim_report_text(r, "The plots show the first rounds; some runs went on for more.");
    ki_sim_report_text(r, "Rounds are synchronous: in each, callers call random others, and who learns the rumour passes it "
                          "on from the next round. A run ends when everybody knows it, or nobody passes it on any more.");
    if (drawn)
        return ki_sim_report_write(r, "sim spread", job->report);
    ki_sim_report_free(r);
    fprintf(stderr, "kith sim spread: out of memory\n");
    return KI_EXIT_FAILED;
}

/* ---- running ---- */

/* Makes the runs, or those until Ctrl-C, and one at least.  Out: *whole  all of them were made, and none was interrupted.
 * Returns false when out of memory. */
static bool spread_make_runs(const struct spread_job *job, struct sim_spread *s, struct sim_spread_stats *stats, bool *whole)
{
    struct ki_sim_progress progress;
    struct sim_spread_run run;
    bool done = true;
    *whole = true;
    ki_sim_progress_begin(&progress);
    for (uint32_t i = 0; done && *whole && i < job->runs; i++) {
        done = ki_sim_spread_next(s, &run);
        *whole = !(ki_sim_interrupted() && (run.cut || i + 1 < job->runs));
        if (done && (*whole || !run.cut || i == 0))
            done = ki_sim_spread_stats_add(stats, &run);
        ki_sim_progress_show(&progress, i + 1, job->runs, "%u of %u runs", (unsigned)(i + 1), (unsigned)job->runs);
    }
    ki_sim_progress_wipe(&progress);
    return done;
}

static int spread_run(const struct spread_job *job)
{
    struct sim_spread *s = ki_sim_spread_new(&job->config);
    struct sim_spread_stats *stats = ki_sim_spread_stats_new(job->config.nodes);
    struct sim_spread_summary summary;
    bool whole;
    int code = KI_EXIT_FAILED;
    ki_sim_interruptible();
    if (!s || !stats || !spread_make_runs(job, s, stats, &whole) || !ki_sim_spread_stats_summarize(stats, &summary)) {
        fprintf(stderr, "kith sim spread: out of memory\n");
    } else {
        code = job->report ? spread_report(job, &summary) : KI_EXIT_OK;
        if (job->json && spread_print_json(job, &summary) != KI_EXIT_OK)
            code = KI_EXIT_FAILED;
        if (!job->json)
            spread_print(job, &summary);
        if (!whole)
            code = KI_EXIT_INTERRUPTED;
    }
    ki_sim_spread_free(s);
    ki_sim_spread_stats_free(stats);
    return code;
}

struct spread_words {
    const char *mode, *stop, *loss, *seed;
};

/* Returns false with the reason printed. */
static bool spread_understand(const struct ki_usage *usage, const struct spread_words *words, struct spread_job *job)
{
    struct sim_spread_config *c = &job->config;
    size_t mode, stop;
    if (!ki_flag_choice(usage, "mode", words->mode, spread_modes, KI_COUNT(spread_modes), &mode) ||
        !ki_flag_choice(usage, "stop", words->stop, spread_stops, KI_COUNT(spread_stops), &stop))
        return false;
    c->mode = (enum sim_spread_mode)mode;
    c->stop = (enum sim_spread_stop)stop;
    return ki_flag_within(usage, "nodes", c->nodes, 2, SIM_SPREAD_NODES_MAX) &&
           ki_flag_within(usage, "k", c->k, 1, SIM_SPREAD_K_MAX) &&
           ki_flag_within(usage, "fanout", c->fanout, 1, SIM_SPREAD_FANOUT_MAX) &&
           ki_flag_within(usage, "runs", job->runs, 1, SPREAD_RUNS_MAX) &&
           ki_flag_fits(usage, "seed", words->seed, ki_sim_seed(words->seed, &c->seed)) &&
           ki_flag_fits(usage, "loss", words->loss, ki_sim_percent(words->loss, &c->loss_ppm)) &&
           ki_flag_fits(usage, "loss", words->loss, ki_sim_spread_refusal(c)) && /* what is left to refuse is a loss */
           ki_flag_fits(usage, "report", job->report, ki_sim_report_refusal(job->report));
}

int ki_cmd_sim_spread(int argc, char **argv)
{
    struct spread_job job = {.config = {.nodes = 1000, .k = 1, .fanout = 1, .stop_now = ki_sim_interrupted}, .runs = 100};
    struct spread_words words = {.mode = "push-pull", .stop = "never", .loss = "0%", .seed = "1"};
    const struct ki_flag flags[] = {
        {"nodes", KI_FLAG_UINT, &job.config.nodes, "1000", "Nodes, 2 to 10,000,000."},
        {"mode", KI_FLAG_TEXT, &words.mode, "push-pull", "Who tells whom: push, pull or push-pull."},
        {"stop", KI_FLAG_TEXT, &words.stop, "never",
         "When a node loses interest: never (until all know it),\nfeedback-counter (after k useless contacts), "
         "feedback-coin\n(after each, with probability 1/k), blind-counter,\nblind-coin (the same, after any contact)."},
        {"k", KI_FLAG_UINT, &job.config.k, "1", "The k of the stop rule, 1 to 1,000."},
        {"fanout", KI_FLAG_UINT, &job.config.fanout, "1", "Calls that a node makes in a round, 1 to 1,000."},
        {"loss", KI_FLAG_TEXT, &words.loss, "0%", "Share of calls that fail."},
        {"runs", KI_FLAG_UINT, &job.runs, "100", "Runs to take the mean of, 1 to 1,000,000."},
        {"seed", KI_FLAG_TEXT, &words.seed, "1", "The same seed gives the same runs."},
        {"report", KI_FLAG_TEXT, &job.report, "path", "Write a page with plots, too."},
        {"json", KI_FLAG_BOOL, &job.json, NULL, "Print JSON."},
    };
    const struct ki_usage usage = {"sim spread",
                                   "",
                                   "The textbook epidemic: how one rumour spreads among many nodes by random calls.",
                                   flags,
                                   KI_COUNT(flags),
                                   0,
                                   0};
    int first;
    int code;
    if (!ki_flags_parse(&usage, argc, argv, &first, &code))
        return code;
    if (!spread_understand(&usage, &words, &job))
        return KI_EXIT_USAGE;
    char *command = ki_sim_command(argc, argv);
    job.command = command;
    code = spread_run(&job);
    free(command);
    return code;
}
