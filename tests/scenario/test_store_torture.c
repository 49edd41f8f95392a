/* Random lives of small pools with stores, a seed each: all kinds of writes, loss, cuts, crashes and restarts from rows
 * whose groups become durable late or not at all, a member that sends rubbish, and memory limits.  When all is healed the
 * stores must agree within a minute, roots and contents; a node with nothing to do must sleep, and keep no more memory
 * than another.
 *
 *     scenario_store_torture [first seed [count]] */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

#define MS 1000ull
#define SECOND 1000000ull
#define TORTURE_NODES 6
#define TORTURE_KEYS 24
#define TORTURE_LIMIT (60 * SECOND)
#define TORTURE_TICKS_MAX 600 /* a second of a quiet node; one that spins has 2,000 in this world */

struct torture_row {
    struct torture_row *next;
    size_t name_len, value_len;
    bool is_gone;
    uint8_t name[32];
    uint8_t *value;
};

struct torture_disk {
    struct torture_row *rows;  /* durable, sorted */
    struct torture_row *group; /* polled, not durable yet */
    uint64_t seq;              /* 0: none is out */
    uint64_t at_us;
};

struct torture {
    uint64_t seed;
    struct world *w;
    unsigned count;
    bool has_disk;
    uint64_t delay_us; /* of a disk */
    bool has_backups;
    bool keeps_ids;    /* over restarts: what was shown is always durable */
    uint64_t ids[TORTURE_NODES];
    struct torture_disk disks[TORTURE_NODES];
};

static struct torture *torture_now;

#define TORTURE_CHECK(expr) ((expr) ? (void)0 : torture_fail(#expr, __LINE__))

static void torture_fail(const char *what, int line)
{
    fprintf(stderr, "seed %" PRIu64 ", line %d: does not hold: %s\n", torture_now->seed, line, what);
    abort();
}

static uint64_t torture_below(struct torture *t, uint64_t bound)
{
    return world_random(t->w) % bound;
}

/* ---- disks ---- */

static void torture_row_free(struct torture_row *row)
{
    free(row->value);
    free(row);
}

static void torture_rows_free(struct torture_row **rows)
{
    while (*rows) {
        struct torture_row *next = (*rows)->next;
        torture_row_free(*rows);
        *rows = next;
    }
}

static int torture_row_compare(const struct torture_row *a, const struct torture_row *b)
{
    size_t len = a->name_len < b->name_len ? a->name_len : b->name_len;
    int order = memcmp(a->name, b->name, len);
    return order ? order : (a->name_len > b->name_len) - (a->name_len < b->name_len);
}

static void torture_commit(struct torture_disk *disk)
{
    while (disk->group) {
        struct torture_row *row = disk->group;
        disk->group = row->next;
        struct torture_row **at = &disk->rows;
        while (*at && torture_row_compare(*at, row) < 0)
            at = &(*at)->next;
        if (*at && torture_row_compare(*at, row) == 0) {
            struct torture_row *old = *at;
            *at = old->next;
            torture_row_free(old);
        }
        if (row->is_gone) {
            torture_row_free(row);
        } else {
            row->next = *at;
            *at = row;
        }
    }
}

static struct torture_row **torture_last(struct torture_row **at)
{
    while (*at)
        at = &(*at)->next;
    return at;
}

static void torture_keep(struct torture_disk *disk, const struct kith_row *row)
{
    struct torture_row *kept = calloc(1, sizeof *kept);
    TORTURE_CHECK(kept && row->name.len <= sizeof kept->name);
    kept->name_len = row->name.len;
    kept->value_len = row->value.len;
    kept->is_gone = row->is_gone;
    memcpy(kept->name, row->name.ptr, row->name.len);
    kept->value = malloc(row->value.len + 1);
    if (row->value.len)
        memcpy(kept->value, row->value.ptr, row->value.len);
    *torture_last(&disk->group) = kept;
}

