/* The start: the directory becomes ours, its file is checked, and every row goes to the core.
 *
 *     DIR/             mode 0700, locked (flock) as long as we live: two agents that share rows would share a replica id
 *     DIR/store.lmdb   two databases: "kith" with one row, format -> "kith store, version 1"; "rows" with the core's
 *     DIR/store.lmdb-lock   LMDB's own, so that its tools (mdb_copy, mdb_stat) can read while we run
 *
 * What is not ours, not whole or from a later version is refused, with what was found and what to do: never repaired,
 * never overwritten.  Rows that are lost can come back from the pool, but only a person knows whether they are lost.
 *
 * All of it happens on the main thread, before the worker is there and before anything was said to anybody. */
#include "agent/disk_internal.h"

#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPEN_SELF          "kith" /* the database that says whose file it is */
#define OPEN_FORMAT        "format"
#define OPEN_VERSION_TEXT  "kith store, version "
#define OPEN_VERSION       1
#define OPEN_PROGRESS_MS   1000
#define OPEN_PROGRESS_ROWS 4096 /* how often the clock is looked at */

static int open_fail(char *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int open_fail(char *error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error, KI_DISK_ERROR_TEXT, format, args);
    va_end(args);
    return -1;
}

/* ---- the directory ---- */

static int open_dir(struct ki_disk *disk, char *error)
{
    if (mkdir(disk->dir, 0700) != 0 && errno != EEXIST)
        return open_fail(error, "-data-dir %.200s cannot be made: %s", disk->dir, strerror(errno));
    disk->dir_fd = open(disk->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (disk->dir_fd < 0)
        return open_fail(error, "-data-dir %.200s cannot be opened: %s", disk->dir, strerror(errno));
    if (flock(disk->dir_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno == EWOULDBLOCK)
        return open_fail(error, "-data-dir %.200s is in use by another kith agent: each needs one of its own",
                         disk->dir);
    return open_fail(error, "-data-dir %.200s cannot be locked: %s (it must be on a local disk)", disk->dir,
                     strerror(errno));
}

/* ---- the environment ---- */

void ki_disk_env_close(struct ki_disk *disk)
{
    if (disk->env)
        mdb_env_close(disk->env);
    disk->env = NULL;
}

int ki_disk_env_open(struct ki_disk *disk)
{
    int result = mdb_env_create(&disk->env);
    if (result != 0) {
        disk->env = NULL;
        return result;
    }
    if ((result = mdb_env_set_maxdbs(disk->env, 2)) == 0 &&
        (result = mdb_env_set_assert(disk->env, ki_disk_fault_assert)) == 0 &&
        (result = mdb_env_set_mapsize(disk->env, (size_t)disk->map_size)) == 0)
        result = mdb_env_open(disk->env, disk->path, MDB_NOSUBDIR | MDB_NOTLS, 0600);
    if (result != 0)
        ki_disk_env_close(disk);
    return result;
}

static int open_damaged(const struct ki_disk *disk, char *error, const char *what)
{
    return open_fail(error,
                     "%.200s cannot be used: %.200s. Restore it from a backup; or move it away, "
                     "and the agent begins empty "
                     "and takes what the pool has",
                     disk->path, what);
}

static int open_foreign(const struct ki_disk *disk, char *error, const char *what)
{
    return open_fail(error, "%.200s is no kith store (%.200s): choose another -data-dir, or move it away", disk->path,
                     what);
}

/* What a failure of LMDB at the start is to the user. */
static int open_failed(const struct ki_disk *disk, char *error, int result)
{
    char why[200];
    switch (result) {
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_PANIC:
        return open_damaged(disk, error, mdb_strerror(result));
    case EACCES:
    case EPERM:
    case EROFS:
        return open_fail(error, "%.200s cannot be written: %s; the agent needs a -data-dir that it may write to",
                         disk->path, strerror(result));
    default:
        return open_fail(error, "%.200s cannot be opened: %s", disk->path,
                         ki_disk_why(disk, result, why, sizeof why));
    }
}

static int open_env(struct ki_disk *disk, uint64_t size_first, char *error)
{
    char why[200];
    bool is_new;
    struct stat info;
    int found = ki_disk_check(disk->path, &is_new, why, sizeof why);
    if (found == KI_DISK_DAMAGED)
        return open_damaged(disk, error, why);
    if (found == KI_DISK_FOREIGN)
        return open_foreign(disk, error, why);
    if (found != 0)
        return open_failed(disk, error, found);
    disk->map_size = size_first;
    if (!is_new && stat(disk->path, &info) == 0)
        disk->map_size = ki_max_u64(size_first, ki_min_u64((uint64_t)info.st_size * 2, disk->size_max));
    int result = ki_disk_env_open(disk);
    if (result == 0 && is_new && fsync(disk->dir_fd) != 0) /* the file's name, too, must survive a power cut */
        result = errno;
    if (result == 0 && stat(disk->path, &disk->was) != 0)
        result = errno;
    return result == 0 ? 0 : open_failed(disk, error, result);
}

/* ---- whose it is ---- */

static int open_version(const struct ki_disk *disk, const MDB_val *value, char *error)
{
    static const char prefix[] = OPEN_VERSION_TEXT;
    const char *text = value->mv_data;
    uint32_t version = 0;
    size_t at = sizeof prefix - 1;
    if (value->mv_size <= at || value->mv_size > at + 6 || memcmp(text, prefix, at) != 0)
        return open_foreign(disk, error, "its format is unknown");
    for (; at < value->mv_size; at++) {
        if (text[at] < '0' || text[at] > '9')
            return open_foreign(disk, error, "its format is unknown");
        version = version * 10 + (uint32_t)(text[at] - '0');
    }
    if (version == OPEN_VERSION)
        return 0;
    return open_fail(error,
                     "%.200s is of version %" PRIu32
                     " of kith's store, and this kith reads version %d: start the kith that "
                     "wrote it, or choose another -data-dir",
                     disk->path, version, OPEN_VERSION);
}

static int open_create(MDB_txn *txn)
{
    char text[sizeof OPEN_VERSION_TEXT + 8];
    int len = snprintf(text, sizeof text, OPEN_VERSION_TEXT "%d", OPEN_VERSION);
    MDB_val name = {.mv_size = sizeof OPEN_FORMAT - 1, .mv_data = (void *)(uintptr_t)OPEN_FORMAT};
    MDB_val value = {.mv_size = (size_t)len, .mv_data = text};
    MDB_dbi self;
    MDB_dbi rows;
    int result = mdb_dbi_open(txn, OPEN_SELF, MDB_CREATE, &self);
    if (result == 0)
        result = mdb_dbi_open(txn, KI_DISK_ROWS, MDB_CREATE, &rows);
    return result == 0 ? mdb_put(txn, self, &name, &value, 0) : result;
}

/* Reads the format row, or writes it where nothing is. */
static int open_format(const struct ki_disk *disk, MDB_txn *txn, char *error)
{
    MDB_val name = {.mv_size = sizeof OPEN_FORMAT - 1, .mv_data = (void *)(uintptr_t)OPEN_FORMAT};
    MDB_val value;
    MDB_stat stat;
    MDB_dbi main_dbi;
    MDB_dbi self;
    int result = mdb_dbi_open(txn, NULL, 0, &main_dbi);
    if (result == 0)
        result = mdb_stat(txn, main_dbi, &stat);
    if (result != 0)
        return open_failed(disk, error, result);
    if (stat.ms_entries == 0) {
        result = open_create(txn);
        return result == 0 ? 0 : open_failed(disk, error, result);
    }
    result = mdb_dbi_open(txn, OPEN_SELF, 0, &self);
    if (result == 0)
        result = mdb_get(txn, self, &name, &value);
    if (result == 0)
        return open_version(disk, &value, error);
    if (result == MDB_NOTFOUND || result == MDB_INCOMPATIBLE || result == MDB_DBS_FULL)
        return open_foreign(disk, error, "it is another program's LMDB file");
    return open_failed(disk, error, result);
}

/* ---- the rows ---- */

static int open_row(struct ki_disk *disk, const MDB_val *name, const MDB_val *value, char *error)
{
    char why[200];
    int result = disk->ops.load(disk->arg, (struct kith_str){.ptr = name->mv_data, .len = name->mv_size},
                                (struct kith_str){.ptr = value->mv_data, .len = value->mv_size});
    if (result == 0)
        return 0;
    if (result == KITH_ERR_NOMEM)
        return open_fail(error,
                         "the store in %.200s does not fit into memory (%" PRIu64
                         " rows did): raise its limit or the "
                         "machine's",
                         disk->path, disk->status.loaded);
    snprintf(why, sizeof why, "row %" PRIu64 " is none of kith's (%s)", disk->status.loaded + 1,
             kith_strerror(result));
    return open_damaged(disk, error, why);
}

static int open_load(struct ki_disk *disk, MDB_txn *txn, char *error)
{
    MDB_dbi rows;
    MDB_stat stat;
    MDB_cursor *cursor;
    MDB_val name;
    MDB_val value;
    uint64_t began_ms = uv_hrtime() / 1000000;
    uint64_t told_ms = began_ms;
    int result = mdb_dbi_open(txn, KI_DISK_ROWS, 0, &rows);
    if (result == MDB_NOTFOUND)
        return open_damaged(disk, error, "it has no rows");
    if (result != 0 || (result = mdb_stat(txn, rows, &stat)) != 0 ||
        (result = mdb_cursor_open(txn, rows, &cursor)) != 0)
        return open_failed(disk, error, result);
    int told = 0;
    while (told == 0 && (result = mdb_cursor_get(cursor, &name, &value, MDB_NEXT)) == 0) {
        told = open_row(disk, &name, &value, error);
        disk->status.loaded++;
        if (disk->status.loaded % OPEN_PROGRESS_ROWS == 0 && uv_hrtime() / 1000000 - told_ms >= OPEN_PROGRESS_MS) {
            told_ms = uv_hrtime() / 1000000;
            ki_log(disk->log, KI_LOG_INFO, "disk", "loading %s: %" PRIu64 " of %zu rows", disk->path,
                   disk->status.loaded, stat.ms_entries);
        }
    }
    mdb_cursor_close(cursor);
    if (told != 0)
        return -1;
    if (result != MDB_NOTFOUND)
        return open_failed(disk, error, result);
    if (disk->status.loaded != stat.ms_entries)
        return open_damaged(disk, error, "its rows are not as many as it says");
    ki_log(disk->log, KI_LOG_INFO, "disk", "%s loaded: rows %" PRIu64 ", %" PRIu64 " ms", disk->path,
           disk->status.loaded, uv_hrtime() / 1000000 - began_ms);
    return 0;
}

static int open_read(struct ki_disk *disk, char *error)
{
    MDB_txn *txn;
    int result = mdb_txn_begin(disk->env, NULL, 0, &txn);
    if (result != 0)
        return open_failed(disk, error, result);
    ki_disk_fault_arm(disk->path, true);
    if (open_format(disk, txn, error) != 0 || open_load(disk, txn, error) != 0) {
        mdb_txn_abort(txn);
        return -1;
    }
    ki_disk_fault_arm(disk->path, false);
    result = mdb_txn_commit(txn); /* the format row of a new file; or nothing */
    return result == 0 ? 0 : open_failed(disk, error, result);
}

/* ---- both ---- */

void ki_disk_free(struct ki_disk *disk)
{
    ki_disk_env_close(disk);
    ki_disk_fault_disarm();
    if (disk->dir_fd >= 0)
        close(disk->dir_fd);
    free(disk->group.buf);
    free(disk->dir);
    free(disk->path);
    free(disk);
}

static int open_all(struct ki_disk *disk, const struct ki_disk_config *config, char *error)
{
    int result;
    if (open_dir(disk, error) != 0 || open_env(disk, config->size_first, error) != 0 || open_read(disk, error) != 0)
        return -1;
    if ((result = ki_disk_worker_start(disk)) == 0)
        return 0;
    return open_fail(error, "the thread for -data-dir cannot be started: %s", uv_strerror(result));
}

struct ki_disk *ki_disk_new(const struct ki_disk_config *config, char *error)
{
    struct ki_disk *disk = calloc(1, sizeof *disk);
    if (disk) {
        size_t size = strlen(config->dir) + sizeof "/" KI_DISK_FILE;
        disk->log = config->log;
        disk->ops = config->ops;
        disk->arg = config->arg;
        disk->dir_fd = -1;
        disk->size_max = ki_min_u64(config->size_max, SIZE_MAX / 4);
        disk->dir = strdup(config->dir);
        disk->path = malloc(size);
        if (disk->path)
            snprintf(disk->path, size, "%s/" KI_DISK_FILE, config->dir);
    }
    if (disk && disk->dir && disk->path && open_all(disk, config, error) == 0)
        return disk;
    if (!disk || !disk->dir || !disk->path)
        open_fail(error, "out of memory");
    if (disk)
        ki_disk_free(disk);
    return NULL;
}
