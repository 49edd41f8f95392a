/* monitor: the agent's log, line by line, the remembered lines first.
 *
 * One a connection, as Serf has it.  A client that reads slowly must not make the agent keep its backlog: when more than
 * KI_RPC_OUTPUT_MAX bytes are unsent, lines are dropped and counted, and the next line is one that says how many.
 *
 * Invariant: the watch is registered exactly while `monitoring` is set. */
#include "agent/rpc_conn.h"

#include <stdio.h>
#include <string.h>

static void rpc_monitor_pack_line(struct ki_pack *p, const void *arg)
{
    ki_pack_map(p, 1);
    ki_pack_text(p, "Log");
    ki_pack_text(p, arg);
}

static void rpc_monitor_line(void *arg, const char *line)
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
        ki_rpc_reply(conn, conn->monitor_seq, "", rpc_monitor_pack_line, note);
    }
    ki_rpc_reply(conn, conn->monitor_seq, "", rpc_monitor_pack_line, line);
}

static void rpc_monitor_unknown_level(struct ki_rpc_conn *conn, struct ki_span level)
{
    char error[96];
    char upper[32] = "";
    for (size_t i = 0; i < level.len && i < sizeof upper - 1; i++)
        upper[i] = level.ptr[i] >= 'a' && level.ptr[i] <= 'z' ? (char)(level.ptr[i] - 32)
                                                              : (char)level.ptr[i];
    snprintf(error, sizeof error, "Unknown log level: %s", upper);
    ki_rpc_reply(conn, conn->seq, error, NULL, NULL);
}

static void rpc_monitor_begin(struct ki_rpc_conn *conn, struct ki_span level)
{
    char text[16] = "";
    enum ki_log_level parsed;
    if (level.len && level.len < sizeof text)
        memcpy(text, level.ptr, level.len);
    if (!ki_log_level_parse(text, &parsed)) {
        rpc_monitor_unknown_level(conn, level);
    } else if (conn->monitoring) {
        ki_rpc_reply(conn, conn->seq, "Monitor already exists", NULL, NULL);
    } else {
        ki_rpc_reply(conn, conn->seq, "", NULL, NULL);
        conn->monitoring = true;
        conn->monitor_seq = conn->seq;
        conn->lines_missing = 0;
        conn->log_watch =
            (struct ki_log_watch){.line = rpc_monitor_line, .arg = conn, .level = parsed};
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
    rpc_monitor_begin(conn, request.level);
    return true;
}

void ki_rpc_end_monitor(struct ki_rpc_conn *conn)
{
    if (conn->monitoring)
        ki_log_unwatch(conn->rpc->log, &conn->log_watch);
    conn->monitoring = false;
}
