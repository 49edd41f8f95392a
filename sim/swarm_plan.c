/* A number -> a world and its misfortunes.
 *
 * Generators split from the seed, one for what the world is, one for its faults, one for who belongs to the core, one each
 * for its stores, its events and its aggregates:
 * leaving a fault out, or drawing one more, moves nothing else.  Each fault carries whatever luck it needs.
 *
 * Small worlds are drawn most: most bugs of membership need few nodes, and small worlds are quick.  What is not loss of
 * messages but their forgery is kept to worlds that can tell: a flipped bit in plain text makes a rumour of its own. */
#include "sim/swarm.h"

#define PLAN_SECOND KITH_SIM_SECOND

static const char *const plan_names[] = {
#define PLAN_NAME(name, text) text,
    SIM_FAULTS(PLAN_NAME)
#undef PLAN_NAME
};

static uint64_t plan_between(struct ki_rng *rng, uint64_t least, uint64_t most)
{
    return least + ki_rng_below(rng, most - least + 1);
}

static bool plan_percent(struct ki_rng *rng, unsigned percent)
{
    return ki_rng_below(rng, 100) < percent;
}

/* ---- the world ---- */

static uint32_t plan_size(struct ki_rng *rng)
{
    uint64_t dice = ki_rng_below(rng, 100);
    if (dice < 55)
        return (uint32_t)plan_between(rng, 2, 6);
    if (dice < 85)
        return (uint32_t)plan_between(rng, 7, 16);
    if (dice < 97)
        return (uint32_t)plan_between(rng, 17, 40);
    return (uint32_t)plan_between(rng, 41, SIM_SWARM_NODES);
}

static uint32_t plan_loss_ppm(struct ki_rng *rng)
{
    uint64_t dice = ki_rng_below(rng, 10);
    if (dice < 4)
        return 0;
    return (uint32_t)plan_between(rng, 0, dice < 9 ? 50000 : 250000);
}

/* Latencies that the profile is made for; everything else as bad as networks are. */
static struct kith_sim_link plan_link(struct ki_rng *rng, const struct sim_plan *plan, bool calm)
{
    static const uint32_t latency_us[][2] = {{300, 700}, {500, 1500}, {1000, 10000}, {5000, 40000}};
    const uint32_t *latency = latency_us[ki_rng_below(rng, plan->profile == KITH_PROFILE_LOCAL ? 3 : 4)];
    struct kith_sim_link link = {.latency_min_us = latency[0], .latency_max_us = latency[1]};
    if (plan_percent(rng, 20)) {
        link.duplicate_ppm = (uint32_t)plan_between(rng, 0, 50000);
        link.reorder_ppm = (uint32_t)plan_between(rng, 0, 200000);
        link.reorder_us = (uint32_t)plan_between(rng, 1000, calm ? 5000 : 100000);
    }
    if (calm)
        return link;
    link.loss_ppm = plan_loss_ppm(rng);
    if (plan_percent(rng, 10))
        link.tail_us = (uint32_t)plan_between(rng, 100, 5000);
    if (plan->sealed && plan_percent(rng, 20))
        link.corrupt_ppm = (uint32_t)plan_between(rng, 0, 20000);
    if (plan_percent(rng, 5)) {
        link.bandwidth = plan_between(rng, 250000, 2000000);
        link.backlog = 65536;
    }
    return link;
}

