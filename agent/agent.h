/* The agent, as its doors (RPC today) see it.  Everything runs on one libuv loop, on one thread.
 *
 * A door reads the core through ki_agent_kith() (const calls only) and asks for changes through the functions
 * below; an ask that takes time ends with one call of its ki_agent_done.  Members, strings and tags that a door is
 * given are borrowed until it returns or calls the agent again. */
#ifndef KI_AGENT_H
#define KI_AGENT_H

#include "agent/log.h"
#include "kith/aggregate.h"
#include "kith/event.h"
#include "kith/kith.h"

#include <uv.h>

struct ki_agent;

uv_loop_t *ki_agent_loop(struct ki_agent *agent);
const kith *ki_agent_kith(const struct ki_agent *agent);
struct ki_log *ki_agent_log(struct ki_agent *agent);

/* ---- asks ---- */

/* Ends an ask.  result: 0 or a kith_error; count: members reached (join); why: NULL on success, else a sentence for
 * the user, borrowed for the call.  Never called from inside the ask itself. */
typedef void ki_agent_done(void *arg, int result, uint32_t count, const char *why);

/* Each returns 0, and then calls done once; or a kith_error, and then never does.  done may be NULL. */

/* targets: [name/]host[:port], IPv6 in brackets, names looked up without blocking, all addresses tried. */
int ki_agent_join(struct ki_agent *agent, const struct kith_str *targets, size_t count, bool replay,
                  ki_agent_done *done, void *arg);
/* Leaves gracefully; after done the agent shuts down by itself with exit code 0 (ki_rpc_stop() flushes the answer).
 * A second ask while leaving waits for the same end. */
int ki_agent_leave(struct ki_agent *agent, ki_agent_done *done, void *arg);
/* KITH_ERR_NOT_FOUND is not an error here, as in Serf: an unknown name is told to the pool and done gets 0. */
int ki_agent_force_leave(struct ki_agent *agent, struct kith_str name, bool prune, ki_agent_done *done, void *arg);
/* Deletes first, then sets, as one group; the tags file is rewritten.  KITH_ERR_ARG: too long, empty or own key,
 * a NUL in it.  done gets an error when the tags are set but the file could not be written. */
int ki_agent_tags(struct ki_agent *agent, const struct kith_tag *set, size_t set_count, const struct kith_str *deleted,
                  size_t deleted_count, ki_agent_done *done, void *arg);
/* The client that asked is gone: neither done nor answer with this arg is called any more.  The asks go on, but
 * queries, which nobody waits for now, are ended. */
void ki_agent_forget(struct ki_agent *agent, const void *arg);

/* ---- events, queries, keys (event.h says what these take and return) ---- */

/* One ANSWER (query, keys), SILENT or FOLDED (folded query) or UNCONFIRMED (event) of an ask that goes on; borrowed for the
 * call, in which the agent may not be asked anything. */
typedef void ki_agent_answer(void *arg, const struct kith_event *event);

/* done's count: how many members are known to have it, if confirmation was asked for. */
int ki_agent_event(struct ki_agent *agent, const struct kith_user_event *event, ki_agent_answer *answer,
                   ki_agent_done *done, void *arg);
int ki_agent_query(struct ki_agent *agent, const struct kith_query *query, ki_agent_answer *answer, ki_agent_done *done,
                   void *arg);
int ki_agent_change_keys(struct ki_agent *agent, enum kith_key_change change, const struct kith_key *key,
                         ki_agent_answer *answer, ki_agent_done *done, void *arg);
/* Ends at once.  query: of a QUERY that a watch was told. */
int ki_agent_respond(struct ki_agent *agent, uint64_t query, struct kith_str payload);

/* What the sizes of messages may be, bytes: for who explains a KITH_ERR_TOO_LONG. */
struct ki_agent_sizes {
    uint32_t event, query, response;
};
struct ki_agent_sizes ki_agent_sizes(const struct ki_agent *agent);

/* ---- aggregates (aggregate.h says what these take and return); each ends at once ---- */

#define KI_ENGINE_WORDS {"auto", "exact", "network"} /* as in enum kith_engine */

