/* Random lives of small pools: each seed draws a pool, its keys and profile, and a few minutes of crashes, restarts,
 * cuts, pauses, leaves, tag changes and loss.  Checked always: nobody believes itself dead, no observer sees an
 * incarnation fall, no deadline stays in the past.  Checked after everything has healed: all views agree.
 *
 * KITH_SEEDS=A..B chooses the seeds; without it 300 of them run, or 20,000 when KITH_SOAK is set.  A failure prints
 * its seed.
 *
 * ctest: TIMEOUT 240 COST 100 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sanitized.h"
#include "world.h"

#define SECOND 1000000ull
#define TORTURE_NODES 8

enum torture_state { ABSENT, RUNNING, CRASHED, LEAVING };

struct torture {
    struct world *w;
    uint64_t seed;
    unsigned nodes;
    enum kith_profile profile;
    bool sealed, bare, squeezed, labelled;
    enum torture_state state[TORTURE_NODES];
    bool paused[TORTURE_NODES];
    uint32_t seen[TORTURE_NODES][TORTURE_NODES]; /* incarnation of [whom] as [observer] saw it last */
};

static const struct kith_key torture_keys[2] = {{.bytes = {1}, .len = 16}, {.bytes = {2}, .len = 32}};

static uint64_t torture_draw(struct torture *t, uint64_t bound)
{
    return world_random(t->w) % bound;
}

/* What each running node believes, for whoever has to find out why. */
static void torture_print(const struct torture *t)
{
    static const char *const states[] = {"absent", "running", "crashed", "leaving"};
    for (unsigned n = 0; n < t->nodes; n++) {
        struct kith_member m;
        uint32_t cursor = 0;
        printf("node-%u %s%s:", n, states[t->state[n]], t->paused[n] ? " paused" : "");
        while (t->state[n] == RUNNING && kith_next(world_node(t->w, n), &cursor, &m))
            printf("  %.*s status %d state %d inc %u ltime %llu", (int)m.name.len, m.name.ptr, (int)m.status,
                   (int)m.state, (unsigned)m.incarnation, (unsigned long long)m.status_ltime);
        printf("\n");
    }
}

static void torture_fail(const struct torture *t, const char *what, unsigned a, unsigned b)
{
    torture_print(t);
    fail_msg("seed %llu: %s (node-%u, node-%u); repeat with KITH_SEEDS=%llu..%llu", (unsigned long long)t->seed, what,
             a, b, (unsigned long long)t->seed, (unsigned long long)t->seed);
}

static void torture_start(struct torture *t, unsigned n)
{
    struct kith_config c, mine;
    kith_config_init(&c, t->profile);
    world_config(&mine, n);
    c.name = mine.name;
    c.addr = mine.addr;
    c.compress = t->squeezed;
    if (t->sealed) { /* two keys, each node seals with its own choice */
        static const struct kith_key swapped[2] = {{.bytes = {2}, .len = 32}, {.bytes = {1}, .len = 16}};
        c.keys = n % 2 ? torture_keys : swapped;
        c.key_count = 2;
    }
    if (t->labelled)
        c.label = (struct kith_str){"torture", 7};
    if (t->bare)
        c.delegate_min = c.delegate_max = c.delegate_cur = 0;
    world_add(t->w, n, &c);
    t->state[n] = RUNNING;
    memset(t->seen[n], 0, sizeof t->seen[n]);
    for (unsigned to = 0; to < t->nodes; to++) {
        if (to != n && t->state[to] == RUNNING)
            world_join(t->w, n, to, NULL);
    }
}

static unsigned torture_running(const struct torture *t)
{
    unsigned count = 0;
    for (unsigned n = 0; n < t->nodes; n++)
        count += t->state[n] == RUNNING;
    return count;
}

static unsigned torture_number(const struct kith_member *m)
{
    return (unsigned)(m->name.ptr[m->name.len - 1] - '0'); /* node-N, N < 8 */
}

