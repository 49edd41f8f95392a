/* One run is one number: the same seeds and the same inputs give the same datagrams, byte for byte, the same events and
 * the same views, whatever lies where in memory.  The number is printed: builds by different compilers are compared by
 * it.  A run with other seeds is the canary. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lone.h"
#include "world.h"

#define NODES 9

static void determinism_tap(void *arg, unsigned from, const struct kith_addr *to, const uint8_t *buf, size_t len)
{
    uint64_t *digest = arg;
    *digest = lone_mix_number(*digest, from);
    *digest = lone_mix(*digest, to->ip, to->ip_len);
    *digest = lone_mix(*digest, buf, len);
}

static void determinism_config(struct kith_config *c, unsigned n, const struct kith_key *key)
{
    world_config(c, n);
    c->keys = key;
    c->key_count = key ? 1 : 0;
    c->label = lone_str("lab");
}

/* Joins, tags, a crash and a return, a partition, a pause, a leave. */
static void determinism_tell(struct world *w, const struct kith_key *key)
{
    struct kith_config c;
    for (unsigned n = 1; n < NODES; n++)
        world_join(w, n, n / 2, NULL);
    world_run(w, 3 * LONE_SECOND);
    assert_int_equal(kith_begin(world_node(w, 3)), 0);
    assert_int_equal(kith_tag_set(world_node(w, 3), lone_str("role"), lone_str("db")), 0);
    assert_int_equal(kith_commit(world_node(w, 3), world_now(w), NULL), 0);
    world_crash(w, 5);
    world_cut(w, 1, 2, true);
    world_run(w, 12 * LONE_SECOND);
    determinism_config(&c, 5, key);
    world_add(w, 5, &c);
    world_join(w, 5, 0, NULL);
    world_cut(w, 1, 2, false);
    world_pause(w, 7, true);
    world_run(w, 5 * LONE_SECOND);
    world_pause(w, 7, false);
    assert_int_equal(kith_leave(world_node(w, 8), world_now(w), NULL), 0);
    world_run(w, 15 * LONE_SECOND);
}

static uint64_t determinism_run(const struct kith_key *key, bool other_seeds)
{
    struct world *w = world_new();
    struct kith_config c;
    const struct world_event *events;
    uint64_t digest = 1;
    world_set_tap(w, determinism_tap, &digest);
    if (other_seeds) { /* the world numbers its seeds */
        determinism_config(&c, NODES, key);
        world_add(w, NODES, &c);
        world_crash(w, NODES);
    }
    for (unsigned n = 0; n < NODES; n++) {
        determinism_config(&c, n, key);
        world_add(w, n, &c);
    }
    determinism_tell(w, key);
    size_t count = world_events(w, &events);
    assert_true(count > NODES * NODES);
    for (size_t i = 0; i < count; i++) {
        const uint64_t numbers[] = {events[i].node, events[i].kind, events[i].changed, events[i].at_us};
        digest = lone_mix(digest, numbers, sizeof numbers);
        digest = lone_mix(digest, events[i].name, strlen(events[i].name));
    }
    for (unsigned n = 0; n < NODES; n++) {
        digest = lone_mix_number(digest, lone_digest(world_node(w, n)));
        for (size_t i = 0; i < kith_counter_count(); i++)
            digest = lone_mix_number(digest, kith_counter(world_node(w, n), i));
    }
    world_free(w);
    return digest;
}

static void the_same_seeds_give_the_same_run(void **state)
{
    (void)state;
    const struct kith_key key = {.bytes = {1, 2, 3}, .len = 32};
    const struct kith_key *keys[] = {NULL, &key};
    for (size_t i = 0; i < KI_COUNT(keys); i++) {
        uint64_t first = determinism_run(keys[i], false);
        void *hole = malloc(4096 + 16 * i); /* other places in memory */
        uint64_t second = determinism_run(keys[i], false);
        free(hole);
        assert_true(first == second);
        assert_true(first != determinism_run(keys[i], true));
        printf("digest %s %016llx\n", keys[i] ? "sealed" : "plain", (unsigned long long)first);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seeds_give_the_same_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
