/* The sockets of the Redis door.
 *
 *     what came is read whole -> all its requests are run -> their answers leave in one write, before the loop sleeps
 *
 * One struct ki_redis_client a client.  One that is idle has neither a buffer for requests nor one for answers: both are
 * lent by the server for as long as something is in them, so ten thousand idle clients cost little more than their sockets.
 *
 * All that a client can make the agent keep is bounded: its requests (KI_REDIS_QUERY_MAX), its answers: they are sent as
 * far as the kernel takes them once KI_REDIS_OUTPUT_LOW are waiting, and while it does not, no further request is run and
 * nothing is read.  All clients together may hold KI_REDIS_TOTAL_MAX; then the one that holds the most is closed.
 *
 *     serving --blocked by WAIT, or slow to read--> waiting --> serving --end, bad bytes, QUIT, stop--> finishing --> closed
 *
 * Before the loop sleeps, what all have asked for in this turn is answered, changes are told to subscribers and the core's
 * outputs are polled.  (Answers that leave together wake those who wait for them once, not once for each.)  And it does not
 * sleep at once: who was asked just now is about to be asked again, and to be woken costs both sides more than to look.
 *
 * Invariant: a client is freed only in its handle's close callback; nothing of it is in any list but `clients` then.
 *
 * Not here: what a request means. */
#include "agent/redis_conn.h"
#include "net/net.h"

#include <stdio.h>
#include <sys/resource.h>
#include <sys/random.h>

#define REDIS_TICK_MS   250
#define REDIS_LINGER_NS 20000
#define REDIS_FILES     256               /* that the agent has open besides clients */

static struct ki_redis_client *redis_client_of(struct ki_list *link)
{
    return KI_CONTAINER(link, struct ki_redis_client, link);
}

/* ---- closing ---- */

static void redis_free_if_done(struct ki_redis *redis)
{
    if (!redis->stopping || redis->handles > 0 || redis->client_count > 0)
        return;
    void (*closed)(void *arg) = redis->closed;
    void *arg = redis->closed_arg;
    ki_redis_names_free(&redis->watched);
    ki_redis_names_free(&redis->channels);
    ki_redis_names_free(&redis->patterns);
    free(redis->password);
    free(redis->spare_in);
    free(redis->spare_out);
    free(redis);
    if (closed)
        closed(arg);
}

static void redis_handle_closed(uv_handle_t *handle)
{
    struct ki_redis *redis = handle->data;
    redis->handles--;
    redis_free_if_done(redis);
}

/* The timer sees to the last answers' time. */
static void redis_close_timer(struct ki_redis *redis)
{
    if (redis->stopping && redis->client_count == 0 && !uv_is_closing((uv_handle_t *)&redis->timer))
        uv_close((uv_handle_t *)&redis->timer, redis_handle_closed);
}

static void redis_client_closed(uv_handle_t *handle)
{
    struct ki_redis_client *client = handle->data;
    struct ki_redis *redis = client->redis;
    ki_list_remove(&client->link);
    redis->client_count--;
    ki_resp_reader_free(&client->in);
    ki_resp_writer_free(&client->out);
    free(client);
    redis_close_timer(redis);
    redis_free_if_done(redis);
}

void ki_redis_close(struct ki_redis_client *client)
{
    struct ki_redis *redis = client->redis;
    if (ki_redis_closing(client))
        return;
    redis->blocked_count -= client->wait != 0;
    client->wait = 0;
    ki_redis_multi_end(client);
    ki_redis_unwatch_all(client);
    ki_redis_unsubscribe_all(client);
    ki_redis_backup_end(client);
    ki_list_remove(&client->held);
    ki_list_remove(&client->pushed);
    ki_list_remove(&client->answering);
    redis->bytes -= client->counted;
    client->counted = 0;
    client->finishing = true;
    uv_close((uv_handle_t *)&client->tcp, redis_client_closed);
}

void ki_redis_finish(struct ki_redis_client *client)
{
    client->finishing = true;
    if (client->deadline_ms == 0 && client->redis->stopping)
        client->deadline_ms = uv_now(client->tcp.loop) + KI_REDIS_FLUSH_MS;
}

/* ---- memory ---- */

