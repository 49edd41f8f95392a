/* kith sim run: one cluster, chosen faults, and what came of it.
 *
 * Everything that can be wrong with a scenario is found before anything runs, and said in one line that names the flag and
 * its value.  The run itself is sim/run.c's; here it is cut into slices of virtual time so that a bar can move and Ctrl-C
 * can end it early, which changes nothing of what it computes.
 *
 * The wall clock is here and only here: setup (nodes made, views filled) and run are timed apart. */
#include "cli/sim_run.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli/sim.h"

#define RUN_NODES_MAX      100000u
#define RUN_LATENCY_MAX_US UINT64_C(600000000)
#define RUN_FOR_MAX_US     UINT64_C(86400000000)
#define RUN_CHECK_NODES    200 /* the checkers cost time and memory by the square of the nodes */
#define RUN_SLICE_US       (10 * KITH_SIM_MS)
#define RUN_REORDER_US     10000u
#define RUN_TRACE_LINES    1000
#define RUN_ENTRY_BYTES    112u /* of a view, measured: "bytes a member" of warm runs */

enum { RUN_ENDS_NEVER, RUN_ENDS_MAYBE, RUN_ENDS };

static const struct {
    const char *name;
    const char *value;
    const char *help;
    enum sim_run_fault_kind kind;
    int ends;
} run_faults[] = {
    {"kill", "nodes@time", "Ends processes without a word; their hosts refuse what comes.", SIM_RUN_KILL,
     RUN_ENDS_NEVER},
    {"crash", "nodes@time", "Hosts fall silent.", SIM_RUN_CRASH, RUN_ENDS_NEVER},
    {"leave", "nodes@time", "Members leave gracefully.", SIM_RUN_LEAVE, RUN_ENDS_NEVER},
    {"restart", "nodes@from..until", "Ends processes, and starts them again without what they knew.", SIM_RUN_RESTART,
     RUN_ENDS},
    {"pause", "nodes@from..until", "Stops processes, and lets them go on.", SIM_RUN_PAUSE, RUN_ENDS_MAYBE},
    {"slow", "nodes@from..until", "Holds up all traffic of nodes while their clocks run.", SIM_RUN_SLOW, RUN_ENDS},
    {"partition", "nodes@from..until", "Cuts nodes off from all others, both ways.", SIM_RUN_PARTITION,
     RUN_ENDS_MAYBE},
};

#define RUN_FAULT_KINDS KI_COUNT(run_faults)

struct run_options {
    uint32_t nodes;
    const char *duration, *seed, *profile, *mix, *latency, *loss, *duplicate, *reorder, *report;
    bool warm, until_full, compress, key, check, trace, json;
    struct ki_flag_list faults[RUN_FAULT_KINDS];
};

struct run {
    const struct ki_usage *usage;
    struct run_options options;
    struct sim_scenario scenario;
    struct sim_run_fault *faults;
    struct ki_sim_run_about about;
};

/* ---- understanding ---- */

static bool run_profile(const struct run *run, enum kith_profile *out)
{
    static const char *const names[] = {"lan", "wan", "local"}; /* as in enum kith_profile */
    size_t which;
    if (!ki_flag_choice(run->usage, "profile", run->options.profile, names, KI_COUNT(names), &which))
        return false;
    *out = (enum kith_profile)which;
    return true;
}

static bool run_ppm(const struct run *run, const char *flag, const char *text, uint32_t *ppm)
{
    return !text || ki_flag_fits(run->usage, flag, text, ki_sim_percent(text, ppm));
}

static bool run_link(const struct run *run, struct kith_sim_link *link)
{
    const struct run_options *o = &run->options;
    uint64_t min_us = link->latency_min_us, max_us = link->latency_max_us;
    const char *wrong = o->latency ? ki_sim_duration_range(o->latency, &min_us, &max_us) : NULL;
    if (!wrong && max_us > RUN_LATENCY_MAX_US)
        wrong = "is more than 10m";
    if (!ki_flag_fits(run->usage, "latency", o->latency, wrong))
        return false;
    link->latency_min_us = (uint32_t)min_us;
    link->latency_max_us = (uint32_t)max_us;
    link->reorder_us = (uint32_t)ki_max_u64(RUN_REORDER_US, max_us);
    return run_ppm(run, "loss", o->loss, &link->loss_ppm) &&
           run_ppm(run, "duplicate", o->duplicate, &link->duplicate_ppm) &&
           run_ppm(run, "reorder", o->reorder, &link->reorder_ppm);
}

