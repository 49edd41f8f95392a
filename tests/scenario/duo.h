/* Two instances that know each other, a link's owner for each, and the wires between them in the test's hand: how many
 * bytes go at a time, and what happens to each write on its way (one write is one hello or one frame).
 *
 * An owner says the messages that it has been given, in order, and knows what the other was given: so a message that is
 * lost, doubled, damaged or out of order aborts.  Datagrams arrive at once; wires that nobody touches carry the rest. */
#ifndef TEST_DUO_H
#define TEST_DUO_H

#include "lone.h"
#include "node/link.h"

#define DUO_MESSAGES 256
#define DUO_WIRES 64
#define DUO_SUBJECT KI_LINK_STORE /* for whose owner these stand in */

struct duo_message {
    uint8_t channel;
    size_t len;
};

struct duo_side {
    kith *k;
    struct lone_memory memory;
    struct ki_link *link; /* the newest that we know of, open or not */
    struct duo_message said[DUO_MESSAGES];
    unsigned count, next; /* messages to say, and the one that is being said */
    size_t offset;        /* in it */
    unsigned heard;       /* messages of the other */
    size_t part_max;      /* bytes given at a time; 0: as many as there is room for */
    unsigned hellos, opened, closed;
    int error;            /* of the last closing */
    int refuses;          /* what hello_received returns */
    unsigned redials;     /* so often it dials again at once when a link is closed */
    unsigned abort_at;    /* aborts its link when it has heard so many; 0: never */
};

struct duo_wire {
    bool used, accepted, cut;
    uint32_t id[2]; /* of the ends; 0: closed */
    unsigned node[2];
    struct kith_addr to;
    uint8_t *bytes[2]; /* on their way to that end */
    size_t len[2];
    bool ended[2], told[2];
    unsigned writes[2];
};

struct duo {
    struct duo_side side[2];
    struct kith_time now;
    struct duo_wire wires[DUO_WIRES];
    size_t chunk; /* bytes delivered at a time, at most; 0: all */
    uint64_t gap_us;
    bool mute[2]; /* reads nothing from its wires */
    /* Before bytes of node `from` go on the wire: the number of its write there, from 0.  May change them and how many. */
    size_t (*meddle)(struct duo *d, unsigned from, unsigned write, uint8_t *buf, size_t len);
    uint8_t kept[200000];
    size_t kept_len;
};

static struct duo *duo_now; /* owners get nothing but the instance */

static const struct kith_key duo_key = {.bytes = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, .len = 16};
static const struct kith_key duo_other_key = {.bytes = {7}, .len = 32};

static inline uint8_t duo_byte(unsigned side, unsigned number, size_t at)
{
    uint64_t z = at / 8 * 0x9e3779b97f4a7c15ull + number * 31 + side;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return (uint8_t)(z >> 8 * (at % 8));
}

static inline struct duo_side *duo_side_of(const struct kith *k)
{
    return &duo_now->side[k == duo_now->side[1].k];
}

static inline unsigned duo_index(const struct duo_side *side)
{
    return side == &duo_now->side[1];
}

/* ---- the owner ---- */

static inline size_t duo_poll(struct kith *k, struct ki_link *link, uint8_t *channel, uint8_t *buf, size_t cap, bool *more)
{
    struct duo_side *side = duo_side_of(k);
    LONE_CHECK(ki_link_is_open(link, DUO_SUBJECT) || link->sending);
    LONE_CHECK(cap > 0 && !*more);
    if (side->next == side->count || link != side->link)
        return 0;
    const struct duo_message *message = &side->said[side->next];
    size_t len = ki_min_size(cap, message->len - side->offset);
    if (side->part_max)
        len = ki_min_size(len, side->part_max);
    for (size_t i = 0; i < len; i++)
        buf[i] = duo_byte(duo_index(side), side->next, side->offset + i);
    *channel = side->offset == 0 ? message->channel : 255; /* only the first part's counts */
    side->offset += len;
    *more = side->offset < message->len;
    if (!*more) {
        side->next++;
        side->offset = 0;
    }
    return len;
}

