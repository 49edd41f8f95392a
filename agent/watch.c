/* Those who look on: doors and event handlers that want to hear what happens in the pool, and the log, which hears it
 * first and in Serf's words.
 *
 * A watcher may go while it is told, or another one may: the cursor is the next one to tell, and moves when that one
 * goes.  One that comes meanwhile is at the head, and hears the next happening.
 *
 * Not here: what waits before it is told (coalesce.c, coalesce_user.c). */
#include "agent/internal.h"

#include <inttypes.h>

void ki_agent_watch(struct ki_agent *agent, struct ki_agent_watch *watch)
{
    watch->next = agent->watches;
    agent->watches = watch;
}

void ki_agent_unwatch(struct ki_agent *agent, struct ki_agent_watch *watch)
{
    if (agent->watch_cursor == watch)
        agent->watch_cursor = watch->next;
    for (struct ki_agent_watch **link = &agent->watches; *link; link = &(*link)->next) {
        if (*link == watch) {
            *link = watch->next;
            return;
        }
    }
}

void ki_watch_members(struct ki_agent *agent, enum ki_member_event event, const struct kith_member *members,
                      size_t count)
{
    ki_log(agent->log, KI_LOG_INFO, "agent", "Received event: %s", ki_member_event_name(event));
    if (agent->k && agent->phase == KI_PHASE_RUN)
        ki_notify_status(agent, false);
    struct ki_agent_watch *watch = agent->watches;
    while (watch) {
        agent->watch_cursor = watch->next;
        watch->members(watch->arg, event, members, count);
        watch = agent->watch_cursor;
    }
}

static void watch_log(struct ki_agent *agent, const struct kith_event *event)
{
    const struct kith_message *message = &event->message;
    if (event->kind == KITH_EVENT_GAP)
        ki_log(agent->log, KI_LOG_WARN, "serf", "Missed user events %" PRIu64 " to %" PRIu64 " of %.*s", message->seq,
               message->seq_last, (int)message->origin.len, message->origin.ptr);
    else
        ki_log(agent->log, KI_LOG_INFO, "agent", "Received event: %s: %.*s",
               event->kind == KITH_EVENT_USER ? "user-event" : "query", (int)message->name.len, message->name.ptr);
}

void ki_watch_message(struct ki_agent *agent, const struct kith_event *event)
{
    watch_log(agent, event);
    struct ki_agent_watch *watch = agent->watches;
    while (watch) {
        agent->watch_cursor = watch->next;
        if (watch->message)
            watch->message(watch->arg, event);
        watch = agent->watch_cursor;
    }
}