static const char *run_duration(const char *text, uint64_t *us)
{
    const char *wrong = ki_sim_duration(text, us);
    if (!wrong && (*us == 0 || *us > RUN_FOR_MAX_US))
        wrong = "must be more than 0 and at most 24h";
    return wrong;
}

static bool run_scenario(struct run *run)
{
    const struct run_options *o = &run->options;
    const struct ki_usage *usage = run->usage;
    struct sim_scenario *scenario = &run->scenario;
    scenario->nodes = o->nodes;
    scenario->warm = o->warm;
    scenario->compress = o->compress;
    scenario->key = o->key;
    scenario->check = o->check || o->nodes <= RUN_CHECK_NODES;
    scenario->trace_lines = o->trace ? RUN_TRACE_LINES : 0;
    return ki_flag_within(usage, "nodes", o->nodes, 1, RUN_NODES_MAX) &&
           ki_flag_fits(usage, "for", o->duration, run_duration(o->duration, &scenario->for_us)) &&
           ki_flag_fits(usage, "seed", o->seed, ki_sim_seed(o->seed, &scenario->seed)) &&
           (!o->mix || ki_flag_fits(usage, "mix", o->mix, ki_sim_mix(o->mix, &scenario->stock_ppm))) &&
           run_profile(run, &scenario->profile) && run_link(run, &scenario->link);
}

static bool run_fault(const struct run *run, size_t kind, const char *text, struct sim_run_fault *out)
{
    struct ki_sim_share share;
    const char *wrong = ki_sim_share(text, &share);
    if (!wrong && share.ends && run_faults[kind].ends == RUN_ENDS_NEVER)
        wrong = "has an end, but what it does stays";
    if (!wrong && !share.ends && run_faults[kind].ends == RUN_ENDS)
        wrong = "lacks its end, as in 10%@20s..30s";
    if (!wrong && run_faults[kind].kind == SIM_RUN_PARTITION &&
        ki_sim_share_of(&share, run->scenario.nodes) == run->scenario.nodes)
        wrong = "leaves nobody to be cut from";
    if (!ki_flag_fits(run->usage, run_faults[kind].name, text, wrong))
        return false;
    *out = (struct sim_run_fault){.kind = run_faults[kind].kind,
                                  .nodes = ki_sim_share_of(&share, run->scenario.nodes),
                                  .at_us = share.at_us,
                                  .until_us = share.ends ? share.until_us : KITH_NEVER};
    return true;
}

static bool run_impossible(const struct run *run, size_t kind, const char *text, size_t index, enum sim_impossible why,
                           uint32_t left)
{
    const struct ki_usage *usage = run->usage;
    const char *name = run_faults[kind].name;
    uint32_t nodes = run->scenario.nodes;
    switch (why) {
    case SIM_TOO_LATE:
        return ki_flag_wrong(usage, name, text, "is not within the %s that the run takes", run->options.duration);
    case SIM_NO_NODES:
        return ki_flag_wrong(usage, name, text, "of %u nodes that is none", nodes);
    case SIM_TOO_MANY:
        return ki_flag_wrong(usage, name, text, "wants %u nodes, but only %u of %u can be hit then",
                             run->faults[index].nodes, left, nodes);
    case SIM_TOO_MANY_SIDES:
        return ki_flag_wrong(usage, name, text, "is one partition more than %d", SIM_SIDES - 1);
    case SIM_POSSIBLE:
        break;
    }
    KI_UNREACHABLE();
}

/* All faults of all flags, one after another, and whether they can be. */
static bool run_all_faults(struct run *run)
{
    size_t total = 0, index = 0, first = 0;
    uint32_t left;
    for (size_t kind = 0; kind < RUN_FAULT_KINDS; kind++)
        total += run->options.faults[kind].count;
    run->faults = ki_sim_new((total + 1) * sizeof *run->faults);
    for (size_t kind = 0; kind < RUN_FAULT_KINDS; kind++) {
        for (size_t i = 0; i < run->options.faults[kind].count; i++) {
            if (!run_fault(run, kind, run->options.faults[kind].items[i], &run->faults[index++]))
                return false;
        }
    }
    run->scenario.faults = run->faults;
    run->scenario.fault_count = total;
    enum sim_impossible why = ki_sim_scenario_fault(&run->scenario, &index, &left);
    for (size_t kind = 0; kind < RUN_FAULT_KINDS && why != SIM_POSSIBLE; kind++) {
        size_t count = run->options.faults[kind].count;
        if (index < first + count)
            return run_impossible(run, kind, run->options.faults[kind].items[index - first], index, why, left);
        first += count;
    }
    return true;
}

