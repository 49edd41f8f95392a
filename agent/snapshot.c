/* Writing the snapshot: the core's records become lines at the end of the file.
 *
 *      record --> buffer --COMMIT--> written at once, or 500 ms after the last write --> durable(seq)
 *
 * As Serf does, it writes at most every 500 ms and syncs only at a leave, at the end and after compaction: what a crash
 * of the machine loses is a few addresses of peers.  A timer runs only while something waits to be written.
 *
 * The file grows; beyond max(128 KiB, 256 B a living member) it is rewritten beside itself, synced and renamed over
 * the old one (Serf removes first; a rename leaves no moment without a file).  The living are taken from the core, so
 * no second copy of the view is kept; peers of the last run that we have not rejoined yet are kept as well.
 *
 * When a write fails the state in the core is all we need: every RETRY_MS the whole file is written anew, until it
 * works.  Nothing is said to be durable before.
 *
 * Not here: names with line breaks: such a line could not be read back, so none is written. */
#include "agent/snapshot.h"

#include "base/base.h"
#include "net/net.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SNAPSHOT_FLUSH_MS 500
#define SNAPSHOT_RETRY_MS 30000
#define SNAPSHOT_MODE 0644 /* Serf's; nothing in it is secret */
#define SNAPSHOT_SIZE_MIN (128 * 1024)
#define SNAPSHOT_SIZE_MEMBER 256 /* twice what Serf reckons a member's line has */

struct ki_snapshot {
    struct ki_log *log;
    char *path;
    kith *k;
    void (*durable)(void *arg, uint64_t seq);
    void (*closed)(void *arg);
    void *arg, *closed_arg;
    struct ki_snapshot_state state;
    uint64_t clock, event_clock, query_clock, incarnation; /* as last recorded */
    bool left;
    int fd;
    uint64_t size;
    char *buf;
    size_t len, cap;
    bool broken, sync;
    uint64_t seq; /* of the newest COMMIT; 0: nothing waits for durable() */
    uint64_t flushed_ms;
    uv_timer_t timer;
};

/* ---- lines ---- */

static void snapshot_append(struct ki_snapshot *snapshot, const char *line, size_t len)
{
    if (snapshot->broken)
        return; /* the rewrite takes all from the core */
    if (snapshot->len + len > snapshot->cap) {
        size_t cap = ki_max_u64(snapshot->cap * 2, snapshot->len + len + 256);
        char *more = realloc(snapshot->buf, cap);
        if (!more) {
            snapshot->broken = true;
            return;
        }
        snapshot->buf = more;
        snapshot->cap = cap;
    }
    memcpy(snapshot->buf + snapshot->len, line, len);
    snapshot->len += len;
}

static void snapshot_number(struct ki_snapshot *snapshot, const char *what, uint64_t value)
{
    char line[64];
    int len = snprintf(line, sizeof line, "%s: %" PRIu64 "\n", what, value);
    snapshot_append(snapshot, line, (size_t)len);
}

static void snapshot_member(struct ki_snapshot *snapshot, struct kith_str name, const struct kith_addr *addr)
{
    char line[KITH_NAME_MAX + KI_ADDR_TEXT + 32];
    char text[KI_ADDR_TEXT] = "";
    if (name.len == 0 || name.len > KITH_NAME_MAX || memchr(name.ptr, '\n', name.len) ||
        memchr(name.ptr, '\0', name.len))
        return;
    if (addr)
        ki_addr_format(addr, text);
    int len = snprintf(line, sizeof line, addr ? "alive: %.*s %s\n" : "not-alive: %.*s%s\n", (int)name.len, name.ptr,
                       text);
    snapshot_append(snapshot, line, (size_t)len);
}

/* ---- the file ---- */

static bool snapshot_write_all(int fd, const char *buf, size_t len)
{
    while (len > 0) {
        ssize_t written = write(fd, buf, len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        buf += written;
        len -= (size_t)written;
    }
    return true;
}

static bool snapshot_alive(const struct kith_member *member)
{
    return !member->is_self && (member->status == KITH_STATUS_ALIVE || member->status == KITH_STATUS_LEAVING);
}

/* The whole state as lines, in the buffer. */
static void snapshot_compose(struct ki_snapshot *snapshot)
{
    struct kith_member member;
    uint32_t cursor = 0;
    snapshot->len = 0;
    snapshot_number(snapshot, "# incarnation", snapshot->incarnation);
    for (size_t i = 0; i < snapshot->state.count; i++) {
        struct kith_str name = {.ptr = snapshot->state.peers[i].name, .len = strlen(snapshot->state.peers[i].name)};
        if (kith_find(snapshot->k, name, &member) != 0)
            snapshot_member(snapshot, name, &snapshot->state.peers[i].addr);
    }
    while (kith_next(snapshot->k, &cursor, &member)) {
        if (snapshot_alive(&member))
            snapshot_member(snapshot, member.name, &member.addr);
    }
    snapshot_number(snapshot, "clock", snapshot->clock);
    snapshot_number(snapshot, "event-clock", snapshot->event_clock);
    snapshot_number(snapshot, "query-clock", snapshot->query_clock);
    if (snapshot->left) /* last, so that a -rejoin finds the members before it */
        snapshot_append(snapshot, "leave\n", 6);
}

static bool snapshot_rewrite_to(struct ki_snapshot *snapshot, const char *beside)
{
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, SNAPSHOT_MODE);
    if (fd < 0)
        return false;
    if (snapshot_write_all(fd, snapshot->buf, snapshot->len) && fsync(fd) == 0 && rename(beside, snapshot->path) == 0) {
        if (snapshot->fd >= 0)
            close(snapshot->fd);
        snapshot->fd = fd;
        return true;
    }
    int why = errno;
    close(fd);
    unlink(beside);
    errno = why;
    return false;
}

