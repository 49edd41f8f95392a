/* The ring against an array: order of pushing, removal anywhere, and a removed link is alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/list.h"
#include "base/rng.h"

struct item {
    int number;
    struct ki_list link; /* in the ring under test */
};

enum { ITEMS = 12 };

static void check_ring(struct ki_list *head, const int *want, size_t count)
{
    size_t i = 0;
    assert_int_equal(ki_list_empty(head), count == 0);
    for (struct ki_list *at = head->next; at != head; at = at->next, i++) {
        assert_true(i < count);
        assert_int_equal(KI_CONTAINER(at, struct item, link)->number, want[i]);
        assert_ptr_equal(at->next->prev, at);
        assert_ptr_equal(at->prev->next, at);
    }
    assert_int_equal(i, count);
}

static void test_against_an_array(void **state)
{
    (void)state;
    struct ki_rng rng;
    ki_rng_init(&rng, 1);
    struct item items[ITEMS];
    struct ki_list head;
    int model[ITEMS];
    size_t count = 0;
    ki_list_init(&head);
    for (int i = 0; i < ITEMS; i++) {
        items[i].number = i;
        ki_list_init(&items[i].link);
    }
    for (int step = 0; step < 20000; step++) {
        int i = (int)ki_rng_below(&rng, ITEMS);
        size_t at = 0;
        while (at < count && model[at] != i)
            at++;
        assert_int_equal(ki_list_empty(&items[i].link), at == count);
        if (at == count) {
            ki_list_push(&head, &items[i].link);
            model[count++] = i;
        } else {
            ki_list_remove(&items[i].link);
            count--;
            memmove(&model[at], &model[at + 1], (count - at) * sizeof *model);
        }
        check_ring(&head, model, count);
    }
}

static void test_removing_twice_is_harmless(void **state)
{
    (void)state;
    struct ki_list head;
    struct item a = {.number = 1};
    struct item b = {.number = 2};
    ki_list_init(&head);
    ki_list_push(&head, &a.link);
    ki_list_push(&head, &b.link);
    ki_list_remove(&a.link);
    ki_list_remove(&a.link);
    check_ring(&head, (const int[]){2}, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_an_array),
        cmocka_unit_test(test_removing_twice_is_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
