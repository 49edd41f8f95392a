/* kith sim aggregate: many nodes compute one number, cycle by cycle, in a table, a curve, JSON or a page.
 *
 * The model is sim/model/aggregate.c, and says by which rules a cycle goes and what an error is; here are the words of the
 * command line and what a reader sees: after how many cycles the error was below a tenth, a hundredth and so on, what is
 * left in the end, what it costs, and the curve.
 *
 * A function has an algorithm that computes it, and that an overlay, unless others are asked for.  Nothing runs unless every
 * flag makes sense; of flags that go together badly the reason says what there is instead.  Ctrl-C ends the run; what is
 * printed then is of the cycles that were whole. */
#include "cli/sim.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/model/aggregate.h"

#define AGGREGATE_ROWS 20 /* of the curve in text, */
#define AGGREGATE_BAR  48 /* whose bars are so wide */
#define AGGREGATE_LOW  -12 /* and begin here, a power of ten */

static const char *const aggregate_functions[] = {
    [SIM_AGGREGATE_AVG] = "avg", [SIM_AGGREGATE_SUM] = "sum",           [SIM_AGGREGATE_COUNT] = "count",
    [SIM_AGGREGATE_MAX] = "max", [SIM_AGGREGATE_QUANTILE] = "quantile", [SIM_AGGREGATE_ORDER] = "order"};
static const char *const aggregate_algorithms[] = {[SIM_AGGREGATE_PUSH_SUM] = "push-sum",
                                                   [SIM_AGGREGATE_PUSH_PULL] = "push-pull",
                                                   [SIM_AGGREGATE_FLOW] = "flow-updating",
                                                   [SIM_AGGREGATE_EXACT] = "exact",
                                                   [SIM_AGGREGATE_MERGE] = "merge",
                                                   [SIM_AGGREGATE_SAMPLE] = "sample",
                                                   [SIM_AGGREGATE_T_MAN] = "t-man"};
static const char *const aggregate_overlays[] = {[SIM_AGGREGATE_COMPLETE] = "complete", [SIM_AGGREGATE_RINGS] = "rings"};

/* What an error is, by function: see struct sim_aggregate_state. */
static const char *const aggregate_errors[] = {[SIM_AGGREGATE_AVG] = "root mean square of the answers' errors, relative",
                                               [SIM_AGGREGATE_SUM] = "root mean square of the answers' errors, relative",
                                               [SIM_AGGREGATE_COUNT] = "root mean square of the answers' errors, relative",
                                               [SIM_AGGREGATE_MAX] = "share of nodes that do not know it",
                                               [SIM_AGGREGATE_QUANTILE] = "root mean square of the answers' rank errors",
                                               [SIM_AGGREGATE_ORDER] = "share of links to the next that are wrong"};

static const struct {
    double below;
    const char *key, *name;
} aggregate_marks[] = {{1e-1, "cycles_to_1e1", "error below 10 %"},
                       {1e-2, "cycles_to_1pct", "error below 1 %"},
                       {1e-4, "cycles_to_1e4", "error below 0.01 %"},
                       {1e-6, "cycles_to_1e6", "error below 1e-6"}};

struct aggregate_job {
    struct sim_aggregate_config config;
    uint32_t cycles;
    bool json;
    const char *report; /* NULL: none */
    const char *command;
};

struct aggregate_result {
    uint32_t cycles; /* that were made; the curves have one point more, how things stood before */
    double *error, *bias;
    uint64_t bytes;
    int64_t marks[KI_COUNT(aggregate_marks)]; /* the first cycle with an error below; -1: none */
    int64_t complete;                         /* the first in which all was known everywhere; -1: none */
};

static bool aggregate_is_mean(const struct aggregate_job *job)
{
    return job->config.function != SIM_AGGREGATE_MAX && job->config.function != SIM_AGGREGATE_ORDER;
}

static double aggregate_cost(const struct aggregate_job *job, const struct aggregate_result *r)
{
    return r->cycles > 0 ? (double)r->bytes / job->config.nodes / r->cycles : 0;
}

/* ---- text ---- */

