/* What the files of the agent share; doors see agent.h only. */
#ifndef KI_AGENT_INTERNAL_H
#define KI_AGENT_INTERNAL_H

#include "agent/agent.h"
#include "agent/config.h"
#include "agent/keys.h"
#include "agent/rpc_socket.h"
#include "agent/snapshot.h"
#include "net/net.h"

struct ki_disk;
struct ki_rpc;
struct ki_redis;
struct ki_coalesce;
struct ki_coalesce_user;
struct ki_handlers;
struct ki_gauges;

/* One ask of a door or of our own start, until its done is called. */
struct ki_ask_wait {
    struct ki_agent *agent;
    struct ki_ask_wait *next;
    kith_ticket ticket; /* 0: names are being looked up, or it is ready */
    bool replay, starting, ready, is_leave;
    bool unsaved; /* tags: set, but not in their file; why says so */
    bool is_query, cancel; /* a query; it is to be ended, because nobody waits for it any more */
    int result;
    uint32_t count;
    char why[400];
    ki_agent_answer *answer; /* NULL: none are told */
    ki_agent_done *done;
    void *arg;
};

enum ki_agent_phase { KI_PHASE_RUN, KI_PHASE_LEAVE, KI_PHASE_STOP };

struct ki_agent {
    uv_loop_t loop;
    struct ki_log *log;
    struct ki_config config;
    int argc;
    char **argv;
    struct ki_tags runtime_set, runtime_deleted; /* what was changed since the start: outranks a reload */

    struct ki_net *net;
    kith *k;
    struct ki_snapshot *snapshot;
    struct ki_disk *disk;             /* NULL: the store is in memory only */
    struct ki_rpc *rpc;
    struct ki_redis *redis;
    struct kith_addr addr, rpc_bound, resp_bound; /* rpc_bound: no address if only the Unix socket is open */
    bool has_store;
    bool encrypted;
    struct ki_agent_sizes sizes;
    struct ki_rpc_socket rpc_socket;

    struct ki_ask_wait *asks;
    uv_timer_t soon; /* calls the done of what is ready */
    struct ki_coalesce *coalesce;
    struct ki_coalesce_user *coalesce_user;
    struct ki_handlers *handlers;
    struct ki_gauges *gauges; /* NULL: switched off, or not in this pool */
    struct ki_agent_watch *watches, *watch_cursor;

    enum ki_agent_phase phase;
    bool started; /* the setup succeeded */
    int exit_code;
    unsigned doors;   /* and event handlers, that have not said closed yet, at the end */
    unsigned closing; /* parts that have not said closed yet */
    uv_signal_t signals[5];
    size_t signal_count;
    uv_timer_t retry;
    uint32_t retry_attempts;
    size_t rejoin_next;
    size_t *rejoin_order;
    unsigned starting_joins; /* READY waits for them */
    bool ready_told;

    uv_poll_t dev;
    int dev_fd; /* -1: not started by `kith dev` */
    char dev_line[1024];
    size_t dev_len;
};

/* ask.c */
int ki_ask_init(struct ki_agent *agent);
struct ki_ask_wait *ki_ask_wait_new(struct ki_agent *agent, ki_agent_done *done, void *arg); /* NULL: out of memory */
/* The usual end of a call to the core that fills ask->ticket: it is waited for, or nothing is left of the ask.  Returns
 * `result`. */
int ki_ask_wait_started(struct ki_ask_wait *ask, int result);
void ki_ask_event(struct ki_agent *agent, kith_ticket ticket, int result, uint32_t count);
int ki_ask_join_addrs(struct ki_agent *agent, const struct kith_addr *addrs, size_t count, ki_agent_done *done,
                      void *arg);
void ki_ask_close(struct ki_agent *agent); /* every ask ends without a word */
int ki_ask_tags_commit(struct ki_agent *agent, const struct kith_tag *set, size_t set_count,
                       const struct kith_str *deleted, size_t deleted_count, kith_ticket *ticket);
bool ki_ask_own_tags(struct ki_agent *agent, struct ki_tags *out); /* false: out of memory */

/* ask_message.c */
void ki_ask_answer(struct ki_agent *agent, const struct kith_event *event); /* ANSWER, SILENT, FOLDED or UNCONFIRMED */

