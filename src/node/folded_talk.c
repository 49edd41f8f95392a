/* What is heard of folded queries.
 *
 *   ASK    a query that is new here is taken in, one that is known is answered with what there is: REPLY, or ACK
 *   ACK    whoever we have asked is about it
 *   REPLY  and this is what it has found
 *
 * A question makes us ask up to eight others, and so all of the pool; a short one has a long answer.  Whoever has heard a
 * question on its way can say it again in the name of who asked.  So what a member makes us say in a time has a limit, and a
 * query that is over is known as such for as long as its Lamport time is not old.
 *
 * Invariant: nobody is answered but a living member at its known address, who asked for just that.
 * Deliberately not here: whom we ask (folded_tree.c). */
#include "node/folded.h"
#include "serf/filter.h"

#define TALK_DUTIES_MAX 4      /* members that want the same of us: one has been given up by whoever asked it, and so on */
#define TALK_QUESTIONS 32      /* what a question with others behind us makes us say: to eight, four times at worst */
#define TALK_RATE_MS 224       /* bytes a millisecond that one member makes us say, */
#define TALK_BURST 1048576u    /* and at once: as for numbered events */
#define TALK_WAIT_MAX_MS 3600000u
#define TALK_TARGETS_MAX (1u << 20) /* members that we could be asking now for others: 16 MiB */
#define TALK_LINGER 10         /* gossip intervals that an answer may still be asked for: eight questions, and their way */
#define TALK_BUF 1400

/* ---- saying ---- */

static bool talk_send(struct kith *k, uint32_t id, struct ki_span message)
{
    const struct ki_member *member = ki_table_at(&k->table, id);
    if (!member)
        return false;
    struct kith_addr to = ki_addr_of(member);
    return ki_write_to(k, message, &to, id);
}

void ki_folded_say(struct kith *k, uint32_t id, const struct ki_folded *f, uint64_t span, uint32_t left_ms)
{
    size_t cap = ki_fold_ask_cap(&f->ask);
    uint8_t *buf = ki_mem_resize(&k->mem, NULL, cap);
    if (!buf) {
        ki_count(k, KI_COUNT_out_of_memory);
        return;
    }
    struct ki_writer w = ki_writer(buf, cap);
    struct ki_fold_ask ask = f->ask;
    ask.span = span;
    ask.left_ms = left_ms;
    ki_encode_fold_ask(&w, &ask);
    KI_ASSERT(!w.full);
    (void)talk_send(k, id, ki_span(buf, w.len)); /* or it is said again */
    ki_mem_free(&k->mem, buf);
}

/* Owes so many bytes more.  false: that is too much, and counted. */
static bool talk_affords(struct kith *k, uint32_t id, size_t len)
{
    struct ki_debt *debt = ki_debts_of(&k->messages->fold_debts, id, k->now.mono_us);
    if (!debt) {
        ki_count(k, KI_COUNT_out_of_memory);
        return false;
    }
    if ((debt->until_us - k->now.mono_us) * TALK_RATE_MS / 1000 > TALK_BURST) {
        ki_count(k, KI_COUNT_fold_asks_refused);
        return false;
    }
    debt->until_us += (uint64_t)len * 1000 / TALK_RATE_MS;
    return true;
}

void ki_folded_reply(struct kith *k, const struct ki_folded *f, const struct ki_fold_duty *duty)
{
    uint8_t buf[TALK_BUF];
    struct ki_writer w = ki_writer(buf, ki_min_size(sizeof buf, ki_message_room(k) - 1));
    ki_encode_fold_reply(&w, f->ask.id, duty->span, &duty->partial);
    if (w.full) /* so many of the largest do not fit our datagrams */
        ki_count(k, KI_COUNT_messages_unsent);
    else if (talk_affords(k, duty->parent, w.len))
        (void)talk_send(k, duty->parent, ki_span(buf, w.len));
}

/* ---- being asked ---- */

static bool talk_room_for_duty(struct kith *k, struct ki_folded *f, uint32_t id)
{
    struct ki_fold_duty *over = f->duties;
    if (f->duty_count < TALK_DUTIES_MAX || ki_folded_duty_of(f, id))
        return true;
    while (over && !over->is_over)
        over = over->next;
    if (over)
        ki_folded_duty_free(k, f, over);
    else
        ki_count(k, KI_COUNT_fold_asks_refused);
    return over != NULL;
}

static bool talk_room_for_targets(struct kith *k)
{
    size_t count = 0;
    for (const struct ki_folded *f = k->messages->folded; f; f = f->next) {
        for (const struct ki_fold_duty *duty = f->duties; duty; duty = duty->next)
            count += duty->target_count;
    }
    if (count >= TALK_TARGETS_MAX)
        ki_count(k, KI_COUNT_fold_asks_refused);
    return count < TALK_TARGETS_MAX;
}