static void torture_drain(void *arg, unsigned n, kith *k, struct kith_time now)
{
    struct torture *t = arg;
    struct torture_disk *disk = &t->disks[n];
    struct kith_row row;
    if (!t->has_disk)
        return;
    if (disk->seq && now.mono_us >= disk->at_us) {
        bool fails = torture_below(t, 20) == 0;
        if (fails)
            torture_rows_free(&disk->group);
        else
            torture_commit(disk);
        uint64_t seq = disk->seq;
        disk->seq = 0;
        kith_rows_durable(k, now, seq, fails);
    }
    while (!disk->seq && kith_poll_row(k, now, &row)) {
        if (row.is_commit) {
            disk->seq = row.seq;
            disk->at_us = now.mono_us + torture_below(t, t->delay_us + 1);
        } else {
            torture_keep(disk, &row);
        }
    }
}

static void torture_load(void *arg, unsigned n, kith *k)
{
    struct torture *t = arg;
    for (const struct torture_row *row = t->disks[n].rows; row; row = row->next)
        TORTURE_CHECK(kith_load_row(k, (struct kith_str){(const char *)row->name, row->name_len},
                                    (struct kith_str){(const char *)row->value, row->value_len}) == 0);
}

/* ---- what nodes do ---- */

static struct kith_str torture_name(struct torture *t, char buf[16], const char *what, unsigned count)
{
    int len = snprintf(buf, 16, "%s%u", what, (unsigned)torture_below(t, count));
    return (struct kith_str){buf, (size_t)len};
}

static void torture_write(struct torture *t, unsigned n)
{
    static char large[60000];
    char key_buf[16], field_buf[16], value_buf[16];
    kith *k = world_node(t->w, n);
    struct kith_time now = world_now(t->w);
    struct kith_str key = torture_name(t, key_buf, "key", TORTURE_KEYS);
    struct kith_str field = torture_name(t, field_buf, "f", 8), value = torture_name(t, value_buf, "v", 100000);
    uint64_t end_ms = now.wall_us / 1000 + 1 + torture_below(t, 5000);
    enum kith_type types[] = {KITH_TYPE_SET, KITH_TYPE_HASH, KITH_TYPE_SORTED};
    switch (torture_below(t, 16)) {
    case 0:
    case 1:
        (void)kith_set(k, now, key, value, torture_below(t, 4) ? KITH_NEVER_MS : end_ms);
        break;
    case 2:
        memset(large, 'x', sizeof large);
        (void)kith_set(k, now, key, (struct kith_str){large, torture_below(t, sizeof large)}, KITH_NEVER_MS);
        break;
    case 3:
        (void)kith_increase(k, now, key, (int64_t)torture_below(t, 9) - 4, NULL);
        break;
    case 4:
        (void)kith_increase_real(k, now, key, 0.5, NULL);
        break;
    case 5:
        (void)kith_delete(k, now, key, NULL);
        break;
    case 6:
        (void)kith_expire(k, now, key, torture_below(t, 3) ? end_ms : KITH_NEVER_MS, NULL);
        break;
    case 7:
    case 8:
        (void)kith_set_add(k, now, key, field, NULL);
        break;
    case 9:
        (void)kith_hash_set(k, now, key, field, value, NULL);
        break;
    case 10:
        (void)kith_hash_increase(k, now, key, field, 3, NULL);
        break;
    case 11:
        (void)kith_sorted_add(k, now, key, field, (double)torture_below(t, 50), NULL);
        break;
    case 12:
        (void)kith_sorted_increase(k, now, key, field, 1.5, NULL);
        break;
    case 13:
        (void)kith_remove(k, now, key, types[torture_below(t, 3)], field, NULL);
        break;
    case 14:
        (void)kith_put_sibling(k, now, key, value, NULL, 0);
        break;
    default:
        (void)kith_hash_increase_real(k, now, key, field, 0.25, NULL);
    }
}

