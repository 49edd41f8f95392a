/* kith_describe() and the text it is made of: a table of datagrams and what is said of them, seals and labels of an
 * instance's own pool and of others, bounds, hostile names, every size of buffer, memory that fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/text.h"
#include "scenario/lone.h"
#include "unit/hex.h"
#include "wire/lzw.h"

#define PING   "0082a44e6f6465a5616c706861a55365714e6f4d"
#define NACK   "0b81a55365714e6f4e"
#define EVENT  "080384a24343c3a54c54696d6501a44e616d65a66465706c6f79a75061796c6f6164a676312e322e33"
#define SEALED "6465666768696a6b6c6d6e6f1ae0eaebb466dd5ffa522778e76f788941c617b2"
#define TAG    "faa3fac511ae939f714e6639fe44b139"
#define RELAY  "080982a8446573744164647283a24950a47f000001a4506f7274cd461aa45a6f6e65a0a8446573744e616d65a5616c706861"
#define FLOWS "4014000000000000 4039000000000000 0000000000000000 4008000000000000 4022000000000000 3fe0000000000000"
#define AGAIN                                                                                                         \
    "0489a441646472a47f000001a5466c61677301a2494407a54c54696d6500a44e616d65a171a4506f7274cd1f0a"                     \
    "ab52656c6179466163746f7200aa536f757263654e6f6465a5616c706861a754696d656f757400"
#define QUERY                                                                                                         \
    "080489a441646472a47f000001a5466c61677301a2494407a54c54696d6500a44e616d65a171a4506f7274cd1f0a"                   \
    "aa536f757263654e6f6465a5616c706861a754696d656f757400a746696c74657273"
#define AUTH   KITH_ERR_AUTH
#define BAD    KITH_ERR_MALFORMED

static const struct {
    const char *hex;
    const char *text;
    int error;
} plain_rows[] = {
    {PING, "ping 77 of alpha", 0},
    {"0081a55365714e6f05", "ping 5", 0},
    {"0188a44e61636bc3a44e6f6465a567616d6d61a4506f7274cd464fa55365714e6f4eaa536f7572636541646472a47f000001"
     "aa536f757263654e6f6465a462657461aa536f75726365506f7274cd461ba6546172676574a47f000001",
     "indirect-ping 78 of gamma or nack", 0},
    {"0185a44e61636bc2a44e6f6465a567616d6d61a4506f7274cd464fa55365714e6f4ea6546172676574a47f000001",
     "indirect-ping 78 of gamma", 0},
    {"0282a75061796c6f6164c0a55365714e6f4f", "ack 79", 0},
    {"0282a75061796c6f6164a3010203a55365714e6f4f", "ack 79 with 3 bytes", 0},
    {"0282a75061796c6f6164a101a55365714e6f4f", "ack 79 with 1 byte", 0},
    {"0282a75061796c6f6164ae01949801020304050607080203 04a55365714e6f4f", "ack 79 with coordinate", 0},
    {"0282a75061796c6f6164ae02949801020304050607080203 04a55365714e6f4f", "ack 79 with 14 bytes", 0},
    {NACK, "nack 78", 0},
    {"0383a446726f6da462657461ab496e6361726e6174696f6e01a44e6f6465a5616c706861", "suspect alpha inc 1 by beta", 0},
    {"0583a446726f6da5616c706861ab496e6361726e6174696f6e03a44e6f6465a5616c706861", "dead alpha inc 3 by alpha", 0},
    {"0486a441646472a40a000007ab496e6361726e6174696f6ece6ad1e080a44d657461acff81a55f6b697468a3312d31a44e6f6465a26b31"
     "a4506f7274cd1f0aa356736ea6010502020505",
     "alive k1 inc 1792139392", 0},
    {"080083a54c54696d6502a44e6f6465a5616c706861a55072756e65c2", "leave-intent alpha ltime 2", 0},
    {"080083a54c54696d6502a44e6f6465a5616c706861a55072756e65c3", "leave-intent alpha ltime 2 prune", 0},
    {"080182a54c54696d6502a44e6f6465a462657461", "join-intent beta ltime 2", 0},
    {EVENT, "event deploy ltime 1", 0},
    {"08048ba441646472a47f000001a746696c7465727392a70091a462657461b40182a445787072a3702e2aa3546167a4726f6c65"
     "a5466c61677301a24944ce60981340a54c54696d6501a44e616d65a46c6f6164a75061796c6f6164a331356da4506f7274cd461a"
     "ab52656c6179466163746f7201aa536f757263654e6f6465a5616c706861a754696d656f7574ceb2d05e00",
     "query load ltime 1 id 1620579136 by alpha filters 2", 0},
    {"080585a5466c61677301a446726f6da462657461a2494407a54c54696d6501a75061796c6f6164c0",
     "query-ack ltime 1 id 7 by beta", 0},
    {"080585a5466c61677300a446726f6da462657461a2494407a54c54696d6501a75061796c6f6164c0",
     "query-response ltime 1 id 7 by beta", 0},
    {RELAY "0585a5466c61677301a446726f6da462657461a2494407a54c54696d6501a75061796c6f6164c0",
     "relay to alpha (query-ack ltime 1 id 7 by beta)", 0},
    {RELAY "0901", "relay to alpha of 2 bytes", 0}, /* not followed */
    {RELAY "05c1", "relay to alpha (malformed query-response)", BAD},
    {"080385a24343c2a44b697468be 0102030405060708 000000000000002a 0000000000000007 01 616c706861"
     "a54c54696d6509a44e616d65a66465706c6f79a75061796c6f6164a0",
     "event deploy ltime 9 number 42 of alpha", 0},
    {"080382a44b697468a101a44e616d65a165", "event e ltime 0", 0}, /* its mark is none */
    {QUERY "c0", "query q ltime 0 id 7 by alpha", 0},
    {QUERY "91a0", "malformed query", BAD}, /* an empty filter */
    {"084b 10 0000000000000100", "events-root 256", 0},
    {"084b 11 05", "events-heads-ask 5", 0},
    {"084b 12 00", "events-heads 0", 0},
    {"084b 12 07 0102030405060708 ac02 09 05 616c706861 1112131415161718 00 00 02 6b31", "events-heads 2 more from 7", 0},
    {"084b 13 0102030405060708 05 ac02 07 05 616c706861", "events-want 5 to 300 of alpha", 0},
    {"084b 14 0102030405060708 05 09 00 07 05 616c706861", "events-skip 5 to 9 of alpha", 0},
    {"084b 14 0102030405060708 05 09 01 07 05 616c706861", "events-skip 5 to 9 of alpha lost", 0},
    {"084b 15 0102030405060708 2a 02 6b31", "events-took 42", 0},
    {"084b 16" AGAIN, "query-again q ltime 0 id 7 by alpha", 0},
    {"084b 30 03 0005 0102030405060708", "aggregates-root bucket 5 of 8", 0},
    {"084b 31 00 0000 01 05 616c706861 6b3f2a0000000001 ac02 02 6b31 6b3f2a0100000000 00",
     "aggregates-heads 2, all of bucket 0 of 1", 0},
    {"084b 31 01 0001 00", "aggregates-heads 0, some of bucket 1 of 2", 0},
    {"084b 32 05 616c706861 6b3f2a0000000001 07 02 6b31 6b3f2a0100000000 00",
     "aggregates-want alpha after 7 k1 after 0", 0},
    {"084b 33 01 00 44ebd3d602e916bd 05 616c706861 6b3f2a0000000001 07 02 01 01 00 02 3fe8000000000000",
     "aggregates-values of alpha 7 to 9, 1, off", 0},
    {"084b 34 01 02 4141 05 616c706861 6b3f2a0000000001 00 00 00 00 02 6b31 6b3f2a0100000000 00 00 00 00",
     "aggregates-values-on of alpha 0 to 0 of k1 0 to 0, schemas 1", 0},
    {"084b 35", "kith message 53", 0},
    {"084b 38 44ebd3d602e916bd 00000001 3c 00 00 00 00000000 00 0000000000000000 00000007" FLOWS,
     "network-request of 4966295930231396029 seq 7", 0},
    {"084b 39 44ebd3d602e916bd 00000001 3c 02 4141 00 02 00000000 00 0000000000000000 00000007" FLOWS
     "02 6b31 6b3f2a0100000000 05 00 3fe8000000000000 05 616c706861 6b3f2a0000000001 07 01",
     "network-reply of 4966295930231396029 seq 7, claims 2, schema", 0},
    {"084b 3a 44ebd3d602e916bd 00000001 3c 00 00 00 00000000 00 0000000000000000 02 6b31 6b3f2a0100000000 05 01",
     "network-claims of 4966295930231396029, claims 1", 0},
    {"084b 40 0102030405060708 07 ffffffffffffffff e807 00 02 6b31 04 6c6f6164 00 3135",
     "fold-ask load ltime 7 by k1 ms 1000", 0},
    {"084b 41 0102030405060708 00000000000000ff", "fold-ack", 0},
    {"084b 42 0102030405060708 00000000000000ff 03 01 00 02 3ff0000000000000 0000000000000000 0000000000000000"
     "3ff0000000000000 3ff0000000000000 00 00",
     "fold-reply of 3 answers 1 silent 2", 0},
    {"084b 08 02", "kith message 8", 0},
    {"084b 17", "kith message 23", 0},
    {"084b", "kith message 0", 0},
    {"0802 80", "serf message 2", 0},
    {"08ff", "serf message 255", 0},
    {"08", "user 0 bytes", 0},
    {"0680", "message 6 of 1 byte", 0},
    {"c8", "message 200 of 0 bytes", 0},
    /* layers */
    {"0702 0009 0014" NACK PING, "nack 78 | ping 77 of alpha", 0},
    {"0702 0016 0009 0702 0009 0007" NACK "0081a55365714e" NACK, "nack 78 | malformed ping | nack 78", BAD},
    {"0700", "", 0},
    {"0c1565d633" PING, "crc | ping 77 of alpha", 0},
    {"f4046c616231" PING, "label lab1 | ping 77 of alpha", 0},
    {"f4046c6162310c1565d633" PING, "label lab1 | crc | ping 77 of alpha", 0},
    {"0982a4416c676f00a3427566b800010822e5e40d9932a5c2b08183264ca92965e2146c1210", "compressed (ping 77 of alpha)", 0},
    {"0702 0025 0009 0982a4416c676f00a3427566b800010822e5e40d9932a5c2b08183264ca92965e2146c1210" NACK,
     "compressed (ping 77 of alpha) | nack 78", 0},
    /* sealed, or is it? */
    {"01" SEALED TAG, "sealed 49 bytes", AUTH},
    {"f4046c616231 01" SEALED TAG, "label lab1 | sealed 49 bytes", AUTH},
    {"0080" "000000000000000000000000000000000000000000000000000000", "sealed 29 bytes", AUTH},
    {"0080" "0000000000000000000000000000000000000000000000000000", "ping 0", 0}, /* too short for a seal */
    {"0000000000", "malformed ping", BAD},
    /* what cannot be read */
    {"", "malformed datagram of 0 bytes", BAD},
    {"f4046c6162", "malformed label", BAD},
    {"f400", "malformed label", BAD},
    {"f4046c616231", "label lab1 | malformed datagram: nothing in it", BAD},
    {"0c1565d634" PING, "malformed crc", BAD},
    {"0c00000000", "crc | malformed datagram: nothing in it", BAD},
    {"0780", "malformed compound", BAD},
    {"0702 0009 0014" NACK "00", "nack 78 | malformed compound", BAD},
    {"0701 0000", "malformed compound", BAD},
    {"0982a4416c676f01a3427566a3000302", "malformed compressed", BAD}, /* an algorithm there is not */
    {"0982a4416c676f00a3427566a3000302", "malformed compressed", BAD}, /* nothing in it */
    {"09c1", "malformed compressed", BAD},
    {"01c1", "malformed indirect-ping", BAD},
    {"02c1", "malformed ack", BAD},
    {"03c1", "malformed suspect", BAD},
    {"0393 01 a0 a162", "malformed suspect", BAD},
    {"04c1", "malformed alive", BAD},
    {"05c1", "malformed dead", BAD},
    {"0bc1", "malformed nack", BAD},
    {"0800c1", "malformed leave-intent", BAD},
    {"0801c1", "malformed join-intent", BAD},
    {"0803c1", "malformed event", BAD},
    {"0804c1", "malformed query", BAD},
    {"0805c1", "malformed query-response", BAD},
    {"0809c1", "malformed relay", BAD},
    {"084b 10 00", "malformed events-root", BAD},
    {"084b 11", "malformed events-heads-ask", BAD},
    {"084b 12", "malformed events-heads", BAD},
    {"084b 12 00 01", "malformed events-heads", BAD},
    {"084b 13 00", "malformed events-want", BAD},
    {"084b 14 00", "malformed events-skip", BAD},
    {"084b 30 03 0008 0102030405060708", "malformed aggregates-root", BAD},
    {"084b 31 01 0001", "malformed aggregates-heads", BAD},
    {"084b 31 01 0001 00 02 6b31", "malformed aggregates-heads", BAD},
    {"084b 32 02 6b31", "malformed aggregates-want", BAD},
    {"084b 33 01", "malformed aggregates-values", BAD},
    {"084b 34 00 02 6b31 6b3f2a0100000000 00 01 00 01", "malformed aggregates-values-on", BAD},
    {"084b 38 00", "malformed network-request", BAD},
    {"084b 39 44ebd3d602e916bd 00000001 3c 00 00 00 00000000 00 0000000000000000", "malformed network-reply", BAD},
    {"084b 3a 44ebd3d602e916bd 00000001 3c 00 00 00 00000000 00 0000000000000000 02", "malformed network-claims", BAD},
    {"084b 15 00", "malformed events-took", BAD},
    {"084b 40 00", "malformed fold-ask", BAD},
    {"084b 41 00", "malformed fold-ack", BAD},
    {"084b 42 00", "malformed fold-reply", BAD},
    {"084b 16", "malformed query-again", BAD},
    {"084b 16 0380", "malformed query-again", BAD},
    {"084b 16 04c1", "malformed query-again", BAD},
};

