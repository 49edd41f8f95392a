/* Asks that members answer: events whose arrival is confirmed, queries, changes of the keyring.
 *
 *     kith_ask --> ticket --KITH_EVENT_ANSWER--> answer --KITH_EVENT_ANSWER--> answer ... --KITH_EVENT_DONE--> done
 *
 * An answer is borrowed from the core, so it goes to whoever asked straight from the driver's pump; done comes from the
 * loop a little later (ask.c), and so after all answers.
 *
 * Invariant: who was forgotten is told nothing any more, also when that happens inside an answer.
 *
 * Not here: what a door makes of the answers, and the limits of how many it may wait for. */
#include "agent/internal.h"

#include "base/base.h"

struct ki_agent_sizes ki_agent_sizes(const struct ki_agent *agent)
{
    return agent->sizes;
}

void ki_ask_answer(struct ki_agent *agent, const struct kith_event *event)
{
    for (struct ki_ask_wait *ask = agent->asks; ask; ask = ask->next) {
        if (ask->ticket == event->ticket && ask->answer)
            ask->answer(ask->arg, event);
    }
}

static struct ki_ask_wait *ask_message_new(struct ki_agent *agent, ki_agent_answer *answer, ki_agent_done *done, void *arg)
{
    struct ki_ask_wait *ask = ki_ask_wait_new(agent, done, arg);
    if (ask)
        ask->answer = answer;
    return ask;
}

/* How much of a name a line of the log takes. */
static int ask_message_shown(struct kith_str name)
{
    return (int)ki_min_size(name.len, KITH_NAME_MAX);
}

int ki_agent_event(struct ki_agent *agent, const struct kith_user_event *event, ki_agent_answer *answer,
                   ki_agent_done *done, void *arg)
{
    struct ki_ask_wait *ask = ask_message_new(agent, answer, done, arg);
    if (!ask)
        return KITH_ERR_NOMEM;
    ki_log(agent->log, KI_LOG_DEBUG, "agent", "Requesting user event send: %.*s. Coalesced: %s. Payload: %zu bytes",
           ask_message_shown(event->name), event->name.ptr, event->coalesce ? "true" : "false", event->payload.len);
    return ki_ask_wait_started(ask, kith_send_event(agent->k, ki_net_now(), event, &ask->ticket));
}

int ki_agent_query(struct ki_agent *agent, const struct kith_query *query, ki_agent_answer *answer, ki_agent_done *done,
                   void *arg)
{
    struct ki_ask_wait *ask = ask_message_new(agent, answer, done, arg);
    if (!ask)
        return KITH_ERR_NOMEM;
    ask->is_query = true;
    ki_log(agent->log, KI_LOG_DEBUG, "agent", "Requesting query send: %.*s. Payload: %zu bytes",
           ask_message_shown(query->name), query->name.ptr, query->payload.len);
    return ki_ask_wait_started(ask, kith_ask(agent->k, ki_net_now(), query, &ask->ticket));
}

int ki_agent_change_keys(struct ki_agent *agent, enum kith_key_change change, const struct kith_key *key,
                         ki_agent_answer *answer, ki_agent_done *done, void *arg)
{
    static const char *const words[] = {"Listing the keys", "Installing a key", "Changing the primary key",
                                        "Removing a key"};
    struct ki_ask_wait *ask = ask_message_new(agent, answer, done, arg);
    if (!ask)
        return KITH_ERR_NOMEM;
    ki_log(agent->log, KI_LOG_INFO, "agent", "%s of all members", words[change]);
    return ki_ask_wait_started(ask, kith_change_keys(agent->k, ki_net_now(), change, key, &ask->ticket));
}

int ki_agent_respond(struct ki_agent *agent, uint64_t query, struct kith_str payload)
{
    int result = kith_respond(agent->k, ki_net_now(), query, payload);
    ki_net_kick(agent->net);
    return result;
}