static void torture_writes(struct torture *t, unsigned n)
{
    kith *k = world_node(t->w, n);
    unsigned count = torture_below(t, 10) ? 1 + (unsigned)torture_below(t, 4) : 1 + (unsigned)torture_below(t, 300);
    bool grouped = torture_below(t, 3) == 0;
    if (grouped)
        TORTURE_CHECK(kith_store_begin(k) == 0);
    for (unsigned i = 0; i < count; i++)
        torture_write(t, n);
    if (grouped)
        TORTURE_CHECK(kith_store_commit(k, world_now(t->w)) == 0);
    if (torture_below(t, 8) == 0)
        (void)kith_store_wait(k, world_now(t->w), (uint32_t)torture_below(t, 4), 1 + (uint32_t)torture_below(t, 3000), NULL);
}

static uint64_t torture_id(struct torture *t, unsigned n)
{
    struct kith_store_gauges g;
    TORTURE_CHECK(kith_store_read_gauges(world_node(t->w, n), &g) == 0);
    return g.replica;
}

/* One node's backup is taken in by another, or by itself. */
static void torture_backup(struct torture *t, unsigned from, unsigned to)
{
    uint64_t cursor = 0;
    struct kith_row row;
    if (!world_node(t->w, from) || !world_node(t->w, to))
        return;
    while (kith_export_row(world_node(t->w, from), &cursor, &row))
        TORTURE_CHECK(kith_import_row(world_node(t->w, to), world_now(t->w), &row) == 0);
    t->ids[to] = torture_id(t, to);
}

static void torture_start(struct torture *t, unsigned n)
{
    struct kith_config c;
    world_config(&c, n);
    bool is_kept = t->keeps_ids && t->disks[n].rows;
    world_add(t->w, n, &c);
    TORTURE_CHECK(!is_kept || torture_id(t, n) == t->ids[n] || t->has_backups);
    t->ids[n] = torture_id(t, n);
    for (unsigned other = 0; other < t->count; other++) {
        if (other != n && world_node(t->w, other))
            (void)world_join(t->w, n, other, NULL);
    }
}

static void torture_stop(struct torture *t, unsigned n)
{
    world_crash(t->w, n);
    if (torture_below(t, 2) && t->disks[n].seq)
        torture_commit(&t->disks[n]); /* it had been written, but nobody was told */
    torture_rows_free(&t->disks[n].group);
    t->disks[n].seq = 0;
    if (torture_below(t, 5) == 0)
        torture_rows_free(&t->disks[n].rows);
}

/* What a member sends that has lost its mind, but nothing that would be believed for ever. */
static void torture_rubbish(struct torture *t, unsigned n, unsigned from)
{
    uint8_t buf[200] = {8, 75};
    size_t len = 3 + torture_below(t, sizeof buf - 3);
    for (size_t i = 2; i < len; i++)
        buf[i] = (uint8_t)world_random(t->w);
    static const uint8_t kinds[] = {1, 2, 3, 6, 7, 8, 8, 8, 0x81, 9, 0}; /* 82, that it refuses cells, is believed */
    buf[2] = kinds[torture_below(t, sizeof kinds)];
    if (buf[2] == 8)
        buf[3] = (uint8_t)(1 + torture_below(t, 2));
    world_inject(t->w, n, from, buf, len);
}

static void torture_step(struct torture *t)
{
    unsigned n = (unsigned)torture_below(t, t->count), other = (unsigned)torture_below(t, t->count);
    uint64_t what = torture_below(t, 100);
    if (!world_node(t->w, n)) {
        if (what < 20)
            torture_start(t, n);
    } else if (what < 70) {
        torture_writes(t, n);
    } else if (what < 80) {
        torture_rubbish(t, n, other);
    } else if (what < 90) {
        world_cut(t->w, n, other, n != other && torture_below(t, 2));
    } else if (what < 92) {
        torture_stop(t, n);
    } else if (what < 94 && t->has_backups) {
        torture_backup(t, n, other);
    }
    world_run(t->w, torture_below(t, 10) ? torture_below(t, 50 * MS) : torture_below(t, 3 * SECOND));
}