/* What this process may use: the machine's memory, or less by its own limit. */
static uint64_t run_memory_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    uint64_t bytes = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : UINT64_MAX;
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        bytes = ki_min_u64(bytes, limit.rlim_cur);
    return bytes;
}

/* Full views are there from the beginning, so what they take is known before anything runs. */
static bool run_fits_memory(const struct run *run)
{
    uint64_t need = (uint64_t)run->scenario.nodes * run->scenario.nodes * RUN_ENTRY_BYTES, have = run_memory_bytes();
    char nodes[16], a[40], b[40];
    if (!run->scenario.warm || need <= have)
        return true;
    snprintf(nodes, sizeof nodes, "%u", run->scenario.nodes);
    return ki_flag_wrong(run->usage, "nodes", nodes, "full views (-warm) need about %s GiB, and there are %s GiB",
                         ki_sim_figure((double)need / (1 << 30), a), ki_sim_figure((double)have / (1 << 30), b));
}

/* ---- running ---- */

static struct sim_run *run_carry_out(struct run *run)
{
    struct ki_sim_progress progress;
    uint64_t began_us = ki_sim_wall_us();
    struct sim_run *sim = ki_sim_run_new(&run->scenario);
    uint64_t ready_us = ki_sim_wall_us();
    uint64_t at_us = 0, for_us = run->scenario.for_us;
    run->about.setup_s = (double)(ready_us - began_us) / 1e6;
    ki_sim_interruptible();
    ki_sim_progress_begin(&progress);
    while (ki_sim_run_advance(sim, at_us += RUN_SLICE_US) && !ki_sim_interrupted()) {
        if (run->options.until_full && ki_sim_run_is_full(sim))
            break;
        uint64_t wall_us = ki_max_u64(ki_sim_wall_us() - ready_us, 1);
        ki_sim_progress_show(&progress, at_us, for_us, "%.1f s of %.1f s  %.1fx", (double)at_us / 1e6,
                             (double)for_us / 1e6, (double)at_us / (double)wall_us);
    }
    run->about.wall_s = (double)(ki_sim_wall_us() - ready_us) / 1e6;
    ki_sim_progress_wipe(&progress);
    return sim;
}

static uint64_t run_peak_rss_bytes(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_maxrss * 1024;
}

static int run_verdict(const struct ki_sim_run_about *about, const struct sim_result *result, int code)
{
    fflush(stdout);
    if (result->violation)
        fprintf(stderr, "kith sim run: what must always hold did not: %s\n", result->violation);
    if (result->lied)
        fprintf(stderr, "kith sim run: full views were counted, but are not there: a bug of the simulator\n");
    if (result->violation || result->lied)
        return KI_EXIT_FAILED;
    return about->interrupted ? KI_EXIT_INTERRUPTED : code;
}

static int run_all(struct run *run)
{
    struct sim_result result;
    struct sim_run *sim = run_carry_out(run);
    struct ki_sim_run_about *about = &run->about;
    int code = KI_EXIT_OK;
    about->peak_rss_bytes = run_peak_rss_bytes();
    about->world = ki_sim_run_world(sim);
    ki_sim_run_measure(sim, &result);
    about->interrupted = ki_sim_interrupted() && result.virtual_us < run->scenario.for_us;
    if (run->options.json)
        code = ki_sim_run_json(about, &result);
    else
        ki_sim_run_table(about, &result);
    if (run->options.report && code == KI_EXIT_OK)
        code = ki_sim_run_report(about, &result, run->options.report);
    code = run_verdict(about, &result, code);
    ki_sim_run_free(sim);
    return code;
}

/* ---- flags ---- */

#define RUN_FLAGS_MAX (17 + RUN_FAULT_KINDS)

