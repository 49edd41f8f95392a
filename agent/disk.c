/* The loop's side of the disk: when a group is taken, and what its end means.
 *
 *     about to wait --pending, nothing out, due--> the whole group into one buffer --> worker --> durable(seq, result)
 *
 * It looks once each time before the loop waits (uv_prepare), so nobody has to tell it that something was written; a timer
 * runs only while something is pending and not yet due.  Rows gather in the core meanwhile, where a row written ten times is
 * one row.  With `always` a group is due at once: what comes while one is being written makes the next.
 *
 * A failure is told once, and its end once.  The core offers the rows again, and a group is due after 0.1, 0.2, ... 5
 * seconds.  Memory goes on as if nothing had happened: a full disk stops no reading and no writing.
 *
 * Not here: what is written how (disk_worker.c), what was there before (disk_open.c). */
#include "agent/disk_internal.h"

#include "base/base.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#define DISK_EVERYSEC_MS    1000
#define DISK_NO_MS          30000
#define DISK_BACKOFF_MIN_MS 100
#define DISK_BACKOFF_MAX_MS 5000
#define DISK_CLOSE_MS       10000
#define DISK_KEEP_BYTES     ((size_t)4 << 20) /* of the buffer, when a group needed more */

bool ki_disk_fsync_parse(const char *text, enum ki_disk_fsync *out)
{
    static const char *const names[] = {"always", "everysec", "no"};
    for (size_t i = 0; i < KI_COUNT(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (enum ki_disk_fsync)i;
            return true;
        }
    }
    return false;
}

static uint64_t disk_now_ms(void)
{
    return uv_hrtime() / 1000000;
}

/* ---- taking a group ---- */

static void disk_copy(struct ki_disk_group *group, const struct kith_row *row)
{
    const struct ki_disk_head head = {
        .name_len = (uint32_t)row->name.len, .value_len = row->is_gone ? 0 : row->value.len, .is_gone = row->is_gone};
    size_t need = sizeof head + head.name_len + (size_t)head.value_len;
    if (group->is_short)
        return;
    if (need > group->cap - group->len) {
        size_t cap = (size_t)ki_max_u64((uint64_t)group->cap * 2, (uint64_t)group->len + need + 4096);
        unsigned char *more = realloc(group->buf, cap);
        if (!more) {
            group->is_short = true;
            return;
        }
        group->buf = more;
        group->cap = cap;
    }
    memcpy(group->buf + group->len, &head, sizeof head);
    group->len += sizeof head;
    memcpy(group->buf + group->len, row->name.ptr, head.name_len);
    group->len += head.name_len;
    if (head.value_len > 0)
        memcpy(group->buf + group->len, row->value.ptr, (size_t)head.value_len);
    group->len += (size_t)head.value_len;
    group->rows++;
}

/* From the first row to the commit mark.  False: it did not come, and nothing is out: the core has no memory for it now,
 * or is in the middle of a group of writes. */
static bool disk_take(struct ki_disk *disk)
{
    struct ki_disk_group *group = &disk->group;
    struct kith_row row;
    group->len = 0;
    group->rows = 0;
    group->is_short = false;
    while (disk->ops.poll(disk->arg, &row)) {
        if (row.name.len > 0)
            disk_copy(group, &row);
        if (row.is_commit) {
            group->is_part = row.is_part;
            group->seq = row.seq;
            return true;
        }
    }
    return false;
}

/* ---- the end of a group ---- */

static void disk_told(struct ki_disk *disk, int result)
{
    char why[sizeof disk->error];
    if (result == 0) {
        if (disk->error[0] != '\0')
            ki_log(disk->log, KI_LOG_INFO, "disk", "%s is written again: what it lacked is there now", disk->path);
        disk->error[0] = '\0';
        return;
    }
    ki_disk_why(disk, result, why, sizeof why);
    if (strcmp(why, disk->error) == 0)
        return;
    memcpy(disk->error, why, sizeof why);
    ki_log(disk->log, KI_LOG_ERR, "disk",
           "%s cannot be written: %s. The store goes on in memory, and the agent tries again until "
           "it works",
           disk->path, why);
}

static void disk_count(struct ki_disk *disk, const struct ki_disk_group *group, int result)
{
    struct ki_disk_status *status = &disk->status;
    struct timeval wall;
    status->last_commit_us = group->spent_us;
    if (result != 0) {
        status->failures++;
        return;
    }
    gettimeofday(&wall, NULL);
    status->durable_wall_us = (uint64_t)wall.tv_sec * 1000000 + (uint64_t)wall.tv_usec;
    status->groups++;
    status->rows += group->rows;
    status->bytes += group->len;
    status->file_bytes = group->file_bytes;
    status->map_bytes = group->map_bytes;
}

static void disk_later(struct ki_disk *disk)
{
    disk->backoff_ms =
        disk->backoff_ms == 0 ? DISK_BACKOFF_MIN_MS : ki_min_u64(disk->backoff_ms * 2, DISK_BACKOFF_MAX_MS);
    disk->due_ms = disk_now_ms() + disk->backoff_ms;
}

static void disk_close_go_on(struct ki_disk *disk);

static void disk_ended(struct ki_disk *disk, int result)
{
    struct ki_disk_group *group = &disk->group;
    disk_count(disk, group, result);
    disk_told(disk, result);
    if (group->cap > DISK_KEEP_BYTES) {
        free(group->buf);
        group->buf = NULL;
        group->cap = 0;
    }
    if (result == 0) {
        disk->backoff_ms = 0;
        disk->due_ms = group->is_part ? 0 : disk->began_ms + disk->interval_ms;
    } else {
        disk_later(disk);
    }
    disk->ops.durable(disk->arg, group->seq, result);
    if (disk->is_closing)
        disk_close_go_on(disk);
}

