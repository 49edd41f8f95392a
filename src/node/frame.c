/* The outer layers of a stream, in and out (PROTOCOL.md "streams"):
 *
 *   F4 len label | 0A len:be32 version nonce ciphertext tag | 09 compress | type body
 *
 * The label is written by the dialling side alone, but sealed into both directions.  A sealed or compressed message
 * is whole before it is opened; a bare one is looked at as it comes.  Where memberlist answers a stream that it
 * cannot open with an error message, so do we. */
#include "node/stream.h"

#define FRAME_HEAD 5             /* 0A and the length */
#define FRAME_SQUEEZE_FRONT 32   /* room for the front of a compress message */
#define FRAME_SQUEEZE_MIN 128    /* a shorter message is not worth it */
#define FRAME_RUN_MAX 4096       /* the longest run one LZW code stands for */

static struct ki_span frame_label(const struct kith *k)
{
    return ki_name_of(k->cfg.label);
}

/* ---- in ---- */

static void frame_broken(struct kith *k, struct ki_stream *s, enum ki_counter counter)
{
    ki_count(k, counter);
    ki_stream_fail(k, s, KITH_ERR_MALFORMED);
}

/* More bytes are needed: is that possible? */
static void frame_wait(struct kith *k, struct ki_stream *s)
{
    if (s->raw.len > (size_t)k->cfg.frame_max + FRAME_HEAD + 257)
        frame_broken(k, s, KI_COUNT_malformed);
    else if (s->peer_done)
        ki_stream_fail(k, s, KITH_ERR_REFUSED);
}

/* The label header of an accepted stream.  Returns false when there is nothing to go on with. */
static bool frame_read_label(struct kith *k, struct ki_stream *s)
{
    if (s->label_read || s->dialled) {
        s->label_read = true;
        return true;
    }
    if (s->raw.len == 0 || (s->raw.ptr[0] == KI_MSG_HAS_LABEL &&
                            (s->raw.len < 2 || s->raw.len < 2 + (size_t)s->raw.ptr[1]))) {
        frame_wait(k, s);
        return false;
    }
    struct ki_reader r = ki_reader(s->raw.ptr, s->raw.len);
    struct ki_span label;
    if (!ki_peel_label(&r, &label) || !ki_span_equal(label, frame_label(k))) {
        frame_broken(k, s, KI_COUNT_label_mismatch);
        return false;
    }
    s->raw_pos = s->raw.len - r.left;
    s->label_read = true;
    return true;
}

static void frame_refuse(struct kith *k, struct ki_stream *s, const char *text)
{
    ki_count(k, KI_COUNT_auth_failed);
    if (!s->dialled)
        ki_frame_error(k, s, text);
    else
        ki_stream_fail(k, s, KITH_ERR_AUTH);
}

/* A sealed frame: all of it must be there. */
static void frame_read_sealed(struct kith *k, struct ki_stream *s, struct ki_span bytes)
{
    struct ki_reader r = ki_reader(bytes.ptr + 1, bytes.len - 1);
    uint64_t len = ki_take_be(&r, 4);
    if (r.bad) {
        frame_wait(k, s);
        return;
    }
    if (len > k->cfg.frame_max || len < KI_SEAL_OVERHEAD) {
        frame_broken(k, s, KI_COUNT_malformed);
        return;
    }
    if (r.left < len) {
        frame_wait(k, s);
        return;
    }
    if (!ki_buf_reserve(k, &s->opened_buf, len)) {
        ki_stream_fail(k, s, KITH_ERR_FULL);
        return;
    }
    s->raw_used = s->raw_pos + FRAME_HEAD + len;
    s->job = ki_open_job_new(&k->keyring, ki_span(bytes.ptr, FRAME_HEAD), frame_label(k), ki_span(r.pos, len),
                             s->opened_buf.ptr);
    if (s->job)
        s->rx = KI_RX_OPEN;
    else
        ki_stream_fail(k, s, KITH_ERR_NOMEM);
}