/* The run may have stopped between two slices of work; but work ends. */
static bool torture_settles(struct torture *t, unsigned n)
{
    for (unsigned tries = 0; tries < 10; tries++) {
        if (kith_deadline(world_node(t->w, n)) > world_now(t->w).mono_us)
            return true;
        world_run(t->w, 1000);
    }
    return false;
}

static void torture_check(struct torture *t)
{
    for (unsigned n = 0; n < t->nodes; n++) {
        if (t->state[n] != RUNNING || t->paused[n])
            continue;
        struct kith_member m;
        kith_self(world_node(t->w, n), &m);
        if (m.state != KITH_STATE_ALIVE || m.status != KITH_STATUS_ALIVE)
            torture_fail(t, "it believes itself gone", n, n);
        if (!torture_settles(t, n))
            torture_fail(t, "its deadline stays in the past", n, n);
        uint32_t cursor = 0;
        while (kith_next(world_node(t->w, n), &cursor, &m)) {
            unsigned whom = torture_number(&m);
            if (m.incarnation < t->seen[n][whom])
                torture_fail(t, "an incarnation fell", n, whom);
            t->seen[n][whom] = m.incarnation;
        }
    }
}

static void torture_tags(struct torture *t, unsigned n)
{
    kith *k = world_node(t->w, n);
    char value = (char)('a' + torture_draw(t, 26));
    if (t->bare || kith_begin(k) != 0)
        return;
    kith_tag_set(k, (struct kith_str){"mood", 4}, (struct kith_str){&value, 1});
    kith_commit(k, world_now(t->w), NULL);
}

static void torture_pause(struct torture *t, unsigned n, bool paused)
{
    t->paused[n] = paused;
    world_pause(t->w, n, paused);
}

static void torture_act(struct torture *t)
{
    unsigned n = (unsigned)torture_draw(t, t->nodes);
    unsigned other = (unsigned)torture_draw(t, t->nodes);
    switch (torture_draw(t, 9)) {
    case 0:
    case 1:
        if (t->state[n] != RUNNING || torture_running(t) <= 2)
            break;
        torture_pause(t, n, false);
        world_crash(t->w, n);
        t->state[n] = CRASHED;
        break;
    case 2:
    case 3:
        if (t->state[n] == CRASHED)
            torture_start(t, n);
        break;
    case 4:
        world_cut(t->w, n, other, n != other);
        break;
    case 5:
        world_cut(t->w, n, other, false);
        break;
    case 6:
        if (t->state[n] == RUNNING)
            torture_pause(t, n, !t->paused[n]);
        break;
    case 7:
        if (t->state[n] != RUNNING || t->paused[n] || torture_running(t) <= 2)
            break;
        kith_leave(world_node(t->w, n), world_now(t->w), NULL);
        t->state[n] = LEAVING;
        break;
    default:
        if (t->state[n] == RUNNING && !t->paused[n])
            torture_tags(t, n);
        break;
    }
}

/* A node that left is taken away once it is done, and may come back later. */
static void torture_bury(struct torture *t)
{
    for (unsigned n = 0; n < t->nodes; n++) {
        struct kith_gauges g;
        if (t->state[n] != LEAVING)
            continue;
        kith_read_gauges(world_node(t->w, n), &g);
        if (!g.left_pool)
            continue;
        world_crash(t->w, n);
        t->state[n] = CRASHED;
    }
}

static bool torture_knows(struct torture *t, unsigned n, unsigned whom)
{
    char name[8];
    snprintf(name, sizeof name, "node-%u", whom);
    enum kith_status status = world_status(t->w, n, name);
    return status == KITH_STATUS_ALIVE || status == KITH_STATUS_FAILED;
}

/* Nodes that no chain of acquaintance connects (restarted while everyone else was away) cannot find each other: their
 * operators join them.  Everything else has to heal by itself. */
