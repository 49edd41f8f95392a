/* A workload of events: random nodes tell all, and ask all, and those that are asked answer.
 *
 * Most events are small; some ask to be confirmed, some are larger than a datagram, some are for members of kith's kind
 * only, and now and then comes a flood.  Every payload is a token (talk.h).  Queries fit a datagram: a larger one takes a
 * number from the events of its sender.
 *
 * Members of Serf's kind do only what Serf's members can.
 * All its luck follows from one number for each step. */
#include "sim/event_work.h"

#include <kith/event.h>

#define WORK_LARGE 200000 /* bytes; more than a frame of a link holds */
#define WORK_FLOOD 60
#define WORK_QUEUE 64     /* bytes of an answer at most */

struct work {
    kith_sim *s;
    struct sim_talk *t;
    kith *k;
    uint32_t node;
    bool stock;
    struct kith_time now;
    struct ki_rng rng;
};

static uint32_t work_below(struct work *w, uint32_t bound)
{
    return (uint32_t)ki_rng_below(&w->rng, bound);
}

static bool work_percent(struct work *w, uint32_t percent)
{
    return work_below(w, 100) < percent;
}

static struct kith_str work_name(uint32_t number)
{
    static const char *const names[] = {"deploy", "cache", "n"};
    const char *name = names[number % KI_COUNT(names)];
    return (struct kith_str){name, strlen(name)};
}

static void work_say(struct work *w, struct kith_user_event *event, uint32_t len, uint32_t expects)
{
    char *buf = ki_sim_make((size_t)len + SIM_TALK_TEXT);
    kith_ticket ticket = 0;
    uint32_t token = ki_sim_talk_say(w->s, w->t, w->node, !w->stock);
    struct sim_said *said = &w->t->said[token];
    event->payload = ki_sim_talk_text('e', token, buf, len);
    said->len = (uint32_t)event->payload.len;
    said->coalesce = event->coalesce;
    said->kith_only = event->kith_only;
    int error = kith_send_event(w->k, w->now, event, event->confirm_timeout_ms ? &ticket : NULL);
    ki_sim_trace(w->s, w->node, "says e%u, number %u, %zu bytes%s%s: %s", token, said->seq, event->payload.len,
                 event->kith_only ? ", kith only" : "", event->confirm_timeout_ms ? ", to be confirmed" : "",
                 kith_strerror(error));
    if (error)
        ki_sim_talk_refused(w->t, token);
    said->confirms = !error && event->confirm_timeout_ms > 0;
    said->ticket = ticket;
    said->expects = said->confirms ? expects : 0;
    free(buf);
}

static void work_event(struct work *w)
{
    struct kith_user_event event = {.name = work_name(work_below(w, 3)), .coalesce = work_percent(w, 30)};
    uint32_t len = work_below(w, 200);
    if (!w->stock) {
        event.kith_only = work_percent(w, 15);
        event.confirm_timeout_ms = work_percent(w, 20) ? 500 + work_below(w, 8000) : 0;
        if (work_percent(w, 8))
            len = work_below(w, work_percent(w, 10) ? WORK_LARGE : 5000);
    }
    work_say(w, &event, len, 0);
}

static void work_ask(struct work *w)
{
    char text[SIM_TALK_TEXT];
    uint32_t ask = ki_sim_talk_ask(w->s, w->t, w->node);
    struct kith_query query = {.name = work_name(work_below(w, 3)),
                               .payload = ki_sim_talk_text('q', ask, text, 0),
                               .ack = work_percent(w, 50),
                               .relay_factor = (uint8_t)(work_percent(w, 40) ? 1 + work_below(w, 4) : 0),
                               .timeout_ms = work_percent(w, 30) ? 0 : 300 + work_below(w, 4000)};
    struct sim_ask *a = &w->t->asks[ask];
    a->acks = query.ack;
    int error = kith_ask(w->k, w->now, &query, &a->ticket);
    a->void_ = error != 0;
    ki_sim_trace(w->s, w->node, "asks q%u: %s", ask, kith_strerror(error));
    if (!error && work_percent(w, 5))
        (void)kith_ask_cancel(w->k, w->now, a->ticket);
}

static bool work_begin(struct work *w, kith_sim *s, uint32_t node, uint64_t luck)
{
    struct sim_talk *t = ki_sim_talk(s);
    if (!t || s->violation[0] || !ki_sim_node_in_pool(ki_sim_node_at(s, node)))
        return false;
    *w = (struct work){.s = s,
                       .t = t,
                       .k = kith_sim_node(s, node),
                       .node = node,
                       .stock = ki_sim_talk_is_stock(s, node),
                       .now = kith_sim_time(s, node)};
    ki_rng_init(&w->rng, luck);
    return true;
}

void ki_sim_event_work(kith_sim *s, uint32_t node, uint64_t luck)
{
    struct work w;
    if (!work_begin(&w, s, node, luck))
        return;
    uint32_t dice = work_below(&w, 100), count = dice < 3 ? 1 + work_below(&w, WORK_FLOOD) : 1;
    for (uint32_t i = 0; i < count && dice < 75; i++)
        work_event(&w);
    if (dice >= 75)
        work_ask(&w);
}

void ki_sim_event_work_last(kith_sim *s, uint32_t node, uint32_t expects, uint32_t timeout_ms)
{
    struct work w;
    struct kith_user_event event = {.name = work_name(0)};
    if (!work_begin(&w, s, node, 0))
        return;
    event.confirm_timeout_ms = w.stock ? 0 : timeout_ms;
    bool knows_all = ki_sim_talk_able(s, node) == expects; /* who is taken for dead just now is not waited for */
    work_say(&w, &event, 0, knows_all ? expects : 0);
}

/* Answers, mostly, and never twice. */
void ki_sim_event_work_hears(kith_sim *s, const struct kith_sim_happening *happening)
{
    if (happening->kind != KITH_SIM_EVENT || happening->event.kind != KITH_EVENT_QUERY)
        return;
    const struct kith_message *m = &happening->event.message;
    uint32_t node = happening->node, ask = ki_sim_talk_token('q', m->payload);
    struct work w;
    if (ask == SIM_NO_TALK || !work_begin(&w, s, node, s->cfg.seed ^ (uint64_t)ask << 32 ^ node) || work_percent(&w, 15))
        return;
    char text[WORK_QUEUE];
    uint64_t query = m->query;
    struct kith_str payload = ki_sim_talk_text('a', ask, text, work_below(&w, WORK_QUEUE));
    int error = kith_respond(w.k, w.now, query, payload);
    if (error)
        return;
    *ki_sim_grid_at(&w.t->gave, node, ask) |= SIM_GAVE_ANSWER;
    if (kith_respond(w.k, w.now, query, payload) != KITH_ERR_NOT_FOUND)
        ki_sim_violate(s, "asks", node, "it may answer q%u twice", ask);
}
