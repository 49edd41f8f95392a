/* What is said of folded queries: the first byte picks the kind, 40 to 42, the rest is what follows it.  What decodes
 * encodes to the very same bytes; and a reply can be merged with itself and others like it, and be told on. */
#include "aggregate/partial.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t out[1 << 17];

/* Merged twice, it decodes again. */
static void fold_merged(const struct ki_partial *p)
{
    static uint8_t merged[2048];
    struct ki_partial sum = {.members = 0}, got;
    struct ki_writer w = ki_writer(merged, sizeof merged);
    uint64_t id, span;
    ki_partial_merge(&sum, p, KI_FOLD_TOP_MAX);
    ki_partial_answer(&sum, 7, -KI_FOLD_VALUE_MAX, KI_FOLD_TOP_MAX);
    ki_partial_merge(&sum, p, KI_FOLD_TOP_MAX);
    ki_partial_silent(&sum, 9);
    KI_ASSERT(sum.answers == 2 * p->answers + 1 && sum.unusable == 2 * p->unusable);
    KI_ASSERT(sum.silent >= p->silent && sum.silent <= 2 * p->silent + 1 - p->named); /* who is named counts once */
    KI_ASSERT(sum.members - sum.silent == 2 * (p->members - p->silent) + 1);
    sum.top_count = 0; /* nobody's answer is merged twice but here */
    ki_encode_fold_reply(&w, 1, 2, &sum);
    struct ki_reader r = ki_reader(merged + 2, w.len - 2);
    KI_ASSERT(!w.full && (sum.members > KI_FOLD_MEMBERS_MAX || ki_decode_fold_reply(&r, &id, &span, &got)));
}

static bool fold_again(enum ki_fold_kind kind, struct ki_reader *r, struct ki_writer *w)
{
    struct ki_fold_ask ask;
    struct ki_partial partial;
    uint64_t id, span;
    bool fine;
    switch (kind) {
    case KI_FOLD_ASK:
        fine = ki_decode_fold_ask(r, &ask);
        if (fine)
            ki_encode_fold_ask(w, &ask);
        return fine;
    case KI_FOLD_ACK:
        fine = ki_decode_fold_ack(r, &id, &span);
        if (fine)
            ki_encode_fold_ack(w, id, span);
        return fine;
    case KI_FOLD_REPLY:
        fine = ki_decode_fold_reply(r, &id, &span, &partial);
        if (fine) {
            ki_encode_fold_reply(w, id, span, &partial);
            fold_merged(&partial);
        }
        return fine;
    }
    KI_UNREACHABLE();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 65536)
        return 0;
    enum ki_fold_kind kind = (enum ki_fold_kind)(KI_FOLD_ASK + data[0] % 3);
    struct ki_reader r = ki_reader(data + 1, size - 1);
    struct ki_writer w = ki_writer(out, sizeof out);
    if (!fold_again(kind, &r, &w))
        return 0;
    KI_ASSERT(!w.full && w.len == size + 1 && out[1] == kind && memcmp(out + 2, data + 1, size - 1) == 0);
    return 0;
}
