/* store/rows.c: a disk that carries out whole groups always holds a state that the store has had, whatever fails on the way,
 * an allocation each in turn included, and what was the last state comes back from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/rng.h"
#include "store/rows.h"
#include "store_state.h"

enum { NOW = 1000, DISK_ROWS = 512 };

/* ---- a disk ---- */

struct disk_row {
    size_t name_len, value_len;
    uint8_t name[KI_ROW_NAME_MAX], value[300];
};

struct disk {
    struct disk_row rows[DISK_ROWS]; /* in order */
    size_t count;
};

static struct disk disk, next; /* what is durable; with the group that is out */
static struct replica r, again;
static struct ki_rows rows;
static struct state wanted, found;

static int disk_compare(const struct disk_row *row, struct ki_span name)
{
    size_t len = ki_min_size(row->name_len, name.len);
    int order = memcmp(row->name, name.ptr, len);
    return order ? order : (row->name_len > name.len) - (row->name_len < name.len);
}

static void disk_apply(struct disk *d, const struct ki_row *row)
{
    size_t at = 0;
    while (at < d->count && disk_compare(&d->rows[at], row->name) < 0)
        at++;
    bool is_there = at < d->count && disk_compare(&d->rows[at], row->name) == 0;
    if (row->is_gone) {
        if (is_there)
            memmove(&d->rows[at], &d->rows[at + 1], (--d->count - at) * sizeof d->rows[0]);
        return;
    }
    assert_true(row->name.len <= KI_ROW_NAME_MAX && row->value.len <= sizeof d->rows[0].value && d->count < DISK_ROWS);
    if (!is_there)
        memmove(&d->rows[at + 1], &d->rows[at], (d->count++ - at) * sizeof d->rows[0]);
    d->rows[at].name_len = row->name.len;
    d->rows[at].value_len = row->value.len;
    memcpy(d->rows[at].name, row->name.ptr, row->name.len);
    if (row->value.len)
        memcpy(d->rows[at].value, row->value.ptr, row->value.len);
}

/* Polls a group; true: it is whole, and in `next`. */
static bool poll_group(void)
{
    struct ki_row row;
    next = disk;
    while (ki_rows_poll(&rows, &row)) {
        if (row.is_commit)
            return true;
        disk_apply(&next, &row);
    }
    return false;
}

static bool poll_and_write(void)
{
    bool is_whole = poll_group();
    if (is_whole) {
        disk = next;
        ki_rows_written(&rows, true);
    }
    return is_whole;
}

static int load(const struct disk *d, struct replica *into, struct ki_rows *its_rows)
{
    replica_open(into, 99);
    ki_rows_init(its_rows, &into->store);
    int error = 0;
    for (size_t i = 0; i < d->count && !error; i++)
        error = ki_rows_load(its_rows, ki_span(d->rows[i].name, d->rows[i].name_len),
                             ki_span(d->rows[i].value, d->rows[i].value_len));
    return error;
}

/* What the disk has is this state. */
static void must_hold(const struct disk *d, const struct state *state)
{
    struct ki_rows its_rows;
    assert_int_equal(load(d, &again, &its_rows), 0);
    assert_true(ki_rows_are_whole(&its_rows));
    ki_delta_end(&again.store);
    state_of(&again, &found);
    assert_int_equal(found.len, state->len);
    assert_memory_equal(found.bytes, state->bytes, state->len);
    assert_int_equal(again.store.replica, r.store.replica);
    ki_rows_free(&its_rows);
    replica_close(&again);
}

/* ---- a store ---- */

static void begin(void)
{
    disk.count = 0;
    replica_open(&r, 1);
    ki_rows_init(&rows, &r.store);
}

static void end(void)
{
    r.fail_in = SIZE_MAX;
    ki_rows_free(&rows);
    replica_close(&r);
}

static void take_state(struct state *state)
{
    ki_delta_end(&r.store);
    state_of(&r, state);
}

static void write_one(struct ki_rng *rng)
{
    char key[8], field[8];
    snprintf(key, sizeof key, "k%u", (unsigned)ki_rng_below(rng, 12));
    snprintf(field, sizeof field, "f%u", (unsigned)ki_rng_below(rng, 4));
    switch (ki_rng_below(rng, 5)) {
    case 0:
        (void)ki_delete(&r.store, text(key), NULL);
        break;
    case 1:
        (void)ki_set_add(&r.store, NOW, text(key), text(field), NULL);
        break;
    case 2:
        (void)ki_hash_set(&r.store, NOW, text(key), text(field), text("value"), NULL);
        break;
    case 3:
        (void)ki_increase(&r.store, NOW, text(key), 1, NULL);
        break;
    default:
        (void)ki_set(&r.store, NOW, text(key), text(field), 0);
    }
}

