/* The store of one instance through its public interface: operations, walking, groups of rows and back, changes. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <kith/store.h>

#include "lone.h"

static struct kith_str text(const char *s)
{
    return lone_str(s);
}

static kith *open_store(struct kith_store_config *config, bool ready)
{
    struct kith_config c;
    kith *k;
    static uint8_t life; /* no two have one seed */
    lone_config(&c);
    c.seed[1] = ++life;
    LONE_CHECK(kith_new(&k, &c) == 0);
    LONE_CHECK(kith_store_open(k, config) == 0);
    if (ready)
        LONE_CHECK(kith_ready(k, lone_time(LONE_SECOND)) == 0);
    return k;
}

static kith *new_store(void)
{
    struct kith_store_config config;
    kith_store_config_init(&config);
    config.watch = true;
    return open_store(&config, true);
}

static void opens_once_and_early(void **state)
{
    (void)state;
    struct kith_store_config config;
    kith_store_config_init(&config);
    kith *k = open_store(&config, false);
    assert_int_equal(kith_store_open(k, &config), KITH_ERR_STATE);
    assert_int_equal(kith_set(k, lone_time(1), text("a"), text("b"), KITH_NEVER_MS), KITH_ERR_STATE);
    kith_free(k);
    struct kith_config c;
    lone_config(&c);
    k = lone_new(&c);
    assert_int_equal(kith_store_open(k, &config), KITH_ERR_STATE);
    struct kith_value value;
    assert_int_equal(kith_get(k, lone_time(LONE_SECOND), text("a"), &value), 0);
    assert_int_equal(value.shape, KITH_SHAPE_NOTHING);
    struct kith_row row;
    assert_false(kith_poll_row(k, lone_time(LONE_SECOND), &row));
    kith_free(k);
    config.key_max = 0;
    assert_int_equal(kith_new(&k, &c), 0);
    assert_int_equal(kith_store_open(k, &config), KITH_ERR_ARG);
    kith_free(k);
}

static void strings_and_counters(void **state)
{
    (void)state;
    kith *k = new_store();
    struct kith_time now = lone_time(2 * LONE_SECOND);
    struct kith_value value;
    int64_t number;
    bool existed;
    assert_int_equal(kith_set(k, now, text("a"), text("one"), KITH_NEVER_MS), 0);
    assert_int_equal(kith_get(k, now, text("a"), &value), 0);
    assert_int_equal(value.shape, KITH_SHAPE_BYTES);
    assert_memory_equal(value.bytes.ptr, "one", 3);
    assert_int_equal(kith_increase(k, now, text("a"), 1, &number), KITH_ERR_NUMBER);
    assert_int_equal(kith_increase(k, now, text("n"), 41, &number), 0);
    assert_int_equal(kith_increase(k, now, text("n"), 1, &number), 0);
    assert_int_equal(number, 42);
    assert_int_equal(kith_get(k, now, text("n"), &value), 0);
    assert_int_equal(value.shape, KITH_SHAPE_INTEGER);
    assert_int_equal(value.integer, 42);
    assert_int_equal(kith_delete(k, now, text("n"), &existed), 0);
    assert_true(existed);
    assert_int_equal(kith_type_of(k, now, text("n")), KITH_TYPE_NONE);
    uint64_t at_ms;
    assert_int_equal(kith_expiry(k, now, text("n"), &at_ms), KITH_ERR_NOT_FOUND);
    assert_int_equal(kith_expire(k, now, text("a"), now.wall_us / 1000 + 500, &existed), 0);
    assert_int_equal(kith_expiry(k, now, text("a"), &at_ms), 0);
    assert_int_equal(at_ms, now.wall_us / 1000 + 500);
    uint64_t due_us = kith_deadline(k);
    assert_true(due_us <= now.mono_us + 500000);
    now = lone_time(now.mono_us + 500000);
    assert_int_equal(kith_type_of(k, now, text("a")), KITH_TYPE_NONE);
    kith_free(k);
}

