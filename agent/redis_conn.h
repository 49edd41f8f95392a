/* The Redis door, between the files of the server (redis.h names them).  Commands of data need redis.h only. */
#ifndef KI_AGENT_REDIS_CONN_H
#define KI_AGENT_REDIS_CONN_H

#include "agent/agent.h"
#include "agent/redis.h"
#include "agent/redis_names.h"
#include "agent/redis_server.h"
#include "agent/resp_read.h"
#include "base/list.h"

#define KI_REDIS_QUERY_MAX  ((size_t)1 << 30)   /* of one client's requests: client-query-buffer-limit */
#define KI_REDIS_BULK_MAX   ((size_t)512 << 20) /* proto-max-bulk-len */
#define KI_REDIS_OUTPUT_MAX ((size_t)512 << 20) /* unsent: one long reply */
#define KI_REDIS_PUSH_MAX   ((size_t)32 << 20)  /* unsent of a subscriber: client-output-buffer-limit pubsub */
#define KI_REDIS_OUTPUT_LOW ((size_t)64 << 10)  /* unsent at which requests wait until the client has read */
#define KI_REDIS_AHEAD_MAX  ((size_t)64 << 10)  /* read while a request blocks */
#define KI_REDIS_TOTAL_MAX  ((size_t)1 << 30)   /* of all clients together: beyond it, who holds the most is closed */
#define KI_REDIS_FLUSH_MS   1000                /* the last answer's time, at the end */
#define KI_REDIS_BACKUP_MAX ((size_t)1 << 30)   /* of all clients' backups together */
#define KI_REDIS_MARKS      4
#define KI_REDIS_NAMES_MAX  65536u /* channels, patterns and watched keys of one client, each */
#define KI_REDIS_NAME_CAP   64     /* of CLIENT SETNAME and its kin, kept; Redis has no limit */
#define KI_REDIS_VERSION    "7.0.15" /* whose behaviour this is */

/* A request that waits for EXEC; the arguments' bytes lie behind it. */
struct ki_redis_queued {
    struct ki_redis_queued *next;
    const struct ki_redis_entry *entry;
    size_t arg_count;
    struct ki_span args[];
};

/* Output up to `offset` may go when the rows of group `seq` are durable. */
struct ki_redis_mark {
    uint64_t offset;
    uint64_t seq;
};

struct ki_redis_client {
    uv_tcp_t tcp;
    struct ki_redis *redis;
    struct ki_list link;      /* redis->clients */
    struct ki_list held;      /* redis->held: output waits for the disk */
    struct ki_list pushed;    /* redis->pushed: messages were written */
    struct ki_list answering; /* redis->answering: requests were run in this turn of the loop */
    struct ki_resp_reader in;
    struct ki_resp_writer out;
    uint64_t id;
    uint64_t since_ms, active_ms, deadline_ms; /* deadline 0: none */
    uint64_t sent;                             /* bytes of output that have left */
    size_t counted;                            /* of memory, in redis->bytes */
    char name[KI_REDIS_NAME_CAP], lib_name[KI_REDIS_NAME_CAP], lib_version[KI_REDIS_NAME_CAP];
    const struct ki_redis_entry *last;
    kith_ticket wait; /* WAIT: not 0 while it blocks */
    struct ki_redis_backup *backup; /* being fetched, or restored; or NULL */

    bool authenticated;
    bool reading;
    bool ended;     /* no more requests will come */
    bool writing;   /* a piece is on its way through uv_write() */
    bool finishing; /* closes when the output is out */
    bool deaf;      /* finishing: without the output */

    bool in_multi, multi_broken; /* a request was refused: EXEC will be */
    bool in_exec;
    bool watch_broken; /* a watched key has changed */
    struct ki_redis_queued *queue, **queue_end;
    size_t queue_count, queue_bytes;
    struct ki_redis_names_user watches, channels, patterns;

    struct ki_redis_mark marks[KI_REDIS_MARKS];
    size_t mark_count;
};