static size_t redis_held(const struct ki_redis_client *client)
{
    return ki_resp_reader_bytes(&client->in) + client->out.cap + client->queue_bytes + client->watches.bytes +
           client->channels.bytes + client->patterns.bytes;
}

/* Counts what the client holds; when all hold too much, closes the one that holds the most. */
static void redis_count_memory(struct ki_redis_client *client)
{
    struct ki_redis *redis = client->redis;
    size_t held = ki_redis_closing(client) ? 0 : redis_held(client);
    redis->bytes += held - client->counted;
    client->counted = held;
    while (redis->bytes > KI_REDIS_TOTAL_MAX) {
        struct ki_redis_client *most = client;
        for (struct ki_list *at = redis->clients.next; at != &redis->clients; at = at->next) {
            if (redis_client_of(at)->counted > most->counted)
                most = redis_client_of(at);
        }
        ki_log(redis->log, KI_LOG_WARN, "redis", "all clients together hold %zu bytes: closing id=%llu, which holds %zu",
               redis->bytes, (unsigned long long)most->id, most->counted);
        redis->counts[KI_REDIS_CLOSED_TOTAL]++;
        ki_redis_close(most);
    }
}

/* Takes the empty buffers back. */
static void redis_take_spares(struct ki_redis_client *client)
{
    struct ki_redis *redis = client->redis;
    size_t cap;
    uint8_t *buf = ki_resp_reader_yield(&client->in, &cap);
    if (buf && redis->spare_in) {
        free(buf);
    } else if (buf) {
        redis->spare_in = buf;
        redis->spare_in_cap = cap;
    }
    buf = ki_resp_writer_yield(&client->out, &cap);
    if (buf && redis->spare_out) {
        free(buf);
    } else if (buf) {
        redis->spare_out = buf;
        redis->spare_out_cap = cap;
    }
}

static void redis_lend_output(struct ki_redis_client *client)
{
    struct ki_redis *redis = client->redis;
    if (client->out.buf || !redis->spare_out)
        return;
    ki_resp_writer_lend(&client->out, redis->spare_out, redis->spare_out_cap);
    redis->spare_out = NULL;
}

/* ---- reading ---- */

static bool redis_slow(const struct ki_redis_client *client)
{
    return client->writing || ki_resp_unsent(&client->out).len >= KI_REDIS_OUTPUT_LOW;
}

/* Runs what has come, until it waits for something. */
static void redis_run(struct ki_redis_client *client)
{
    struct ki_redis *redis = client->redis;
    struct kith_time now = redis->config.now();
    redis->busy = true;
    while (!client->finishing && client->wait == 0 && !client->writing) {
        if (ki_resp_unsent(&client->out).len >= KI_REDIS_OUTPUT_LOW) {
            if (redis->config.withhold)
                ki_redis_hold(client);
            ki_redis_flush(client);
            if (client->finishing || redis_slow(client))
                return;
        }
        enum ki_resp_step step = ki_resp_next(&client->in, client->authenticated);
        if (step == KI_RESP_MORE)
            return;
        if (step == KI_RESP_REQUEST) {
            ki_redis_run(client, now);
            if (client->out.full)
                client->finishing = true;
            continue;
        }
        if (step == KI_RESP_BROKEN) {
            redis->counts[KI_REDIS_BROKEN]++;
            ki_resp_put_error(&client->out, ki_span(client->in.error, strlen(client->in.error)));
        } else {
            redis->counts[KI_REDIS_CLOSED_QUERY]++;
        }
        ki_redis_finish(client);
    }
}

static void redis_read_more(struct ki_redis_client *client);

/* Runs what there is to run. */
static void redis_go_on(struct ki_redis_client *client)
{
    redis_lend_output(client);
    if (!redis_slow(client))
        redis_run(client);
    if (client->redis->config.withhold && !ki_redis_closing(client))
        ki_redis_hold(client);
}

/* Sends what there is to send, and reads on. */
static void redis_answer(struct ki_redis_client *client)
{
    ki_redis_flush(client);
    if (!ki_redis_closing(client) && client->ended && client->wait == 0 && !redis_slow(client)) {
        ki_redis_finish(client);
        ki_redis_flush(client);
    }
    if (!ki_redis_closing(client)) {
        redis_take_spares(client);
        redis_read_more(client);
    }
    redis_count_memory(client);
}

