/* What an agent answers about aggregates: read, printed in columns and in a line, and turned into JSON; what is not there is
 * never a number; every truncation is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/aggregate_answer.h"
#include "wire/msgpack.h"

static void pack_real(struct ki_pack *p, const char *key, double value)
{
    ki_pack_text(p, key);
    ki_pack_double(p, value);
}

static void pack_number(struct ki_pack *p, const char *key, uint64_t value)
{
    ki_pack_text(p, key);
    ki_pack_uint(p, value);
}

static void pack_word(struct ki_pack *p, const char *key, const char *value)
{
    ki_pack_text(p, key);
    ki_pack_text(p, value);
}

static void pack_place(struct ki_pack *p, const char *member, uint64_t rank, double value)
{
    ki_pack_map(p, 3);
    pack_word(p, "Member", member);
    pack_number(p, "Rank", rank);
    pack_real(p, "Value", value);
}

static void pack_quantile(struct ki_pack *p, double q, double value, double rank_error)
{
    ki_pack_map(p, 3);
    pack_real(p, "Q", q);
    pack_real(p, "Value", value);
    pack_real(p, "RankError", rank_error);
}

/* ---- answers ---- */

static void pack_exact(struct ki_pack *p)
{
    ki_pack_map(p, 16);
    pack_word(p, "Engine", "exact");
    pack_word(p, "Unit", "per\tcore");
    ki_pack_text(p, "Converged");
    ki_pack_bool(p, true);
    pack_real(p, "Count", 3);
    pack_real(p, "Sum", 4.5);
    pack_real(p, "Average", 1.5);
    pack_real(p, "Error", 0.25);
    pack_real(p, "Variance", 1.25);
    pack_real(p, "Min", 0.5);
    pack_real(p, "Max", 3);
    pack_real(p, "EffectiveN", 3);
    pack_real(p, "Coverage", 1);
    pack_number(p, "Age", 1500);
    ki_pack_text(p, "Quantiles");
    ki_pack_array(p, 1);
    pack_quantile(p, 0.5, 1, 0);
    ki_pack_text(p, "Top");
    ki_pack_array(p, 1);
    pack_place(p, "two", 2, 3);
    ki_pack_text(p, "Bottom");
    ki_pack_array(p, 2);
    pack_place(p, "thr\033ee", 0, 0.5);
    pack_place(p, "one", 1, 1);
}

static void pack_network(struct ki_pack *p)
{
    ki_pack_map(p, 9);
    pack_word(p, "Engine", "network");
    pack_real(p, "Count", 5000.75);
    pack_real(p, "Sum", (double)INFINITY); /* of values that no double can add up */
    pack_real(p, "Average", 1e15);
    pack_real(p, "Coverage", 0.5);
    pack_number(p, "Conflicts", 2);
    pack_number(p, "Age", UINT64_MAX);
    pack_real(p, "EffectiveN", 512);
    ki_pack_text(p, "Quantiles");
    ki_pack_array(p, 1);
    pack_quantile(p, 0.99, 7, 0.0625);
}

static void pack_nobody(struct ki_pack *p)
{
    ki_pack_map(p, 4);
    pack_word(p, "Engine", "exact");
    ki_pack_text(p, "Average");
    ki_pack_nil(p);
    ki_pack_text(p, "Top");
    ki_pack_nil(p);
    pack_real(p, "Coverage", 1);
}

#define HEAD(name, engine, converged) \
    "Aggregate             " name "\nEngine                " engine "\nConverged             " converged "\n"

