/* Checker "certificate": who is said to have a confirmed event has been told it.
 *
 * Kept: for each event that asks to be confirmed, how many were told to its sender not to have confirmed it.  Its end counts
 * at most the sender and the others that were told it before, but those; it says that all have it only if nobody is named
 * who could (unless names were dropped, which is counted); and it comes once, after all the names.
 *
 * Deliberately not here: who should have confirmed; a confirmation may be lost until the time is over.  Only where the
 * workload knows (talk.h, `expects`) all must have. */
#include "sim/talk.h"

/* The workload had every member alive, also in the view of the sender, and links that lose no more than a third. */
static void certificate_whole(kith_sim *s, uint32_t node, const struct sim_said *said, const struct kith_event *event)
{
    bool all_there = ki_sim_talk_able(s, node) == said->expects;
    if (event->result != 0 || (all_there && event->count != said->expects))
        ki_sim_violate(s, "certificate", node, "number %u of its own is confirmed by %u of %u that are all alive: %s",
                       said->seq, event->count, said->expects, kith_strerror(event->result));
}

static void certificate_done(kith_sim *s, struct sim_talk *t, uint32_t node, uint32_t token,
                             const struct kith_event *event)
{
    struct sim_said *said = &t->said[token];
    uint32_t told = 0;
    for (uint32_t n = 0; n < s->count; n++)
        told += n != node && ki_sim_talk_was_told(t, n, token, 0);
    if (said->ended)
        ki_sim_violate(s, "certificate", node, "the event with number %u of its own ends twice", said->seq);
    if (event->count > 1 + told - said->lacking)
        ki_sim_violate(s, "certificate", node, "number %u of its own is confirmed by %u; it was told to %u others, and %u "
                       "of them are named as lacking it", said->seq, event->count, told, said->lacking);
    bool dropped = ki_sim_counter(s, node, "messages_dropped") > 0; /* perhaps a name */
    if ((event->result == 0) != (said->unconfirmed == 0) && !dropped)
        ki_sim_violate(s, "certificate", node, "number %u of its own ends with %s, and %u are named as lacking it",
                       said->seq, kith_strerror(event->result), said->unconfirmed);
    if (said->expects > 0)
        certificate_whole(s, node, said, event);
    said->ended = true;
}

static void certificate_lacks(kith_sim *s, struct sim_talk *t, uint32_t node, uint32_t token,
                              const struct kith_event *event)
{
    struct sim_said *said = &t->said[token];
    uint32_t whom = ki_sim_talk_node(s, event->message.origin);
    if (said->ended)
        ki_sim_violate(s, "certificate", node, "%.*s is named as lacking its number %u after the end",
                       (int)event->message.origin.len, event->message.origin.ptr, said->seq);
    if (whom == KITH_SIM_ALL || whom == node || event->message.seq != said->seq)
        ki_sim_violate(s, "certificate", node, "\"%.*s\" is named as lacking its number %u, as number %llu",
                       (int)event->message.origin.len, event->message.origin.ptr, said->seq,
                       (unsigned long long)event->message.seq);
    else
        said->lacking += ki_sim_talk_was_told(t, whom, token, 0);
    said->unconfirmed += event->result != KITH_ERR_VERSION;
}

static void certificate_event(kith_sim *s, void *state, uint32_t node, const struct kith_event *event)
{
    (void)state;
    struct sim_talk *t = ki_sim_talk(s);
    if (!t->on || (event->kind != KITH_EVENT_DONE && event->kind != KITH_EVENT_UNCONFIRMED))
        return;
    uint32_t token = ki_sim_talk_ticket(s, t, node, event->ticket, false);
    if (token == SIM_NO_TALK)
        return;
    if (event->kind == KITH_EVENT_DONE)
        certificate_done(s, t, node, token, event);
    else
        certificate_lacks(s, t, node, token, event);
}

void ki_sim_certificates_settle(kith_sim *s)
{
    const struct sim_talk *t = ki_sim_talk(s);
    for (size_t i = 0; i < t->said_count; i++) {
        const struct sim_said *said = &t->said[i];
        const struct sim_node *n = ki_sim_node_at(s, said->by);
        if (said->confirms && !said->ended && sim_runs(n) && n->lives == said->life &&
            ki_sim_counter(s, said->by, "events_dropped") == 0)
            ki_sim_violate(s, "certificate", said->by, "the event with number %u of its own has not ended", said->seq);
    }
}

const struct sim_checker ki_sim_check_certificate = {
    .about = "who is said to have a confirmed event has been told it",
    .watch = {.name = "certificate", .event = certificate_event},
};