/* ---- what must be ---- */

static bool torture_agrees(struct torture *t)
{
    struct kith_store_gauges first, other;
    kith_store_read_gauges(world_node(t->w, 0), &first);
    bool agrees = first.has_root;
    for (unsigned n = 1; n < t->count; n++) {
        kith_store_read_gauges(world_node(t->w, n), &other);
        agrees = agrees && other.has_root && memcmp(first.root, other.root, sizeof first.root) == 0;
    }
    return agrees;
}

static uint64_t torture_mix(uint64_t hash, const void *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ ((const uint8_t *)data)[i]) * 0x100000001b3ull;
    return (hash ^ len) * 0x100000001b3ull;
}

static uint64_t torture_value(const struct kith_value *value)
{
    uint64_t hash = torture_mix(7, value->bytes.ptr, value->bytes.len);
    hash = torture_mix(hash, &value->integer, sizeof value->integer);
    return torture_mix(hash, &value->real, sizeof value->real) + value->shape;
}

/* All that a node shows, as one number. */
static uint64_t torture_contents(struct torture *t, unsigned n)
{
    kith *k = world_node(t->w, n);
    struct kith_time now = world_now(t->w);
    uint64_t sum = 0;
    for (unsigned i = 0; i < TORTURE_KEYS; i++) {
        char buf[16];
        struct kith_str key = {buf, (size_t)snprintf(buf, sizeof buf, "key%u", i)};
        enum kith_type type = kith_type_of(k, now, key);
        uint64_t hash = torture_mix(i, &type, sizeof type), cursor = 0, end_ms = 0;
        struct kith_element element;
        struct kith_value value;
        struct kith_str sibling;
        struct kith_dot dot;
        if (kith_expiry(k, now, key, &end_ms) == 0)
            hash = torture_mix(hash, &end_ms, sizeof end_ms);
        if (kith_get(k, now, key, &value) == 0)
            hash += torture_value(&value);
        for (uint32_t place = 0; kith_sibling(k, now, key, place, &sibling, &dot) == 0; place++)
            hash += torture_mix(place, sibling.ptr, sibling.len);
        while (kith_next_element(k, now, key, type, &cursor, &element))
            hash += torture_mix(torture_value(&element.value), element.field.ptr, element.field.len) +
                    torture_mix(3, &element.score, sizeof element.score);
        sum = torture_mix(sum, &hash, sizeof hash);
    }
    return sum;
}

static void torture_heal(struct torture *t)
{
    for (unsigned a = 0; a < t->count; a++) {
        for (unsigned b = 0; b < t->count; b++)
            world_cut(t->w, a, b, false);
    }
    for (unsigned n = 0; n < t->count; n++) {
        if (!world_node(t->w, n))
            torture_start(t, n);
    }
    for (unsigned n = 1; n < t->count; n++)
        (void)world_join(t->w, n, 0, NULL);
}

static void torture_show(struct torture *t)
{
    for (unsigned n = 0; n < t->count; n++) {
        struct kith_store_gauges g;
        kith_store_read_gauges(world_node(t->w, n), &g);
        fprintf(stderr,
                "node %u: root %d %02x%02x, %" PRIu64 " keys, %" PRIu64 " cells, %u replicas, %u runs, %u peers, %" PRIu64
                " rounds, %" PRIu64 " repairs, %" PRIu64 " failed, %" PRIu64 " bytes, partial %d\n",
                n, g.has_root, g.root[0], g.root[1], g.keys, g.cells, g.replicas, g.runs, g.peers, g.rounds, g.repairs,
                g.repairs_failed, g.bytes, g.is_partial);
    }
}