static char said[4096];

/* From a block of exactly its length, so that a byte read beyond it is caught. */
static int describe(const kith *k, const char *hex)
{
    static uint8_t bytes[4096];
    size_t len = hex_bytes(hex, bytes, sizeof bytes);
    uint8_t *exact = malloc(len ? len : 1);
    assert_non_null(exact);
    memcpy(exact, bytes, len);
    int error = kith_describe(k, exact, len, said, sizeof said);
    free(exact);
    return error;
}

static void test_plain(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(plain_rows); i++) {
        int error = describe(NULL, plain_rows[i].hex);
        assert_string_equal(said, plain_rows[i].text);
        assert_int_equal(error, plain_rows[i].error);
    }
}

/* ---- an instance's own pool, and others ---- */

static const struct kith_key golden_key = {.bytes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, .len = 16};

static const struct {
    bool key, lax;
    const char *label;
    const char *hex;
    const char *text;
    int error;
} pool_rows[] = {
    {false, false, "", PING, "ping 77 of alpha", 0},
    {false, false, "", "0080000000000000000000000000000000000000000000000000000000", "ping 0", 0}, /* as the core takes it */
    {false, false, "", "01" SEALED TAG, "sealed 49 bytes", AUTH},
    {true, false, "", "01" SEALED TAG, "sealed | ping 77 of alpha", 0},
    {true, false, "", "01" SEALED "faa3fac511ae939f714e6639fe44b138", "sealed 49 bytes", AUTH},
    {true, false, "", PING, "not sealed | ping 77 of alpha", AUTH},
    {true, false, "", "0780", "not sealed | malformed compound", AUTH},
    {true, true, "", PING, "ping 77 of alpha", 0},
    {true, true, "", "01" SEALED TAG, "sealed | ping 77 of alpha", 0},
    {true, false, "lab1", "f4046c616231 01" SEALED "d58be5ebb2479392b94775a76a022913",
     "label lab1 | sealed | ping 77 of alpha", 0},
    {true, false, "lab1", "f4046c616231 01" SEALED TAG, "label lab1 | sealed 49 bytes", AUTH}, /* of a pool without one */
    {false, false, "lab1", "f4046c616231" PING, "label lab1 | ping 77 of alpha", 0},
    {false, false, "lab1", "f4046c616232" PING, "label lab2, not ours", KITH_ERR_LABEL},
    {false, false, "", "f4046c616232" PING, "label lab2, not ours", KITH_ERR_LABEL},
    {false, false, "lab1", PING, "no label", KITH_ERR_LABEL},
    {true, false, "lab1", "f4046c616231", "label lab1 | not sealed | malformed datagram: nothing in it", AUTH},
};

