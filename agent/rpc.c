/* The sockets of the RPC.
 *
 * One struct ki_rpc_conn a client, at most KI_RPC_CLIENTS_MAX.  One more takes the place of the oldest
 * that has not greeted; when all have, it is closed at once.  Both are counted.  All that a client can
 * make the agent keep is bounded: its unread requests (reading stops at the largest one), its unsent
 * answers (beyond KI_RPC_OUTPUT_MAX no further request is done, and records of streams and monitors are
 * dropped and counted), and the time it may take to greet.
 *
 *     open --greeted--> serving <--busy/paused--> serving --end of input, bad bytes, stop--> finishing --> closed
 *
 * Who is refused for bad bytes, or for too many, may still be sending.  A socket that is closed with unread bytes takes our
 * last answer along, so ours is only half closed, and what comes is dropped until the client has closed, too, or for
 * KI_RPC_FLUSH_MS (draining).
 *
 * Requests of one client are done one after the other, as Serf does: an ask that takes time (busy)
 * holds back those behind it.  Reading goes on meanwhile, so that the end of the connection is seen.  A client
 * that closes its sending half still gets the answer it waits for, but no more records: its streams and queries
 * end.  A client that sends many requests at once gets RPC_TURN_MAX of them done, then the loop sees to the
 * gossip and to the others, and an idle handle comes back to it (yielded).
 *
 * TCP and Unix socket differ in how they listen; a connection is the same to all other files, and all limits count
 * both kinds together.
 *
 * Invariants: a connection is freed only in its handle's close callback; ki_agent_forget() and
 * ki_rpc_unwatch() come before uv_close(), so nobody calls a dead connection.  Sending tries at once
 * and queues only what the kernel did not take. */
#include "agent/rpc_conn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RPC_TICK_MS  250
#define RPC_QUEUE    128 /* connections that the kernel holds for us */
#define RPC_TURN_MAX 32 /* requests of one client before the loop serves everybody else */

struct rpc_write {
    uv_write_t request;
    uint8_t bytes[];
};

static struct ki_rpc_conn *rpc_conn_of(struct ki_list *link)
{
    return KI_CONTAINER(link, struct ki_rpc_conn, link);
}

/* ---- closing ---- */

static void rpc_free_if_done(struct ki_rpc *rpc)
{
    if (!rpc->stopping || rpc->handles > 0 || rpc->conn_count > 0)
        return;
    void (*closed)(void *arg) = rpc->closed;
    void *arg = rpc->closed_arg;
    ki_rpc_kept_free(&rpc->kept);
    free(rpc->auth_key);
    free(rpc);
    if (closed)
        closed(arg);
}

static void rpc_handle_closed(uv_handle_t *handle)
{
    struct ki_rpc *rpc = handle->data;
    rpc->handles--;
    rpc_free_if_done(rpc);
}

/* The time limits hold until the last connection is gone. */
static void rpc_close_timers(struct ki_rpc *rpc)
{
    if (!rpc->stopping || rpc->conn_count > 0 || uv_is_closing((uv_handle_t *)&rpc->timer))
        return;
    uv_close((uv_handle_t *)&rpc->timer, rpc_handle_closed);
    uv_close((uv_handle_t *)&rpc->idle, rpc_handle_closed);
}

static void rpc_conn_closed(uv_handle_t *handle)
{
    struct ki_rpc_conn *conn = handle->data;
    struct ki_rpc *rpc = conn->rpc;
    ki_list_remove(&conn->link);
    rpc->conn_count--;
    ki_rpc_gather_clear(&conn->gather);
    free(conn->in);
    free(conn);
    rpc_close_timers(rpc);
    rpc_free_if_done(rpc);
}

static void rpc_close(struct ki_rpc_conn *conn)
{
    if (uv_is_closing(&conn->socket.handle))
        return;
    ki_rpc_unwatch(conn);
    ki_rpc_drop_queries(conn);
    if (conn->busy)
        ki_agent_forget(conn->rpc->agent, conn);
    uv_close(&conn->socket.handle, rpc_conn_closed);
}