static void disk_done(uv_async_t *handle)
{
    struct ki_disk *disk = handle->data;
    uv_mutex_lock(&disk->mutex);
    bool is_done = disk->turn == KI_DISK_TURN_DONE;
    if (is_done)
        disk->turn = KI_DISK_TURN_LOOP;
    uv_mutex_unlock(&disk->mutex);
    if (!is_done)
        return;
    disk->is_out = false;
    disk_ended(disk, disk->group.result);
}

/* Takes a group and sends it off.  False: there was none. */
static bool disk_begin(struct ki_disk *disk)
{
    disk->began_ms = disk_now_ms();
    if (!disk_take(disk)) {
        if (disk->group.rows > 0)
            disk_told(disk, ENOMEM);
        disk_later(disk);
        return false;
    }
    if (disk->group.is_short) {
        disk->group.spent_us = 0;
        disk_ended(disk, ENOMEM);
    } else {
        disk->is_out = true;
        ki_disk_worker_give(disk);
    }
    return true;
}

static void disk_due(uv_timer_t *handle)
{
    (void)handle; /* disk_look() is next */
}

static void disk_look(uv_prepare_t *handle)
{
    struct ki_disk *disk = handle->data;
    if (disk->is_out || disk->is_closing || !disk->ops.pending(disk->arg))
        return;
    uint64_t now_ms = disk_now_ms();
    if (now_ms >= disk->due_ms && disk_begin(disk) && disk->is_out)
        return;
    if (disk->due_ms > now_ms && !uv_is_active((const uv_handle_t *)&disk->timer)) {
        uv_update_time(handle->loop);
        uv_timer_start(&disk->timer, disk_due, disk->due_ms - now_ms, 0);
    }
}

/* ---- life ---- */

int ki_disk_open(struct ki_disk **out, const struct ki_disk_config *config, char error[KI_DISK_ERROR_TEXT])
{
    static const uint64_t intervals_ms[] = {
        [KI_DISK_ALWAYS] = 0, [KI_DISK_EVERYSEC] = DISK_EVERYSEC_MS, [KI_DISK_NO] = DISK_NO_MS};
    *out = NULL;
    struct ki_disk *disk = ki_disk_new(config, error);
    if (!disk)
        return -1;
    int result = uv_async_init(config->loop, &disk->done, disk_done);
    if (result != 0) {
        snprintf(error, KI_DISK_ERROR_TEXT, "-data-dir cannot be served: %s", uv_strerror(result));
        ki_disk_worker_stop(disk);
        ki_disk_free(disk);
        return -1;
    }
    uv_prepare_init(config->loop, &disk->prepare);
    uv_timer_init(config->loop, &disk->timer);
    disk->done.data = disk->prepare.data = disk->timer.data = disk;
    disk->interval_ms = intervals_ms[config->fsync];
    disk->status.fsync = config->fsync;
    disk->status.map_bytes = disk->map_size;
    uv_prepare_start(&disk->prepare, disk_look);
    *out = disk;
    return 0;
}

void ki_disk_status(const struct ki_disk *disk, struct ki_disk_status *out)
{
    *out = disk->status;
    out->error = disk->error;
}

static void disk_closed(uv_handle_t *handle)
{
    struct ki_disk *disk = handle->data;
    if (--disk->handles > 0)
        return;
    void (*closed)(void *) = disk->closed;
    void *arg = disk->closed_arg;
    if (!disk->is_abandoned) /* the worker may still hang in it: all of it goes with the process */
        ki_disk_free(disk);
    if (closed)
        closed(arg);
}

static void disk_close_handles(struct ki_disk *disk)
{
    disk->handles = 3;
    uv_close((uv_handle_t *)&disk->prepare, disk_closed);
    uv_close((uv_handle_t *)&disk->timer, disk_closed);
    uv_close((uv_handle_t *)&disk->done, disk_closed);
}

static void disk_close_late(uv_timer_t *handle)
{
    struct ki_disk *disk = handle->data;
    ki_log(disk->log, KI_LOG_ERR, "disk",
           "%s did not take the last group within %d s: what was written since the one before is "
           "not there",
           disk->path, DISK_CLOSE_MS / 1000);
    uv_mutex_lock(&disk->mutex);
    disk->is_abandoned = true;
    uv_mutex_unlock(&disk->mutex);
    disk_close_handles(disk);
}

/* Nothing is out.  The next group, or the end: a group that fails now is not tried again. */
static void disk_close_go_on(struct ki_disk *disk)
{
    if (disk->error[0] == '\0' && disk->ops.pending(disk->arg) && disk_begin(disk))
        return;
    if (disk->error[0] != '\0')
        ki_log(disk->log, KI_LOG_ERR, "disk", "%s lacks what was written last: %s", disk->path, disk->error);
    uv_timer_stop(&disk->timer);
    ki_disk_worker_stop(disk);
    disk_close_handles(disk);
}

void ki_disk_close(struct ki_disk *disk, void (*closed)(void *arg), void *arg)
{
    disk->is_closing = true;
    disk->closed = closed;
    disk->closed_arg = arg;
    uv_update_time(disk->timer.loop);
    uv_timer_start(&disk->timer, disk_close_late, DISK_CLOSE_MS, 0);
    if (!disk->is_out) {
        disk->error[0] = '\0'; /* one last try */
        disk_close_go_on(disk);
    }
}