static void aggregate_title(const struct aggregate_job *job, const struct aggregate_result *r, char buf[240])
{
    const struct sim_aggregate_config *c = &job->config;
    char more[60] = "", nodes[40];
    if (c->algorithm == SIM_AGGREGATE_FLOW)
        snprintf(more, sizeof more, ", %u retries", (unsigned)c->retries);
    if (c->algorithm == SIM_AGGREGATE_SAMPLE)
        snprintf(more, sizeof more, " of %u", (unsigned)c->sample);
    char quantile[40] = "";
    if (c->function == SIM_AGGREGATE_QUANTILE)
        snprintf(quantile, sizeof quantile, " %g %%", c->q_ppm / 1e4);
    snprintf(buf, 240, "%s nodes, %s%s by %s%s, overlay: %s, loss %g %%, churn %g %%; %u cycles, seed %llu",
             ki_sim_figure(c->nodes, nodes), aggregate_functions[c->function], quantile, aggregate_algorithms[c->algorithm],
             more, aggregate_overlays[c->overlay], c->loss_ppm / 1e4, c->churn_ppm / 1e4, (unsigned)r->cycles,
             (unsigned long long)c->seed);
}

static const char *aggregate_cycles(int64_t cycle, char buf[40])
{
    if (cycle < 0)
        return "-";
    snprintf(buf, 40, "%lld cycles", (long long)cycle);
    return buf;
}

static void aggregate_print_curve(const struct aggregate_job *job, const struct aggregate_result *r)
{
    uint32_t step = r->cycles / AGGREGATE_ROWS + 1;
    printf("\n  %6s  %-9s  from 1e%d to 1, each column a power of 10^(1/%d)\n", "cycle", "error", AGGREGATE_LOW,
           AGGREGATE_BAR / -AGGREGATE_LOW);
    bool is_over = false; /* nothing moves once all is known, and no row is printed after that */
    for (uint32_t cycle = 0; cycle <= r->cycles && !is_over; cycle += step) {
        double error = r->error[cycle];
        double share = error > 0 ? 1 - log10(error) / AGGREGATE_LOW : 0;
        int len = (int)(AGGREGATE_BAR * (share < 0 ? 0 : share > 1 ? 1 : share) + 0.5);
        printf("  %6u  %-9.3g  |%.*s\n", (unsigned)cycle, error, len, "################################################");
        is_over = job->config.churn_ppm == 0 && r->complete >= 0 && cycle >= r->complete;
    }
}

static void aggregate_print(const struct aggregate_job *job, const struct aggregate_result *r)
{
    char title[240], buf[40];
    aggregate_title(job, r, title);
    printf("%s\n\n", title);
    for (size_t i = 0; i < KI_COUNT(aggregate_marks); i++)
        printf("  %-20s %s\n", aggregate_marks[i].name, aggregate_cycles(r->marks[i], buf));
    if (r->complete >= 0)
        printf("  %-20s %s\n", "all is known", aggregate_cycles(r->complete, buf));
    printf("  %-20s %-10.3g %s\n", "error in the end", r->error[r->cycles], aggregate_errors[job->config.function]);
    if (aggregate_is_mean(job))
        printf("  %-20s %-10.3g mean of the same\n", "bias in the end", r->bias[r->cycles]);
    printf("  %-20s %s bytes per node and cycle\n", "traffic", ki_sim_figure(aggregate_cost(job, r), buf));
    aggregate_print_curve(job, r);
}

/* ---- JSON ---- */

static json_t *aggregate_json_cycles(int64_t cycle)
{
    return cycle < 0 ? json_null() : json_integer((json_int_t)cycle);
}

