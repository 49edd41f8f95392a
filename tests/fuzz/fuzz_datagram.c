/* A living instance fed with datagrams.  The first byte picks its flavour and pool (live.h); then come steps of one
 * byte that says what happens, and, for a datagram, one that says how long it is (times 8 with bit 7) and its bytes:
 *
 *   0 datagram from member a   1 from a stranger   2 as 0, and 3 as 1, wrapped as the flavour wants it (label, seal)
 *   4 a quarter second passes  5 10 seconds pass   6 our datagrams to a are refused   7 what we could ask, or say
 *
 * Raw bytes change nothing where there is a key. */
#include <kith/event.h>

#include "fuzz/live.h"
#include "node/messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void datagram_feed(struct live *l, const uint8_t *bytes, size_t len, bool stranger, bool wrap)
{
    uint8_t buf[4096];
    struct ki_writer w = ki_writer(buf, sizeof buf);
    struct kith_addr from = stranger ? live_stranger() : lone_addr(2, 7946);
    if (wrap && l->flavour == LIVE_LABELLED)
        ki_put_label(&w, lone_span("lab1"));
    if (wrap && l->flavour == LIVE_KEYED) {
        static const uint8_t nonce[KI_NONCE_LEN] = {9};
        uint8_t *at = ki_reserve(&w, ki_sealed_len(1, len));
        LONE_CHECK(at);
        ki_seal(&l->k->keyring, 1, nonce, ki_span(NULL, 0), ki_span(NULL, 0), ki_span(bytes, len), at);
    } else {
        ki_put(&w, bytes, len);
    }
    LONE_CHECK(!w.full);
    l->heard[stranger ? 0 : 1] += w.len;
    uint8_t *exact = malloc(w.len ? w.len : 1);
    LONE_CHECK(exact);
    memcpy(exact, buf, w.len);
    uint64_t before = lone_digest(l->k);
    int error = kith_datagram(l->k, l->now, &from, exact, w.len);
    free(exact);
    LONE_CHECK(error <= 0);
    if (l->flavour == LIVE_KEYED && !wrap && error)
        LONE_CHECK(lone_digest(l->k) == before);
}

static void datagram_pass(struct live *l, uint64_t us)
{
    struct kith_stream_action action;
    l->now = lone_time(l->now.mono_us + us);
    kith_tick(l->k, l->now);
    while (kith_poll_stream(l->k, &action)) {
        if (action.kind == KITH_STREAM_OPEN)
            kith_stream_failed(l->k, l->now, action.id, KITH_ERR_UNREACHABLE);
    }
}

static void datagram_say(struct live *l, uint8_t what)
{
    static const struct kith_tag tag = {.key = {"role", 4}, .value = {"^$", 2}};
    struct kith_user_event event = {
        .name = lone_str("e"), .payload = lone_str("x"), .confirm_timeout_ms = what & 8 ? 500 : 0};
    struct kith_query query = {
        .name = lone_str("q"), .tags = &tag, .tag_count = 1, .ack = true, .relay_factor = what & 8, .timeout_ms = 3000};
    kith_ticket ticket;
    switch (what % 4) {
    case 0:
        (void)kith_send_event(l->k, l->now, &event, what & 16 ? &ticket : NULL);
        return;
    case 1:
        (void)kith_ask(l->k, l->now, &query, &ticket);
        return;
    case 2:
        (void)kith_change_keys(l->k, l->now, (enum kith_key_change)(what >> 2 & 3), &live_key, &ticket);
        return;
    default:
        (void)kith_respond(l->k, l->now, l->k->messages ? l->k->messages->last_handle : 0, lone_str("here"));
        return;
    }
}

static void datagram_ask(struct live *l, uint8_t what)
{
    if (what & 0x80) {
        datagram_say(l, what);
        return;
    }
    struct kith_addr to = lone_addr(2, 7946);
    switch (what % 5) {
    case 0:
        kith_join(l->k, l->now, &to, 1, false, NULL);
        return;
    case 1:
        if (kith_begin(l->k) == 0) {
            kith_tag_set(l->k, lone_str("t"), lone_str("v"));
            kith_commit(l->k, l->now, NULL);
            kith_abandon(l->k);
        }
        return;
    case 2:
        kith_leave(l->k, l->now, NULL);
        return;
    default:
        kith_force_leave(l->k, l->now, lone_str("b"), what % 5 == 4, NULL);
        return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 8192)
        return -1;
    struct live l;
    live_new(&l, data[0]);
    struct ki_reader r = ki_reader(data + 1, size - 1);
    for (unsigned steps = 0; r.left >= 2 && steps < 200; steps++) {
        uint8_t what = (uint8_t)ki_take_be(&r, 1);
        uint8_t more = (uint8_t)ki_take_be(&r, 1);
        size_t len = ki_min_size((what & 0x80 ? 8u : 1u) * more, r.left);
        struct kith_addr a = lone_addr(2, 7946);
        switch (what & 7) {
        case 4:
            datagram_pass(&l, LONE_SECOND / 4);
            break;
        case 5:
            datagram_pass(&l, 10 * LONE_SECOND);
            break;
        case 6:
            kith_datagram_refused(l.k, l.now, &a, more & 1 ? KITH_ERR_REFUSED : KITH_ERR_UNREACHABLE);
            break;
        case 7:
            datagram_ask(&l, more); /* with bit 7 said to members */
            break;
        default:
            datagram_feed(&l, ki_take(&r, len), len, what & 1, what & 2);
            break;
        }
        live_drain(&l);
    }
    live_free(&l);
    return 0;
}
