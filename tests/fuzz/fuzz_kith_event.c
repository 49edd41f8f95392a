/* What is said of numbered events: the first byte picks the kind, 10 to 15, the rest is what follows it.  What decodes
 * encodes to the very same bytes, but for the one byte that says whether something is lost. */
#include "wire/kith_event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t out[1 << 17];

static bool kith_event_heads(struct ki_reader *r, struct ki_writer *w)
{
    struct ki_kith_event head;
    uint64_t more_from;
    if (!ki_decode_events_heads_front(r, &more_from))
        return false;
    ki_encode_events_heads_front(w, more_from);
    while (r->left > 0) {
        if (!ki_decode_events_head(r, &head))
            return false;
        KI_ASSERT(head.last <= INT64_MAX && head.name.len > 0);
        ki_encode_events_head(w, &head);
    }
    return true;
}

static bool kith_event_again(enum ki_kith_event_kind kind, struct ki_reader *r, struct ki_writer *w)
{
    struct ki_kith_event msg;
    uint64_t number;
    bool fine;
    switch (kind) {
    case KI_EVENTS_ROOT:
        fine = ki_decode_events_root(r, &number);
        if (fine)
            ki_encode_events_root(w, number);
        return fine;
    case KI_EVENTS_HEADS_ASK:
        fine = ki_decode_events_heads_ask(r, &number);
        if (fine)
            ki_encode_events_heads_ask(w, number);
        return fine;
    case KI_EVENTS_HEADS:
        return kith_event_heads(r, w);
    case KI_EVENTS_WANT:
    case KI_EVENTS_SKIP:
    case KI_EVENTS_TOOK:
        fine = ki_decode_kith_event(r, kind, &msg);
        KI_ASSERT(!fine || (msg.first >= 1 && msg.first <= msg.last && msg.last <= INT64_MAX));
        if (fine)
            ki_encode_kith_event(w, kind, &msg);
        KI_ASSERT(!fine || w->len <= KI_KITH_EVENT_MAX);
        return fine;
    case KI_EVENTS_AGAIN: /* a query: fuzz_query's */
        return false;
    }
    KI_UNREACHABLE();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 65536)
        return 0;
    enum ki_kith_event_kind kind = (enum ki_kith_event_kind)(KI_EVENTS_ROOT + data[0] % 6);
    struct ki_reader r = ki_reader(data + 1, size - 1);
    struct ki_writer w = ki_writer(out, sizeof out);
    if (!kith_event_again(kind, &r, &w))
        return 0;
    KI_ASSERT(!w.full && w.len == size + 1 && out[1] == kind);
    for (size_t i = 2; i < w.len; i++)
        KI_ASSERT(out[i] == data[i - 1] || (kind == KI_EVENTS_SKIP && out[i] == 1 && data[i - 1] > 1));
    return 0;
}