static void elements_ranks_and_siblings(void **state)
{
    (void)state;
    kith *k = new_store();
    struct kith_time now = lone_time(2 * LONE_SECOND);
    struct kith_element element;
    uint32_t count, rank;
    bool is_new;
    static const char *const names[] = {"c", "a", "b"};
    for (int i = 0; i < 3; i++)
        assert_int_equal(kith_sorted_add(k, now, text("z"), text(names[i]), 3 - i, &is_new), 0);
    assert_int_equal(kith_count(k, now, text("z"), KITH_TYPE_SORTED, &count), 0);
    assert_int_equal(count, 3);
    assert_int_equal(kith_sorted_at(k, now, text("z"), 0, &element), 0);
    assert_memory_equal(element.field.ptr, "b", 1);
    assert_int_equal(kith_sorted_rank(k, now, text("z"), text("c"), &rank), 0);
    assert_int_equal(rank, 2);
    assert_int_equal(kith_sorted_bound(k, now, text("z"), 2, false, &rank), 0);
    assert_int_equal(rank, 1);
    assert_int_equal(kith_sorted_bound(k, now, text("z"), 2, true, &rank), 0);
    assert_int_equal(rank, 2);
    assert_int_equal(kith_sorted_at(k, now, text("z"), 3, &element), KITH_ERR_NOT_FOUND);
    assert_int_equal(kith_count(k, now, text("z"), KITH_TYPE_SET, &count), KITH_ERR_TYPE);
    assert_int_equal(kith_hash_set(k, now, text("h"), text("f"), text("v"), NULL), 0);
    assert_int_equal(kith_element(k, now, text("h"), KITH_TYPE_HASH, text("f"), &element), 0);
    assert_memory_equal(element.value.bytes.ptr, "v", 1);
    uint64_t cursor = 0;
    unsigned seen = 0;
    while (kith_next_element(k, now, text("z"), KITH_TYPE_SORTED, &cursor, &element)) {
        bool existed;
        assert_int_equal(kith_remove(k, now, text("z"), KITH_TYPE_SORTED, element.field, &existed), 0);
        assert_true(existed);
        seen++;
    }
    assert_int_equal(seen, 3);
    assert_int_equal(kith_set_add(k, now, text("s"), text("x"), NULL), 0);
    assert_int_equal(kith_expire(k, now, text("s"), now.wall_us / 1000 + 500, NULL), 0);
    assert_int_equal(kith_remove(k, now, text("s"), KITH_TYPE_SET, text("x"), NULL), 0);
    assert_int_equal(kith_set_add(k, now, text("s"), text("y"), NULL), 0);
    uint64_t end_ms;
    assert_int_equal(kith_expiry(k, now, text("s"), &end_ms), 0);
    assert_true(end_ms == KITH_NEVER_MS); /* the key is another one */
    assert_int_equal(kith_delete(k, now, text("s"), NULL), 0);
    struct kith_str value;
    struct kith_dot dot, none = {.replica = 5, .n = 9};
    assert_int_equal(kith_put_sibling(k, now, text("m"), text("x"), NULL, 0), 0);
    assert_int_equal(kith_put_sibling(k, now, text("m"), text("y"), &none, 1), KITH_ERR_ARG);
    assert_int_equal(kith_put_sibling(k, now, text("m"), text("y"), &none, 0), 0);
    assert_int_equal(kith_sibling(k, now, text("m"), 1, &value, &dot), 0);
    assert_memory_equal(value.ptr, "y", 1);
    assert_int_equal(kith_put_sibling(k, now, text("m"), text("z"), &dot, 1), 0);
    assert_int_equal(kith_sibling(k, now, text("m"), 1, &value, &dot), 0);
    assert_memory_equal(value.ptr, "z", 1);
    assert_int_equal(kith_sibling(k, now, text("m"), 2, &value, &dot), KITH_ERR_NOT_FOUND);
    cursor = 0;
    seen = 0;
    struct kith_str key;
    while (kith_next_key(k, now, &cursor, &key))
        seen++;
    assert_int_equal(seen, 2); /* h, m: the sorted set is empty */
    kith_free(k);
}

/* ---- rows ---- */

#define ROWS_MAX 64
struct disk {
    char name[ROWS_MAX][32];
    size_t name_len[ROWS_MAX];
    char value[ROWS_MAX][256];
    size_t value_len[ROWS_MAX];
    unsigned count;
};

static void disk_put(struct disk *disk, const struct kith_row *row)
{
    unsigned at = 0;
    while (at < disk->count &&
           (disk->name_len[at] != row->name.len || memcmp(disk->name[at], row->name.ptr, row->name.len) != 0))
        at++;
    if (row->is_gone && at < disk->count) {
        disk->count--;
        memcpy(disk->name[at], disk->name[disk->count], 32);
        disk->name_len[at] = disk->name_len[disk->count];
        memcpy(disk->value[at], disk->value[disk->count], 256);
        disk->value_len[at] = disk->value_len[disk->count];
    }
    if (row->is_gone)
        return;
    LONE_CHECK(at < ROWS_MAX && row->value.len <= 256);
    disk->count += at == disk->count;
    memcpy(disk->name[at], row->name.ptr, row->name.len);
    disk->name_len[at] = row->name.len;
    memcpy(disk->value[at], row->value.ptr, row->value.len);
    disk->value_len[at] = row->value.len;
}

