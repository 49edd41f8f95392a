/* Links with several owners: who is on one, whose turn it is, and what becomes of messages for a subject that nobody has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "duo.h"

#define OTHER KI_LINK_EVENTS

/* The owner of another subject than duo's: says so many messages of so many bytes, all the same byte, on channel 3. */
static struct other {
    struct ki_link *link;
    unsigned count, said, heard;
    size_t len, offset;
    bool keeps_off;
    int refuses;
    unsigned opened, closed;
    int error;
} others[2];

static char order[256]; /* in which side 1 heard what side 0 said: d and o */
static size_t order_len;

static void order_note(char what)
{
    if (order_len < sizeof order)
        order[order_len++] = what;
}

static struct other *other_of(const struct kith *k)
{
    return &others[k == duo_now->side[1].k];
}

static size_t other_poll(struct kith *k, struct ki_link *link, uint8_t *channel, uint8_t *buf, size_t cap, bool *more)
{
    struct other *o = other_of(k);
    if (o->said == o->count || link != o->link)
        return 0;
    size_t len = ki_min_size(cap, o->len - o->offset);
    memset(buf, 'o', len);
    o->offset += len;
    *channel = 3;
    *more = o->offset < o->len;
    if (!*more) {
        o->said++;
        o->offset = 0;
    }
    return len;
}

static void other_receive(struct kith *k, struct ki_link *link, uint8_t channel, struct ki_span message)
{
    struct other *o = other_of(k);
    LONE_CHECK(channel == 3 && link == o->link && message.len == others[o == &others[0]].len);
    for (size_t i = 0; i < message.len; i++)
        LONE_CHECK(message.ptr[i] == 'o');
    o->heard++;
    if (o == &others[1])
        order_note('o');
}

static bool other_hello(struct kith *k, struct ki_link *link, struct ki_writer *w)
{
    LONE_CHECK(link->stream);
    ki_put_u8(w, 'x');
    return !other_of(k)->keeps_off;
}

static int other_hello_received(struct kith *k, struct ki_link *link, struct ki_span part)
{
    struct other *o = other_of(k);
    LONE_CHECK(part.len == 1 && part.ptr[0] == 'x');
    if (o->refuses)
        return o->refuses;
    o->link = link;
    o->opened++;
    link->owner_data[OTHER] = o;
    return 0;
}

static void other_closed(struct kith *k, struct ki_link *link, int error)
{
    struct other *o = other_of(k);
    LONE_CHECK(!o->link || o->link == link);
    o->link = NULL;
    o->closed++;
    o->error = error;
}

static const struct ki_link_owner other_owner = {.message_max = 1u << 20,
                                                 .poll = other_poll,
                                                 .receive = other_receive,
                                                 .hello = other_hello,
                                                 .hello_received = other_hello_received,
                                                 .closed = other_closed};

static struct ki_link_owner noting; /* duo's, but for */

static void noting_receive(struct kith *k, struct ki_link *link, uint8_t channel, struct ki_span message)
{
    if (k == duo_now->side[1].k)
        order_note('d');
    duo_receive(k, link, channel, message);
}

static struct duo *subjects_duo(unsigned how)
{
    struct duo *d = duo_usual(how);
    memset(others, 0, sizeof others);
    order_len = 0;
    noting = duo_owner;
    noting.receive = noting_receive;
    for (unsigned n = 0; n < 2; n++) {
        d->side[n].k->link_owners[OTHER] = &other_owner;
        d->side[n].k->link_owners[DUO_SUBJECT] = &noting;
        others[n].len = 1;
    }
    return d;
}

static void owners_take_turns(void **state)
{
    (void)state;
    for (unsigned how = 0; how < DUO_HOWS; how++) {
        struct duo *d = subjects_duo(how);
        for (unsigned i = 0; i < 20; i++)
            duo_say(d, 0, 5, i % 2 ? 300000 : 10);
        others[0].count = 30;
        others[0].len = 200000;
        others[1].count = 3;
        assert_int_equal(duo_dial(d, 0), 0);
        duo_run(d, LONE_SECOND);
        assert_true(duo_is_open(d) && ki_link_is_open(d->side[1].link, OTHER) && others[0].link == d->side[0].link);
        assert_true(d->side[1].link->owner_data[OTHER] == &others[1]);
        assert_true(d->side[1].heard == 20 && others[1].heard == 30 && others[0].heard == 3);
        for (unsigned i = 0; i < 40; i++)
            assert_int_equal(order[i], order[i % 2]); /* one each, while both have something */
        assert_true(order[0] != order[1]);
        others[0].count++;
        ki_link_wake(others[0].link, OTHER);
        duo_say(d, 0, 1, 10);
        duo_run(d, LONE_SECOND);
        assert_true(d->side[1].heard == 21 && others[1].heard == 31);
        duo_run(d, 20 * LONE_SECOND);
        assert_true(d->side[0].closed == 1 && others[0].closed == 1 && others[1].closed == 1 && others[1].error == 0);
        duo_free(d);
    }
}

