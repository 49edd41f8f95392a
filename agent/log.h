/* The agent's log: levels, three formats, a ring of recent lines, and watchers (RPC's monitor). */
#ifndef KI_AGENT_LOG_H
#define KI_AGENT_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum ki_log_level {
    KI_LOG_TRACE,
    KI_LOG_DEBUG,
    KI_LOG_INFO,
    KI_LOG_WARN,
    KI_LOG_ERR
};

enum ki_log_format {
    KI_LOG_TEXT,   /* 2026/11/21 02:28:37 [INFO] agent: ...   Serf's shape */
    KI_LOG_LOGFMT, /* time=2026-11-21T02:28:37.123Z level=info component=agent node=a msg="..." */
    KI_LOG_JSON
};

#define KI_LOG_RING 512 /* lines remembered for a new monitor, as Serf's */

struct ki_log;

/* fd: where lines go, -1 for nowhere.  Returns NULL without memory. */
struct ki_log *ki_log_new(int fd, enum ki_log_level level, enum ki_log_format format, const char *node);
void ki_log_free(struct ki_log *log);
void ki_log_set_level(struct ki_log *log, enum ki_log_level level);

/* Writes one line.  component: "agent", "serf", "net", ...; lines below the level reach only ring and watchers. */
void ki_log(struct ki_log *log, enum ki_log_level level, const char *component, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Reads "trace" .. "err", any case.  False: unknown. */
bool ki_log_level_parse(const char *text, enum ki_log_level *out);
bool ki_log_format_parse(const char *text, enum ki_log_format *out);
const char *ki_log_level_name(enum ki_log_level level); /* "TRACE" .. "ERR" */

/* Sees each line of its level and above, in the shape of the log's format without newline, borrowed for the call.
 * Owned by the watcher. */
struct ki_log_watch {
    void (*line)(void *arg, const char *line);
    void *arg;
    enum ki_log_level level;
    struct ki_log_watch *next;
};
/* Adds a watcher, and gives it the remembered lines first. */
void ki_log_watch(struct ki_log *log, struct ki_log_watch *watch);
/* Safe at any time, also from inside watch->line. */
void ki_log_unwatch(struct ki_log *log, struct ki_log_watch *watch);

#endif
