/* Asks: from a call of a door, over names and tickets, to one call of its done.
 *
 *     join targets --resolve--> addresses --kith_join--> ticket --KITH_EVENT_DONE--> ready --soon--> done
 *
 * done is never called from inside the ask, nor from inside the driver's pump: what has ended is marked ready, and a
 * timer of 0 ms calls it from the loop.  So a done may ask again, and a door may free what it likes.  For the same reason
 * the driver is kicked from there, so that a door has said that the ask is accepted before the first answer to it comes,
 * and a query whose asker is gone is ended there.
 *
 * Not here: what a door answers; events, queries and keys (ask_message.c). */
#include "agent/internal.h"

#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Their DONE comes with the next kick, and makes them ready. */
static void ask_cancel(struct ki_agent *agent)
{
    for (struct ki_ask_wait *ask = agent->asks; ask; ask = ask->next) {
        if (!ask->cancel)
            continue;
        ask->cancel = false;
        (void)kith_ask_cancel(agent->k, ki_net_now(), ask->ticket); /* or it has ended: as well */
    }
}

static void ask_soon(uv_timer_t *timer)
{
    struct ki_agent *agent = timer->data;
    bool left = false;
    ask_cancel(agent);
    ki_net_kick(agent->net);
    for (;;) { /* from the start each time: a done may add and end others */
        struct ki_ask_wait **link = &agent->asks;
        while (*link && !(*link)->ready)
            link = &(*link)->next;
        struct ki_ask_wait *ask = *link;
        if (!ask)
            break;
        *link = ask->next;
        left = left || ask->is_leave;
        if (ask->done)
            ask->done(ask->arg, ask->result, ask->count, ask->result == 0 ? NULL : ask->why);
        free(ask);
    }
    if (left)
        ki_agent_stop(agent, 0);
}

int ki_ask_init(struct ki_agent *agent)
{
    agent->soon.data = agent;
    return uv_timer_init(&agent->loop, &agent->soon);
}

struct ki_ask_wait *ki_ask_wait_new(struct ki_agent *agent, ki_agent_done *done, void *arg)
{
    struct ki_ask_wait *ask = calloc(1, sizeof *ask);
    if (!ask)
        return NULL;
    ask->agent = agent;
    ask->done = done;
    ask->arg = arg;
    ask->next = agent->asks;
    agent->asks = ask;
    return ask;
}

static void ask_drop(struct ki_ask_wait *ask)
{
    struct ki_ask_wait **link = &ask->agent->asks;
    while (*link != ask)
        link = &(*link)->next;
    *link = ask->next;
    free(ask);
}

static void ask_ready(struct ki_ask_wait *ask, int result, uint32_t count, const char *why)
{
    ask->ticket = 0;
    ask->ready = true;
    ask->result = result;
    ask->count = count;
    if (why != ask->why)
        snprintf(ask->why, sizeof ask->why, "%s", why ? why : kith_strerror(result));
    uv_timer_start(&ask->agent->soon, ask_soon, 0, 0);
}

int ki_ask_wait_started(struct ki_ask_wait *ask, int result)
{
    struct ki_agent *agent = ask->agent;
    if (result != 0)
        ask_drop(ask);
    uv_timer_start(&agent->soon, ask_soon, 0, 0);
    return result;
}

void ki_ask_event(struct ki_agent *agent, kith_ticket ticket, int result, uint32_t count)
{
    for (struct ki_ask_wait *ask = agent->asks; ask; ask = ask->next) {
        if (ask->ticket != ticket)
            continue;
        if (ask->is_leave && result == KITH_ERR_TIMEOUT) {
            ki_log(agent->log, KI_LOG_WARN, "agent", "left, but not all of the news was out in time");
            result = 0;
        }
        const char *why = result != 0 && ki_net_last_failure(agent->net)[0] && result != KITH_ERR_TIMEOUT
                              ? ki_net_last_failure(agent->net)
                              : NULL;
        if (ask->answer || result == KITH_ERR_VERSION || result == KITH_ERR_AUTH || result == KITH_ERR_LABEL)
            why = NULL; /* no connection was wanted, or it was made and the error says more than a failing one would */
        if (result == 0 && ask->unsaved) {
            result = KITH_ERR_STATE;
            why = ask->why;
        }
        ask_ready(ask, result, count, why);
    }
}

/* ---- join ---- */

