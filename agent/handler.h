/* Event handlers: scripts that run when something happens in the pool, told of it as Serf's agent tells them. */
#ifndef KI_AGENT_HANDLER_H
#define KI_AGENT_HANDLER_H

#include "agent/agent.h"
#include "agent/config.h"

/* What may be handled: member events in the order of enum ki_member_event, then the rest. */
enum ki_handled_kind {
    KI_HANDLED_JOIN,
    KI_HANDLED_LEAVE,
    KI_HANDLED_FAILED,
    KI_HANDLED_UPDATE,
    KI_HANDLED_REAP,
    KI_HANDLED_USER,
    KI_HANDLED_QUERY,
    KI_HANDLED_ANY /* of filters only: all of them */
};

/* ---- what a handler is for (handler_spec.c) ---- */

struct ki_handler_filter {
    enum ki_handled_kind kind;
    const char *word; /* "user", as it is written */
    const char *name; /* of the user event or query, "": any */
};

/* [filter[,filter]=]script.  Without filters: `*`. */
struct ki_handler_spec {
    char *text; /* the whole, as it was given */
    char *words; /* the filters, which point in here */
    struct ki_handler_filter *filters;
    size_t count;
    const char *script; /* in text */
};

/* Returns 0, or -1: told in `error`, and then there is nothing to free. */
int ki_handler_spec_parse(struct ki_handler_spec *out, const char *text, char error[KI_ERROR_TEXT]);
void ki_handler_spec_free(struct ki_handler_spec *spec);
/* name: of the user event or query, of no interest otherwise. */
bool ki_handler_spec_wants(const struct ki_handler_spec *spec, enum ki_handled_kind kind, struct kith_str name);

/* ---- what a script is told (handler_input.c) ---- */

/* One happening; handlers that wait for their turn share it. */
struct ki_handled {
    size_t uses;
    enum ki_handled_kind kind;
    uint64_t ltime;            /* USER and QUERY */
    uint64_t query, until_us;  /* QUERY: kith_message's */
    struct kith_str name;      /* USER and QUERY; in bytes[] and ending in NUL, which it may hold besides */
    struct kith_str input;     /* what the script reads; in bytes[] */
    char bytes[];
};

/* Each returns NULL without memory, else with one use. */
struct ki_handled *ki_handled_members(enum ki_member_event event, const struct kith_member *members, size_t count);
struct ki_handled *ki_handled_message(const struct kith_event *event); /* USER or QUERY */
void ki_handled_release(struct ki_handled *handled);

/* "member-join", "user", ... as SERF_EVENT and filters have it; static. */
const char *ki_handled_word(enum ki_handled_kind kind);

/* Serf's variables, and those of `inherited` (ending in NULL) that are not among them.  NULL: out of memory. */
char **ki_handled_environment(const struct ki_handled *handled, const struct kith_member *self, char *const *inherited);
void ki_environment_free(char **environment);

/* ---- one run of a script (handler_run.c) ---- */

#define KI_HANDLER_OUTPUT_MAX 8192 /* the last bytes that a script writes are kept; Serf's */

struct ki_run;

struct ki_run_result {
    int error;          /* uv error: it could not be started, and nothing else holds; else 0 */
    int64_t status;     /* the exit status, */
    int signal;         /* or the signal that ended it */
    bool timed_out;     /* it was ended because its time was over */
    uint64_t lasted_ms;
    uint64_t written;   /* bytes, on standard output and standard error together */
    struct kith_str output; /* the last of them, borrowed for the call */
};
/* Called once, from the loop, when everything of the run is closed but the memory that it is about to free. */
typedef void ki_run_done(void *arg, const struct ki_run_result *result);

/* Runs `/bin/sh -c script`, and ends it after limit_ms.  input is borrowed until done.  Returns NULL without memory, and
 * then never calls done. */
struct ki_run *ki_run_start(uv_loop_t *loop, const char *script, char **environment, struct kith_str input,
                            uint64_t limit_ms, ki_run_done *done, void *arg);
/* Asks it to end: SIGTERM to its process group now, SIGKILL after grace_ms. */
void ki_run_end(struct ki_run *run, uint64_t grace_ms);
/* SIGKILL at once. */
void ki_run_kill(struct ki_run *run);

/* ---- all of them (handler.c) ---- */

struct ki_handlers;

/* Begins to look on.  Returns 0 or KITH_ERR_NOMEM. */
int ki_handlers_start(struct ki_agent *agent);
/* Another configuration: handlers that are in both keep what waits for them, those that are gone end after their present
 * run.  Without memory it changes nothing and returns KITH_ERR_NOMEM. */
int ki_handlers_reload(struct ki_agent *agent, const struct ki_config *config);
/* Looks on no longer and ends every run (1 s at most, then by SIGKILL), then calls closed. */
void ki_handlers_stop(struct ki_handlers *handlers, void (*closed)(void *arg), void *arg);
void ki_handlers_free(struct ki_handlers *handlers); /* after closed; NULL is fine */
/* SIGKILL to every run: the agent is about to go without waiting. */
void ki_handlers_kill(struct ki_handlers *handlers);

/* The sections event_handlers (Serf's: filter and script) and handlers (numbers). */
void ki_handlers_stats_serf(const struct ki_handlers *handlers, ki_agent_stat *visit, void *arg);
void ki_handlers_stats(const struct ki_handlers *handlers, ki_agent_stat *visit, void *arg);

#endif
