/* A workload for stores: random writes to few keys of every kind.
 *
 * Few keys, because what is to be tested is what happens when several write to one.  To the places of truth.c it writes what
 * can be told apart afterwards; what it may remove it has read on the same node just before.  To the "wild" keys it writes
 * anything, of any type, with any expiry: of those all that is known is that they must be equal everywhere in the end.
 *
 * All its luck follows from one number for each step, so a step that finds other things than it did moves no other. */
#include "sim/store_work.h"

#include <stdio.h>

struct work {
    kith_sim *s;
    struct sim_truth *t;
    kith *k;
    uint32_t node;
    struct kith_time now;
    struct ki_rng rng;
};

static uint32_t work_below(struct work *w, uint32_t bound)
{
    return (uint32_t)ki_rng_below(&w->rng, bound);
}

static bool work_percent(struct work *w, uint32_t percent)
{
    return work_below(w, 100) < percent;
}

/* Nothing in the places can be refused: no limit is set, and no type but theirs is ever written. */
static void work_fine(struct work *w, const char *what, uint32_t place, int error)
{
    if (error)
        ki_sim_violate(w->s, "store", w->node, "%s of %s: %s", what, ki_sim_places[place].key, kith_strerror(error));
}

static void work_did(struct work *w, const char *what, uint32_t place, bool did)
{
    if (!did)
        ki_sim_violate(w->s, "store", w->node, "%s of %s had nothing to do, and it is shown", what,
                       ki_sim_places[place].key);
}

/* One of those that are shown; SIM_NO_TOKEN: none is. */
static uint32_t work_shown(struct work *w, uint32_t place)
{
    uint32_t count = 0, found = SIM_NO_TOKEN;
    for (uint32_t i = 0; i < w->t->count; i++) {
        if (w->t->tokens[i].place == place && ki_sim_truth_shows(w->t, i) && work_below(w, ++count) == 0)
            found = i;
    }
    return found;
}

static struct kith_str work_name(uint32_t token, char text[16])
{
    int len = snprintf(text, 16, "w%u", token);
    return (struct kith_str){text, (size_t)len};
}

static void work_delete(struct work *w, uint32_t place)
{
    bool existed = false, shown = false;
    for (uint32_t i = 0; i < w->t->count; i++) {
        if (w->t->tokens[i].place != place || !ki_sim_truth_shows(w->t, i))
            continue;
        ki_sim_truth_removes(w->t, w->node, i);
        shown = true;
    }
    work_fine(w, "deletion", place, kith_delete(w->k, w->now, ki_sim_str(ki_sim_places[place].key), &existed));
    work_did(w, "deletion", place, existed || !shown);
}

/* ---- elements ---- */

static void work_add_element(struct work *w, uint32_t place)
{
    const struct sim_place *p = &ki_sim_places[place];
    char text[16];
    bool is_new = false;
    int64_t score = (int64_t)work_below(w, 100) - 50;
    uint32_t token = ki_sim_truth_issue(w->s, w->t, w->node, place, score);
    struct kith_str key = ki_sim_str(p->key), name = work_name(token, text);
    int error = p->type == KITH_TYPE_SET    ? kith_set_add(w->k, w->now, key, name, &is_new)
                : p->type == KITH_TYPE_HASH ? kith_hash_set(w->k, w->now, key, name, name, &is_new)
                                            : kith_sorted_add(w->k, w->now, key, name, (double)score, &is_new);
    work_fine(w, "an element", place, error);
    if (!error && !is_new)
        ki_sim_violate(w->s, "store", w->node, "%s had w%u before it was written", p->key, token);
}

static void work_element(struct work *w, uint32_t place)
{
    const struct sim_place *p = &ki_sim_places[place];
    char text[16];
    bool existed = false;
    uint32_t dice = work_below(w, 100), token = work_shown(w, place);
    if (dice < 60 || token == SIM_NO_TOKEN) {
        work_add_element(w, place);
    } else if (dice < 95) {
        ki_sim_truth_removes(w->t, w->node, token);
        work_fine(w, "a removal", place,
                  kith_remove(w->k, w->now, ki_sim_str(p->key), p->type, work_name(token, text), &existed));
        work_did(w, "a removal", place, existed);
    } else {
        work_delete(w, place);
    }
}

static void work_member(struct work *w, uint32_t place)
{
    const struct sim_place *p = &ki_sim_places[place];
    struct kith_str key = ki_sim_str(p->key), field = ki_sim_str(p->field);
    struct kith_element e;
    if (work_percent(w, 60)) {
        (void)ki_sim_truth_issue(w->s, w->t, w->node, place, 0);
        work_fine(w, "a member", place, kith_set_add(w->k, w->now, key, field, NULL));
        return;
    }
    ki_sim_truth_removes_member(w->t, place);
    work_fine(w, "a removal", place, kith_remove(w->k, w->now, key, p->type, field, NULL));
    if (kith_element(w->k, w->now, key, p->type, field, &e) == 0)
        ki_sim_violate(w->s, "store", w->node, "%s shows %s, which it has just removed", p->key, p->field);
}

