/* One line at a time: made once, then given to the ring, the watchers and the file descriptor.
 *
 * The ring keeps lines of every level, because a monitor asks for its own level after the fact (Serf's does the same);
 * each remembered line is an allocation of its exact size, made as lines come, so a quiet agent holds next to nothing.
 * What members are called comes from the network: control characters and broken UTF-8 never reach a terminal, nor a
 * JSON line, which must hold text.
 *
 * Under journald (JOURNAL_STREAM names our descriptor) the text format is `<N>component: ...`: the journal has its own
 * clock and knows levels.  Lines are written with write(2) at once: after a crash the last one is there.  Whoever reads
 * them may stop (a pager, ^S, a pipe to what hangs), and the agent must not: what would block is dropped, and the next line
 * that is taken says how many were.
 *
 * Not here: rotation, syslog, files: that is what standard output's other end is for. */
#include "agent/log.h"

#include "agent/utf8.h"
#include "base/base.h"

#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOG_LINE_MAX 2048 /* the longest message: a name may have 255 bytes, an address list more; cut beyond */

#define LOG_WRITE_MAX 4096 /* PIPE_BUF: a pipe that is ready takes so much without blocking */

#define LOG_SHAPED_MAX (2 * LOG_LINE_MAX + 1024) /* every byte escaped, time and node before it */

struct log_entry {
    enum ki_log_level level;
    char text[];
};

struct ki_log {
    int fd;
    enum ki_log_level level;
    enum ki_log_format format;
    bool journal;
    bool walking;
    bool torn;       /* the last line was taken in part */
    uint64_t unread; /* lines dropped since the last that was taken */
    char *node;
    struct ki_log_watch *watches;
    struct ki_log_watch *cursor;   /* the next watcher of the walk going on */
    struct ki_log_watch *replayed; /* the watcher being given old lines */
    size_t next;                   /* where the next line goes in the ring */
    struct log_entry *ring[KI_LOG_RING];
};

static const char *const log_names[] = {"TRACE", "DEBUG", "INFO", "WARN", "ERR"};
static const char *const log_small[] = {"trace", "debug", "info", "warn", "error"};
static const int log_priority[] = {7, 7, 6, 4, 3};
static const char *const log_formats[] = {"text", "logfmt", "json"};

bool ki_log_level_parse(const char *text, enum ki_log_level *out)
{
    for (size_t i = 0; i < KI_COUNT(log_names); i++) {
        if (strcasecmp(text, log_names[i]) == 0) {
            *out = (enum ki_log_level)i;
            return true;
        }
    }
    return false;
}

bool ki_log_format_parse(const char *text, enum ki_log_format *out)
{
    for (size_t i = 0; i < KI_COUNT(log_formats); i++) {
        if (strcmp(text, log_formats[i]) == 0) {
            *out = (enum ki_log_format)i;
            return true;
        }
    }
    return false;
}

const char *ki_log_level_name(enum ki_log_level level)
{
    return log_names[level];
}

/* systemd sets JOURNAL_STREAM=device:inode of the stream it gave us. */
static bool log_is_journal(int fd)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat info;
    unsigned long long device, inode;
    if (!stream || fd < 0 || sscanf(stream, "%llu:%llu", &device, &inode) != 2 || fstat(fd, &info) != 0)
        return false;
    return (unsigned long long)info.st_dev == device && (unsigned long long)info.st_ino == inode;
}

/* Makes control characters and broken UTF-8 harmless in place (the end of a message cut to its limit may be such). */
static void log_clean(char *text)
{
    for (size_t left = strlen(text); left > 0;) {
        unsigned char byte = (unsigned char)*text;
        size_t len = byte >= 0x20 && byte < 0x7f ? 1 : ki_utf8_len((const uint8_t *)text, left);
        if (len == 0) {
            *text = '?';
            len = 1;
        }
        text += len;
        left -= len;
    }
}