static int aggregate_print_json(const struct aggregate_job *job, const struct aggregate_result *r)
{
    const struct sim_aggregate_config *c = &job->config;
    bool is_mean = aggregate_is_mean(job);
    json_t *curve = json_array();
    for (uint32_t cycle = 0; cycle <= r->cycles; cycle++)
        json_array_append_new(curve, json_real(r->error[cycle]));
    json_t *root = json_pack(
        "{s:I, s:s, s:s, s:s, s:f, s:f, s:o, s:o, s:o, s:I, s:b, s:o, s:f, s:o, s:o, s:f, s:o, s:o}", "nodes",
        (json_int_t)c->nodes, "function", aggregate_functions[c->function], "algorithm", aggregate_algorithms[c->algorithm],
        "overlay", aggregate_overlays[c->overlay], "loss", c->loss_ppm / 1e6, "churn", c->churn_ppm / 1e6, "retries",
        c->algorithm == SIM_AGGREGATE_FLOW ? json_integer(c->retries) : json_null(), "sample",
        c->algorithm == SIM_AGGREGATE_SAMPLE ? json_integer(c->sample) : json_null(), "q",
        c->function == SIM_AGGREGATE_QUANTILE ? json_real(c->q_ppm / 1e6) : json_null(), "cycles", (json_int_t)r->cycles,
        "cut", r->cycles < job->cycles, "seed", ki_json_u64(c->seed), "error", r->error[r->cycles], "rmse",
        is_mean ? json_real(r->error[r->cycles]) : json_null(), "bias",
        is_mean ? json_real(r->bias[r->cycles]) : json_null(), "bytes_per_node_cycle", aggregate_cost(job, r),
        "cycles_to_all", aggregate_json_cycles(r->complete), "error_by_cycle", curve);
    for (size_t i = 0; i < KI_COUNT(aggregate_marks); i++)
        json_object_set_new(root, aggregate_marks[i].key, aggregate_json_cycles(r->marks[i]));
    return ki_json_print(root, KI_SIM_JSON_REALS);
}

/* ---- the page ---- */

static void aggregate_report_figures(struct sim_report *page, const struct aggregate_job *job,
                                     const struct aggregate_result *r)
{
    char text[KI_COUNT(aggregate_marks) + 3][40];
    const char *names[KI_COUNT(text)];
    const char *values[KI_COUNT(text)];
    size_t count = 0;
    for (size_t i = 0; i < KI_COUNT(aggregate_marks); i++, count++) {
        names[count] = aggregate_marks[i].name;
        values[count] = aggregate_cycles(r->marks[i], text[count]);
    }
    snprintf(text[count], sizeof text[count], "%.3g", r->error[r->cycles]);
    names[count] = "error in the end";
    values[count] = text[count];
    count++;
    if (aggregate_is_mean(job)) {
        snprintf(text[count], sizeof text[count], "%.3g", r->bias[r->cycles]);
        names[count] = "bias in the end";
        values[count] = text[count];
        count++;
    }
    names[count] = "bytes per node and cycle";
    values[count] = ki_sim_figure(aggregate_cost(job, r), text[count]);
    ki_sim_report_figures(page, names, values, count + 1);
}

/* Returns the exit code. */
static int aggregate_report(const struct aggregate_job *job, const struct aggregate_result *r)
{
    size_t count = (size_t)r->cycles + 1;
    double *cycle = ki_sim_new(2 * count * sizeof *cycle), *bias = cycle + count;
    char title[240];
    for (size_t i = 0; i < count; i++) {
        cycle[i] = (double)i;
        bias[i] = fabs(r->bias[i]);
    }
    const struct sim_series series[] = {{.name = "error", .x = cycle, .y = r->error, .count = count},
                                        {.name = "bias, whatever its sign", .x = cycle, .y = bias, .count = count,
                                         .dashed = true}};
    aggregate_title(job, r, title);
    struct sim_report *page = ki_sim_report_new("An aggregate of many nodes", job->command);
    ki_sim_report_text(page, title);
    aggregate_report_figures(page, job, r);
    ki_sim_report_plot(page, &(struct sim_plot){
                                 .title = "Error, cycle by cycle",
                                 .x_label = "cycle",
                                 .y_label = aggregate_errors[job->config.function],
                                 .y_log = true,
                                 .series = series,
                                 .series_count = aggregate_is_mean(job) ? 2 : 1,
                             });
    ki_sim_report_text(page, "In a cycle every node acts once. Where the error is exactly 0 the curve has no point.");
    free(cycle);
    return ki_sim_report_write(page, "sim aggregate", job->report);
}

/* ---- running ---- */

static void aggregate_note(struct aggregate_result *r, const struct sim_aggregate_state *state)
{
    r->error[r->cycles] = state->error;
    r->bias[r->cycles] = state->bias;
    r->bytes += state->bytes;
    for (size_t i = 0; i < KI_COUNT(aggregate_marks); i++) {
        if (r->marks[i] < 0 && state->error < aggregate_marks[i].below)
            r->marks[i] = r->cycles;
    }
    if (r->complete < 0 && state->complete)
        r->complete = r->cycles;
}

