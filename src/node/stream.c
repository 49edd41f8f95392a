/* Life of the streams: inputs, actions, budget and deadlines.  What flows through them is in frame.c and exchange.c.
 *
 * Work is done in kith_tick() alone, a budget of bytes a call, streams in turn; while any has work the deadline is at
 * once.  Reading is limited by stream_bytes_max over all streams: bytes beyond it are left with the driver
 * (back-pressure) until others have made room; a stream that makes no progress for stream_timeout_ms is aborted, so
 * they cannot wait for each other for ever.  When a link is too long silent, link.c knows. */
#include "node/link.h"

#define STREAM_RESERVED 8   /* one in so many of streams_max is kept for what we dial ourselves */
#define STREAM_LIFE_MULT 30 /* stream timeouts: 5 minutes in profile lan, for 20 MiB at 70 kB/s */
#define STREAM_SLICE (64 * 1024) /* bytes of work a tick: LZW, the slowest, does 100 MB/s: about 0.6 ms */

/* ---- buffers ---- */

bool ki_buf_reserve(struct kith *k, struct ki_buf *buf, size_t cap)
{
    if (cap <= buf->cap)
        return true;
    size_t more = cap - buf->cap;
    if (more > k->cfg.stream_bytes_max - k->stream_bytes) {
        ki_count(k, KI_COUNT_stream_budget_full);
        return false;
    }
    uint8_t *ptr = ki_mem_resize(&k->mem, buf->ptr, cap);
    if (!ptr) {
        ki_count(k, KI_COUNT_out_of_memory);
        return false;
    }
    k->stream_bytes += more;
    buf->ptr = ptr;
    buf->cap = cap;
    return true;
}

void ki_buf_free(struct kith *k, struct ki_buf *buf)
{
    k->stream_bytes -= buf->cap;
    ki_mem_free(&k->mem, buf->ptr);
    *buf = (struct ki_buf){.ptr = NULL};
}

static void stream_let_go(struct kith *k, struct ki_stream *s)
{
    ki_buf_free(k, &s->raw);
    ki_buf_free(k, &s->opened_buf);
    ki_buf_free(k, &s->inflated);
    ki_buf_free(k, &s->out);
    ki_buf_free(k, &s->squeezed);
    ki_buf_free(k, &s->sealed);
    ki_buf_free(k, &s->set);
    ki_buf_free(k, &s->ltimes);
    ki_buf_free(k, &s->lefts);
    ki_seal_job_free(&k->keyring, s->job);
    ki_mem_free(&k->mem, s->decoder);
    ki_mem_free(&k->mem, s->encoder);
    s->job = NULL;
    s->decoder = NULL;
    s->encoder = NULL;
    /* room was made: whoever waits for it may go on */
    for (struct ki_list *at = k->streams.next; at != &k->streams; at = at->next) {
        struct ki_stream *other = KI_CONTAINER(at, struct ki_stream, link);
        if (other->paused) {
            other->paused = false;
            other->ask_resume = true;
        }
    }
}

static void stream_delete(struct kith *k, struct ki_stream *s)
{
    ki_list_remove(&s->link);
    k->stream_count--;
    stream_let_go(k, s);
    ki_mem_free(&k->mem, s->carries); /* only when all ends */
    ki_mem_free(&k->mem, s);
}

void ki_streams_free(struct kith *k)
{
    while (!ki_list_empty(&k->streams))
        stream_delete(k, KI_CONTAINER(k->streams.next, struct ki_stream, link));
}

/* ---- beginning and end ---- */

/* Also one whose last action has not been polled. */
static struct ki_stream *stream_find_any(const struct kith *k, uint32_t id)
{
    for (struct ki_list *at = k->streams.next; at != &k->streams; at = at->next) {
        struct ki_stream *s = KI_CONTAINER(at, struct ki_stream, link);
        if (s->id == id)
            return s;
    }
    return NULL;
}

static struct ki_stream *stream_find(const struct kith *k, uint32_t id)
{
    struct ki_stream *s = stream_find_any(k, id);
    return s && !s->ask_finish && !s->ask_abort ? s : NULL;
}

void ki_stream_progress(const struct kith *k, struct ki_stream *s)
{
    s->deadline_us = ki_min_u64(s->end_us, k->now.mono_us + (uint64_t)k->cfg.stream_timeout_ms * 1000);
}

static uint32_t stream_same_source(const struct kith *k, const struct kith_addr *from)
{
    uint32_t count = 0;
    for (struct ki_list *at = k->streams.next; at != &k->streams; at = at->next) {
        struct ki_stream *s = KI_CONTAINER(at, struct ki_stream, link);
        struct kith_addr peer = s->peer;
        peer.port = from->port; /* the host counts, not its port */
        count += s->purpose == KI_PURPOSE_ANSWER && kith_addr_equal(&peer, from);
    }
    return count;
}

