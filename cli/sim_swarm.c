/* kith sim swarm: every seed a world of its own, with its own misfortunes, and the checkers looking on.
 *
 * What it prints of a failure is all that is needed to begin: the checker's sentence, the command that repeats it, and
 * the last lines of what happened; with --shrink also the least plan that still fails in that way.  What passes is one
 * line, with how long the healed cores took to agree.
 *
 * A seed may be a git hash: its first 16 digits are the number.  So a commit can draw a world that nobody chose.
 * Exit codes: 0 nothing found, 1 a violation, 2 wrong usage. */
#include "cli/sim.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/canary.h"
#include "cli/sim_swarm_jobs.h"

#define SWARM_TRACE_LINES 50
#define SWARM_TRACE_ALL   200000
#define SWARM_DETAILS_MAX 3 /* failures that are told with trace and all; of the others the sentence */

struct swarm {
    const char *seeds, *seed, *canary;
    uint32_t jobs;
    bool json, shrink, trace, list;

    uint64_t first, last;
    uint64_t run, failed;
    uint64_t digest;     /* of all runs' digests */
    uint32_t *agreed_ms; /* of the worlds that have the usual time */
    size_t agreed_count;
    json_t *failures;
};

/* ---- wishes ---- */

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
    if (!sw->seed)
        return ki_sim_seeds(sw->seeds ? sw->seeds : "1..200", &sw->first, &sw->last);
    if (sw->seeds)
        return "and -seeds exclude each other";
    const char *wrong = swarm_hash(sw->seed, &sw->first) ? NULL : ki_sim_seed(sw->seed, &sw->first);
    sw->last = sw->first;
    return wrong;
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

static int swarm_list(void)
{
    for (size_t i = 0; sim_checker_at(i); i++)
        printf("%-12s  %s\n", sim_checker_at(i)->watch.name, sim_checker_at(i)->about);
    printf("%-12s  %s\n", "agree", "after the healing all views of the core agree, and keep to it");
    return KI_EXIT_OK;
}

/* ---- one result ---- */

static void swarm_failure_json(struct swarm *sw, const struct ki_swarm_result *r)
{
    char seed[24]; /* as text: JSON's numbers are often read as doubles, and a hash is larger than they hold */
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)r->seed);
    json_array_append_new(sw->failures, json_pack("{s:s, s:s, s:s, s:I, s:I}", "seed", seed, "checker",
                                                  r->verdict.checker, "sentence", r->verdict.sentence, "nodes",
                                                  (json_int_t)r->nodes, "faults", (json_int_t)r->faults));
}

static void swarm_run_apart(void *arg, const struct sim_plan *plan, struct sim_verdict *out)
{
    (void)arg;
    if (!ki_swarm_run_apart(plan, 0, out))
        *out = (struct sim_verdict){.failed = false};
}

static void swarm_shrink(const struct ki_swarm_result *r)
{
    static struct sim_plan plan;
    sim_plan_draw(&plan, r->seed);
    uint32_t runs = sim_plan_shrink(&plan, &r->verdict, swarm_run_apart, NULL);
    struct sim_verdict verdict;
    printf("the least that fails so, of %u nodes and %u faults, by %u runs:\n", r->nodes, r->faults, runs);
    sim_plan_print(&plan, stdout);
    if (ki_swarm_run_apart(&plan, SWARM_TRACE_LINES, &verdict))
        printf("%s\n", verdict.sentence);
}

static void swarm_failure(struct swarm *sw, const struct ki_swarm_result *r)
{
    sw->failed++;
    if (sw->json) {
        swarm_failure_json(sw, r);
        return;
    }
    printf("seed %llu FAILED: %s\n", (unsigned long long)r->seed, r->verdict.sentence);
    printf("  again: kith sim swarm --seeds %llu%s%s\n", (unsigned long long)r->seed, sw->canary ? " --canary " : "",
           sw->canary ? sw->canary : "");
    if (sw->failed > SWARM_DETAILS_MAX)
        return;
    if (sw->shrink) {
        swarm_shrink(r);
    } else if (!sw->trace) {
        static struct sim_plan plan;
        struct sim_verdict verdict;
        sim_plan_draw(&plan, r->seed);
        ki_swarm_run_apart(&plan, SWARM_TRACE_LINES, &verdict);
    }
}

static void swarm_trace(uint64_t seed)
{
    static struct sim_plan plan;
    struct sim_verdict verdict;
    sim_plan_draw(&plan, seed);
    printf("seed %llu: ", (unsigned long long)seed);
    sim_plan_print(&plan, stdout);
    ki_swarm_run_apart(&plan, SWARM_TRACE_ALL, &verdict);
}

static void swarm_take(struct swarm *sw, const struct ki_swarm_result *r)
{
    sw->run++;
    sw->digest = (sw->digest ^ r->verdict.digest) * 0x9e3779b97f4a7c15;
    if (sw->trace && !sw->json)
        swarm_trace(r->seed);
    if (r->verdict.failed)
        swarm_failure(sw, r);
    else if (r->verdict.allowed_us == SIM_SWARM_AGREE_US)
        sw->agreed_ms[sw->agreed_count++] = (uint32_t)(r->verdict.agreed_us / 1000);
}

/* ---- all of them ---- */