static size_t run_flags(struct run_options *o, struct ki_flag flags[RUN_FLAGS_MAX])
{
    const struct ki_flag plain[] = {
        {"nodes", KI_FLAG_UINT, &o->nodes, "100", "Nodes of the cluster."},
        {"for", KI_FLAG_TEXT, &o->duration, "60s", "Virtual time that the run takes."},
        {"seed", KI_FLAG_TEXT, &o->seed, "1", "All luck follows from it: the same seed, the same run."},
        {"warm", KI_FLAG_BOOL, &o->warm, NULL,
         "Begin with full views.  Otherwise nodes start one by one (10 ms apart, all within\n10 s and half of the run), "
         "and each joins one that was started before it."},
        {"until-full", KI_FLAG_BOOL, &o->until_full, NULL,
         "End as soon as all have started and all views are full, if that is before -for."},
        {"profile", KI_FLAG_TEXT, &o->profile, "lan", "Timing: lan, wan or local."},
        {"mix", KI_FLAG_TEXT, &o->mix, "stock:kith",
         "Of so many nodes, how many do without what kith adds to memberlist and\nSerf: of 30:70, 30 in 100."},
        {"compress", KI_FLAG_BOOL, &o->compress, NULL, "Compress datagrams and streams."},
        {"key", KI_FLAG_BOOL, &o->key, NULL, "Encrypt, with a key of 16 bytes."},
        {"latency", KI_FLAG_TEXT, &o->latency, "0.5ms..1.5ms", "Time that datagrams take; uniform in the range."},
        {"loss", KI_FLAG_TEXT, &o->loss, "0%", "Datagrams that are lost."},
        {"duplicate", KI_FLAG_TEXT, &o->duplicate, "0%", "Datagrams that come twice."},
        {"reorder", KI_FLAG_TEXT, &o->reorder, "0%", "Datagrams that come late by up to 10 ms, or the latency."},
        {"check", KI_FLAG_BOOL, &o->check, NULL, "Check what must always hold, even with more than 200 nodes."},
        {"trace", KI_FLAG_BOOL, &o->trace, NULL, "Print the last 1,000 lines of what happened."},
        {"json", KI_FLAG_BOOL, &o->json, NULL, "Print JSON."},
        {"report", KI_FLAG_TEXT, &o->report, "path", "Write a page with tables and plots."},
    };
    _Static_assert(KI_COUNT(plain) + RUN_FAULT_KINDS == RUN_FLAGS_MAX, "one place for each");
    memcpy(flags, plain, sizeof plain);
    for (size_t i = 0; i < RUN_FAULT_KINDS; i++)
        flags[KI_COUNT(plain) + i] =
            (struct ki_flag){run_faults[i].name, KI_FLAG_LIST, &o->faults[i], run_faults[i].value, run_faults[i].help};
    return RUN_FLAGS_MAX;
}

int ki_cmd_sim_run(int argc, char **argv)
{
    struct run *run = ki_sim_new(sizeof *run);
    struct run_options *o = &run->options;
    struct ki_flag flags[RUN_FLAGS_MAX];
    struct kith_sim_config defaults;
    int first, code;
    o->nodes = 100;
    o->duration = "60s";
    o->seed = "1";
    o->profile = "lan";
    const struct ki_usage usage = {
        .command = "sim run",
        .operands = "",
        .about = "Runs one simulated cluster and measures it.  Each fault may be given several times, with a share of\n"
                 "  the nodes or their number (-kill 10%@20s, -pause 3@20s..30s), and hits no node that another one\n"
                 "  still holds.",
        .flags = flags,
        .flag_count = run_flags(o, flags),
    };
    run->usage = &usage;
    if (ki_flags_parse(&usage, argc, argv, &first, &code)) {
        kith_sim_config_init(&defaults, 0);
        run->scenario.link = defaults.link;
        char *command = ki_sim_command(argc, argv);
        run->about = (struct ki_sim_run_about){
            .command = command, .profile = o->profile, .scenario = &run->scenario};
        code = KI_EXIT_USAGE;
        if (run_scenario(run) && run_all_faults(run) && run_fits_memory(run) &&
            ki_flag_fits(&usage, "report", o->report, ki_sim_report_refusal(o->report)))
            code = run_all(run);
        free(command);
    }
    free(run->faults);
    free(run);
    return code;
}
