/* The map against an array of what was put: random operations, few and many colliding hashes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/map.h"
#include "base/rng.h"

enum { KEYS = 600 };

struct owner {
    uint64_t hashes[KEYS]; /* of key i, which is value i */
    bool in[KEYS];
    size_t count;
};

static bool owner_equal(const void *owner, uint32_t value, const void *key)
{
    const struct owner *o = owner;
    const uint32_t *wanted = key;
    assert_true(value < KEYS);
    assert_true(o->in[value]); /* a value that was removed is never offered */
    return value == *wanted;
}

static void check_all(const struct ki_map *map, const struct owner *o)
{
    assert_int_equal(map->count, o->count);
    assert_true(map->count <= map->cap / 4 * 3);
    for (uint32_t key = 0; key < KEYS; key++) {
        uint32_t got = ki_map_get(map, o->hashes[key], owner_equal, o, &key);
        assert_int_equal(got, o->in[key] ? key : KI_MAP_NONE);
    }
}

static uint64_t hash_of(uint32_t key, int kind, struct ki_rng *rng)
{
    switch (kind) {
    case 0:
        return ki_rng_next(rng);
    case 1:
        return key % 3; /* long runs of equal hashes */
    case 2:
        return UINT64_C(0xfffffff0) + key % 31; /* homes at the end of the table: runs wrap around */
    default:
        return (uint64_t)key << 40; /* low half all zero */
    }
}

static void test_against_an_array(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        struct ki_rng rng;
        struct ki_mem mem;
        struct ki_map map;
        static struct owner o;
        memset(&o, 0, sizeof o);
        ki_rng_init(&rng, (uint64_t)kind);
        ki_mem_init(&mem, NULL, NULL, NULL, 0);
        ki_map_init(&map, &mem);
        for (uint32_t key = 0; key < KEYS; key++)
            o.hashes[key] = hash_of(key, kind, &rng);
        for (int step = 0; step < 30000; step++) {
            uint32_t range = step / 5000 % 2 ? 40 : KEYS; /* grows, thins out, grows again */
            uint32_t key = (uint32_t)ki_rng_below(&rng, range);
            if (o.in[key]) {
                ki_map_remove(&map, o.hashes[key], key);
                o.count--;
            } else {
                assert_true(ki_map_put(&map, o.hashes[key], key));
                o.count++;
            }
            o.in[key] = !o.in[key];
            if (step % 251 == 0)
                check_all(&map, &o);
        }
        check_all(&map, &o);
        ki_map_free(&map);
        assert_int_equal(mem.used, 0);
        uint32_t key = 1;
        assert_int_equal(ki_map_get(&map, 1, owner_equal, &o, &key), KI_MAP_NONE);
    }
}

static void test_out_of_memory_changes_nothing(void **state)
{
    (void)state;
    struct ki_mem mem;
    struct ki_map map;
    static struct owner o;
    memset(&o, 0, sizeof o);
    ki_mem_init(&mem, NULL, NULL, NULL, 1024);
    ki_map_init(&map, &mem);
    uint32_t refused = KI_MAP_NONE;
    for (uint32_t key = 0; key < KEYS; key++) {
        o.hashes[key] = key * UINT64_C(0x9e3779b97f4a7c15);
        o.in[key] = ki_map_put(&map, o.hashes[key], key);
        o.count += o.in[key];
        if (!o.in[key] && refused == KI_MAP_NONE)
            refused = key;
    }
    assert_int_equal(refused, 48); /* 64 slots of 8 bytes fit beside nothing else, 128 do not */
    assert_int_equal(o.count, 48);
    check_all(&map, &o);
    mem.max = 0;
    assert_true(ki_map_put(&map, o.hashes[refused], refused));
    o.in[refused] = true;
    o.count++;
    check_all(&map, &o);
    ki_map_free(&map);
    assert_int_equal(mem.used, 0);
}

/* Two values may share one hash; removal takes the one that was named. */
static void test_equal_hashes(void **state)
{
    (void)state;
    struct ki_mem mem;
    struct ki_map map;
    static struct owner o;
    memset(&o, 0, sizeof o);
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_map_init(&map, &mem);
    for (uint32_t key = 0; key < 3; key++) {
        o.in[key] = true;
        assert_true(ki_map_put(&map, 0, key));
    }
    ki_map_remove(&map, 0, 1);
    o.in[1] = false;
    for (uint32_t key = 0; key < 3; key++)
        assert_int_equal(ki_map_get(&map, 0, owner_equal, &o, &key), key == 1 ? KI_MAP_NONE : key);
    ki_map_free(&map);
}

/* With room made beforehand nothing fails, whatever memory there is; without memory for the room nothing changes. */
static void test_room_made_beforehand(void **state)
{
    (void)state;
    struct ki_mem mem;
    struct ki_map map;
    static struct owner o;
    memset(&o, 0, sizeof o);
    ki_mem_init(&mem, NULL, NULL, NULL, 1024);
    ki_map_init(&map, &mem);
    assert_false(ki_map_reserve(&map, KEYS));
    assert_true(ki_map_reserve(&map, 0) && map.count == 0);
    mem.max = 0;
    assert_true(ki_map_reserve(&map, KEYS));
    mem.max = 1; /* no more */
    size_t cap = map.cap;
    for (uint32_t key = 0; key < KEYS; key++) {
        o.hashes[key] = ki_map_hash_number(key);
        assert_int_equal(ki_map_get(&map, o.hashes[key], owner_equal, &o, &key), KI_MAP_NONE);
        assert_true(ki_map_put(&map, o.hashes[key], key));
        o.in[key] = true;
        o.count++;
    }
    assert_int_equal(map.cap, cap);
    check_all(&map, &o);
    assert_true(ki_map_reserve(&map, 1) && map.cap == cap);
    ki_map_free(&map);
}

/* A guess is of the right hash or none; where nothing is in the way it is right. */
static void test_guesses(void **state)
{
    (void)state;
    struct ki_mem mem;
    struct ki_map map;
    unsigned right = 0;
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_map_init(&map, &mem);
    ki_map_prefetch(&map, 7);
    assert_int_equal(ki_map_guess(&map, 7), KI_MAP_NONE);
    for (uint32_t key = 0; key < KEYS; key++)
        assert_true(ki_map_put(&map, ki_map_hash_number(key), key));
    for (uint32_t key = 0; key < 2 * KEYS; key++) {
        ki_map_prefetch(&map, ki_map_hash_number(key));
        uint32_t guess = ki_map_guess(&map, ki_map_hash_number(key));
        assert_true(guess == KI_MAP_NONE || (guess == key && key < KEYS));
        right += guess == key;
    }
    assert_true(right > KEYS / 2);
    ki_map_free(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_an_array),
        cmocka_unit_test(test_out_of_memory_changes_nothing),
        cmocka_unit_test(test_equal_hashes),
        cmocka_unit_test(test_room_made_beforehand),
        cmocka_unit_test(test_guesses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
