/* Requests: header, then a body if the command has one, back to back without lengths.
 *
 *             header, command has no body: run
 *            +------------------------------+
 *            v                              |
 *     +-------------+   header, has a body  |   +-----------+
 *     | next header |----------------------->-->| next body |--> run --> next header
 *     +-------------+                           +-----------+
 *
 * Serf's gates: no command before `handshake` (the connection ends), none but `auth` before the key was
 * given where one is configured (the connection goes on).  Serf leaves the body of a refused command in
 * the stream and trips over it; here it is read and thrown away, which no client can tell from a better
 * Serf.
 *
 * An unknown command ends the connection, because nobody knows whether a body follows.
 *
 * The key is compared in a time that depends on the client's text only. */
#include "agent/rpc_conn.h"

#include <stdio.h>
#include <string.h>

#define RPC_VERSION 1

struct ki_rpc_command {
    const char *name;
    ki_rpc_run *run;
    bool has_body;
};

static ki_rpc_run rpc_request_handshake;
static ki_rpc_run rpc_request_auth;

static const struct ki_rpc_command rpc_request_commands[] = {
    {"handshake", rpc_request_handshake, true},
    {"auth", rpc_request_auth, true},
    {"members", ki_rpc_run_members, false},
    {"members-filtered", ki_rpc_run_members_filtered, true},
    {"join", ki_rpc_run_join, true},
    {"leave", ki_rpc_run_leave, false},
    {"force-leave", ki_rpc_run_force_leave, true},
    {"tags", ki_rpc_run_tags, true},
    {"stats", ki_rpc_run_stats, false},
    {"stream", ki_rpc_run_stream, true},
    {"monitor", ki_rpc_run_monitor, true},
    {"stop", ki_rpc_run_stop, true},
    {"event", ki_rpc_run_event, true},
    {"query", ki_rpc_run_query, true},
    {"respond", ki_rpc_run_respond, true},
    {"install-key", ki_rpc_run_install_key, true},
    {"use-key", ki_rpc_run_use_key, true},
    {"remove-key", ki_rpc_run_remove_key, true},
    {"list-keys", ki_rpc_run_list_keys, false},
    {"get-coordinate", ki_rpc_run_get_coordinate, true},
    {"kith-members", ki_rpc_run_kith_members, false},
    {"kith-info", ki_rpc_run_kith_info, false},
    {"kith-event", ki_rpc_run_kith_event, true},
    {"kith-query", ki_rpc_run_kith_query, true},
    {"kith-stream", ki_rpc_run_kith_stream, true},
    {"kith-aggregates", ki_rpc_run_kith_aggregates, false},
    {"kith-aggregate", ki_rpc_run_kith_aggregate, true},
    {"kith-gauge-set", ki_rpc_run_kith_gauge_set, true},
    {"kith-gauge-clear", ki_rpc_run_kith_gauge_clear, true},
};

/* ---- handshake and authentication ---- */

static bool rpc_request_handshake(struct ki_rpc_conn *conn, struct ki_reader *body)
{
    struct handshake {
        int64_t version;
    } request = {0};
    static const struct ki_field fields[] = {
        KI_FIELD(struct handshake, version, "Version", KI_FIELD_I64, 0, false),
    };
    if (!ki_unpack_struct(body, fields, KI_COUNT(fields), &request))
        return false;
    const char *error = "";
    if (conn->handshaken) {
        error = "Handshake already performed";
    } else if (request.version != RPC_VERSION) {
        error = "Unsupported IPC version";
    } else {
        conn->handshaken = true;
        if (conn->authenticated)
            conn->deadline_ms = 0;
    }
    ki_rpc_reply(conn, conn->seq, error, NULL, NULL);
    return true;
}

/* Looks at every byte of the client's text, and at the key's length only in the result. */
static bool rpc_request_key_equal(const char *key, struct ki_span given)
{
    size_t len = strlen(key);
    unsigned difference = len != given.len;
    for (size_t i = 0; i < given.len; i++)
        difference |= (unsigned)(given.ptr[i] ^ (uint8_t)key[i % len]);
    return difference == 0;
}