static void plan_world(struct sim_plan *plan, struct ki_rng *rng)
{
    plan->node_count = plan_size(rng);
    plan->quiet = plan_percent(rng, 10);
    uint64_t dice = ki_rng_below(rng, 10);
    plan->profile = dice < 7 ? KITH_PROFILE_LAN : dice < 9 ? KITH_PROFILE_LOCAL : KITH_PROFILE_WAN;
    plan->sealed = plan_percent(rng, 35);
    plan->labelled = plan_percent(rng, 25);
    plan->bare = plan_percent(rng, 12);
    plan->compress = plan_percent(rng, 40);
    plan->mixed = plan_percent(rng, 25);
    plan->tight = plan_percent(rng, 10);
    plan->forgetful = plan_percent(rng, 8);
    plan->datagram_max = plan_percent(rng, 15) ? (uint32_t)plan_between(rng, 760, 1400) : 1400;
    plan->link = plan_link(rng, plan, plan->quiet);
    bool wan = plan->profile == KITH_PROFILE_WAN;
    plan->heal_us = plan_between(rng, 15, 60) * PLAN_SECOND * (wan ? 2 : 1);
    bool usual = !plan->tight && !plan->mixed && !plan->forgetful;
    /* of profile wan a stock member holds a suspicion that nobody confirms for up to 6 * 6 * log10(100) * 5 s */
    uint64_t wan_us = (plan->mixed ? 400 : 150) * PLAN_SECOND;
    plan->agree_us = wan ? wan_us : usual ? SIM_SWARM_AGREE_US : 120 * PLAN_SECOND;
    uint64_t storm_us = plan_between(rng, 3 * PLAN_SECOND, plan->heal_us / 2); /* the rest joins then, all at once */
    uint32_t first = plan_percent(rng, 25) ? (uint32_t)plan_between(rng, 1, plan->node_count) : plan->node_count;
    for (uint32_t n = 0; n < SIM_SWARM_NODES; n++) {
        struct sim_plan_node *node = &plan->nodes[n];
        node->start_us = n < first ? n * 20 * KITH_SIM_MS : storm_us;
        node->friend = n == 0 ? 0 : (uint32_t)ki_rng_below(rng, plan_percent(rng, 50) ? 1 : n);
        node->rack = (uint32_t)ki_rng_below(rng, SIM_SWARM_RACKS);
        node->stock = plan_percent(rng, 50);
    }
}

/* A majority is healed, often everyone. */
static void plan_core(struct sim_plan *plan, struct ki_rng *rng)
{
    uint32_t n = plan->node_count;
    uint32_t size = plan_percent(rng, 40) || plan->quiet ? n : (uint32_t)plan_between(rng, n / 2 + 1, n);
    uint32_t left = size;
    for (uint32_t i = 0; i < n; i++) {
        plan->nodes[i].core = ki_rng_below(rng, n - i) < left;
        left -= plan->nodes[i].core;
        plan->nodes[i].down = plan_percent(rng, 50);
    }
}

/* ---- the faults ---- */

static uint64_t plan_duration_us(struct ki_rng *rng)
{
    static const uint64_t most_ms[] = {2000, 10000, 40000};
    return plan_between(rng, 100, most_ms[ki_rng_below(rng, 3)]) * KITH_SIM_MS;
}

static struct kith_sim_link plan_bad_link(struct ki_rng *rng, const struct sim_plan *plan)
{
    struct kith_sim_link link = plan_link(rng, plan, false);
    link.loss_ppm = (uint32_t)plan_between(rng, 0, 600000);
    if (plan_percent(rng, 30))
        link.latency_max_us = (uint32_t)plan_between(rng, link.latency_min_us, 800000);
    if (plan_percent(rng, 5))
        link.mtu = plan->datagram_max - 100;
    return link;
}

static void plan_fault(struct sim_plan *plan, struct ki_rng *rng, struct sim_fault *f)
{
    static const uint8_t weights[SIM_FAULT_KINDS] = {
        [SIM_FAULT_CRASH] = 14, [SIM_FAULT_PAUSE] = 10,  [SIM_FAULT_SLOW] = 6,        [SIM_FAULT_ISOLATE] = 8,
        [SIM_FAULT_SPLIT] = 10, [SIM_FAULT_CLOG] = 4,    [SIM_FAULT_LINK] = 5,        [SIM_FAULT_WEATHER] = 4,
        [SIM_FAULT_CLOCK] = 5,  [SIM_FAULT_LEAVE] = 8,   [SIM_FAULT_FORCE_LEAVE] = 5, [SIM_FAULT_TAGS] = 8,
        [SIM_FAULT_JOIN] = 3,   [SIM_FAULT_OUTAGE] = 3,  [SIM_FAULT_GARBAGE] = 3,     [SIM_FAULT_LURE] = 4,
        [SIM_FAULT_REPLAY] = 6};
    uint64_t sum = 0;
    for (size_t i = 0; i < KI_COUNT(weights); i++)
        sum += weights[i];
    uint64_t dice = ki_rng_below(rng, sum);
    unsigned kind = 0;
    while (dice >= weights[kind])
        dice -= weights[kind++];
    *f = (struct sim_fault){.kind = (enum sim_fault_kind)kind,
                            .at_us = plan_between(rng, PLAN_SECOND, plan->heal_us),
                            .for_us = plan_percent(rng, 85) ? plan_duration_us(rng) : 0,
                            .node = (uint32_t)ki_rng_below(rng, plan->node_count),
                            .other = (uint32_t)ki_rng_below(rng, plan->node_count),
                            .racks = (uint32_t)ki_rng_below(rng, 1u << SIM_SWARM_RACKS),
                            .way = (uint32_t)ki_rng_below(rng, 4),
                            .back = (uint32_t)ki_rng_below(rng, 2),
                            .luck = ki_rng_next(rng)};
    f->link = plan_bad_link(rng, plan);
    if (plan_percent(rng, 40)) /* a single rack */
        f->racks = 1u << ki_rng_below(rng, SIM_SWARM_RACKS);
}