static int ask_join_addrs(struct ki_ask_wait *ask, const struct kith_addr *addrs, size_t count)
{
    return kith_join(ask->agent->k, ki_net_now(), addrs, count, ask->replay, &ask->ticket);
}

static void ask_resolved(void *arg, const struct kith_addr *addrs, size_t count, const char *why)
{
    struct ki_ask_wait *ask = arg;
    int result = count == 0 ? KITH_ERR_UNREACHABLE : ask_join_addrs(ask, addrs, count);
    if (why[0])
        ki_log(ask->agent->log, KI_LOG_WARN, "agent", "join: %s", why);
    if (result != 0)
        ask_ready(ask, result, 0, count == 0 && why[0] ? why : NULL);
    ki_net_kick(ask->agent->net);
}

int ki_agent_join(struct ki_agent *agent, const struct kith_str *targets, size_t count, bool replay,
                  ki_agent_done *done, void *arg)
{
    if (agent->phase != KI_PHASE_RUN)
        return KITH_ERR_STATE;
    struct ki_ask_wait *ask = ki_ask_wait_new(agent, done, arg);
    if (!ask)
        return KITH_ERR_NOMEM;
    ask->replay = replay;
    int result = ki_net_resolve(agent->net, targets, count, ask_resolved, ask);
    if (result != 0)
        ask_drop(ask);
    return result;
}

int ki_ask_join_addrs(struct ki_agent *agent, const struct kith_addr *addrs, size_t count, ki_agent_done *done,
                      void *arg)
{
    struct ki_ask_wait *ask = ki_ask_wait_new(agent, done, arg);
    if (!ask)
        return KITH_ERR_NOMEM;
    ask->replay = true; /* what was missed meanwhile is news; what was heard before is known by the clocks, as with Serf */
    return ki_ask_wait_started(ask, ask_join_addrs(ask, addrs, count));
}

/* ---- leave ---- */

int ki_agent_leave(struct ki_agent *agent, ki_agent_done *done, void *arg)
{
    kith_ticket ticket = 0;
    if (agent->phase == KI_PHASE_STOP)
        return KITH_ERR_STATE;
    for (struct ki_ask_wait *other = agent->asks; other; other = other->next) {
        if (other->is_leave)
            ticket = other->ticket; /* 0: it is ready, and so are we */
    }
    struct ki_ask_wait *ask = ki_ask_wait_new(agent, done, arg);
    if (!ask)
        return KITH_ERR_NOMEM;
    ask->is_leave = true;
    if (agent->phase == KI_PHASE_LEAVE) {
        ask->ticket = ticket;
        if (ticket == 0)
            ask_ready(ask, 0, 0, NULL);
        return 0;
    }
    int result = kith_leave(agent->k, ki_net_now(), &ask->ticket);
    if (result == 0) {
        agent->phase = KI_PHASE_LEAVE;
        ki_notify("STOPPING=1\nSTATUS=leaving the pool");
        ki_log(agent->log, KI_LOG_INFO, "agent", "requesting graceful leave");
    }
    return ki_ask_wait_started(ask, result);
}

int ki_agent_force_leave(struct ki_agent *agent, struct kith_str name, bool prune, ki_agent_done *done, void *arg)
{
    struct ki_ask_wait *ask = ki_ask_wait_new(agent, done, arg);
    if (!ask)
        return KITH_ERR_NOMEM;
    ki_log(agent->log, KI_LOG_INFO, "agent", "force leaving node: %.*s", (int)ki_min_size(name.len, KITH_NAME_MAX),
           name.len ? name.ptr : "");
    int result = kith_force_leave(agent->k, ki_net_now(), name, prune, &ask->ticket);
    if (result == KITH_ERR_NOT_FOUND) { /* told to the pool without a ticket */
        ask_ready(ask, 0, 0, NULL);
        result = 0;
    }
    return ki_ask_wait_started(ask, result);
}

/* ---- tags ---- */

/* What a reload must not undo.  Deletes count only for tags that the configuration has: others cannot come back, and a
 * client could have any number of them remembered. */