/* What it costs at worst is owed before anything is done. */
static struct ki_fold_duty *talk_begin(struct kith *k, struct ki_folded *f, uint32_t id, const struct ki_fold_ask *ask)
{
    uint64_t wait_us = ki_min_u64(ask->left_ms, TALK_WAIT_MAX_MS) * 1000;
    size_t cost = ki_fold_ask_cap(ask) * (ask->span > 0 ? TALK_QUESTIONS : 1);
    if (!talk_affords(k, id, cost) || !talk_room_for_targets(k) || !talk_room_for_duty(k, f, id))
        return NULL;
    struct ki_fold_duty *duty = ki_folded_duty(k, f, id, ask->span, wait_us);
    if (!duty)
        return NULL;
    f->deadline_us = ki_max_u64(f->deadline_us, duty->deadline_us);
    f->forget_us = f->deadline_us + (uint64_t)k->cfg.gossip_interval_ms * 1000 * TALK_LINGER;
    return duty;
}

static void talk_new(struct kith *k, struct ki_messages *m, uint32_t id, const struct ki_fold_ask *ask)
{
    struct ki_folded *f = ki_folded_enter(k, m, ask);
    if (!f)
        return;
    struct ki_fold_duty *duty = talk_begin(k, f, id, ask);
    if (!duty || ki_folded_note(k, m, f) != 0) {
        ki_folded_drop(k, m, f); /* as if it had not come: it is asked again */
        return;
    }
    ki_count(k, KI_COUNT_folds_in);
    ki_folded_own_begin(k, f);
    ki_folded_step(k, f, duty);
}

/* A number stands for one question: whoever brings another one with it is not answered, nor does it count for the first. */
static bool talk_is_same(const struct ki_fold_ask *a, const struct ki_fold_ask *b)
{
    return a->ltime == b->ltime && a->top == b->top && ki_span_equal(a->asker, b->asker) &&
           ki_span_equal(a->name, b->name) && ki_span_equal(a->filters, b->filters) &&
           ki_span_equal(a->payload, b->payload);
}

static int talk_ask(struct kith *k, struct ki_messages *m, uint32_t id, struct ki_reader *r)
{
    struct ki_fold_ask ask;
    if (!ki_decode_fold_ask(r, &ask) || !ki_filters_fine(ask.filters))
        return KITH_ERR_MALFORMED;
    struct ki_folded *f = ki_folded_find(m, ask.id);
    struct ki_fold_duty *duty = f ? ki_folded_duty_of(f, id) : NULL;
    if (f && f->is_ours)
        return 0; /* nobody can ask us for it */
    if (f && !talk_is_same(&f->ask, &ask)) {
        ki_count(k, KI_COUNT_fold_asks_refused);
        return 0;
    }
    if (duty && duty->span == ask.span && duty->is_over) {
        ki_folded_reply(k, f, duty);
    } else if (duty && duty->span == ask.span) {
        uint8_t buf[KI_FOLD_ACK_LEN];
        struct ki_writer w = ki_writer(buf, sizeof buf);
        ki_encode_fold_ack(&w, ask.id, ask.span);
        (void)talk_send(k, id, ki_span(buf, w.len));
    } else if (ask.left_ms > 0 && f) { /* from another, or for another part */
        duty = talk_begin(k, f, id, &ask);
        if (duty)
            ki_folded_step(k, f, duty);
    } else if (ask.left_ms > 0) { /* else nobody would wait for it */
        talk_new(k, m, id, &ask);
    }
    return 0;
}

/* ---- being answered ---- */

static int talk_ack(struct kith *k, struct ki_messages *m, uint32_t id, struct ki_reader *r)
{
    uint64_t query, span;
    if (!ki_decode_fold_ack(r, &query, &span))
        return KITH_ERR_MALFORMED;
    struct ki_folded *f = ki_folded_find(m, query);
    if (f)
        ki_folded_heard(k, f, id, span);
    return 0;
}

static int talk_reply(struct kith *k, struct ki_messages *m, uint32_t id, struct ki_reader *r)
{
    uint64_t query, span;
    struct ki_partial partial;
    if (!ki_decode_fold_reply(r, &query, &span, &partial))
        return KITH_ERR_MALFORMED;
    struct ki_folded *f = ki_folded_find(m, query);
    if (f)
        ki_folded_taken(k, f, id, span, &partial);
    return 0;
}

int ki_folded_message(struct kith *k, uint32_t id, struct ki_span message)
{
    struct ki_messages *m = ki_messages(k);
    struct ki_reader r = ki_reader(message.ptr + 1, message.len - 1);
    int error = KITH_ERR_VERSION; /* what later versions add */
    if (!m)
        return KITH_ERR_NOMEM;
    switch ((enum ki_fold_kind)message.ptr[0]) {
    case KI_FOLD_ASK:
        error = talk_ask(k, m, id, &r);
        break;
    case KI_FOLD_ACK:
        error = talk_ack(k, m, id, &r);
        break;
    case KI_FOLD_REPLY:
        error = talk_reply(k, m, id, &r);
        break;
    }
    if (error == KITH_ERR_VERSION)
        ki_count(k, KI_COUNT_unknown_serf_type);
    else if (error)
        ki_count(k, KI_COUNT_malformed);
    return error;
}
