/* A small repair's messages, byte by byte: what repair.c says they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/repair_pair.h"

static struct pair pair;

static void expect(unsigned from, const char *hex)
{
    uint8_t bytes[2048];
    char text[4097];
    size_t len;
    pair_work(&pair, from);
    assert_true(ki_repair_poll(&pair.sides[from], bytes, sizeof bytes, &len));
    for (size_t i = 0; i < len; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    assert_string_equal(text, hex);
    assert_false(ki_repair_poll(&pair.sides[from], bytes + len, sizeof bytes - len, &len));
    (void)ki_repair_receive(&pair.sides[!from], PAIR_WALL_MS, 0, ki_span(bytes, strlen(hex) / 2));
    pair_work(&pair, !from);
}

/* Both know a: replica 1 has overwritten it since, and replica 2 has b. */
static void begin(uint32_t first_cells)
{
    struct ki_repair_config config = pair_config(false);
    pair_begin(&pair, 1);
    assert_int_equal(ki_set(&pair.stores[0], 1000, pair_text("a"), pair_text("1"), 0), 0);
    pair_tell(&pair, 0, false);
    assert_int_equal(ki_set(&pair.stores[0], 1001, pair_text("a"), pair_text("2"), 0), 0);
    pair_tell(&pair, 0, true);
    assert_int_equal(ki_set(&pair.stores[1], 1002, pair_text("b"), pair_text("3"), 0), 0);
    pair_tell(&pair, 1, true);
    config.first_cells = first_cells;
    config.has_parity = false;
    assert_true(pair_open(&pair, &config));
}

static void a_repair(void **state)
{
    (void)state;
    begin(6);
    expect(0, "010123456789abcdef00000000010015f476dec14ee88123d2ab8000a8173ba0779236e80106000b010000000000000001000203"
              "0080000197220aca4a81d2cf9c02e8f6fb765fe9779236e80197220aca4a81d2cf9c02e8f6fb765fe9779236e8010000"
              "0000000000000000000000000000000000000097220aca4a81d2cf9c02e8f6fb765fe9779236e8010000000000000000"
              "00000000000000000000000000000000000000000000000000000000000000000000");
    expect(1, "020123456789abcdef000000070400030101020600150100000000000000010000000000000000000200000500110097220aca4a"
              "81d2cf9c02e8f6fb765fe907001501000000000000000100000000000000000002000008001801000000000000000201"
              "0000000003ea0000000162000133");
    expect(0, "010123456789abcdef0000000707000b0100000000000000010100080018010000000000000001020000000003e9000000016100"
              "01320e000100");
    expect(1, "020123456789abcdef000000070e000100");
    assert_true(pair_is_over(&pair) && pair_agrees(&pair));
    pair_end(&pair);
}

/* One cell is too few: more are asked for, and the parities. */
static void an_ask(void **state)
{
    (void)state;
    begin(1);
    expect(0, "010123456789abcdef00000000010015f476dec14ee88123d2ab8000a8173ba0779236e80106000b010000000000000001000203"
              "0017000197220aca4a81d2cf9c02e8f6fb765fe9779236e801");
    expect(1, "020123456789abcdef000000070a0001010b00068008012a0101");
    pair_end(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_repair),
        cmocka_unit_test(an_ask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
