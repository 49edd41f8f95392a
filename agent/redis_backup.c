/* A backup of the store, and its way back, for `kith store backup` and `kith store restore`.
 *
 *     KITH.BACKUP BEGIN          [id, rows, bytes]: all rows as they are now, kept for this client
 *     KITH.BACKUP NEXT id        up to 4 MiB of them, as one bulk; an empty one is the end
 *
 *     KITH.RESTORE BEGIN         OK
 *     KITH.RESTORE ROWS bytes    the count of rows so far.  Any piece of what NEXT gave, in order; rows may be cut anywhere
 *     KITH.RESTORE COMMIT        [keys before, keys after, our new replica id, rows]
 *
 *     a row:   name's length (1)   value's length (4)   name   value          numbers with the highest byte first
 *
 * Rows must be taken without a write in between, so BEGIN takes all of them at once.  That costs about 100 ns a row and the
 * copying of the values (880 MB: 0.8 s into warm memory, several where the system must first find it), during which the
 * agent does nothing else; and the copy's memory until the client has fetched it: at most KI_REDIS_BACKUP_MAX for all
 * clients together, beyond which a backup is refused.  COMMIT takes about 1 us a cell.
 *
 * What a client restores may be anything: the core checks every row, and nothing takes effect before COMMIT.  The core has
 * one import under way, so one client restores at a time; an error, another BEGIN, or the client's end undoes it.
 *
 * Invariants: redis->backup_bytes is what all copies and all pieces of rows hold.  redis->restoring is the client that
 * restores; the core holds rows of an import only while there is one.
 *
 * Not here: the file, and its checksum; those are the command's (cli/store_file.c). */
#include "agent/redis_conn.h"
#include "base/bytes.h"

#include <stdio.h>

#define BACKUP_PIECE     ((size_t)4 << 20)
#define BACKUP_ROW_HEAD  5
#define BACKUP_NAME_MAX  32 /* a row's, by kith/store.h */

struct backup_piece {
    struct backup_piece *next;
    size_t len;
    uint8_t bytes[];
};

/* Of one client: a copy that goes out, or rows that come in. */
struct ki_redis_backup {
    uint64_t id; /* 0: comes in */
    uint64_t rows, bytes;
    struct backup_piece *pieces, *last;
    uint8_t *row; /* one that has not come whole */
    size_t row_len, row_cap;
    size_t held; /* of memory */
};

/* ---- life ---- */

/* Takes so much more memory into account.  false: it would be too much. */
static bool backup_hold(struct ki_redis *redis, struct ki_redis_backup *backup, size_t bytes)
{
    if (bytes > KI_REDIS_BACKUP_MAX - redis->backup_bytes)
        return false;
    redis->backup_bytes += bytes;
    backup->held += bytes;
    return true;
}

static void backup_drop_piece(struct ki_redis *redis, struct ki_redis_backup *backup)
{
    struct backup_piece *piece = backup->pieces;
    backup->pieces = piece->next;
    redis->backup_bytes -= BACKUP_PIECE;
    backup->held -= BACKUP_PIECE;
    free(piece);
}

/* The core forgets an import with the first row that is none. */
static void backup_undo_import(struct ki_redis *redis)
{
    const struct kith_row none = {.name = {"", 0}, .value = {"", 0}};
    (void)kith_import_row(redis->config.k, redis->config.now(), &none);
}

void ki_redis_backup_end(struct ki_redis_client *client)
{
    struct ki_redis *redis = client->redis;
    struct ki_redis_backup *backup = client->backup;
    if (!backup)
        return;
    client->backup = NULL;
    if (redis->restoring == client) {
        redis->restoring = NULL;
        if (backup->rows > 0)
            backup_undo_import(redis);
    }
    while (backup->pieces)
        backup_drop_piece(redis, backup);
    redis->backup_bytes -= backup->held;
    free(backup->row);
    free(backup);
}

static struct ki_redis_backup *backup_new(struct ki_redis_call *call)
{
    ki_redis_backup_end(call->client);
    call->client->backup = calloc(1, sizeof *call->client->backup);
    if (!call->client->backup)
        ki_redis_error_of(call, KITH_ERR_NOMEM);
    return call->client->backup;
}

/* ---- out ---- */

