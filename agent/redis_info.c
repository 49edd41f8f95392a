/* INFO, CONFIG, MEMORY, OBJECT: the server as its users' tools want to see it.
 *
 * INFO has the sections and fields that monitors of Redis read, and tells as much as is true here: redis_version is the
 * version whose behaviour this is, kith_version whose program.  CONFIG knows a few parameters by Redis's names; only
 * notify-keyspace-events can be set, everything else is the agent's own configuration.
 *
 * How a value is encoded, and how often it was used, is nothing that this store knows. */
#include "agent/redis_conn.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- INFO ---- */

static void info_server(const struct ki_redis *redis, FILE *out)
{
    uint64_t up_s = (uv_now(redis->listener.loop) - redis->start_ms) / 1000;
    fprintf(out,
            "redis_version:%s\r\nkith_version:%s\r\nredis_mode:standalone\r\narch_bits:%d\r\nmultiplexing_api:libuv\r\n"
            "process_id:%ld\r\ntcp_port:%u\r\nuptime_in_seconds:%llu\r\nuptime_in_days:%llu\r\n",
            KI_REDIS_VERSION, kith_version(), (int)sizeof(void *) * 8, (long)getpid(), (unsigned)redis->bound.port,
            (unsigned long long)up_s, (unsigned long long)up_s / 86400);
}

static void info_clients(const struct ki_redis *redis, FILE *out)
{
    fprintf(out, "connected_clients:%zu\r\nmaxclients:%u\r\nblocked_clients:%zu\r\nclient_memory_bytes:%zu\r\n",
            redis->client_count, redis->config.clients_max, redis->blocked_count, redis->bytes);
}

static void info_memory(const struct ki_redis *redis, FILE *out)
{
    struct kith_store_gauges gauges = {.keys = 0};
    struct rusage usage = {.ru_maxrss = 0};
    (void)kith_store_read_gauges(redis->config.k, &gauges);
    (void)getrusage(RUSAGE_SELF, &usage);
    fprintf(out, "used_memory:%llu\r\nused_memory_peak_rss:%llu\r\nmaxmemory:%llu\r\nmaxmemory_policy:noeviction\r\n",
            (unsigned long long)gauges.bytes, (unsigned long long)usage.ru_maxrss * 1024,
            (unsigned long long)redis->config.memory_max);
}

static void info_persistence(const struct ki_redis *redis, FILE *out)
{
    const kith *k = redis->config.k;
    fprintf(out, "loading:0\r\nrows_written:%llu\r\nrows_durable:%llu\r\n", (unsigned long long)kith_rows_written(k),
            (unsigned long long)kith_rows_are_durable(k));
}

static void info_stats(const struct ki_redis *redis, FILE *out)
{
    static const struct {
        const char *name;
        enum ki_redis_count count;
    } rows[] = {
        {"total_connections_received", KI_REDIS_ACCEPTED},
        {"total_commands_processed", KI_REDIS_COMMANDS},
        {"total_net_input_bytes", KI_REDIS_BYTES_IN},
        {"total_net_output_bytes", KI_REDIS_BYTES_OUT},
        {"rejected_connections", KI_REDIS_REJECTED},
        {"keyspace_hits", KI_REDIS_HITS},
        {"keyspace_misses", KI_REDIS_MISSES},
        {"protocol_errors", KI_REDIS_BROKEN},
        {"closed_for_query_buffer", KI_REDIS_CLOSED_QUERY},
        {"closed_for_output_buffer", KI_REDIS_CLOSED_OUTPUT},
        {"closed_for_total_memory", KI_REDIS_CLOSED_TOTAL},
    };
    for (size_t i = 0; i < KI_COUNT(rows); i++)
        fprintf(out, "%s:%llu\r\n", rows[i].name, (unsigned long long)redis->counts[rows[i].count]);
    struct kith_store_gauges gauges = {.keys = 0};
    (void)kith_store_read_gauges(redis->config.k, &gauges);
    fprintf(out, "expired_keys:%llu\r\n", (unsigned long long)gauges.expired);
    fprintf(out, "pubsub_channels:%zu\r\npubsub_patterns:%zu\r\n", redis->channels.count, redis->patterns.count);
}

/* There is no master: every node is written to. */
static void info_replication(const struct ki_redis *redis, FILE *out)
{
    struct kith_store_gauges gauges = {.keys = 0};
    (void)kith_store_read_gauges(redis->config.k, &gauges);
    fprintf(out, "role:master\r\nconnected_slaves:0\r\nkith_replica:%016llx\r\nkith_peers:%u\r\nkith_peers_in_sync:%u\r\n",
            (unsigned long long)gauges.replica, gauges.peers, gauges.peers_in_sync);
}

static void info_keyspace(const struct ki_redis *redis, FILE *out)
{
    struct kith_store_gauges gauges = {.keys = 0};
    (void)kith_store_read_gauges(redis->config.k, &gauges);
    if (gauges.keys > 0)
        fprintf(out, "db0:keys=%llu\r\n", (unsigned long long)gauges.keys);
}