static void test_pool(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(pool_rows); i++) {
        struct kith_config c;
        lone_config(&c);
        c.keys = &golden_key;
        c.key_count = pool_rows[i].key ? 1 : 0;
        c.verify_incoming = !pool_rows[i].lax;
        c.label = lone_str(pool_rows[i].label);
        kith *k = lone_new(&c);
        uint64_t before = lone_digest(k);
        int error = describe(k, pool_rows[i].hex);
        assert_string_equal(said, pool_rows[i].text);
        assert_int_equal(error, pool_rows[i].error);
        assert_true(lone_digest(k) == before);
        for (size_t n = 0; n < kith_counter_count(); n++)
            assert_int_equal(kith_counter(k, n), 0);
        kith_free(k);
    }
}

static void test_bare(void **state)
{
    (void)state;
    struct kith_config c;
    lone_config(&c);
    c.delegate_min = c.delegate_max = c.delegate_cur = 0;
    kith *k = lone_new(&c);
    assert_int_equal(describe(k, EVENT), 0);
    assert_string_equal(said, "user 40 bytes"); /* another program's: it may look like Serf's */
    kith_free(k);
}

/* The core says of the same bytes what this says, as far as it can. */
static void test_agrees_with_the_core(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(pool_rows); i++) {
        struct kith_config c;
        uint8_t bytes[256];
        struct kith_addr from = lone_addr(2, 7946);
        lone_config(&c);
        c.keys = &golden_key;
        c.key_count = pool_rows[i].key ? 1 : 0;
        c.verify_incoming = !pool_rows[i].lax;
        c.label = lone_str(pool_rows[i].label);
        kith *k = lone_new(&c);
        size_t len = hex_bytes(pool_rows[i].hex, bytes, sizeof bytes);
        int core = kith_datagram(k, lone_time(LONE_SECOND), &from, bytes, len);
        /* without a key the core cannot know that something is sealed: a malformed ping to it */
        assert_int_equal(core, pool_rows[i].error == AUTH && !pool_rows[i].key ? BAD : pool_rows[i].error);
        kith_free(k);
    }
}