static void torture_check(struct torture *t)
{
    uint64_t begin_us = world_now(t->w).mono_us;
    while (!torture_agrees(t) && world_now(t->w).mono_us < begin_us + TORTURE_LIMIT)
        world_run(t->w, 500 * MS);
    if (!torture_agrees(t))
        torture_show(t);
    TORTURE_CHECK(torture_agrees(t));
    world_run(t->w, 7 * SECOND); /* what expires has expired */
    TORTURE_CHECK(torture_agrees(t));
    for (unsigned n = 0; n < t->count; n++)
        TORTURE_CHECK(torture_id(t, n) == t->ids[n]); /* nobody was met under another's */
    uint64_t contents = torture_contents(t, 0);
    for (unsigned n = 1; n < t->count; n++)
        TORTURE_CHECK(torture_contents(t, n) == contents);
}

/* Nothing is left to do: long after, all sleep, and what sessions took has been given back. */
static void torture_sleep(struct torture *t)
{
    uint64_t ticks[TORTURE_NODES], least = UINT64_MAX, most = 0;
    world_run(t->w, 75 * SECOND);
    for (unsigned n = 0; n < t->count; n++)
        ticks[n] = world_ticks(t->w, n);
    world_run(t->w, 4 * SECOND);
    for (unsigned n = 0; n < t->count; n++) {
        struct kith_store_gauges g;
        kith_store_read_gauges(world_node(t->w, n), &g);
        least = g.bytes < least ? g.bytes : least;
        most = g.bytes > most ? g.bytes : most;
        if (world_ticks(t->w, n) - ticks[n] >= 4 * TORTURE_TICKS_MAX)
            fprintf(stderr, "node %u: %" PRIu64 " ticks\n", n, world_ticks(t->w, n) - ticks[n]);
        TORTURE_CHECK(world_ticks(t->w, n) - ticks[n] < 4 * TORTURE_TICKS_MAX);
    }
    TORTURE_CHECK(most < 4 * least + (4u << 20));
    TORTURE_CHECK(torture_agrees(t));
}

static void torture_live(uint64_t seed)
{
    struct torture t = {.seed = seed};
    torture_now = &t;
    t.w = world_new();
    world_chance(t.w, seed, 0);
    t.count = 3 + (unsigned)torture_below(&t, 4);
    t.has_disk = torture_below(&t, 4) != 0;
    t.delay_us = torture_below(&t, 2) ? 0 : torture_below(&t, 300 * MS);
    struct kith_store_config config;
    kith_store_config_init(&config);
    config.withhold = t.has_disk && torture_below(&t, 2);
    config.keep_id = t.keeps_ids = config.withhold && torture_below(&t, 2);
    t.has_backups = torture_below(&t, 3) == 0;
    world_store(t.w, &config);
    world_set_disk(t.w, (struct world_disk){.drain = torture_drain, .load = torture_load, .arg = &t});
    uint32_t loss_ppm = torture_below(&t, 2) ? 0 : (uint32_t)torture_below(&t, 300000);
    for (unsigned n = 0; n < t.count; n++)
        torture_start(&t, n);
    world_run(t.w, 3 * SECOND);
    world_chance(t.w, seed + 1000000, loss_ppm);
    for (unsigned step = 0, steps = 50 + (unsigned)torture_below(&t, 250); step < steps; step++)
        torture_step(&t);
    world_chance(t.w, seed + 2000000, 0);
    torture_heal(&t);
    torture_check(&t);
    torture_sleep(&t);
    world_free(t.w);
    for (unsigned n = 0; n < TORTURE_NODES; n++) {
        torture_rows_free(&t.disks[n].rows);
        torture_rows_free(&t.disks[n].group);
    }
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1, count = argc > 2 ? strtoull(argv[2], NULL, 10) : 20;
    for (uint64_t seed = first; seed < first + count; seed++)
        torture_live(seed);
    printf("%" PRIu64 " lives\n", count);
    return 0;
}