/* Closes what takes too long to greet, or to take its last answer; while nobody is waited for, the timer rests. */
static void rpc_tick(uv_timer_t *timer)
{
    struct ki_rpc *rpc = timer->data;
    uint64_t now_ms = uv_now(timer->loop);
    bool waits = false;
    struct ki_list *next;
    for (struct ki_list *at = rpc->conns.next; at != &rpc->conns; at = next) {
        next = at->next;
        struct ki_rpc_conn *conn = rpc_conn_of(at);
        if (conn->deadline_ms != 0 && now_ms >= conn->deadline_ms)
            rpc_close(conn);
        else
            waits = waits || conn->deadline_ms != 0;
    }
    if (!waits)
        uv_timer_stop(timer);
}

static void rpc_close_in(struct ki_rpc_conn *conn, uint64_t ms)
{
    uv_timer_t *timer = &conn->rpc->timer;
    conn->deadline_ms = uv_now(timer->loop) + ms;
    if (!uv_is_active((uv_handle_t *)timer))
        uv_timer_start(timer, rpc_tick, RPC_TICK_MS, RPC_TICK_MS);
}

static size_t rpc_unsent(const struct ki_rpc_conn *conn)
{
    return uv_stream_get_write_queue_size(&conn->socket.stream);
}

void ki_rpc_finish(struct ki_rpc_conn *conn)
{
    if (!conn->finishing) {
        conn->finishing = true;
        rpc_close_in(conn, KI_RPC_FLUSH_MS);
        ki_rpc_unwatch(conn);
        ki_rpc_drop_queries(conn);
    }
    if (rpc_unsent(conn) == 0 && (conn->ended || !conn->draining))
        rpc_close(conn);
}

static void rpc_half_closed(uv_shutdown_t *half, int status)
{
    (void)half, (void)status; /* the client sees it; we wait for its own */
}

static void rpc_drain(struct ki_rpc_conn *conn)
{
    conn->in_start = conn->in_len = 0;
    conn->draining = !uv_is_closing(&conn->socket.handle) &&
                     uv_shutdown(&conn->half, &conn->socket.stream, rpc_half_closed) == 0;
    ki_rpc_finish(conn);
}

/* ---- writing ---- */

bool ki_rpc_congested(const struct ki_rpc_conn *conn)
{
    return rpc_unsent(conn) >= KI_RPC_OUTPUT_MAX;
}

static void rpc_written(uv_write_t *request, int status)
{
    struct ki_rpc_conn *conn = request->data;
    free(KI_CONTAINER(request, struct rpc_write, request));
    if (uv_is_closing(&conn->socket.handle))
        return;
    if (status != 0) {
        rpc_close(conn);
    } else if (conn->finishing) {
        ki_rpc_finish(conn);
    } else if (rpc_unsent(conn) <= KI_RPC_OUTPUT_LOW) {
        ki_rpc_catch_up(conn);
        if (conn->paused) {
            conn->paused = false;
            ki_rpc_resume(conn);
        }
    }
}

/* Sends, and queues a copy of what the kernel does not take. */
static void rpc_write(struct ki_rpc_conn *conn, const uint8_t *bytes, size_t len)
{
    uv_stream_t *stream = &conn->socket.stream;
    if (uv_is_closing(&conn->socket.handle))
        return;
    uv_buf_t buf = {.base = (char *)(uintptr_t)bytes, .len = len};
    int taken = uv_try_write(stream, &buf, 1);
    size_t sent = taken > 0 ? (size_t)taken : 0;
    if (sent == len)
        return;
    struct rpc_write *rest = malloc(sizeof *rest + len - sent);
    if (!rest) {
        rpc_close(conn);
        return;
    }
    memcpy(rest->bytes, bytes + sent, len - sent);
    rest->request.data = conn;
    buf = (uv_buf_t){.base = (char *)rest->bytes, .len = len - sent};
    if (uv_write(&rest->request, stream, &buf, 1, rpc_written) != 0) {
        free(rest);
        rpc_close(conn);
    }
}

