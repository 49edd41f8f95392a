/* Finding the pool: -join once, -retry-join until it works, and the members of the snapshot in random order until one
 * answers.  All run side by side; systemd is told READY when the first attempt of each has ended.
 *
 * Only a -join that fails ends the agent (and a -retry-join that has used up its attempts): whoever wrote it wants to
 * know.  Old peers that do not answer are no failure; the core goes on contacting failed members by itself. */
#include "agent/internal.h"

#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define START_REJOIN_BATCH 3 /* old peers tried at one time: one that hangs does not hold up the rest */

static void start_ended(struct ki_agent *agent)
{
    KI_ASSERT(agent->starting_joins > 0);
    if (--agent->starting_joins == 0 && !agent->ready_told) {
        agent->ready_told = true;
        ki_notify_status(agent, true);
    }
}

/* Starts a join by words.  Returns what ki_agent_join() does. */
static int start_join_strings(struct ki_agent *agent, const struct ki_strings *words, ki_agent_done *done)
{
    struct kith_str *targets = calloc(words->count, sizeof *targets);
    if (!targets)
        return KITH_ERR_NOMEM;
    for (size_t i = 0; i < words->count; i++)
        targets[i] = ki_str(words->items[i]);
    int result = ki_agent_join(agent, targets, words->count, agent->config.replay, done, agent);
    free(targets);
    return result;
}

/* ---- -join ---- */

static void start_joined(void *arg, int result, uint32_t count, const char *why)
{
    struct ki_agent *agent = arg;
    if (result == 0) {
        ki_log(agent->log, KI_LOG_INFO, "agent", "joined: %u nodes", count);
        start_ended(agent);
        return;
    }
    if (agent->phase != KI_PHASE_RUN) /* told to stop while it tried */
        return;
    ki_agent_fail("cannot join the pool: %s (see -retry-join, which tries again)", why);
    ki_agent_stop(agent, 1);
}

/* ---- -retry-join ---- */

static void start_retry(struct ki_agent *agent);

static void start_retry_due(uv_timer_t *timer)
{
    start_retry(timer->data);
}

static void start_retried(void *arg, int result, uint32_t count, const char *why)
{
    struct ki_agent *agent = arg;
    if (agent->retry_attempts == 1)
        start_ended(agent);
    if (result == 0) {
        ki_log(agent->log, KI_LOG_INFO, "agent", "Join completed. Synced with %u initial agents", count);
        return;
    }
    if (agent->phase != KI_PHASE_RUN)
        return;
    if (agent->config.retry_max > 0 && agent->retry_attempts > agent->config.retry_max) {
        ki_agent_fail("cannot join the pool: %s; maximum retry join attempts made", why);
        ki_agent_stop(agent, 1);
        return;
    }
    ki_log(agent->log, KI_LOG_WARN, "agent", "Join failed: %s, retrying in %u.%03us", why,
           agent->config.retry_interval_ms / 1000, agent->config.retry_interval_ms % 1000);
    uv_timer_start(&agent->retry, start_retry_due, agent->config.retry_interval_ms, 0);
}

static void start_retry(struct ki_agent *agent)
{
    if (agent->phase != KI_PHASE_RUN)
        return;
    agent->retry_attempts++;
    int result = start_join_strings(agent, &agent->config.retry_join, start_retried);
    if (result != 0)
        start_retried(agent, result, 0, kith_strerror(result));
}

/* ---- the snapshot ---- */

static void start_rejoin(struct ki_agent *agent);

static void start_rejoined(void *arg, int result, uint32_t count, const char *why)
{
    struct ki_agent *agent = arg;
    if (agent->phase != KI_PHASE_RUN)
        return;
    if (result != 0) {
        ki_log(agent->log, KI_LOG_DEBUG, "serf", "old peers do not answer: %s", why);
        start_rejoin(agent);
        return;
    }
    ki_log(agent->log, KI_LOG_INFO, "serf", "Re-joined to %u previously known nodes", count);
    ki_snapshot_forget_peers(agent->snapshot);
    start_ended(agent);
}

static void start_rejoin(struct ki_agent *agent)
{
    const struct ki_snapshot_state *state = ki_snapshot_state(agent->snapshot);
    struct kith_addr addrs[START_REJOIN_BATCH];
    size_t count = 0;
    for (; count < START_REJOIN_BATCH && agent->rejoin_next < state->count; agent->rejoin_next++) {
        const struct ki_snapshot_peer *peer = &state->peers[agent->rejoin_order[agent->rejoin_next]];
        if (strcmp(peer->name, agent->config.node) != 0)
            addrs[count++] = peer->addr;
    }
    if (count > 0 && ki_ask_join_addrs(agent, addrs, count, start_rejoined, agent) == 0)
        return;
    ki_log(agent->log, KI_LOG_WARN, "serf", "Failed to re-join any previously known node");
    start_ended(agent);
}

/* Returns false when there is nobody to rejoin. */
static bool start_rejoin_begin(struct ki_agent *agent)
{
    const struct ki_snapshot_state *state = agent->snapshot ? ki_snapshot_state(agent->snapshot) : NULL;
    if (!state || state->count == 0)
        return false;
    agent->rejoin_order = calloc(state->count, sizeof *agent->rejoin_order);
    if (!agent->rejoin_order)
        return false;
    for (size_t i = 0; i < state->count; i++) { /* a shuffle, drawn from the operating system */
        uint64_t draw = 0;
        if (getrandom(&draw, sizeof draw, 0) != (ssize_t)sizeof draw)
            draw = 0;
        size_t at = (size_t)(draw % (i + 1));
        agent->rejoin_order[i] = agent->rejoin_order[at];
        agent->rejoin_order[at] = i;
    }
    ki_log(agent->log, KI_LOG_INFO, "serf", "Attempting re-join to %zu previously known nodes", state->count);
    return true;
}

/* ---- all of them ---- */

void ki_start_joins(struct ki_agent *agent)
{
    agent->starting_joins = 1; /* ours, so that READY waits for all */
    if (agent->config.join.count > 0) {
        agent->starting_joins++;
        ki_log(agent->log, KI_LOG_INFO, "agent", "joining: %zu addresses, replay: %s", agent->config.join.count,
               agent->config.replay ? "true" : "false");
        int result = start_join_strings(agent, &agent->config.join, start_joined);
        if (result != 0)
            start_joined(agent, result, 0, kith_strerror(result));
    }
    if (start_rejoin_begin(agent)) {
        agent->starting_joins++;
        start_rejoin(agent);
    }
    if (agent->config.retry_join.count > 0) {
        agent->starting_joins++;
        start_retry(agent);
    }
    start_ended(agent);
}
