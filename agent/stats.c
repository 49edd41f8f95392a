/* Every number the agent knows, as text in sections: Serf's first, by Serf's names, then what only we count.
 *
 * All are text because Serf's RPC has nothing else; who wants numbers back knows that counters and gauges are whole
 * numbers.  The order is fixed, so that two prints can be compared.  Nothing is cached: reading costs a walk, idling
 * costs nothing. */
#include "agent/disk.h"
#include "agent/handler.h"
#include "agent/internal.h"

#include "base/base.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Where a walk over the statistics goes. */
struct stats_walk {
    ki_agent_stat *visit;
    void *arg;
    const char *section;
};

static void stats_number(const struct stats_walk *walk, const char *key, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    walk->visit(walk->arg, walk->section, key, text);
}

static void stats_truth(const struct stats_walk *walk, const char *key, bool value)
{
    walk->visit(walk->arg, walk->section, key, value ? "true" : "false");
}

static void stats_runtime(struct stats_walk *walk)
{
    struct utsname name;
    char cpus[24];
    walk->section = "runtime";
    snprintf(cpus, sizeof cpus, "%ld", sysconf(_SC_NPROCESSORS_ONLN));
    walk->visit(walk->arg, walk->section, "os", "linux");
    walk->visit(walk->arg, walk->section, "arch", uname(&name) == 0 ? name.machine : "unknown");
    walk->visit(walk->arg, walk->section, "version", kith_version());
    walk->visit(walk->arg, walk->section, "cpu_count", cpus);
    stats_number(walk, "pid", (uint64_t)getpid());
}

static uint64_t stats_counter(const kith *k, const char *name)
{
    size_t at = 0;
    while (strcmp(kith_counter_name(at), name) != 0)
        at++;
    return kith_counter(k, at);
}

static void stats_serf(struct stats_walk *walk, const struct kith_gauges *gauges, const kith *k)
{
    walk->section = "serf";
    stats_number(walk, "members", gauges->members);
    stats_number(walk, "failed", gauges->failed);
    stats_number(walk, "left", gauges->left);
    stats_number(walk, "health_score", gauges->health_score);
    stats_number(walk, "member_time", gauges->member_ltime);
    stats_number(walk, "event_time", gauges->event_ltime);
    stats_number(walk, "query_time", gauges->query_ltime);
    stats_number(walk, "intent_queue", gauges->queue_intents);
    stats_number(walk, "event_queue", gauges->queue_events);
    stats_number(walk, "query_queue", gauges->queue_queries);
    stats_truth(walk, "encrypted", gauges->encrypted);
    stats_number(walk, "coordinate_resets", stats_counter(k, "coordinate_resets"));
}

static void stats_tags(struct stats_walk *walk, const kith *k)
{
    struct kith_member self;
    struct kith_tag tag;
    size_t cursor = 0;
    bool any = false;
    char key[KITH_META_MAX + 1];
    char value[KITH_META_MAX + 1];
    walk->section = "tags";
    kith_self(k, &self);
    while (kith_tag_next(&self, &cursor, &tag)) {
        snprintf(key, sizeof key, "%.*s", (int)ki_min_size(tag.key.len, KITH_META_MAX), tag.key.ptr);
        snprintf(value, sizeof value, "%.*s", (int)ki_min_size(tag.value.len, KITH_META_MAX), tag.value.ptr);
        walk->visit(walk->arg, walk->section, key, value);
        any = true;
    }
    if (!any)
        walk->visit(walk->arg, walk->section, NULL, NULL);
}

static void stats_kith(struct stats_walk *walk, const struct ki_agent *agent, const struct kith_gauges *gauges)
{
    walk->section = "kith";
    stats_number(walk, "alive", gauges->alive);
    stats_number(walk, "suspect", gauges->suspect);
    stats_number(walk, "member_queue", gauges->queue_members);
    stats_number(walk, "streams", gauges->streams);
    stats_number(walk, "tickets", gauges->tickets);
    stats_number(walk, "memory_bytes", gauges->memory_bytes);
    stats_number(walk, "stream_bytes", gauges->stream_bytes);
    stats_number(walk, "incarnation", gauges->incarnation);
    stats_truth(walk, "leaving", gauges->leaving);
    stats_truth(walk, "left_pool", gauges->left_pool);
    stats_number(walk, "coalesce_full", ki_coalesce_user_full(agent));
}

static void stats_net(struct stats_walk *walk, const struct ki_net *net)
{
    struct ki_net_counters count;
    ki_net_counters(net, &count);
    const struct {
        const char *key;
        uint64_t value;
    } rows[] = {
        {"datagrams_in", count.datagrams_in},
        {"datagram_bytes_in", count.datagram_bytes_in},
        {"datagrams_out", count.datagrams_out},
        {"datagram_bytes_out", count.datagram_bytes_out},
        {"datagrams_refused", count.datagrams_refused},
        {"streams_accepted", count.streams_accepted},
        {"streams_opened", count.streams_opened},
        {"streams_failed", count.streams_failed},
        {"streams_full", count.streams_full},
        {"stream_bytes_in", count.stream_bytes_in},
        {"stream_bytes_out", count.stream_bytes_out},
        {"dropped", count.dropped},
    };
    walk->section = "net";
    for (size_t i = 0; i < KI_COUNT(rows); i++)
        stats_number(walk, rows[i].key, rows[i].value);
}

static void stats_disk(struct stats_walk *walk, const struct ki_disk *disk)
{
    static const char *const words[] = {
        [KI_DISK_ALWAYS] = "always", [KI_DISK_EVERYSEC] = "everysec", [KI_DISK_NO] = "no"};
    struct ki_disk_status status;
    ki_disk_status(disk, &status);
    walk->section = "disk";
    walk->visit(walk->arg, walk->section, "fsync", words[status.fsync]);
    walk->visit(walk->arg, walk->section, "error", status.error);
    stats_number(walk, "loaded_rows", status.loaded);
    stats_number(walk, "groups", status.groups);
    stats_number(walk, "rows", status.rows);
    stats_number(walk, "bytes", status.bytes);
    stats_number(walk, "failures", status.failures);
    stats_number(walk, "last_commit_us", status.last_commit_us);
    stats_number(walk, "file_bytes", status.file_bytes);
    stats_number(walk, "map_bytes", status.map_bytes);
}

void ki_agent_stats(const struct ki_agent *agent, ki_agent_stat *visit, void *arg)
{
    struct stats_walk walk = {.visit = visit, .arg = arg, .section = "agent"};
    struct kith_gauges gauges;
    kith_read_gauges(agent->k, &gauges);
    visit(arg, "agent", "name", agent->config.node);
    stats_runtime(&walk);
    stats_serf(&walk, &gauges, agent->k);
    stats_tags(&walk, agent->k);
    ki_handlers_stats_serf(agent->handlers, visit, arg);
    stats_kith(&walk, agent, &gauges);
    stats_net(&walk, agent->net);
    if (agent->disk)
        stats_disk(&walk, agent->disk);
    ki_handlers_stats(agent->handlers, visit, arg);
    walk.section = "counters";
    for (size_t i = 0; i < kith_counter_count(); i++)
        stats_number(&walk, kith_counter_name(i), kith_counter(agent->k, i));
}

static void stats_line(void *arg, const char *section, const char *key, const char *value)
{
    struct ki_agent *agent = arg;
    if (key)
        ki_log(agent->log, KI_LOG_INFO, "stats", "%s.%s = %s", section, key, value);
}

void ki_stats_log(struct ki_agent *agent)
{
    ki_agent_stats(agent, stats_line, agent);
}
