/* What the files of the disk share.  The loop's thread owns all but what its comment says. */
#ifndef KI_AGENT_DISK_INTERNAL_H
#define KI_AGENT_DISK_INTERNAL_H

#include "agent/disk.h"

#include <lmdb.h>
#include <stddef.h>
#include <sys/stat.h>

#define KI_DISK_FILE "store.lmdb"
#define KI_DISK_ROWS "rows" /* the database of the core's rows */

/* A row in a group's buffer; name and value follow. */
struct ki_disk_head {
    uint64_t value_len;
    uint32_t name_len;
    uint32_t is_gone;
};

/* One group on its way.  Whoever works on it owns it: the loop, or between give and done the worker. */
struct ki_disk_group {
    unsigned char *buf;
    size_t len, cap;
    uint64_t rows, seq;
    bool is_part;  /* others follow it at once */
    bool is_short; /* memory ran out while it was taken: it cannot be written */
    int result;    /* 0, an errno or one of LMDB's */
    uint64_t spent_us, file_bytes, map_bytes;
};

enum ki_disk_turn {
    KI_DISK_TURN_LOOP,   /* no group is out */
    KI_DISK_TURN_WORKER, /* one is being written */
    KI_DISK_TURN_DONE,   /* written, or not: the loop has yet to see */
    KI_DISK_TURN_QUIT    /* the worker is to end */
};

struct ki_disk {
    struct ki_log *log;
    struct ki_disk_ops ops;
    void *arg;
    char *dir, *path;
    int dir_fd;      /* holds the lock of the directory */
    struct stat was; /* the file at the start: which one it is */
    uint64_t size_max;

    /* the worker's, once it runs */
    MDB_env *env; /* NULL: to be opened anew */
    uint64_t map_size;

    uv_thread_t thread;
    bool has_thread;
    uv_mutex_t mutex; /* guards turn and is_abandoned */
    uv_cond_t cond;
    enum ki_disk_turn turn;
    bool is_abandoned; /* the loop has gone: the worker must not call it */
    struct ki_disk_group group;

    uv_prepare_t prepare;
    uv_timer_t timer;
    uv_async_t done;
    unsigned handles;
    bool is_out; /* a group is with the worker */
    uint64_t due_ms, interval_ms, began_ms, backoff_ms;
    char error[320];
    struct ki_disk_status status;

    bool is_closing;
    void (*closed)(void *arg);
    void *closed_arg;
};

#define KI_DISK_DAMAGED (-1)
#define KI_DISK_FOREIGN (-2) /* whole, but none of ours */
/* disk_check.c: looks at the file before LMDB maps it.  Returns 0 (*is_new: there is none, or it is empty), one of these two
 * and why, or an errno: it cannot be looked at. */
int ki_disk_check(const char *path, bool *is_new, char *why, size_t cap);

/* disk_open.c: opens the environment of disk->path with disk->map_size.  Returns 0, an errno or one of LMDB's. */
int ki_disk_env_open(struct ki_disk *disk);
void ki_disk_env_close(struct ki_disk *disk);
/* All that comes before the loop: directory, file, rows, worker.  NULL: `error` says why. */
struct ki_disk *ki_disk_new(const struct ki_disk_config *config, char *error);
void ki_disk_free(struct ki_disk *disk); /* once no thread and no handle is left */

/* disk_worker.c */
int ki_disk_worker_start(struct ki_disk *disk); /* 0 or a uv error */
void ki_disk_worker_give(struct ki_disk *disk); /* disk->group; disk->done is signalled when it is done */
void ki_disk_worker_stop(struct ki_disk *disk); /* no group is out */
const char *ki_disk_why(const struct ki_disk *disk, int result, char *buf, size_t cap);

/* disk_fault.c */
void ki_disk_fault_arm(const char *path, bool is_loading);
void ki_disk_fault_disarm(void);
void ki_disk_fault_assert(MDB_env *env, const char *what);

#endif