/* ---- bounds ---- */

static void test_nesting(void **state)
{
    (void)state;
    struct kith_config c;
    lone_config(&c);
    for (uint32_t max = 1; max <= 16; max++) {
        c.nesting_max = max;
        kith *k = lone_new(&c);
        uint8_t bytes[256];
        size_t len = hex_bytes(NACK, bytes, sizeof bytes);
        for (uint32_t layers = 0; layers <= 17; layers++) {
            struct kith_addr from = lone_addr(2, 7946);
            int error = kith_describe(k, bytes, len, said, sizeof said);
            assert_int_equal(error, layers < max ? 0 : BAD);
            assert_string_equal(said, layers < max ? "nack 78" : "nested too deep");
            assert_int_equal(error, kith_datagram(k, lone_time(LONE_SECOND), &from, bytes, len));
            memmove(bytes + 4, bytes, len);
            memcpy(bytes, (uint8_t[]){KI_MSG_COMPOUND, 1, 0, (uint8_t)len}, 4);
            len += 4;
        }
        kith_free(k);
    }
}

static size_t squeeze(const uint8_t *plain, size_t len, uint8_t *out, size_t cap)
{
    static uint8_t small[70000];
    struct ki_lzw_encoder *e = malloc(sizeof *e);
    assert_non_null(e);
    ki_lzw_encoder_init(e, plain, len, small, sizeof small);
    assert_int_equal(ki_lzw_encode(e, SIZE_MAX), KI_LZW_DONE);
    struct ki_pack p = ki_pack(out, cap, false);
    ki_encode_compress_front(&p, e->out_len);
    ki_put(&p.w, small, e->out_len);
    assert_false(p.w.full);
    free(e);
    return p.w.len;
}