/* One of the two has nothing for the other subject: the link is there for the first, and who wanted the second hears so. */
static void one_may_be_off(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 4; how++) {
        struct duo *d = subjects_duo(DUO_KEYED);
        kith *k = d->side[0].k;
        struct kith_addr to = lone_addr(2, 7946);
        struct ki_link *link;
        others[0].count = 1;
        others[0].keeps_off = how == 0;
        if (how == 1 || how == 3)
            d->side[1].k->link_owners[OTHER] = NULL;
        others[1].keeps_off = how == 2;
        if (how == 3)
            assert_int_equal(ki_link_open(k, ki_find_addr(k, &to), OTHER, &link), 0);
        assert_int_equal(duo_dial(d, 0), 0);
        duo_say(d, 0, 1, 10);
        duo_run(d, LONE_SECOND);
        assert_true(duo_is_open(d) && d->side[1].heard == 1 && d->side[0].k->link_count == 1);
        assert_true(!ki_link_is_open(d->side[0].link, OTHER) && others[1].heard == 0 && others[0].opened == 0);
        assert_int_equal(others[0].closed, how == 3);
        assert_int_equal(others[0].error, how == 3 ? KITH_ERR_REFUSED : 0);
        uint32_t links = k->link_count;
        assert_int_equal(ki_link_open(k, ki_find_addr(k, &to), OTHER, &link), 0); /* another link, then */
        assert_true(link != d->side[0].link && k->link_count == links + 1);
        duo_run(d, LONE_SECOND);
        duo_free(d);
    }
}

/* Refusing a hello refuses the link for all; who had taken its part is told. */
static void one_refuses_for_all(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 2; n++) {
        struct duo *d = subjects_duo(DUO_PLAIN);
        others[n].refuses = -1;
        assert_int_equal(duo_dial(d, 0), 0);
        duo_run(d, LONE_SECOND);
        assert_true(d->side[0].closed == 1 && d->side[0].error != 0 && d->side[1].closed == 1);
        assert_true(others[n].opened == 0 && others[n].closed == 0 && others[1 - n].closed == others[1 - n].opened);
        assert_int_equal(d->side[0].k->link_count + d->side[1].k->link_count, 0);
        duo_free(d);
    }
}

/* What comes for a subject that is not on the link is passed over, however long, and costs no memory. */
static void strange_channels_are_passed_over(void **state)
{
    (void)state;
    static uint8_t buf[KI_LINK_HEAD + KI_LINK_PART_HEAD + 60000];
    static const uint8_t channels[] = {KI_LINK_CHANNELS * OTHER + 3, KI_LINK_CHANNELS * KI_LINK_SUBJECTS, 255};
    for (unsigned i = 0; i < KI_COUNT(channels); i++) {
        struct duo *d = subjects_duo(DUO_PLAIN);
        d->side[1].k->link_owners[OTHER] = NULL;
        assert_int_equal(duo_dial(d, 0), 0);
        duo_run(d, LONE_SECOND);
        kith *k = d->side[1].k;
        uint32_t id = d->side[1].link->stream->id;
        for (unsigned part = 0; part < 10; part++) {
            size_t taken;
            ki_store_be(buf, sizeof buf - KI_LINK_HEAD, KI_LINK_HEAD);
            struct ki_writer w = ki_writer(buf + KI_LINK_HEAD, KI_LINK_PART_HEAD);
            ki_encode_link_frame(
                &w, &(struct ki_link_frame){.kind = KI_LINK_DATA, .channel = channels[i], .more = part < 9});
            assert_int_equal(kith_stream_bytes(k, d->now, id, buf, sizeof buf, &taken), 0);
            kith_tick(k, d->now);
            assert_true(taken == sizeof buf && d->side[1].link->stream->inflated.cap == 0);
            assert_true(d->side[1].link->gathering == (part < 9));
        }
        assert_int_equal(duo_count(d, 1, "kith_refused"), 1);
        assert_true(d->side[1].closed == 0 && d->side[1].link->received == 600000);
        duo_say(d, 0, 1, 10); /* and the next is heard */
        duo_run(d, LONE_SECOND);
        assert_int_equal(d->side[1].heard, 1);
        duo_free(d);
    }
}

static void all_must_let_go(void **state)
{
    (void)state;
    struct duo *d = subjects_duo(DUO_PLAIN);
    assert_int_equal(duo_dial(d, 0), 0);
    duo_run(d, LONE_SECOND);
    struct ki_link *link = d->side[1].link;
    ki_link_hold(d->side[1].k, link, OTHER, true);
    ki_link_hold(d->side[1].k, link, DUO_SUBJECT, true);
    ki_link_hold(d->side[1].k, link, DUO_SUBJECT, false);
    for (unsigned i = 0; i < 5; i++)
        duo_say(d, 0, 1, 500000);
    duo_run(d, LONE_SECOND);
    assert_int_equal(d->side[1].heard, 2);
    ki_link_hold(d->side[1].k, link, OTHER, false);
    duo_run(d, LONE_SECOND);
    assert_int_equal(d->side[1].heard, 5);
    duo_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(owners_take_turns),       cmocka_unit_test(one_may_be_off),
        cmocka_unit_test(one_refuses_for_all),     cmocka_unit_test(strange_channels_are_passed_over),
        cmocka_unit_test(all_must_let_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