static const struct {
    void (*pack)(struct ki_pack *p);
    struct ki_aggregate_wanted wanted;
    const char *text, *line, *json;
} answers[] = {
    {pack_exact,
     {.top = true, .bottom = true},
     HEAD("lo\\x0aad (per\\x09core)", "exact", "yes")
     "Count                 3\nSum                   4.5\nAverage               1.5\n  off by at most      0.25\n"
     "Variance              1.25\nSmallest              0.5\nQuantile 0.5          1\nLargest               3\n"
     "Coverage              100 % of the kith members\nLast change           1.5 s ago\n"
     "\nLargest values\n  Rank  Member  Value\n     2  two     3\n"
     "\nSmallest values\n  Rank  Member     Value\n     0  thr\\x1bee  0.5\n     1  one        1\n",
     "count 3  sum 4.5  average 1.5  smallest 0.5  largest 3  quantile 0.5 1  largest: two 3  smallest: thr\\x1bee 0.5, "
     "one 1  converged\n",
     "{\"name\":\"lo\\nad\",\"unit\":\"per\\tcore\",\"engine\":\"exact\",\"converged\":true,\"count\":3,\"sum\":4.5,"
     "\"average\":1.5,\"error\":0.25,\"variance\":1.25,\"min\":0.5,\"max\":3.0,\"effective_n\":3.0,\"coverage\":1.0,"
     "\"conflicts\":0,\"age_ms\":1500,\"quantiles\":[{\"q\":0.5,\"value\":1.0,\"rank_error\":0.0}],"
     "\"top\":[{\"member\":\"two\",\"value\":3.0,\"rank\":2}],\"bottom\":["
     "{\"member\":\"thr\\u001Bee\",\"value\":0.5,\"rank\":0},{\"member\":\"one\",\"value\":1.0,\"rank\":1}]}"},
    {pack_network, {.sorted = true},
     HEAD("lo\\x0aad", "network", "no")
     "Count                 5000.75\nSum                   -\nAverage               1e+15\n  off by at most      -\n"
     "Variance              -\nSmallest              -\n"
     "Quantile 0.99         7 (or that of a quantile up to 0.0625 away)\nLargest               -\n"
     "Coverage              50 % of the kith members\nLast change           18446744073709552.0 s ago\n"
     "Conflicts             2: members that contribute under this name with another schema, and are not counted\n"
     "\nValues in order\n  Rank  Member  Value\n",
     "count 5000.75  sum -  average 1e+15  smallest -  largest -  quantile 0.99 7  coverage 50 %  conflicts 2  "
     "not converged\n",
     "{\"name\":\"lo\\nad\",\"unit\":\"\",\"engine\":\"network\",\"converged\":false,\"count\":5000.75,\"sum\":null,"
     "\"average\":1000000000000000.0,\"error\":null,\"variance\":null,\"min\":null,\"max\":null,\"effective_n\":512.0,"
     "\"coverage\":0.5,\"conflicts\":2,\"age_ms\":9223372036854775807,\"quantiles\":[{\"q\":0.99,\"value\":7.0,"
     "\"rank_error\":0.0625}],\"sorted\":[]}"},
    {pack_nobody, {.top = false},
     HEAD("lo\\x0aad", "exact", "no")
     "Count                 0\nSum                   -\nAverage               -\n  off by at most      -\n"
     "Variance              -\nSmallest              -\nLargest               -\n"
     "Coverage              100 % of the kith members\nLast change           0.0 s ago\n",
     "count 0  sum -  average -  smallest -  largest -  not converged\n",
     "{\"name\":\"lo\\nad\",\"unit\":\"\",\"engine\":\"exact\",\"converged\":false,\"count\":0,\"sum\":null,"
     "\"average\":null,\"error\":null,\"variance\":null,\"min\":null,\"max\":null,"
     "\"effective_n\":0.0,\"coverage\":1.0,\"conflicts\":0,"
     "\"age_ms\":0,\"quantiles\":[]}"},
};

/* What is written by `print` as text, to be freed. */
static char *printed(void (*print)(FILE *to, const void *what), const void *what)
{
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    assert_non_null(to);
    print(to, what);
    assert_int_equal(fclose(to), 0);
    return text;
}

struct shown {
    const struct ki_aggregate_answer *answer;
    const struct ki_aggregate_wanted *wanted;
};

static void print_text(FILE *to, const void *what)
{
    const struct shown *shown = what;
    ki_aggregate_answer_print(to, shown->answer, "lo\nad", shown->wanted);
}

static void print_line(FILE *to, const void *what)
{
    const struct shown *shown = what;
    ki_aggregate_answer_line(to, shown->answer, shown->wanted);
}

static void is_text(char *text, const char *wanted)
{
    assert_string_equal(text, wanted);
    free(text);
}

static void is_json(json_t *object, const char *wanted)
{
    is_text(json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(16)), wanted);
    json_decref(object);
}

static void test_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(answers); i++) {
        uint8_t buf[1024];
        struct ki_pack p = ki_pack(buf, sizeof buf, true);
        answers[i].pack(&p);
        assert_false(p.w.full);
        struct ki_aggregate_answer answer;
        assert_true(ki_aggregate_answer_read(&answer, ki_span(buf, p.w.len)));
        struct shown shown = {&answer, &answers[i].wanted};
        is_text(printed(print_text, &shown), answers[i].text);
        is_text(printed(print_line, &shown), answers[i].line);
        is_json(ki_aggregate_answer_json(&answer, "lo\nad", &answers[i].wanted), answers[i].json);
        ki_aggregate_answer_free(&answer);
        for (size_t cut = 0; cut < p.w.len; cut++) {
            assert_false(ki_aggregate_answer_read(&answer, ki_span(buf, cut)));
            ki_aggregate_answer_free(&answer);
        }
    }
}