/* A cell of another replica, with a gap before it. */
static void join_one(struct ki_rng *rng)
{
    const struct ki_cell_image image = {.dot = {7 + ki_rng_below(rng, 3), 1 + ki_rng_below(rng, 60)},
                                        .kind = KI_KIND_REGISTER,
                                        .stamp = 5,
                                        .key = text("theirs"),
                                        .value = text("v")};
    (void)ki_store_join(&r.store, NOW, &image);
}

/* The same dot with another content: its row goes and comes in one group (R19). */
static void replace_one(struct ki_rng *rng)
{
    const struct ki_cell_image image = {.dot = {7 + ki_rng_below(rng, 3), 1 + ki_rng_below(rng, 60)},
                                        .kind = KI_KIND_REGISTER,
                                        .stamp = 6,
                                        .key = text("theirs"),
                                        .value = text("another")};
    (void)ki_store_replace(&r.store, &image);
}

static void change(struct ki_rng *rng)
{
    for (unsigned i = 0; i < 8; i++) {
        write_one(rng);
        join_one(rng);
        replace_one(rng);
    }
}

/* ---- tests ---- */

static void a_disk_is_always_a_state(void **state)
{
    (void)state;
    static struct state durable;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct ki_rng rng;
        ki_rng_init(&rng, seed);
        begin();
        uint64_t due = ki_rows_due(&rows);
        assert_true(poll_and_write()); /* even of an empty store: its id */
        assert_true(rows.durable >= due);
        for (unsigned round = 0; round < 40; round++) {
            change(&rng);
            due = ki_rows_due(&rows);
            take_state(&durable);
            assert_true(due > rows.durable);
            assert_true(poll_group());
            assert_int_equal(ki_rows_due(&rows), rows.seq);
            struct ki_row row;
            assert_false(ki_rows_poll(&rows, &row)); /* one at a time */
            if (ki_rng_below(&rng, 2))
                change(&rng); /* while it is out */
            bool is_written = ki_rng_below(&rng, 3) > 0;
            if (is_written)
                disk = next;
            ki_rows_written(&rows, is_written);
            if (is_written) {
                assert_true(rows.durable >= due);
                must_hold(&disk, &durable);
            }
        }
        take_state(&wanted);
        while (ki_rows_due(&rows) != rows.durable)
            assert_true(poll_and_write());
        assert_false(poll_group());
        must_hold(&disk, &wanted);
        end();
    }
}

/* Groups that go ahead mean nothing until the last one: a disk that has some of them holds the state before. */
static void parts_mean_nothing_before_the_last(void **state)
{
    (void)state;
    static struct state durable;
    unsigned parts = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct ki_rng rng;
        ki_rng_init(&rng, seed);
        begin();
        assert_true(poll_and_write());
        rows.part_max = 3;
        take_state(&durable);
        for (unsigned round = 0; round < 60; round++) {
            for (unsigned i = (unsigned)ki_rng_below(&rng, 20); i > 0; i--) {
                write_one(&rng);
                join_one(&rng);
            }
            uint64_t due = ki_rows_due(&rows);
            take_state(&wanted);
            if (!poll_group())
                continue;
            parts += rows.is_part;
            bool is_written = ki_rng_below(&rng, 4) > 0, is_part = rows.is_part;
            if (is_written)
                disk = next;
            ki_rows_written(&rows, is_written);
            assert_true(!is_part || rows.durable < due);
            if (is_written && !is_part) {
                durable = wanted;
                assert_true(rows.durable >= due);
            }
            must_hold(&disk, &durable);
        }
        take_state(&wanted);
        while (ki_rows_due(&rows) != rows.durable)
            assert_true(poll_and_write());
        must_hold(&disk, &wanted);
        end();
        /* what went ahead and was left out is gone from the disk in the end */
        for (size_t i = 0; i < disk.count; i++)
            assert_true(disk.rows[i].name_len != 2);
    }
    assert_true(parts > 200);
}

/* A node that stopped among such groups leaves their rows out, and has them deleted. */
static void parts_of_a_former_life_go(void **state)
{
    (void)state;
    struct ki_rng rng;
    struct ki_rows its_rows;
    ki_rng_init(&rng, 3);
    begin();
    assert_true(poll_and_write());
    rows.part_max = 3;
    for (unsigned i = 0; i < 20; i++)
        join_one(&rng);
    take_state(&wanted);
    assert_true(poll_and_write() && rows.is_part);
    size_t ahead = disk.count;
    assert_int_equal(load(&disk, &again, &its_rows), 0);
    assert_int_equal(again.store.cells.cell_count, 0);
    struct ki_row row;
    while (ki_rows_poll(&its_rows, &row) && !row.is_commit)
        disk_apply(&disk, &row);
    assert_true(row.is_commit);
    ki_rows_written(&its_rows, true);
    assert_true(disk.count < ahead);
    for (size_t i = 0; i < disk.count; i++)
        assert_true(disk.rows[i].name[0] != 'c' && disk.rows[i].name_len != 2);
    ki_rows_free(&its_rows);
    replica_close(&again);
    end();
}

