/* kith sim swarm: every seed a world of its own, with its own misfortunes, and the checkers looking on.
 *
 * What it prints of a failure is all that is needed to begin: the checker's sentence, the command that repeats it, and
 * the last lines of what happened; with --shrink also the least plan that still fails in that way, and the command that
 * repeats no more than that.  What passes is one line, with how long the healed cores took to agree.
 *
 * --only and --nodes take a part of one seed's world, by the numbers that its faults have in its plan.  As a fault that is
 * left out moves no other, the part says what shrinking found, and anybody can look for less by hand.
 *
 * A seed may be a git hash: its first 16 digits are the number.  So a commit can draw a world that nobody chose.
 * Exit codes: 0 nothing found, 1 a violation, 2 wrong usage, 130 cut short by Ctrl-C, which ends a shrinking too. */
#include "cli/sim.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/canary.h"
#include "base/rank.h"
#include "cli/sim_swarm_jobs.h"

#define SWARM_TRACE_LINES 50
#define SWARM_TRACE_ALL   200000
#define SWARM_DETAILS_MAX 3 /* failures that are told with trace and all; of the others the sentence */
#define SWARM_COMMAND_MAX 512 /* the longest names 64 faults */

struct swarm_times {
    uint64_t *ms;
    size_t count, cap;
};

struct swarm {
    const char *seeds, *seed, *only, *canary;
    struct ki_flag_uint jobs, nodes;
    bool json, shrink, trace, list, stores, events, aggregates;

    uint64_t first, last;
    struct sim_part part; /* of each world */
    uint64_t run, failed;
    uint64_t digest;     /* of all runs' digests */
    struct swarm_times agreed, stored, folded; /* of the worlds that have the usual time */
    json_t *failures;
};

/* ---- wishes ---- */

static unsigned swarm_with(const struct swarm *sw)
{
    return (sw->stores ? SIM_WITH_STORES : 0) | (sw->events ? SIM_WITH_EVENTS : 0) |
           (sw->aggregates ? SIM_WITH_AGGREGATES : 0);
}

static bool swarm_hash(const char *text, uint64_t *seed)
{
    char digits[17] = {0};
    if (strlen(text) != 40 || strspn(text, "0123456789abcdefABCDEF") != 40)
        return false;
    memcpy(digits, text, 16);
    *seed = strtoull(digits, NULL, 16);
    return true;
}

static const char *swarm_wishes_seeds(struct swarm *sw)
{
    const char *wrong;
    if (sw->seed) {
        wrong = swarm_hash(sw->seed, &sw->first) ? NULL : ki_sim_seed(sw->seed, &sw->first);
        sw->last = sw->first;
        return wrong;
    }
    wrong = ki_sim_seeds(sw->seeds, &sw->first, &sw->last);
    return wrong || sw->last - sw->first < UINT32_MAX ? wrong : "is more than 2^32 - 1 seeds";
}

/* The part of a world, in words that were checked to be about one that there is. */
static bool swarm_wishes_part(const struct ki_usage *usage, struct swarm *sw)
{
    static struct sim_plan plan;
    sw->part = SIM_PART_ALL;
    if (!sw->only && !sw->nodes.given)
        return true;
    if (sw->first != sw->last)
        return ki_flag_wrong(usage, "seeds", sw->seeds, "is more than one, but -only and -nodes are about one world");
    ki_sim_plan_draw(&plan, sw->first, swarm_with(sw));
    const struct sim_part all = ki_sim_plan_part(&plan);
    if (sw->nodes.given && !ki_flag_within(usage, "nodes", sw->nodes.value, 1, all.nodes))
        return false;
    if (sw->only && !ki_flag_fits(usage, "only", sw->only, ki_sim_numbers(sw->only, &sw->part.faults)))
        return false;
    if (sw->only && (sw->part.faults & ~all.faults))
        return ki_flag_wrong(usage, "only", sw->only, "names a fault that the world of seed %llu has not",
                             (unsigned long long)sw->first);
    sw->part.nodes = sw->nodes.given ? sw->nodes.value : all.nodes;
    return true;
}

/* Chooses the planted bug, in a build that has any.  False: there is none of that name. */
static bool swarm_canary(const char *name)
{
#ifdef KITH_CANARY
    for (int i = 1; i < KI_CANARY_COUNT; i++) {
        if (strcmp(name, ki_canary_names[i]) == 0) {
            ki_canary = i;
            return true;
        }
    }
#endif
    return name[0] == '\0';
}

