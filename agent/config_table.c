/* The table that drives flags, keys, variables and the help: one row an option.
 *
 * Names and meanings are Serf's where Serf has them; `-label`, `-delegate-versions`, `-log-format` and the table of
 * limits are ours.  A row of kind NOT_YET is an error when it is used: silence would look like success.  Rows of kind
 * IGNORED are keys that Serf's users have in their files and that change nothing here yet; the agent says so once. */
#include "agent/config.h"

#include "base/base.h"

#include <stddef.h>
#include <string.h>

#define AT(field) offsetof(struct ki_config, field)
#define CORE(field) offsetof(struct kith_config, field)

/* clang-format off */
const struct ki_option ki_options[] = {
    {"bind", "bind", KI_OPTION_TEXT, AT(bind), "=0.0.0.0:7946",
     "Address to listen on, UDP and TCP. IPv6 as [::1] or [::1]:7946."},
    {"advertise", "advertise", KI_OPTION_TEXT, AT(advertise), "=addr",
     "Address that others reach us at, when it is not the one of -bind."},
    {"node", "node_name", KI_OPTION_TEXT, AT(node), "=hostname", "Name of this node, unique in the pool."},
    {"tag", "tags", KI_OPTION_TAGS, AT(tags), " key=value", "A tag of this node. May be repeated."},
    {"role", "role", KI_OPTION_TEXT, AT(role), "=foo", "Deprecated: the same as -tag role=foo."},
    {"tags-file", "tags_file", KI_OPTION_TEXT, AT(tags_file), "=path",
     "Keeps the tags set at run time across restarts. Excludes -tag."},
    {"join", "start_join", KI_OPTION_LIST, AT(join), "=addr",
     "Joins the pool of this address at start, and exits if none of them can be reached. May be repeated. A name is "
     "looked up; all its addresses are tried."},
    {"retry-join", "retry_join", KI_OPTION_LIST, AT(retry_join), "=addr",
     "Like -join, but tries again until it succeeds. May be repeated."},
    {"retry-interval", "retry_interval", KI_OPTION_MS, AT(retry_interval_ms), "=30s",
     "How long -retry-join waits between two attempts."},
    {"retry-max", "retry_max_attempts", KI_OPTION_NUMBER, AT(retry_max), "=0",
     "How often -retry-join tries again before the agent gives up and exits; 0: for ever."},
    {"replay", "replay_on_join", KI_OPTION_BOOL, AT(replay), NULL, "Takes old user events when joining at start."},
    {"snapshot", "snapshot_path", KI_OPTION_TEXT, AT(snapshot), "=path",
     "File that remembers the pool, so that a restarted node finds back by itself. Serf's format."},
    {"rejoin", "rejoin_after_leave", KI_OPTION_BOOL, AT(rejoin), NULL,
     "Finds back by the snapshot even after a leave."},
    {"data-dir", "data_dir", KI_OPTION_TEXT, AT(data_dir), "=path",
     "Directory that keeps the store across restarts, of this agent alone. Made if it is not there. Without it the store "
     "is in memory only."},
    {"fsync", "fsync", KI_OPTION_TEXT, AT(fsync), "=everysec",
     "When what was written is synced to -data-dir: always (before anybody is told), everysec, or no (every half minute)."},
    {"data-max", "data_max", KI_OPTION_BYTES, AT(data_max), "=64G",
     "Bytes that the file in -data-dir may have; K, M, G or T behind the number."},
    {"store-max", "store_max", KI_OPTION_BYTES, AT(store_max), "=bytes",
     "Memory that the store may take. When it is full, writes are refused, and nothing is evicted. Otherwise no limit."},
    {"value-max", "value_max", KI_OPTION_BYTES, AT(value_max), "=16M",
     "Bytes of a value, field or member in the store, up to 512M."},
    {"repair-rate", "repair_rate", KI_OPTION_BYTES, AT(repair_rate), "=bytes",
     "Bytes a second that repairs may send to one peer. Otherwise no limit."},
    {"encrypt", "encrypt_key", KI_OPTION_TEXT, AT(encrypt), "=key",
     "Secret that the pool shares: 16, 24 or 32 bytes in base64. `kith keygen` makes one."},
    {"keyring-file", "keyring_file", KI_OPTION_TEXT, AT(keyring_file), "=path",
     "JSON array of such keys; the first one encrypts. Excludes -encrypt."},
    {"label", "label", KI_OPTION_TEXT, AT(label), "=text", "Pools of different labels never mix."},
    {"profile", "profile", KI_OPTION_TEXT, AT(profile), "=lan", "Timing: lan, wan or local."},
    {"protocol", "protocol", KI_OPTION_NUMBER, AT(protocol), "=5", "Serf protocol to speak, 2 to 5."},
    {"delegate-versions", "delegate_versions", KI_OPTION_TEXT, AT(delegate_versions), "=2/5/5",
     "Delegate protocol: lowest, highest, spoken. 2/5/5 joins Serf pools, 0/0/0 bare memberlist pools (membership "
     "only)."},
    {"disable-compression", NULL, KI_OPTION_NOT, AT(compression), NULL, "Sends nothing compressed."},
    {"broadcast-timeout", "broadcast_timeout", KI_OPTION_LIMIT_MS, CORE(broadcast_timeout_ms), "=5s",
     "How long leave and tag changes wait for their news to be out."},
    {"rpc-addr", "rpc_addr", KI_OPTION_TEXT, AT(rpc_addr), "=127.0.0.1:7373",
     "Address of the RPC door; none: by -rpc-socket alone, if at all."},
    {"rpc-auth", "rpc_auth", KI_OPTION_TEXT, AT(rpc_auth), "=token", "Token that RPC clients must show."},
    {"rpc-socket", "rpc_socket", KI_OPTION_TEXT, AT(rpc_socket), "=path",
     "Unix socket of the RPC door, beside its address; of this user alone. unix:PATH is how clients name it."},
    {NULL, "rpc_kept_max", KI_OPTION_NUMBER, AT(rpc_kept_max), NULL, NULL},
    {NULL, "rpc_kept_bytes_max", KI_OPTION_BYTES, AT(rpc_kept_bytes_max), NULL, NULL},
    {"resp-addr", "resp_addr", KI_OPTION_TEXT, AT(resp_addr), "=127.0.0.1:7379",
     "Address of the Redis door; none: no such door."},
    {"resp-auth", "resp_auth", KI_OPTION_TEXT, AT(resp_auth), "=password", "Password that Redis clients must show (AUTH)."},
    {NULL, "resp_clients_max", KI_OPTION_NUMBER, AT(resp_clients_max), NULL, NULL},
    {"event-handler", "event_handlers", KI_OPTION_HANDLERS, AT(handlers), "=[filters=]script",
     "Script to run for events, by /bin/sh -c. Filters, with commas between: member-join, member-leave, member-failed, "
     "member-update, member-reap, user, user:name, query, query:name, *. May be repeated; handlers run side by side."},
    {"handler-timeout", "handler_timeout", KI_OPTION_MS, AT(handler_timeout_ms), "=30s",
     "How long a script may run. For a query it may run until the asker waits no longer."},
    {"handler-concurrency", "handler_concurrency", KI_OPTION_NUMBER, AT(handler_concurrency), "=8",
     "How many scripts may run at one time."},
    {"gauges", "gauges", KI_OPTION_BOOL, AT(gauges), "=true",
     "Contributes load, memory, uptime, members and rtt of this node to the pool's aggregates."},
    {"log-level", "log_level", KI_OPTION_TEXT, AT(log_level), "=info", "trace, debug, info, warn or err."},
    {"log-format", "log_format", KI_OPTION_TEXT, AT(log_format), "=text", "text (Serf's), logfmt or json."},
    {"config-file", NULL, KI_OPTION_LIST, AT(config_files), "=path", "JSON file to read. May be repeated."},
    {"config-dir", NULL, KI_OPTION_LIST, AT(config_dirs), "=path",
     "Directory of which every *.json is read, in alphabetical order. May be repeated."},
    {"discover", "discover", KI_OPTION_NOT_YET, 0, NULL, NULL},
    {"iface", "interface", KI_OPTION_NOT_YET, 0, NULL, NULL},
    {"syslog", "enable_syslog", KI_OPTION_NOT_YET_BOOL, 0, NULL, NULL},
    {NULL, "statsite_addr", KI_OPTION_NOT_YET, 0, NULL, NULL},
    {NULL, "statsd_addr", KI_OPTION_NOT_YET, 0, NULL, NULL},
    {NULL, "enable_compression", KI_OPTION_BOOL, AT(compression), NULL, NULL},
    {NULL, "leave_on_terminate", KI_OPTION_BOOL, AT(leave_on_terminate), NULL, NULL},
    {NULL, "skip_leave_on_interrupt", KI_OPTION_BOOL, AT(skip_leave_on_interrupt), NULL, NULL},
    {NULL, "reconnect_interval", KI_OPTION_LIMIT_MS, CORE(reconnect_interval_ms), NULL, NULL},
    {NULL, "reconnect_timeout", KI_OPTION_LIMIT_MS, CORE(reconnect_timeout_ms), NULL, NULL},
    {NULL, "tombstone_timeout", KI_OPTION_LIMIT_MS, CORE(tombstone_timeout_ms), NULL, NULL},
    {NULL, "syslog_facility", KI_OPTION_IGNORED, 0, NULL, NULL},
    {NULL, "disable_coordinates", KI_OPTION_NOT, AT(coordinates), NULL, NULL},
    {NULL, "disable_name_resolution", KI_OPTION_IGNORED, 0, NULL, NULL},
};
const size_t ki_option_count = KI_COUNT(ki_options);

