/* What answers hold: members and statistics, in Serf's shapes and in kith's own.
 *
 * Keys go out sorted, strings as str (str8 where it fits) and addresses as bin, as Serf's RPC does.  A
 * packer may be called again with a larger buffer, so it only reads.
 *
 * kith's own answers: `kith-members` tells what failure detection says (Serf's list shows a suspect as
 * alive), and `kith-info` every number that `stats` has no place for, as numbers. */
#include "agent/rpc_conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *ki_rpc_status_text(enum kith_status status)
{
    switch (status) {
    case KITH_STATUS_NONE:
        return "none";
    case KITH_STATUS_ALIVE:
        return "alive";
    case KITH_STATUS_LEAVING:
        return "leaving";
    case KITH_STATUS_LEFT:
        return "left";
    case KITH_STATUS_FAILED:
        return "failed";
    }
    KI_UNREACHABLE();
}

static const char *rpc_reply_state_text(enum kith_state state)
{
    switch (state) {
    case KITH_STATE_ALIVE:
        return "alive";
    case KITH_STATE_SUSPECT:
        return "suspect";
    case KITH_STATE_DEAD:
        return "dead";
    case KITH_STATE_LEFT:
        return "left";
    }
    KI_UNREACHABLE();
}

static void rpc_reply_str(struct ki_pack *p, struct kith_str text)
{
    ki_pack_str(p, ki_span(text.ptr, text.len));
}

/* ---- members ---- */

static void rpc_reply_tags(struct ki_pack *p, const struct kith_member *member)
{
    struct kith_tag tag;
    size_t count = 0;
    for (size_t cursor = 0; kith_tag_next(member, &cursor, &tag);)
        count++;
    ki_pack_map(p, count);
    for (size_t cursor = 0; kith_tag_next(member, &cursor, &tag);) {
        rpc_reply_str(p, tag.key);
        rpc_reply_str(p, tag.value);
    }
}

static void rpc_reply_member(struct ki_pack *p, const struct kith_member *member)
{
    static const struct {
        const char *key;
        size_t index; /* in versions */
    } delegate[] = {{"DelegateCur", 5}, {"DelegateMax", 4}, {"DelegateMin", 3}},
      protocol[] = {{"ProtocolCur", 2}, {"ProtocolMax", 1}, {"ProtocolMin", 0}};
    ki_pack_map(p, 11);
    ki_pack_text(p, "Addr");
    ki_pack_bytes(p, ki_span(member->addr.ip, member->addr.ip_len));
    for (size_t i = 0; i < KI_COUNT(delegate); i++) {
        ki_pack_text(p, delegate[i].key);
        ki_pack_uint(p, member->versions[delegate[i].index]);
    }
    ki_pack_text(p, "Name");
    rpc_reply_str(p, member->name);
    ki_pack_text(p, "Port");
    ki_pack_uint(p, member->addr.port);
    for (size_t i = 0; i < KI_COUNT(protocol); i++) {
        ki_pack_text(p, protocol[i].key);
        ki_pack_uint(p, member->versions[protocol[i].index]);
    }
    ki_pack_text(p, "Status");
    ki_pack_text(p, ki_rpc_status_text(member->status));
    ki_pack_text(p, "Tags");
    rpc_reply_tags(p, member);
}

void ki_rpc_pack_member_array(struct ki_pack *p, const struct kith_member *members, size_t count)
{
    ki_pack_array(p, count);
    for (size_t i = 0; i < count; i++)
        rpc_reply_member(p, &members[i]);
}

void ki_rpc_pack_members(struct ki_pack *p, const void *arg)
{
    const struct ki_rpc_members *list = arg;
    ki_pack_map(p, 1);
    ki_pack_text(p, "Members");
    ki_rpc_pack_member_array(p, list->members, list->count);
}

void ki_rpc_pack_kith_members(struct ki_pack *p, const void *arg)
{
    const struct ki_rpc_members *list = arg;
    ki_pack_map(p, 1);
    ki_pack_text(p, "Members");
    ki_pack_array(p, list->count);
    for (size_t i = 0; i < list->count; i++) {
        const struct kith_member *member = &list->members[i];
        ki_pack_map(p, 4);
        ki_pack_text(p, "Incarnation");
        ki_pack_uint(p, member->incarnation);
        ki_pack_text(p, "Name");
        rpc_reply_str(p, member->name);
        ki_pack_text(p, "State");
        ki_pack_text(p, rpc_reply_state_text(member->state));
        ki_pack_text(p, "Status");
        ki_pack_text(p, ki_rpc_status_text(member->status));
    }
}

/* ---- statistics ---- */

#define RPC_REPLY_SECTIONS_MAX 16

/* The agent tells its statistics one by one; a map is told its size first.  So they are counted, then
 * packed. */