void ki_redis_resume(struct ki_redis_client *client)
{
    if (ki_redis_closing(client))
        return;
    redis_go_on(client);
    redis_answer(client);
}

static void redis_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    struct ki_redis_client *client = handle->data;
    struct ki_redis *redis = client->redis;
    size_t len = 0;
    if (!client->in.buf && redis->spare_in) {
        ki_resp_reader_lend(&client->in, redis->spare_in, redis->spare_in_cap);
        redis->spare_in = NULL;
    }
    uint8_t *room = ki_resp_room(&client->in, &len);
    *buf = (uv_buf_t){.base = (char *)room, .len = len}; /* none: the read fails with UV_ENOBUFS */
}

static void redis_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
    (void)buf;
    struct ki_redis_client *client = stream->data;
    if (got == 0) {
        redis_take_spares(client);
        return;
    }
    if (got == UV_EOF && client->wait == 0) {
        client->ended = true;
    } else if (got < 0) { /* what blocks is not waited for by anybody any more */
        client->redis->counts[KI_REDIS_CLOSED_QUERY] += got == UV_ENOBUFS;
        ki_redis_close(client);
        return;
    } else {
        ki_resp_filled(&client->in, (size_t)got);
        client->redis->counts[KI_REDIS_BYTES_IN] += (size_t)got;
        client->active_ms = uv_now(stream->loop);
    }
    redis_go_on(client);
    if (ki_redis_closing(client))
        return;
    redis_take_spares(client);
    redis_read_more(client);
    if (ki_list_empty(&client->answering))
        ki_list_push(&client->redis->answering, &client->answering);
    redis_count_memory(client);
}

/* Reads while requests are run; while one blocks, a little, so that the end of the connection is seen. */
static void redis_read_more(struct ki_redis_client *client)
{
    bool want = !client->ended && !client->finishing && !redis_slow(client) &&
                (client->wait == 0 || client->in.end - client->in.start < KI_REDIS_AHEAD_MAX);
    if (want == client->reading)
        return;
    client->reading = want;
    if (!want)
        uv_read_stop((uv_stream_t *)&client->tcp);
    else if (uv_read_start((uv_stream_t *)&client->tcp, redis_alloc, redis_read) != 0)
        ki_redis_close(client);
}

/* ---- accepting ---- */

static void redis_refused(uv_handle_t *handle)
{
    free(handle);
}

/* The kernel has the connection already: take it to close it, with Redis's words. */
static void redis_refuse(struct ki_redis *redis)
{
    static const char words[] = "-ERR max number of clients reached\r\n";
    redis->counts[KI_REDIS_REJECTED]++;
    uv_tcp_t *tcp = malloc(sizeof *tcp);
    if (!tcp)
        return;
    if (uv_tcp_init(redis->listener.loop, tcp) != 0) {
        free(tcp);
        return;
    }
    uv_buf_t buf = {.base = (char *)(uintptr_t)words, .len = sizeof words - 1};
    if (uv_accept((uv_stream_t *)&redis->listener, (uv_stream_t *)tcp) == 0)
        (void)uv_try_write((uv_stream_t *)tcp, &buf, 1);
    uv_close((uv_handle_t *)tcp, redis_refused);
}

static void redis_client_init(struct ki_redis *redis, struct ki_redis_client *client)
{
    client->redis = redis;
    client->tcp.data = client;
    client->id = ++redis->next_id;
    client->authenticated = redis->password == NULL;
    client->since_ms = client->active_ms = uv_now(redis->listener.loop);
    client->queue_end = &client->queue;
    ki_resp_reader_init(&client->in, KI_REDIS_BULK_MAX, KI_REDIS_QUERY_MAX);
    ki_resp_writer_init(&client->out, KI_REDIS_OUTPUT_MAX);
    ki_list_init(&client->held);
    ki_list_init(&client->pushed);
    ki_list_init(&client->answering);
    ki_redis_names_user_init(&client->watches, client);
    ki_redis_names_user_init(&client->channels, client);
    ki_redis_names_user_init(&client->patterns, client);
    ki_list_push(&redis->clients, &client->link);
    redis->client_count++;
}