static struct ki_stream *stream_new(struct kith *k, const struct kith_addr *peer)
{
    struct ki_stream *s = ki_mem_new(&k->mem, sizeof *s);
    if (!s) {
        ki_count(k, KI_COUNT_out_of_memory);
        return NULL;
    }
    if (++k->last_stream == 0)
        k->last_stream = 1;
    s->id = k->last_stream;
    s->peer = *peer;
    s->end_us = KITH_NEVER;
    ki_stream_progress(k, s);
    ki_list_push(&k->streams, &s->link);
    k->stream_count++;
    return s;
}

int kith_stream_accept(struct kith *k, struct kith_time now, const struct kith_addr *from, uint32_t *id)
{
    ki_input(k, now);
    if (!ki_active(k))
        return KITH_ERR_STATE;
    uint32_t ours = k->cfg.streams_max / STREAM_RESERVED; /* strangers who hold streams must not keep us from dialling */
    if (k->stream_count >= k->cfg.streams_max - ours || stream_same_source(k, from) >= k->cfg.streams_per_source) {
        ki_count(k, KI_COUNT_streams_refused);
        return KITH_ERR_FULL;
    }
    struct ki_stream *s = stream_new(k, from);
    if (!s)
        return KITH_ERR_NOMEM;
    ki_count(k, KI_COUNT_streams_in);
    s->purpose = KI_PURPOSE_ANSWER;
    s->end_us = k->now.mono_us + STREAM_LIFE_MULT * (uint64_t)k->cfg.stream_timeout_ms * 1000;
    s->opened = true;
    s->known = true;
    s->rx = KI_RX_READ;
    *id = s->id;
    return 0;
}

int ki_stream_dial_out(struct kith *k, const struct kith_addr *to, enum ki_purpose purpose, uint64_t token,
                       struct ki_stream **out)
{
    if (k->stream_count >= k->cfg.streams_max) {
        ki_count(k, KI_COUNT_streams_refused);
        return KITH_ERR_FULL;
    }
    struct ki_stream *s = stream_new(k, to);
    if (!s)
        return KITH_ERR_NOMEM;
    ki_count(k, KI_COUNT_streams_out);
    s->purpose = purpose;
    s->token = token;
    s->dialled = true;
    s->ask_open = true;
    *out = s;
    return 0;
}

int ki_stream_dial(struct kith *k, const struct kith_addr *to, enum ki_purpose purpose, uint64_t token)
{
    struct ki_stream *s;
    return ki_stream_dial_out(k, to, purpose, token, &s);
}

/* Tells whoever dialled how it went. */
static void stream_report(struct kith *k, struct ki_stream *s, int error)
{
    if (error && (s->purpose == KI_PURPOSE_JOIN || s->purpose == KI_PURPOSE_SYNC))
        ki_count(k, KI_COUNT_push_pulls_failed);
    if (!error && s->purpose == KI_PURPOSE_JOIN)
        k->again_addr = (struct kith_addr){.ip_len = 0};
    if (!error && s->purpose == KI_PURPOSE_SYNC && s->token == KI_SYNC_RECONNECT)
        k->again_addr = s->peer;
    bool again = s->purpose == KI_PURPOSE_JOIN || (s->purpose == KI_PURPOSE_SYNC && s->token == KI_SYNC_RECONNECT);
    if (!error && again && k->life == KI_LIFE_LIVE && !k->cfg.stock) { /* what changed while we exchanged: 1 to 2 s later */
        k->again_us = k->now.mono_us + 1000000 + ki_rng_below(&k->rng, 1000000);
        k->again_successor = false;
    }
    if (s->purpose == KI_PURPOSE_JOIN)
        ki_join_result(k, s->token, error);
}

/* The halves are stopped and the memory is given back; the last action remains to be polled. */
static void stream_over(struct kith *k, struct ki_stream *s, int error)
{
    s->rx = KI_RX_DONE;
    s->tx = KI_TX_DONE;
    s->ask_open = s->ask_write = s->ask_resume = false;
    s->paused = false;
    stream_let_go(k, s);
    stream_report(k, s, error);
    if (s->carries)
        ki_link_over(k, s, error);
}

void ki_stream_fail(struct kith *k, struct ki_stream *s, int error)
{
    if (s->ask_finish || s->ask_abort)
        return;
    ki_count(k, KI_COUNT_streams_failed);
    s->ask_abort = true;
    stream_over(k, s, error);
}

