/* A living instance fed with one stream.  The first byte picks its flavour and pool (live.h) and, by its higher bits:
 * 16 the stream is one that we dialled to join, 32 the bytes are sealed as one frame where there is a key, 64 memory
 * fails from the second byte's allocation on, 16 times.  Then come pieces, each after its length in one byte (255:
 * 2,000); a length of 0 lets a second pass.  At the end the peer is done, and the stream must end. */
#include "fuzz/live.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Does all there is to do now.  Returns false when the stream is over. */
static bool stream_pump(struct live *l, uint32_t id)
{
    uint8_t buf[4096];
    struct kith_stream_action action;
    size_t len;
    bool living = true;
    for (unsigned turns = 0; living && (turns == 0 || kith_deadline(l->k) <= l->now.mono_us); turns++) {
        LONE_CHECK(turns < 10000);
        kith_tick(l->k, l->now);
        while (kith_poll_stream(l->k, &action)) {
            if (action.id != id) {
                if (action.kind == KITH_STREAM_OPEN)
                    kith_stream_failed(l->k, l->now, action.id, KITH_ERR_REFUSED);
                continue;
            }
            if (action.kind == KITH_STREAM_OPEN)
                kith_stream_opened(l->k, l->now, id);
            while (action.kind == KITH_STREAM_WRITE &&
                   kith_stream_write(l->k, l->now, id, buf, sizeof buf, &len) == 0 && len > 0)
                LONE_CHECK(len <= sizeof buf);
            living = living && action.kind != KITH_STREAM_ABORT && action.kind != KITH_STREAM_FINISH;
        }
        live_drain(l);
    }
    return living;
}

static bool stream_piece(struct live *l, uint32_t id, const uint8_t *bytes, size_t len)
{
    size_t taken = 0;
    uint8_t *exact = malloc(len ? len : 1);
    LONE_CHECK(exact);
    if (len)
        memcpy(exact, bytes, len);
    bool living = kith_stream_bytes(l->k, l->now, id, exact, len, &taken) == 0;
    free(exact);
    LONE_CHECK(taken <= len);
    return stream_pump(l, id) && living && taken == len;
}

/* Joins the pieces and seals them as one frame. */
static void stream_sealed(struct live *l, uint32_t id, struct ki_reader r)
{
    static uint8_t plain[65536], frame[65536 + 64];
    static const uint8_t nonce[KI_NONCE_LEN] = {9};
    struct ki_writer w = ki_writer(plain, sizeof plain);
    while (r.left > 0) {
        size_t len = ki_min_size((size_t)ki_take_be(&r, 1), r.left);
        ki_put(&w, ki_take(&r, len), len);
    }
    size_t sealed_len = ki_sealed_len(1, w.len);
    frame[0] = KI_MSG_ENCRYPT;
    ki_store_be(frame + 1, sealed_len, 4);
    ki_seal(&l->k->keyring, 1, nonce, ki_span(frame, 5), ki_span(NULL, 0), ki_span(plain, w.len), frame + 5);
    stream_piece(l, id, frame, 5 + sealed_len);
}

static void stream_pieces(struct live *l, uint32_t id, struct ki_reader r)
{
    bool living = true;
    while (living && r.left > 0) {
        size_t want = (size_t)ki_take_be(&r, 1);
        if (want == 0) {
            l->now = lone_time(l->now.mono_us + LONE_SECOND);
            living = stream_pump(l, id);
            continue;
        }
        want = ki_min_size(want == UINT8_MAX ? 2000 : want, r.left);
        living = stream_piece(l, id, ki_take(&r, want), want);
    }
}

/* The peer is done; whatever the stream waits for, its timeout ends it. */
static void stream_finish(struct live *l, uint32_t id)
{
    struct kith_gauges g;
    kith_stream_end(l->k, l->now, id);
    stream_pump(l, id);
    kith_read_gauges(l->k, &g);
    if (g.streams > 0) {
        l->now = lone_time(l->now.mono_us + 11 * LONE_SECOND);
        stream_pump(l, id);
    }
    kith_read_gauges(l->k, &g);
    LONE_CHECK(g.streams == 0 && g.stream_bytes == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 32768)
        return -1;
    struct live l;
    live_new(&l, data[0]);
    if (data[0] & 64) {
        l.memory.fail_from = l.memory.calls + data[1];
        l.memory.fail_to = l.memory.fail_from + 16;
    }
    struct kith_addr from = live_stranger();
    uint32_t id = 0;
    bool living;
    if (data[0] & 16) {
        living = kith_join(l.k, l.now, &from, 1, false, NULL) == 0;
        id = l.k->last_stream;
    } else {
        living = kith_stream_accept(l.k, l.now, &from, &id) == 0;
    }
    struct ki_reader r = ki_reader(data + 2, size - 2);
    living = living && stream_pump(&l, id);
    if (living && l.flavour == LIVE_KEYED && (data[0] & 32))
        stream_sealed(&l, id, r);
    else if (living)
        stream_pieces(&l, id, r);
    stream_finish(&l, id);
    live_free(&l);
    return 0;
}
