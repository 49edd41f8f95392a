/* Checker "places": an answer holds what its owners have given, nothing of who is held gone, and nothing old again.
 *
 * Kept: for each node, owner and aggregate the least number of a value that may be shown, and whether one was at the last
 * look.  What is not shown any more, though its owner is alive to the node and has taken it back, does not come again: if
 * nothing is missing that the node knows of, for it may have heard of the owner's next generation a part.  What a node knows
 * of an owner ends when it forgets it, and with its own life.  A life that begins with no higher incarnation than the
 * last one had is not known as the later one before it hears of that: until its end there is no order in what is shown of
 * it.
 *
 * Looked at are answers of the engine that knows every contribution: reading does not change it.  Those of the other engine
 * are looked at where the workload reads them.  There is no order in what they show of an owner: once it has been held gone,
 * it is told anew by whoever has it.
 * Deliberately not here: what is missing; it may be on its way. */
#include "sim/given.h"

#define PLACES_SHOWN 0x80000000 /* in a cell of `seen`, while a node is looked at */
#define PLACES_ENDS  12         /* of those that are the largest and the smallest */

struct places_look {
    kith_sim *s;
    struct sim_givens *t;
    uint32_t node, aggregate;
    unsigned meaning;
    kith *k;
    const char *name;
};

static bool places_lives(const struct places_look *l, struct kith_str name, struct kith_member *m)
{
    return kith_find(l->k, name, m) == 0 && (m->state == KITH_STATE_ALIVE || m->state == KITH_STATE_SUSPECT);
}

/* The first that the owner gave of these values, from a number on; UINT32_MAX: none is. */
static uint32_t places_number(const struct places_look *l, uint32_t owner, uint32_t from, double value)
{
    const struct sim_given *given = ki_sim_given(l->t, owner, l->aggregate);
    for (size_t i = from; i < given->count; i++) {
        if (!given->list[i].is_none && given->list[i].meaning == l->meaning && given->list[i].value == value)
            return (uint32_t)i;
    }
    return UINT32_MAX;
}

/* Whose it is; KITH_SIM_ALL: nobody's who may be shown, or not a value of its owner's. */
static uint32_t places_owner(const struct places_look *l, const struct kith_place *place)
{
    struct kith_member m;
    uint32_t owner = places_lives(l, place->member, &m) ? ki_sim_member_node(l->s, &m) : KITH_SIM_ALL;
    if (owner == KITH_SIM_ALL) {
        ki_sim_violate(l->s, "places", l->node, "%s shows %.17g of %.*s, which is not alive to it", l->name, place->value,
                       (int)place->member.len, place->member.ptr);
    } else if (places_number(l, owner, 0, place->value) == UINT32_MAX) {
        ki_sim_violate(l->s, "places", l->node, "%s shows %.17g of %s, which has never given that", l->name, place->value,
                       ki_sim_name(l->s, owner));
        owner = KITH_SIM_ALL;
    }
    return owner;
}

/* ---- what was shown before ---- */

static bool places_remember(const struct places_look *l, const struct kith_place *place)
{
    uint32_t owner = places_owner(l, place);
    if (owner == KITH_SIM_ALL)
        return false;
    uint32_t *next = ki_sim_grid_at(&l->t->next[l->aggregate], l->node, owner);
    uint32_t number = places_number(l, owner, *next, place->value);
    if (number == UINT32_MAX && ki_sim_given_span(l->t, owner)->goes_back)
        number = places_number(l, owner, 0, place->value);
    if (number == UINT32_MAX) {
        ki_sim_violate(l->s, "places", l->node, "%s shows %.17g of %s, after one that came later, value %u", l->name,
                       place->value, ki_sim_name(l->s, owner), *next);
        return false;
    }
    *next = number;
    *ki_sim_grid_at(&l->t->seen[l->aggregate], l->node, owner) = PLACES_SHOWN;
    return true;
}

/* What is not shown any more, of an owner that is there: it gives something else, or nothing. */
static void places_taken_back(const struct places_look *l, uint32_t owner)
{
    const struct sim_given *given = ki_sim_given(l->t, owner, l->aggregate);
    uint32_t *next = ki_sim_grid_at(&l->t->next[l->aggregate], l->node, owner);
    size_t at = *next;
    while (at < given->count && !given->list[at].is_none)
        at++;
    if (at < given->count)
        *next = (uint32_t)at;
}