/* keys_agent.c */
void ki_keys_changed(struct ki_agent *agent, uint64_t change); /* the keyring's, as KITH_EVENT_KEYS tells it */

/* gauges.c */
int ki_gauges_start(struct ki_agent *agent); /* 0, also when there are none; or a kith_error */
void ki_gauges_close(struct ki_agent *agent);
uint64_t ki_gauge_eighths(uint64_t seconds); /* rounded down to one of eight steps in each doubling */

/* reload.c */
void ki_reload(struct ki_agent *agent); /* SIGHUP */
int ki_retag_reload(struct ki_agent *agent, const struct ki_tags *old_tags, const struct ki_tags *new_tags);

/* watch.c */
void ki_watch_members(struct ki_agent *agent, enum ki_member_event event, const struct kith_member *members,
                      size_t count);
void ki_watch_message(struct ki_agent *agent, const struct kith_event *event);

#define KI_COALESCE_QUIET_MS 1000 /* Serf's agent: quiescent period */
#define KI_COALESCE_MOST_MS 3000  /* and coalesce period */

/* coalesce.c */
int ki_coalesce_init(struct ki_agent *agent);
void ki_coalesce_event(struct ki_agent *agent, const struct kith_event *event); /* MEMBER */
void ki_coalesce_close(struct ki_agent *agent);

/* coalesce_user.c */
#define KI_USER_WAITS_MAX 1024               /* user events that wait for their while, and */
#define KI_USER_BYTES_MAX ((size_t)4 << 20)  /* bytes of them: four of the largest */
struct ki_user_gather {
    struct ki_user_wait *first, *last;
    size_t count, bytes;
    uint64_t since_ms, newest_ms; /* when the first and the last of those that wait came */
};
typedef void ki_user_tell(void *arg, const struct kith_message *message);
/* True: it waits, or is outranked by one that does.  False: there is no room for it. */
bool ki_user_gather_add(struct ki_user_gather *gather, uint64_t now_ms, const struct kith_message *message);
uint64_t ki_user_gather_due_ms(const struct ki_user_gather *gather); /* UINT64_MAX: nothing waits */
/* Gives what waits, oldest first, and forgets it.  tell may be NULL, and may add. */
void ki_user_gather_flush(struct ki_user_gather *gather, ki_user_tell *tell, void *arg);

int ki_coalesce_user_init(struct ki_agent *agent);
void ki_coalesce_user_event(struct ki_agent *agent, const struct kith_event *event); /* USER, GAP, QUERY */
uint64_t ki_coalesce_user_full(const struct ki_agent *agent); /* how many were told at once for want of room */
void ki_coalesce_user_close(struct ki_agent *agent);

/* disk_agent.c */
int ki_disk_setup(struct ki_agent *agent); /* loads the store, if there is a -data-dir; -1: told on standard error */
bool ki_disk_withholds(const struct ki_config *config); /* nothing of a write may be told before it is on the disk */

/* setup.c */
int ki_setup(struct ki_agent *agent); /* opens everything; -1: told on standard error */

/* place.c */
int ki_place_resolve(const char *text, uint16_t default_port, struct kith_addr *out, char *error, size_t cap);
int ki_place_private(const struct kith_addr *wildcard, struct kith_addr *out, char *error, size_t cap);
bool ki_place_is_private(const struct kith_addr *addr);
bool ki_place_is_public(const struct kith_addr *addr); /* neither private, nor of this machine or link alone */

/* stats.c */
void ki_stats_log(struct ki_agent *agent); /* SIGUSR1 */

/* start.c */
void ki_start_joins(struct ki_agent *agent);

/* signals.c */
int ki_signals_start(struct ki_agent *agent);
void ki_signals_close(struct ki_agent *agent);

/* dev.c */
int ki_dev_start(struct ki_agent *agent);
void ki_dev_close(struct ki_agent *agent);

/* notify.c: systemd */
void ki_notify(const char *state);
void ki_notify_status(const struct ki_agent *agent, bool ready);
void ki_notify_reloading(void);

/* run.c */
void ki_agent_stop(struct ki_agent *agent, int exit_code);
void ki_agent_part_closed(void *agent); /* the callback of whatever was counted in agent->closing */
void ki_agent_handle_closed(uv_handle_t *handle);
void ki_agent_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
