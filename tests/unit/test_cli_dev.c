/* Who sees whom in `kith dev`: reading an answer, the lines that changes become, and when agreement is announced. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "cli/dev.h"
#include "wire/msgpack.h"

static struct ki_dev *dev;
static uint64_t lines_read; /* of the ring */

/* Three running nodes on a screen nobody draws: lines go to the ring of events. */
static int set_up(void **state)
{
    (void)state;
    dev = calloc(1, sizeof *dev);
    assert_non_null(dev);
    assert_int_equal(uv_loop_init(&dev->loop), 0);
    dev->screen = true;
    lines_read = 0;
    dev->count = 3;
    dev->nodes = calloc(dev->count, sizeof *dev->nodes);
    assert_non_null(dev->nodes);
    for (unsigned i = 0; i < dev->count; i++) {
        dev->nodes[i].dev = dev;
        dev->nodes[i].index = i;
        dev->nodes[i].pid = 1; /* never signalled here */
        snprintf(dev->nodes[i].name, sizeof dev->nodes[i].name, "node-%u", i + 1);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(uv_loop_close(&dev->loop), 0);
    free(dev->nodes);
    free(dev);
    return 0;
}

/* The newest line without its time, or "" when there was none since the last call. */
static const char *said(void)
{
    if (dev->event_count == lines_read)
        return "";
    lines_read = dev->event_count;
    const char *line = dev->events[(lines_read - 1) % KI_DEV_EVENTS];
    return strchr(line, ' ') + 1;
}

/* view: a letter a node: - a s f l L. */
static void answers(unsigned index, const char *view)
{
    static const char letters[] = "-asflL";
    uint8_t sees[KI_DEV_NODES_MAX] = {0};
    for (size_t i = 0; view[i]; i++)
        sees[i] = (uint8_t)(strchr(letters, view[i]) - letters);
    ki_dev_view_update(&dev->nodes[index], sees);
}

static void pack_member(struct ki_pack *p, const char *name, const char *state, const char *status)
{
    ki_pack_map(p, 4);
    ki_pack_text(p, "Incarnation");
    ki_pack_uint(p, 7);
    ki_pack_text(p, "Name");
    ki_pack_text(p, name);
    ki_pack_text(p, "State");
    ki_pack_text(p, state);
    ki_pack_text(p, "Status");
    ki_pack_text(p, status);
}

static void test_parse(void **state)
{
    (void)state;
    uint8_t buf[512];
    struct ki_pack p = ki_pack(buf, sizeof buf, true);
    ki_pack_map(&p, 1);
    ki_pack_text(&p, "Members");
    ki_pack_array(&p, 3);
    pack_member(&p, "node-3", "dead", "failed");
    pack_member(&p, "stranger", "alive", "alive");
    pack_member(&p, "node-1", "suspect", "alive");
    uint8_t sees[KI_DEV_NODES_MAX];
    assert_true(ki_dev_view_parse(dev, ki_span(buf, p.w.len), sees));
    assert_int_equal(sees[0], KI_DEV_SEEN_SUSPECT);
    assert_int_equal(sees[1], KI_DEV_UNSEEN);
    assert_int_equal(sees[2], KI_DEV_SEEN_FAILED);
    for (size_t cut = 0; cut < p.w.len; cut++)
        assert_false(ki_dev_view_parse(dev, ki_span(buf, cut), sees));
}

static void test_changes(void **state)
{
    (void)state;
    answers(0, "aaa");
    assert_string_equal(said(), "node-1 sees node-2, node-3 alive");
    answers(0, "aaa");
    assert_string_equal(said(), "");
    answers(0, "asa");
    assert_string_equal(said(), "node-1 sees node-2 suspect");
    answers(0, "af-");
    assert_string_equal(said(), "node-1 sees node-2 failed");
    assert_true(dev->event_count == 4); /* and one that node-3 is seen no more */
    assert_non_null(strstr(dev->events[2], "node-1 sees node-3 no more"));
}

static void test_agreement(void **state)
{
    (void)state;
    answers(0, "aaa");
    answers(1, "aa-");
    ki_dev_view_check(dev);
    said();
    answers(2, "aaa");
    answers(1, "aaa");
    said();
    ki_dev_view_check(dev);
    assert_string_equal(said(), "cluster of 3 is up: every node sees 3 alive");
    ki_dev_view_check(dev);
    assert_string_equal(said(), ""); /* once */
    dev->nodes[2].pid = 0;
    dev->nodes[2].process = KI_DEV_KILLED;
    ki_dev_view_forget(&dev->nodes[2]);
    ki_dev_view_check(dev);
    assert_string_equal(said(), ""); /* the others do not know yet: nothing new is agreed */
    answers(0, "aaf");
    ki_dev_view_check(dev);
    answers(1, "aas");
    said();
    ki_dev_view_check(dev);
    assert_string_equal(said(), "");
    answers(1, "aaf");
    said();
    ki_dev_view_check(dev);
    assert_string_equal(said(), "the 2 running agree: 2 alive, 1 failed, 0 left");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_parse, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_changes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_agreement, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