static void ask_tags_remember(struct ki_agent *agent, const struct kith_tag *set, size_t set_count,
                              const struct kith_str *deleted, size_t deleted_count)
{
    bool ok = true;
    for (size_t i = 0; i < deleted_count; i++) {
        ki_tags_delete(&agent->runtime_set, deleted[i]);
        if (ki_tags_get(&agent->config.tags, deleted[i]))
            ok = ki_tags_set(&agent->runtime_deleted, deleted[i], ki_str("")) && ok;
    }
    for (size_t i = 0; i < set_count; i++) {
        ki_tags_delete(&agent->runtime_deleted, set[i].key);
        ok = ki_tags_set(&agent->runtime_set, set[i].key, set[i].value) && ok;
    }
    if (!ok)
        ki_log(agent->log, KI_LOG_WARN, "agent", "out of memory: a reload may undo this change of tags");
}

bool ki_ask_own_tags(struct ki_agent *agent, struct ki_tags *out)
{
    struct kith_member self;
    struct kith_tag tag;
    size_t cursor = 0;
    kith_self(agent->k, &self);
    while (kith_tag_next(&self, &cursor, &tag)) {
        if (!ki_tags_set(out, tag.key, tag.value))
            return false;
    }
    return true;
}

/* A file that cannot be written is told to whoever asked: the tags hold until the restart only. */
static void ask_tags_save(struct ki_agent *agent, struct ki_ask_wait *ask)
{
    struct ki_tags tags = {.items = NULL};
    char error[KI_ERROR_TEXT] = "out of memory";
    if (!ki_ask_own_tags(agent, &tags) || ki_tags_save(&tags, agent->config.tags_file, error, sizeof error) != 0) {
        ki_log(agent->log, KI_LOG_ERR, "agent", "%s", error);
        ask->unsaved = true;
        snprintf(ask->why, sizeof ask->why, "the tags are set, but a restart forgets them: %.300s", error);
    }
    ki_tags_free(&tags);
}

/* Text of ours ends at a NUL: such a tag could be neither kept in a file nor deleted again. */
static bool ask_has_nul(struct kith_str text)
{
    return text.len > 0 && memchr(text.ptr, '\0', text.len) != NULL;
}

/* One group: deletes first. */
int ki_ask_tags_commit(struct ki_agent *agent, const struct kith_tag *set, size_t set_count,
                       const struct kith_str *deleted, size_t deleted_count, kith_ticket *ticket)
{
    int result = kith_begin(agent->k);
    if (result != 0)
        return result;
    for (size_t i = 0; i < deleted_count && result == 0; i++) {
        result = kith_tag_delete(agent->k, deleted[i]);
        if (result == KITH_ERR_NOT_FOUND)
            result = 0; /* as in Serf: it is gone */
    }
    for (size_t i = 0; i < set_count && result == 0; i++)
        result = kith_tag_set(agent->k, set[i].key, set[i].value);
    if (result == 0)
        result = kith_commit(agent->k, ki_net_now(), ticket);
    if (result != 0)
        kith_abandon(agent->k);
    return result;
}

int ki_agent_tags(struct ki_agent *agent, const struct kith_tag *set, size_t set_count, const struct kith_str *deleted,
                  size_t deleted_count, ki_agent_done *done, void *arg)
{
    for (size_t i = 0; i < set_count; i++) {
        if (ask_has_nul(set[i].key) || ask_has_nul(set[i].value))
            return KITH_ERR_ARG;
    }
    struct ki_ask_wait *ask = ki_ask_wait_new(agent, done, arg);
    if (!ask)
        return KITH_ERR_NOMEM;
    int result = ki_ask_tags_commit(agent, set, set_count, deleted, deleted_count, &ask->ticket);
    if (result == 0) {
        ask_tags_remember(agent, set, set_count, deleted, deleted_count);
        if (agent->config.tags_file)
            ask_tags_save(agent, ask);
    }
    return ki_ask_wait_started(ask, result);
}

/* ---- the end ---- */

void ki_agent_forget(struct ki_agent *agent, const void *arg)
{
    for (struct ki_ask_wait *ask = agent->asks; ask; ask = ask->next) {
        if (ask->arg != arg)
            continue;
        ask->done = NULL;
        ask->answer = NULL;
        ask->cancel = ask->is_query && ask->ticket != 0;
        if (ask->cancel)
            uv_timer_start(&agent->soon, ask_soon, 0, 0);
    }
}

void ki_ask_close(struct ki_agent *agent)
{
    while (agent->asks) {
        struct ki_ask_wait *ask = agent->asks;
        agent->asks = ask->next;
        free(ask);
    }
}
