/* Links.  The first byte chooses:
 *
 *   0  a hello's bytes: what decodes encodes to the same, but for what a later version adds
 *   1  a plain frame's bytes: likewise; and sealed, they open again
 *   *  a living instance whose owner takes and says messages, and a peer with a link to it in a pool without key: pieces of
 *      the peer's bytes after its hello, each after its length in one byte (255: 2,000); a length of 0 lets a second pass
 *      (16 set: the instance has dialled; 32: its owner says nothing; 64: memory fails 16 times, from the second byte's
 *      allocation on)
 *
 * Whatever comes, a message is handed over whole and within its limit, and the stream ends when the peer's bytes do. */
#include "fuzz/live.h"
#include "node/link.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LINK_MESSAGE_MAX 5000

static struct {
    size_t heard, said, open;
    bool silent;
} link_owner;

static size_t link_poll(struct kith *k, struct ki_link *link, uint8_t *channel, uint8_t *buf, size_t cap, bool *more)
{
    LONE_CHECK(k->link_count > 0 && link->is_open && cap > 0);
    if (link_owner.silent || link_owner.said > 300000)
        return 0;
    size_t len = ki_min_size(cap, 1 + link_owner.said % 3000);
    memset(buf, 7, len);
    *channel = (uint8_t)(len % KI_LINK_CHANNELS);
    *more = len % 3 == 0;
    link_owner.said += len;
    return len;
}

static void link_receive(struct kith *k, struct ki_link *link, uint8_t channel, struct ki_span message)
{
    unsigned sum = channel;
    LONE_CHECK(message.len > 0 && message.len <= LINK_MESSAGE_MAX);
    for (size_t i = 0; i < message.len; i++)
        sum += message.ptr[i];
    link_owner.heard += message.len;
    if (sum % 16 == 0)
        ki_link_hold(k, link, KI_LINK_STORE, sum & 16);
    if (sum % 64 == 1)
        ki_link_abort(link);
    ki_link_wake(link, KI_LINK_STORE);
}

static bool link_hello(struct kith *k, struct ki_link *link, struct ki_writer *w)
{
    LONE_CHECK(k && link);
    ki_put(w, "hello", 5);
    return true;
}

static int link_hello_received(struct kith *k, struct ki_link *link, struct ki_span part)
{
    LONE_CHECK(k && link && part.len <= KI_LINK_PAYLOAD_MAX);
    bool refused = part.len > 0 && part.ptr[0] == '!';
    link_owner.open += !refused && !link->is_dialler;
    return refused;
}

static void link_closed(struct kith *k, struct ki_link *link, int error)
{
    LONE_CHECK(k && link && error <= 0 && link_owner.open > 0);
    link_owner.open--;
}

static const struct ki_link_owner link_functions = {.message_max = LINK_MESSAGE_MAX,
                                                    .poll = link_poll,
                                                    .receive = link_receive,
                                                    .hello = link_hello,
                                                    .hello_received = link_hello_received,
                                                    .closed = link_closed};

static void link_one_hello(struct ki_span in)
{
    static uint8_t out[KI_LINK_OPENING_MAX];
    struct ki_reader r = ki_reader(in.ptr, in.len);
    struct ki_link_hello hello;
    struct ki_span parts[KI_LINK_SUBJECTS];
    if (!ki_decode_link_hello(&r, &hello))
        return;
    bool fine = ki_decode_link_parts(hello.payload, parts);
    for (unsigned i = 0; fine && i < KI_LINK_SUBJECTS; i++) {
        const uint8_t *front = parts[i].ptr ? parts[i].ptr - KI_LINK_PART_FRONT : NULL;
        LONE_CHECK(!front || (front >= hello.payload.ptr && front[0] == i && ki_load_be(front + 1, 2) == parts[i].len));
        LONE_CHECK(!front || parts[i].ptr + parts[i].len <= hello.payload.ptr + hello.payload.len);
    }
    struct ki_pack p = ki_pack(out, sizeof out, false);
    ki_encode_link_opening(&p, &hello);
    size_t len = in.len - r.left;
    LONE_CHECK(!p.w.full && p.w.len > len && memcmp(out + p.w.len - len, in.ptr, len) == 0);
}

static void link_one_frame(struct ki_span in)
{
    uint8_t out[16];
    struct ki_link_frame frame;
    if (!ki_decode_link_frame(in, &frame))
        return;
    struct ki_writer w = ki_writer(out, sizeof out);
    ki_encode_link_frame(&w, &frame);
    LONE_CHECK(!w.full && w.len + frame.part.len == in.len && memcmp(out, in.ptr, w.len) == 0);
}

/* Anything sealed for a place opens there, and not in the next. */
static void link_one_seal(struct ki_span in)
{
    static uint8_t sealed[70000], opened[70000];
    static const uint8_t nonce[KI_NONCE_LEN] = {1}, session[KI_LINK_SESSION] = {2};
    struct ki_mem mem;
    struct ki_keyring ring;
    size_t len;
    ki_mem_init(&mem, NULL, NULL, NULL, 0);
    ki_keyring_init(&ring, &mem);
    LONE_CHECK(ki_keyring_add(&ring, live_key.bytes, live_key.len) == 0);
    struct ki_link_place place = {.session = session, .direction = in.len % 2, .counter = in.len};
    ki_seal_link_frame(&ring, &place, nonce, in, sealed);
    struct ki_span body = ki_span(sealed + KI_LINK_HEAD, (size_t)ki_load_be(sealed, KI_LINK_HEAD));
    LONE_CHECK(ki_open_link_frame(&ring, &place, body, opened, &len) && ki_span_equal(ki_span(opened, len), in));
    place.counter++;
    LONE_CHECK(!ki_open_link_frame(&ring, &place, body, opened, &len));
    ki_keyring_free(&ring);
}

