/* Links among those who mean harm: on the wire between two honest members, and at its end.  Whatever comes, nothing is
 * handed over that the other did not say, in its order; the link ends, and a counter tells why.
 * ctest: TIMEOUT 240 COST 20 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "duo.h"

/* ---- on the wire ---- */

static unsigned meddle_at, meddle_how; /* which write of node 0, and a test's own choice */

static size_t meddle_flip(struct duo *d, unsigned from, unsigned write, uint8_t *buf, size_t len)
{
    (void)d;
    if (from == 0 && write == meddle_at) {
        size_t at = KI_LINK_HEAD + (size_t)meddle_how * (len - KI_LINK_HEAD - 1) / 9;
        buf[at] ^= (uint8_t)(1u << meddle_how % 8);
    }
    return len;
}

enum { MEDDLE_DROP, MEDDLE_DOUBLE, MEDDLE_REPLAY, MEDDLE_SWAP, MEDDLE_WAYS };

static size_t meddle_order(struct duo *d, unsigned from, unsigned write, uint8_t *buf, size_t len)
{
    if (from != 0 || write < meddle_at || write > meddle_at + 1)
        return len;
    bool first = write == meddle_at;
    if (first) {
        memcpy(d->kept, buf, len);
        d->kept_len = len;
    }
    switch (meddle_how) {
    case MEDDLE_DROP:
        return first ? 0 : len;
    case MEDDLE_DOUBLE:
        if (first)
            memcpy(buf + len, d->kept, len);
        return first ? 2 * len : len;
    case MEDDLE_REPLAY: /* instead of the next */
        memcpy(buf, d->kept, d->kept_len);
        return d->kept_len;
    default: /* the second, then the first */
        if (first)
            return 0;
        memcpy(buf + len, d->kept, d->kept_len);
        return len + d->kept_len;
    }
}

/* Node 0 says ten messages of a frame each and one of several; its writes are a hello and then frames.  Returns the pair,
 * after the meddling. */
static struct duo *hostile_story(size_t (*meddle)(struct duo *, unsigned, unsigned, uint8_t *, size_t))
{
    struct duo *d = duo_usual(DUO_KEYED | DUO_LABELLED);
    d->meddle = meddle;
    for (unsigned i = 0; i < 10; i++)
        duo_say(d, 0, (uint8_t)i, 100 + i);
    duo_say(d, 0, 7, 400000);
    assert_int_equal(duo_dial(d, 0), 0);
    duo_run(d, LONE_SECOND);
    assert_true(d->meddle && d->wires[0].writes[0] == 0); /* the wire is gone */
    assert_int_equal(duo_count(d, 1, "link_frames_bad"), 1);
    assert_int_equal(duo_count(d, 1, "links_failed"), 1);
    assert_true(d->side[1].closed == 1 && d->side[1].error == KITH_ERR_AUTH);
    assert_true(d->side[0].closed == 1 && d->side[0].error != 0);
    return d;
}

static void a_damaged_frame_ends_the_link(void **state)
{
    (void)state;
    for (meddle_at = 1; meddle_at < 16; meddle_at++) {
        for (meddle_how = 0; meddle_how < 10; meddle_how++) {
            struct duo *d = hostile_story(meddle_flip);
            assert_int_equal(d->side[1].heard, ki_min_size(meddle_at - 1, 10));
            duo_free(d);
        }
    }
}

static void frames_have_one_place(void **state)
{
    (void)state;
    for (meddle_at = 1; meddle_at < 14; meddle_at++) {
        for (meddle_how = 0; meddle_how < MEDDLE_WAYS; meddle_how++) {
            struct duo *d = hostile_story(meddle_order);
            unsigned good = meddle_how == MEDDLE_DOUBLE || meddle_how == MEDDLE_REPLAY ? meddle_at : meddle_at - 1;
            assert_int_equal(d->side[1].heard, ki_min_size(good, 10));
            duo_free(d);
        }
    }
}

/* What node 0 sent comes back to it. */
static size_t meddle_reflect(struct duo *d, unsigned from, unsigned write, uint8_t *buf, size_t len)
{
    if (from == 0 && write == 1) {
        memcpy(d->kept, buf, len);
        d->kept_len = len;
    }
    if (from == 1 && write == 1) {
        memcpy(buf, d->kept, d->kept_len);
        return d->kept_len;
    }
    return len;
}

