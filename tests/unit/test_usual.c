/* wire/usual.c against the tables: what it writes they write, what it reads they read alike, whatever is done to the
 * bytes.  The tables here are written down again, so that no shortcut stands between them and the bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "wire/usual.h"

#define CASES 4000
#define MUTATIONS 60

static const struct ki_field fields[2][7] = {
    {
        KI_FIELD(struct ki_node_state, incarnation, "Incarnation", KI_FIELD_U32, 1, false),
        KI_FIELD(struct ki_node_state, name, "Node", KI_FIELD_STR, 3, false),
        KI_FIELD(struct ki_node_state, addr, "Addr", KI_FIELD_BYTES, 0, false),
        KI_FIELD(struct ki_node_state, port, "Port", KI_FIELD_U16, 4, false),
        KI_FIELD(struct ki_node_state, meta, "Meta", KI_FIELD_BYTES, 2, false),
        KI_FIELD(struct ki_node_state, versions, "Vsn", KI_FIELD_BYTES, 5, false),
    },
    {
        KI_FIELD(struct ki_node_state, name, "Name", KI_FIELD_STR, 3, false),
        KI_FIELD(struct ki_node_state, addr, "Addr", KI_FIELD_BYTES, 0, false),
        KI_FIELD(struct ki_node_state, port, "Port", KI_FIELD_U16, 4, false),
        KI_FIELD(struct ki_node_state, meta, "Meta", KI_FIELD_BYTES, 2, false),
        KI_FIELD(struct ki_node_state, incarnation, "Incarnation", KI_FIELD_U32, 1, false),
        KI_FIELD(struct ki_node_state, state, "State", KI_FIELD_I64, 5, false),
        KI_FIELD(struct ki_node_state, versions, "Vsn", KI_FIELD_BYTES, 6, false),
    },
};

/* As the decoders of memberlist.h promise. */
static bool table_read(struct ki_reader *r, bool state, struct ki_node_state *out)
{
    memset(out, 0, sizeof *out);
    return ki_unpack_struct(r, fields[state], state ? 7 : 6, out) && out->name.len > 0 &&
           (out->addr.len == 4 || out->addr.len == 16) && out->meta.len <= 512 &&
           (out->versions.len == 0 || out->versions.len == 6) && out->state >= 0 && out->state <= 3;
}

static bool same(struct ki_span a, struct ki_span b)
{
    return a.ptr == b.ptr && a.len == b.len; /* the very same place */
}

/* Returns whether the usual form was seen. */
static bool check_read(const uint8_t *buf, size_t len, bool state)
{
    struct ki_node_state usual, table;
    struct ki_reader r = ki_reader(buf, len), s = ki_reader(buf, len);
    bool is_usual = ki_usual_read(&r, state, &usual);
    bool fine = table_read(&s, state, &table);
    if (!is_usual) {
        assert_true(r.pos == buf && r.left == len && !r.bad && !r.ended);
        return false;
    }
    assert_true(fine && r.pos == s.pos && r.left == s.left && !r.bad);
    assert_true(same(usual.name, table.name) && same(usual.addr, table.addr) && same(usual.meta, table.meta) &&
                same(usual.versions, table.versions));
    assert_true(usual.incarnation == table.incarnation && usual.port == table.port && usual.state == table.state);
    return true;
}

/* Numbers and lengths at the borders of their encodings. */
static uint64_t border(struct ki_rng *rng)
{
    static const uint64_t at[] = {0, 31, 32, 127, 128, 255, 256, 511, 512, 65535, 65536, UINT32_MAX};
    uint64_t value = at[ki_rng_below(rng, KI_COUNT(at))];
    return ki_rng_below(rng, 3) ? value : value + ki_rng_below(rng, 3) - 1;
}

static struct ki_node_state draw(struct ki_rng *rng, bool state)
{
    static const uint8_t filler[600] = "\xa4" "Addr\xc0\xda\x00\x05 some bytes that look like msgpack \x87\xab";
    static const uint8_t versions[6] = {1, 5, 2, 2, 5, 5};
    size_t name = (size_t)border(rng), meta = (size_t)border(rng);
    return (struct ki_node_state){.name = ki_span(filler, name < 600 ? name : 16),
                                  .addr = ki_span(filler + ki_rng_below(rng, 9), ki_rng_below(rng, 4) ? 4 : 16),
                                  .port = (uint16_t)border(rng),
                                  .meta = ki_span(ki_rng_below(rng, 9) ? filler : NULL, meta < 600 ? meta : 12),
                                  .incarnation = (uint32_t)border(rng),
                                  .state = state ? (int64_t)ki_rng_below(rng, 5) : 0,
                                  .versions = ki_span(versions, ki_rng_below(rng, 9) ? 6 : 0)};
}