/* What stands without a seal: compressed or a message. */
static void frame_plain(struct kith *k, struct ki_stream *s, struct ki_span bytes, bool grows)
{
    if (bytes.len == 0) {
        frame_broken(k, s, KI_COUNT_malformed);
        return;
    }
    if (bytes.ptr[0] != KI_MSG_COMPRESS) {
        s->plain = bytes;
        s->plain_grows = grows;
        s->fed = true;
        s->rx = KI_RX_SCAN;
        return;
    }
    struct ki_reader r = ki_reader(bytes.ptr + 1, bytes.len - 1);
    struct ki_compress msg = {0};
    if (!ki_decode_compress(&r, &msg) || msg.algo != 0) {
        if (grows && r.ended)
            frame_wait(k, s);
        else
            frame_broken(k, s, KI_COUNT_malformed_compress);
        return;
    }
    s->decoder = ki_mem_resize(&k->mem, NULL, sizeof *s->decoder);
    if (!s->decoder) {
        ki_stream_fail(k, s, KITH_ERR_NOMEM);
        return;
    }
    ki_lzw_decoder_init(s->decoder, msg.buf.ptr, msg.buf.len, NULL, 0);
    s->rx = KI_RX_INFLATE;
}

void ki_frame_read(struct kith *k, struct ki_stream *s, size_t *budget)
{
    (void)budget; /* looks at a few bytes, however many have come */
    s->fed = false;
    if (!frame_read_label(k, s))
        return;
    if (s->raw.len == s->raw_pos) {
        frame_wait(k, s);
        return;
    }
    struct ki_span bytes = ki_span(s->raw.ptr + s->raw_pos, s->raw.len - s->raw_pos);
    bool sealed = bytes.ptr[0] == KI_MSG_ENCRYPT;
    if (sealed && k->keyring.count == 0)
        frame_refuse(k, s, "remote state is encrypted and encryption is not configured");
    else if (sealed)
        frame_read_sealed(k, s, bytes);
    else if (k->keyring.count > 0 && k->cfg.verify_incoming)
        frame_refuse(k, s, "encryption is configured but remote state is not encrypted");
    else
        frame_plain(k, s, bytes, true);
}

void ki_frame_open(struct kith *k, struct ki_stream *s, size_t *budget)
{
    size_t slice = *budget;
    *budget = 0;
    size_t len = 0;
    switch (ki_seal_job_step(s->job, &k->keyring, slice, &len)) {
    case KI_SEAL_MORE:
        return;
    case KI_SEAL_DONE:
        ki_seal_job_free(&k->keyring, s->job);
        s->job = NULL;
        s->opened_buf.len = len;
        s->was_sealed = true;
        *budget = slice / 2;
        frame_plain(k, s, ki_span(s->opened_buf.ptr, len), false);
        return;
    case KI_SEAL_FAILED:
        ki_seal_job_free(&k->keyring, s->job);
        s->job = NULL;
        frame_refuse(k, s, "no installed keys could decrypt the message");
        return;
    }
    KI_UNREACHABLE();
}

void ki_frame_inflate(struct kith *k, struct ki_stream *s, size_t *budget)
{
    struct ki_lzw_decoder *d = s->decoder;
    size_t slice = *budget;
    *budget = 0;
    size_t need = d->out_len + slice + FRAME_RUN_MAX;
    if (need > s->inflated.cap && !ki_buf_reserve(k, &s->inflated, need + s->inflated.cap / 2) &&
        !ki_buf_reserve(k, &s->inflated, need)) {
        ki_stream_fail(k, s, KITH_ERR_FULL);
        return;
    }
    d->out = s->inflated.ptr;
    d->out_cap = s->inflated.cap;
    size_t before = d->out_len;
    enum ki_lzw_result result = ki_lzw_decode(d, slice);
    if (d->out_len > k->cfg.inflated_max || result == KI_LZW_BROKEN || result == KI_LZW_FULL) {
        frame_broken(k, s, KI_COUNT_malformed_compress);
        return;
    }
    if (result == KI_LZW_MORE)
        return;
    *budget = slice - ki_min_size(slice, d->out_len - before);
    s->inflated.len = d->out_len;
    ki_mem_free(&k->mem, d);
    s->decoder = NULL;
    if (s->inflated.len == 0 || s->inflated.ptr[0] == KI_MSG_COMPRESS) { /* nothing, or nested: never sent */
        frame_broken(k, s, KI_COUNT_malformed_compress);
        return;
    }
    s->plain = ki_span(s->inflated.ptr, s->inflated.len);
    s->rx = KI_RX_SCAN;
}

/* ---- out ---- */

bool ki_frame_seals(const struct kith *k)
{
    return k->keyring.count > 0 && k->cfg.verify_outgoing;
}

static void frame_ready(struct ki_stream *s)
{
    s->tx = KI_TX_WRITE;
    s->ask_write = true;
}