struct ki_log *ki_log_new(int fd, enum ki_log_level level, enum ki_log_format format, const char *node)
{
    struct ki_log *log = calloc(1, sizeof *log);
    if (!log)
        return NULL;
    log->node = strdup(node);
    if (!log->node) {
        free(log);
        return NULL;
    }
    log_clean(log->node);
    log->fd = fd;
    log->level = level;
    log->format = format;
    log->journal = log_is_journal(fd);
    return log;
}

void ki_log_free(struct ki_log *log)
{
    if (!log)
        return;
    for (size_t i = 0; i < KI_LOG_RING; i++)
        free(log->ring[i]);
    free(log->node);
    free(log);
}

void ki_log_set_level(struct ki_log *log, enum ki_log_level level)
{
    log->level = level;
}

/* ---- shapes ---- */

/* Serf's shape, in local time. */
static void log_time_text(char *out, size_t cap)
{
    time_t now = time(NULL);
    struct tm parts;
    if (!localtime_r(&now, &parts) || strftime(out, cap, "%Y/%m/%d %H:%M:%S", &parts) == 0)
        out[0] = '\0';
}

/* RFC 3339 with milliseconds, in UTC. */
static void log_time_utc(char *out, size_t cap)
{
    struct timespec now;
    struct tm parts;
    char seconds[32];
    clock_gettime(CLOCK_REALTIME, &now);
    if (!gmtime_r(&now.tv_sec, &parts) || strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &parts) == 0)
        seconds[0] = '\0';
    snprintf(out, cap, "%s.%03dZ", seconds, (int)(now.tv_nsec / 1000000));
}

static void log_quote(char *out, size_t cap, const char *text)
{
    size_t at = 0;
    for (; *text && at + 3 < cap; text++) {
        if (*text == '"' || *text == '\\')
            out[at++] = '\\';
        out[at++] = *text;
    }
    out[at] = '\0';
}

static void log_json(char *out, size_t cap, const char *when, enum ki_log_level level, const char *component,
                     const char *node, const char *message)
{
    json_t *object = json_pack("{s:s,s:s,s:s,s:s,s:s}", "time", when, "level", log_small[level], "component",
                               component, "node", node, "msg", message);
    size_t len = object ? json_dumpb(object, out, cap - 1, JSON_COMPACT) : 0;
    out[len < cap ? len : 0] = '\0';
    json_decref(object);
}

static void log_shape(const struct ki_log *log, enum ki_log_level level, const char *component, const char *message,
                      char *out, size_t cap)
{
    char when[80];
    char quoted[2 * LOG_LINE_MAX];
    char node[2 * 256 + 8];
    switch (log->format) {
    case KI_LOG_TEXT:
        log_time_text(when, sizeof when);
        snprintf(out, cap, "%s [%s] %s: %s", when, log_names[level], component, message);
        return;
    case KI_LOG_LOGFMT:
        log_time_utc(when, sizeof when);
        log_quote(quoted, sizeof quoted, message);
        log_quote(node, sizeof node, log->node);
        snprintf(out, cap, "time=%s level=%s component=%s node=\"%s\" msg=\"%s\"", when, log_small[level], component,
                 node, quoted);
        return;
    case KI_LOG_JSON:
        log_time_utc(when, sizeof when);
        log_json(out, cap, when, level, component, log->node, message);
        return;
    }
    KI_UNREACHABLE();
}

/* ---- where lines go ---- */

static void log_remember(struct ki_log *log, enum ki_log_level level, const char *line)
{
    size_t len = strlen(line) + 1;
    struct log_entry *entry = malloc(sizeof *entry + len);
    if (!entry)
        return;
    entry->level = level;
    memcpy(entry->text, line, len);
    free(log->ring[log->next]);
    log->ring[log->next] = entry;
    log->next = (log->next + 1) % KI_LOG_RING;
}