/* Returns false with the reason printed. */
static bool swarm_wishes(const struct ki_usage *usage, struct swarm *sw)
{
    if ((sw->seed && sw->seeds) || (sw->json && sw->trace)) {
        ki_usage_error(usage, "%s exclude each other", sw->seed && sw->seeds ? "-seed and -seeds" : "-json and -trace");
        return false;
    }
    sw->seeds = sw->seeds ? sw->seeds : "1..200";
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (!sw->jobs.given)
        sw->jobs.value = processors > 0 ? (uint32_t)ki_min_u64((uint64_t)processors, KI_SWARM_JOBS_MAX) : 1;
    if (!ki_flag_fits(usage, sw->seed ? "seed" : "seeds", sw->seed ? sw->seed : sw->seeds, swarm_wishes_seeds(sw)))
        return false;
    if (sw->canary && !swarm_canary(sw->canary))
        return ki_flag_wrong(usage, "canary", sw->canary, "is no planted bug");
    return ki_flag_within(usage, "jobs", sw->jobs.value, 1, KI_SWARM_JOBS_MAX) && swarm_wishes_part(usage, sw);
}

static int swarm_list(void)
{
    for (size_t i = 0; ki_sim_checker_at(i); i++)
        printf("%-12s  %s\n", ki_sim_checker_at(i)->watch.name, ki_sim_checker_at(i)->about);
    printf("%-12s  %s\n", "agree", "after the healing all views of the core agree, and keep to it");
    printf("%-12s  %s\n", "converge", "and later all its stores are equal: what they show, roots, contexts");
    printf("%-12s  %s\n", "settle", "and later all its members have settled all events of each other");
    printf("%-12s  %s\n", "fold", "and later all answers of aggregates are what their members give");
    printf("%-12s  %s\n", "flow", "those computed in the network, too; on the way nothing was lost or doubled");
    return KI_EXIT_OK;
}

/* ---- one failure ---- */

/* The command that runs this part of a seed's world again. */
static void swarm_again(const struct swarm *sw, uint64_t seed, const struct sim_part *part, char buf[SWARM_COMMAND_MAX])
{
    static struct sim_plan plan;
    ki_sim_plan_draw(&plan, seed, swarm_with(sw));
    const struct sim_part all = ki_sim_plan_part(&plan);
    FILE *to = fmemopen(buf, SWARM_COMMAND_MAX, "w");
    KI_ASSERT(to);
    fprintf(to, "kith sim swarm --seeds %llu", (unsigned long long)seed);
    if (part->faults != all.faults)
        fprintf(to, " --only %s", part->faults ? "" : "none");
    const char *mark = "";
    for (uint32_t i = 0; i < plan.fault_count && part->faults != all.faults; i++) {
        if (!(part->faults >> i & 1))
            continue;
        fprintf(to, "%s%u", mark, i + 1);
        mark = ",";
    }
    if (part->nodes != all.nodes)
        fprintf(to, " --nodes %u", part->nodes);
    if (sw->stores)
        fputs(" --stores", to);
    if (sw->events)
        fputs(" --events", to);
    if (sw->aggregates)
        fputs(" --aggregates", to);
    if (sw->canary)
        fprintf(to, " --canary %s", sw->canary);
    fclose(to);
}

static bool swarm_run_apart(void *arg, const struct sim_plan *plan, struct sim_verdict *out)
{
    (void)arg;
    return !ki_sim_interrupted() && ki_swarm_run_apart(plan, 0, NULL, out);
}

/* Returns how many runs it took. */
static uint32_t swarm_shrink(const struct swarm *sw, const struct ki_swarm_result *r, struct sim_plan *plan)
{
    ki_swarm_draw(&sw->part, r->seed, swarm_with(sw), plan);
    return ki_sim_plan_shrink(plan, &r->verdict, swarm_run_apart, NULL);
}

static void swarm_least(const struct swarm *sw, const struct ki_swarm_result *r)
{
    static struct sim_plan plan;
    struct sim_verdict verdict;
    char again[SWARM_COMMAND_MAX];
    uint32_t runs = swarm_shrink(sw, r, &plan);
    const struct sim_part part = ki_sim_plan_part(&plan);
    swarm_again(sw, r->seed, &part, again);
    printf("the least that fails so%s, of %u nodes and %u faults, by %u runs:\n",
           ki_sim_interrupted() ? " (cut short: so far)" : "", r->nodes, r->faults, runs);
    ki_sim_plan_print(&plan, stdout);
    if (ki_swarm_run_apart(&plan, SWARM_TRACE_LINES, stdout, &verdict))
        printf("%s\n", verdict.sentence);
    printf("  again: %s\n", again);
}