static inline void duo_receive(struct kith *k, struct ki_link *link, uint8_t channel, struct ki_span message)
{
    struct duo_side *side = duo_side_of(k), *other = &duo_now->side[1 - duo_index(side)];
    LONE_CHECK(side->heard < other->count);
    LONE_CHECK(message.len == other->said[side->heard].len && channel == other->said[side->heard].channel);
    for (size_t i = 0; i < message.len; i++)
        LONE_CHECK(message.ptr[i] == duo_byte(1 - duo_index(side), side->heard, i));
    side->heard++;
    if (side->heard == side->abort_at)
        ki_link_abort(link);
}

static inline bool duo_hello(struct kith *k, struct ki_link *link, struct ki_writer *w)
{
    struct duo_side *side = duo_side_of(k);
    LONE_CHECK(w->cap == KI_LINK_HELLO_MAX && link->stream != NULL);
    side->hellos++;
    ki_put(w, "hello from ", 11);
    ki_put_u8(w, (uint8_t)('0' + duo_index(side)));
    return true;
}

static inline int duo_hello_received(struct kith *k, struct ki_link *link, struct ki_span part)
{
    struct duo_side *side = duo_side_of(k);
    LONE_CHECK(part.len == 12 && memcmp(part.ptr, "hello from ", 11) == 0);
    LONE_CHECK(part.ptr[11] == '1' - duo_index(side));
    if (side->refuses)
        return side->refuses;
    side->link = link;
    side->opened++;
    link->owner_data[DUO_SUBJECT] = side;
    return 0;
}

static inline void duo_closed(struct kith *k, struct ki_link *link, int error)
{
    struct duo_side *side = duo_side_of(k);
    side->closed++;
    side->error = error;
    if (side->link == link)
        side->link = NULL;
    if (side->redials > 0) {
        side->redials--;
        LONE_CHECK(ki_link_open(k, link->member_id, DUO_SUBJECT, &side->link) == 0 && side->link != link);
    }
}

static const struct ki_link_owner duo_owner = {.message_max = 8u << 20,
                                               .poll = duo_poll,
                                               .receive = duo_receive,
                                               .hello = duo_hello,
                                               .hello_received = duo_hello_received,
                                               .closed = duo_closed};

/* ---- the two ---- */

static inline void duo_meet(kith *k, struct kith_time now, const char *name, uint8_t last, bool kith_tag)
{
    static const char meta[] = "\xff\x81\xa5_kith\xa3" "1-1";
    struct kith_member m = {.name = lone_str(name),
                            .addr = lone_addr(last, 7946),
                            .meta = {kith_tag ? meta : "\xff\x80", kith_tag ? sizeof meta - 1 : 2},
                            .status = KITH_STATUS_ALIVE,
                            .incarnation = 5,
                            .versions = {1, 5, 2, 2, 5, 5}};
    LONE_CHECK(kith_import_members(k, now, &m, 1) == 0);
}

static inline void duo_config(struct kith_config *c, unsigned n)
{
    static const char *const names[] = {"zero", "one"};
    lone_config(c);
    c->name = lone_str(names[n]);
    c->addr = lone_addr((uint8_t)(n + 1), 7946);
    c->seed[0] = (uint8_t)(n + 1);
    c->memory = lone_hooks(&duo_now->side[n].memory);
}

static inline void duo_add(struct duo *d, unsigned n, const struct kith_config *c)
{
    d->side[n].memory.fail_from = UINT64_MAX;
    LONE_CHECK(kith_new(&d->side[n].k, c) == 0 && kith_ready(d->side[n].k, d->now) == 0);
    d->side[n].k->link_owners[DUO_SUBJECT] = &duo_owner;
    d->side[n].k->link_owners[KI_LINK_VIEW] = NULL; /* its comparisons are others' tests */
}

static inline struct duo *duo_new(void)
{
    struct duo *d = calloc(1, sizeof *d);
    LONE_CHECK(d);
    d->now = lone_time(LONE_SECOND);
    d->gap_us = 50;
    duo_now = d;
    return d;
}

static inline void duo_acquaint(struct duo *d)
{
    duo_meet(d->side[0].k, d->now, "one", 2, true);
    duo_meet(d->side[1].k, d->now, "zero", 1, true);
}

enum { DUO_PLAIN, DUO_KEYED, DUO_LABELLED = 2, DUO_HOWS = 4 };