static void places_vanished(const struct places_look *l, bool is_whole)
{
    struct kith_member m;
    for (uint32_t owner = 0; owner < l->s->count; owner++) {
        uint32_t *seen = ki_sim_grid_at(&l->t->seen[l->aggregate], l->node, owner);
        if (*seen == PLACES_SHOWN) {
            *seen = 1 + l->meaning;
        } else if (is_whole && *seen == 1 + l->meaning && places_lives(l, ki_sim_node_at(l->s, owner)->config.name, &m)) {
            *seen = 0;
            places_taken_back(l, owner);
        }
    }
}

/* ---- looking ---- */

static bool places_rise(const struct kith_place *a, const struct kith_place *b)
{
    if (a->value != b->value)
        return a->value < b->value;
    return ki_span_compare(ki_span(a->member.ptr, a->member.len), ki_span(b->member.ptr, b->member.len)) < 0;
}

static void places_list(const struct places_look *l, size_t count)
{
    const struct kith_place *at = l->t->places;
    for (size_t i = 0; i < count && places_remember(l, &at[i]); i++) {
        if (at[i].rank != i || (i > 0 && !places_rise(&at[i - 1], &at[i])))
            ki_sim_violate(l->s, "places", l->node, "%s is not in order at place %zu", l->name, i);
    }
}

/* What a node gives itself counts there at once. */
static void places_own(const struct places_look *l, const struct kith_aggregate *found)
{
    const struct sim_value *own = ki_sim_given_now(l->s, l->t, l->node, l->aggregate);
    bool is_open = ki_sim_given_open(l->s, l->t, l->node, l->aggregate);
    if (found->is_open != is_open || found->has_own != (own != NULL) || (own && found->own != own->value))
        ki_sim_violate(l->s, "places", l->node, "%s is %s, of its own %.17g%s; it was %s, and %.17g%s given", l->name,
                       found->is_open ? "open" : "closed", found->own, found->has_own ? "" : " (none)",
                       is_open ? "opened" : "closed", own ? own->value : 0.0, own ? "" : " (none)");
    bool shown = *ki_sim_grid_at(&l->t->seen[l->aggregate], l->node, l->node) == PLACES_SHOWN;
    uint32_t number = *ki_sim_grid_at(&l->t->next[l->aggregate], l->node, l->node);
    if (shown != (own != NULL) || (own && ki_sim_given(l->t, l->node, l->aggregate)->list[number].value != own->value))
        ki_sim_violate(l->s, "places", l->node, "%s does not list what the node gives itself", l->name);
}

/* Returns whether it says that nothing is missing. */
static bool places_answer(const struct places_look *l, const struct kith_aggregate *found, size_t count)
{
    struct kith_aggregate_answer a = {.count = -1};
    int error = kith_aggregate_read(l->k, kith_sim_time(l->s, l->node), ki_sim_aggregate_name(l->aggregate),
                                    KITH_ENGINE_EXACT, &a);
    if (error || a.count != (double)count || found->contributors < count || a.conflicts != found->conflicts ||
        a.coverage_ppm > 1000000 || !(a.variance >= 0) || !(a.min <= a.average) || !(a.average <= a.max))
        ki_sim_violate(l->s, "places", l->node,
                       "%s lists %zu values, and says: %s, count %g, %u contribute, average %.17g "
                       "of %.17g to %.17g",
                       l->name, count, kith_strerror(error), a.count, found->contributors, a.average, a.min, a.max);
    return a.converged;
}

static struct places_look places_of(kith_sim *s, struct sim_givens *t, uint32_t node, uint32_t aggregate)
{
    return (struct places_look){.s = s,
                                .t = t,
                                .node = node,
                                .aggregate = aggregate,
                                .k = ki_sim_node_at(s, node)->k,
                                .name = ki_sim_aggregates[aggregate].name};
}

