/* One client of the RPC, between the files of the server:
 *
 *     rpc.c           sockets: accepting, reading, writing, closing, time limits
 *     rpc_request.c   bytes -> requests: framing, the table of commands, handshake and authentication
 *     rpc_commands.c  the commands that look
 *     rpc_asks.c      the commands that change something, and end later
 *     rpc_messages.c  event, query, respond, and kith's own event
 *     rpc_fold.c      kith's own query, whose answers are folded
 *     rpc_keys.c      the keyring's commands
 *     rpc_aggregates.c  aggregates and gauges
 *     rpc_gather.c    what members answer, gathered for one answer
 *     rpc_streams.c   stream and kith-stream, stop
 *     rpc_kept.c      the last events, for kith-stream
 *     rpc_monitor.c   monitor
 *     rpc_reply.c     what answers hold
 *     rpc_record.c    what records hold
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
#define KI_RPC_QUERIES_MAX 16          /* of one client, not yet done */
#define KI_RPC_PENDING_MAX 256         /* queries that one client was told of and may respond to; the newest */
#define KI_RPC_FILTER_MAX  (4u << 10)  /* bytes of a stream's filter */
#define KI_RPC_GATHER_MAX  65536       /* members that one answer tells about */
#define KI_RPC_KEYS_MAX    1024        /* keys that list-keys tells */
#define KI_RPC_HEADER_MAX  (64u << 10) /* bytes; Serf's are about 30 */
#define KI_RPC_BODY_MIN    (1u << 20)  /* bytes that a body may have at least, */
#define KI_RPC_AROUND_MAX  (64u << 10) /* and what is around the largest payload */
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
    KI_RPC_DROPPED_EVENTS, /* of streams, likewise; and answers to its queries */
    KI_RPC_REFUSED_ASKS,   /* streams and queries beyond those that one client may have */
    KI_RPC_FORGOTTEN_QUERIES, /* that a client could have responded to: newer ones took their place */
    KI_RPC_UNKEPT_EVENTS,  /* larger than what is kept for kith-stream, or no memory */
    KI_RPC_COUNT_COUNT
};

/* An event as streams tell it. */
struct ki_rpc_record {
    uint64_t index;              /* the agent's running number */
    const char *event;           /* static: "member-join", "user", "query", "gap" */
    struct ki_span members;      /* of member events: the array, packed */
    struct kith_message message; /* of the others */
};

/* The last records (rpc_kept.c): those from `first` to before `next` are at their index modulo cap. */
struct ki_rpc_kept {
    struct ki_rpc_kept_record **records; /* NULL where one could not be kept */
    size_t cap;
    uint64_t bytes, bytes_max;
    uint64_t begin, first, next;
};

struct ki_rpc {
    struct ki_agent *agent;
    struct ki_log *log;
    char *auth_key; /* NULL: none */
    uv_tcp_t listener;
    uv_pipe_t unix_listener;
    bool has_tcp, has_unix;
    uv_timer_t timer; /* time limits of connections; once a second while there are some */
    struct ki_list conns;
    size_t conn_count;
    uv_idle_t idle; /* comes back to connections that yielded */
    size_t handles; /* of the four above: not yet closed */
    struct ki_agent_watch watch;
    struct ki_rpc_kept kept;
    bool stopping;
    void (*closed)(void *arg);
    void *closed_arg;
    uint64_t counts[KI_RPC_COUNT_COUNT];
};

struct ki_rpc_stream {
    uint64_t seq;
    uint8_t *filter;       /* words between commas; released with free() */
    size_t filter_len;
    bool indexed;          /* kith-stream: */
    uint64_t next;         /* index of the record to tell next */
};

/* A query that a client was told of, and may respond to. */
struct ki_rpc_pending {
    uint64_t id; /* 0: none */
    uint64_t query;
    uint64_t until_us;
    bool answered;
};

/* A query that a client asks: its records go out under `seq`. */
struct ki_rpc_query {
    struct ki_rpc_query *next;
    struct ki_rpc_conn *conn;
    uint64_t seq;
};

