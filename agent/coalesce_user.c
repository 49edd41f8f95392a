/* What members say, as Serf's agent gives it to its users: all of it at once, but user events whose sender lets them be
 * coalesced.  Those wait until no more have come for 1 s, 3 s at most, and of each name only those of the highest
 * Lamport time are told (all of them, if several have it).  An event that is older than one that waits is dropped.
 *
 * The gathering has no clock of its own, so that tests need not wait; the timer is in the second half.
 *
 * What waits is bounded, in number and in bytes, since strangers choose how many names there are and how long the
 * payloads.  What finds no room is told at once, so that nothing is lost; what it outranks is dropped even so.
 *
 * Not here: member events, which wait for other reasons (coalesce.c). */
#include "agent/internal.h"

#include "base/base.h"

#include <stdlib.h>
#include <string.h>

struct ki_user_wait {
    struct ki_user_wait *next;
    struct kith_message message; /* its strings point to bytes[] */
    char bytes[];
};

struct ki_coalesce_user {
    struct ki_agent *agent;
    struct ki_user_gather gather;
    uint64_t full;
    uv_timer_t timer;
};

/* ---- gathering ---- */

static size_t user_size(const struct kith_message *message)
{
    return sizeof(struct ki_user_wait) + message->origin.len + message->name.len + message->payload.len;
}

static void user_remove(struct ki_user_gather *gather, struct ki_user_wait **link, struct ki_user_wait *before)
{
    struct ki_user_wait *wait = *link;
    *link = wait->next;
    if (gather->last == wait)
        gather->last = before;
    gather->count--;
    gather->bytes -= user_size(&wait->message);
    free(wait);
}

/* Removes what it outranks.  False: it is outranked itself. */
static bool user_outranks(struct ki_user_gather *gather, const struct kith_message *message)
{
    struct ki_user_wait **link = &gather->first;
    struct ki_user_wait *before = NULL;
    while (*link) {
        struct ki_user_wait *wait = *link;
        bool same = ki_span_equal(ki_span(wait->message.name.ptr, wait->message.name.len),
                                  ki_span(message->name.ptr, message->name.len));
        if (same && wait->message.ltime > message->ltime)
            return false;
        if (same && wait->message.ltime < message->ltime) {
            user_remove(gather, link, before);
            continue;
        }
        before = wait;
        link = &wait->next;
    }
    return true;
}

static struct kith_str user_copy(char **at, struct kith_str text)
{
    struct kith_str copy = {.ptr = *at, .len = text.len};
    if (text.len > 0)
        memcpy(*at, text.ptr, text.len);
    *at += text.len;
    return copy;
}

bool ki_user_gather_add(struct ki_user_gather *gather, uint64_t now_ms, const struct kith_message *message)
{
    uint64_t since_ms = gather->first ? gather->since_ms : now_ms;
    size_t size = user_size(message);
    gather->newest_ms = now_ms;
    if (!user_outranks(gather, message))
        return true;
    if (gather->count == KI_USER_WAITS_MAX || size > KI_USER_BYTES_MAX - gather->bytes)
        return false;
    struct ki_user_wait *wait = malloc(size);
    if (!wait)
        return false;
    char *at = wait->bytes;
    wait->next = NULL;
    wait->message = *message;
    wait->message.origin = user_copy(&at, message->origin);
    wait->message.name = user_copy(&at, message->name);
    wait->message.payload = user_copy(&at, message->payload);
    *(gather->last ? &gather->last->next : &gather->first) = wait;
    gather->last = wait;
    gather->count++;
    gather->bytes += size;
    gather->since_ms = since_ms;
    return true;
}

uint64_t ki_user_gather_due_ms(const struct ki_user_gather *gather)
{
    if (!gather->first)
        return UINT64_MAX;
    return ki_min_u64(gather->since_ms + KI_COALESCE_MOST_MS, gather->newest_ms + KI_COALESCE_QUIET_MS);
}

void ki_user_gather_flush(struct ki_user_gather *gather, ki_user_tell *tell, void *arg)
{
    struct ki_user_wait *wait = gather->first;
    *gather = (struct ki_user_gather){.first = NULL};
    while (wait) {
        struct ki_user_wait *next = wait->next;
        if (tell)
            tell(arg, &wait->message);
        free(wait);
        wait = next;
    }
}

/* ---- in the agent ---- */

static void user_tell(void *arg, const struct kith_message *message)
{
    const struct kith_event event = {.kind = KITH_EVENT_USER, .message = *message};
    ki_watch_message(arg, &event);
}

static void user_due(uv_timer_t *timer)
{
    struct ki_coalesce_user *coalesce = timer->data;
    ki_user_gather_flush(&coalesce->gather, user_tell, coalesce->agent);
}

void ki_coalesce_user_event(struct ki_agent *agent, const struct kith_event *event)
{
    struct ki_coalesce_user *coalesce = agent->coalesce_user;
    uv_update_time(&agent->loop);
    uint64_t now_ms = uv_now(&agent->loop);
    bool waits = event->kind == KITH_EVENT_USER && event->message.coalesce;
    if (waits && !ki_user_gather_add(&coalesce->gather, now_ms, &event->message)) {
        waits = false;
        coalesce->full++;
    }
    uint64_t due_ms = ki_user_gather_due_ms(&coalesce->gather);
    if (due_ms == UINT64_MAX)
        uv_timer_stop(&coalesce->timer);
    else
        uv_timer_start(&coalesce->timer, user_due, due_ms > now_ms ? due_ms - now_ms : 0, 0);
    if (!waits)
        ki_watch_message(agent, event);
}

uint64_t ki_coalesce_user_full(const struct ki_agent *agent)
{
    return agent->coalesce_user->full;
}

int ki_coalesce_user_init(struct ki_agent *agent)
{
    struct ki_coalesce_user *coalesce = calloc(1, sizeof *coalesce);
    if (!coalesce)
        return KITH_ERR_NOMEM;
    coalesce->agent = agent;
    coalesce->timer.data = coalesce;
    uv_timer_init(&agent->loop, &coalesce->timer);
    agent->coalesce_user = coalesce;
    return 0;
}

static void user_closed(uv_handle_t *handle)
{
    struct ki_coalesce_user *coalesce = handle->data;
    struct ki_agent *agent = coalesce->agent;
    ki_user_gather_flush(&coalesce->gather, NULL, NULL);
    free(coalesce);
    ki_agent_part_closed(agent);
}

void ki_coalesce_user_close(struct ki_agent *agent)
{
    if (!agent->coalesce_user)
        return;
    agent->closing++;
    uv_close((uv_handle_t *)&agent->coalesce_user->timer, user_closed);
    agent->coalesce_user = NULL;
}