enum ki_redis_count {
    KI_REDIS_ACCEPTED,
    KI_REDIS_REJECTED,
    KI_REDIS_COMMANDS,
    KI_REDIS_CLOSED_QUERY,  /* requests too large */
    KI_REDIS_CLOSED_OUTPUT, /* answers not taken */
    KI_REDIS_CLOSED_TOTAL,  /* all clients together held too much */
    KI_REDIS_BROKEN,        /* not the protocol */
    KI_REDIS_BYTES_IN,
    KI_REDIS_BYTES_OUT,
    KI_REDIS_HITS,
    KI_REDIS_MISSES,
    KI_REDIS_COUNTS
};

#define KI_REDIS_LOOKUP 1024 /* slots of the table of names; a power of two, several times the table */

struct ki_redis {
    uv_tcp_t listener;
    uv_prepare_t prepare; /* before the loop sleeps: what the requests of this turn have brought about goes out */
    uv_idle_t linger;     /* while it runs the loop does not sleep */
    uint64_t asked_ns;    /* when requests were run last; uv_hrtime() */
    uv_timer_t timer;
    struct ki_redis_config config;
    struct ki_log *log;
    struct kith_addr bound;
    char *password; /* NULL: everyone may */
    struct ki_list clients, held, pushed, answering;
    size_t client_count, blocked_count, handles;
    size_t bytes; /* of all clients' requests and answers */
    size_t backup_bytes;
    uint64_t next_backup;
    struct ki_redis_client *restoring; /* or NULL */
    uint64_t next_id, start_ms, random;
    uint64_t counts[KI_REDIS_COUNTS];
    bool stopping;
    bool busy; /* requests were run in this turn of the loop */
    uint64_t attack_ms;
    void (*closed)(void *arg);
    void *closed_arg;

    unsigned notify; /* KI_REDIS_NOTIFY_ bits */
    struct ki_redis_names watched, channels, patterns;
    size_t dropped_counter; /* the core's changes_dropped, by number */
    uint64_t dropped_seen;

    uint8_t *spare_in, *spare_out; /* buffers for clients that have none: one that is idle needs none */
    size_t spare_in_cap, spare_out_cap;
    uint16_t lookup[KI_REDIS_LOOKUP]; /* 1 + the row; 0: none */
};

/* ---- redis.c ---- */

void ki_redis_finish(struct ki_redis_client *client); /* closes when what is written has gone out */
void ki_redis_close(struct ki_redis_client *client);  /* at once */
void ki_redis_resume(struct ki_redis_client *client); /* what it waited for is there: runs and sends */
void ki_redis_peer(const struct ki_redis_client *client, char peer[64], char local[64]);
static inline bool ki_redis_closing(const struct ki_redis_client *client)
{
    return uv_is_closing((const uv_handle_t *)&client->tcp);
}

/* ---- redis_send.c ---- */

/* Sends what may go. */
void ki_redis_flush(struct ki_redis_client *client);
/* What is unsent now tells of rows that may not be durable yet: it waits for them. */
void ki_redis_hold(struct ki_redis_client *client);

/* ---- redis_run.c ---- */

void ki_redis_lookup_init(struct ki_redis *redis);
const struct ki_redis_entry *ki_redis_find(const struct ki_redis *redis, struct ki_span name);
/* Runs a command that was found to be allowed, and refuses it for keys that are aggregates. */
void ki_redis_execute(struct ki_redis_call *call, const struct ki_redis_entry *entry);
/* Runs the reader's request. */
void ki_redis_run(struct ki_redis_client *client, struct kith_time now);
/* The error for a wrong count of arguments; of a subcommand, "config|get". */
void ki_redis_arity(struct ki_redis_call *call, const char *name);
/* "unknown subcommand". */
void ki_redis_subcommand(struct ki_redis_call *call, const char *command);
/* One of a container's commands.  arity counts the container's name too. */
struct ki_redis_sub {
    const char *name; /* in capitals */
    int arity;
    ki_redis_command *run;
};
void ki_redis_container(struct ki_redis_call *call, const char *command, const struct ki_redis_sub *subs, size_t count);

/* ---- redis_connection.c ---- */

/* Takes a name without blanks.  false: an error was written, which calls it `what`. */
bool ki_redis_name_set(struct ki_redis_call *call, struct ki_span name, const char *what, char out[KI_REDIS_NAME_CAP]);

/* ---- redis_multi.c ---- */

void ki_redis_queue(struct ki_redis_call *call, const struct ki_redis_entry *entry);
void ki_redis_multi_end(struct ki_redis_client *client);
void ki_redis_unwatch_all(struct ki_redis_client *client);