static void rpc_pack_answer(struct ki_pack *p, uint64_t seq, const char *error, ki_rpc_pack *pack,
                            const void *arg)
{
    ki_pack_map(p, 2);
    ki_pack_text(p, "Error");
    ki_pack_text(p, error);
    ki_pack_text(p, "Seq");
    ki_pack_uint(p, seq);
    if (pack)
        pack(p, arg);
}

void ki_rpc_reply(struct ki_rpc_conn *conn, uint64_t seq, const char *error, ki_rpc_pack *pack,
                  const void *arg)
{
    uint8_t small[1024];
    struct ki_pack p = ki_pack(small, sizeof small, true);
    rpc_pack_answer(&p, seq, error, pack, arg);
    uint8_t *large = NULL;
    for (size_t cap = 16384; p.w.full && cap <= KI_RPC_ANSWER_MAX; cap *= 4) {
        free(large);
        large = malloc(cap);
        if (!large)
            break;
        p = ki_pack(large, cap, true);
        rpc_pack_answer(&p, seq, error, pack, arg);
    }
    if (p.w.full) {
        conn->rpc->counts[KI_RPC_FAILED_ANSWERS]++; /* not logged: this may be a line of the log */
        rpc_close(conn);
    } else {
        rpc_write(conn, p.w.start, p.w.len);
    }
    free(large);
}

/* ---- reading ---- */

static void rpc_read_more(struct ki_rpc_conn *conn);
static void rpc_idle(uv_idle_t *idle);

/* Does the next requests, a turn of them at most. */
static void rpc_turn(struct ki_rpc_conn *conn)
{
    for (int i = 0; !conn->busy && !conn->finishing && !uv_is_closing(&conn->socket.handle);
         i++) {
        conn->paused = ki_rpc_congested(conn);
        if (conn->paused)
            return;
        if (i == RPC_TURN_MAX) {
            conn->yielded = true;
            uv_idle_start(&conn->rpc->idle, rpc_idle);
            return;
        }
        enum ki_rpc_step step = ki_rpc_step(conn);
        if (step == KI_RPC_STEP_MORE)
            return;
        if (step == KI_RPC_STEP_CLOSE) {
            conn->rpc->counts[KI_RPC_BAD_REQUESTS]++;
            rpc_drain(conn);
        }
    }
}

/* Does what can be done now, then sees how to go on. */
void ki_rpc_resume(struct ki_rpc_conn *conn)
{
    rpc_turn(conn);
    if (uv_is_closing(&conn->socket.handle))
        return;
    if (conn->ended && !conn->busy && !conn->paused && !conn->yielded)
        ki_rpc_finish(conn);
    else
        rpc_read_more(conn);
}

static void rpc_idle(uv_idle_t *idle)
{
    struct ki_rpc *rpc = idle->data;
    uv_idle_stop(idle);
    struct ki_list *next;
    for (struct ki_list *at = rpc->conns.next; at != &rpc->conns; at = next) {
        next = at->next;
        struct ki_rpc_conn *conn = rpc_conn_of(at);
        if (conn->yielded) {
            conn->yielded = false;
            ki_rpc_resume(conn);
        }
    }
}

/* Bytes of requests that are kept unread. */
static size_t rpc_input_max(const struct ki_rpc_conn *conn)
{
    return KI_RPC_HEADER_MAX + ki_rpc_body_max(conn->rpc);
}

static void rpc_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    struct ki_rpc_conn *conn = handle->data;
    if (conn->in_start > 0) {
        memmove(conn->in, conn->in + conn->in_start, conn->in_len);
        conn->in_start = 0;
    }
    if (conn->in_len == conn->in_cap) {
        size_t cap = conn->in_cap ? ki_min_size(conn->in_cap * 2, rpc_input_max(conn)) : 2048;
        uint8_t *in = cap > conn->in_len ? realloc(conn->in, cap) : NULL;
        if (!in) {
            *buf = uv_buf_init(NULL, 0); /* the read then fails with UV_ENOBUFS */
            return;
        }
        conn->in = in;
        conn->in_cap = cap;
    }
    *buf = uv_buf_init((char *)conn->in + conn->in_len, (unsigned)(conn->in_cap - conn->in_len));
}