static void test_bomb(void **state)
{
    (void)state;
    static uint8_t plain[65537], bomb[4096];
    plain[0] = 200;
    size_t len = squeeze(plain, 65536, bomb, sizeof bomb);
    assert_int_equal(kith_describe(NULL, bomb, len, said, sizeof said), 0);
    assert_string_equal(said, "compressed (message 200 of 65535 bytes)");
    len = squeeze(plain, 65537, bomb, sizeof bomb);
    assert_int_equal(kith_describe(NULL, bomb, len, said, sizeof said), BAD);
    assert_string_equal(said, "malformed compressed");
    /* two that share the room */
    uint8_t two[4096] = {KI_MSG_COMPOUND, 2};
    len = squeeze(plain, 40000, bomb, sizeof bomb);
    ki_store_be(two + 2, len, 2);
    ki_store_be(two + 4, len, 2);
    memcpy(two + 6, bomb, len);
    memcpy(two + 6 + len, bomb, len);
    assert_int_equal(kith_describe(NULL, two, 6 + 2 * len, said, sizeof said), BAD);
    assert_string_equal(said, "compressed (message 200 of 39999 bytes) | malformed compressed");
    assert_int_equal(kith_describe(NULL, plain, sizeof plain, said, sizeof said), BAD);
    assert_string_equal(said, "malformed datagram of 65537 bytes");
}