static void redis_accepted(uv_stream_t *listener, int status)
{
    struct ki_redis *redis = listener->data;
    if (status != 0)
        return;
    bool room = redis->client_count < redis->config.clients_max;
    struct ki_redis_client *client = room ? calloc(1, sizeof *client) : NULL;
    if (!client || uv_tcp_init(listener->loop, &client->tcp) != 0) {
        free(client);
        redis_refuse(redis);
        return;
    }
    redis_client_init(redis, client);
    if (uv_accept(listener, (uv_stream_t *)&client->tcp) != 0) {
        ki_redis_close(client);
        return;
    }
    uv_tcp_nodelay(&client->tcp, 1);
    redis->counts[KI_REDIS_ACCEPTED]++;
    redis_read_more(client);
}

void ki_redis_peer(const struct ki_redis_client *client, char peer[64], char local[64])
{
    struct sockaddr_storage storage;
    struct kith_addr addr;
    int len = sizeof storage;
    snprintf(peer, 64, "?:0");
    snprintf(local, 64, "?:0");
    if (uv_tcp_getpeername(&client->tcp, (struct sockaddr *)&storage, &len) == 0) {
        ki_addr_from_sockaddr((const struct sockaddr *)&storage, &addr);
        ki_addr_format(&addr, peer);
    }
    len = sizeof storage;
    if (uv_tcp_getsockname(&client->tcp, (struct sockaddr *)&storage, &len) == 0) {
        ki_addr_from_sockaddr((const struct sockaddr *)&storage, &addr);
        ki_addr_format(&addr, local);
    }
}

/* ---- what the loop does besides ---- */

/* While this runs the loop only looks, and does not sleep. */
static void redis_linger(uv_idle_t *linger)
{
    const struct ki_redis *redis = linger->data;
    if (uv_hrtime() - redis->asked_ns > REDIS_LINGER_NS)
        uv_idle_stop(linger);
}

static void redis_prepare(uv_prepare_t *prepare)
{
    struct ki_redis *redis = prepare->data;
    while (!ki_list_empty(&redis->answering)) { /* any may close any other */
        struct ki_redis_client *client = KI_CONTAINER(redis->answering.next, struct ki_redis_client, answering);
        ki_list_remove(&client->answering);
        redis_answer(client);
    }
    ki_redis_changes(redis);
    if (!redis->busy)
        return;
    redis->busy = false;
    redis->asked_ns = uv_hrtime();
    uv_idle_start(&redis->linger, redis_linger);
    redis->config.kick(redis->config.arg);
}

/* At the end, nobody is waited for longer than a second. */
static void redis_tick(uv_timer_t *timer)
{
    struct ki_redis *redis = timer->data;
    struct ki_list *next;
    for (struct ki_list *at = redis->clients.next; at != &redis->clients; at = next) {
        next = at->next;
        struct ki_redis_client *client = redis_client_of(at);
        if (client->deadline_ms != 0 && uv_now(timer->loop) >= client->deadline_ms)
            ki_redis_close(client);
    }
}

bool ki_redis_done(struct ki_redis *redis, kith_ticket ticket, uint32_t count)
{
    for (struct ki_list *at = redis->clients.next; redis->blocked_count > 0 && at != &redis->clients; at = at->next) {
        struct ki_redis_client *client = redis_client_of(at);
        if (client->wait != ticket)
            continue;
        client->wait = 0;
        redis->blocked_count--;
        ki_resp_put_integer(&client->out, (int64_t)count);
        ki_redis_resume(client);
        return true;
    }
    return false;
}

/* ---- life ---- */

/* Each client is an open file.  If the system allows fewer, so do we. */
static void redis_limit_clients(struct ki_redis *redis)
{
    struct rlimit files;
    rlim_t want = (rlim_t)redis->config.clients_max + REDIS_FILES;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= want)
        return;
    files.rlim_cur = files.rlim_max == RLIM_INFINITY || files.rlim_max >= want ? want : files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= want)
        return;
    redis->config.clients_max = files.rlim_cur > 2 * REDIS_FILES ? (uint32_t)files.rlim_cur - REDIS_FILES : REDIS_FILES;
    ki_log(redis->log, KI_LOG_WARN, "redis", "only %u clients can be served: the system allows %llu open files (ulimit -n)",
           redis->config.clients_max, (unsigned long long)files.rlim_cur);
}

