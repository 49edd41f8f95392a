/* The agent's own gauges: what it contributes to the pool's aggregates without being asked (-gauges=false: nothing).
 *
 *     load     load average of a minute for each core of the machine
 *     memory   of the machine's memory, percent in use
 *     uptime   of this agent, seconds: the smallest in the pool is who started last.  Rounded down to one of eight steps in
 *              each doubling: that an old agent is a minute older is no news
 *     members  living members that this agent sees: smallest and largest differ while the pool is divided
 *     rtt      median round trip to the others, milliseconds, as network coordinates estimate it
 *
 * They are taken each 10 s, and the schema's step keeps what hardly moves from being told.  In between nothing happens: an
 * idle agent wakes no oftener for them.  Their interval is a little shorter: what is taken is told in the same moment.
 * What cannot be read is taken back rather than left standing; rtt is not there until a probe was answered.
 *
 * Their schemas are constants, since members that mean the same must say the same.
 *
 * Not here: gauges that others set through a door (ask_aggregate.c). */
#include "agent/internal.h"
#include "agent/machine.h"
#include "kith/aggregate.h"

#include "base/base.h"

#include <stdlib.h>
#include <unistd.h>

#define GAUGES_EVERY_MS 10000
#define GAUGES_INTERVAL_MS 9000
#define GAUGES_OTHERS_MAX 1024 /* members of whom rtt is the median; more of them would not make it better */

struct ki_gauges {
    struct ki_agent *agent;
    uv_timer_t timer;
    uint64_t since_us;
};

/* ---- what is measured ---- */

static bool gauges_load(const struct ki_gauges *gauges, double *out)
{
    (void)gauges;
    return ki_machine_load("/proc", sysconf(_SC_NPROCESSORS_ONLN), out);
}

static bool gauges_memory(const struct ki_gauges *gauges, double *out)
{
    (void)gauges;
    return ki_machine_memory("/proc", out);
}

uint64_t ki_gauge_eighths(uint64_t seconds)
{
    uint64_t eighth = 1;
    while (eighth <= seconds / 16)
        eighth *= 2;
    return seconds / eighth * eighth;
}

static bool gauges_uptime(const struct ki_gauges *gauges, double *out)
{
    *out = (double)ki_gauge_eighths((ki_net_now().mono_us - gauges->since_us) / 1000000);
    return true;
}

static bool gauges_members(const struct ki_gauges *gauges, double *out)
{
    struct kith_gauges core;
    kith_read_gauges(gauges->agent->k, &core);
    *out = (double)core.alive + core.suspect;
    return true;
}

static int gauges_compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static bool gauges_rtt(const struct ki_gauges *gauges, double *out)
{
    uint64_t rtt_us[GAUGES_OTHERS_MAX];
    const kith *k = gauges->agent->k;
    struct kith_coordinate own, other;
    struct kith_member member;
    size_t count = 0, seen = 0;
    size_t stride = kith_members(k, NULL, 0) / GAUGES_OTHERS_MAX + 1;
    kith_self(k, &member);
    if (kith_coordinate(k, member.name, &own) != 0)
        return false;
    for (uint32_t cursor = 0; count < GAUGES_OTHERS_MAX && kith_next(k, &cursor, &member);) {
        bool lives = member.state == KITH_STATE_ALIVE || member.state == KITH_STATE_SUSPECT;
        if (!member.is_self && lives && seen++ % stride == 0 && kith_coordinate(k, member.name, &other) == 0)
            rtt_us[count++] = kith_coordinate_distance_us(&own, &other);
    }
    if (count == 0)
        return false;
    qsort(rtt_us, count, sizeof *rtt_us, gauges_compare);
    *out = (double)rtt_us[(count - 1) / 2] / 1000;
    return true;
}

/* ---- telling ---- */