static inline struct duo *duo_usual(unsigned how)
{
    struct duo *d = duo_new();
    for (unsigned n = 0; n < 2; n++) {
        struct kith_config c;
        duo_config(&c, n);
        c.keys = &duo_key;
        c.key_count = how & DUO_KEYED;
        if (how & DUO_LABELLED)
            c.label = lone_str("a pool");
        duo_add(d, n, &c);
    }
    duo_acquaint(d);
    return d;
}

static inline void duo_free(struct duo *d)
{
    for (unsigned n = 0; n < 2; n++) {
        if (d->side[n].k)
            lone_check(d->side[n].k);
        kith_free(d->side[n].k);
        LONE_CHECK(d->side[n].memory.blocks == 0);
    }
    for (unsigned i = 0; i < DUO_WIRES; i++) {
        free(d->wires[i].bytes[0]);
        free(d->wires[i].bytes[1]);
    }
    free(d);
    duo_now = NULL;
}

/* ---- the wires ---- */

static inline unsigned duo_of_addr(const struct kith_addr *addr)
{
    return addr->ip[3] == 1 ? 0 : addr->ip[3] == 2 ? 1 : 2;
}

static inline void duo_put(struct duo_wire *w, unsigned end, const uint8_t *buf, size_t len)
{
    w->bytes[end] = realloc(w->bytes[end], w->len[end] + len + 1);
    LONE_CHECK(w->bytes[end]);
    memcpy(w->bytes[end] + w->len[end], buf, len);
    w->len[end] += len;
}

static inline void duo_write(struct duo *d, struct duo_wire *w, unsigned end)
{
    static uint8_t buf[400000];
    kith *k = d->side[w->node[end]].k;
    size_t len;
    while (w->id[end] && kith_stream_write(k, d->now, w->id[end], buf, 150000, &len) == 0 && len > 0) {
        if (d->meddle)
            len = d->meddle(d, w->node[end], w->writes[end], buf, len);
        w->writes[end]++;
        duo_put(w, 1 - end, buf, len);
    }
}

static inline void duo_open(struct duo *d, unsigned n, const struct kith_stream_action *action)
{
    struct duo_wire *w = d->wires;
    while (w->used)
        LONE_CHECK(++w < d->wires + DUO_WIRES);
    *w = (struct duo_wire){.used = true, .id = {action->id, 0}, .node = {n, duo_of_addr(&action->addr)}};
}

static inline bool duo_actions(struct duo *d, unsigned n)
{
    struct kith_stream_action action;
    bool any = false;
    while (kith_poll_stream(d->side[n].k, &action)) {
        any = true;
        if (action.kind == KITH_STREAM_OPEN) {
            duo_open(d, n, &action);
            continue;
        }
        unsigned i = 0;
        while (!(d->wires[i / 2].used && d->wires[i / 2].id[i % 2] == action.id && d->wires[i / 2].node[i % 2] == n))
            LONE_CHECK(++i < 2 * DUO_WIRES);
        struct duo_wire *w = &d->wires[i / 2];
        if (action.kind == KITH_STREAM_WRITE)
            duo_write(d, w, i % 2);
        if (action.kind == KITH_STREAM_FINISH || action.kind == KITH_STREAM_ABORT) {
            w->id[i % 2] = 0;
            w->ended[i % 2] = true;
        }
    }
    return any;
}

static inline void duo_accept(struct duo *d, struct duo_wire *w)
{
    struct kith_addr from = lone_addr((uint8_t)(w->node[0] + 1), 40000);
    kith *dialler = d->side[w->node[0]].k;
    if (w->node[1] > 1 || kith_stream_accept(d->side[w->node[1]].k, d->now, &from, &w->id[1]) != 0) {
        kith_stream_failed(dialler, d->now, w->id[0], KITH_ERR_UNREACHABLE);
        w->used = false;
        return;
    }
    w->accepted = true;
    kith_stream_opened(dialler, d->now, w->id[0]);
}