static void rpc_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
    (void)buf;
    struct ki_rpc_conn *conn = stream->data;
    if (got == 0)
        return;
    if (got == UV_EOF) {
        uv_read_stop(stream);
        conn->reading = false;
        conn->ended = true;
    } else if (got < 0) {
        rpc_close(conn);
        return;
    } else {
        conn->in_len = conn->draining ? 0 : conn->in_len + (size_t)got;
    }
    ki_rpc_resume(conn);
}

/* Reads while there is room for more. */
static void rpc_read_more(struct ki_rpc_conn *conn)
{
    bool want = !conn->ended && (conn->draining || (!conn->finishing && conn->in_len < rpc_input_max(conn)));
    if (want == conn->reading)
        return;
    conn->reading = want;
    if (!want)
        uv_read_stop(&conn->socket.stream);
    else if (uv_read_start(&conn->socket.stream, rpc_alloc, rpc_read) != 0)
        rpc_close(conn);
}

/* ---- accepting ---- */

static void rpc_refused(uv_handle_t *handle)
{
    free(KI_CONTAINER(handle, struct ki_rpc_conn, socket.handle));
}

static int rpc_socket_init(uv_stream_t *listener, struct ki_rpc_conn *conn)
{
    return listener->type == UV_TCP ? uv_tcp_init(listener->loop, &conn->socket.tcp)
                                    : uv_pipe_init(listener->loop, &conn->socket.pipe, 0);
}

/* The kernel has the connection already: take it to close it. */
static void rpc_refuse(struct ki_rpc *rpc, uv_stream_t *listener)
{
    rpc->counts[KI_RPC_REFUSED]++;
    ki_log(rpc->log, KI_LOG_WARN, "agent.ipc", "Refusing a client: there are %d", KI_RPC_CLIENTS_MAX);
    struct ki_rpc_conn *conn = malloc(sizeof *conn);
    if (!conn)
        return;
    if (rpc_socket_init(listener, conn) != 0) {
        free(conn);
        return;
    }
    uv_accept(listener, &conn->socket.stream);
    uv_close(&conn->socket.handle, rpc_refused);
}

/* Closes the oldest client that has not greeted yet, so that those who say nothing keep nobody out.
 * Returns false when all have. */
static bool rpc_evict(struct ki_rpc *rpc)
{
    for (struct ki_list *at = rpc->conns.next; at != &rpc->conns; at = at->next) {
        struct ki_rpc_conn *conn = rpc_conn_of(at);
        bool greeted = conn->handshaken && conn->authenticated;
        if (greeted || uv_is_closing(&conn->socket.handle))
            continue;
        rpc->counts[KI_RPC_EVICTED]++;
        rpc_close(conn);
        return true;
    }
    return false;
}

static void rpc_accepted(uv_stream_t *listener, int status)
{
    struct ki_rpc *rpc = listener->data;
    if (status != 0)
        return;
    bool room = rpc->conn_count < KI_RPC_CLIENTS_MAX || rpc_evict(rpc);
    struct ki_rpc_conn *conn = room ? calloc(1, sizeof *conn) : NULL;
    if (!conn || rpc_socket_init(listener, conn) != 0) {
        free(conn);
        rpc_refuse(rpc, listener);
        return;
    }
    conn->rpc = rpc;
    conn->socket.handle.data = conn;
    conn->authenticated = rpc->auth_key == NULL;
    ki_rpc_frame_start(&conn->frame, KI_RPC_HEADER_MAX);
    ki_list_push(&rpc->conns, &conn->link);
    rpc->conn_count++;
    rpc_close_in(conn, KI_RPC_GREET_MS);
    if (uv_accept(listener, &conn->socket.stream) != 0) {
        rpc_close(conn);
        return;
    }
    if (listener->type == UV_TCP)
        uv_tcp_nodelay(&conn->socket.tcp, 1);
    rpc->counts[KI_RPC_ACCEPTED]++;
    ki_log(rpc->log, KI_LOG_DEBUG, "agent.ipc", "Accepted client");
    rpc_read_more(conn);
}

