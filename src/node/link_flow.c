/* What flows through a link: frames, messages and credit.
 *
 * Nothing piles up.  Out: an owner is asked for the next part only when the frame before has been taken by the driver and
 * the peer has granted credit; owners take turns, a message each.  In: the peer may send KI_LINK_WINDOW bytes beyond what
 * was taken in; what comes stays a frame or two in `raw`, and a message of several is put together in `inflated`.  When
 * there is no memory for that the frame waits, the driver's bytes wait behind it, and the stream's timeout decides.  A frame
 * is sealed or opened at one go: it is no more than a slice.
 *
 * A frame is bound to its place (wire/link.h).  One that does not open, does not decode or exceeds the credit shows that
 * somebody meddles: the link ends there, and nothing of the message that it belongs to is handed over.  A message for a
 * subject that is not on this link is passed over, as it comes.
 *
 * An end in order is a CLOSE each way: no message follows it.  Whoever is idle says it first, and goes on reading and
 * granting until the other's CLOSE; the other ends the message that it is in, but begins none.  An end without CLOSE is an
 * error, as someone on the way may have brought it about.
 *
 * Deliberately not here: fairness between links, beyond the streams' turns. */
#include "node/link.h"

#define FLOW_RAW_MAX (2 * (KI_LINK_HEAD + KI_LINK_FRAME_MAX)) /* one is worked on, one is on its way */
#define FLOW_CONTROL_MAX 9 /* bytes of a plain frame that is not DATA */

/* ---- out ---- */

/* Links leave a quarter of the streams' memory to exchanges, which must go on however much is said here. */
static bool flow_reserve(struct kith *k, struct ki_buf *buf, size_t cap)
{
    if (cap > buf->cap && cap - buf->cap + k->stream_bytes > k->cfg.stream_bytes_max / 4 * 3) {
        ki_count(k, KI_COUNT_stream_budget_full);
        return false;
    }
    return ki_buf_reserve(k, buf, cap);
}

/* Told in steps, so that a frame of credit comes on many of data. */
static bool flow_credit_due(const struct ki_link *link)
{
    return !link->held && link->received + KI_LINK_WINDOW - link->granted >= KI_LINK_WINDOW / 4;
}

/* Whoever is in the middle of a message goes on; else all those that may have something. */
static unsigned flow_awake(const struct ki_link *link)
{
    return link->awake & link->subjects & (link->sending ? 1u << link->channel_out / KI_LINK_CHANNELS : UINT8_MAX);
}

static bool flow_close_due(const struct ki_link *link)
{
    return link->closing && !link->sending;
}

static bool flow_may_write(const struct ki_link *link)
{
    if (!link->is_open || link->stream->tx != KI_TX_LINK || link->out_blocked)
        return false;
    if (link->close_sent) /* what the other has begun may need more */
        return flow_credit_due(link) && !link->close_received;
    bool data = flow_awake(link) && link->allowed > link->sent;
    return flow_credit_due(link) || flow_close_due(link) || data;
}

/* The frame stands in s->out behind the room for its length. */
static void flow_send(struct kith *k, struct ki_stream *s, struct ki_span plain)
{
    struct ki_link *link = s->carries;
    if (link->seals) {
        uint8_t nonce[KI_NONCE_LEN];
        ki_crng_fill(&k->crng, nonce, sizeof nonce);
        struct ki_link_place place = {.label = ki_name_of(k->cfg.label),
                                      .session = link->session,
                                      .direction = !link->is_dialler,
                                      .counter = link->frames_out};
        ki_seal_link_frame(&k->keyring, &place, nonce, plain, s->sealed.ptr);
        s->body = ki_span(s->sealed.ptr, KI_LINK_HEAD + ki_sealed_len(1, plain.len));
    } else {
        ki_store_be(s->out.ptr, plain.len, KI_LINK_HEAD);
        s->body = ki_span(s->out.ptr, KI_LINK_HEAD + plain.len);
    }
    link->frames_out++;
    s->head_len = s->head_sent = s->body_sent = 0;
    s->tx = KI_TX_WRITE;
    s->ask_write = true;
    ki_stream_progress(k, s);
}