static bool backup_put(struct ki_redis *redis, struct ki_redis_backup *backup, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    backup->bytes += len;
    while (len > 0) {
        if (!backup->last || backup->last->len == BACKUP_PIECE) {
            bool fits = backup_hold(redis, backup, BACKUP_PIECE);
            struct backup_piece *piece = fits ? malloc(sizeof *piece + BACKUP_PIECE) : NULL;
            if (!piece) {
                redis->backup_bytes -= fits ? BACKUP_PIECE : 0;
                backup->held -= fits ? BACKUP_PIECE : 0;
                return false;
            }
            piece->next = NULL;
            piece->len = 0;
            *(backup->last ? &backup->last->next : &backup->pieces) = piece;
            backup->last = piece;
        }
        size_t some = ki_min_size(len, BACKUP_PIECE - backup->last->len);
        memcpy(backup->last->bytes + backup->last->len, at, some);
        backup->last->len += some;
        at += some;
        len -= some;
    }
    return true;
}

static bool backup_put_row(struct ki_redis *redis, struct ki_redis_backup *backup, const struct kith_row *row)
{
    uint8_t head[BACKUP_ROW_HEAD];
    KI_ASSERT(row->name.len <= BACKUP_NAME_MAX && row->value.len <= UINT32_MAX);
    ki_store_be(head, row->name.len, 1);
    ki_store_be(head + 1, row->value.len, 4);
    backup->rows++;
    return backup_put(redis, backup, head, sizeof head) && backup_put(redis, backup, row->name.ptr, row->name.len) &&
           backup_put(redis, backup, row->value.ptr, row->value.len);
}

static void backup_begin(struct ki_redis_call *call)
{
    struct ki_redis *redis = call->client->redis;
    struct ki_redis_backup *backup = backup_new(call);
    struct kith_row row;
    uint64_t cursor = 0;
    if (!backup)
        return;
    backup->id = ++redis->next_backup;
    while (kith_export_row(call->k, &cursor, &row)) {
        if (row.is_commit || backup_put_row(redis, backup, &row))
            continue;
        ki_redis_backup_end(call->client);
        ki_redis_error(call, "OOM a backup of this store takes more memory than the agent has for backups (1 GiB at most)");
        return;
    }
    ki_resp_put_array(call->out, 3);
    ki_resp_put_integer(call->out, (int64_t)backup->id);
    ki_resp_put_integer(call->out, (int64_t)backup->rows);
    ki_resp_put_integer(call->out, (int64_t)backup->bytes);
}

static void backup_next(struct ki_redis_call *call)
{
    struct ki_redis_backup *backup = call->client->backup;
    int64_t id;
    if (!ki_redis_integer(call, call->args[2], &id))
        return;
    if (!backup || backup->id == 0 || id < 0 || (uint64_t)id != backup->id) {
        ki_redis_error(call, "ERR no such backup: begin anew");
        return;
    }
    if (!backup->pieces) {
        ki_redis_backup_end(call->client);
        ki_resp_put_bulk(call->out, ki_span("", 0));
        return;
    }
    ki_resp_put_bulk(call->out, ki_span(backup->pieces->bytes, backup->pieces->len));
    backup_drop_piece(call->client->redis, backup);
}

void ki_redis_backup(struct ki_redis_call *call)
{
    static const struct ki_redis_sub subs[] = {{"BEGIN", 2, backup_begin}, {"NEXT", 3, backup_next}};
    ki_redis_container(call, "KITH.BACKUP", subs, KI_COUNT(subs));
}

/* ---- in ---- */

static void restore_begin(struct ki_redis_call *call)
{
    struct ki_redis *redis = call->client->redis;
    if (redis->restoring && redis->restoring != call->client) {
        ki_redis_error(call, "ERR another client is restoring a backup: try again when it is done");
        return;
    }
    if (!backup_new(call))
        return;
    redis->restoring = call->client;
    ki_redis_ok(call);
}

/* Undoes the import and says why. */
static void restore_fail(struct ki_redis_call *call, int error, bool committing)
{
    ki_redis_backup_end(call->client);
    if (error == KITH_ERR_MALFORMED)
        ki_redis_error(call, "ERR these are not the rows of a backup, or not in their order: nothing was restored");
    else if (error == KITH_ERR_NOMEM && committing)
        ki_redis_error(call, "OOM the store may not take more memory: a part was restored, and nothing that was deleted "
                             "came back; raise its limit and restore again");
    else if (error == KITH_ERR_NOMEM)
        ki_redis_error(call, "OOM the store may not take more memory: nothing was restored");
    else
        ki_redis_error_of(call, error);
}

/* The client's restore, or NULL with an error written. */
static struct ki_redis_backup *restore_of(struct ki_redis_call *call)
{
    if (call->client->redis->restoring == call->client)
        return call->client->backup;
    ki_redis_error(call, "ERR no restore was begun");
    return NULL;
}