static inline bool duo_deliver(struct duo *d, struct duo_wire *w, unsigned end)
{
    unsigned n = w->node[end];
    kith *k = d->side[n].k;
    if (!w->id[end] || d->mute[n])
        return false;
    size_t len = d->chunk ? ki_min_size(d->chunk, w->len[end]) : w->len[end], taken = 0;
    if (len > 0) {
        if (kith_stream_bytes(k, d->now, w->id[end], w->bytes[end], len, &taken) != 0)
            taken = len;
        w->len[end] -= taken;
        memmove(w->bytes[end], w->bytes[end] + taken, w->len[end]);
    }
    if (w->len[end] == 0 && w->ended[1 - end] && !w->told[end]) {
        w->told[end] = true;
        kith_stream_end(k, d->now, w->id[end]);
        return true;
    }
    return taken > 0;
}

static inline bool duo_wire_run(struct duo *d, struct duo_wire *w)
{
    if (!w->used || w->cut)
        return false;
    if (!w->accepted && !w->id[0]) {
        w->used = false;
        return true;
    }
    if (!w->accepted) {
        duo_accept(d, w);
        return true;
    }
    bool any = duo_deliver(d, w, 0);
    any = duo_deliver(d, w, 1) || any;
    if (w->id[0] || w->id[1])
        return any;
    free(w->bytes[0]);
    free(w->bytes[1]);
    *w = (struct duo_wire){.used = false};
    return true;
}

static inline bool duo_datagrams(struct duo *d, unsigned n)
{
    uint8_t buf[2048];
    struct kith_addr to, from = lone_addr((uint8_t)(n + 1), 7946);
    size_t len;
    bool any = false;
    while (kith_poll_datagram(d->side[n].k, d->now, &to, buf, sizeof buf, &len)) {
        any = true;
        if (duo_of_addr(&to) < 2)
            kith_datagram(d->side[duo_of_addr(&to)].k, d->now, &from, buf, len);
    }
    lone_drain_told(d->side[n].k);
    return any;
}

/* One round of all that can happen now. */
static inline bool duo_round(struct duo *d)
{
    bool any = false;
    for (unsigned i = 0; i < DUO_WIRES; i++)
        any = duo_wire_run(d, &d->wires[i]) || any;
    for (unsigned n = 0; n < 2; n++) {
        bool due = kith_deadline(d->side[n].k) <= d->now.mono_us;
        if (due)
            kith_tick(d->side[n].k, d->now);
        any = duo_actions(d, n) || any || due;
        any = duo_datagrams(d, n) || any;
        lone_check_streams(d->side[n].k);
    }
    return any;
}

static inline void duo_run(struct duo *d, uint64_t us)
{
    uint64_t end_us = d->now.mono_us + us;
    unsigned busy = 0;
    while (d->now.mono_us < end_us) {
        uint64_t next_us = d->now.mono_us + d->gap_us;
        bool any = duo_round(d);
        busy = any ? busy + 1 : 0;
        LONE_CHECK(busy < 2000000);
        if (!any)
            next_us = ki_max_u64(next_us, ki_min_u64(kith_deadline(d->side[0].k), kith_deadline(d->side[1].k)));
        d->now = lone_time(ki_min_u64(next_us, end_us));
    }
    lone_check(d->side[0].k);
    lone_check(d->side[1].k);
}

/* ---- what tests say ---- */

static inline void duo_say(struct duo *d, unsigned n, uint8_t channel, size_t len)
{
    struct duo_side *side = &d->side[n];
    LONE_CHECK(side->count < DUO_MESSAGES);
    side->said[side->count++] = (struct duo_message){.channel = channel, .len = len};
    if (side->link)
        ki_link_wake(side->link, DUO_SUBJECT);
}

static inline int duo_dial(struct duo *d, unsigned n)
{
    struct kith_addr to = lone_addr((uint8_t)(2 - n), 7946);
    return ki_link_open(d->side[n].k, ki_find_addr(d->side[n].k, &to), DUO_SUBJECT, &d->side[n].link);
}

static inline bool duo_is_open(const struct duo *d)
{
    return d->side[0].link && d->side[1].link && ki_link_is_open(d->side[0].link, DUO_SUBJECT) &&
           ki_link_is_open(d->side[1].link, DUO_SUBJECT);
}

static inline uint64_t duo_count(const struct duo *d, unsigned n, const char *counter)
{
    return lone_counter(d->side[n].k, counter);
}

#endif