/* Room for a frame of so many bytes, before an owner is asked: what it gives cannot be given back. */
static bool flow_frame_room(struct kith *k, struct ki_stream *s, size_t len)
{
    size_t sealed = KI_LINK_HEAD + ki_sealed_len(1, len);
    if (flow_reserve(k, &s->out, KI_LINK_HEAD + len) && (!s->carries->seals || flow_reserve(k, &s->sealed, sealed)))
        return true;
    s->carries->out_blocked = true;
    return false;
}

/* The next part of a message, from whose turn it is; 0: nobody has one.  Says the channel and whether more follows. */
static size_t flow_ask(struct kith *k, struct ki_link *link, uint8_t *buf, size_t cap, bool *more)
{
    for (unsigned i = 0; i < KI_LINK_SUBJECTS; i++) {
        unsigned subject = (link->turn + i) % KI_LINK_SUBJECTS;
        uint8_t channel = link->channel_out % KI_LINK_CHANNELS;
        if (!ki_link_in(flow_awake(link), subject))
            continue;
        link->awake &= (uint8_t)~(1u << subject); /* unless it says so meanwhile */
        *more = false;
        size_t len = k->link_owners[subject]->poll(k, link, &channel, buf, cap, more);
        KI_ASSERT(len <= cap);
        if (len == 0)
            continue;
        if (!link->sending) {
            KI_ASSERT(channel < KI_LINK_CHANNELS);
            link->channel_out = (uint8_t)(subject * KI_LINK_CHANNELS + channel);
        }
        link->awake |= (uint8_t)(1u << subject);
        link->used |= (uint8_t)(1u << subject);
        link->turn = (uint8_t)(subject + !*more) % KI_LINK_SUBJECTS;
        return len;
    }
    return 0;
}

static void flow_write_data(struct kith *k, struct ki_stream *s, size_t *budget)
{
    struct ki_link *link = s->carries;
    size_t cap = (size_t)ki_min_u64(KI_LINK_PART_MAX, link->allowed - link->sent);
    if (!flow_frame_room(k, s, KI_LINK_PART_HEAD + cap))
        return;
    uint8_t *frame = s->out.ptr + KI_LINK_HEAD;
    bool more = false;
    size_t len = flow_ask(k, link, frame + KI_LINK_PART_HEAD, cap, &more);
    if (len == 0) {
        ki_buf_free(k, &s->out);
        ki_buf_free(k, &s->sealed);
        return;
    }
    link->sending = more;
    link->sent += len;
    link->idle_us = k->now.mono_us + KI_LINK_IDLE_US;
    k->counters[KI_COUNT_link_bytes_out] += len;
    struct ki_writer w = ki_writer(frame, KI_LINK_PART_HEAD);
    ki_encode_link_frame(&w, &(struct ki_link_frame){.kind = KI_LINK_DATA, .channel = link->channel_out, .more = more});
    flow_send(k, s, ki_span(frame, KI_LINK_PART_HEAD + len));
    *budget -= ki_min_size(*budget, len);
}

static void flow_write(struct kith *k, struct ki_stream *s, size_t *budget)
{
    struct ki_link *link = s->carries;
    struct ki_link_frame frame = {.kind = KI_LINK_CREDIT, .credit = link->received + KI_LINK_WINDOW};
    bool credit = flow_credit_due(link);
    if (!credit && !flow_close_due(link)) {
        flow_write_data(k, s, budget);
        return;
    }
    if (!flow_frame_room(k, s, FLOW_CONTROL_MAX))
        return;
    if (credit) {
        link->granted = frame.credit;
    } else {
        frame.kind = KI_LINK_CLOSE;
        link->close_sent = true;
    }
    struct ki_writer w = ki_writer(s->out.ptr + KI_LINK_HEAD, FLOW_CONTROL_MAX);
    ki_encode_link_frame(&w, &frame);
    flow_send(k, s, ki_span(w.start, w.len));
}