/* A member without a value is no member of an order; neither is one with a value that is no number.  An order is a list. */
static void test_places_have_values(void **state)
{
    (void)state;
    for (int way = 0; way < 4; way++) {
        uint8_t buf[128];
        struct ki_pack p = ki_pack(buf, sizeof buf, true);
        struct ki_aggregate_answer answer;
        ki_pack_map(&p, 1);
        ki_pack_text(&p, "Bottom");
        if (way < 3)
            ki_pack_array(&p, 1);
        if (way == 0)
            pack_place(&p, "a", 0, 1);
        else if (way == 1)
            pack_place(&p, "a", 0, (double)NAN);
        else
            ki_pack_map(&p, 0);
        assert_int_equal(ki_aggregate_answer_read(&answer, ki_span(buf, p.w.len)), way == 0);
        ki_aggregate_answer_free(&answer);
    }
}

/* ---- lists ---- */

static void pack_listed(struct ki_pack *p, const char *name, bool is_open, double own, unsigned conflicts)
{
    ki_pack_map(p, is_open ? 7 : 5);
    pack_word(p, "Name", name);
    pack_number(p, "Contributors", 3);
    pack_number(p, "Conflicts", conflicts);
    ki_pack_text(p, "Builtin");
    ki_pack_bool(p, is_open && own > 0);
    if (is_open) {
        ki_pack_text(p, "Open");
        ki_pack_bool(p, true);
        ki_pack_text(p, "Own");
        if (own < 0)
            ki_pack_nil(p);
        else
            ki_pack_double(p, own);
    }
    ki_pack_text(p, "Schema");
    ki_pack_map(p, 6);
    pack_word(p, "Unit", is_open ? "ms" : "");
    pack_word(p, "Engine", "auto");
    pack_real(p, "Min", 0);
    pack_real(p, "Max", 1e7);
    pack_real(p, "Step", 0.5);
    pack_number(p, "Interval", 1500);
}

#define SCHEMA(unit) \
    "\"schema\":{\"unit\":\"" unit "\",\"min\":0.0,\"max\":10000000.0,\"step\":0.5,\"interval_ms\":1500," \
    "\"engine\":\"auto\"}}"
#define LISTED_RTT \
    "{\"name\":\"rtt\",\"value\":2.5,\"open\":true,\"builtin\":true,\"contributors\":3,\"conflicts\":0," SCHEMA("ms")
#define LISTED_BELL \
    "{\"name\":\"be\\u0007l\",\"value\":null,\"open\":true,\"builtin\":false,\"contributors\":3,\"conflicts\":1," \
    SCHEMA("ms")
#define LISTED_OTHER \
    "{\"name\":\"other\",\"value\":null,\"open\":false,\"builtin\":false,\"contributors\":3,\"conflicts\":2," SCHEMA("")

static void print_all(FILE *to, const void *what)
{
    ki_aggregate_list_print(to, what, false);
}

static void print_gauges(FILE *to, const void *what)
{
    ki_aggregate_list_print(to, what, true);
}

static void test_lists(void **state)
{
    (void)state;
    uint8_t buf[1024];
    struct ki_aggregate_list list;
    struct ki_pack p = ki_pack(buf, sizeof buf, true);
    ki_pack_map(&p, 1);
    ki_pack_text(&p, "Aggregates");
    ki_pack_array(&p, 3);
    pack_listed(&p, "rtt", true, 2.5, 0);
    pack_listed(&p, "be\al", true, -1, 1);
    pack_listed(&p, "other", false, 0, 2);
    assert_true(ki_aggregate_list_read(&list, ki_span(buf, p.w.len)));
    is_text(printed(print_all, &list), "Name     Unit  Here          Contributors\n"
                                       "rtt      ms    2.5           3\n"
                                       "be\\x07l  ms    -             3, and 1 with another schema\n"
                                       "other          -             3, and 2 with another schema\n");
    is_text(printed(print_gauges, &list),
            "Name     Unit  Value         Schema\n"
            "rtt      ms    2.5           0 to 10000000, step 0.5, each 1.5 s, engine auto; the agent's own\n"
            "be\\x07l  ms    -             0 to 10000000, step 0.5, each 1.5 s, engine auto; 1 with another schema\n");
    is_json(ki_aggregate_list_json(&list, false),
            "{\"aggregates\":[" LISTED_RTT "," LISTED_BELL "," LISTED_OTHER "]}");
    is_json(ki_aggregate_list_json(&list, true), "{\"gauges\":[" LISTED_RTT "," LISTED_BELL "]}");
    ki_aggregate_list_free(&list);
    for (size_t cut = 0; cut < p.w.len; cut++) {
        assert_false(ki_aggregate_list_read(&list, ki_span(buf, cut)));
        ki_aggregate_list_free(&list);
    }
    p = ki_pack(buf, sizeof buf, true);
    ki_pack_map(&p, 0);
    assert_true(ki_aggregate_list_read(&list, ki_span(buf, p.w.len)));
    is_text(printed(print_all, &list), "");
    is_json(ki_aggregate_list_json(&list, true), "{\"gauges\":[]}");
    ki_aggregate_list_free(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_places_have_values),
        cmocka_unit_test(test_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