static void an_echo_is_no_frame(void **state)
{
    (void)state;
    struct duo *d = duo_usual(DUO_KEYED);
    d->meddle = meddle_reflect;
    duo_say(d, 0, 1, 100);
    assert_int_equal(duo_dial(d, 0), 0);
    duo_run(d, LONE_SECOND / 10);
    duo_say(d, 1, 1, 100);
    duo_run(d, LONE_SECOND / 10);
    assert_true(d->side[0].heard == 0 && d->side[0].closed == 1 && d->side[0].error == KITH_ERR_AUTH);
    assert_int_equal(duo_count(d, 0, "link_frames_bad"), 1);
    duo_free(d);
}

/* All of an old link's bytes, dialled again from the member's address: the hello opens a link in which nothing opens. */
static size_t meddle_record(struct duo *d, unsigned from, unsigned write, uint8_t *buf, size_t len)
{
    (void)write;
    if (from == 0) {
        memcpy(d->kept + d->kept_len, buf, len);
        d->kept_len += len;
    }
    return len;
}

static void an_old_link_does_not_live_again(void **state)
{
    (void)state;
    struct duo *d = duo_usual(DUO_KEYED);
    d->meddle = meddle_record;
    duo_say(d, 0, 1, 100);
    assert_int_equal(duo_dial(d, 0), 0);
    duo_run(d, 20 * LONE_SECOND);
    assert_true(d->side[1].closed == 1 && d->side[1].error == 0 && d->side[1].heard == 1);
    struct kith_addr from = lone_addr(1, 1234);
    uint32_t id;
    size_t taken;
    assert_int_equal(kith_stream_accept(d->side[1].k, d->now, &from, &id), 0);
    assert_int_equal(kith_stream_bytes(d->side[1].k, d->now, id, d->kept, d->kept_len, &taken), 0);
    for (unsigned i = 0; i < 20; i++)
        kith_tick(d->side[1].k, d->now);
    assert_int_equal(duo_count(d, 1, "links_in"), 2);
    assert_int_equal(duo_count(d, 1, "link_frames_bad"), 1);
    assert_true(d->side[1].heard == 1 && d->side[1].closed == 2 && d->side[1].error == KITH_ERR_AUTH);
    duo_free(d);
}

/* Another pool's member, by key or by label, at the address of one of ours. */
static void another_pool_gets_no_link(void **state)
{
    (void)state;
    static const struct {
        const struct kith_key *key;
        const char *label;
    } others[] = {{&duo_other_key, ""}, {NULL, ""}, {&duo_key, "other"}, {&duo_other_key, "other"}};
    for (unsigned i = 0; i < KI_COUNT(others); i++) {
        struct duo *d = duo_new();
        struct kith_config c;
        duo_config(&c, 0);
        c.keys = &duo_key;
        c.key_count = 1;
        duo_add(d, 0, &c);
        duo_config(&c, 1);
        c.keys = others[i].key;
        c.key_count = others[i].key != NULL;
        c.label = lone_str(others[i].label);
        duo_add(d, 1, &c);
        duo_acquaint(d);
        for (unsigned n = 0; n < 2; n++) {
            assert_int_equal(duo_dial(d, n), 0);
            for (unsigned round = 0; round < 50; round++)
                duo_round(d);
            assert_true(d->side[n].closed == 1 && d->side[n].error != 0 && d->side[n].opened == 0);
            assert_true(d->side[1 - n].opened == 0);
        }
        duo_free(d);
    }
}

/* ---- at the other end, in a pool without a key ---- */

struct fake { /* one end of a link, played by hand, with side 0 */
    struct duo *d;
    uint32_t id;
    struct ki_link_hello answer;
};

static void fake_feed(struct fake *f, const void *buf, size_t len)
{
    size_t taken;
    kith *k = f->d->side[0].k;
    kith_stream_bytes(k, f->d->now, f->id, buf, len, &taken);
    for (unsigned i = 0; i < 10; i++)
        kith_tick(k, f->d->now);
}