static const struct {
    const char *name, *unit;
    double max, step; /* the smallest is 0 */
    bool (*measure)(const struct ki_gauges *gauges, double *out);
} gauges_rows[] = {
    {"load", "per core", 10000, 0.05, gauges_load}, /* a fork bomb's, and the noise of an idle machine */
    {"memory", "%", 100, 1, gauges_memory},
    {"uptime", "s", 1e10, 60, gauges_uptime}, /* three centuries */
    {"members", "members", 1e7, 0, gauges_members},
    {"rtt", "ms", 600000, 0.5, gauges_rtt}, /* what coordinates of the hostile lead to has no end */
};

static struct kith_schema gauges_schema(size_t row)
{
    struct kith_schema schema;
    kith_schema_init(&schema);
    schema.unit = ki_str(gauges_rows[row].unit);
    schema.min = 0;
    schema.max = gauges_rows[row].max;
    schema.step = gauges_rows[row].step;
    schema.interval_ms = GAUGES_INTERVAL_MS;
    return schema;
}

static void gauges_take(struct ki_gauges *gauges)
{
    struct ki_agent *agent = gauges->agent;
    struct kith_time now = ki_net_now();
    for (size_t i = 0; i < KI_COUNT(gauges_rows); i++) {
        struct kith_str name = ki_str(gauges_rows[i].name);
        double value;
        bool is_there = gauges_rows[i].measure(gauges, &value) && value <= gauges_rows[i].max;
        int result = is_there ? kith_aggregate_set(agent->k, now, name, value) : kith_aggregate_clear(agent->k, now, name);
        if (result != 0)
            ki_log(agent->log, KI_LOG_DEBUG, "agent", "gauge %s: %s", gauges_rows[i].name, kith_strerror(result));
    }
    ki_net_kick(agent->net);
}

static void gauges_due(uv_timer_t *timer)
{
    gauges_take(timer->data);
}

bool ki_agent_gauge_is_own(const struct ki_agent *agent, struct kith_str name)
{
    for (size_t i = 0; agent->gauges && i < KI_COUNT(gauges_rows); i++) {
        struct kith_str own = ki_str(gauges_rows[i].name);
        if (ki_span_equal(ki_span(own.ptr, own.len), ki_span(name.ptr, name.len)))
            return true;
    }
    return false;
}

/* ---- life ---- */

/* A pool that speaks bare memberlist has no aggregates: that is no failure. */
static int gauges_open(struct ki_agent *agent)
{
    int result = 0;
    for (size_t i = 0; i < KI_COUNT(gauges_rows) && result == 0; i++) {
        struct kith_schema schema = gauges_schema(i);
        result = kith_aggregate_open(agent->k, ki_net_now(), ki_str(gauges_rows[i].name), &schema);
    }
    return result;
}

int ki_gauges_start(struct ki_agent *agent)
{
    if (!agent->config.gauges)
        return 0;
    int result = gauges_open(agent);
    if (result != 0)
        return result == KITH_ERR_STATE ? 0 : result;
    struct ki_gauges *gauges = calloc(1, sizeof *gauges);
    if (!gauges)
        return KITH_ERR_NOMEM;
    *gauges = (struct ki_gauges){.agent = agent, .timer.data = gauges, .since_us = ki_net_now().mono_us};
    uv_timer_init(&agent->loop, &gauges->timer);
    uv_timer_start(&gauges->timer, gauges_due, 0, GAUGES_EVERY_MS);
    agent->gauges = gauges;
    return 0;
}

static void gauges_closed(uv_handle_t *handle)
{
    struct ki_gauges *gauges = handle->data;
    struct ki_agent *agent = gauges->agent;
    free(gauges);
    ki_agent_part_closed(agent);
}

void ki_gauges_close(struct ki_agent *agent)
{
    if (!agent->gauges)
        return;
    agent->closing++;
    uv_close((uv_handle_t *)&agent->gauges->timer, gauges_closed);
    agent->gauges = NULL;
}