static void swarm_failure(const struct swarm *sw, const struct ki_swarm_result *r)
{
    static struct sim_plan plan;
    struct sim_verdict verdict;
    char again[SWARM_COMMAND_MAX];
    ki_swarm_draw(&sw->part, r->seed, swarm_with(sw), &plan);
    const struct sim_part part = ki_sim_plan_part(&plan);
    swarm_again(sw, r->seed, &part, again);
    printf("seed %llu FAILED: %s\n", (unsigned long long)r->seed, r->verdict.sentence);
    printf("  again: %s\n", again);
    if (sw->failed > SWARM_DETAILS_MAX)
        return;
    if (sw->shrink)
        swarm_least(sw, r);
    else if (!sw->trace)
        ki_swarm_run_apart(&plan, SWARM_TRACE_LINES, stdout, &verdict);
}

static json_t *swarm_json_text(const char *text)
{
    return ki_json_bytes(ki_span(text, strlen(text)));
}

/* Takes what was written to a file, a string for each line; null when there is no file. */
static json_t *swarm_json_lines(FILE *from)
{
    json_t *lines = json_array();
    char *line = NULL;
    size_t size = 0;
    ssize_t len;
    if (!from) {
        json_decref(lines);
        return json_null();
    }
    rewind(from);
    while ((len = getline(&line, &size, from)) > 0)
        json_array_append_new(lines, ki_json_bytes(ki_span(line, (size_t)len - (line[len - 1] == '\n'))));
    free(line);
    fclose(from);
    return lines;
}

static json_t *swarm_json_plan(const struct sim_plan *plan)
{
    FILE *to = tmpfile();
    if (to)
        ki_sim_plan_print(plan, to);
    return swarm_json_lines(to);
}

/* Runs a plan again, for the lines that text shows of it.  The child writes into the file, and we read it. */
static json_t *swarm_json_trace(const struct sim_plan *plan, struct sim_verdict *verdict)
{
    FILE *to = tmpfile();
    ki_swarm_run_apart(plan, SWARM_TRACE_LINES, to, verdict);
    return swarm_json_lines(to);
}

static json_t *swarm_json_least(const struct swarm *sw, const struct ki_swarm_result *r)
{
    static struct sim_plan plan;
    struct sim_verdict verdict = r->verdict;
    char again[SWARM_COMMAND_MAX];
    uint32_t runs = swarm_shrink(sw, r, &plan);
    const struct sim_part part = ki_sim_plan_part(&plan);
    swarm_again(sw, r->seed, &part, again);
    json_t *trace = swarm_json_trace(&plan, &verdict);
    return json_pack("{s:s, s:o, s:I, s:I, s:I, s:o, s:o}", "again", again, "sentence", swarm_json_text(verdict.sentence),
                     "nodes", (json_int_t)part.nodes, "faults", (json_int_t)ki_sim_plan_faults(&plan), "runs",
                     (json_int_t)runs, "plan", swarm_json_plan(&plan), "trace", trace);
}

static void swarm_failure_json(const struct swarm *sw, const struct ki_swarm_result *r)
{
    static struct sim_plan plan;
    struct sim_verdict verdict;
    char again[SWARM_COMMAND_MAX];
    bool details = sw->failed <= SWARM_DETAILS_MAX;
    ki_swarm_draw(&sw->part, r->seed, swarm_with(sw), &plan);
    const struct sim_part part = ki_sim_plan_part(&plan);
    swarm_again(sw, r->seed, &part, again);
    json_t *failure = json_pack("{s:o, s:s, s:o, s:s, s:I, s:I}", "seed", ki_json_u64(r->seed), "checker",
                                r->verdict.checker, "sentence", swarm_json_text(r->verdict.sentence), "again", again,
                                "nodes", (json_int_t)r->nodes, "faults", (json_int_t)r->faults);
    if (sw->shrink)
        json_object_set_new(failure, "least", details ? swarm_json_least(sw, r) : json_null());
    else
        json_object_set_new(failure, "trace", details ? swarm_json_trace(&plan, &verdict) : json_null());
    json_array_append_new(sw->failures, failure);
}

/* ---- one result ---- */

static void swarm_trace(const struct swarm *sw, uint64_t seed)
{
    static struct sim_plan plan;
    struct sim_verdict verdict;
    ki_swarm_draw(&sw->part, seed, swarm_with(sw), &plan);
    printf("seed %llu: ", (unsigned long long)seed);
    ki_sim_plan_print(&plan, stdout);
    ki_swarm_run_apart(&plan, SWARM_TRACE_ALL, stdout, &verdict);
}