/* Connects from 10.0.0.last and says a hello.  true: it was answered. */
static bool fake_dial(struct fake *f, uint8_t last, const struct ki_link_hello *hello)
{
    uint8_t buf[KI_LINK_OPENING_MAX];
    kith *k = f->d->side[0].k;
    struct kith_addr from = lone_addr(last, 999);
    assert_int_equal(kith_stream_accept(k, f->d->now, &from, &f->id), 0);
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    ki_encode_link_opening(&p, hello);
    fake_feed(f, buf, p.w.len);
    size_t len = 0;
    if (kith_stream_write(k, f->d->now, f->id, buf, sizeof buf, &len) != 0 || len == 0)
        return false;
    struct ki_reader r = ki_reader(buf + 1, len - 1);
    struct ki_user_header header;
    return buf[0] == KI_MSG_USER && ki_decode_user_header(&r, &header) && (size_t)header.len == r.left &&
           ki_take_be(&r, 1) == KI_LINK_TYPE && ki_decode_link_hello(&r, &f->answer);
}

static struct ki_link_hello fake_hello(const char *name)
{
    return (struct ki_link_hello){.version_min = 1,
                                  .version_max = 1,
                                  .session = {1, 2, 3},
                                  .credit = 1000,
                                  .name = lone_span(name),
                                  .payload = ki_span("\0\0\x0c" "hello from 1", 15)};
}

static struct fake fake_new(void)
{
    struct fake f = {.d = duo_new()};
    struct kith_config c;
    duo_config(&c, 0);
    duo_add(f.d, 0, &c);
    duo_meet(f.d->side[0].k, f.d->now, "one", 2, true);
    return f;
}

static void fake_end(struct fake *f)
{
    struct kith_stream_action action;
    while (kith_poll_stream(f->d->side[0].k, &action))
        LONE_CHECK(action.id != 0);
    assert_int_equal(f->d->side[0].k->stream_count, 0);
    assert_int_equal(f->d->side[0].k->stream_bytes, 0);
    duo_free(f->d);
}

static void hellos_of_others_are_refused(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 10; how++) {
        struct fake f = fake_new();
        kith *k = f.d->side[0].k;
        struct ki_link_hello hello = fake_hello("one");
        uint8_t last = 2, buf[256];
        duo_meet(k, f.d->now, "stock", 3, false);
        switch (how) {
        case 0: /* nobody we know */
            hello.name = lone_span("two");
            break;
        case 1: /* at another's address */
            last = 3;
            break;
        case 2: /* without _kith */
            hello.name = lone_span("stock");
            last = 3;
            break;
        case 3: /* we ourselves */
            hello.name = lone_span("zero");
            last = 1;
            break;
        case 4: /* an answer to nothing */
            hello.is_answer = true;
            break;
        case 5: /* of a later version */
            hello.version_min = hello.version_max = 2;
            break;
        case 6: /* of none */
            hello.version_min = 2;
            break;
        case 7: /* dead */
            LONE_CHECK(kith_datagram(k, f.d->now, &(struct kith_addr){.ip = {10, 0, 0, 3}, .ip_len = 4, .port = 7946}, buf,
                                     lone_accuse(buf, sizeof buf, true, "one", "stock", 5)) == 0);
            break;
        case 8: /* whom the owner does not want */
            f.d->side[0].refuses = 1;
            break;
        default: /* as it should be */
            hello.version_max = 9;
            break;
        }
        bool answered = fake_dial(&f, last, &hello);
        assert_true(answered == (how == 9));
        assert_int_equal(lone_counter(k, "links_refused"), how < 9);
        assert_int_equal(lone_counter(k, "links_in"), how == 9);
        assert_int_equal(f.d->side[0].opened, how == 9);
        if (answered) {
            assert_true(f.answer.is_answer && f.answer.credit == 1u << 20 && f.answer.version_max == 1);
            assert_memory_equal(f.answer.session, hello.session, KI_LINK_HALF);
            kith_stream_failed(k, f.d->now, f.id, KITH_ERR_UNREACHABLE);
        }
        fake_end(&f);
    }
}