static void each_allocation_fails(void **state)
{
    (void)state;
    for (unsigned after = 0; after < 2; after++) {
        for (size_t fail = 0; fail < 60; fail++) {
            struct ki_rng rng;
            ki_rng_init(&rng, 5);
            begin();
            if (fail % 2)
                assert_true(poll_and_write());
            change(&rng);
            take_state(&wanted);
            r.fail_in = fail;
            r.fails_after = after;
            bool is_whole = poll_and_write();
            r.fail_in = SIZE_MAX;
            assert_true(is_whole || r.failed > 0);
            assert_true(!is_whole || ki_rows_due(&rows) == rows.durable);
            while (ki_rows_due(&rows) != rows.durable)
                assert_true(poll_and_write());
            must_hold(&disk, &wanted);
            end();
        }
    }
}

static void loading_fails(void **state)
{
    (void)state;
    struct ki_rng rng;
    ki_rng_init(&rng, 6);
    begin();
    change(&rng);
    change(&rng);
    assert_true(poll_and_write());
    size_t failed = 0;
    for (size_t fail = 0; fail < 200; fail++) {
        struct ki_rows its_rows;
        replica_open(&again, 99);
        ki_rows_init(&its_rows, &again.store);
        again.fail_in = fail;
        for (size_t i = 0; i < disk.count; i++) {
            struct ki_span name = ki_span(disk.rows[i].name, disk.rows[i].name_len);
            struct ki_span value = ki_span(disk.rows[i].value, disk.rows[i].value_len);
            int error = ki_rows_load(&its_rows, name, value);
            assert_true(error == 0 || error == KI_STORE_MEMORY);
            failed += error != 0;
            if (error)
                assert_int_equal(ki_rows_load(&its_rows, name, value), 0); /* it may be tried again */
        }
        take_state(&wanted);
        ki_delta_end(&again.store);
        state_of(&again, &found);
        assert_int_equal(found.len, wanted.len);
        assert_memory_equal(found.bytes, wanted.bytes, wanted.len);
        ki_rows_free(&its_rows);
        replica_close(&again);
    }
    assert_true(failed > 30);
    end();
}

/* Every byte of every row changed, and rows left out: taken or refused, never believed to be what it cannot be. */
static void damaged_rows(void **state)
{
    (void)state;
    struct ki_rng rng;
    struct ki_rows its_rows;
    ki_rng_init(&rng, 7);
    begin();
    change(&rng);
    assert_true(poll_and_write());
    next = disk;
    for (size_t i = 0; i < disk.count; i++) {
        struct disk_row *row = &next.rows[i];
        for (size_t at = 0; at < row->name_len + row->value_len; at++) {
            uint8_t *byte = at < row->name_len ? &row->name[at] : &row->value[at - row->name_len];
            *byte ^= (uint8_t)(1 + ki_rng_below(&rng, 255));
            int error = load(&next, &again, &its_rows);
            assert_true(error == 0 || error == KI_STORE_MALFORMED);
            for (uint32_t id = 0; id < again.store.cells.cells_used; id++) {
                if (ki_cells_at(&again.store.cells, id)->kind)
                    assert_true(ki_context_has(&again.store.context, ki_cells_dot(&again.store.cells, id)));
            }
            ki_rows_free(&its_rows);
            replica_close(&again);
            *row = disk.rows[i];
        }
    }
    next.count = 1; /* a context alone */
    assert_int_equal(load(&next, &again, &its_rows), 0);
    assert_false(ki_rows_are_whole(&its_rows));
    ki_rows_free(&its_rows);
    replica_close(&again);
    end();
}

static void exports_what_it_is(void **state)
{
    (void)state;
    for (size_t fail = 0; fail < 12; fail++) {
        struct ki_rng rng;
        struct ki_row row;
        uint64_t cursor = 0;
        ki_rng_init(&rng, 8);
        begin();
        change(&rng);
        take_state(&wanted);
        r.fail_in = fail;
        disk.count = 0;
        bool is_whole = false;
        while (!is_whole && ki_rows_export(&rows, &cursor, &row)) {
            is_whole = row.is_commit;
            if (!is_whole)
                disk_apply(&disk, &row);
        }
        assert_true(is_whole || (cursor == 0 && r.failed > 0));
        r.fail_in = SIZE_MAX;
        if (is_whole)
            must_hold(&disk, &wanted);
        assert_false(is_whole && ki_rows_export(&rows, &cursor, &row));
        end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_disk_is_always_a_state),
        cmocka_unit_test(parts_mean_nothing_before_the_last),
        cmocka_unit_test(parts_of_a_former_life_go), cmocka_unit_test(each_allocation_fails),
        cmocka_unit_test(loading_fails),            cmocka_unit_test(damaged_rows),
        cmocka_unit_test(exports_what_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
