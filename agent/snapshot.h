/* The snapshot file, in Serf's format: who was alive, and the clocks. */
#ifndef KI_AGENT_SNAPSHOT_H
#define KI_AGENT_SNAPSHOT_H

#include "agent/log.h"
#include "kith/kith.h"

#include <uv.h>

struct ki_snapshot;

/* A member that was alive when the file ended. */
struct ki_snapshot_peer {
    char *name;
    struct kith_addr addr;
};

/* What a file says. */
struct ki_snapshot_state {
    struct ki_snapshot_peer *peers; /* sorted by name */
    size_t count, cap;
    uint64_t clock, event_clock, query_clock;
    uint32_t incarnation; /* 0: unknown (Serf writes none) */
    bool left;            /* it ended with a leave that counts */
    size_t skipped;       /* lines that could not be read */
    bool torn;            /* the last line has no end */
};

/* Reads a file that need not exist.  rejoin: a leave does not make it forget.  Returns 0; -1 with errno set. */
int ki_snapshot_read(struct ki_snapshot_state *out, const char *path, bool rejoin, struct ki_log *log);
void ki_snapshot_state_free(struct ki_snapshot_state *state);

struct ki_snapshot_config {
    uv_loop_t *loop;
    struct ki_log *log;
    const char *path; /* copied */
    bool rejoin;
    void (*durable)(void *arg, uint64_t seq); /* all records up to this COMMIT are in the file */
    void *arg;
};

/* Reads the file and opens it for appending.  Returns 0; -1 with errno set. */
int ki_snapshot_open(struct ki_snapshot **out, const struct ki_snapshot_config *config);
/* Gives the core what was read (kith_load), and keeps the core to compact by. */
int ki_snapshot_load(struct ki_snapshot *snapshot, kith *k);
/* What was read; its peers stay (and are kept by compaction) until ki_snapshot_forget_peers(). */
const struct ki_snapshot_state *ki_snapshot_state(const struct ki_snapshot *snapshot);
void ki_snapshot_forget_peers(struct ki_snapshot *snapshot);
/* Takes one polled record. */
void ki_snapshot_record(struct ki_snapshot *snapshot, const struct kith_record *record);
/* Writes and syncs what is left; closed() comes from the loop. */
void ki_snapshot_close(struct ki_snapshot *snapshot, void (*closed)(void *arg), void *arg);

#endif