/* Frames that nobody honest sends.  `heard` is what may have been handed over before. */
static void broken_frames_end_the_link(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        unsigned heard;
    } cases[] = {
        {"\0\0\0\0", 4, 0},                                             /* no frame in it */
        {"\0\1\0\1", 4, 0},                                             /* too long */
        {"\xff\xff\xff\xff", 4, 0},
        {"\0\0\0\1\0", 5, 0},                                           /* kinds that there are not */
        {"\0\0\0\4\4\1\0x", 8, 0},
        {"\0\0\0\1\1", 5, 0},                                           /* cut short */
        {"\0\0\0\3\1\1\0", 7, 0},                                       /* no part */
        {"\0\0\0\4\1\1\2x", 8, 0},                                      /* neither more nor not */
        {"\0\0\0\5\1\5\1xx\0\0\0\4\1\6\0x", 17, 0},                     /* another channel amid a message */
        {"\0\0\0\5\1\5\1xx\0\0\0\2\3\0", 15, 0},                        /* CLOSE amid a message */
        {"\0\0\0\2\3\0\0\0\0\2\3\0", 12, 0},                            /* two of them */
        {"\0\0\0\2\3\0\0\0\0\4\1\1\0x", 14, 0},                         /* and a message after one */
        {"\0\0\0\3\3\0\0", 7, 0},                                       /* a byte too much */
        {"\0\0\0\x09\2\0\0\0\0\0\0\3\xe8", 13, 0},                      /* credit that does not grow */
        {"\0\0\0\x09\2\0\0\0\0\0\0\0\1", 13, 0},                        /* or shrinks */
        {"\0\0\0\x08\2\0\0\0\0\0\0\x10", 12, 0},
        {"\0\0\0\4\1\7\0", 7, 0},                                       /* not whole, and then the end */
    };
    for (unsigned i = 0; i < KI_COUNT(cases); i++) {
        struct fake f = fake_new();
        struct ki_link_hello hello = fake_hello("one");
        assert_true(fake_dial(&f, 2, &hello));
        fake_feed(&f, cases[i].bytes, cases[i].len);
        bool cut = i == KI_COUNT(cases) - 1;
        if (cut) {
            kith_stream_end(f.d->side[0].k, f.d->now, f.id);
            fake_feed(&f, NULL, 0);
        }
        if (lone_counter(f.d->side[0].k, "link_frames_bad") != !cut || f.d->side[0].closed != 1)
            fail_msg("case %u", i);
        assert_int_equal(f.d->side[0].error, cut ? KITH_ERR_UNREACHABLE : KITH_ERR_MALFORMED);
        assert_int_equal(f.d->side[0].heard, cases[i].heard);
        fake_end(&f);
    }
}

/* Frames of len bytes of messages; more: they are one message. */
static void fake_send(struct fake *f, size_t len, bool more)
{
    static uint8_t buf[KI_LINK_HEAD + KI_LINK_PART_HEAD + KI_LINK_PART_MAX];
    ki_store_be(buf, KI_LINK_PART_HEAD + len, KI_LINK_HEAD);
    struct ki_writer w = ki_writer(buf + KI_LINK_HEAD, KI_LINK_PART_HEAD);
    ki_encode_link_frame(&w, &(struct ki_link_frame){.kind = KI_LINK_DATA, .channel = 1, .more = more});
    for (size_t i = 0; i < len; i++)
        buf[KI_LINK_HEAD + KI_LINK_PART_HEAD + i] = duo_byte(1, f->d->side[0].heard, i);
    fake_feed(f, buf, KI_LINK_HEAD + KI_LINK_PART_HEAD + len);
}

static void credit_is_a_limit(void **state)
{
    (void)state;
    struct fake f = fake_new();
    struct duo_side *side = &f.d->side[0];
    struct ki_link_hello hello = fake_hello("one");
    assert_true(fake_dial(&f, 2, &hello));
    ki_link_hold(side->k, side->link, DUO_SUBJECT, true);
    size_t left = 1u << 20;
    for (f.d->side[1].count = 0; left > 0; left -= f.d->side[1].said[side->heard - 1].len) {
        f.d->side[1].said[f.d->side[1].count++] =
            (struct duo_message){.channel = 1, .len = ki_min_size(left, KI_LINK_PART_MAX)};
        fake_send(&f, ki_min_size(left, KI_LINK_PART_MAX), false);
    }
    assert_int_equal(side->heard, f.d->side[1].count);
    assert_int_equal(side->closed, 0);
    f.d->side[1].said[f.d->side[1].count++] = (struct duo_message){.channel = 1, .len = 1};
    fake_send(&f, 1, false);
    assert_true(side->closed == 1 && side->error == KITH_ERR_MALFORMED && side->heard == f.d->side[1].count - 1);
    fake_end(&f);
}