/* Makes the cycles, or those until Ctrl-C.  Returns false when out of memory. */
static bool aggregate_make(const struct aggregate_job *job, struct aggregate_result *r)
{
    struct ki_sim_progress progress;
    struct sim_aggregate_state state;
    struct sim_aggregate *a = ki_sim_aggregate_new(&job->config, &state);
    if (!a)
        return false;
    for (size_t i = 0; i < KI_COUNT(aggregate_marks); i++)
        r->marks[i] = -1;
    r->complete = -1;
    aggregate_note(r, &state);
    ki_sim_progress_begin(&progress);
    while (r->cycles < job->cycles && !ki_sim_interrupted() && ki_sim_aggregate_cycle(a, &state)) {
        r->cycles++;
        aggregate_note(r, &state);
        ki_sim_progress_show(&progress, r->cycles, job->cycles, "%u of %u cycles, error %.2g", (unsigned)r->cycles,
                             (unsigned)job->cycles, state.error);
    }
    ki_sim_progress_wipe(&progress);
    ki_sim_aggregate_free(a);
    return true;
}

static int aggregate_run(const struct aggregate_job *job)
{
    struct aggregate_result r = {.cycles = 0};
    int code = KI_EXIT_FAILED;
    r.error = ki_sim_new(2 * ((size_t)job->cycles + 1) * sizeof *r.error);
    r.bias = r.error + job->cycles + 1;
    ki_sim_interruptible();
    if (!aggregate_make(job, &r)) {
        fprintf(stderr, "kith sim aggregate: out of memory; fewer nodes need less\n");
    } else {
        code = job->report ? aggregate_report(job, &r) : KI_EXIT_OK;
        if (job->json && aggregate_print_json(job, &r) != KI_EXIT_OK)
            code = KI_EXIT_FAILED;
        if (!job->json)
            aggregate_print(job, &r);
        if (r.cycles < job->cycles)
            code = KI_EXIT_INTERRUPTED;
    }
    free(r.error);
    return code;
}

struct aggregate_words {
    const char *function, *algorithm, *overlay, *loss, *churn, *q, *seed;
    struct ki_flag_uint retries, sample;
};

/* What has been said by words; algorithm and overlay are the usual ones, if nothing was.  Returns false with the reason
 * printed. */
static bool aggregate_choose(const struct ki_usage *usage, const struct aggregate_words *w, struct sim_aggregate_config *c)
{
    size_t function, algorithm, overlay;
    if (!ki_flag_choice(usage, "function", w->function, aggregate_functions, KI_COUNT(aggregate_functions), &function))
        return false;
    c->function = (enum sim_aggregate_function)function;
    c->algorithm = ki_sim_aggregate_usual_algorithm(c->function);
    if (w->algorithm) {
        if (!ki_flag_choice(usage, "algorithm", w->algorithm, aggregate_algorithms, KI_COUNT(aggregate_algorithms),
                            &algorithm))
            return false;
        c->algorithm = (enum sim_aggregate_algorithm)algorithm;
    }
    c->overlay = ki_sim_aggregate_usual_overlay(c->algorithm);
    if (w->overlay) {
        if (!ki_flag_choice(usage, "overlay", w->overlay, aggregate_overlays, KI_COUNT(aggregate_overlays), &overlay))
            return false;
        c->overlay = (enum sim_aggregate_overlay)overlay;
    }
    return true;
}

/* Flags that only one choice has a use for. */
static const char *aggregate_useless(const struct aggregate_words *w, const struct sim_aggregate_config *c)
{
    if (w->retries.given && c->algorithm != SIM_AGGREGATE_FLOW)
        return "only flow-updating has -retries";
    if (w->sample.given && c->algorithm != SIM_AGGREGATE_SAMPLE)
        return "only the algorithm sample has a -sample";
    return w->q && c->function != SIM_AGGREGATE_QUANTILE ? "only a quantile has a -q" : NULL;
}

