/* stream, monitor and stop: answers that go on.
 *
 * A stream sends the agent's member events that its filter names, under the number of the request that
 * began it; a monitor sends log lines, the remembered ones first.  One monitor a connection, as Serf
 * has it, and KI_RPC_STREAMS_MAX streams. User events and queries may be named in a filter; there are
 * none yet.
 *
 * A client that reads slowly must not make the agent keep its backlog: when more than KI_RPC_OUTPUT_MAX
 * bytes are unsent, records are dropped and counted, and a monitor is told with its next line how many
 * it missed.
 *
 * Invariant: the watches are registered exactly while `watching` and `monitoring` are set. */
#include "agent/rpc_conn.h"

#include <stdio.h>
#include <string.h>

/* ---- streams ---- */

static void rpc_streams_event(void *arg, enum ki_member_event event,
                              const struct kith_member *members, size_t count)
{
    struct ki_rpc_conn *conn = arg;
    struct ki_rpc_members list = {
        .event = ki_member_event_name(event), .members = members, .count = count};
    for (size_t i = 0; i < conn->stream_count; i++) {
        if (!(conn->streams[i].events & 1u << event))
            continue;
        if (ki_rpc_congested(conn))
            conn->rpc->counts[KI_RPC_DROPPED_EVENTS]++;
        else
            ki_rpc_reply(conn, conn->streams[i].seq, "", ki_rpc_pack_members, &list);
    }
}

static bool rpc_streams_is(struct ki_span word, const char *text)
{
    return ki_span_equal(word, ki_span(text, strlen(text)));
}

/* Reads one word of a filter.  Returns false when there is no such event. */
static bool rpc_streams_word(struct ki_span word, uint32_t *events)
{
    if (rpc_streams_is(word, "*")) {
        *events |= (1u << KI_MEMBER_EVENT_COUNT) - 1;
        return true;
    }
    for (unsigned event = 0; event < KI_MEMBER_EVENT_COUNT; event++) {
        if (rpc_streams_is(word, ki_member_event_name((enum ki_member_event)event))) {
            *events |= 1u << event;
            return true;
        }
    }
    const uint8_t *colon = word.len ? memchr(word.ptr, ':', word.len) : NULL;
    struct ki_span kind = colon ? ki_span(word.ptr, (size_t)(colon - word.ptr)) : word;
    return rpc_streams_is(kind, "user") || rpc_streams_is(kind, "query");
}

static bool rpc_streams_filter(struct ki_span type, uint32_t *events)
{
    if (type.len == 0)
        return rpc_streams_word(ki_span("*", 1), events);
    while (type.len > 0) {
        const uint8_t *comma = memchr(type.ptr, ',', type.len);
        size_t len = comma ? (size_t)(comma - type.ptr) : type.len;
        if (!rpc_streams_word(ki_span(type.ptr, len), events))
            return false;
        size_t used = comma ? len + 1 : len;
        type = ki_span(type.ptr + used, type.len - used);
    }
    return true;
}

/* Begins a stream.  Returns the error for the answer. */
static const char *rpc_streams_begin(struct ki_rpc_conn *conn, struct ki_span type)
{
    uint32_t events = 0;
    for (size_t i = 0; i < conn->stream_count; i++) {
        if (conn->streams[i].seq == conn->seq)
            return "Stream with given sequence exists";
    }
    if (!rpc_streams_filter(type, &events))
        return "Invalid event filter";
    if (conn->stream_count == KI_RPC_STREAMS_MAX)
        return "Too many streams";
    conn->streams[conn->stream_count++] =
        (struct ki_rpc_stream){.seq = conn->seq, .events = events};
    if (!conn->watching) {
        conn->watching = true;
        conn->member_watch = (struct ki_agent_watch){.members = rpc_streams_event, .arg = conn};
        ki_agent_watch(conn->rpc->agent, &conn->member_watch);
    }
    return "";
}

bool ki_rpc_run_stream(struct ki_rpc_conn *conn, struct ki_reader *body)
{
    struct stream {
        struct ki_span type;
    } request = {{NULL, 0}};
    static const struct ki_field fields[] = {
        KI_FIELD(struct stream, type, "Type", KI_FIELD_STR, 0, false),
    };
    if (!ki_unpack_struct(body, fields, KI_COUNT(fields), &request))
        return false;
    ki_rpc_reply(conn, conn->seq, rpc_streams_begin(conn, request.type), NULL, NULL);
    return true;
}

/* ---- monitor ---- */