/* Returns how many rows the group had; it is carried out unless the disk fails. */
static unsigned write_group(kith *k, struct kith_time now, struct disk *disk, bool fails)
{
    struct kith_row row;
    unsigned count = 0;
    while (kith_poll_row(k, now, &row)) {
        if (row.is_commit) {
            assert_true(kith_rows_written(k) >= row.seq);
            kith_rows_durable(k, now, row.seq, fails ? 5 : 0);
            return count;
        }
        count++;
        if (!fails)
            disk_put(disk, &row);
    }
    return count;
}

static int load(kith *k, struct disk *disk)
{
    unsigned order[ROWS_MAX];
    for (unsigned i = 0; i < disk->count; i++) {
        unsigned at = i;
        for (; at > 0; at--) {
            unsigned before = order[at - 1];
            size_t len = disk->name_len[before] < disk->name_len[i] ? disk->name_len[before] : disk->name_len[i];
            int way = memcmp(disk->name[before], disk->name[i], len);
            if (way < 0 || (way == 0 && disk->name_len[before] < disk->name_len[i]))
                break;
            order[at] = before;
        }
        order[at] = i;
    }
    int error = 0;
    for (unsigned i = 0; i < disk->count && !error; i++)
        error = kith_load_row(k, (struct kith_str){disk->name[order[i]], disk->name_len[order[i]]},
                              (struct kith_str){disk->value[order[i]], disk->value_len[order[i]]});
    return error;
}

static void rows_survive(void **state)
{
    (void)state;
    kith *k = new_store();
    struct kith_time now = lone_time(2 * LONE_SECOND);
    struct disk disk = {.count = 0};
    struct kith_row row;
    assert_int_equal(kith_rows_are_durable(k), 0);
    assert_int_equal(write_group(k, now, &disk, false), 1); /* the id */
    assert_int_equal(kith_rows_are_durable(k), kith_rows_written(k));
    assert_false(kith_poll_row(k, now, &row));
    for (int i = 0; i < 100; i++)
        assert_int_equal(kith_set(k, now, text("a"), text(i % 2 ? "one" : "two"), KITH_NEVER_MS), 0);
    assert_int_equal(kith_set(k, now, text("b"), text("2"), KITH_NEVER_MS), 0);
    assert_true(kith_rows_are_durable(k) < kith_rows_written(k));
    assert_int_equal(write_group(k, now, &disk, true), 4); /* two cells, the context, the rest; and it fails */
    assert_int_equal(kith_delete(k, now, text("b"), NULL), 0);
    assert_int_equal(write_group(k, now, &disk, false), 3); /* it is known that the other never was there */
    assert_int_equal(kith_set(k, now, text("a"), text("new"), KITH_NEVER_MS), 0);
    assert_int_equal(kith_set(k, now, text("c"), text("3"), KITH_NEVER_MS), 0);
    assert_int_equal(write_group(k, now, &disk, true), 5);
    assert_int_equal(write_group(k, now, &disk, false), 5); /* again, the one that went too */
    assert_int_equal(disk.count, 4);
    struct kith_store_gauges before, after;
    assert_int_equal(kith_store_read_gauges(k, &before), 0);
    kith_free(k);

    struct kith_store_config config;
    kith_store_config_init(&config);
    k = open_store(&config, false);
    assert_int_equal(load(k, &disk), 0);
    assert_int_equal(kith_ready(k, now), 0);
    struct kith_value value;
    assert_int_equal(kith_get(k, now, text("a"), &value), 0);
    assert_memory_equal(value.bytes.ptr, "new", 3);
    assert_int_equal(kith_store_read_gauges(k, &after), 0);
    assert_int_equal(after.keys, 2);
    assert_true(after.replica != before.replica);
    assert_int_equal(after.written, 0);
    kith_free(k);

    config.keep_id = true;
    k = open_store(&config, false);
    assert_int_equal(load(k, &disk), 0);
    assert_int_equal(kith_ready(k, now), 0);
    assert_int_equal(kith_store_read_gauges(k, &after), 0);
    assert_true(after.replica == before.replica && after.written == before.written);
    kith_free(k);
}