static int redis_listen(struct ki_redis *redis, const struct sockaddr *addr)
{
    int status = uv_tcp_bind(&redis->listener, addr, 0);
    if (status == 0)
        status = uv_listen((uv_stream_t *)&redis->listener, 511, redis_accepted);
    struct sockaddr_storage storage;
    int len = sizeof storage;
    if (status == 0)
        status = uv_tcp_getsockname(&redis->listener, (struct sockaddr *)&storage, &len);
    if (status == 0)
        ki_addr_from_sockaddr((const struct sockaddr *)&storage, &redis->bound);
    return status;
}

static bool redis_init(struct ki_redis *redis, const struct ki_redis_config *config)
{
    uint8_t key[16];
    redis->config = *config;
    redis->config.password = NULL;
    redis->log = config->log;
    redis->start_ms = uv_now(config->loop);
    ki_list_init(&redis->clients);
    ki_list_init(&redis->held);
    ki_list_init(&redis->pushed);
    ki_list_init(&redis->answering);
    if (getrandom(key, sizeof key, 0) != (ssize_t)sizeof key ||
        getrandom(&redis->random, sizeof redis->random, 0) != (ssize_t)sizeof redis->random)
        return false;
    redis->random |= 1; /* this generator never leaves zero */
    ki_redis_names_init(&redis->watched, key);
    ki_redis_names_init(&redis->channels, key);
    ki_redis_names_init(&redis->patterns, key);
    ki_redis_lookup_init(redis);
    redis->dropped_counter = SIZE_MAX;
    for (size_t i = 0; i < kith_counter_count(); i++) {
        if (strcmp(kith_counter_name(i), "changes_dropped") == 0)
            redis->dropped_counter = i;
    }
    if (config->password && config->password[0]) {
        redis->password = strdup(config->password);
        return redis->password != NULL;
    }
    return true;
}

int ki_redis_start(struct ki_redis **out, const struct ki_redis_config *config, const struct sockaddr *addr)
{
    struct ki_redis *redis = calloc(1, sizeof *redis);
    if (!redis || !redis_init(redis, config)) {
        free(redis);
        return UV_ENOMEM;
    }
    redis_limit_clients(redis);
    KI_ASSERT(uv_prepare_init(config->loop, &redis->prepare) == 0);
    KI_ASSERT(uv_idle_init(config->loop, &redis->linger) == 0);
    KI_ASSERT(uv_timer_init(config->loop, &redis->timer) == 0);
    KI_ASSERT(uv_tcp_init(config->loop, &redis->listener) == 0); /* without a family no socket is made: cannot fail */
    redis->prepare.data = redis->linger.data = redis->timer.data = redis->listener.data = redis;
    redis->handles = 4;
    int status = redis_listen(redis, addr);
    if (status != 0) {
        ki_redis_stop(redis, NULL, NULL);
        return status;
    }
    uv_prepare_start(&redis->prepare, redis_prepare);
    *out = redis;
    return 0;
}

void ki_redis_stop(struct ki_redis *redis, void (*closed)(void *arg), void *arg)
{
    if (redis->stopping)
        return;
    redis->stopping = true;
    redis->closed = closed;
    redis->closed_arg = arg;
    uv_close((uv_handle_t *)&redis->listener, redis_handle_closed);
    uv_close((uv_handle_t *)&redis->prepare, redis_handle_closed);
    uv_close((uv_handle_t *)&redis->linger, redis_handle_closed);
    uv_timer_start(&redis->timer, redis_tick, REDIS_TICK_MS, REDIS_TICK_MS);
    struct ki_list *next;
    for (struct ki_list *at = redis->clients.next; at != &redis->clients; at = next) {
        next = at->next;
        ki_redis_finish(redis_client_of(at));
        ki_redis_flush(redis_client_of(at));
    }
    redis_close_timer(redis);
}