void ki_stream_settle(struct kith *k, struct ki_stream *s)
{
    if (s->rx != KI_RX_DONE || s->tx != KI_TX_DONE || s->ask_finish || s->ask_abort)
        return;
    s->ask_finish = true;
    stream_over(k, s, 0);
}

/* ---- inputs ---- */

void kith_stream_opened(struct kith *k, struct kith_time now, uint32_t id)
{
    ki_input(k, now);
    struct ki_stream *s = stream_find(k, id);
    if (!s || s->opened)
        return;
    s->opened = true;
    ki_stream_progress(k, s);
    ki_exchange_begin(k, s);
}

void kith_stream_failed(struct kith *k, struct kith_time now, uint32_t id, int error)
{
    ki_input(k, now);
    struct ki_stream *s = stream_find_any(k, id);
    if (!s)
        return;
    bool refused = s->purpose == KI_PURPOSE_PING && !s->opened && error == KITH_ERR_REFUSED;
    uint32_t seq = (uint32_t)s->token;
    ki_stream_fail(k, s, error);
    stream_delete(k, s); /* the driver has closed it: it waits for no action, not even one that is owed */
    if (refused)
        ki_refused_stream(k, seq);
}

int kith_stream_bytes(struct kith *k, struct kith_time now, uint32_t id, const void *buf, size_t len, size_t *taken)
{
    ki_input(k, now);
    *taken = 0;
    struct ki_stream *s = stream_find(k, id);
    if (!s || (s->rx == KI_RX_DONE && s->tx == KI_TX_DONE))
        return KITH_ERR_NOT_FOUND;
    bool links = s->rx == KI_RX_LINK;
    bool reading = s->rx == KI_RX_READ || s->rx == KI_RX_IDLE || (s->rx == KI_RX_SCAN && s->plain_grows) || links;
    if (!reading) {
        *taken = len; /* one message is all a stream carries: what follows it is ignored */
        return 0;
    }
    size_t room = links ? ki_link_room(s) : len;
    if (room < len) {
        s->paused = true; /* a link reads on when it has made room */
        len = room;
        if (len == 0)
            return 0;
    }
    if (s->raw.cap - s->raw.len < len) {
        size_t cap = ki_max_u64(s->raw.len + len, s->raw.cap + s->raw.cap / 2);
        if (!ki_buf_reserve(k, &s->raw, cap) && !ki_buf_reserve(k, &s->raw, s->raw.len + len)) {
            ki_count(k, KI_COUNT_stream_backpressure);
            s->paused = true;
            return 0;
        }
    }
    if (len > 0)
        memcpy(s->raw.ptr + s->raw.len, buf, len);
    s->raw.len += len;
    s->fed = true;
    *taken = len;
    k->counters[KI_COUNT_stream_bytes_in] += len;
    ki_stream_progress(k, s);
    return 0;
}

void kith_stream_end(struct kith *k, struct kith_time now, uint32_t id)
{
    ki_input(k, now);
    struct ki_stream *s = stream_find(k, id);
    if (!s)
        return;
    s->peer_done = true;
    s->fed = true;
}

/* ---- outputs ---- */

bool kith_poll_stream(struct kith *k, struct kith_stream_action *out)
{
    for (struct ki_list *at = k->streams.next, *next = at->next; at != &k->streams; at = next, next = at->next) {
        struct ki_stream *s = KI_CONTAINER(at, struct ki_stream, link);
        *out = (struct kith_stream_action){.id = s->id, .addr = s->peer};
        if (s->ask_abort || s->ask_finish) {
            bool known = s->known;
            out->kind = s->ask_abort ? KITH_STREAM_ABORT : KITH_STREAM_FINISH;
            stream_delete(k, s);
            if (known)
                return true;
            continue; /* the driver was never asked to open it */
        }
        bool *asks[] = {&s->ask_open, &s->ask_resume, &s->ask_write};
        static const enum kith_stream_kind kinds[] = {KITH_STREAM_OPEN, KITH_STREAM_RESUME, KITH_STREAM_WRITE};
        for (size_t i = 0; i < KI_COUNT(asks); i++) {
            if (!*asks[i])
                continue;
            *asks[i] = false;
            s->known = true;
            out->kind = kinds[i];
            return true;
        }
    }
    return false;
}