static void damaged_rows_are_refused(void **state)
{
    (void)state;
    kith *k = new_store();
    struct kith_time now = lone_time(2 * LONE_SECOND);
    struct disk disk = {.count = 0};
    assert_int_equal(kith_set(k, now, text("a"), text("one"), KITH_NEVER_MS), 0);
    write_group(k, now, &disk, false);
    kith_free(k);
    unsigned refused = 0, tried = 0;
    struct kith_store_config config;
    kith_store_config_init(&config);
    for (unsigned i = 0; i < disk.count; i++) {
        for (size_t at = 0; at < disk.value_len[i]; at++, tried++) {
            struct disk copy = disk;
            copy.value_len[i] = at; /* cut */
            k = open_store(&config, false);
            refused += load(k, &copy) == KITH_ERR_MALFORMED;
            kith_free(k);
        }
    }
    assert_int_equal(refused, tried);
    for (unsigned i = 0; i < disk.count; i++) { /* a row lacks: a cell may, what it needs may not */
        struct disk copy = disk;
        copy.value_len[i] = copy.value_len[copy.count - 1];
        memcpy(copy.name[i], copy.name[copy.count - 1], 32);
        memcpy(copy.value[i], copy.value[copy.count - 1], 256);
        copy.name_len[i] = copy.name_len[copy.count - 1];
        bool is_cell = disk.name[i][0] == 'c';
        copy.count--;
        k = open_store(&config, false);
        assert_int_equal(load(k, &copy), is_cell ? 0 : KITH_ERR_MALFORMED);
        kith_free(k);
    }
}

static void backups_are_met_again(void **state)
{
    (void)state;
    kith *k = new_store();
    struct kith_time now = lone_time(2 * LONE_SECOND);
    struct disk disk = {.count = 0};
    struct kith_row row;
    uint64_t cursor = 0;
    assert_int_equal(kith_set(k, now, text("a"), text("old"), KITH_NEVER_MS), 0);
    assert_int_equal(kith_set(k, now, text("b"), text("old"), KITH_NEVER_MS), 0);
    assert_int_equal(kith_increase(k, now, text("n"), 5, NULL), 0);
    while (kith_export_row(k, &cursor, &row) && !row.is_commit)
        disk_put(&disk, &row);
    assert_true(row.is_commit);
    assert_int_equal(kith_set(k, now, text("a"), text("new"), KITH_NEVER_MS), 0);
    assert_int_equal(kith_delete(k, now, text("b"), NULL), 0);
    struct kith_store_gauges before, after;
    kith_store_read_gauges(k, &before);
    kith *other = new_store();
    assert_int_equal(kith_increase(other, now, text("n"), 2, NULL), 0);
    kith *both[] = {k, other};
    for (int i = 0; i < 2; i++) {
        for (unsigned j = 0; j < disk.count; j++) {
            row = (struct kith_row){.name = {disk.name[j], disk.name_len[j]}, .value = {disk.value[j], disk.value_len[j]}};
            assert_int_equal(kith_import_row(both[i], now, &row), 0);
        }
        assert_int_equal(kith_import_row(both[i], now, &(struct kith_row){.is_commit = true}), 0);
    }
    struct kith_value value;
    assert_int_equal(kith_get(k, now, text("a"), &value), 0);
    assert_memory_equal(value.bytes.ptr, "new", 3);
    assert_int_equal(kith_type_of(k, now, text("b")), KITH_TYPE_NONE);
    kith_store_read_gauges(k, &after);
    assert_true(after.replica != before.replica && after.written == 0);
    assert_int_equal(kith_get(other, now, text("b"), &value), 0);
    assert_memory_equal(value.bytes.ptr, "old", 3);
    assert_int_equal(kith_get(other, now, text("n"), &value), 0);
    assert_int_equal(value.integer, 7);
    row = (struct kith_row){.name = text("zzz"), .value = text("")};
    assert_int_equal(kith_import_row(k, now, &row), KITH_ERR_MALFORMED);
    kith_free(other);
    kith_free(k);
}