static const struct {
    const char *word, *title;
    void (*print)(const struct ki_redis *redis, FILE *out);
} info_sections[] = {
    {"SERVER", "Server", info_server},
    {"CLIENTS", "Clients", info_clients},
    {"MEMORY", "Memory", info_memory},
    {"PERSISTENCE", "Persistence", info_persistence},
    {"STATS", "Stats", info_stats},
    {"REPLICATION", "Replication", info_replication},
    {"KEYSPACE", "Keyspace", info_keyspace},
};

static bool info_wanted(const struct ki_redis_call *call, const char *word)
{
    bool wanted = call->arg_count == 1;
    for (size_t i = 1; i < call->arg_count; i++)
        wanted |= ki_redis_word(call->args[i], word) || ki_redis_word(call->args[i], "ALL") ||
                  ki_redis_word(call->args[i], "DEFAULT") || ki_redis_word(call->args[i], "EVERYTHING");
    return wanted;
}

void ki_redis_info(struct ki_redis_call *call)
{
    char *text = NULL;
    size_t len = 0;
    bool any = false;
    FILE *out = open_memstream(&text, &len);
    if (!out) {
        ki_redis_error_of(call, KITH_ERR_NOMEM);
        return;
    }
    for (size_t i = 0; i < KI_COUNT(info_sections); i++) {
        if (!info_wanted(call, info_sections[i].word))
            continue;
        fprintf(out, "%s# %s\r\n", any ? "\r\n" : "", info_sections[i].title);
        info_sections[i].print(call->client->redis, out);
        any = true;
    }
    if (fclose(out) == 0)
        ki_resp_put_verbatim(call->out, "txt", ki_span(text, len));
    else
        ki_redis_error_of(call, KITH_ERR_NOMEM);
    free(text);
}

/* ---- CONFIG ---- */

#define INFO_VALUE 64

static const char *const info_parameters[] = {
    "appendonly", "databases", "maxclients", "maxmemory", "maxmemory-policy", "notify-keyspace-events", "port",
    "proto-max-bulk-len", "save", "timeout",
};

static void info_parameter(const struct ki_redis *redis, const char *name, char value[INFO_VALUE])
{
    value[0] = '\0';
    if (strcmp(name, "appendonly") == 0)
        snprintf(value, INFO_VALUE, "no");
    else if (strcmp(name, "databases") == 0)
        snprintf(value, INFO_VALUE, "1");
    else if (strcmp(name, "maxclients") == 0)
        snprintf(value, INFO_VALUE, "%u", redis->config.clients_max);
    else if (strcmp(name, "maxmemory") == 0)
        snprintf(value, INFO_VALUE, "%llu", (unsigned long long)redis->config.memory_max);
    else if (strcmp(name, "maxmemory-policy") == 0)
        snprintf(value, INFO_VALUE, "noeviction");
    else if (strcmp(name, "notify-keyspace-events") == 0)
        ki_redis_notify_print(redis->notify, value);
    else if (strcmp(name, "port") == 0)
        snprintf(value, INFO_VALUE, "%u", (unsigned)redis->bound.port);
    else if (strcmp(name, "proto-max-bulk-len") == 0)
        snprintf(value, INFO_VALUE, "%zu", KI_REDIS_BULK_MAX);
    else if (strcmp(name, "timeout") == 0)
        snprintf(value, INFO_VALUE, "0");
}

/* Was this asked for, by its name in any case or by a pattern?  *as: the name as the client wrote it, or as it is. */
static bool info_asked(const struct ki_redis_call *call, const char *name, struct ki_span *as)
{
    struct ki_span own = ki_span(name, strlen(name));
    for (size_t i = 2; i < call->arg_count; i++) {
        struct ki_span arg = call->args[i];
        uint8_t small[64];
        if (arg.len > sizeof small)
            continue;
        for (size_t j = 0; j < arg.len; j++)
            small[j] = (uint8_t)(arg.ptr[j] >= 'A' && arg.ptr[j] <= 'Z' ? arg.ptr[j] - 'A' + 'a' : arg.ptr[j]);
        *as = ki_span_equal(ki_span(small, arg.len), own) ? arg : own;
        if (ki_redis_match(ki_span(small, arg.len), own))
            return true;
    }
    return false;
}

static void info_config_get(struct ki_redis_call *call)
{
    size_t mark = ki_redis_defer(call);
    uint64_t count = 0;
    for (size_t i = 0; i < KI_COUNT(info_parameters); i++) {
        char value[INFO_VALUE];
        struct ki_span name;
        if (!info_asked(call, info_parameters[i], &name))
            continue;
        info_parameter(call->client->redis, info_parameters[i], value);
        ki_resp_put_bulk(call->out, name);
        ki_redis_text(call, value);
        count++;
    }
    ki_redis_deferred_map(call, mark, count);
}

