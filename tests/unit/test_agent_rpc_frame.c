/* Where objects end: every form of msgpack, cut at every place, and claims that cannot come true. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "agent/rpc_frame.h"
#include "unit/hex.h"

#define LIMIT 100000

static const struct {
    const char *hex;
    size_t object; /* bytes of the first object; 0: there is none */
    enum ki_rpc_frame_state state;
} rows[] = {
    {"c0", 1, KI_RPC_FRAME_WHOLE},
    {"7f", 1, KI_RPC_FRAME_WHOLE},
    {"e0 00", 1, KI_RPC_FRAME_WHOLE},
    {"cd0100 ff", 3, KI_RPC_FRAME_WHOLE},
    {"cf0102030405060708", 9, KI_RPC_FRAME_WHOLE},
    {"cb3ff0000000000000", 9, KI_RPC_FRAME_WHOLE},
    {"a0", 1, KI_RPC_FRAME_WHOLE},
    {"a3616263 a0", 4, KI_RPC_FRAME_WHOLE},
    {"d903616263", 5, KI_RPC_FRAME_WHOLE},
    {"c400 00", 2, KI_RPC_FRAME_WHOLE},
    {"c40161", 3, KI_RPC_FRAME_WHOLE},
    {"d40177", 3, KI_RPC_FRAME_WHOLE},
    {"c70201aabb", 5, KI_RPC_FRAME_WHOLE},
    {"90", 1, KI_RPC_FRAME_WHOLE},
    {"80", 1, KI_RPC_FRAME_WHOLE},
    {"93 01 a161 c0 05", 5, KI_RPC_FRAME_WHOLE},
    {"82 a161 01 a162 92 0203 80", 9, KI_RPC_FRAME_WHOLE},
    {"dc0002 c0 c0", 5, KI_RPC_FRAME_WHOLE},
    {"df00000001 a0 91 a0", 8, KI_RPC_FRAME_WHOLE},
    {"82a7436f6d6d616e64a968616e647368616b65a353657101 81a756657273696f6e01", 24, KI_RPC_FRAME_WHOLE},
    {"c1", 0, KI_RPC_FRAME_BAD},
    {"92 c0 c1", 0, KI_RPC_FRAME_BAD},
    {"ddffffffff", 0, KI_RPC_FRAME_LARGE}, /* 2^32 elements */
    {"dfffffffff", 0, KI_RPC_FRAME_LARGE}, /* 2^32 pairs */
    {"dbffffffff", 0, KI_RPC_FRAME_LARGE}, /* 4 GiB of text */
    {"c6000186a1", 0, KI_RPC_FRAME_LARGE}, /* one byte more than the limit */
    {"92 dd0000c350 dd0000c351", 0, KI_RPC_FRAME_LARGE}, /* each would fit, not both */
};

static enum ki_rpc_frame_state scan_all(const uint8_t *bytes, size_t len,
                                        struct ki_rpc_frame *frame)
{
    ki_rpc_frame_start(frame, LIMIT);
    return ki_rpc_frame_scan(frame, bytes, len);
}

static void test_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        uint8_t bytes[64];
        size_t len = hex_bytes(rows[i].hex, bytes, sizeof bytes);
        struct ki_rpc_frame frame;
        enum ki_rpc_frame_state got = scan_all(bytes, len, &frame);
        assert_int_equal(got, rows[i].state);
        if (rows[i].object)
            assert_int_equal(frame.scanned, rows[i].object);
    }
}

/* The same bytes one at a time: each prefix says "more", the last byte ends the object or spoils it. */
static void test_byte_by_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(rows); i++) {
        uint8_t bytes[64];
        size_t len = hex_bytes(rows[i].hex, bytes, sizeof bytes);
        struct ki_rpc_frame frame;
        ki_rpc_frame_start(&frame, LIMIT);
        enum ki_rpc_frame_state got = KI_RPC_FRAME_MORE;
        size_t used = 0;
        while (got == KI_RPC_FRAME_MORE && used < len)
            got = ki_rpc_frame_scan(&frame, bytes, ++used);
        assert_int_equal(got, rows[i].state);
        if (rows[i].object)
            assert_int_equal(used, rows[i].object);
    }
}

/* An object of exactly the limit passes, a byte more does not, however it arrives. */
static void test_limit(void **state)
{
    (void)state;
    static uint8_t bytes[64] = {0xc4, 30};
    for (size_t limit = 31; limit <= 33; limit++) {
        for (size_t first = 1; first <= 32; first++) {
            struct ki_rpc_frame frame;
            ki_rpc_frame_start(&frame, limit);
            enum ki_rpc_frame_state got = ki_rpc_frame_scan(&frame, bytes, first);
            if (got == KI_RPC_FRAME_MORE)
                got = ki_rpc_frame_scan(&frame, bytes, 32);
            assert_int_equal(got, limit >= 32 ? KI_RPC_FRAME_WHOLE : KI_RPC_FRAME_LARGE);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_byte_by_byte),
        cmocka_unit_test(test_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
