/* The thread that waits for the disk: one group, one transaction, one answer.
 *
 *     loop: TURN_LOOP --give--> TURN_WORKER --worker--> TURN_DONE --loop--> TURN_LOOP ... TURN_QUIT
 *
 * It has a thread of its own, not one of libuv's pool: lookups of names wait there, and a disk must not wait for a name
 * server, nor the other way round.
 *
 * Every commit is synced (LMDB's default): with MDB_NOSYNC a power cut between two commits can leave a tree that is neither,
 * and rows that are silently wrong are worse than rows that are missing, for what a context knows and no row holds counts
 * as deleted.
 *
 * The map doubles when a transaction does not fit, up to size_max; nobody else has a transaction open then.  After any
 * other failure the environment is opened anew for the next group: LMDB refuses everything after a failed write of its
 * header, and a map that could not grow is gone.
 *
 * Not here: when to write and what to say about it (disk.c). */
#include "agent/disk_internal.h"

#include "base/base.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define WORKER_ROOM ((uint64_t)1 << 20) /* less than this is a full disk, when a write has failed */

static int worker_put(MDB_txn *txn, MDB_dbi rows, const struct ki_disk_head *head, const unsigned char *bytes)
{
    MDB_val name = {.mv_size = head->name_len, .mv_data = (void *)(uintptr_t)bytes};
    MDB_val value = {.mv_size = head->value_len, .mv_data = (void *)(uintptr_t)(bytes + head->name_len)};
    if (!head->is_gone)
        return mdb_put(txn, rows, &name, &value, 0);
    int result = mdb_del(txn, rows, &name, NULL);
    return result == MDB_NOTFOUND ? 0 : result;
}

/* All of the group, or nothing. */
static int worker_apply(MDB_env *env, const struct ki_disk_group *group)
{
    MDB_txn *txn;
    MDB_dbi rows;
    struct ki_disk_head head;
    int result = mdb_txn_begin(env, NULL, 0, &txn);
    if (result != 0)
        return result;
    result = mdb_dbi_open(txn, KI_DISK_ROWS, 0, &rows);
    for (size_t at = 0; result == 0 && at < group->len; at += head.name_len + (size_t)head.value_len) {
        memcpy(&head, group->buf + at, sizeof head);
        at += sizeof head;
        result = worker_put(txn, rows, &head, group->buf + at);
    }
    if (result == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return result;
}

static int worker_grow(struct ki_disk *disk)
{
    if (disk->map_size >= disk->size_max)
        return MDB_MAP_FULL;
    uint64_t size = disk->map_size > disk->size_max / 2 ? disk->size_max : disk->map_size * 2;
    int result = mdb_env_set_mapsize(disk->env, (size_t)size);
    if (result == 0)
        disk->map_size = size;
    return result;
}

static void worker_measure(struct ki_disk *disk, struct ki_disk_group *group)
{
    MDB_envinfo info;
    MDB_stat stat;
    if (mdb_env_info(disk->env, &info) != 0 || mdb_env_stat(disk->env, &stat) != 0)
        return;
    group->map_bytes = info.me_mapsize;
    group->file_bytes = ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize;
}

/* LMDB calls a write that came through in part EIO, and asks in its source whether the disk was full.  We look. */
static int worker_name_it(const struct ki_disk *disk, const struct ki_disk_group *group, int result)
{
    struct statvfs room;
    struct rlimit limit;
    struct stat info;
    uint64_t want = (uint64_t)group->len * 2 + WORKER_ROOM;
    if (result != EIO)
        return result;
    if (fstatvfs(disk->dir_fd, &room) == 0 && (uint64_t)room.f_bavail * room.f_frsize < want)
        return ENOSPC;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && stat(disk->path, &info) == 0 &&
        limit.rlim_cur < (uint64_t)info.st_size + want)
        return EFBIG;
    return EIO;
}

/* A file that was removed takes rows with it that nobody will see; one put in its place lacks rows of ours, which would
 * then count as deleted. */
static int worker_same_file(const struct ki_disk *disk)
{
    struct stat now;
    if (stat(disk->path, &now) != 0)
        return errno;
    return now.st_ino == disk->was.st_ino && now.st_dev == disk->was.st_dev ? 0 : ESTALE;
}