/* The owner's limit on messages, which nothing may pass however it is granted. */
static void a_message_has_a_limit(void **state)
{
    (void)state;
    struct fake f = fake_new();
    struct duo_side *side = &f.d->side[0];
    struct ki_link_hello hello = fake_hello("one");
    assert_true(fake_dial(&f, 2, &hello));
    uint8_t buf[4096];
    size_t sent = 0, len, max = duo_owner.message_max;
    while (side->closed == 0 && sent < 2 * max) {
        fake_send(&f, KI_LINK_PART_MAX, true);
        sent += KI_LINK_PART_MAX;
        while (kith_stream_write(side->k, f.d->now, f.id, buf, sizeof buf, &len) == 0 && len > 0)
            LONE_CHECK(len == KI_LINK_HEAD + 9); /* credit */
        assert_true(side->k->stream_bytes <= 2 * max);
    }
    assert_true(sent > max && sent <= max + KI_LINK_PART_MAX);
    assert_true(side->closed == 1 && side->error == KITH_ERR_MALFORMED && side->heard == 0);
    assert_int_equal(lone_counter(side->k, "link_frames_bad"), 1);
    fake_end(&f);
}

/* An answer to our hello that is of another, or for another. */
static void answers_of_others_are_refused(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 6; how++) {
        struct fake f = fake_new();
        kith *k = f.d->side[0].k;
        struct kith_stream_action action;
        uint8_t buf[KI_LINK_OPENING_MAX];
        size_t len;
        assert_int_equal(duo_dial(f.d, 0), 0);
        assert_true(kith_poll_stream(k, &action) && action.kind == KITH_STREAM_OPEN);
        kith_stream_opened(k, f.d->now, action.id);
        f.id = action.id;
        assert_int_equal(kith_stream_write(k, f.d->now, f.id, buf, sizeof buf, &len), 0);
        struct ki_link_hello hello = fake_hello("one");
        hello.is_answer = how != 0;
        memcpy(hello.session, f.d->side[0].link->session, KI_LINK_HALF);
        hello.session[5] ^= how == 1;
        hello.name = lone_span(how == 2 ? "two" : "one");
        hello.version_min = hello.version_max = how == 3 ? 7 : 1;
        struct ki_pack p = ki_pack(buf, sizeof buf, false);
        ki_encode_link_opening(&p, &hello);
        if (how == 4)
            p.w.start[p.w.len - 15 - 2 - 3 - 1 - 8 - 32 - 3 - 1] = 3; /* a Serf event in its place */
        fake_feed(&f, buf, p.w.len);
        assert_int_equal(f.d->side[0].opened, how == 5);
        assert_int_equal(f.d->side[0].closed, how != 5);
        assert_int_equal(lone_counter(k, "links_failed"), how != 5);
        assert_int_equal(lone_counter(k, "links_refused") + lone_counter(k, "events_forwarded"), 0);
        if (how == 5)
            kith_stream_failed(k, f.d->now, f.id, KITH_ERR_UNREACHABLE);
        fake_end(&f);
    }
}

/* ---- limits ---- */

static void so_many_links_and_no_more(void **state)
{
    (void)state;
    struct fake f = fake_new();
    kith *k = f.d->side[0].k;
    char name[16];
    unsigned answered = 0;
    for (uint8_t i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "m%u", i);
        duo_meet(k, f.d->now, name, (uint8_t)(i + 10), true);
        if (i >= 80)
            continue;
        struct ki_link_hello hello = fake_hello(name);
        answered += fake_dial(&f, (uint8_t)(i + 10), &hello);
    }
    assert_int_equal(answered, KI_LINKS_MAX - 8); /* the rest is for dialling */
    assert_int_equal(lone_counter(k, "links_refused"), 80 - answered);
    struct ki_link *link;
    struct kith_addr addr;
    for (uint8_t i = 80; i < 100; i++) {
        addr = lone_addr((uint8_t)(i + 10), 7946);
        assert_int_equal(ki_link_open(k, ki_find_addr(k, &addr), DUO_SUBJECT, &link), i < 88 ? 0 : KITH_ERR_FULL);
    }
    assert_int_equal(k->link_count, KI_LINKS_MAX);
    lone_check(k);
    assert_int_equal(kith_stream_accept(k, f.d->now, &addr, &f.id), 0); /* exchanges have streams left */
    duo_free(f.d);
}

