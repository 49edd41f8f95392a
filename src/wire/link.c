/* The bytes of a link: hello, frames, and what a frame is sealed with.
 *
 * The idea: everything has a fixed place, since it is ours alone to read: no stock member looks behind the 4B.  A hello
 * grows at its end, frames do not: what a version of frames has, the hellos have agreed on before the first of them, so
 * a byte too much in a frame is an error.
 *
 * Invariants: a decoded hello has a name and a payload within bounds, a decoded DATA frame at least a byte, so that no
 * stream of frames is free of credit but that of CREDIT frames, which must grow (node/link.c).
 *
 * Deliberately not here: which version is spoken, whether a name fits its sender, counting frames and credit. */
#include "wire/link.h"

#include "wire/memberlist.h"

#define LINK_AAD (KI_LINK_SESSION + 1 + 8)

_Static_assert(LINK_AAD + 255 <= KI_AAD_MAX, "the longest label fits");

void ki_encode_link_opening(struct ki_pack *p, const struct ki_link_hello *hello)
{
    size_t session = hello->is_answer ? KI_LINK_SESSION : KI_LINK_HALF;
    KI_ASSERT(hello->name.len >= 1 && hello->name.len <= 255 && hello->payload.len <= KI_LINK_PAYLOAD_MAX);
    size_t len = 1 + 3 + session + 8 + 1 + hello->name.len + 2 + hello->payload.len;
    ki_encode_user_header(p, &(struct ki_user_header){.len = (int64_t)len});
    ki_put_u8(&p->w, KI_LINK_TYPE);
    ki_put_u8(&p->w, hello->version_min);
    ki_put_u8(&p->w, hello->version_max);
    ki_put_u8(&p->w, hello->is_answer);
    ki_put(&p->w, hello->session, session);
    ki_put_be(&p->w, hello->credit, 8);
    ki_put_u8(&p->w, (uint8_t)hello->name.len);
    ki_put(&p->w, hello->name.ptr, hello->name.len);
    ki_put_be(&p->w, hello->payload.len, 2);
    ki_put(&p->w, hello->payload.ptr, hello->payload.len);
}

bool ki_decode_link_hello(struct ki_reader *r, struct ki_link_hello *out)
{
    *out = (struct ki_link_hello){.version_min = (uint8_t)ki_take_be(r, 1)};
    out->version_max = (uint8_t)ki_take_be(r, 1);
    uint8_t role = (uint8_t)ki_take_be(r, 1);
    out->is_answer = role == 1;
    size_t len = out->is_answer ? KI_LINK_SESSION : KI_LINK_HALF;
    const uint8_t *session = ki_take(r, len);
    if (session)
        memcpy(out->session, session, len);
    out->credit = ki_take_be(r, 8);
    len = (size_t)ki_take_be(r, 1);
    out->name = ki_span(ki_take(r, len), len);
    len = (size_t)ki_take_be(r, 2);
    out->payload = ki_span(ki_take(r, len), len);
    return !r->bad && role <= 1 && out->name.len >= 1 && out->payload.len <= KI_LINK_PAYLOAD_MAX &&
           out->version_min <= out->version_max;
}

bool ki_decode_link_parts(struct ki_span payload, struct ki_span parts[KI_LINK_SUBJECTS])
{
    struct ki_reader r = ki_reader(payload.ptr, payload.len);
    for (unsigned subject = 0; subject < KI_LINK_SUBJECTS; subject++)
        parts[subject] = ki_span(NULL, 0);
    while (r.left > 0) {
        unsigned subject = (unsigned)ki_take_be(&r, 1);
        size_t len = (size_t)ki_take_be(&r, 2);
        const uint8_t *bytes = ki_take(&r, len);
        if (r.bad || (subject < KI_LINK_SUBJECTS && parts[subject].ptr))
            return false;
        if (subject < KI_LINK_SUBJECTS)
            parts[subject] = ki_span(bytes, len);
    }
    return true;
}

void ki_encode_link_frame(struct ki_writer *w, const struct ki_link_frame *frame)
{
    ki_put_u8(w, (uint8_t)frame->kind);
    switch (frame->kind) {
    case KI_LINK_DATA:
        ki_put_u8(w, frame->channel);
        ki_put_u8(w, frame->more);
        return;
    case KI_LINK_CREDIT:
        ki_put_be(w, frame->credit, 8);
        return;
    case KI_LINK_CLOSE:
        ki_put_u8(w, frame->reason);
        return;
    }
    KI_UNREACHABLE();
}

bool ki_decode_link_frame(struct ki_span plain, struct ki_link_frame *out)
{
    struct ki_reader r = ki_reader(plain.ptr, plain.len);
    uint8_t kind = (uint8_t)ki_take_be(&r, 1), more = 0;
    *out = (struct ki_link_frame){.kind = (enum ki_link_kind)kind};
    switch (kind) {
    case KI_LINK_DATA:
        out->channel = (uint8_t)ki_take_be(&r, 1);
        more = (uint8_t)ki_take_be(&r, 1);
        out->more = more == 1;
        out->part = ki_span(r.pos, r.left);
        return !r.bad && more <= 1 && r.left > 0;
    case KI_LINK_CREDIT:
        out->credit = ki_take_be(&r, 8);
        break;
    case KI_LINK_CLOSE:
        out->reason = (uint8_t)ki_take_be(&r, 1);
        break;
    default:
        return false;
    }
    return !r.bad && r.left == 0;
}

static struct ki_span link_aad(const struct ki_link_place *place, uint8_t out[LINK_AAD])
{
    struct ki_writer w = ki_writer(out, LINK_AAD);
    ki_put(&w, place->session, KI_LINK_SESSION);
    ki_put_u8(&w, place->direction);
    ki_put_be(&w, place->counter, 8);
    return ki_span(out, w.len);
}

void ki_seal_link_frame(const struct ki_keyring *ring, const struct ki_link_place *place,
                        const uint8_t nonce[KI_NONCE_LEN], struct ki_span plain, uint8_t *out)
{
    uint8_t aad[LINK_AAD];
    ki_store_be(out, ki_sealed_len(1, plain.len), KI_LINK_HEAD);
    ki_seal(ring, 1, nonce, place->label, link_aad(place, aad), plain, out + KI_LINK_HEAD);
}

bool ki_open_link_frame(const struct ki_keyring *ring, const struct ki_link_place *place, struct ki_span sealed,
                        uint8_t *out, size_t *len)
{
    uint8_t aad[LINK_AAD];
    return ki_open(ring, place->label, link_aad(place, aad), sealed, out, len);
}