/* Writes the whole file anew.  Returns false with a warning told. */
static bool snapshot_compact(struct ki_snapshot *snapshot)
{
    char beside[4096];
    bool was_broken = snapshot->broken;
    snapshot->broken = false;
    snapshot_compose(snapshot);
    bool ok = !snapshot->broken && snprintf(beside, sizeof beside, "%s.compact", snapshot->path) < (int)sizeof beside &&
              snapshot_rewrite_to(snapshot, beside);
    if (ok) {
        snapshot->size = snapshot->len;
        if (was_broken)
            ki_log(snapshot->log, KI_LOG_INFO, "serf", "snapshot %s is being written again", snapshot->path);
    } else {
        ki_log(snapshot->log, KI_LOG_ERR, "serf", "snapshot %s cannot be written: %s", snapshot->path,
               strerror(errno));
    }
    snapshot->broken = !ok;
    snapshot->len = 0;
    return ok;
}

static void snapshot_due(uv_timer_t *timer);

static void snapshot_flush(struct ki_snapshot *snapshot)
{
    uint64_t limit = SNAPSHOT_SIZE_MIN;
    if (snapshot->broken) {
        snapshot_compact(snapshot);
    } else if (snapshot->len > 0) {
        if (snapshot_write_all(snapshot->fd, snapshot->buf, snapshot->len)) {
            snapshot->size += snapshot->len;
        } else {
            ki_log(snapshot->log, KI_LOG_ERR, "serf", "snapshot %s cannot be written: %s", snapshot->path,
                   strerror(errno));
            snapshot->broken = true;
        }
        snapshot->len = 0;
    }
    snapshot->flushed_ms = uv_hrtime() / 1000000;
    if (!snapshot->broken && snapshot->size > limit && snapshot->k) {
        struct kith_gauges gauges;
        kith_read_gauges(snapshot->k, &gauges);
        limit = ki_max_u64(limit, (uint64_t)SNAPSHOT_SIZE_MEMBER * gauges.alive);
        if (snapshot->size > limit)
            snapshot_compact(snapshot);
    }
    if (snapshot->sync && snapshot->fd >= 0 && fsync(snapshot->fd) == 0)
        snapshot->sync = false;
    if (snapshot->broken)
        uv_timer_start(&snapshot->timer, snapshot_due, SNAPSHOT_RETRY_MS, 0);
    uint64_t seq = snapshot->broken ? 0 : snapshot->seq;
    if (seq != 0) {
        snapshot->seq = 0;
        snapshot->durable(snapshot->arg, seq);
    }
}

static void snapshot_due(uv_timer_t *timer)
{
    snapshot_flush(timer->data);
}

/* ---- records ---- */

static void snapshot_commit(struct ki_snapshot *snapshot, uint64_t seq)
{
    uint64_t now_ms = uv_hrtime() / 1000000;
    snapshot->seq = seq;
    if (uv_is_active((const uv_handle_t *)&snapshot->timer) && !snapshot->sync)
        return;
    if (snapshot->sync || now_ms - snapshot->flushed_ms >= SNAPSHOT_FLUSH_MS) {
        snapshot_flush(snapshot);
    } else {
        uv_update_time(snapshot->timer.loop);
        uv_timer_start(&snapshot->timer, snapshot_due, SNAPSHOT_FLUSH_MS - (now_ms - snapshot->flushed_ms), 0);
    }
}