static void changes_are_told(void **state)
{
    (void)state;
    kith *k = new_store();
    struct kith_time now = lone_time(2 * LONE_SECOND);
    struct kith_change change;
    assert_false(kith_poll_change(k, &change));
    assert_int_equal(kith_set(k, now, text("a"), text("1"), KITH_NEVER_MS), 0);
    assert_int_equal(kith_set(k, now, text("a"), text("2"), KITH_NEVER_MS), 0);
    for (int i = 0; i < 2; i++) {
        assert_true(kith_poll_change(k, &change));
        assert_int_equal(change.wrote, KITH_WROTE_STRING);
        assert_int_equal(change.removed, 0);
        assert_false(change.is_gone || change.is_remote || change.is_expired);
    }
    assert_int_equal(kith_set_add(k, now, text("s"), text("x"), NULL), 0);
    assert_true(kith_poll_change(k, &change));
    assert_int_equal(change.wrote, KITH_WROTE_SET);
    assert_int_equal(kith_remove(k, now, text("s"), KITH_TYPE_SET, text("x"), NULL), 0);
    assert_true(kith_poll_change(k, &change));
    assert_int_equal(change.removed, KITH_WROTE_SET);
    assert_true(change.is_gone && change.type == KITH_TYPE_SET);
    assert_int_equal(kith_set(k, now, text("e"), text("1"), now.wall_us / 1000 + 10), 0);
    assert_true(kith_poll_change(k, &change));
    now = lone_time(now.mono_us + 20000);
    assert_int_equal(kith_type_of(k, now, text("e")), KITH_TYPE_NONE);
    assert_true(kith_poll_change(k, &change));
    assert_true(change.is_gone && change.is_expired && change.type == KITH_TYPE_STRING);
    assert_false(kith_poll_change(k, &change));
    kith_free(k);
}

static void dropped_changes_are_counted(void **state)
{
    (void)state;
    struct kith_store_config config;
    struct kith_change change;
    kith_store_config_init(&config);
    config.watch = true;
    config.changes_max = 2;
    kith *k = open_store(&config, true);
    for (char name = 'a'; name < 'f'; name++)
        assert_int_equal(
            kith_set(k, lone_time(LONE_SECOND), (struct kith_str){&name, 1}, text("v"), KITH_NEVER_MS), 0);
    assert_int_equal(lone_counter(k, "changes_dropped"), 3);
    assert_true(kith_poll_change(k, &change));
    kith_free(k);
}

/* Contexts without cells would say of all that lived there that it was deleted. */
static void half_a_store_is_refused(void **state)
{
    (void)state;
    struct kith_store_config config;
    struct kith_row row;
    uint64_t cursor = 0;
    kith_store_config_init(&config);
    kith *k = open_store(&config, true);
    assert_int_equal(kith_set(k, lone_time(LONE_SECOND), text("a"), text("v"), KITH_NEVER_MS), 0);
    assert_int_equal(kith_expire(k, lone_time(LONE_SECOND), text("a"), KITH_NEVER_MS, NULL), 0);
    kith *half = open_store(&config, false);
    assert_true(kith_export_row(k, &cursor, &row));
    assert_int_equal(kith_load_row(half, row.name, row.value), 0);
    assert_int_equal(kith_ready(half, lone_time(LONE_SECOND)), KITH_ERR_MALFORMED);
    while (kith_export_row(k, &cursor, &row) && !row.is_commit)
        assert_int_equal(kith_load_row(half, row.name, row.value), 0);
    assert_int_equal(kith_ready(half, lone_time(LONE_SECOND)), 0);
    kith_free(half);
    kith_free(k);
}

/* An open group has nothing to wait for: its driver is not woken over and over. */
static void an_open_group_sleeps(void **state)
{
    (void)state;
    kith *k = new_store();
    assert_int_equal(kith_set(k, lone_time(LONE_SECOND), text("a"), text("v"), 1800000002000), 0);
    assert_int_equal(kith_store_begin(k), 0);
    uint64_t at_us = 3 * LONE_SECOND; /* it should have ended */
    unsigned ticks = 0;
    for (; at_us < 4 * LONE_SECOND; ticks++, at_us = ki_max_u64(at_us + 1, kith_deadline(k)))
        kith_tick(k, lone_time(at_us));
    assert_true(ticks < 100);
    assert_int_equal(kith_store_commit(k, lone_time(at_us)), 0);
    kith_tick(k, lone_time(at_us));
    assert_int_equal(kith_type_of(k, lone_time(at_us), text("a")), KITH_TYPE_NONE);
    kith_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dropped_changes_are_counted),
        cmocka_unit_test(half_a_store_is_refused),
        cmocka_unit_test(an_open_group_sleeps),
        cmocka_unit_test(opens_once_and_early),
        cmocka_unit_test(strings_and_counters),
        cmocka_unit_test(elements_ranks_and_siblings),
        cmocka_unit_test(rows_survive),
        cmocka_unit_test(damaged_rows_are_refused),
        cmocka_unit_test(backups_are_met_again),
        cmocka_unit_test(changes_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
