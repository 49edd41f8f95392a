/* How answers leave the Redis door: as far as the kernel takes them in one go, the rest in pieces as it goes on.
 *
 * When the disk comes first (`withhold`), what is written while rows are not durable stays until they are: a mark says up
 * to which byte, and for which group of rows.  There are at most two groups at a time, the one being written and the next,
 * so a few marks are enough; if they were not, the last one takes the newest group.
 *
 * Invariants: one piece at a time is with libuv; `held` links a client exactly while it has marks (but inside
 * ki_redis_durable()).
 *
 * Not here: when to send. */
#include "agent/redis_conn.h"

#define REDIS_SEND_PIECE_MAX ((size_t)1 << 20) /* of what the kernel did not take: copied and queued at one time */

struct redis_send_piece {
    uv_write_t request;
    uint8_t bytes[];
};

/* How many of the unsent bytes may go: all, or up to the first mark. */
static size_t redis_send_allowed(struct ki_redis_client *client)
{
    size_t unsent = ki_resp_unsent(&client->out).len;
    if (client->mark_count == 0)
        return unsent;
    uint64_t durable = kith_rows_are_durable(client->redis->config.k);
    size_t done = 0;
    while (done < client->mark_count && client->marks[done].seq <= durable)
        done++;
    uint64_t allowed = done > 0 ? client->marks[done - 1].offset : client->sent;
    bool all = done == client->mark_count;
    client->mark_count -= done;
    memmove(client->marks, client->marks + done, client->mark_count * sizeof *client->marks);
    if (all) {
        ki_list_remove(&client->held);
        return unsent;
    }
    /* What was allowed before and is not sent yet stays allowed: as a mark that any group satisfies. */
    if (allowed > client->sent && client->mark_count < KI_REDIS_MARKS) {
        memmove(client->marks + 1, client->marks, client->mark_count * sizeof *client->marks);
        client->marks[0] = (struct ki_redis_mark){.offset = allowed, .seq = 0};
        client->mark_count++;
    }
    return (size_t)(allowed - client->sent);
}

/* What is unsent tells of rows that are not durable yet. */
void ki_redis_hold(struct ki_redis_client *client)
{
    const kith *k = client->redis->config.k;
    uint64_t seq = kith_rows_written(k);
    uint64_t offset = client->sent + ki_resp_unsent(&client->out).len;
    if (seq <= kith_rows_are_durable(k) && client->mark_count == 0)
        return;
    if (client->mark_count == 0)
        ki_list_push(&client->redis->held, &client->held);
    size_t last = client->mark_count - 1;
    if (client->mark_count > 0 && (client->marks[last].seq >= seq || client->mark_count == KI_REDIS_MARKS)) {
        client->marks[last].offset = offset;
        client->marks[last].seq = ki_max_u64(client->marks[last].seq, seq);
    } else {
        client->marks[client->mark_count++] = (struct ki_redis_mark){.offset = offset, .seq = seq};
    }
}

static void redis_send_done(struct ki_redis_client *client, size_t len)
{
    ki_resp_sent(&client->out, len);
    client->sent += len;
    client->redis->counts[KI_REDIS_BYTES_OUT] += len;
}

static void redis_send_written(uv_write_t *request, int status)
{
    struct ki_redis_client *client = request->data;
    free(KI_CONTAINER(request, struct redis_send_piece, request));
    client->writing = false;
    if (ki_redis_closing(client))
        return;
    if (status != 0)
        ki_redis_close(client);
    else
        ki_redis_resume(client);
}

/* The kernel takes no more: the next piece waits with libuv until it does. */
static void redis_send_later(struct ki_redis_client *client, const uint8_t *bytes, size_t len)
{
    len = ki_min_size(len, REDIS_SEND_PIECE_MAX);
    struct redis_send_piece *piece = malloc(sizeof *piece + len);
    if (!piece) {
        ki_redis_close(client);
        return;
    }
    memcpy(piece->bytes, bytes, len);
    piece->request.data = client;
    uv_buf_t buf = {.base = (char *)piece->bytes, .len = len};
    if (uv_write(&piece->request, (uv_stream_t *)&client->tcp, &buf, 1, redis_send_written) != 0) {
        free(piece);
        ki_redis_close(client);
        return;
    }
    client->writing = true;
    redis_send_done(client, len);
}

void ki_redis_flush(struct ki_redis_client *client)
{
    size_t len;
    if (ki_redis_closing(client))
        return;
    while (!client->writing && !client->deaf && (len = redis_send_allowed(client)) > 0) {
        struct ki_span unsent = ki_resp_unsent(&client->out);
        uv_buf_t buf = {.base = (char *)(uintptr_t)unsent.ptr, .len = len};
        int taken = uv_try_write((uv_stream_t *)&client->tcp, &buf, 1);
        if (taken < 0 && taken != UV_EAGAIN) {
            ki_redis_close(client);
            return;
        }
        if (taken > 0)
            redis_send_done(client, (size_t)taken);
        if (taken < 0 || (size_t)taken < len) {
            size_t done = taken > 0 ? (size_t)taken : 0;
            redis_send_later(client, unsent.ptr + done, len - done);
            return;
        }
    }
    if (client->out.full) { /* what fitted is out; an answer is missing */
        client->redis->counts[KI_REDIS_CLOSED_OUTPUT]++;
        ki_log(client->redis->log, KI_LOG_WARN, "redis", "closing id=%llu: its answers are not taken, or too long",
               (unsigned long long)client->id);
        ki_redis_close(client);
    } else if (client->finishing && !client->writing && (client->deaf || ki_resp_unsent(&client->out).len == 0)) {
        ki_redis_close(client);
    }
}

void ki_redis_durable(struct ki_redis *redis)
{
    struct ki_list waiting = redis->held;
    if (ki_list_empty(&redis->held))
        return;
    waiting.next->prev = waiting.prev->next = &waiting;
    ki_list_init(&redis->held);
    while (!ki_list_empty(&waiting)) { /* whoever is resumed may close any other */
        struct ki_redis_client *client = KI_CONTAINER(waiting.next, struct ki_redis_client, held);
        ki_list_remove(&client->held);
        ki_redis_resume(client);
        if (client->mark_count > 0 && !ki_redis_closing(client) && ki_list_empty(&client->held))
            ki_list_push(&redis->held, &client->held);
    }
}