void ki_snapshot_record(struct ki_snapshot *snapshot, const struct kith_record *record)
{
    switch (record->kind) {
    case KITH_RECORD_MEMBER:
        snapshot_member(snapshot, record->name, &record->addr);
        return;
    case KITH_RECORD_GONE:
        snapshot_member(snapshot, record->name, NULL);
        return;
    case KITH_RECORD_CLOCK:
        snapshot->clock = record->value;
        snapshot_number(snapshot, "clock", record->value);
        return;
    case KITH_RECORD_EVENT_CLOCK:
        snapshot->event_clock = record->value;
        snapshot_number(snapshot, "event-clock", record->value);
        return;
    case KITH_RECORD_QUERY_CLOCK:
        snapshot->query_clock = record->value;
        snapshot_number(snapshot, "query-clock", record->value);
        return;
    case KITH_RECORD_INCARNATION:
        snapshot->incarnation = record->value;
        snapshot_number(snapshot, "# incarnation", record->value);
        return;
    case KITH_RECORD_LEFT:
        snapshot->left = snapshot->sync = true;
        snapshot_append(snapshot, "leave\n", 6);
        return;
    case KITH_RECORD_COMMIT:
        snapshot_commit(snapshot, record->value);
        return;
    }
    KI_UNREACHABLE();
}

/* ---- life ---- */

int ki_snapshot_open(struct ki_snapshot **out, const struct ki_snapshot_config *config)
{
    struct ki_snapshot *snapshot = calloc(1, sizeof *snapshot);
    char *path = strdup(config->path);
    if (!snapshot || !path) {
        free(snapshot);
        free(path);
        return -1;
    }
    snapshot->log = config->log;
    snapshot->path = path;
    snapshot->durable = config->durable;
    snapshot->arg = config->arg;
    snapshot->fd = -1;
    if (ki_snapshot_read(&snapshot->state, path, config->rejoin, config->log) == 0)
        snapshot->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, SNAPSHOT_MODE);
    off_t size = snapshot->fd >= 0 ? lseek(snapshot->fd, 0, SEEK_END) : -1;
    if (size < 0) {
        int why = errno;
        if (snapshot->fd >= 0)
            close(snapshot->fd);
        ki_snapshot_state_free(&snapshot->state);
        free(path);
        free(snapshot);
        errno = why;
        return -1;
    }
    snapshot->size = (uint64_t)size;
    if (snapshot->state.torn) /* what is left of the last line must not swallow the next one */
        snapshot_append(snapshot, "\n", 1);
    uv_timer_init(config->loop, &snapshot->timer);
    snapshot->timer.data = snapshot;
    *out = snapshot;
    return 0;
}

int ki_snapshot_load(struct ki_snapshot *snapshot, kith *k)
{
    const struct ki_snapshot_state *state = &snapshot->state;
    const struct kith_record records[] = {
        {.kind = KITH_RECORD_INCARNATION, .value = state->incarnation},
        {.kind = KITH_RECORD_CLOCK, .value = state->clock},
        {.kind = KITH_RECORD_EVENT_CLOCK, .value = state->event_clock},
        {.kind = KITH_RECORD_QUERY_CLOCK, .value = state->query_clock},
    };
    snapshot->k = k;
    snapshot->clock = state->clock;
    snapshot->event_clock = state->event_clock;
    snapshot->query_clock = state->query_clock;
    snapshot->incarnation = state->incarnation;
    for (size_t i = 0; i < KI_COUNT(records); i++) {
        int result = records[i].value != 0 ? kith_load(k, &records[i]) : 0;
        if (result != 0)
            return result;
    }
    for (size_t i = 0; i < state->count; i++) {
        const struct ki_snapshot_peer *peer = &state->peers[i];
        const struct kith_record record = {.kind = KITH_RECORD_MEMBER,
                                           .name = {.ptr = peer->name, .len = strlen(peer->name)},
                                           .addr = peer->addr};
        int result = kith_load(k, &record);
        if (result != 0)
            return result;
    }
    return 0;
}

const struct ki_snapshot_state *ki_snapshot_state(const struct ki_snapshot *snapshot)
{
    return &snapshot->state;
}

void ki_snapshot_forget_peers(struct ki_snapshot *snapshot)
{
    ki_snapshot_state_free(&snapshot->state);
}

static void snapshot_closed(uv_handle_t *handle)
{
    struct ki_snapshot *snapshot = handle->data;
    void (*closed)(void *) = snapshot->closed;
    void *arg = snapshot->closed_arg;
    ki_snapshot_state_free(&snapshot->state);
    free(snapshot->buf);
    free(snapshot->path);
    free(snapshot);
    if (closed)
        closed(arg);
}

void ki_snapshot_close(struct ki_snapshot *snapshot, void (*closed)(void *arg), void *arg)
{
    snapshot->seq = 0; /* nobody is told any more */
    snapshot->sync = true;
    if (snapshot->k)
        snapshot_flush(snapshot);
    snapshot->k = NULL;
    if (snapshot->fd >= 0)
        close(snapshot->fd);
    snapshot->fd = -1;
    snapshot->closed = closed;
    snapshot->closed_arg = arg;
    uv_close((uv_handle_t *)&snapshot->timer, snapshot_closed);
}