/* Over in order, if both have said CLOSE and ours is out. */
static void flow_settle(struct kith *k, struct ki_stream *s)
{
    if (s->tx != KI_TX_LINK || !s->carries->close_sent || !s->carries->close_received)
        return;
    s->rx = KI_RX_DONE;
    s->tx = KI_TX_DONE;
    ki_stream_settle(k, s);
}

void ki_link_written(struct kith *k, struct ki_stream *s)
{
    s->tx = KI_TX_LINK;
    if (!s->carries->awake) {
        ki_buf_free(k, &s->out);
        ki_buf_free(k, &s->sealed);
    }
    flow_settle(k, s);
}

/* ---- in ---- */

size_t ki_link_room(struct ki_stream *s)
{
    if (s->raw_pos > 0) {
        s->raw.len -= s->raw_pos;
        memmove(s->raw.ptr, s->raw.ptr + s->raw_pos, s->raw.len);
        s->raw_pos = 0;
    }
    return FLOW_RAW_MAX - ki_min_size(FLOW_RAW_MAX, s->raw.len);
}

static void flow_broken(struct kith *k, struct ki_stream *s, int error)
{
    ki_count(k, KI_COUNT_link_frames_bad);
    ki_stream_fail(k, s, error);
}

/* Puts a part to those before it.  false: it must wait. */
static bool flow_gather(struct kith *k, struct ki_stream *s, struct ki_span part)
{
    struct ki_buf *message = &s->inflated;
    size_t need = message->len + part.len;
    if (need > message->cap && !flow_reserve(k, message, need + message->cap / 2) && !flow_reserve(k, message, need)) {
        s->carries->in_blocked = true;
        return false;
    }
    memcpy(message->ptr + message->len, part.ptr, part.len);
    message->len = need;
    return true;
}

/* Who gets what comes on this channel; NULL: nobody, since its subject is not on this link. */
static const struct ki_link_owner *flow_owner(const struct kith *k, const struct ki_link *link, uint8_t channel)
{
    unsigned subject = channel / KI_LINK_CHANNELS;
    return subject < KI_LINK_SUBJECTS && ki_link_in(link->subjects, subject) ? k->link_owners[subject] : NULL;
}

static bool flow_data_fits(const struct ki_stream *s, const struct ki_link_owner *owner, const struct ki_link_frame *frame)
{
    const struct ki_link *link = s->carries;
    if (link->close_received || frame->part.len > link->granted - link->received)
        return false;
    if (link->gathering && frame->channel != link->channel_in)
        return false;
    return !owner || (s->inflated.len <= owner->message_max && frame->part.len <= owner->message_max - s->inflated.len);
}

/* false: it must wait, or the stream is over. */
static bool flow_take_data(struct kith *k, struct ki_stream *s, const struct ki_link_frame *frame)
{
    struct ki_link *link = s->carries;
    const struct ki_link_owner *owner = flow_owner(k, link, frame->channel);
    struct ki_span message = frame->part;
    if (!flow_data_fits(s, owner, frame)) {
        flow_broken(k, s, KITH_ERR_MALFORMED);
        return false;
    }
    if (owner && (frame->more || link->gathering)) {
        if (!flow_gather(k, s, frame->part))
            return false;
        message = ki_span(s->inflated.ptr, s->inflated.len);
    }
    link->gathering = frame->more;
    link->channel_in = frame->channel;
    link->received += frame->part.len;
    link->idle_us = k->now.mono_us + KI_LINK_IDLE_US;
    k->counters[KI_COUNT_link_bytes_in] += frame->part.len;
    if (frame->more)
        return true;
    if (owner)
        link->used |= (uint8_t)(1u << frame->channel / KI_LINK_CHANNELS);
    if (owner)
        owner->receive(k, link, frame->channel % KI_LINK_CHANNELS, message);
    else
        ki_count(k, KI_COUNT_kith_refused);
    ki_buf_free(k, &s->inflated);
    return true;
}