static void info_config_set(struct ki_redis_call *call)
{
    char text[200];
    unsigned flags = call->client->redis->notify;
    if (call->arg_count % 2 != 0) {
        ki_redis_syntax(call);
        return;
    }
    for (size_t i = 2; i < call->arg_count; i += 2) {
        if (!ki_redis_word(call->args[i], "NOTIFY-KEYSPACE-EVENTS")) {
            snprintf(text, sizeof text, "ERR Unknown option or number of arguments for CONFIG SET - '%.*s'",
                     (int)ki_min_size(call->args[i].len, 128), (const char *)call->args[i].ptr);
            ki_redis_error(call, text);
            return;
        }
        if (!ki_redis_notify_parse(call->args[i + 1], &flags)) {
            ki_redis_error(call, "ERR CONFIG SET failed (possibly related to argument 'notify-keyspace-events') - Invalid "
                                 "event class character. Use 'Ag$lshzxeKEtmdn'.");
            return;
        }
    }
    call->client->redis->notify = flags;
    ki_redis_interest(call->client->redis);
    ki_redis_ok(call);
}

static void info_config_resetstat(struct ki_redis_call *call)
{
    memset(call->client->redis->counts, 0, sizeof call->client->redis->counts);
    ki_redis_ok(call);
}

static const struct ki_redis_sub info_config_subs[] = {
    {"GET", -3, info_config_get},
    {"SET", -4, info_config_set},
    {"RESETSTAT", 2, info_config_resetstat},
};

void ki_redis_config_command(struct ki_redis_call *call)
{
    ki_redis_container(call, "CONFIG", info_config_subs, KI_COUNT(info_config_subs));
}

/* ---- OBJECT, MEMORY ---- */

#define INFO_CELL 96 /* bytes, about, that the store needs for a key or an element besides its own bytes */

static bool info_exists(struct ki_redis_call *call)
{
    if (kith_type_of(call->k, call->now, ki_redis_str(call->args[2])) != KITH_TYPE_NONE)
        return true;
    ki_resp_put_null(call->out);
    return false;
}

static void info_object_encoding(struct ki_redis_call *call)
{
    if (info_exists(call))
        ki_redis_error(call, "ERR encodings are not known here");
}

static void info_object_freq(struct ki_redis_call *call)
{
    if (info_exists(call))
        ki_redis_error(call, "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that "
                             "when switching between policies at runtime LRU and LFU data will take some time to adjust.");
}

static void info_object_idletime(struct ki_redis_call *call)
{
    if (info_exists(call))
        ki_resp_put_integer(call->out, 0);
}

static void info_object_refcount(struct ki_redis_call *call)
{
    if (info_exists(call))
        ki_resp_put_integer(call->out, 1);
}

static const struct ki_redis_sub info_object_subs[] = {
    {"ENCODING", 3, info_object_encoding},
    {"FREQ", 3, info_object_freq},
    {"IDLETIME", 3, info_object_idletime},
    {"REFCOUNT", 3, info_object_refcount},
};

void ki_redis_object(struct ki_redis_call *call)
{
    ki_redis_container(call, "OBJECT", info_object_subs, KI_COUNT(info_object_subs));
}

/* An estimate: every byte that the key holds, and what each of its pieces costs besides. */
static void info_memory_usage(struct ki_redis_call *call)
{
    struct kith_str key = ki_redis_str(call->args[2]), text;
    uint64_t bytes = INFO_CELL + key.len;
    uint64_t cursor = 0;
    struct kith_element element;
    struct kith_value value;
    struct kith_dot dot;
    if (call->arg_count != 3 && !(call->arg_count == 5 && ki_redis_word(call->args[3], "SAMPLES"))) {
        ki_redis_syntax(call);
        return;
    }
    enum kith_type type = kith_type_of(call->k, call->now, key);
    if (type == KITH_TYPE_NONE) {
        ki_resp_put_null(call->out);
        return;
    }
    if (type == KITH_TYPE_STRING && kith_get(call->k, call->now, key, &value) == 0)
        bytes += value.shape == KITH_SHAPE_BYTES ? value.bytes.len : 16;
    for (uint32_t i = 0; type == KITH_TYPE_SIBLINGS && kith_sibling(call->k, call->now, key, i, &text, &dot) == 0; i++)
        bytes += INFO_CELL + text.len;
    while (type != KITH_TYPE_STRING && type != KITH_TYPE_SIBLINGS &&
           kith_next_element(call->k, call->now, key, type, &cursor, &element))
        bytes += INFO_CELL + element.field.len + (element.value.shape == KITH_SHAPE_BYTES ? element.value.bytes.len : 8);
    ki_resp_put_integer(call->out, (int64_t)bytes);
}

static const struct ki_redis_sub info_memory_subs[] = {
    {"USAGE", -3, info_memory_usage},
};

void ki_redis_memory(struct ki_redis_call *call)
{
    ki_redis_container(call, "MEMORY", info_memory_subs, KI_COUNT(info_memory_subs));
}