bool ki_agent_aggregate_next(struct ki_agent *agent, size_t *cursor, struct kith_aggregate *out);
int ki_agent_aggregate_find(struct ki_agent *agent, struct kith_str name, struct kith_aggregate *out);
int ki_agent_aggregate_read(struct ki_agent *agent, struct kith_str name, enum kith_engine engine,
                            struct kith_aggregate_answer *out);
int ki_agent_aggregate_quantile(struct ki_agent *agent, struct kith_str name, enum kith_engine engine, double q,
                                double *value, double *rank_error);
int ki_agent_aggregate_list(struct ki_agent *agent, struct kith_str name, enum kith_engine engine, bool from_largest,
                            struct kith_place *out, size_t cap, size_t *count);

/* Whether it is one of those that the agent itself sets. */
bool ki_agent_gauge_is_own(const struct ki_agent *agent, struct kith_str name);
/* Opens it if it is not open, and sets it.  schema NULL: as it is open; else as the pool has it; else the defaults.
 * KITH_ERR_REFUSED: it is one of the agent's own.  After any error all is as it was. */
int ki_agent_gauge_set(struct ki_agent *agent, struct kith_str name, double value, const struct kith_schema *schema);
/* Closes it.  KITH_ERR_REFUSED as above. */
int ki_agent_gauge_clear(struct ki_agent *agent, struct kith_str name);

/* ---- numbers ---- */

/* Visits every statistic; those of one section come one after another, sections and keys in a fixed order.  Serf's
 * sections (agent, runtime, serf, tags, event_handlers: empty ones are visited once with key NULL), then kith, net, disk,
 * handlers and counters (every counter of the core by its name). */
typedef void ki_agent_stat(void *arg, const char *section, const char *key, const char *value);
void ki_agent_stats(const struct ki_agent *agent, ki_agent_stat *visit, void *arg);

/* ---- member events, coalesced as Serf's agent does (3 s at most, 1 s of quiet; repeats suppressed) ---- */

enum ki_member_event {
    KI_MEMBER_JOIN,
    KI_MEMBER_LEAVE,
    KI_MEMBER_FAILED,
    KI_MEMBER_UPDATE,
    KI_MEMBER_REAP,
    KI_MEMBER_EVENT_COUNT
};

/* "member-join" and so on; static. */
const char *ki_member_event_name(enum ki_member_event event);

/* Owned by the watcher; must be unwatched before it goes, and not from inside its own call of another's. */
struct ki_agent_watch {
    void (*members)(void *arg, enum ki_member_event event, const struct kith_member *members, size_t count);
    /* USER, GAP and QUERY, as they come (coalesced ones after their while); borrowed.  NULL: does not care. */
    void (*message)(void *arg, const struct kith_event *event);
    void *arg;
    struct ki_agent_watch *next;
};
void ki_agent_watch(struct ki_agent *agent, struct ki_agent_watch *watch);
/* Safe at any time, also from inside watch->members. */
void ki_agent_unwatch(struct ki_agent *agent, struct ki_agent_watch *watch);

/* ---- kith dev ---- */

/* `kith dev` starts its agents with KITH_DEV_FD=N, N being one end of a socketpair it keeps the other end of.  On it
 * the agent takes lines:
 *
 *     drop 127.0.0.2 127.0.0.5\n      from now on nothing passes from or to these addresses (replaces the list)
 *     drop\n                          everything passes
 *
 * and exits at once when the other end is closed, so that no agent outlives its `dev`.  An agent without KITH_DEV_FD
 * has no drop list at all. */

/* ---- the RPC door: what agent/rpc.h provides and the agent calls ----
 *
 *     int ki_rpc_start(struct ki_rpc **out, const struct ki_rpc_config *config);
 *                                                          listens; 0 or a uv error
 *     void ki_rpc_stop(struct ki_rpc *rpc, void (*closed)(void *arg), void *arg);
 *                                                          refuses new clients, flushes answers (1 s at most), closes
 *                                                          every handle, frees itself, then calls closed
 */

/* ---- what the command line calls ---- */

/* Runs `kith agent` until it ends.  argv[0] is the first argument after `agent`.  Returns the exit code: 0, 1
 * (failure), 2 (usage). */
int ki_agent_main(int argc, char **argv);

/* Returns the usage text, made from the table of options; release with free().  NULL: out of memory. */
char *ki_agent_help(void);

#endif