static bool flow_take(struct kith *k, struct ki_stream *s, const struct ki_link_frame *frame)
{
    struct ki_link *link = s->carries;
    bool fine = true;
    switch (frame->kind) {
    case KI_LINK_DATA:
        return flow_take_data(k, s, frame);
    case KI_LINK_CREDIT:
        fine = frame->credit > link->allowed;
        link->allowed = frame->credit;
        link->idle_us = k->now.mono_us + KI_LINK_IDLE_US;
        break;
    case KI_LINK_CLOSE:
        fine = !link->gathering && !link->close_received;
        link->closing = link->close_received = true;
        break;
    }
    if (!fine)
        flow_broken(k, s, KITH_ERR_MALFORMED);
    return fine;
}

/* Of what has come, the next frame; NULL: it is not whole. */
static const uint8_t *flow_next(struct kith *k, struct ki_stream *s, size_t *len)
{
    if (s->raw.len == s->raw_pos) { /* a quiet link needs no buffers */
        ki_buf_free(k, &s->raw);
        ki_buf_free(k, &s->opened_buf);
        s->raw_pos = 0;
        return NULL;
    }
    struct ki_reader r = ki_reader(s->raw.ptr + s->raw_pos, s->raw.len - s->raw_pos);
    *len = (size_t)ki_take_be(&r, KI_LINK_HEAD);
    return *len <= KI_LINK_FRAME_MAX ? ki_take(&r, *len) : r.pos;
}

static void flow_read(struct kith *k, struct ki_stream *s, size_t *budget)
{
    struct ki_link *link = s->carries;
    size_t len = 0;
    const uint8_t *bytes = flow_next(k, s, &len);
    if (!bytes) {
        s->fed = false;
        if (s->peer_done)
            ki_stream_fail(k, s, KITH_ERR_UNREACHABLE);
        return;
    }
    *budget -= ki_min_size(*budget, len);
    struct ki_span plain = ki_span(bytes, len);
    if (len > KI_LINK_FRAME_MAX) {
        flow_broken(k, s, KITH_ERR_MALFORMED);
        return;
    }
    if (link->peer_seals) {
        if (!flow_reserve(k, &s->opened_buf, len)) {
            link->in_blocked = true;
            return;
        }
        struct ki_link_place place = {.label = ki_name_of(k->cfg.label),
                                      .session = link->session,
                                      .direction = link->is_dialler,
                                      .counter = link->frames_in};
        plain.ptr = s->opened_buf.ptr;
        if (!ki_open_link_frame(&k->keyring, &place, ki_span(bytes, len), s->opened_buf.ptr, &plain.len)) {
            flow_broken(k, s, KITH_ERR_AUTH);
            return;
        }
    }
    struct ki_link_frame frame;
    if (!ki_decode_link_frame(plain, &frame)) {
        flow_broken(k, s, KITH_ERR_MALFORMED);
        return;
    }
    if (!flow_take(k, s, &frame))
        return;
    link->frames_in++;
    s->raw_pos += KI_LINK_HEAD + len;
    s->ask_resume = s->ask_resume || s->paused;
    s->paused = false;
    flow_settle(k, s);
}

/* ---- turns ---- */

static bool flow_may_read(const struct ki_stream *s)
{
    return s->rx == KI_RX_LINK && s->fed && !s->carries->in_blocked;
}

bool ki_link_has_work(const struct ki_stream *s)
{
    return s->carries && (s->carries->aborted || flow_may_read(s) || flow_may_write(s->carries));
}

void ki_link_work(struct kith *k, struct ki_stream *s, size_t *budget)
{
    if (s->carries->aborted) {
        ki_stream_fail(k, s, KITH_ERR_REFUSED);
        return;
    }
    if (flow_may_read(s))
        flow_read(k, s, budget);
    if (s->carries && !s->carries->aborted && flow_may_write(s->carries))
        flow_write(k, s, budget);
}