static bool rpc_request_auth(struct ki_rpc_conn *conn, struct ki_reader *body)
{
    struct auth {
        struct ki_span key;
    } request = {{NULL, 0}};
    static const struct ki_field fields[] = {
        KI_FIELD(struct auth, key, "AuthKey", KI_FIELD_STR, 0, false),
    };
    if (!ki_unpack_struct(body, fields, KI_COUNT(fields), &request))
        return false;
    const char *key = conn->rpc->auth_key;
    if (!key || rpc_request_key_equal(key, request.key)) {
        conn->authenticated = true;
        conn->deadline_ms = 0;
        ki_rpc_reply(conn, conn->seq, "", NULL, NULL);
        return true;
    }
    conn->rpc->counts[KI_RPC_AUTH_FAILURES]++;
    ki_log(conn->rpc->log, KI_LOG_WARN, "agent.ipc", "A client gave a wrong authentication token");
    ki_rpc_reply(conn, conn->seq, "Invalid authentication token", NULL, NULL);
    return true;
}

/* ---- dispatch ---- */

/* Stands in for a command that may not run yet. */
static bool rpc_request_refused(struct ki_rpc_conn *conn, struct ki_reader *body)
{
    (void)body;
    ki_rpc_reply(conn, conn->seq, "Authentication required", NULL, NULL);
    return true;
}

static enum ki_rpc_step rpc_request_run(struct ki_rpc_conn *conn, struct ki_reader *body)
{
    const struct ki_rpc_command *command = conn->command;
    conn->command = NULL;
    conn->rpc->counts[KI_RPC_REQUESTS]++;
    bool greeting = command->run == rpc_request_handshake || command->run == rpc_request_auth;
    ki_rpc_run *run = conn->authenticated || greeting ? command->run : rpc_request_refused;
    return run(conn, body) ? KI_RPC_STEP_DONE : KI_RPC_STEP_CLOSE;
}

static const struct ki_rpc_command *rpc_request_find(struct ki_span name)
{
    for (size_t i = 0; i < KI_COUNT(rpc_request_commands); i++) {
        const struct ki_rpc_command *command = &rpc_request_commands[i];
        if (ki_span_equal(name, ki_span(command->name, strlen(command->name))))
            return command;
    }
    return NULL;
}

static enum ki_rpc_step rpc_request_header(struct ki_rpc_conn *conn, struct ki_reader *object)
{
    struct header {
        struct ki_span command;
        uint64_t seq;
    } header = {{NULL, 0}, 0};
    static const struct ki_field fields[] = {
        KI_FIELD(struct header, command, "Command", KI_FIELD_STR, 0, false),
        KI_FIELD(struct header, seq, "Seq", KI_FIELD_U64, 1, false),
    };
    if (!ki_unpack_struct(object, fields, KI_COUNT(fields), &header))
        return KI_RPC_STEP_CLOSE;
    conn->seq = header.seq;
    conn->command = rpc_request_find(header.command);
    if (!conn->handshaken && (!conn->command || conn->command->run != rpc_request_handshake)) {
        ki_rpc_reply(conn, header.seq, "Handshake required", NULL, NULL);
        return KI_RPC_STEP_CLOSE;
    }
    if (!conn->command) {
        const char *error = conn->authenticated ? "Unsupported command" : "Authentication required";
        ki_rpc_reply(conn, header.seq, error, NULL, NULL);
        return KI_RPC_STEP_CLOSE;
    }
    return conn->command->has_body ? KI_RPC_STEP_DONE : rpc_request_run(conn, NULL);
}

/* Where the body ends nobody knows, so the connection ends, too. */
static void rpc_request_too_large(struct ki_rpc_conn *conn)
{
    char error[256];
    snprintf(error, sizeof error,
             "the request has more than %zu bytes, and no event or query may be that large: send less, or raise "
             "event_size_max and query_size_max of all agents",
             conn->frame.limit);
    ki_rpc_reply(conn, conn->seq, error, NULL, NULL);
}

enum ki_rpc_step ki_rpc_step(struct ki_rpc_conn *conn)
{
    if (conn->in_len <= conn->frame.scanned)
        return KI_RPC_STEP_MORE;
    const uint8_t *start = conn->in + conn->in_start;
    enum ki_rpc_frame_state state = ki_rpc_frame_scan(&conn->frame, start, conn->in_len);
    if (state == KI_RPC_FRAME_LARGE && conn->command)
        rpc_request_too_large(conn);
    if (state != KI_RPC_FRAME_WHOLE)
        return state == KI_RPC_FRAME_MORE ? KI_RPC_STEP_MORE : KI_RPC_STEP_CLOSE;
    struct ki_reader object = ki_reader(start, conn->frame.scanned);
    conn->in_start += conn->frame.scanned;
    conn->in_len -= conn->frame.scanned;
    enum ki_rpc_step step =
        conn->command ? rpc_request_run(conn, &object) : rpc_request_header(conn, &object);
    ki_rpc_frame_start(&conn->frame, conn->command ? ki_rpc_body_max(conn->rpc) : KI_RPC_HEADER_MAX);
    return step;
}