static void test_no_memory(void **state)
{
    (void)state;
    const char *squeezed = "0982a4416c676f00a3427566b800010822e5e40d9932a5c2b08183264ca92965e2146c1210";
    struct lone_memory memory = {0};
    struct kith_config c;
    lone_config(&c);
    c.memory = lone_hooks(&memory);
    c.keys = &golden_key;
    c.key_count = 1;
    c.verify_incoming = false;
    kith *k = lone_new(&c);
    int64_t blocks = memory.blocks;
    static const char *texts[] = {"out of memory", "compressed, out of memory", "compressed, out of memory",
                                  "compressed (ping 77 of alpha)"};
    for (unsigned nth = 0; nth < KI_COUNT(texts); nth++) {
        memory.fail_from = memory.calls + nth;
        memory.fail_to = memory.fail_from + 1;
        int error = describe(k, squeezed);
        assert_string_equal(said, texts[nth]);
        assert_int_equal(error, nth < 3 ? KITH_ERR_NOMEM : 0);
        assert_true(memory.blocks == blocks); /* all is given back */
    }
    kith_free(k);
    assert_true(memory.blocks == 0);
}

/* What an instance may still allocate bounds this too. */
static void test_memory_limit(void **state)
{
    (void)state;
    struct kith_config c;
    struct kith_gauges g;
    lone_config(&c);
    kith *k = lone_new(&c);
    kith_read_gauges(k, &g);
    kith_free(k);
    c.memory_max = g.memory_bytes + 60000; /* less than the arena */
    k = lone_new(&c);
    int error = describe(k, "0982a4416c676f00a3427566b800010822e5e40d9932a5c2b08183264ca92965e2146c1210");
    assert_int_equal(error, KITH_ERR_NOMEM);
    assert_string_equal(said, "compressed, out of memory");
    kith_free(k);
}

/* ---- text ---- */