static int worker_write(struct ki_disk *disk, struct ki_disk_group *group)
{
    int result = worker_same_file(disk);
    if (result == 0 && !disk->env)
        result = ki_disk_env_open(disk);
    while (result == 0) {
        result = worker_apply(disk->env, group);
        if (result == 0) {
            worker_measure(disk, group);
            return 0;
        }
        if (result == MDB_MAP_FULL)
            result = worker_grow(disk);
    }
    if (result != MDB_MAP_FULL)
        ki_disk_env_close(disk);
    return worker_name_it(disk, group, result);
}

static void worker_run(void *arg)
{
    struct ki_disk *disk = arg;
    uv_mutex_lock(&disk->mutex);
    while (disk->turn != KI_DISK_TURN_QUIT) {
        if (disk->turn != KI_DISK_TURN_WORKER) {
            uv_cond_wait(&disk->cond, &disk->mutex);
            continue;
        }
        uv_mutex_unlock(&disk->mutex);
        uint64_t began = uv_hrtime();
        disk->group.result = worker_write(disk, &disk->group);
        disk->group.spent_us = (uv_hrtime() - began) / 1000;
        uv_mutex_lock(&disk->mutex);
        disk->turn = KI_DISK_TURN_DONE;
        if (disk->is_abandoned)
            break;
        uv_async_send(&disk->done);
    }
    uv_mutex_unlock(&disk->mutex);
}

int ki_disk_worker_start(struct ki_disk *disk)
{
    int result = uv_mutex_init(&disk->mutex);
    if (result != 0)
        return result;
    if ((result = uv_cond_init(&disk->cond)) == 0) {
        if ((result = uv_thread_create(&disk->thread, worker_run, disk)) == 0) {
            disk->has_thread = true;
            return 0;
        }
        uv_cond_destroy(&disk->cond);
    }
    uv_mutex_destroy(&disk->mutex);
    return result;
}

static void worker_turn(struct ki_disk *disk, enum ki_disk_turn turn)
{
    uv_mutex_lock(&disk->mutex);
    KI_ASSERT(disk->turn == KI_DISK_TURN_LOOP);
    disk->turn = turn;
    uv_cond_signal(&disk->cond);
    uv_mutex_unlock(&disk->mutex);
}

void ki_disk_worker_give(struct ki_disk *disk)
{
    worker_turn(disk, KI_DISK_TURN_WORKER);
}

void ki_disk_worker_stop(struct ki_disk *disk)
{
    worker_turn(disk, KI_DISK_TURN_QUIT);
    uv_thread_join(&disk->thread);
    disk->has_thread = false;
    uv_cond_destroy(&disk->cond);
    uv_mutex_destroy(&disk->mutex);
}

/* What a failure means to the operator, and what to do. */
const char *ki_disk_why(const struct ki_disk *disk, int result, char *buf, size_t cap)
{
    switch (result) {
    case ENOSPC:
    case EDQUOT:
        snprintf(buf, cap, "%s: make room on the disk of %.150s", strerror(result), disk->dir);
        return buf;
    case EFBIG:
        snprintf(buf, cap, "the file may not grow: raise the limit of file sizes (ulimit -f, LimitFSIZE=)");
        return buf;
    case MDB_MAP_FULL:
        snprintf(buf, cap, "the file has reached %" PRIu64 " bytes: raise -data-max, or delete keys", disk->size_max);
        return buf;
    case ENOENT:
    case ESTALE:
        snprintf(buf, cap,
                 "the file has been removed or replaced: put back the one that was there, or "
                 "restart the agent");
        return buf;
    case EIO:
        snprintf(buf, cap, "the disk gives errors (see dmesg), or a quota is used up");
        return buf;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_NOTFOUND:
        snprintf(buf, cap, "%.150s is damaged (%s): stop the agent, move the file away, and start again", disk->path,
                 mdb_strerror(result));
        return buf;
    default:
        snprintf(buf, cap, "%s", mdb_strerror(result));
        return buf;
    }
}