/* Every number of kith_config, by its own name: keys and variables, no flags. */
#define LIMIT(field) {#field, CORE(field), sizeof(((struct kith_config *)NULL)->field) == 8}
const struct ki_limit_row ki_limits[] = {
    LIMIT(probe_interval_ms), LIMIT(probe_timeout_ms), LIMIT(gossip_interval_ms), LIMIT(gossip_nodes),
    LIMIT(gossip_to_the_dead_ms), LIMIT(push_pull_interval_ms), LIMIT(stream_timeout_ms), LIMIT(indirect_checks),
    LIMIT(retransmit_mult), LIMIT(suspicion_mult), LIMIT(suspicion_max_mult), LIMIT(health_max),
    LIMIT(dead_reclaim_ms), LIMIT(broadcast_timeout_ms), LIMIT(leave_propagate_ms), LIMIT(reap_interval_ms),
    LIMIT(reconnect_interval_ms), LIMIT(reconnect_timeout_ms), LIMIT(tombstone_timeout_ms), LIMIT(intent_timeout_ms),
    LIMIT(datagram_max), LIMIT(members_max), LIMIT(intents_max), LIMIT(queue_max), LIMIT(replies_max),
    LIMIT(relays_max), LIMIT(streams_max), LIMIT(streams_per_source), LIMIT(tickets_max), LIMIT(events_max),
    LIMIT(messages_max), LIMIT(message_bytes_max), LIMIT(event_size_max), LIMIT(query_size_max),
    LIMIT(response_size_max), LIMIT(queries_max), LIMIT(event_log_max), LIMIT(aggregates_max),
    LIMIT(watches_max), LIMIT(aggregate_bytes_max), LIMIT(stream_bytes_max), LIMIT(frame_max),
    LIMIT(inflated_max), LIMIT(nesting_max), LIMIT(memory_max),
};
/* clang-format on */
const size_t ki_limit_count = KI_COUNT(ki_limits);
_Static_assert(KI_COUNT(ki_limits) <= KI_LIMIT_MAX, "struct ki_config has a place for each");

