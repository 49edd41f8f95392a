/* What members of kith's kind say to each other, in words (describe.c has the rest of a datagram).
 *
 * Each message is a few words and its numbers; what it leads to is not told, since that needs an instance's state.
 *
 * Deliberately not here: messages of stores, which are told by their kind alone. */
#include "node/describe.h"
#include "wire/fold.h"
#include "wire/kith_event.h"
#include "wire/serf_event.h"

static void describe_kith_heads(struct describe *d, struct ki_reader *r)
{
    struct ki_kith_event head;
    uint64_t more_from, count = 0;
    bool fine = ki_decode_events_heads_front(r, &more_from);
    for (; fine && r->left > 0; count++)
        fine = ki_decode_events_head(r, &head);
    if (!fine) {
        describe_malformed(d, "events-heads");
        return;
    }
    describe_item(d, "events-heads ");
    describe_number(d, "", count);
    if (more_from > 0)
        describe_number(d, " more from ", more_from);
}

static void describe_kith_numbers(struct describe *d, enum ki_kith_event_kind kind, struct ki_reader *r)
{
    const char *what = kind == KI_EVENTS_WANT ? "events-want" : kind == KI_EVENTS_SKIP ? "events-skip" : "events-took";
    struct ki_kith_event msg;
    if (!ki_decode_kith_event(r, kind, &msg)) {
        describe_malformed(d, what);
        return;
    }
    describe_item(d, what);
    describe_number(d, " ", msg.first);
    if (kind == KI_EVENTS_TOOK)
        return;
    describe_number(d, " to ", msg.last);
    describe_name(d, " of ", msg.name);
    if (msg.lost)
        ki_text_put(&d->text, " lost");
}

static void describe_kith_one_number(struct describe *d, const char *what, struct ki_reader *r,
                                     bool (*decode)(struct ki_reader *, uint64_t *))
{
    uint64_t number;
    if (!decode(r, &number)) {
        describe_malformed(d, what);
        return;
    }
    describe_item(d, what);
    describe_number(d, " ", number);
}

static void describe_kith_fold_ask(struct describe *d, struct ki_reader *r)
{
    struct ki_fold_ask ask;
    if (!ki_decode_fold_ask(r, &ask)) {
        describe_malformed(d, "fold-ask");
        return;
    }
    describe_item(d, "fold-ask");
    describe_name(d, " ", ask.name);
    describe_number(d, " ltime ", ask.ltime);
    describe_name(d, " by ", ask.asker);
    describe_number(d, " ms ", ask.left_ms);
}

static void describe_kith_fold_answer(struct describe *d, enum ki_fold_kind kind, struct ki_reader *r)
{
    struct ki_partial partial;
    uint64_t id, span;
    bool is_ack = kind == KI_FOLD_ACK;
    const char *what = is_ack ? "fold-ack" : "fold-reply";
    if (is_ack ? !ki_decode_fold_ack(r, &id, &span) : !ki_decode_fold_reply(r, &id, &span, &partial)) {
        describe_malformed(d, what);
        return;
    }
    describe_item(d, what);
    if (is_ack)
        return;
    describe_number(d, " of ", partial.members);
    describe_number(d, " answers ", partial.answers);
    describe_number(d, " silent ", partial.silent);
}

void ki_describe_kith(struct describe *d, struct ki_reader *r)
{
    uint8_t kind = (uint8_t)ki_take_be(r, 1);
    switch (kind) {
    case KI_EVENTS_ROOT:
        describe_kith_one_number(d, "events-root", r, ki_decode_events_root);
        return;
    case KI_EVENTS_HEADS_ASK:
        describe_kith_one_number(d, "events-heads-ask", r, ki_decode_events_heads_ask);
        return;
    case KI_EVENTS_HEADS:
        describe_kith_heads(d, r);
        return;
    case KI_EVENTS_WANT:
    case KI_EVENTS_SKIP:
    case KI_EVENTS_TOOK:
        describe_kith_numbers(d, (enum ki_kith_event_kind)kind, r);
        return;
    case KI_EVENTS_AGAIN:
        if (ki_take_be(r, 1) == KI_SERF_QUERY)
            ki_describe_query(d, "query-again", r);
        else
            describe_malformed(d, "query-again");
        return;
    case KI_FOLD_ASK:
        describe_kith_fold_ask(d, r);
        return;
    case KI_FOLD_ACK:
    case KI_FOLD_REPLY:
        describe_kith_fold_answer(d, (enum ki_fold_kind)kind, r);
        return;
    default: /* the store's, and what later versions add */
        if (ki_describe_aggregate(d, kind, r))
            return;
        describe_item(d, "kith message ");
        describe_number(d, "", kind);
        return;
    }
}
