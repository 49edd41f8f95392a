/* Reading a snapshot: text, one record a line, the last word about each member counts.
 *
 *     alive: <name> <ip:port>      a name may hold spaces: the address is what follows the last one
 *     not-alive: <name>
 *     clock: N   event-clock: N   query-clock: N
 *     leave                        forgets everything before it, unless the node is to rejoin all the same
 *     coordinate: ...              Serf's; of no use here
 *     # incarnation: N             ours: to Serf a comment
 *
 * A process that was killed leaves a torn last line, a full disk worse: what cannot be read is skipped and told, for
 * half a pool is better than none.  The incarnation outlives a leave: it is what outranks our own death notice.
 *
 * Lines are gathered with their order and settled by one sort at the end, so a file of 10⁵ lines is no burden. */
#include "agent/snapshot.h"

#include "base/base.h"
#include "net/net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One line about a member; gone ones have an address of no bytes. */
static bool read_add(struct ki_snapshot_state *state, const char *name, size_t len, const struct kith_addr *addr)
{
    if (state->count == state->cap) {
        size_t cap = state->cap ? state->cap * 2 : 16;
        struct ki_snapshot_peer *more = realloc(state->peers, cap * sizeof *more);
        if (!more)
            return false;
        state->peers = more;
        state->cap = cap;
    }
    char *copy = strndup(name, len);
    if (!copy)
        return false;
    state->peers[state->count++] = (struct ki_snapshot_peer){.name = copy, .addr = *addr};
    return true;
}

static void read_forget(struct ki_snapshot_state *state)
{
    for (size_t i = 0; i < state->count; i++)
        free(state->peers[i].name);
    state->count = 0;
}

static bool read_number(const char *text, uint64_t max, uint64_t *out)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || value > max)
        return false;
    *out = value;
    return true;
}

static const char *read_after(const char *line, const char *prefix)
{
    size_t len = strlen(prefix);
    return strncmp(line, prefix, len) == 0 ? line + len : NULL;
}

static bool read_alive(struct ki_snapshot_state *state, const char *rest)
{
    struct kith_addr addr;
    const char *space = strrchr(rest, ' ');
    if (!space || space == rest || space - rest > KITH_NAME_MAX ||
        !ki_addr_parse((struct kith_str){.ptr = space + 1, .len = strlen(space + 1)}, 0, &addr) || addr.port == 0)
        return false;
    return read_add(state, rest, (size_t)(space - rest), &addr);
}

static bool read_gone(struct ki_snapshot_state *state, const char *rest)
{
    const struct kith_addr none = {.ip_len = 0};
    size_t len = strlen(rest);
    return len > 0 && len <= KITH_NAME_MAX && read_add(state, rest, len, &none);
}

/* Returns false for a line that is none of ours. */
static bool read_line(struct ki_snapshot_state *state, const char *line, bool rejoin)
{
    const char *rest;
    uint64_t number;
    if ((rest = read_after(line, "alive: ")) != NULL)
        return read_alive(state, rest);
    if ((rest = read_after(line, "not-alive: ")) != NULL)
        return read_gone(state, rest);
    if ((rest = read_after(line, "clock: ")) != NULL)
        return read_number(rest, UINT64_MAX, &state->clock);
    if ((rest = read_after(line, "event-clock: ")) != NULL)
        return read_number(rest, UINT64_MAX, &state->event_clock);
    if ((rest = read_after(line, "query-clock: ")) != NULL)
        return read_number(rest, UINT64_MAX, &state->query_clock);
    if ((rest = read_after(line, "# incarnation: ")) != NULL) {
        if (!read_number(rest, UINT32_MAX, &number))
            return false;
        state->incarnation = (uint32_t)number;
        return true;
    }
    if (strcmp(line, "leave") == 0) {
        if (!rejoin) {
            read_forget(state);
            state->clock = state->event_clock = state->query_clock = 0;
            state->left = true;
        }
        return true;
    }
    return line[0] == '#' || line[0] == '\0' || read_after(line, "coordinate: ") != NULL;
}

/* A line with its place in the file, because qsort need not be stable. */
struct read_entry {
    struct ki_snapshot_peer peer;
    size_t line;
};

static int read_order(const void *a, const void *b)
{
    const struct read_entry *x = a;
    const struct read_entry *y = b;
    int names = strcmp(x->peer.name, y->peer.name);
    return names != 0 ? names : x->line < y->line ? -1 : x->line > y->line;
}

/* Keeps the last line about each name, if it says alive. */
static bool read_settle(struct ki_snapshot_state *state)
{
    if (state->count == 0)
        return true;
    struct read_entry *entries = calloc(state->count, sizeof *entries);
    if (!entries)
        return false;
    for (size_t i = 0; i < state->count; i++)
        entries[i] = (struct read_entry){.peer = state->peers[i], .line = i};
    qsort(entries, state->count, sizeof *entries, read_order);
    size_t kept = 0;
    for (size_t i = 0; i < state->count; i++) {
        bool last = i + 1 == state->count || strcmp(entries[i].peer.name, entries[i + 1].peer.name) != 0;
        if (last && entries[i].peer.addr.ip_len != 0)
            state->peers[kept++] = entries[i].peer;
        else
            free(entries[i].peer.name);
    }
    state->count = kept;
    free(entries);
    return true;
}

int ki_snapshot_read(struct ki_snapshot_state *out, const char *path, bool rejoin, struct ki_log *log)
{
    memset(out, 0, sizeof *out);
    FILE *file = fopen(path, "re");
    if (!file)
        return errno == ENOENT ? 0 : -1;
    char *line = NULL;
    size_t cap = 0;
    size_t number = 0;
    ssize_t len;
    while ((len = getline(&line, &cap, file)) >= 0) {
        number++;
        out->torn = len > 0 && line[len - 1] != '\n';
        bool whole = len > 0 && !out->torn && !memchr(line, '\0', (size_t)len);
        if (whole)
            line[len - 1] = '\0';
        if (whole && read_line(out, line, rejoin))
            continue;
        out->skipped++;
        ki_log(log, KI_LOG_WARN, "serf", "snapshot %s: line %zu is damaged and skipped", path, number);
    }
    int why = ferror(file) ? errno : 0;
    fclose(file);
    free(line);
    if (why == 0 && !read_settle(out))
        why = ENOMEM;
    if (why == 0)
        return 0;
    ki_snapshot_state_free(out);
    errno = why;
    return -1;
}

void ki_snapshot_state_free(struct ki_snapshot_state *state)
{
    read_forget(state);
    free(state->peers);
    memset(state, 0, sizeof *state);
}