static bool link_pump(struct live *l, uint32_t id)
{
    uint8_t buf[4096];
    struct kith_stream_action action;
    size_t len;
    bool living = true;
    for (unsigned turns = 0; living && (turns == 0 || kith_deadline(l->k) <= l->now.mono_us); turns++) {
        LONE_CHECK(turns < 10000);
        kith_tick(l->k, l->now);
        while (kith_poll_stream(l->k, &action)) {
            if (action.id != id && action.kind == KITH_STREAM_OPEN)
                kith_stream_failed(l->k, l->now, action.id, KITH_ERR_REFUSED);
            while (action.kind == KITH_STREAM_WRITE &&
                   kith_stream_write(l->k, l->now, action.id, buf, sizeof buf, &len) == 0 && len > 0)
                LONE_CHECK(len <= sizeof buf);
            living = living && (action.id != id || action.kind == KITH_STREAM_OPEN || action.kind == KITH_STREAM_WRITE ||
                                action.kind == KITH_STREAM_RESUME);
        }
        live_drain(l);
    }
    return living;
}

static bool link_feed(struct live *l, uint32_t id, const uint8_t *bytes, size_t len)
{
    for (unsigned tries = 0; len > 0; tries++) {
        size_t taken = 0;
        uint8_t *exact = malloc(len);
        LONE_CHECK(exact);
        memcpy(exact, bytes, len);
        bool living = kith_stream_bytes(l->k, l->now, id, exact, len, &taken) == 0;
        free(exact);
        LONE_CHECK(taken <= len);
        if (!link_pump(l, id) || !living)
            return false;
        bytes += taken;
        len -= taken;
        if (taken == 0)
            l->now = lone_time(l->now.mono_us + LONE_SECOND);
        LONE_CHECK(tries < 100);
    }
    return true;
}

/* Up to the peer's hello, which is an answer when we have dialled.  0: it has not come so far. */
static uint32_t link_begin(struct live *l, bool dialled)
{
    uint8_t buf[KI_LINK_OPENING_MAX];
    struct ki_link_hello hello = {
        .version_min = 1, .version_max = 1, .is_answer = dialled, .credit = 100000, .name = lone_span("peer"),
        .payload = ki_span("\0\0\0\1\0\1\1", 7)}; /* an empty part of the store's, and one of events */
    struct kith_addr addr = lone_addr(4, 999);
    struct ki_link *link = NULL;
    uint32_t id = 0;
    if (!dialled && kith_stream_accept(l->k, l->now, &addr, &id) != 0)
        return 0;
    if (dialled) {
        addr.port = 7946;
        if (ki_link_open(l->k, ki_find_addr(l->k, &addr), KI_LINK_STORE, &link) != 0)
            return 0;
        link_owner.open++;
        id = link->stream->id;
        memcpy(hello.session, link->session, KI_LINK_HALF);
        kith_stream_opened(l->k, l->now, id);
    }
    struct ki_pack p = ki_pack(buf, sizeof buf, false);
    ki_encode_link_opening(&p, &hello);
    return link_pump(l, id) && link_feed(l, id, buf, p.w.len) ? id : 0;
}

static void link_live(uint8_t how, uint8_t memory_at, struct ki_reader r)
{
    static const char meta[] = "\xff\x81\xa5_kith\xa3" "1-1";
    struct live l;
    struct kith_member peer = {.name = lone_str("peer"),
                               .addr = lone_addr(4, 7946),
                               .meta = {meta, sizeof meta - 1},
                               .status = KITH_STATUS_ALIVE,
                               .incarnation = 5,
                               .versions = {1, 5, 2, 2, 5, 5}};
    live_new(&l, LIVE_PLAIN | 8);
    LONE_CHECK(kith_import_members(l.k, l.now, &peer, 1) == 0);
    memset(&link_owner, 0, sizeof link_owner);
    link_owner.silent = how & 32;
    l.k->link_owners[KI_LINK_STORE] = &link_functions;
    if (how & 64) {
        l.memory.fail_from = l.memory.calls + memory_at;
        l.memory.fail_to = l.memory.fail_from + 16;
    }
    uint32_t id = link_begin(&l, how & 16);
    bool living = id != 0;
    while (living && r.left > 0) {
        size_t want = (size_t)ki_take_be(&r, 1);
        if (want == 0)
            l.now = lone_time(l.now.mono_us + LONE_SECOND);
        want = ki_min_size(want == UINT8_MAX ? 2000 : want, r.left);
        living = want == 0 ? link_pump(&l, id) : link_feed(&l, id, ki_take(&r, want), want);
    }
    if (id != 0)
        kith_stream_failed(l.k, l.now, id, KITH_ERR_UNREACHABLE);
    link_pump(&l, id);
    struct kith_gauges g;
    kith_read_gauges(l.k, &g);
    LONE_CHECK(l.k->link_count == g.streams && link_owner.open == l.k->link_count);
    LONE_CHECK(g.streams == 0 && g.stream_bytes == 0);
    live_free(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 65536)
        return -1;
    if (data[0] == 0)
        link_one_hello(ki_span(data + 1, size - 1));
    if (data[0] == 1) {
        link_one_frame(ki_span(data + 1, size - 1));
        link_one_seal(ki_span(data + 1, size - 1));
    }
    if (data[0] > 1)
        link_live(data[0], data[1], ki_reader(data + 2, size - 2));
    return 0;
}