/* Bytes changed, cut off, put in or added. */
static size_t mutate(struct ki_rng *rng, const uint8_t *from, size_t len, uint8_t *to)
{
    static const uint8_t likely[] = {0xa3, 0xa4, 0xa5, 0xa6, 0xab, 0x86, 0x87, 0xc0, 0xcc, 0xcd, 0xce, 0xcf, 0xd0,
                                     0xd1, 0xd2, 0xd9, 0xda, 0xdb, 0xc4, 0x80, 0x7f, 0xff, 0x00, 0x03, 0x04};
    memcpy(to, from, len);
    uint64_t what = ki_rng_below(rng, 6);
    size_t at = (size_t)ki_rng_below(rng, len);
    uint8_t byte = ki_rng_below(rng, 2) ? likely[ki_rng_below(rng, sizeof likely)] : (uint8_t)ki_rng_next(rng);
    if (what == 0)
        return at;
    if (what == 1) {
        memmove(to + at + 1, to + at, len - at);
        to[at] = byte;
        return len + 1;
    }
    if (what == 2) {
        memmove(to + at, to + at + 1, len - at - 1);
        return len - 1;
    }
    to[at] = byte;
    if (what == 3)
        to[ki_rng_below(rng, len)] = byte;
    return len;
}

static void agrees_with_the_tables(void **state)
{
    (void)state;
    struct ki_rng rng;
    unsigned usual = 0, mutated_usual = 0, written = 0;
    ki_rng_init(&rng, 11);
    for (unsigned i = 0; i < CASES; i++) {
        static uint8_t buf[4096], quick[4096], bad[4096];
        bool node = ki_rng_below(&rng, 2);
        struct ki_node_state msg = draw(&rng, node);
        if (!msg.meta.ptr)
            msg.meta.len = 0;
        struct ki_pack p = ki_pack(buf, sizeof buf, false);
        ki_pack_struct(&p, fields[node], node ? 7 : 6, &msg);
        assert_false(p.w.full);
        struct ki_pack q = ki_pack(quick, sizeof quick, false);
        if (ki_usual_write(&q, node, &msg)) {
            written++;
            assert_int_equal(q.w.len, p.w.len);
            assert_memory_equal(quick, buf, q.w.len);
        } else {
            assert_int_equal(q.w.len, 0);
        }
        usual += check_read(buf, p.w.len, node);
        check_read(buf, p.w.len, !node);
        check_read(buf, p.w.len + ki_rng_below(&rng, 50), node); /* what follows is no concern */
        for (unsigned m = 0; m < MUTATIONS; m++)
            mutated_usual += check_read(bad, mutate(&rng, buf, p.w.len, bad), node);
    }
    assert_true(usual > CASES / 3 && written > CASES / 2); /* and the rest is not */
    assert_in_range(mutated_usual, CASES, CASES * MUTATIONS / 2);
}

/* Into less room than there might be need of, the tables write, and tell when it does not fit. */
static void short_of_room_is_not_usual(void **state)
{
    (void)state;
    static const uint8_t versions[6] = {1, 5, 2, 2, 5, 5};
    const struct ki_node_state msg = {.name = ki_span("node", 4),
                                      .addr = ki_span("\x0a\x00\x00\x01", 4),
                                      .port = 7946,
                                      .meta = ki_span("", 0),
                                      .incarnation = UINT32_MAX,
                                      .state = 3,
                                      .versions = ki_span(versions, 6)};
    uint8_t whole[256], buf[256];
    struct ki_pack p = ki_pack(whole, sizeof whole, false);
    ki_encode_node_state(&p, &msg);
    size_t len = p.w.len;
    assert_true(len <= KI_USUAL_MAX + 8);
    for (size_t cap = 0; cap < sizeof buf; cap++) {
        memset(buf, 0xee, sizeof buf);
        p = ki_pack(buf, cap, false);
        ki_encode_node_state(&p, &msg);
        assert_int_equal(p.w.full, cap < len);
        if (!p.w.full)
            assert_memory_equal(buf, whole, len);
        for (size_t i = cap; i < sizeof buf; i++)
            assert_int_equal(buf[i], 0xee);
    }
    p = ki_pack(buf, sizeof buf, true); /* the RPC's dialect is another */
    assert_false(ki_usual_write(&p, true, &msg));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_tables),
        cmocka_unit_test(short_of_room_is_not_usual),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