/* Returns false when out of memory. */
static bool swarm_time(struct swarm_times *times, uint64_t us)
{
    if (times->count == times->cap) {
        size_t cap = times->cap ? times->cap * 2 : 256;
        uint64_t *more = realloc(times->ms, cap * sizeof *more);
        if (!more)
            return false;
        times->ms = more;
        times->cap = cap;
    }
    times->ms[times->count++] = us / 1000;
    return true;
}

/* Returns false when out of memory. */
static bool swarm_take(struct swarm *sw, const struct ki_swarm_result *r)
{
    sw->run++;
    sw->digest = (sw->digest ^ r->verdict.digest) * 0x9e3779b97f4a7c15;
    sw->failed += r->verdict.failed;
    if (sw->trace)
        swarm_trace(sw, r->seed);
    if (r->verdict.failed && sw->json)
        swarm_failure_json(sw, r);
    else if (r->verdict.failed)
        swarm_failure(sw, r);
    else if (r->verdict.allowed_us == SIM_SWARM_AGREE_US)
        return swarm_time(&sw->agreed, r->verdict.agreed_us) &&
               (!sw->stores || swarm_time(&sw->stored, r->verdict.stored_us)) &&
               (!sw->aggregates || swarm_time(&sw->folded, r->verdict.folded_us));
    return true;
}

/* ---- all of them ---- */

static uint64_t swarm_rank(const struct swarm_times *times, unsigned percent)
{
    return times->count > 0 ? ki_rank(times->ms, times->count, percent) : 0;
}

static json_t *swarm_times_json(const struct swarm_times *times)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "worlds", (json_int_t)times->count, "p50", (json_int_t)swarm_rank(times, 50),
                     "p99", (json_int_t)swarm_rank(times, 99), "max", (json_int_t)swarm_rank(times, 100));
}

static void swarm_times_text(struct swarm_times *times, const char *who, uint64_t allowed_us)
{
    if (times->count > 0)
        printf("%s agree after %.2f s (median of %zu worlds), %.2f s (p99), %.2f s at most; %.0f s allowed\n", who,
               (double)swarm_rank(times, 50) / 1e3, times->count, (double)swarm_rank(times, 99) / 1e3,
               (double)swarm_rank(times, 100) / 1e3, (double)allowed_us / 1e6);
}

static int swarm_report_json(const struct swarm *sw, const char *digest, double wall_s, double rate)
{
    json_t *root = json_pack("{s:I, s:I, s:b, s:s, s:O, s:o, s:f, s:f}", "run", (json_int_t)sw->run, "failed",
                             (json_int_t)sw->failed, "interrupted", (int)ki_sim_interrupted(), "digest", digest,
                             "failures", sw->failures, "agreed_ms", swarm_times_json(&sw->agreed),
                             "wall_s", wall_s, "seeds_per_s", rate);
    if (sw->stores)
        json_object_set_new(root, "stored_ms", swarm_times_json(&sw->stored));
    if (sw->aggregates)
        json_object_set_new(root, "folded_ms", swarm_times_json(&sw->folded));
    return ki_json_print(root, KI_SIM_JSON_REALS);
}

static int swarm_report(struct swarm *sw, double wall_s)
{
    struct swarm_times *all[] = {&sw->agreed, &sw->stored, &sw->folded};
    for (size_t i = 0; i < KI_COUNT(all); i++) {
        if (all[i]->count > 0)
            qsort(all[i]->ms, all[i]->count, sizeof *all[i]->ms, ki_rank_order);
    }
    double rate = wall_s > 0 ? (double)sw->run / wall_s : 0;
    int code = sw->failed ? KI_EXIT_FAILED : KI_EXIT_OK;
    if (ki_sim_interrupted())
        code = KI_EXIT_INTERRUPTED;
    char digest[20];
    snprintf(digest, sizeof digest, "%016llx", (unsigned long long)sw->digest);
    if (sw->json) {
        int printed = swarm_report_json(sw, digest, wall_s, rate);
        return code == KI_EXIT_OK ? printed : code;
    }
    printf("%llu seeds, %llu failed, in %.1f s (%.0f a second); digest %s\n", (unsigned long long)sw->run,
           (unsigned long long)sw->failed, wall_s, rate, digest);
    swarm_times_text(&sw->agreed, "healed cores", SIM_SWARM_AGREE_US);
    swarm_times_text(&sw->stored, "their stores", SIM_SWARM_AGREE_US + SIM_SWARM_STORE_US);
    swarm_times_text(&sw->folded, "their aggregates", SIM_SWARM_AGGREGATES_US);
    return code;
}