static void torture_introduce(struct torture *t)
{
    unsigned group[TORTURE_NODES];
    for (unsigned n = 0; n < t->nodes; n++)
        group[n] = n;
    for (unsigned round = 0; round < t->nodes; round++) {
        for (unsigned a = 0; a < t->nodes; a++) {
            for (unsigned b = 0; b < t->nodes; b++) {
                bool both = t->state[a] == RUNNING && t->state[b] == RUNNING;
                if (both && torture_knows(t, a, b))
                    group[a] = group[b] = group[a] < group[b] ? group[a] : group[b];
            }
        }
    }
    unsigned first = 0;
    while (t->state[first] != RUNNING)
        first++;
    for (unsigned n = 0; n < t->nodes; n++) {
        if (t->state[n] == RUNNING && group[n] == n && n != first)
            world_join(t->w, n, first, NULL);
    }
}

static void torture_heal(struct torture *t)
{
    world_chance(t->w, t->seed ^ 0xfeed, 0);
    for (unsigned a = 0; a < t->nodes; a++) {
        torture_pause(t, a, false);
        for (unsigned b = 0; b < t->nodes; b++)
            world_cut(t->w, a, b, false);
    }
    world_run(t->w, 60 * SECOND); /* what was under way arrives, what is gone is noticed */
    torture_introduce(t);
    world_run(t->w, 300 * SECOND); /* up to 7 failed members, one contacted each 30 s */
    torture_bury(t);
}

/* Everyone who runs sees everyone who runs alive, with the same incarnation, and nobody else. */
static void torture_agree(struct torture *t)
{
    for (unsigned n = 0; n < t->nodes; n++) {
        if (t->state[n] != RUNNING)
            continue;
        unsigned alive = 0;
        for (unsigned whom = 0; whom < t->nodes; whom++) {
            char name[8];
            snprintf(name, sizeof name, "node-%u", whom);
            enum kith_status status = world_status(t->w, n, name);
            alive += status == KITH_STATUS_ALIVE;
            if (t->state[whom] == RUNNING && status != KITH_STATUS_ALIVE)
                torture_fail(t, "the first does not see the second alive", n, whom);
            if (t->state[whom] == CRASHED && status == KITH_STATUS_ALIVE)
                torture_fail(t, "the first sees the second alive, which is gone", n, whom);
        }
        if (alive != torture_running(t))
            torture_fail(t, "it sees too many", n, n);
    }
}

static void torture_seed(uint64_t seed)
{
    struct torture t = {.w = world_new(), .seed = seed};
    world_chance(t.w, seed, 0);
    t.nodes = 3 + (unsigned)torture_draw(&t, TORTURE_NODES - 2);
    t.profile = torture_draw(&t, 2) ? KITH_PROFILE_LAN : KITH_PROFILE_LOCAL;
    t.sealed = torture_draw(&t, 3) == 0;
    t.bare = torture_draw(&t, 5) == 0;
    t.squeezed = torture_draw(&t, 2) == 0;
    t.labelled = torture_draw(&t, 3) == 0;
    uint32_t loss_ppm = torture_draw(&t, 2) ? (uint32_t)torture_draw(&t, 200000) : 0;
    for (unsigned n = 0; n < t.nodes; n++)
        torture_start(&t, n);
    world_run(t.w, 5 * SECOND);
    world_chance(t.w, seed + 1, loss_ppm);
    for (unsigned step = 0; step < 40; step++) {
        torture_act(&t);
        world_run(t.w, torture_draw(&t, 8 * SECOND) + 1);
        torture_bury(&t);
        torture_check(&t);
    }
    torture_heal(&t);
    torture_check(&t);
    torture_agree(&t);
    world_free(t.w);
}

static void every_seed_heals(void **state)
{
    (void)state;
    unsigned long long from = 1, to = getenv("KITH_SOAK") ? 20000 : FEWER(300);
    const char *seeds = getenv("KITH_SEEDS");
    if (seeds && sscanf(seeds, "%llu..%llu", &from, &to) != 2)
        fail_msg("KITH_SEEDS is not A..B: %s", seeds);
    for (unsigned long long seed = from; seed <= to; seed++)
        torture_seed(seed);
    printf("seeds %llu..%llu\n", from, to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_seed_heals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