/* How long the row is that begins so; at first, how long what says that is. */
static size_t restore_row_size(struct ki_span bytes)
{
    if (bytes.len < BACKUP_ROW_HEAD)
        return BACKUP_ROW_HEAD;
    return BACKUP_ROW_HEAD + bytes.ptr[0] + (size_t)ki_load_be(bytes.ptr + 1, 4);
}

static int restore_row(struct ki_redis_call *call, struct ki_redis_backup *restore, const uint8_t *at)
{
    size_t name_len = at[0], value_len = (size_t)ki_load_be(at + 1, 4);
    const char *name = (const char *)at + BACKUP_ROW_HEAD;
    const struct kith_row row = {.name = {name, name_len}, .value = {name + name_len, value_len}};
    restore->rows++;
    return name_len <= BACKUP_NAME_MAX ? kith_import_row(call->k, call->now, &row) : KITH_ERR_MALFORMED;
}

/* Keeps a part of a row.  Memory grows as the bytes come, whatever length was announced. */
static bool restore_keep(struct ki_redis *redis, struct ki_redis_backup *restore, const uint8_t *bytes, size_t len)
{
    if (restore->row_cap - restore->row_len < len) {
        size_t cap = 2 * (restore->row_len + len);
        uint8_t *row = backup_hold(redis, restore, cap - restore->row_cap) ? realloc(restore->row, cap) : NULL;
        if (!row)
            return false; /* what is held is given back with all of it */
        restore->row = row;
        restore->row_cap = cap;
    }
    memcpy(restore->row + restore->row_len, bytes, len);
    restore->row_len += len;
    return true;
}

static int restore_feed(struct ki_redis_call *call, struct ki_redis_backup *restore, struct ki_span bytes)
{
    int result = 0;
    while (bytes.len > 0 && result == 0) {
        size_t size = restore_row_size(bytes), some = size;
        if (restore->row_len == 0 && bytes.len >= BACKUP_ROW_HEAD && size <= bytes.len) {
            result = restore_row(call, restore, bytes.ptr);
        } else {
            size = restore_row_size(ki_span(restore->row, restore->row_len));
            some = ki_min_size(size - restore->row_len, bytes.len);
            if (!restore_keep(call->client->redis, restore, bytes.ptr, some))
                return KITH_ERR_NOMEM;
            bool whole = restore->row_len >= BACKUP_ROW_HEAD &&
                         restore->row_len == restore_row_size(ki_span(restore->row, restore->row_len));
            if (whole) {
                restore->row_len = 0;
                result = restore_row(call, restore, restore->row);
            }
        }
        bytes = ki_span(bytes.ptr + some, bytes.len - some);
    }
    return result;
}

static void restore_rows(struct ki_redis_call *call)
{
    struct ki_redis_backup *restore = restore_of(call);
    if (!restore)
        return;
    int result = restore_feed(call, restore, call->args[2]);
    if (result != 0)
        restore_fail(call, result, false);
    else
        ki_resp_put_integer(call->out, (int64_t)restore->rows);
}

static void restore_commit(struct ki_redis_call *call)
{
    const struct kith_row commit = {.name = {"", 0}, .value = {"", 0}, .is_commit = true};
    struct kith_store_gauges before = {.keys = 0}, after = {.keys = 0};
    struct ki_redis_backup *restore = restore_of(call);
    char replica[17];
    if (!restore)
        return;
    (void)kith_store_read_gauges(call->k, &before);
    int result = restore->row_len > 0 ? KITH_ERR_MALFORMED : kith_import_row(call->k, call->now, &commit);
    if (result != 0) {
        restore_fail(call, result, restore->row_len == 0);
        return;
    }
    uint64_t rows = restore->rows;
    restore->rows = 0; /* the core holds none of them any more */
    ki_redis_backup_end(call->client);
    (void)kith_store_read_gauges(call->k, &after);
    snprintf(replica, sizeof replica, "%016llx", (unsigned long long)after.replica);
    ki_resp_put_array(call->out, 4);
    ki_resp_put_integer(call->out, (int64_t)before.keys);
    ki_resp_put_integer(call->out, (int64_t)after.keys);
    ki_redis_text(call, replica);
    ki_resp_put_integer(call->out, (int64_t)rows);
}

void ki_redis_restore(struct ki_redis_call *call)
{
    static const struct ki_redis_sub subs[] = {
        {"BEGIN", 2, restore_begin}, {"ROWS", 3, restore_rows}, {"COMMIT", 2, restore_commit}};
    ki_redis_container(call, "KITH.RESTORE", subs, KI_COUNT(subs));
}