static bool aggregate_understand(const struct ki_usage *usage, const struct aggregate_words *w, struct aggregate_job *job)
{
    struct sim_aggregate_config *c = &job->config;
    const char *q = w->q ? w->q : "50%";
    if (!aggregate_choose(usage, w, c))
        return false;
    c->retries = w->retries.value;
    c->sample = w->sample.value;
    if (!(ki_flag_within(usage, "nodes", c->nodes, 2, SIM_AGGREGATE_NODES_MAX) &&
          ki_flag_within(usage, "cycles", job->cycles, 1, SIM_AGGREGATE_CYCLES_MAX) &&
          ki_flag_within(usage, "retries", c->retries, 0, SIM_AGGREGATE_RETRIES_MAX) &&
          ki_flag_within(usage, "sample", c->sample, 3, SIM_AGGREGATE_SAMPLE_MAX) &&
          ki_flag_fits(usage, "loss", w->loss, ki_sim_percent(w->loss, &c->loss_ppm)) &&
          ki_flag_fits(usage, "churn", w->churn, ki_sim_percent(w->churn, &c->churn_ppm)) &&
          ki_flag_fits(usage, "q", q, ki_sim_percent(q, &c->q_ppm)) &&
          ki_flag_fits(usage, "seed", w->seed, ki_sim_seed(w->seed, &c->seed)) &&
          ki_flag_fits(usage, "report", job->report, ki_sim_report_refusal(job->report))))
        return false;
    const char *reason = aggregate_useless(w, c);
    reason = reason ? reason : ki_sim_aggregate_refusal(c);
    if (reason)
        ki_usage_error(usage, "%s", reason);
    return !reason;
}

int ki_cmd_sim_aggregate(int argc, char **argv)
{
    struct aggregate_job job = {.config = {.nodes = 1000, .stop_now = ki_sim_interrupted}, .cycles = 60};
    struct aggregate_words words = {
        .function = "avg", .loss = "0%", .churn = "0%", .seed = "1", .retries = {.value = 2}, .sample = {.value = 512}};
    const struct ki_flag flags[] = {
        {"nodes", KI_FLAG_UINT, &job.config.nodes, "1000", "Nodes, 2 to 1,000,000; exact: to 16,384."},
        {"function", KI_FLAG_TEXT, &words.function, "avg",
         "What is computed: avg, sum (avg times the known members),\ncount (of members that nobody knows), max, quantile,\n"
         "order (the next lower and higher value for each node)."},
        {"algorithm", KI_FLAG_TEXT, &words.algorithm, "name",
         "avg, sum, count: flow-updating (the default), push-pull,\npush-sum. max: merge. quantile, count: sample. order:\n"
         "t-man. Any: exact, the fold of all values that have come."},
        {"overlay", KI_FLAG_TEXT, &words.overlay, "name",
         "Who talks to whom: complete (anybody to anybody; for exact\nand t-man), rings (neighbours in three rings)."},
        {"loss", KI_FLAG_TEXT, &words.loss, "0%", "Share of messages that are lost."},
        {"churn", KI_FLAG_TEXT, &words.churn, "0%", "Share of nodes replaced in each cycle; avg and sum only."},
        {"cycles", KI_FLAG_UINT, &job.cycles, "60", "Cycles, in each of which every node acts once, 1 to 100,000."},
        {"retries", KI_FLAG_UINT_GIVEN, &words.retries, "2", "flow-updating: what is not answered is sent so often again."},
        {"sample", KI_FLAG_UINT_GIVEN, &words.sample, "512", "sample: members in a node's sample, 3 to 65,536."},
        {"q", KI_FLAG_TEXT, &words.q, "50%", "quantile: which."},
        {"seed", KI_FLAG_TEXT, &words.seed, "1", "The same seed gives the same run."},
        {"report", KI_FLAG_TEXT, &job.report, "path", "Write a page with a plot, too."},
        {"json", KI_FLAG_BOOL, &job.json, NULL, "Print JSON."},
    };
    const struct ki_usage usage = {"sim aggregate",
                                   "",
                                   "How fast, and how truly, many nodes compute one number together by gossip.",
                                   flags,
                                   KI_COUNT(flags),
                                   0,
                                   0};
    int first;
    int code;
    if (!ki_flags_parse(&usage, argc, argv, &first, &code))
        return code;
    if (!aggregate_understand(&usage, &words, &job))
        return KI_EXIT_USAGE;
    char *command = ki_sim_command(argc, argv);
    job.command = command;
    code = aggregate_run(&job);
    free(command);
    return code;
}
