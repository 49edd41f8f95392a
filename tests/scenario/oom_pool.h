/* A pool of three, of which the memory of one fails when it is told to, for tests of what members tell and ask each other
 * meanwhile.  What is refused for want of memory is asked again, and must have changed nothing. */
#ifndef TEST_OOM_POOL_H
#define TEST_OOM_POOL_H

#include "messages_pool.h"

#include "lone.h"
#include "oom_sweep.h"

#define POOL 3
#define VICTIM 1 /* whose memory fails */
#define OOM_TRIES 200 /* more than fail in a row */

static struct lone_memory memory;
static unsigned refusals; /* asks that were refused for want of memory */
static const struct kith_key first_key = {.bytes = {1, 2, 3}, .len = 16};

static inline void oom_config(struct kith_config *c, unsigned n)
{
    c->keys = &first_key;
    c->key_count = 1;
    c->keys_kept = n == VICTIM;
    c->probe_interval_ms = 400;
    c->probe_timeout_ms = 150;
    if (n == VICTIM)
        c->memory = lone_hooks(&memory);
}

/* The pool; then the victim's allocations from `from` to `to` fail, counted from here. */
static inline struct world *oom_pool(uint64_t from, uint64_t to)
{
    memory = (struct lone_memory){.fail_from = NEVER_FAILS, .fail_to = NEVER_FAILS};
    struct world *w = pool(&ear, POOL, 0, oom_config);
    memory.calls = 0;
    memory.fail_from = from;
    memory.fail_to = to;
    return w;
}

static inline void oom_run(struct world *w, uint64_t us)
{
    const uint64_t slice_us = SECOND / 4;
    for (uint64_t done = 0; done < us; done += slice_us) {
        world_run(w, slice_us);
        for (unsigned n = 0; n < POOL; n++)
            lone_check(world_node(w, n));
    }
}

/* An error is want of memory, the victim's, and has changed nothing. */
static inline void oom_refused(const kith *k, unsigned n, int error, uint64_t before)
{
    if (error == 0)
        return;
    assert_true(n == VICTIM && error == KITH_ERR_NOMEM);
    assert_true(lone_digest(k) == before);
    refusals++;
}

/* Asked until it is taken. */
static inline void oom_say(struct world *w, unsigned n, const char *name, size_t len, uint32_t confirm_timeout_ms,
                           kith_ticket *ticket)
{
    static char large[100000];
    struct kith_user_event event = {
        .name = lone_str(name), .payload = {large, len}, .confirm_timeout_ms = confirm_timeout_ms};
    int error = KITH_ERR_NOMEM;
    for (unsigned tries = 0; tries < OOM_TRIES && error != 0; tries++) {
        uint64_t before = lone_digest(world_node(w, n));
        error = kith_send_event(world_node(w, n), world_now(w), &event, ticket);
        oom_refused(world_node(w, n), n, error, before);
    }
    assert_int_equal(error, 0);
}

/* Each ask has ended once, at whoever asked. */
static inline void oom_ended(const kith_ticket *tickets, const unsigned *owners, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t ends = 0;
        for (size_t at = 0; at < ear.count; at++) {
            const struct heard *h = &ear.all[at];
            ends += h->event.kind == KITH_EVENT_DONE && h->event.ticket == tickets[i] && h->n == owners[i];
        }
        assert_int_equal(ends, 1);
    }
}

/* The world is over: the failure was met, and nothing is left behind.  Returns how many allocations there were. */
static inline uint64_t oom_end(struct world *w, uint64_t calls, uint64_t from, uint64_t to)
{
    assert_true((from == NEVER_FAILS) == (memory.failed == 0));
    world_free(w);
    if (memory.blocks != 0)
        fail_msg("%lld blocks leaked when allocations %llu to %llu failed", (long long)memory.blocks,
                 (unsigned long long)from, (unsigned long long)to);
    return calls;
}

#endif