int kith_stream_write(struct kith *k, struct kith_time now, uint32_t id, void *buf, size_t cap, size_t *len)
{
    ki_input(k, now);
    *len = 0;
    struct ki_stream *s = stream_find(k, id);
    if (!s)
        return KITH_ERR_NOT_FOUND;
    if (s->tx != KI_TX_WRITE)
        return 0;
    struct ki_writer w = ki_writer(buf, cap);
    size_t head = ki_min_size(cap, s->head_len - s->head_sent);
    ki_put(&w, s->head + s->head_sent, head);
    s->head_sent += head;
    size_t body = ki_min_size(cap - head, s->body.len - s->body_sent);
    if (body > 0)
        ki_put(&w, s->body.ptr + s->body_sent, body);
    s->body_sent += body;
    *len = w.len;
    k->counters[KI_COUNT_stream_bytes_out] += w.len;
    ki_stream_progress(k, s);
    if (s->head_sent < s->head_len || s->body_sent < s->body.len)
        return 0;
    if (s->carries) {
        ki_link_written(k, s);
    } else {
        s->tx = KI_TX_DONE;
        ki_stream_settle(k, s);
    }
    return 0;
}

/* ---- work ---- */

static bool stream_has_work(const struct ki_stream *s)
{
    if (s->ask_abort || s->ask_finish)
        return false;
    bool rx = s->rx == KI_RX_OPEN || s->rx == KI_RX_INFLATE || s->rx == KI_RX_MERGE ||
              (s->rx == KI_RX_SCAN && (s->fed || !s->plain_grows)) || (s->rx == KI_RX_READ && s->fed);
    return rx || s->tx == KI_TX_BUILD || s->tx == KI_TX_SQUEEZE || s->tx == KI_TX_SEAL || ki_link_has_work(s);
}

/* One step of one half.  Building comes first: an answer tells our state as it was before the merge. */
static void stream_step(struct kith *k, struct ki_stream *s, size_t *budget)
{
    if (ki_link_has_work(s)) {
        ki_link_work(k, s, budget);
        return;
    }
    switch (s->tx) {
    case KI_TX_BUILD:
        ki_exchange_build(k, s, budget);
        return;
    case KI_TX_SQUEEZE:
        ki_frame_squeeze(k, s, budget);
        return;
    case KI_TX_SEAL:
        ki_frame_seal(k, s, budget);
        return;
    case KI_TX_IDLE:
    case KI_TX_WRITE:
    case KI_TX_LINK:
    case KI_TX_DONE:
        break;
    }
    switch (s->rx) {
    case KI_RX_READ:
        ki_frame_read(k, s, budget);
        return;
    case KI_RX_OPEN:
        ki_frame_open(k, s, budget);
        return;
    case KI_RX_INFLATE:
        ki_frame_inflate(k, s, budget);
        return;
    case KI_RX_SCAN:
        ki_exchange_scan(k, s, budget);
        return;
    case KI_RX_MERGE:
        ki_exchange_merge(k, s, budget);
        return;
    case KI_RX_IDLE:
    case KI_RX_LINK:
    case KI_RX_DONE:
        return;
    }
    KI_UNREACHABLE();
}

static void stream_work(struct kith *k)
{
    size_t budget = STREAM_SLICE;
    for (uint32_t turns = k->stream_count; turns > 0 && budget > 0; turns--) {
        struct ki_stream *s = KI_CONTAINER(k->streams.next, struct ki_stream, link);
        while (budget > 0 && stream_has_work(s)) {
            size_t step = 256; /* what a step costs beside its bytes */
            budget -= ki_min_size(budget, step);
            stream_step(k, s, &budget);
        }
        ki_list_remove(&s->link); /* to the end: the next one's turn */
        ki_list_push(&k->streams, &s->link);
    }
    if (budget == 0)
        ki_count(k, KI_COUNT_slices);
}

static uint64_t stream_due_us(const struct kith *k, const struct ki_stream *s)
{
    return s->carries ? ki_link_due_us(k, s) : s->deadline_us;
}

void ki_streams_tick(struct kith *k)
{
    for (struct ki_list *at = k->streams.next; at != &k->streams; at = at->next) {
        struct ki_stream *s = KI_CONTAINER(at, struct ki_stream, link);
        s->ask_resume = s->ask_resume || s->paused; /* the driver offers its bytes again; memory may be back */
        s->paused = false;
        if (s->carries)
            ki_link_check(k, s);
        if (stream_due_us(k, s) > k->now.mono_us || stream_has_work(s) || s->ask_abort || s->ask_finish)
            continue;
        ki_count(k, KI_COUNT_streams_timed_out);
        ki_stream_fail(k, s, KITH_ERR_TIMEOUT);
    }
    stream_work(k);
}

uint64_t ki_streams_deadline(const struct kith *k)
{
    uint64_t next = KITH_NEVER;
    for (struct ki_list *at = k->streams.next; at != &k->streams; at = at->next) {
        const struct ki_stream *s = KI_CONTAINER(at, struct ki_stream, link);
        if (s->ask_abort || s->ask_finish)
            continue;
        next = ki_min_u64(next, stream_has_work(s) ? k->now.mono_us : stream_due_us(k, s));
    }
    return next;
}