static void frame_to_seal(struct kith *k, struct ki_stream *s)
{
    struct ki_writer w = ki_writer(s->head, sizeof s->head);
    if (s->dialled)
        ki_put_label(&w, frame_label(k));
    s->head_len = w.len;
    if (!ki_frame_seals(k)) {
        frame_ready(s);
        return;
    }
    uint8_t version = k->cfg.protocol == 1 ? 0 : 1;
    size_t sealed_len = ki_sealed_len(version, s->body.len);
    size_t aad_at = w.len;
    ki_put_u8(&w, KI_MSG_ENCRYPT);
    ki_put_be(&w, sealed_len, 4);
    s->head_len = w.len;
    if (sealed_len > UINT32_MAX || !ki_buf_reserve(k, &s->sealed, sealed_len)) {
        ki_stream_fail(k, s, KITH_ERR_FULL);
        return;
    }
    uint8_t nonce[KI_NONCE_LEN];
    ki_crng_fill(&k->crng, nonce, sizeof nonce);
    s->job = ki_seal_job_new(&k->keyring, version, nonce, ki_span(s->head + aad_at, FRAME_HEAD), frame_label(k),
                             s->body, s->sealed.ptr);
    if (s->job)
        s->tx = KI_TX_SEAL;
    else
        ki_stream_fail(k, s, KITH_ERR_NOMEM);
}

void ki_frame_built(struct kith *k, struct ki_stream *s)
{
    if (!k->cfg.compress || s->body.len < FRAME_SQUEEZE_MIN || s->carries || /* a hello says where it ends */
        !ki_buf_reserve(k, &s->squeezed, FRAME_SQUEEZE_FRONT + s->body.len)) {
        frame_to_seal(k, s);
        return;
    }
    s->encoder = ki_mem_new(&k->mem, sizeof *s->encoder);
    if (!s->encoder) {
        frame_to_seal(k, s);
        return;
    }
    ki_lzw_encoder_init(s->encoder, s->body.ptr, s->body.len, s->squeezed.ptr + FRAME_SQUEEZE_FRONT,
                        s->body.len - FRAME_SQUEEZE_FRONT);
    s->tx = KI_TX_SQUEEZE;
}

void ki_frame_squeeze(struct kith *k, struct ki_stream *s, size_t *budget)
{
    struct ki_lzw_encoder *e = s->encoder;
    size_t before = e->in_pos;
    enum ki_lzw_result result = ki_lzw_encode(e, *budget);
    *budget -= ki_min_size(*budget, e->in_pos - before);
    if (result == KI_LZW_MORE) {
        *budget = 0;
        return;
    }
    if (result == KI_LZW_DONE) {
        uint8_t front[FRAME_SQUEEZE_FRONT];
        struct ki_pack p = ki_pack(front, sizeof front, false);
        ki_encode_compress_front(&p, e->out_len);
        uint8_t *start = e->out - p.w.len;
        memcpy(start, front, p.w.len);
        s->body = ki_span(start, p.w.len + e->out_len);
    }
    ki_mem_free(&k->mem, e);
    s->encoder = NULL;
    frame_to_seal(k, s);
}

void ki_frame_seal(struct kith *k, struct ki_stream *s, size_t *budget)
{
    size_t len = 0;
    size_t slice = *budget;
    *budget = slice / 2;
    enum ki_seal_result result = ki_seal_job_step(s->job, &k->keyring, slice, &len);
    if (result == KI_SEAL_MORE) {
        *budget = 0;
        return;
    }
    ki_seal_job_free(&k->keyring, s->job);
    s->job = NULL;
    if (result == KI_SEAL_FAILED) { /* its key was removed from the ring meanwhile */
        ki_stream_fail(k, s, KITH_ERR_AUTH);
        return;
    }
    s->body = ki_span(s->sealed.ptr, len);
    frame_ready(s);
}

void ki_frame_error(struct kith *k, struct ki_stream *s, const char *text)
{
    s->rx = KI_RX_DONE;
    if (!ki_buf_reserve(k, &s->out, KI_OUT_GAP + 256)) {
        ki_stream_fail(k, s, KITH_ERR_FULL);
        return;
    }
    struct ki_pack p = ki_pack(s->out.ptr + KI_OUT_GAP, 256, false);
    ki_encode_err(&p, &(struct ki_err){.text = ki_span(text, strlen(text))});
    KI_ASSERT(!p.w.full);
    s->body = ki_span(p.w.start, p.w.len);
    ki_frame_built(k, s);
}