/* Returns false with the reason printed. */
static bool swarm_run_all(struct swarm *sw, uint64_t count)
{
    struct ki_swarm_jobs jobs = {.first = sw->first, .last = sw->last, .count = sw->jobs.value, .part = sw->part,
                                 .with = swarm_with(sw)};
    struct ki_sim_progress progress;
    ki_sim_progress_begin(&progress);
    ki_sim_interruptible();
    bool fine = true;
    for (uint64_t seed = sw->first; fine && sw->run < count && !ki_sim_interrupted(); seed++) {
        struct ki_swarm_result result;
        fine = ki_swarm_next(&jobs, seed, &result);
        if (!fine) {
            ki_sim_progress_wipe(&progress);
            perror("kith sim swarm: cannot make a process");
            break;
        }
        if (result.verdict.failed || sw->trace)
            ki_sim_progress_wipe(&progress); /* here something is printed */
        fine = swarm_take(sw, &result);
        if (!fine)
            fprintf(stderr, "kith sim swarm: out of memory\n");
        ki_sim_progress_show(&progress, sw->run, count, "%llu failed", (unsigned long long)sw->failed);
    }
    ki_sim_progress_wipe(&progress);
    ki_swarm_end(&jobs);
    return fine;
}

static int swarm_run(struct swarm *sw)
{
    uint64_t began_us = ki_sim_wall_us();
    sw->failures = json_array();
    bool fine = swarm_run_all(sw, sw->last - sw->first + 1);
    int code = swarm_report(sw, (double)(ki_sim_wall_us() - began_us) / 1e6);
    code = fine ? code : KI_EXIT_FAILED;
    free(sw->agreed.ms);
    free(sw->stored.ms);
    free(sw->folded.ms);
    json_decref(sw->failures);
    return code;
}

int ki_cmd_sim_swarm(int argc, char **argv)
{
    struct swarm sw = {.run = 0};
    const struct ki_flag flags[] = {
        {"seeds", KI_FLAG_TEXT, &sw.seeds, "1..200", "Seeds to run, each a world; or one."},
        {"seed", KI_FLAG_TEXT, &sw.seed, "n", "One seed; a git hash of 40 digits is one too."},
        {"only", KI_FLAG_TEXT, &sw.only, "n,n,...", "Of one seed's faults these, by their numbers in its plan; or none."},
        {"nodes", KI_FLAG_UINT_GIVEN, &sw.nodes, "n", "Of one seed's nodes the first."},
        {"stores", KI_FLAG_BOOL, &sw.stores, NULL, "Every world has stores, which are written to: other worlds."},
        {"events", KI_FLAG_BOOL, &sw.events, NULL, "Members send events and ask queries: other worlds."},
        {"aggregates", KI_FLAG_BOOL, &sw.aggregates, NULL, "Members contribute to aggregates: other worlds."},
        {"jobs", KI_FLAG_UINT_GIVEN, &sw.jobs, "n", "Processes at a time; otherwise as many as there are processors."},
        {"shrink", KI_FLAG_BOOL, &sw.shrink, NULL, "Of what fails, finds the fewest faults and nodes that still do."},
        {"trace", KI_FLAG_BOOL, &sw.trace, NULL, "Prints every seed's plan, and what happens: its last 200,000 lines."},
        {"list-checkers", KI_FLAG_BOOL, &sw.list, NULL, "Lists what is checked."},
        {"json", KI_FLAG_BOOL, &sw.json, NULL, "Print JSON, with numbers as numbers."},
#ifdef KITH_CANARY
        {"canary", KI_FLAG_TEXT, &sw.canary, "name", "Plants this bug."},
#endif
    };
    const struct ki_usage usage = {"sim swarm",
                                   "",
                                   "Runs random worlds under random faults; every protocol rule is checked all the "
                                   "time,\n  and after healing all views must agree.",
                                   flags,
                                   KI_COUNT(flags),
                                   0,
                                   0};
    int first, code;
    if (!ki_flags_parse(&usage, argc, argv, &first, &code))
        return code;
    if (!swarm_wishes(&usage, &sw))
        return KI_EXIT_USAGE;
    return sw.list ? swarm_list() : swarm_run(&sw);
}