static void log_tell(struct ki_log *log, enum ki_log_level level, const char *line)
{
    if (log->walking)
        return; /* a watcher's own line is not told to watchers */
    log->walking = true;
    struct ki_log_watch *watch = log->watches;
    while (watch) {
        log->cursor = watch->next;
        if (level >= watch->level)
            watch->line(watch->arg, line);
        watch = log->cursor;
    }
    log->walking = false;
}

/* False: it would block.  An error is as good as done: nobody is left to tell. */
static bool log_put(struct ki_log *log, const char *bytes, size_t len)
{
    struct pollfd out = {.fd = log->fd, .events = POLLOUT};
    for (bool begun = false; len > 0; begun = true) {
        if (poll(&out, 1, 0) == 0) {
            log->torn = log->torn || begun;
            return false;
        }
        ssize_t put = write(log->fd, bytes, ki_min_size(len, LOG_WRITE_MAX));
        if (put <= 0)
            break;
        bytes += put;
        len -= (size_t)put;
    }
    log->torn = false;
    return true;
}

static bool log_write(struct ki_log *log, enum ki_log_level level, const char *component, const char *message,
                      const char *line)
{
    char out[LOG_SHAPED_MAX + 64];
    const char *end = log->torn ? "\n" : ""; /* of the one before */
    int len;
    if (log->format == KI_LOG_TEXT && log->journal)
        len = snprintf(out, sizeof out, "%s<%d>%s: %s\n", end, log_priority[level], component, message);
    else if (log->format == KI_LOG_TEXT)
        len = snprintf(out, sizeof out, "%s    %s\n", end, line); /* Serf indents its log below its banner */
    else
        len = snprintf(out, sizeof out, "%s%s\n", end, line);
    return log_put(log, out, ki_min_size((size_t)len, sizeof out - 1));
}

/* Says first what was not said.  False: nobody takes it yet. */
static bool log_catch_up(struct ki_log *log)
{
    char note[96];
    char line[LOG_SHAPED_MAX];
    if (log->unread == 0)
        return true;
    snprintf(note, sizeof note, "%" PRIu64 " lines of the log dropped: nobody read them in time", log->unread);
    log_shape(log, KI_LOG_WARN, "agent", note, line, sizeof line);
    if (!log_write(log, KI_LOG_WARN, "agent", note, line))
        return false;
    log->unread = 0;
    return true;
}

void ki_log(struct ki_log *log, enum ki_log_level level, const char *component, const char *format, ...)
{
    char message[LOG_LINE_MAX];
    char line[LOG_SHAPED_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    log_clean(message);
    log_shape(log, level, component, message, line, sizeof line);
    log_remember(log, level, line);
    log_tell(log, level, line);
    if (log->fd < 0 || level < log->level)
        return;
    if (!log_catch_up(log) || !log_write(log, level, component, message, line))
        log->unread++;
}

/* ---- watchers ---- */

void ki_log_watch(struct ki_log *log, struct ki_log_watch *watch)
{
    log->replayed = watch;
    bool was_walking = log->walking;
    log->walking = true; /* what is logged meanwhile goes into the ring, and is not told */
    size_t end = log->next;
    for (size_t i = 0; i < KI_LOG_RING && log->replayed == watch; i++) {
        const struct log_entry *entry = log->ring[(end + i) % KI_LOG_RING];
        if (entry && entry->level >= watch->level)
            watch->line(watch->arg, entry->text);
    }
    log->walking = was_walking;
    if (log->replayed != watch)
        return; /* it went away while it was told */
    log->replayed = NULL;
    watch->next = log->watches;
    log->watches = watch;
}

void ki_log_unwatch(struct ki_log *log, struct ki_log_watch *watch)
{
    if (log->replayed == watch)
        log->replayed = NULL;
    if (log->cursor == watch)
        log->cursor = watch->next;
    for (struct ki_log_watch **link = &log->watches; *link; link = &(*link)->next) {
        if (*link == watch) {
            *link = watch->next;
            return;
        }
    }
}
