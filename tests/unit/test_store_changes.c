/* store/changes.c: one note for what a step does to a key; what is dropped is counted, whether there was no room or no
 * memory, and what is left is whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "store/changes.h"
#include "store/expiry.h"
#include "store_state.h"

enum { NOW = 1000 };

static struct replica r;
static struct ki_changes changes;

static void begin(uint32_t max)
{
    replica_open(&r, 1);
    ki_changes_init(&changes, &r.mem, max);
    r.store.changes = &changes;
}

static void end(void)
{
    r.fail_in = SIZE_MAX;
    ki_changes_free(&changes);
    replica_close(&r);
}

static void step_ends(void)
{
    ki_changes_end(&changes, &r.store.cells);
}

static void must_show(const char *key, enum ki_type type, unsigned wrote, unsigned removed)
{
    const struct ki_change *change = ki_changes_next(&changes);
    assert_non_null(change);
    assert_int_equal(change->key_len, strlen(key));
    assert_memory_equal(change->key, key, change->key_len);
    assert_int_equal(change->type, type);
    assert_int_equal(change->wrote, wrote);
    assert_int_equal(change->removed, removed);
}

static void one_note_a_step(void **state)
{
    (void)state;
    begin(100);
    assert_int_equal(ki_set(&r.store, NOW, text("a"), text("1"), 0), 0);
    assert_null(ki_changes_next(&changes)); /* the step is under way */
    step_ends();
    must_show("a", KI_TYPE_STRING, 1u << KI_KIND_REGISTER, 0);
    assert_null(ki_changes_next(&changes));
    assert_int_equal(ki_set(&r.store, NOW, text("a"), text("2"), 0), 0);
    step_ends();
    must_show("a", KI_TYPE_STRING, 1u << KI_KIND_REGISTER, 0); /* replaced, not removed */
    assert_int_equal(ki_set_add(&r.store, NOW, text("s"), text("x"), NULL), 0);
    assert_int_equal(ki_set_add(&r.store, NOW, text("s"), text("y"), NULL), 0);
    assert_int_equal(ki_delete(&r.store, text("a"), NULL), 0);
    step_ends();
    must_show("s", KI_TYPE_SET, 1u << KI_KIND_SET, 0);
    must_show("a", KI_TYPE_NONE, 0, 1u << KI_KIND_REGISTER);
    assert_int_equal(ki_set(&r.store, NOW, text("s"), text("now a string"), 0), 0);
    step_ends();
    must_show("s", KI_TYPE_STRING, 1u << KI_KIND_REGISTER, 1u << KI_KIND_SET);
    assert_int_equal(ki_set(&r.store, NOW, text("e"), text("ends"), NOW + 5), 0);
    step_ends();
    must_show("e", KI_TYPE_STRING, 1u << KI_KIND_REGISTER, 0);
    ki_expire_key(&r.store, NOW + 5, text("e"));
    step_ends();
    const struct ki_change *change = ki_changes_next(&changes);
    assert_true(change && change->is_expired && !change->is_remote && change->type == KI_TYPE_NONE);
    assert_null(ki_changes_next(&changes));
    end();
}

/* Around the ring's end, in every place, at every size. */
static void beyond_the_limit_they_are_dropped(void **state)
{
    (void)state;
    static const uint32_t limits[] = {1, 2, 63, 64, 65, 200};
    for (size_t i = 0; i < KI_COUNT(limits); i++) {
        begin(limits[i]);
        uint64_t shown = 0;
        unsigned written = 0;
        for (unsigned round = 0; round < 20; round++) {
            for (unsigned key = 0; key < 37 * (round % 4); key++, written++) {
                char name[16];
                snprintf(name, sizeof name, "key-%u-%u", round, key);
                assert_int_equal(ki_set(&r.store, NOW, text(name), text("v"), 0), 0);
                if (key % 5 == 0)
                    step_ends();
                assert_true(changes.count <= limits[i]);
            }
            step_ends();
            for (unsigned take = 0; take < 30 + round && ki_changes_next(&changes); take++)
                shown++;
        }
        while (ki_changes_next(&changes))
            shown++;
        assert_int_equal(shown + changes.dropped, written);
        end();
    }
}

static void memory_runs_out(void **state)
{
    (void)state;
    for (size_t fail = 0; fail < 40; fail++) {
        begin(1000);
        for (unsigned key = 0; key < 100; key++) {
            char name[16];
            snprintf(name, sizeof name, "%u", key);
            const struct ki_cell_image image = {.dot = {2, key + 1}, .kind = KI_KIND_REGISTER, .key = text(name)};
            r.fail_in = key == 60 ? fail : r.fail_in;
            ki_changes_wrote(&changes, &image);
            if (key % 3 == 0)
                step_ends();
        }
        step_ends();
        uint64_t shown = 0;
        while (ki_changes_next(&changes))
            shown++;
        assert_int_equal(shown + changes.dropped, 100);
        assert_int_equal(changes.dropped, r.failed);
        end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_note_a_step),
        cmocka_unit_test(beyond_the_limit_they_are_dropped),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
