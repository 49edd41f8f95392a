/* One client of the RPC, between the files of the server:
 *
 *     rpc.c           sockets: accepting, reading, writing, closing, time limits
 *     rpc_request.c   bytes -> requests: framing, the table of commands, handshake and authentication
 *     rpc_commands.c  the commands that look, and those not supported
 *     rpc_asks.c      the commands that change something, and end later
 *     rpc_streams.c   stream, monitor, stop
 *     rpc_reply.c     what answers hold
 */
#ifndef KI_AGENT_RPC_CONN_H
#define KI_AGENT_RPC_CONN_H

#include "agent/agent.h"
#include "agent/rpc.h"
#include "agent/rpc_frame.h"
#include "base/list.h"
#include "wire/msgpack.h"

#define KI_RPC_CLIENTS_MAX 64
#define KI_RPC_STREAMS_MAX 16          /* of one client */
#define KI_RPC_HEADER_MAX  (64u << 10) /* bytes; Serf's are about 30 */
#define KI_RPC_BODY_MAX    (1u << 20)  /* bytes */
#define KI_RPC_INPUT_MAX   (KI_RPC_HEADER_MAX + KI_RPC_BODY_MAX)
#define KI_RPC_OUTPUT_MAX \
    (1u << 20) /* unsent bytes at which requests wait, and records are dropped */
#define KI_RPC_OUTPUT_LOW (256u << 10) /* and at which requests go on */
#define KI_RPC_ANSWER_MAX (64u << 20)  /* bytes of one answer: 100,000 members with full tags */
#define KI_RPC_GREET_MS   10000        /* for handshake and authentication */
#define KI_RPC_FLUSH_MS   1000         /* for the last answer of a connection that ends */

enum ki_rpc_count {
    KI_RPC_ACCEPTED,
    KI_RPC_REFUSED, /* more than KI_RPC_CLIENTS_MAX */
    KI_RPC_EVICTED, /* closed for a newer one before they greeted */
    KI_RPC_REQUESTS,
    KI_RPC_BAD_REQUESTS, /* malformed, too large, unknown; the connection was closed */
    KI_RPC_AUTH_FAILURES,
    KI_RPC_FAILED_ANSWERS, /* no memory, or above KI_RPC_ANSWER_MAX; the connection was closed */
    KI_RPC_DROPPED_LINES,  /* of monitors whose client reads too slowly */
    KI_RPC_DROPPED_EVENTS, /* of streams, likewise */
    KI_RPC_COUNT_COUNT
};

struct ki_rpc {
    struct ki_agent *agent;
    struct ki_log *log;
    char *auth_key; /* NULL: none */
    uv_tcp_t listener;
    uv_timer_t timer; /* time limits of connections; once a second while there are some */
    struct ki_list conns;
    size_t conn_count;
    uv_idle_t idle; /* comes back to connections that yielded */
    size_t handles; /* of the three above: not yet closed */
    bool stopping;
    void (*closed)(void *arg);
    void *closed_arg;
    uint64_t counts[KI_RPC_COUNT_COUNT];
};

struct ki_rpc_stream {
    uint64_t seq;
    uint32_t events; /* bit per enum ki_member_event */
};

struct ki_rpc_command;

struct ki_rpc_conn {
    struct ki_list link; /* in rpc.conns */
    struct ki_rpc *rpc;
    uv_tcp_t tcp;
    uint8_t *in;
    size_t in_start; /* where the next object begins */
    size_t in_len;   /* bytes from there */
    size_t in_cap;
    struct ki_rpc_frame frame; /* of that object */
    const struct ki_rpc_command
        *command; /* its header has been read, its body is being waited for */
    uint64_t seq; /* of the newest header */
    bool handshaken;
    bool authenticated;
    bool busy;            /* an ask is on its way; its answer goes before anything else is read */
    bool paused;          /* too much unsent */
    bool yielded;         /* enough done for now */
    bool reading;         /* uv_read_start is on */
    bool ended;           /* the client sends no more */
    bool finishing;       /* to be closed when all is sent */
    uint64_t deadline_ms; /* loop time at which it is closed, 0: never */
    bool monitoring;
    uint64_t monitor_seq;
    uint64_t lines_missing; /* dropped since the last line that went out */
    struct ki_log_watch log_watch;
    bool watching;
    struct ki_agent_watch member_watch;
    struct ki_rpc_stream streams[KI_RPC_STREAMS_MAX];
    size_t stream_count;
};

/* Packs the body of an answer.  Must do the same each time it is called: it is called again when the
 * buffer was small. */
typedef void ki_rpc_pack(struct ki_pack *p, const void *arg);

/* ---- rpc.c ---- */

/* Sends a header, and a body unless `pack` is NULL. */
void ki_rpc_reply(struct ki_rpc_conn *conn, uint64_t seq, const char *error, ki_rpc_pack *pack,
                  const void *arg);
/* True when records of streams and monitors must be dropped. */
bool ki_rpc_congested(const struct ki_rpc_conn *conn);
/* Closes the connection once everything is sent; requests are no longer read. */
void ki_rpc_finish(struct ki_rpc_conn *conn);
/* The ask has ended: answers are sent, go on with the next request. */
void ki_rpc_resume(struct ki_rpc_conn *conn);

/* ---- rpc_request.c ---- */

enum ki_rpc_step {
    KI_RPC_STEP_DONE, /* an object was used */
    KI_RPC_STEP_MORE, /* the next object is not there whole */
    KI_RPC_STEP_CLOSE /* no request, or one that ends the connection */
};

/* Uses the next object, if it is there whole: a header, a request without a body, or a body. */
enum ki_rpc_step ki_rpc_step(struct ki_rpc_conn *conn);

/* A command: its body is decoded by `run`, which answers.  Returns false to close the connection
 * without an answer. */
typedef bool ki_rpc_run(struct ki_rpc_conn *conn, struct ki_reader *body);

/* ---- rpc_commands.c ---- */

ki_rpc_run ki_rpc_run_members, ki_rpc_run_members_filtered, ki_rpc_run_stats,
    ki_rpc_run_get_coordinate, ki_rpc_run_kith_members, ki_rpc_run_kith_info;
/* Event, query, respond; key management: answered as not supported, in the shape each client waits for. */
ki_rpc_run ki_rpc_run_not_yet, ki_rpc_run_not_yet_keys;

/* ---- rpc_asks.c ---- */

ki_rpc_run ki_rpc_run_join, ki_rpc_run_leave, ki_rpc_run_force_leave, ki_rpc_run_tags;

/* ---- rpc_streams.c ---- */

ki_rpc_run ki_rpc_run_stream, ki_rpc_run_monitor, ki_rpc_run_stop;
/* Ends all streams and the monitor of a connection. */
void ki_rpc_unwatch(struct ki_rpc_conn *conn);

/* ---- rpc_reply.c ---- */

struct ki_rpc_members {
    const char *event; /* of a record of a stream; NULL in an answer */
    const struct kith_member *members;
    size_t count;
};
/* arg: struct ki_rpc_members.  The first in Serf's shape, the second in kith's own (with failure
 * detection's state). */
ki_rpc_pack ki_rpc_pack_members, ki_rpc_pack_kith_members;
/* arg: struct ki_rpc.  Serf's sections with strings; the other sections with numbers. */
ki_rpc_pack ki_rpc_pack_stats, ki_rpc_pack_kith_info;

/* "alive", "leaving", ...; static. */
const char *ki_rpc_status_text(enum kith_status status);

#endif
