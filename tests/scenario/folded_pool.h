/* Pools of any size whose members answer folded queries as each test wants it, and what came of each query. */
#ifndef TEST_FOLDED_POOL_H
#define TEST_FOLDED_POOL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <kith/event.h>

#include "lone.h"
#include "node/folded.h"
#include "world.h"

#define SECOND 1000000u
#define TEXT(text) {(text), sizeof(text) - 1}
#define STR(text) ((struct kith_str)TEXT(text))
#define QUERIES 32 /* tickets that are followed */

enum says { SAYS_ITS_VALUE, SAYS_NOTHING, SAYS_NONSENSE, SAYS_IT_LATE };

/* What the asker has been told of one query. */
struct outcome {
    unsigned asker;
    kith_ticket ticket;
    unsigned dones, folds;
    int result;
    uint32_t count;
    struct kith_folded folded;
    unsigned top_count;
    char top[KITH_FOLD_TOP_MAX][16];
    double top_value[KITH_FOLD_TOP_MAX];
    unsigned silent_count, unable_count;
    bool silent[WORLD_NODES]; /* named so */
    uint64_t asked_us, done_us;
};

struct late {
    unsigned n;
    uint64_t query, at_us;
};

static struct {
    enum says says[WORLD_NODES];
    uint64_t late_us;
    unsigned asked[WORLD_NODES]; /* how often the application was */
    struct late late[WORLD_NODES];
    unsigned late_count;
    struct outcome outcomes[QUERIES];
    unsigned outcome_count;
    unsigned messages_in[WORLD_NODES], messages_out[WORLD_NODES]; /* of folded queries */
} fold;

/* A member's answer: no two alike, and their sums are no round numbers. */
static inline double fold_value(unsigned n)
{
    return (n * 7919u % 1009u) * 0.1 - 30;
}

static inline unsigned fold_node(struct kith_str name)
{
    char text[16] = "";
    assert_in_range(name.len, 6, 15);
    memcpy(text, name.ptr, name.len);
    return (unsigned)strtoul(text + 5, NULL, 10);
}

static inline void fold_respond(unsigned n, kith *k, struct kith_time now, uint64_t query)
{
    char text[40];
    snprintf(text, sizeof text, fold.says[n] == SAYS_NONSENSE ? "many" : "%.17g\n", fold_value(n));
    struct kith_str payload = {text, strlen(text)};
    assert_int_equal(kith_respond(k, now, query, payload), 0);
    assert_int_equal(kith_respond(k, now, query, payload), KITH_ERR_NOT_FOUND);
}

static inline void fold_asked(unsigned n, kith *k, struct kith_time now, const struct kith_event *event)
{
    assert_true(event->message.name.len == 4 && memcmp(event->message.name.ptr, "load", 4) == 0);
    fold.asked[n]++;
    switch (fold.says[n]) {
    case SAYS_ITS_VALUE:
    case SAYS_NONSENSE:
        fold_respond(n, k, now, event->message.query);
        return;
    case SAYS_IT_LATE:
        assert_in_range(fold.late_count, 0, WORLD_NODES - 1);
        fold.late[fold.late_count++] = (struct late){n, event->message.query, now.mono_us + fold.late_us};
        return;
    case SAYS_NOTHING:
        return;
    }
}

static inline void fold_result(struct outcome *o, const struct kith_event *event)
{
    size_t cursor = 0;
    struct kith_str member;
    double value;
    o->folds++;
    assert_int_equal(o->dones, 0); /* the end comes last */
    assert_int_equal(kith_folded_read(event, &o->folded), 0);
    while (kith_folded_next(event, &cursor, &member, &value)) {
        assert_in_range(o->top_count, 0, KITH_FOLD_TOP_MAX - 1);
        memcpy(o->top[o->top_count], member.ptr, member.len);
        o->top_value[o->top_count++] = value;
    }
}

static inline void fold_hear(void *arg, unsigned n, kith *k, struct kith_time now, const struct kith_event *event)
{
    (void)arg;
    if (event->kind == KITH_EVENT_QUERY)
        fold_asked(n, k, now, event);
    for (unsigned i = 0; i < fold.outcome_count; i++) {
        struct outcome *o = &fold.outcomes[i];
        if (o->asker != n || o->ticket != event->ticket || event->kind == KITH_EVENT_MEMBER)
            continue;
        if (event->kind == KITH_EVENT_FOLDED)
            fold_result(o, event);
        if (event->kind == KITH_EVENT_SILENT) {
            assert_int_equal(o->folds, 0);
            assert_false(o->silent[fold_node(event->message.origin)]);
            o->silent[fold_node(event->message.origin)] = true;
            o->silent_count++;
            o->unable_count += event->result == KITH_ERR_VERSION;
        }
        if (event->kind == KITH_EVENT_DONE) {
            o->dones++;
            o->result = event->result;
            o->count = event->count;
            o->done_us = now.mono_us;
        }
    }
}