/* What members say to one ask. */
enum ki_rpc_group {
    KI_RPC_MISSING,  /* kith-event, kith-query: names */
    KI_RPC_UNABLE,   /* likewise */
    KI_RPC_MESSAGES, /* keys: name and text */
    KI_RPC_KEYS,     /* keys: in base64, and how many have it */
    KI_RPC_GROUP_COUNT
};
struct ki_rpc_gather {
    struct ki_rpc_said *said[KI_RPC_GROUP_COUNT];
    size_t counts[KI_RPC_GROUP_COUNT];
    uint32_t nodes, responses, errors;
    uint8_t *folded; /* what a folded query has come to, as the core tells it; NULL: nothing yet */
    size_t folded_len;
    bool lost; /* some of it found no memory, or no room */
};

struct ki_rpc_command;

struct ki_rpc_conn {
    struct ki_list link; /* in rpc.conns */
    struct ki_rpc *rpc;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } socket;
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
    bool draining;        /* and when the client has said all; nobody listens to it any more */
    uv_shutdown_t half;   /* our half is closed by it */
    uint64_t deadline_ms; /* loop time at which it is closed, 0: never */
    bool monitoring;
    uint64_t monitor_seq;
    uint64_t lines_missing; /* dropped since the last line that went out */
    struct ki_log_watch log_watch;
    struct ki_rpc_stream streams[KI_RPC_STREAMS_MAX];
    size_t stream_count;
    struct ki_rpc_query *queries;
    size_t query_count;
    struct ki_rpc_pending pending[KI_RPC_PENDING_MAX]; /* at their id modulo the size */
    uint64_t pending_id;                               /* of the newest */
    struct ki_rpc_gather gather;                       /* of the ask it is busy with; empty otherwise */
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

/* Bytes that a request's body may have: one that carries the largest event, query or answer of this agent. */
static inline size_t ki_rpc_body_max(const struct ki_rpc *rpc)
{
    struct ki_agent_sizes sizes = ki_agent_sizes(rpc->agent);
    size_t payload = ki_max_u64(ki_max_u64(sizes.event, sizes.query), ki_max_u64(sizes.response, KI_RPC_BODY_MIN));
    return payload + KI_RPC_AROUND_MAX;
}

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

/* ---- rpc_asks.c ---- */

ki_rpc_run ki_rpc_run_join, ki_rpc_run_leave, ki_rpc_run_force_leave, ki_rpc_run_tags;

static inline struct kith_str ki_rpc_str(struct ki_span bytes)
{
    return (struct kith_str){.ptr = (const char *)bytes.ptr, .len = bytes.len};
}
/* The ask was accepted (status 0: the connection is busy), or refused with `error`. */
void ki_rpc_ask_begun(struct ki_rpc_conn *conn, int status, const char *error, ki_rpc_pack *pack, const void *arg);
/* Answers an ask, and goes on with the next request. */
void ki_rpc_ask_end(struct ki_rpc_conn *conn, const char *error, ki_rpc_pack *pack, const void *arg);
/* Reads an array or a map of strings (nil: none); released with free().  False: malformed, or no memory. */
bool ki_rpc_read_strings(struct ki_span object, struct kith_str **items, size_t *count);
bool ki_rpc_read_tags(struct ki_span object, struct kith_tag **tags, size_t *count);

/* ---- rpc_messages.c ---- */

ki_rpc_run ki_rpc_run_event, ki_rpc_run_query, ki_rpc_run_respond, ki_rpc_run_kith_event;
/* The number under which this client may respond. */
uint64_t ki_rpc_pend(struct ki_rpc_conn *conn, const struct kith_message *query);
/* Ends the client's own queries. */
void ki_rpc_drop_queries(struct ki_rpc_conn *conn);

#define KI_RPC_ERROR_TEXT 512 /* bytes of an error */

/* A query as a client wants it. */
struct ki_rpc_asked {
    struct kith_query query;
    struct kith_str *nodes; /* what it borrows, */
    struct kith_tag *tags;  /* besides the body */
};
/* False: malformed, or no memory.  Free it in either case. */
bool ki_rpc_read_query(struct ki_reader *body, struct ki_rpc_asked *asked);
void ki_rpc_free_query(struct ki_rpc_asked *asked);
/* Why a query is refused. */
void ki_rpc_query_error(struct ki_rpc_conn *conn, int status, const struct kith_query *query,
                        char out[KI_RPC_ERROR_TEXT]);

/* ---- rpc_fold.c ---- */

ki_rpc_run ki_rpc_run_kith_query;

/* ---- rpc_keys.c ---- */

ki_rpc_run ki_rpc_run_install_key, ki_rpc_run_use_key, ki_rpc_run_remove_key, ki_rpc_run_list_keys;