/* ---- life ---- */

static int rpc_listen_tcp(struct ki_rpc *rpc, const struct sockaddr *addr)
{
    KI_ASSERT(uv_tcp_init(rpc->timer.loop, &rpc->listener) == 0); /* without a family no socket is made: cannot fail */
    rpc->listener.data = rpc;
    rpc->has_tcp = true;
    rpc->handles++;
    int status = uv_tcp_bind(&rpc->listener, addr, 0);
    return status != 0 ? status : uv_listen((uv_stream_t *)&rpc->listener, RPC_QUEUE, rpc_accepted);
}

/* Takes the descriptor over. */
static int rpc_listen_unix(struct ki_rpc *rpc, int fd)
{
    KI_ASSERT(uv_pipe_init(rpc->timer.loop, &rpc->unix_listener, 0) == 0); /* nor this */
    rpc->unix_listener.data = rpc;
    rpc->has_unix = true;
    rpc->handles++;
    int status = uv_pipe_open(&rpc->unix_listener, fd);
    if (status != 0) {
        close(fd);
        return status;
    }
    return uv_listen((uv_stream_t *)&rpc->unix_listener, RPC_QUEUE, rpc_accepted);
}

static struct ki_rpc *rpc_new(const struct ki_rpc_config *config)
{
    struct ki_rpc *rpc = calloc(1, sizeof *rpc);
    if (!rpc)
        return NULL;
    bool locked = config->auth_key && config->auth_key[0];
    rpc->auth_key = locked ? strdup(config->auth_key) : NULL;
    if ((locked && !rpc->auth_key) ||
        !ki_rpc_kept_init(&rpc->kept, config->kept_max, config->kept_bytes_max, config->first_index)) {
        free(rpc->auth_key);
        free(rpc);
        return NULL;
    }
    rpc->agent = config->agent;
    rpc->log = ki_agent_log(config->agent);
    ki_list_init(&rpc->conns);
    return rpc;
}

int ki_rpc_start(struct ki_rpc **out, const struct ki_rpc_config *config)
{
    struct ki_rpc *rpc = rpc_new(config);
    if (!rpc) {
        if (config->unix_fd >= 0)
            close(config->unix_fd);
        return UV_ENOMEM;
    }
    uv_loop_t *loop = ki_agent_loop(config->agent);
    KI_ASSERT(uv_timer_init(loop, &rpc->timer) == 0);
    rpc->timer.data = rpc;
    KI_ASSERT(uv_idle_init(loop, &rpc->idle) == 0);
    rpc->idle.data = rpc;
    rpc->handles = 2;
    rpc->watch = (struct ki_agent_watch){.members = ki_rpc_tell_members, .message = ki_rpc_tell_message, .arg = rpc};
    ki_agent_watch(rpc->agent, &rpc->watch);
    int status = config->unix_fd >= 0 ? rpc_listen_unix(rpc, config->unix_fd) : 0;
    if (status == 0 && config->addr)
        status = rpc_listen_tcp(rpc, config->addr);
    if (status != 0) {
        ki_rpc_stop(rpc, NULL, NULL);
        return status;
    }
    *out = rpc;
    return 0;
}

void ki_rpc_stop(struct ki_rpc *rpc, void (*closed)(void *arg), void *arg)
{
    if (rpc->stopping)
        return;
    rpc->stopping = true;
    rpc->closed = closed;
    rpc->closed_arg = arg;
    ki_agent_unwatch(rpc->agent, &rpc->watch);
    if (rpc->has_tcp)
        uv_close((uv_handle_t *)&rpc->listener, rpc_handle_closed);
    if (rpc->has_unix)
        uv_close((uv_handle_t *)&rpc->unix_listener, rpc_handle_closed);
    struct ki_list *next;
    for (struct ki_list *at = rpc->conns.next; at != &rpc->conns; at = next) {
        next = at->next;
        ki_rpc_finish(rpc_conn_of(at));
    }
    rpc_close_timers(rpc);
}