static inline void fold_tap(void *arg, unsigned from, const struct kith_addr *to, const uint8_t *buf, size_t len)
{
    char text[4096];
    (void)arg;
    if (len > 1400 || kith_describe(NULL, buf, len, text, sizeof text) != 0)
        return;
    for (const char *at = text; (at = strstr(at, "fold-")) != NULL; at++) {
        fold.messages_out[from]++;
        fold.messages_in[to->ip[2] * 256u + to->ip[3] - 1]++;
    }
}

/* A pool of `count`, of which the last `stock` are as Serf's members are; all know all. */
static inline struct world *fold_pool(unsigned count, unsigned stock, void (*adjust)(struct kith_config *, unsigned))
{
    struct world *w = world_new();
    memset(&fold, 0, sizeof fold);
    world_set_ear(w, fold_hear, NULL);
    for (unsigned n = 0; n < count; n++) {
        struct kith_config c;
        world_config(&c, n);
        c.stock = n >= count - stock;
        if (adjust)
            adjust(&c, n);
        world_add(w, n, &c);
    }
    for (unsigned n = 0; n < count; n++) {
        for (unsigned other = 0; other < count; other++) {
            struct kith_member member;
            kith_self(world_node(w, other), &member);
            assert_int_equal(kith_import_members(world_node(w, n), world_now(w), &member, 1), 0);
        }
    }
    world_run(w, 2 * SECOND);
    for (unsigned n = 0; n < count; n++)
        assert_int_equal(world_alive_seen(w, n), count);
    return w;
}

/* Runs so long; whoever is late answers when it is its time. */
static inline void fold_run(struct world *w, uint64_t us)
{
    for (uint64_t end_us = world_now(w).mono_us + us; world_now(w).mono_us < end_us;) {
        world_run(w, ki_min_u64(SECOND / 100, end_us - world_now(w).mono_us));
        for (unsigned i = 0; i < fold.late_count;) {
            struct late late = fold.late[i];
            if (late.at_us > world_now(w).mono_us) {
                i++;
                continue;
            }
            fold.late[i] = fold.late[--fold.late_count];
            if (world_node(w, late.n))
                fold_respond(late.n, world_node(w, late.n), world_now(w), late.query);
        }
    }
}

static inline struct outcome *fold_ask(struct world *w, unsigned asker, const struct kith_query *query)
{
    struct outcome *o = &fold.outcomes[fold.outcome_count];
    assert_in_range(fold.outcome_count, 0, QUERIES - 1);
    *o = (struct outcome){.asker = asker, .asked_us = world_now(w).mono_us};
    assert_int_equal(kith_ask(world_node(w, asker), world_now(w), query, &o->ticket), 0);
    fold.outcome_count++;
    return o;
}

/* It has ended once, and says what one plain fold over the members below `count` says that are `in`; NULL: all. */
static inline void fold_says(const struct outcome *o, unsigned count, bool (*in)(unsigned n))
{
    double sum = 0, deviations = 0, min = 1e300, max = -1e300, most = 0;
    unsigned answers = 0;
    for (unsigned n = 0; n < count; n++) {
        if (in && !in(n))
            continue;
        double value = fold_value(n);
        answers++;
        sum += value;
        min = value < min ? value : min;
        max = value > max ? value : max;
        most += value < 0 ? -value : value;
    }
    for (unsigned n = 0; n < count; n++) {
        if (!in || in(n))
            deviations += (fold_value(n) - sum / answers) * (fold_value(n) - sum / answers);
    }
    assert_int_equal(o->dones, 1);
    assert_int_equal(o->folds, 1);
    assert_int_equal(o->folded.answers, answers);
    assert_int_equal(o->count, answers + o->folded.unusable);
    assert_int_equal(o->folded.members, answers + o->folded.unusable + o->folded.silent);
    assert_int_equal(o->result, o->folded.silent > 0 ? KITH_ERR_TIMEOUT : 0);
    if (answers == 0)
        return;
    assert_true(o->folded.min <= min && o->folded.min >= min && o->folded.max <= max && o->folded.max >= max);
    assert_true(o->folded.sum - sum <= most * 1e-12 && sum - o->folded.sum <= most * 1e-12);
    assert_true(o->folded.average * answers - sum <= most * 1e-12 && sum - o->folded.average * answers <= most * 1e-12);
    double off = o->folded.variance * answers - deviations;
    assert_true(off <= 1e-9 * (deviations + 1) && off >= -1e-9 * (deviations + 1));
}

/* Nothing of any query is kept anywhere. */
static inline void fold_forgotten(struct world *w, unsigned count)
{
    for (unsigned n = 0; n < count; n++) {
        const struct kith *k = world_node(w, n);
        if (k && k->messages)
            assert_true(k->messages->folded == NULL && k->messages->folded_count == 0);
    }
}

static inline uint64_t fold_counted(struct world *w, unsigned count, const char *name)
{
    uint64_t total = 0;
    for (unsigned n = 0; n < count; n++)
        total += world_node(w, n) ? lone_counter(world_node(w, n), name) : 0;
    return total;
}

#endif