/* ---- rpc_aggregates.c ---- */

ki_rpc_run ki_rpc_run_kith_aggregates, ki_rpc_run_kith_aggregate, ki_rpc_run_kith_gauge_set, ki_rpc_run_kith_gauge_clear;

/* ---- rpc_gather.c ---- */

/* Notes name and text; with `counted`, one more for a name that is there already.  What finds no room (`max`) or memory is
 * noted in gather->lost. */
void ki_rpc_gather_add(struct ki_rpc_gather *gather, enum ki_rpc_group group, struct kith_str name, struct kith_str text,
                       bool counted, size_t max);
void ki_rpc_gather_clear(struct ki_rpc_gather *gather);
/* As [name], as {name: text}, as {name: how many}. */
void ki_rpc_pack_gathered_names(struct ki_pack *p, const struct ki_rpc_gather *gather, enum ki_rpc_group group);
void ki_rpc_pack_gathered_texts(struct ki_pack *p, const struct ki_rpc_gather *gather, enum ki_rpc_group group);
void ki_rpc_pack_gathered_counts(struct ki_pack *p, const struct ki_rpc_gather *gather, enum ki_rpc_group group);

/* ---- rpc_streams.c ---- */

ki_rpc_run ki_rpc_run_stream, ki_rpc_run_kith_stream, ki_rpc_run_stop;
/* What the agent's watch calls; arg: struct ki_rpc. */
void ki_rpc_tell_members(void *arg, enum ki_member_event event, const struct kith_member *members, size_t count);
void ki_rpc_tell_message(void *arg, const struct kith_event *event);
/* Sends to the kith-streams of a connection what they have not been told yet, as long as the client takes it. */
void ki_rpc_catch_up(struct ki_rpc_conn *conn);
/* Ends all streams and the monitor of a connection. */
void ki_rpc_unwatch(struct ki_rpc_conn *conn);

/* ---- rpc_kept.c ---- */

bool ki_rpc_kept_init(struct ki_rpc_kept *kept, size_t cap, uint64_t bytes_max, uint64_t first_index); /* false: no memory */
void ki_rpc_kept_free(struct ki_rpc_kept *kept);
/* Gives the record its number, and keeps a copy.  False: it has a number, but was not kept.  NULL: an event that could not
 * even be made a record of takes its number. */
bool ki_rpc_kept_add(struct ki_rpc_kept *kept, struct ki_rpc_record *record);
/* The record of this number, or NULL; then *last is the last number from there on of which there is none either. */
const struct ki_rpc_record *ki_rpc_kept_find(const struct ki_rpc_kept *kept, uint64_t index, uint64_t *last);

/* ---- rpc_monitor.c ---- */

ki_rpc_run ki_rpc_run_monitor;
void ki_rpc_end_monitor(struct ki_rpc_conn *conn);

/* ---- rpc_reply.c ---- */

struct ki_rpc_members {
    const struct kith_member *members;
    size_t count;
};
/* arg: struct ki_rpc_members.  The first in Serf's shape, the second in kith's own (with failure
 * detection's state). */
ki_rpc_pack ki_rpc_pack_members, ki_rpc_pack_kith_members;
void ki_rpc_pack_member_array(struct ki_pack *p, const struct kith_member *members, size_t count);
/* arg: struct ki_rpc.  Serf's sections with strings; the other sections with numbers. */
ki_rpc_pack ki_rpc_pack_stats, ki_rpc_pack_kith_info;

/* ---- rpc_record.c ---- */

struct ki_rpc_told {
    const struct ki_rpc_record *record;
    uint64_t id;  /* of a query: what to respond to */
    bool indexed; /* kith-stream's shape, rather than Serf's */
};
ki_rpc_pack ki_rpc_pack_record; /* arg: struct ki_rpc_told */

struct ki_rpc_missing {
    uint64_t from, to;
};
ki_rpc_pack ki_rpc_pack_missing; /* arg: struct ki_rpc_missing, indices */

/* One record of a query. */
struct ki_rpc_answer {
    const char *type; /* "ack", "response", "done" */
    struct kith_str from;
    struct kith_str payload;
};
ki_rpc_pack ki_rpc_pack_answer; /* arg: struct ki_rpc_answer */

/* "alive", "leaving", ...; static. */
const char *ki_rpc_status_text(enum kith_status status);

#endif