bool ki_option_is_bool(const struct ki_option *option)
{
    return option->kind == KI_OPTION_BOOL || option->kind == KI_OPTION_NOT || option->kind == KI_OPTION_NOT_YET_BOOL;
}

const struct ki_option *ki_option_by_flag(const char *flag, size_t len)
{
    for (size_t i = 0; i < ki_option_count; i++) {
        const char *name = ki_options[i].flag;
        if (name && strlen(name) == len && memcmp(name, flag, len) == 0)
            return &ki_options[i];
    }
    return NULL;
}

const struct ki_option *ki_option_by_key(const char *key)
{
    for (size_t i = 0; i < ki_option_count; i++) {
        if (ki_options[i].key && strcmp(ki_options[i].key, key) == 0)
            return &ki_options[i];
    }
    return NULL;
}

const struct ki_limit_row *ki_limit_by_key(const char *key)
{
    static const struct {
        const char *serfs, *ours;
    } names[] = {{"user_event_size_limit", "event_size_max"},
                 {"query_size_limit", "query_size_max"},
                 {"query_response_size_limit", "response_size_max"}};
    for (size_t i = 0; i < KI_COUNT(names); i++) {
        if (strcmp(names[i].serfs, key) == 0)
            key = names[i].ours;
    }
    for (size_t i = 0; i < ki_limit_count; i++) {
        if (strcmp(ki_limits[i].key, key) == 0)
            return &ki_limits[i];
    }
    return NULL;
}

void ki_option_variable(const char *name, char *out, size_t cap)
{
    static const char prefix[] = "KITH_";
    size_t at = sizeof prefix - 1;
    KI_ASSERT(at + strlen(name) < cap);
    memcpy(out, prefix, at);
    for (; *name; name++)
        out[at++] = *name == '-' ? '_' : *name >= 'a' && *name <= 'z' ? (char)(*name - 'a' + 'A') : *name;
    out[at] = '\0';
}

void ki_config_apply_limits(const struct ki_config *config, struct kith_config *core)
{
    for (size_t i = 0; i < ki_limit_count; i++) {
        if (!config->limits[i].set)
            continue;
        uint32_t narrow = (uint32_t)config->limits[i].value;
        if (ki_limits[i].wide)
            memcpy((char *)core + ki_limits[i].offset, &config->limits[i].value, sizeof(uint64_t));
        else
            memcpy((char *)core + ki_limits[i].offset, &narrow, sizeof narrow);
    }
}