static bool plan_calm(enum sim_fault_kind kind)
{
    return kind == SIM_FAULT_TAGS || kind == SIM_FAULT_JOIN || kind == SIM_FAULT_GARBAGE || kind == SIM_FAULT_LURE ||
           kind == SIM_FAULT_REPLAY || kind == SIM_FAULT_LEAVE;
}

/* In a quiet world only what is nobody's fault: changes of tags, joins and leaves, and strangers. */
static void plan_faults(struct sim_plan *plan, struct ki_rng *rng)
{
    uint32_t most = (uint32_t)ki_min_u64(8 + plan->node_count, SIM_SWARM_FAULTS);
    uint32_t count = (uint32_t)plan_between(rng, 1, most);
    while (plan->fault_count < count) {
        struct sim_fault *f = &plan->faults[plan->fault_count++];
        plan_fault(plan, rng, f);
        f->off = plan->quiet && !plan_calm(f->kind);
    }
}

void ki_sim_plan_draw(struct sim_plan *plan, uint64_t seed, unsigned with)
{
    struct ki_rng world, faults, core, store, events, aggregates;
    ki_rng_init(&world, seed);
    ki_rng_init(&faults, seed ^ 0x666175c7);
    ki_rng_init(&core, seed ^ 0xc07e);
    ki_rng_init(&store, seed ^ 0x5704e);
    ki_rng_init(&events, seed ^ 0xe7e275);
    ki_rng_init(&aggregates, seed ^ 0xa66e6a7e);
    *plan = (struct sim_plan){.seed = seed};
    plan_world(plan, &world);
    if (with & SIM_WITH_STORES)
        ki_sim_plan_stores(plan, &store);
    if (with & SIM_WITH_EVENTS)
        ki_sim_plan_events(plan, &events);
    if (with & SIM_WITH_AGGREGATES)
        ki_sim_plan_aggregates(plan, &aggregates);
    plan_faults(plan, &faults);
    if (with & SIM_WITH_STORES)
        ki_sim_plan_store_faults(plan, &store);
    if (with & SIM_WITH_EVENTS)
        ki_sim_plan_event_faults(plan, &events);
    if (with & SIM_WITH_AGGREGATES)
        ki_sim_plan_aggregate_faults(plan, &aggregates);
    plan_core(plan, &core);
}

/* ---- parts of it ---- */

_Static_assert(SIM_SWARM_FAULTS <= 64, "a bit for each in struct sim_part");

void ki_sim_plan_keep(struct sim_plan *plan, const struct sim_part *part)
{
    plan->node_count = (uint32_t)ki_min_u64(plan->node_count, part->nodes);
    for (uint32_t i = 0; i < plan->fault_count; i++)
        plan->faults[i].off = plan->faults[i].off || !(part->faults >> i & 1);
}

struct sim_part ki_sim_plan_part(const struct sim_plan *plan)
{
    struct sim_part part = {.nodes = plan->node_count};
    for (uint32_t i = 0; i < plan->fault_count; i++)
        part.faults |= (uint64_t)!plan->faults[i].off << i;
    return part;
}

/* ---- in words ---- */

uint32_t ki_sim_plan_faults(const struct sim_plan *plan)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < plan->fault_count; i++)
        count += !plan->faults[i].off;
    return count;
}

static void plan_print_link(const struct kith_sim_link *link, FILE *to)
{
    fprintf(to, "loss %.1f %%, latency %.1f to %.1f ms", (double)link->loss_ppm / 1e4,
            (double)link->latency_min_us / 1e3, (double)link->latency_max_us / 1e3);
    if (link->tail_us)
        fprintf(to, " and a tail of %.1f ms", (double)link->tail_us / 1e3);
    if (link->duplicate_ppm)
        fprintf(to, ", %.1f %% twice", (double)link->duplicate_ppm / 1e4);
    if (link->reorder_ppm)
        fprintf(to, ", %.1f %% late by up to %.1f ms", (double)link->reorder_ppm / 1e4, (double)link->reorder_us / 1e3);
    if (link->corrupt_ppm)
        fprintf(to, ", %.1f %% damaged", (double)link->corrupt_ppm / 1e4);
    if (link->mtu)
        fprintf(to, ", none above %u bytes", link->mtu);
    if (link->bandwidth)
        fprintf(to, ", %.0f kB a second and %.0f kB waiting", (double)link->bandwidth / 1e3, (double)link->backlog / 1e3);
}

