/* Checker "edges": of a watch each edge is told once: it holds, it does not, it holds.
 *
 * Kept: for each watch that has not been ended what was told of it last, and when, by its node's own clock: between two
 * edges lies the time for which the measure must have been so.
 *
 * Also here: once quiet, a watch says what the measure is.
 * Deliberately not here: when an edge is due; what a node knows of others' values changes as it hears of them. */
#include "sim/given.h"

#include <stdio.h>

static struct sim_watching *edges_of(const kith_sim *s, const struct sim_givens *t, uint32_t node, kith_ticket ticket)
{
    for (size_t i = 0; i < t->watching_count; i++) {
        struct sim_watching *w = &t->watching[i];
        if (w->node == node && w->ticket == ticket && w->life == ki_sim_node_at(s, node)->lives)
            return w;
    }
    return NULL;
}

static void edges_event(kith_sim *s, void *state, uint32_t node, const struct kith_event *event)
{
    (void)state;
    const struct sim_givens *t = ki_sim_givens(s);
    if (!t->on || event->kind != KITH_EVENT_WATCH)
        return;
    struct sim_watching *w = edges_of(s, t, node, event->ticket);
    uint64_t now_us = kith_sim_time(s, node).mono_us;
    if (!w) {
        ki_sim_violate(s, "edges", node, "it is told of a watch that it has not, or no longer");
        return;
    }
    const char *name = ki_sim_aggregates[w->aggregate].name;
    if (event->result != (w->holds ? 0 : 1))
        ki_sim_violate(s, "edges", node, "of a watch on %s it is told %d after %d", name, event->result, w->holds);
    if (now_us - w->edge_us < w->watch.hold_ms * KITH_SIM_MS)
        ki_sim_violate(s, "edges", node, "an edge of a watch on %s comes %.3f s after the last one; it takes %.3f s",
                       name, (double)(now_us - w->edge_us) / 1e6, (double)w->watch.hold_ms / 1e3);
    w->holds = event->result != 0;
    w->edge_us = now_us;
}

/* ---- once quiet ---- */

/* The measure, as the node itself answers; false: there is none. */
static bool edges_measure(const kith_sim *s, const struct sim_watching *w, double *out)
{
    kith *k = ki_sim_node_at(s, w->node)->k;
    struct kith_time now = kith_sim_time(s, w->node);
    struct kith_str name = ki_sim_aggregate_name(w->aggregate);
    struct kith_aggregate_answer a;
    double rank_error;
    if (w->watch.measure == KITH_MEASURE_QUANTILE)
        return kith_aggregate_quantile(k, now, name, w->watch.engine, w->watch.q, out, &rank_error) == 0;
    if (kith_aggregate_read(k, now, name, w->watch.engine, &a) != 0)
        return false;
    const double measures[] = {[KITH_MEASURE_COUNT] = a.count,
                               [KITH_MEASURE_SUM] = a.sum,
                               [KITH_MEASURE_AVERAGE] = a.average,
                               [KITH_MEASURE_MIN] = a.min,
                               [KITH_MEASURE_MAX] = a.max};
    *out = measures[w->watch.measure];
    return w->watch.measure == KITH_MEASURE_COUNT || a.count > 0;
}

bool ki_sim_edges_wrong(kith_sim *s, uint32_t node, struct sim_words *words)
{
    const struct sim_givens *t = ki_sim_givens(s);
    for (size_t i = 0; i < t->watching_count; i++) {
        const struct sim_watching *w = &t->watching[i];
        double measure;
        if (w->node != node || w->life != ki_sim_node_at(s, node)->lives || !edges_measure(s, w, &measure))
            continue;
        bool holds = w->watch.below ? measure < w->watch.limit : measure > w->watch.limit;
        if (holds == w->holds)
            continue;
        snprintf(words->text, sizeof words->text, "a watch on %s says that %.17g is %s%s %.17g",
                 ki_sim_aggregates[w->aggregate].name, measure, w->holds ? "" : "not ",
                 w->watch.below ? "below" : "above", w->watch.limit);
        return true;
    }
    return false;
}

const struct sim_checker ki_sim_check_edges = {
    .about = "each edge of a watch is told once, and not before its time",
    .watch = {.name = "edges", .event = edges_event},
};