/* ---- values ---- */

#define WORK_SEEN_MAX 64

/* Replaces all that are here, or some of them. */
static void work_put_sibling(struct work *w, uint32_t place)
{
    struct kith_dot seen[WORK_SEEN_MAX], dot;
    struct kith_str value, key = ki_sim_str(ki_sim_places[place].key);
    char text[16];
    size_t count = 0;
    bool all = work_percent(w, 50);
    for (uint32_t at = 0; at < WORK_SEEN_MAX && kith_sibling(w->k, w->now, key, at, &value, &dot) == 0; at++) {
        if (!all && work_percent(w, 40))
            continue;
        for (uint32_t i = 0; i < w->t->count; i++) { /* its token */
            struct kith_str name = work_name(i, text);
            if (name.len == value.len && memcmp(name.ptr, value.ptr, name.len) == 0)
                ki_sim_truth_removes(w->t, w->node, i);
        }
        seen[count++] = dot;
    }
    uint32_t token = ki_sim_truth_issue(w->s, w->t, w->node, place, 0);
    bool whole = all && count < WORK_SEEN_MAX;
    work_fine(w, "a sibling", place,
              kith_put_sibling(w->k, w->now, key, work_name(token, text), whole ? NULL : seen, whole ? 0 : count));
}

static void work_sibling(struct work *w, uint32_t place)
{
    if (work_percent(w, 85))
        work_put_sibling(w, place);
    else
        work_delete(w, place);
}

static void work_register(struct work *w, uint32_t place)
{
    const struct sim_place *p = &ki_sim_places[place];
    struct kith_str key = ki_sim_str(p->key), field = ki_sim_str(p->field);
    char text[16];
    bool existed = false;
    uint32_t shown = work_shown(w, place);
    if (shown != SIM_NO_TOKEN)
        ki_sim_truth_removes(w->t, w->node, shown);
    if (!p->kept && shown != SIM_NO_TOKEN && work_percent(w, 30)) {
        int error = p->field ? kith_remove(w->k, w->now, key, p->type, field, &existed)
                             : kith_delete(w->k, w->now, key, &existed);
        work_fine(w, "a removal", place, error);
        work_did(w, "a removal", place, existed);
        return;
    }
    struct kith_str value = work_name(ki_sim_truth_issue(w->s, w->t, w->node, place, 0), text);
    work_fine(w, "a value", place,
              p->field ? kith_hash_set(w->k, w->now, key, field, value, NULL)
                       : kith_set(w->k, w->now, key, value, KITH_NEVER_MS));
}

static void work_counter(struct work *w, uint32_t place)
{
    const struct sim_place *p = &ki_sim_places[place];
    struct kith_str key = ki_sim_str(p->key), field = ki_sim_str(p->field);
    int64_t by = 1 + work_below(w, 9);
    by = p->rises || work_percent(w, 60) ? by : -by;
    (void)ki_sim_truth_issue(w->s, w->t, w->node, place, by);
    int error = p->type == KITH_TYPE_SORTED ? kith_sorted_increase(w->k, w->now, key, field, (double)by, NULL)
                : p->type == KITH_TYPE_HASH && p->real
                    ? kith_hash_increase_real(w->k, w->now, key, field, (double)by, NULL)
                : p->type == KITH_TYPE_HASH ? kith_hash_increase(w->k, w->now, key, field, by, NULL)
                : p->real                   ? kith_increase_real(w->k, w->now, key, (double)by, NULL)
                                            : kith_increase(w->k, w->now, key, by, NULL);
    work_fine(w, "an increment", place, error);
}

/* ---- anything ---- */

static struct kith_str work_text(struct work *w, char text[16])
{
    static const char *const words[] = {"a", "b", "10", "-3", "0.1", "", "nine lives"};
    if (work_percent(w, 50))
        return ki_sim_str(words[work_below(w, KI_COUNT(words))]);
    int len = snprintf(text, 16, "%u", work_below(w, 1000));
    return (struct kith_str){text, (size_t)len};
}

static uint64_t work_expiry_ms(struct work *w)
{
    return work_percent(w, 50) ? KITH_NEVER_MS : w->now.wall_us / 1000 + work_below(w, 20000);
}

#define WORK_LARGE 100000 /* bytes of a value: more than a datagram holds, and more than one slice of a stream */
#define WORK_MANY  300