/* ---- redis_notify.c ---- */

enum {
    KI_REDIS_NOTIFY_KEYSPACE = 1,
    KI_REDIS_NOTIFY_KEYEVENT = 2,
    KI_REDIS_NOTIFY_GENERIC = 4,
    KI_REDIS_NOTIFY_STRING = 8,
    KI_REDIS_NOTIFY_LIST = 16,
    KI_REDIS_NOTIFY_SET = 32,
    KI_REDIS_NOTIFY_HASH = 64,
    KI_REDIS_NOTIFY_SORTED = 128,
    KI_REDIS_NOTIFY_EXPIRED = 256,
    KI_REDIS_NOTIFY_EVICTED = 512,
    KI_REDIS_NOTIFY_STREAM = 1024,
    KI_REDIS_NOTIFY_MISS = 2048,
    KI_REDIS_NOTIFY_MODULE = 4096,
    KI_REDIS_NOTIFY_NEW = 8192
};
#define KI_REDIS_NOTIFY_TEXT 20
/* Reads "KEA" and its like.  false: a letter that is none. */
bool ki_redis_notify_parse(struct ki_span text, unsigned *out);
void ki_redis_notify_print(unsigned flags, char out[KI_REDIS_NOTIFY_TEXT]);
/* Somebody has become interested in changes. */
void ki_redis_interest(struct ki_redis *redis);
/* Takes what has changed: watched keys, notifications. */
void ki_redis_changes(struct ki_redis *redis);
/* Writes a message to those who hear this channel; ki_redis_tell_end() sends, when all are written. */
void ki_redis_tell(struct ki_redis *redis, struct ki_span channel, struct ki_span message);
void ki_redis_tell_end(struct ki_redis *redis);
void ki_redis_unsubscribe_all(struct ki_redis_client *client);
static inline size_t ki_redis_subscriptions(const struct ki_redis_client *client)
{
    return client->channels.count + client->patterns.count;
}

/* ---- redis_backup.c ---- */

/* Gives up what the client fetches or restores, if it does. */
void ki_redis_backup_end(struct ki_redis_client *client);

/* ---- commands of the server's own ---- */

ki_redis_command ki_redis_ping, ki_redis_echo, ki_redis_hello, ki_redis_auth, ki_redis_select, ki_redis_quit,
    ki_redis_reset, ki_redis_client_command, ki_redis_post;
ki_redis_command ki_redis_command_command;
ki_redis_command ki_redis_config_command, ki_redis_info, ki_redis_memory, ki_redis_object;
ki_redis_command ki_redis_multi, ki_redis_exec, ki_redis_discard, ki_redis_watch, ki_redis_unwatch;
ki_redis_command ki_redis_publish, ki_redis_pubsub;
ki_redis_command ki_redis_subscribe, ki_redis_psubscribe, ki_redis_unsubscribe, ki_redis_punsubscribe;
ki_redis_command ki_redis_wait, ki_redis_mvset, ki_redis_mvget, ki_redis_holders, ki_redis_status;
ki_redis_command ki_redis_backup, ki_redis_restore;
ki_redis_command ki_redis_dbsize, ki_redis_keys, ki_redis_scan_command, ki_redis_randomkey, ki_redis_type,
    ki_redis_exists, ki_redis_del;
ki_redis_command ki_redis_expire, ki_redis_pexpire, ki_redis_expireat, ki_redis_pexpireat, ki_redis_ttl, ki_redis_pttl,
    ki_redis_expiretime, ki_redis_pexpiretime, ki_redis_persist;
ki_redis_command ki_redis_get, ki_redis_set, ki_redis_setnx, ki_redis_setex, ki_redis_psetex, ki_redis_getset,
    ki_redis_getdel, ki_redis_getex, ki_redis_mget, ki_redis_mset, ki_redis_msetnx;
ki_redis_command ki_redis_incr, ki_redis_decr, ki_redis_incrby, ki_redis_decrby, ki_redis_incrbyfloat;
ki_redis_command ki_redis_strlen, ki_redis_append, ki_redis_getrange, ki_redis_setrange, ki_redis_setbit,
    ki_redis_getbit, ki_redis_bitcount;

#endif