static const struct {
    const char *name;
    const char *text;
} name_rows[] = {
    {"node-1", "node-1"},
    {"a b|c\\d", "a\\x20b\\x7cc\\x5cd"},
    {"\x01\x1f\n\x7f", "\\x01\\x1f\\x0a\\x7f"},
    {"gr\xc3\xbc\xc3\x9f\x65", "gr\xc3\xbc\xc3\x9f\x65"},
    {"\xe2\x82\xac\xf0\x9f\x99\x82", "\xe2\x82\xac\xf0\x9f\x99\x82"},
    {"\xc2\x9b", "\\xc2\\x9b"},                             /* CSI: a terminal obeys it */
    {"\xc2\xa0", "\xc2\xa0"},
    {"\x80\xbf", "\\x80\\xbf"},
    {"\xc0\xaf\xc1\xbf", "\\xc0\\xaf\\xc1\\xbf"},           /* overlong */
    {"\xe0\x9f\xbf\xf0\x8f\xbf\xbf", "\\xe0\\x9f\\xbf\\xf0\\x8f\\xbf\\xbf"},
    {"\xed\xa0\x80", "\\xed\\xa0\\x80"},                    /* a surrogate */
    {"\xed\x9f\xbf", "\xed\x9f\xbf"},
    {"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},
    {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},           /* beyond the last */
    {"\xf5\x80\x80\x80", "\\xf5\\x80\\x80\\x80"},
    {"\xe2\x82", "\\xe2\\x82"},                             /* cut */
    {"\xf0\x9f\x99x", "\\xf0\\x9f\\x99x"},
};

static void test_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < KI_COUNT(name_rows); i++) {
        char out[64];
        struct ki_text t = ki_text(out, sizeof out);
        ki_text_name(&t, lone_span(name_rows[i].name));
        assert_string_equal(out, name_rows[i].text);
        assert_int_equal(t.len, strlen(out));
    }
}

static void test_numbers(void **state)
{
    (void)state;
    char out[64];
    struct ki_text t = ki_text(out, sizeof out);
    ki_text_uint(&t, 0);
    ki_text_put(&t, " ");
    ki_text_uint(&t, 10);
    ki_text_put(&t, " ");
    ki_text_uint(&t, UINT64_MAX);
    assert_string_equal(out, "0 10 18446744073709551615");
}

/* In a buffer of any size: the whole, or whole characters of it and as many dots as there is room for. */
static void test_every_size(void **state)
{
    (void)state;
    /* nack 78 | dead, of a name with an escape and two letters of more than one byte, by x */
    const char *hex = "0702 0009 0023" NACK "0583a446726f6da178ab496e6361726e6174696f6e03a44e6f6465a7 0a c3bc e282ac 61";
    static const char *const atoms[] = {"n", "a", "c", "k", " ", "7", "8", " ", "|", " ", "d", "e", "a", "d", " ",
                                        "\\x0a", "\xc3\xbc", "\xe2\x82\xac", "a", " ", "i", "n", "c", " ", "3", " ",
                                        "b", "y", " ", "x"};
    char whole[128] = "";
    for (size_t i = 0; i < KI_COUNT(atoms); i++)
        memcpy(whole + strlen(whole), atoms[i], strlen(atoms[i]) + 1);
    uint8_t bytes[64];
    size_t len = hex_bytes(hex, bytes, sizeof bytes);
    for (size_t cap = 1; cap <= strlen(whole) + 4; cap++) {
        char *out = malloc(cap);
        assert_non_null(out);
        assert_int_equal(kith_describe(NULL, bytes, len, out, cap), 0);
        char want[128] = "";
        if (cap > strlen(whole)) {
            memcpy(want, whole, sizeof want);
        } else {
            for (size_t i = 0; strlen(want) + strlen(atoms[i]) + 4 <= cap; i++)
                memcpy(want + strlen(want), atoms[i], strlen(atoms[i]) + 1);
            for (size_t dots = 0; dots < 3 && strlen(want) + 1 < cap; dots++)
                memcpy(want + strlen(want), ".", 2);
        }
        assert_string_equal(out, want);
        free(out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),     cmocka_unit_test(test_pool),      cmocka_unit_test(test_bare),
        cmocka_unit_test(test_nesting),   cmocka_unit_test(test_bomb),      cmocka_unit_test(test_agrees_with_the_core),
        cmocka_unit_test(test_no_memory), cmocka_unit_test(test_names),     cmocka_unit_test(test_memory_limit),
        cmocka_unit_test(test_numbers),   cmocka_unit_test(test_every_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