static void plan_print_fault(uint32_t number, const struct sim_fault *f, FILE *to)
{
    fprintf(to, "  %2u  %9.3f s  %-11s node-%u", number, (double)f->at_us / 1e6, plan_names[f->kind], f->node);
    if (f->kind == SIM_FAULT_CLOG || f->kind == SIM_FAULT_LINK || f->kind == SIM_FAULT_FORCE_LEAVE ||
        f->kind == SIM_FAULT_JOIN || f->kind == SIM_FAULT_IMPORT)
        fprintf(to, " node-%u", f->other);
    if (f->kind == SIM_FAULT_SPLIT || f->kind == SIM_FAULT_OUTAGE)
        fprintf(to, " racks %04x", f->racks);
    if (f->kind == SIM_FAULT_SPLIT || f->kind == SIM_FAULT_ISOLATE)
        fprintf(to, " %s", f->way == 1 ? "out" : f->way == 2 ? "in" : "both ways");
    if (f->for_us)
        fprintf(to, " for %.3f s", (double)f->for_us / 1e6);
    if (f->kind == SIM_FAULT_RESTORE)
        fputs(", back with its backup", to);
    if (f->kind == SIM_FAULT_CRASH || f->kind == SIM_FAULT_OUTAGE || f->kind == SIM_FAULT_LEAVE)
        fprintf(to, ", back %s", f->back ? "empty" : "with its records");
    if (f->kind == SIM_FAULT_LINK || f->kind == SIM_FAULT_WEATHER) {
        fputs(": ", to);
        plan_print_link(&f->link, to);
    }
    fputc('\n', to);
}

/* "3 stores of nodes 0, 1 withholding, 4 keeping its id" */
static void plan_print_stores(const struct sim_plan *plan, FILE *to)
{
    fprintf(to, ", a write each %.0f ms, stores:", (double)plan->gap_us / 1e3);
    for (uint32_t n = 0; n < plan->node_count; n++) {
        const struct sim_plan_node *node = &plan->nodes[n];
        if (node->store && !(plan->mixed && node->stock))
            fprintf(to, " %u%s%s (%u ms)", n, node->withhold ? " withholds" : "", node->keep_id ? " keeps its id" : "",
                    node->disk_ms);
    }
}

void ki_sim_plan_print(const struct sim_plan *plan, FILE *to)
{
    static const char *const profiles[] = {"lan", "wan", "local"};
    uint32_t core = 0;
    for (uint32_t n = 0; n < plan->node_count; n++)
        core += plan->nodes[n].core;
    fprintf(to, "%u nodes, %s%s%s%s%s%s%s%s%s", plan->node_count, profiles[plan->profile],
            plan->sealed ? ", sealed" : "", plan->labelled ? ", labelled" : "", plan->bare ? ", bare" : "",
            plan->compress ? ", compressed" : "", plan->mixed ? ", half stock" : "", plan->tight ? ", tight limits" : "",
            plan->forgetful ? ", forgetful" : "", plan->quiet ? ", quiet" : "");
    if (plan->stores)
        plan_print_stores(plan, to);
    if (plan->events)
        fprintf(to, ", an event each %.0f ms%s%s", (double)plan->talk_us / 1e3, plan->small_log ? ", few kept" : "",
                plan->last_loss ? ", the last words with loss" : "");
    if (plan->aggregates)
        fprintf(to, ", a value each %.0f ms%s", (double)plan->give_us / 1e3,
                plan->give_loss ? ", the last ones with loss" : "");
    fprintf(to, ", datagrams of %u bytes, ", plan->datagram_max);
    plan_print_link(&plan->link, to);
    fputc('\n', to);
    for (uint32_t i = 0; i < plan->fault_count; i++) {
        if (!plan->faults[i].off)
            plan_print_fault(i + 1, &plan->faults[i], to);
    }
    fprintf(to, "      %9.3f s  heals: %u of %u nodes, which have %.0f s to agree\n", (double)plan->heal_us / 1e6, core,
            plan->node_count, (double)plan->agree_us / 1e6);
}