struct rpc_reply_stats {
    struct ki_pack *pack; /* NULL: count */
    bool serf;            /* Serf's sections, or all others */
    const char *section;  /* of the statistic before */
    size_t sections;
    size_t keys[RPC_REPLY_SECTIONS_MAX];
};

static bool rpc_reply_is_serf(const char *section)
{
    static const char *const names[] = {"agent", "runtime", "serf", "tags", "event_handlers"};
    for (size_t i = 0; i < KI_COUNT(names); i++) {
        if (strcmp(section, names[i]) == 0)
            return true;
    }
    return false;
}

/* A number if it is one, true or false, else a string. */
static void rpc_reply_value(struct ki_pack *p, const char *value)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    if (value[0] >= '0' && value[0] <= '9' && *end == '\0' && errno == 0)
        ki_pack_uint(p, number);
    else if (strcmp(value, "true") == 0 || strcmp(value, "false") == 0)
        ki_pack_bool(p, value[0] == 't');
    else
        ki_pack_text(p, value);
}

static void rpc_reply_stat(void *arg, const char *section, const char *key, const char *value)
{
    struct rpc_reply_stats *stats = arg;
    if (rpc_reply_is_serf(section) != stats->serf)
        return;
    if (!stats->section || strcmp(section, stats->section) != 0) {
        KI_ASSERT(stats->sections < RPC_REPLY_SECTIONS_MAX);
        stats->section = section;
        if (stats->pack) {
            ki_pack_text(stats->pack, section);
            ki_pack_map(stats->pack, stats->keys[stats->sections]);
        }
        stats->sections++;
    }
    if (!key)
        return;
    if (!stats->pack) {
        stats->keys[stats->sections - 1]++;
        return;
    }
    ki_pack_text(stats->pack, key);
    if (stats->serf)
        ki_pack_text(stats->pack, value);
    else
        rpc_reply_value(stats->pack, value);
}

static void rpc_reply_counts(struct ki_pack *p, const struct ki_rpc *rpc)
{
    static const char *const names[KI_RPC_COUNT_COUNT] = {
        [KI_RPC_ACCEPTED] = "accepted",
        [KI_RPC_REFUSED] = "refused",
        [KI_RPC_EVICTED] = "evicted",
        [KI_RPC_REQUESTS] = "requests",
        [KI_RPC_BAD_REQUESTS] = "bad_requests",
        [KI_RPC_AUTH_FAILURES] = "auth_failures",
        [KI_RPC_FAILED_ANSWERS] = "failed_answers",
        [KI_RPC_DROPPED_LINES] = "dropped_lines",
        [KI_RPC_DROPPED_EVENTS] = "dropped_events",
        [KI_RPC_REFUSED_ASKS] = "refused_asks",
        [KI_RPC_FORGOTTEN_QUERIES] = "forgotten_queries",
        [KI_RPC_UNKEPT_EVENTS] = "unkept_events",
    };
    size_t streams = 0;
    size_t queries = 0;
    for (struct ki_list *at = rpc->conns.next; at != &rpc->conns; at = at->next) {
        const struct ki_rpc_conn *conn = KI_CONTAINER(at, struct ki_rpc_conn, link);
        streams += conn->stream_count;
        queries += conn->query_count;
    }
    const struct {
        const char *key;
        uint64_t value;
    } now[] = {{"clients", rpc->conn_count},
               {"streams", streams},
               {"queries", queries},
               {"kept_events", rpc->kept.next - rpc->kept.first},
               {"kept_bytes", rpc->kept.bytes}};
    ki_pack_text(p, "rpc");
    ki_pack_map(p, KI_RPC_COUNT_COUNT + KI_COUNT(now));
    for (size_t i = 0; i < KI_COUNT(now); i++) {
        ki_pack_text(p, now[i].key);
        ki_pack_uint(p, now[i].value);
    }
    for (size_t i = 0; i < KI_RPC_COUNT_COUNT; i++) {
        ki_pack_text(p, names[i]);
        ki_pack_uint(p, rpc->counts[i]);
    }
}

static void rpc_reply_sections(struct ki_pack *p, const struct ki_rpc *rpc, bool serf)
{
    struct rpc_reply_stats stats = {.serf = serf};
    ki_agent_stats(rpc->agent, rpc_reply_stat, &stats);
    ki_pack_map(p, stats.sections + (serf ? 0 : 1));
    stats.pack = p;
    stats.section = NULL;
    stats.sections = 0;
    ki_agent_stats(rpc->agent, rpc_reply_stat, &stats);
}

void ki_rpc_pack_stats(struct ki_pack *p, const void *arg)
{
    rpc_reply_sections(p, arg, true);
}

void ki_rpc_pack_kith_info(struct ki_pack *p, const void *arg)
{
    const struct ki_rpc *rpc = arg;
    rpc_reply_sections(p, rpc, false);
    rpc_reply_counts(p, rpc);
}