static int swarm_compare(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Nearest rank. */
static uint32_t swarm_agreed(const struct swarm *sw, uint32_t percent)
{
    if (sw->agreed_count == 0)
        return 0;
    size_t rank = (sw->agreed_count * percent + 99) / 100;
    return sw->agreed_ms[rank ? rank - 1 : 0];
}

static int swarm_report(struct swarm *sw, double wall_s)
{
    qsort(sw->agreed_ms, sw->agreed_count, sizeof *sw->agreed_ms, swarm_compare);
    uint32_t p50 = swarm_agreed(sw, 50), p99 = swarm_agreed(sw, 99), most = swarm_agreed(sw, 100);
    double rate = wall_s > 0 ? (double)sw->run / wall_s : 0;
    int code = sw->failed ? KI_EXIT_FAILED : KI_EXIT_OK;
    if (ki_sim_interrupted())
        code = KI_EXIT_INTERRUPTED;
    char digest[20];
    snprintf(digest, sizeof digest, "%016llx", (unsigned long long)sw->digest);
    if (sw->json) {
        json_t *doc = json_pack("{s:I, s:I, s:s, s:o, s:{s:i, s:i, s:i, s:i}, s:f, s:f}", "run", (json_int_t)sw->run,
                                "failed", (json_int_t)sw->failed, "digest", digest, "failures", sw->failures, "agreed_ms",
                                "worlds", (int)sw->agreed_count, "p50", (int)p50, "p99", (int)p99, "max", (int)most,
                                "wall_s", wall_s, "seeds_per_s", rate);
        int printed = ki_json_print(doc, 0);
        return code == KI_EXIT_OK ? printed : code;
    }
    printf("%llu seeds, %llu failed, in %.1f s (%.0f a second); digest %s\n", (unsigned long long)sw->run,
           (unsigned long long)sw->failed, wall_s, rate, digest);
    if (sw->agreed_count > 0)
        printf("healed cores agree after %.2f s (median of %zu worlds), %.2f s (p99), %.2f s at most; %.0f s allowed\n",
               p50 / 1e3, sw->agreed_count, p99 / 1e3, most / 1e3, (double)SIM_SWARM_AGREE_US / 1e6);
    return code;
}

static int swarm_run(struct swarm *sw)
{
    struct ki_swarm_jobs jobs = {.first = sw->first, .last = sw->last, .count = sw->jobs};
    struct ki_sim_progress progress;
    uint64_t count = sw->last - sw->first + 1, began_us = ki_sim_wall_us();
    sw->agreed_ms = malloc((size_t)count * sizeof *sw->agreed_ms);
    sw->failures = json_array();
    if (!sw->agreed_ms || !sw->failures) {
        fprintf(stderr, "kith sim swarm: out of memory for %llu seeds\n", (unsigned long long)count);
        return KI_EXIT_FAILED;
    }
    ki_sim_progress_begin(&progress);
    ki_sim_interruptible();
    bool fine = true;
    for (uint64_t seed = sw->first; fine && sw->run < count && !ki_sim_interrupted(); seed++) {
        struct ki_swarm_result result;
        fine = ki_swarm_next(&jobs, seed, &result);
        if (!fine)
            break;
        if (result.verdict.failed)
            ki_sim_progress_end(&progress);
        swarm_take(sw, &result);
        ki_sim_progress_show(&progress, sw->run, count, "%llu failed", (unsigned long long)sw->failed);
    }
    ki_sim_progress_end(&progress);
    ki_swarm_end(&jobs);
    if (!fine)
        perror("kith sim swarm: cannot make a process");
    int code = swarm_report(sw, (double)(ki_sim_wall_us() - began_us) / 1e6);
    free(sw->agreed_ms);
    return fine ? code : KI_EXIT_FAILED;
}

int ki_cmd_sim_swarm(int argc, char **argv)
{
    struct swarm sw = {0};
    const struct ki_flag flags[] = {
        {"seeds", KI_FLAG_TEXT, &sw.seeds, "1..200", "Seeds to run, each a world; or one."},
        {"seed", KI_FLAG_TEXT, &sw.seed, "hash", "One seed; a git hash of 40 digits is one too."},
        {"jobs", KI_FLAG_UINT, &sw.jobs, "2", "Processes at a time; as many as there are processors."},
        {"shrink", KI_FLAG_BOOL, &sw.shrink, NULL, "Of what fails, finds the fewest faults and nodes that still do."},
        {"trace", KI_FLAG_BOOL, &sw.trace, NULL, "Prints every seed's plan, and all that happens."},
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
    if (sw.list)
        return swarm_list();
    const char *wrong = swarm_wishes_seeds(&sw);
    if (wrong)
        return ki_usage_error(&usage, "-seed%s %s %s", sw.seed ? "" : "s", sw.seed ? sw.seed : sw.seeds, wrong);
    if (sw.canary && !swarm_canary(sw.canary))
        return ki_usage_error(&usage, "-canary %s: there is none of that name", sw.canary);
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (sw.jobs == 0)
        sw.jobs = processors > 0 ? (uint32_t)processors : 1;
    if (sw.jobs > KI_SWARM_JOBS_MAX)
        return ki_usage_error(&usage, "-jobs %u: at most %d", sw.jobs, KI_SWARM_JOBS_MAX);
    if (sw.last - sw.first >= UINT32_MAX)
        return ki_usage_error(&usage, "-seeds %s are too many", sw.seeds);
    return swarm_run(&sw);
}