static void places_look_at(kith_sim *s, struct sim_givens *t, uint32_t node, uint32_t aggregate)
{
    struct places_look l = places_of(s, t, node, aggregate);
    struct kith_aggregate found;
    size_t count;
    bool exists = kith_aggregate_find(l.k, ki_sim_aggregate_name(aggregate), &found) == 0;
    if (!exists && ki_sim_given_open(s, t, node, aggregate))
        ki_sim_violate(s, "places", node, "%s is open and cannot be found", l.name);
    if (!exists || ki_sim_given_list(s, t, node, aggregate, KITH_ENGINE_EXACT, &count) != 0)
        return; /* it is another engine's */
    l.meaning = ki_sim_aggregate_meaning(aggregate, &found.schema);
    if (l.meaning == SIM_MEANINGS)
        ki_sim_violate(s, "places", node, "%s is of a schema that nobody has", l.name);
    places_list(&l, count);
    places_own(&l, &found);
    places_vanished(&l, places_answer(&l, &found, count));
}

void ki_sim_places_network(kith_sim *s, uint32_t node, uint32_t aggregate)
{
    struct places_look l = places_of(s, ki_sim_givens(s), node, aggregate);
    struct kith_aggregate found;
    struct kith_aggregate_answer a = {.count = 0};
    struct kith_place ends[PLACES_ENDS];
    size_t count;
    if (kith_aggregate_find(l.k, ki_sim_aggregate_name(aggregate), &found) != 0)
        return;
    l.meaning = ki_sim_aggregate_meaning(aggregate, &found.schema);
    int error =
        kith_aggregate_read(l.k, kith_sim_time(s, node), ki_sim_aggregate_name(aggregate), KITH_ENGINE_NETWORK, &a);
    if (error || a.min > a.max || !(a.variance >= 0) || !(a.error >= 0))
        ki_sim_violate(s, "places", node, "%s is answered from the network: %s, %g to %g within %g", l.name,
                       kith_strerror(error), a.min, a.max, a.error);
    for (int from_largest = 0; !error && from_largest < 2; from_largest++) {
        error = kith_aggregate_list(l.k, kith_sim_time(s, node), ki_sim_aggregate_name(aggregate), KITH_ENGINE_NETWORK,
                                    from_largest, 0, ends, PLACES_ENDS, &count);
        for (size_t i = 0; !error && i < count; i++)
            (void)places_owner(&l, &ends[i]);
    }
}

static uint32_t places_incarnation(kith_sim *s, uint32_t node)
{
    struct kith_member self;
    kith_self(ki_sim_node_at(s, node)->k, &self);
    return self.incarnation;
}

static void places_look(kith_sim *s, void *state, uint32_t node)
{
    struct sim_givens *t = state;
    struct sim_span *span = ki_sim_given_span(t, node);
    span->highest = (uint32_t)ki_max_u64(span->highest, places_incarnation(s, node));
    for (uint32_t a = 0; t->on && ki_sim_given_able(s, node) && a < SIM_AGGREGATES; a++)
        places_look_at(s, t, node, a);
}

static void places_born(kith_sim *s, void *state, uint32_t node)
{
    struct sim_givens *t = state;
    struct sim_span *span = ki_sim_given_span(t, node);
    span->goes_back = places_incarnation(s, node) <= span->highest;
    for (uint32_t a = 0; a < SIM_AGGREGATES; a++) {
        ki_sim_grid_clear(&t->next[a], node);
        ki_sim_grid_clear(&t->seen[a], node);
    }
}

static void places_forgotten(kith_sim *s, void *state, uint32_t node, const struct kith_member *m)
{
    struct sim_givens *t = state;
    uint32_t whom = ki_sim_member_node(s, m);
    for (uint32_t a = 0; t->on && whom != KITH_SIM_ALL && a < SIM_AGGREGATES; a++) {
        *ki_sim_grid_at(&t->next[a], node, whom) = 0;
        *ki_sim_grid_at(&t->seen[a], node, whom) = 0;
    }
}

static void places_end(kith_sim *s, void *state)
{
    (void)s;
    ki_sim_givens_free(state);
}

const struct sim_checker ki_sim_check_places = {
    .about = "answers hold what their owners have given, nothing of who is gone, nothing old again",
    .watch = {.name = "places", .state_size = sizeof(struct sim_givens), .born = places_born, .end = places_end},
    .look = places_look,
    .forgotten = places_forgotten,
};