/* What does not fit a datagram, and what differs in more than a sketch of a datagram tells. */
static void work_large(struct work *w)
{
    if (work_percent(w, 50)) {
        uint32_t len = work_below(w, WORK_LARGE);
        char *bytes = ki_sim_make(len + 1);
        memset(bytes, 'a' + (int)work_below(w, 26), len);
        (void)kith_set(w->k, w->now, ki_sim_str("wild-large"), (struct kith_str){bytes, len}, KITH_NEVER_MS);
        free(bytes);
        return;
    }
    uint32_t count = work_below(w, WORK_MANY);
    for (uint32_t i = 0; i < count; i++) {
        char text[16];
        int len = snprintf(text, sizeof text, "%u", work_below(w, 10 * WORK_MANY));
        struct kith_str member = {text, (size_t)len};
        if (work_percent(w, 20))
            (void)kith_remove(w->k, w->now, ki_sim_str("wild-many"), KITH_TYPE_SET, member, NULL);
        else
            (void)kith_set_add(w->k, w->now, ki_sim_str("wild-many"), member, NULL);
    }
}

/* Its result is whatever the key allows. */
static void work_wild(struct work *w)
{
    static const char *const keys[] = {"wild-a", "wild-b", "wild-c"};
    static const enum kith_type types[] = {KITH_TYPE_SET, KITH_TYPE_HASH, KITH_TYPE_SORTED};
    struct kith_str key = ki_sim_str(keys[work_below(w, KI_COUNT(keys))]);
    char field_text[16], value_text[16];
    struct kith_str field = work_text(w, field_text), value = work_text(w, value_text);
    double real = (double)work_below(w, 1000) / 7;
    switch (work_below(w, 14)) {
    case 0:
        (void)kith_set(w->k, w->now, key, value, work_expiry_ms(w));
        break;
    case 1:
        (void)kith_increase(w->k, w->now, key, (int64_t)work_below(w, 100) - 30, NULL);
        break;
    case 2:
        (void)kith_increase_real(w->k, w->now, key, real, NULL);
        break;
    case 3:
        (void)kith_delete(w->k, w->now, key, NULL);
        break;
    case 4:
        (void)kith_expire(w->k, w->now, key, work_expiry_ms(w), NULL);
        break;
    case 5:
        (void)kith_set_add(w->k, w->now, key, field, NULL);
        break;
    case 6:
        (void)kith_hash_set(w->k, w->now, key, field, value, NULL);
        break;
    case 7:
        (void)kith_hash_increase(w->k, w->now, key, field, 7, NULL);
        break;
    case 8:
        (void)kith_hash_increase_real(w->k, w->now, key, field, real, NULL);
        break;
    case 9:
        (void)kith_sorted_add(w->k, w->now, key, field, real, NULL);
        break;
    case 10:
        (void)kith_sorted_increase(w->k, w->now, key, field, real, NULL);
        break;
    case 11:
        (void)kith_put_sibling(w->k, w->now, key, value, NULL, 0);
        break;
    default:
        (void)kith_remove(w->k, w->now, key, types[work_below(w, KI_COUNT(types))], field, NULL);
        break;
    }
}

/* ---- all of it ---- */

static void work_once(struct work *w)
{
    uint32_t place = work_below(w, SIM_PLACES + 6);
    if (place >= SIM_PLACES) {
        if (work_percent(w, 8))
            work_large(w);
        else
            work_wild(w);
        return;
    }
    ki_sim_truth_read(w->s, w->t, w->node);
    switch (ki_sim_places[place].kind) {
    case SIM_PLACE_ELEMENT:
        work_element(w, place);
        break;
    case SIM_PLACE_SIBLING:
        work_sibling(w, place);
        break;
    case SIM_PLACE_REGISTER:
        work_register(w, place);
        break;
    case SIM_PLACE_MEMBER:
        work_member(w, place);
        break;
    case SIM_PLACE_COUNTER:
        work_counter(w, place);
        break;
    }
}

static void work_wait(struct work *w)
{
    kith_ticket ticket;
    uint32_t members = work_below(w, 4);
    if (kith_store_wait(w->k, w->now, members, 100 + work_below(w, 10000), &ticket) == 0) /* else there are too many */
        ki_sim_truth_waits(w->s, w->t, w->node, ticket);
}

void ki_sim_store_work(kith_sim *s, uint32_t node, uint64_t luck)
{
    struct sim_truth *t = ki_sim_truth(s);
    const struct sim_node *n = ki_sim_node_at(s, node);
    if (!t || !n->store || !ki_sim_node_in_pool(n) || s->violation[0])
        return;
    t->on = true;
    struct work w = {.s = s, .t = t, .k = kith_sim_node(s, node), .node = node, .now = kith_sim_time(s, node)};
    ki_rng_init(&w.rng, luck);
    ki_sim_truth_look(s, t, node);
    uint32_t count = work_percent(&w, 15) ? 2 + work_below(&w, 3) : 1;
    ki_sim_trace(s, node, "writes %u", count);
    if (count > 1)
        work_fine(&w, "a group", 0, kith_store_begin(w.k));
    for (uint32_t i = 0; i < count && !s->violation[0]; i++)
        work_once(&w);
    if (count > 1)
        work_fine(&w, "a group", 0, kith_store_commit(w.k, w.now));
    ki_sim_truth_written(s, t, node);
    if (work_percent(&w, 5))
        work_wait(&w);
}
