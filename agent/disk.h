/* The durable copy of the store: the core's rows in an LMDB file of a directory of our own. */
#ifndef KI_AGENT_DISK_H
#define KI_AGENT_DISK_H

#include "agent/log.h"
#include "kith/store.h"

#include <uv.h>

struct ki_disk;

/* When a group of rows goes to the disk.  Each is a transaction that is synced before the next: what is on the disk is
 * whole, whatever fails, and these three differ only in how much may be missing at its end. */
enum ki_disk_fsync {
    KI_DISK_ALWAYS,   /* at once */
    KI_DISK_EVERYSEC, /* a second after the last one began */
    KI_DISK_NO        /* half a minute after it, which is when an operating system writes by itself */
};

/* Reads "always", "everysec", "no".  False: none of them. */
bool ki_disk_fsync_parse(const char *text, enum ki_disk_fsync *out);

/* What the rows come from and go to: in the agent a `kith` with a store.  All are called on the loop's thread. */
struct ki_disk_ops {
    bool (*pending)(void *arg);                          /* poll would give rows */
    bool (*poll)(void *arg, struct kith_row *out);       /* kith_poll_row() */
    void (*durable)(void *arg, uint64_t seq, int error); /* kith_rows_durable(), and what follows from it */
    int (*load)(void *arg, struct kith_str name, struct kith_str value); /* kith_load_row() */
};

struct ki_disk_config {
    uv_loop_t *loop;
    struct ki_log *log;
    const char *dir; /* copied; made if it is not there (its parent must be) */
    enum ki_disk_fsync fsync;
    uint64_t size_first; /* bytes of the file's first map; it doubles when it is full */
    uint64_t size_max;   /* and ends here: then rows stay in memory, as on a full disk */
    struct ki_disk_ops ops;
    void *arg;
};

#define KI_DISK_SIZE_FIRST ((uint64_t)64 << 20) /* of addresses; the file is as large as what is in it */
#define KI_DISK_SIZE_MIN   ((uint64_t)1 << 20)
#define KI_DISK_ERROR_TEXT 640

/* Takes the directory, checks what is there, and gives every row to ops.load, in the order of their names.  From then on
 * groups are polled whenever the loop is about to wait.  Returns 0; -1: *out is NULL, and `error` is a sentence for the
 * user that says what was found and what to do. */
int ki_disk_open(struct ki_disk **out, const struct ki_disk_config *config, char error[KI_DISK_ERROR_TEXT]);
/* Writes what is pending, for ten seconds at most, and lets go of the directory.  closed() comes from the loop; until
 * then ops are called. */
void ki_disk_close(struct ki_disk *disk, void (*closed)(void *arg), void *arg);

struct ki_disk_status {
    enum ki_disk_fsync fsync;
    const char *error; /* why the newest group could not be written; "": it could.  Borrowed until the loop goes on */
    uint64_t loaded;   /* rows, at the start */
    uint64_t groups, rows, bytes; /* written since */
    uint64_t failures;            /* groups that were not */
    uint64_t last_commit_us;      /* how long the newest took, or the newest failure */
    uint64_t durable_wall_us;     /* when the newest was written; 0: none yet */
    uint64_t file_bytes;          /* used of the file */
    uint64_t map_bytes;           /* what it may grow to before its map doubles */
};
void ki_disk_status(const struct ki_disk *disk, struct ki_disk_status *out);

#endif