static void rpc_streams_pack_line(struct ki_pack *p, const void *arg)
{
    ki_pack_map(p, 1);
    ki_pack_text(p, "Log");
    ki_pack_text(p, arg);
}

static void rpc_streams_line(void *arg, const char *line)
{
    struct ki_rpc_conn *conn = arg;
    if (ki_rpc_congested(conn)) {
        conn->lines_missing++;
        conn->rpc->counts[KI_RPC_DROPPED_LINES]++;
        return;
    }
    if (conn->lines_missing > 0) {
        char note[96];
        snprintf(note, sizeof note,
                 "[WARN] agent.ipc: %llu lines dropped: this monitor reads too slowly",
                 (unsigned long long)conn->lines_missing);
        conn->lines_missing = 0;
        ki_rpc_reply(conn, conn->monitor_seq, "", rpc_streams_pack_line, note);
    }
    ki_rpc_reply(conn, conn->monitor_seq, "", rpc_streams_pack_line, line);
}

static void rpc_streams_unknown_level(struct ki_rpc_conn *conn, struct ki_span level)
{
    char error[96];
    char upper[32] = "";
    for (size_t i = 0; i < level.len && i < sizeof upper - 1; i++)
        upper[i] = level.ptr[i] >= 'a' && level.ptr[i] <= 'z' ? (char)(level.ptr[i] - 32)
                                                              : (char)level.ptr[i];
    snprintf(error, sizeof error, "Unknown log level: %s", upper);
    ki_rpc_reply(conn, conn->seq, error, NULL, NULL);
}

static void rpc_streams_monitor(struct ki_rpc_conn *conn, struct ki_span level)
{
    char text[16] = "";
    enum ki_log_level parsed;
    if (level.len && level.len < sizeof text)
        memcpy(text, level.ptr, level.len);
    if (!ki_log_level_parse(text, &parsed)) {
        rpc_streams_unknown_level(conn, level);
    } else if (conn->monitoring) {
        ki_rpc_reply(conn, conn->seq, "Monitor already exists", NULL, NULL);
    } else {
        ki_rpc_reply(conn, conn->seq, "", NULL, NULL);
        conn->monitoring = true;
        conn->monitor_seq = conn->seq;
        conn->lines_missing = 0;
        conn->log_watch =
            (struct ki_log_watch){.line = rpc_streams_line, .arg = conn, .level = parsed};
        ki_log_watch(conn->rpc->log, &conn->log_watch);
    }
}

bool ki_rpc_run_monitor(struct ki_rpc_conn *conn, struct ki_reader *body)
{
    struct monitor {
        struct ki_span level;
    } request = {{NULL, 0}};
    static const struct ki_field fields[] = {
        KI_FIELD(struct monitor, level, "LogLevel", KI_FIELD_STR, 0, false),
    };
    if (!ki_unpack_struct(body, fields, KI_COUNT(fields), &request))
        return false;
    rpc_streams_monitor(conn, request.level);
    return true;
}

/* ---- ending ---- */

static void rpc_streams_end_monitor(struct ki_rpc_conn *conn)
{
    if (conn->monitoring)
        ki_log_unwatch(conn->rpc->log, &conn->log_watch);
    conn->monitoring = false;
}

static void rpc_streams_end_watch(struct ki_rpc_conn *conn)
{
    if (conn->watching)
        ki_agent_unwatch(conn->rpc->agent, &conn->member_watch);
    conn->watching = false;
}

void ki_rpc_unwatch(struct ki_rpc_conn *conn)
{
    conn->stream_count = 0;
    rpc_streams_end_watch(conn);
    rpc_streams_end_monitor(conn);
}

bool ki_rpc_run_stop(struct ki_rpc_conn *conn, struct ki_reader *body)
{
    struct stop {
        uint64_t seq;
    } request = {0};
    static const struct ki_field fields[] = {
        KI_FIELD(struct stop, seq, "Stop", KI_FIELD_U64, 0, false),
    };
    if (!ki_unpack_struct(body, fields, KI_COUNT(fields), &request))
        return false;
    if (conn->monitoring && conn->monitor_seq == request.seq)
        rpc_streams_end_monitor(conn);
    size_t kept = 0;
    for (size_t i = 0; i < conn->stream_count; i++) {
        if (conn->streams[i].seq != request.seq)
            conn->streams[kept++] = conn->streams[i];
    }
    conn->stream_count = kept;
    if (kept == 0)
        rpc_streams_end_watch(conn);
    ki_rpc_reply(conn, conn->seq, "", NULL, NULL);
    return true;
}