/* Less memory for streams than a message needs: the link waits, and its timeout ends it; exchanges go on meanwhile. */
static void too_little_memory_ends_the_link(void **state)
{
    (void)state;
    struct duo *d = duo_new();
    for (unsigned n = 0; n < 2; n++) {
        struct kith_config c;
        duo_config(&c, n);
        c.stream_bytes_max = 1000000;
        duo_add(d, n, &c);
    }
    duo_acquaint(d);
    duo_say(d, 0, 1, 100000);
    duo_say(d, 0, 1, 2000000);
    assert_int_equal(duo_dial(d, 0), 0);
    duo_run(d, 5 * LONE_SECOND);
    assert_true(d->side[1].heard == 1 && duo_is_open(d));
    assert_true(duo_count(d, 1, "stream_budget_full") > 0);
    assert_true(d->side[1].k->stream_bytes < 900000);
    struct kith_addr to = lone_addr(2, 7946);
    assert_int_equal(kith_join(d->side[0].k, d->now, &to, 1, false, NULL), 0);
    duo_run(d, LONE_SECOND);
    assert_true(duo_count(d, 1, "push_pulls_in") > 0);
    duo_run(d, 10 * LONE_SECOND);
    assert_true(d->side[1].closed == 1 && d->side[1].error == KITH_ERR_TIMEOUT && d->side[0].closed == 1);
    assert_int_equal(d->side[1].k->stream_bytes, 0);
    duo_free(d);
}

/* ---- memory ---- */

/* A link, messages both ways, its end; with one or all allocations of side n failing from one on.  Links may fail then,
 * and be dialled again; in the end everything is said.  Returns how many allocations there were. */
static uint64_t memory_story(unsigned n, uint64_t from, uint64_t to)
{
    struct duo *d = duo_usual(DUO_KEYED);
    struct lone_memory *memory = &d->side[n].memory;
    memory->calls = 0;
    memory->fail_from = from;
    memory->fail_to = to;
    duo_say(d, 0, 1, 100);
    duo_say(d, 0, 1, 200000);
    duo_say(d, 1, 1, 70000);
    for (unsigned turn = 0; turn < 40 && !(d->side[0].heard == d->side[1].count && d->side[1].heard == d->side[0].count);
         turn++) {
        if (turn == 20)
            memory->fail_to = 0; /* it is back */
        for (unsigned side = 0; side < 2; side++) { /* what was under way when a link ended may be lost: said anew */
            if (d->side[side].link)
                continue;
            d->side[side].next = d->side[1 - side].heard;
            d->side[side].offset = 0;
        }
        int error = d->side[0].link ? 0 : duo_dial(d, 0);
        assert_true(error == 0 || error == KITH_ERR_NOMEM);
        duo_run(d, LONE_SECOND);
    }
    if (d->side[0].heard != d->side[1].count || d->side[1].heard != d->side[0].count)
        fail_msg("not all is said when allocations %llu to %llu of %u fail", (unsigned long long)from,
                 (unsigned long long)to, n);
    duo_run(d, 40 * LONE_SECOND); /* idle, and perhaps a timeout */
    assert_int_equal(duo_count(d, 0, "link_frames_bad") + duo_count(d, 1, "link_frames_bad"), 0);
    assert_int_equal(d->side[0].k->link_count + d->side[1].k->link_count, 0);
    uint64_t calls = memory->calls;
    duo_free(d); /* sees that nothing leaked */
    return calls;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 2; n++) {
        uint64_t calls = memory_story(n, UINT64_MAX, UINT64_MAX);
        assert_in_range(calls, 20, 2000);
        for (uint64_t i = 0; i < calls; i++)
            memory_story(n, i, i + 1);
        for (uint64_t i = 0; i < calls; i += 5)
            memory_story(n, i, i + 30);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_damaged_frame_ends_the_link),
        cmocka_unit_test(frames_have_one_place),
        cmocka_unit_test(an_echo_is_no_frame),
        cmocka_unit_test(an_old_link_does_not_live_again),
        cmocka_unit_test(another_pool_gets_no_link),
        cmocka_unit_test(hellos_of_others_are_refused),
        cmocka_unit_test(broken_frames_end_the_link),
        cmocka_unit_test(credit_is_a_limit),
        cmocka_unit_test(a_message_has_a_limit),
        cmocka_unit_test(answers_of_others_are_refused),
        cmocka_unit_test(so_many_links_and_no_more),
        cmocka_unit_test(too_little_memory_ends_the_link),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
