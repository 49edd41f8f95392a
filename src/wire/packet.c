/* The outer layers of a datagram: label, checksum, compound.
 *
 * Everything here reads through a ki_reader and hands out borrowed spans, so nothing is copied and
 * nothing is believed before it was found inside the datagram.
 *
 * The checksum takes four bytes a step ("slicing by 4", Kounavis and Berry 2005).  Row t of its table
 * is the remainder of each byte followed by t zero bytes.  Remainders are linear: that of a byte is
 * the exclusive or of those of its set bits, so eight numbers a row say it all and the compiler spells
 * out the rest, as a constant.
 *
 * Deliberately not here: compression and encryption (lzw.c, seal.c), and what to do with the layers:
 * which may follow which, how deep, and into what memory, is the receiver's.
 */
#include "wire/packet.h"

enum { PACKET_LABEL = 0xf4, PACKET_CRC = 0x0c };

/* ---- CRC-32/IEEE: polynomial EDB88320, bits reversed, all ones before and after ---- */

#define CRC_BIT(i, bit, value) ((i) >> (bit)&1 ? (uint32_t)(value) : 0)
#define CRC_BYTE(i, a, b, c, d, e, f, g, h)                                                        \
    CRC_BIT(i, 0, a) ^ CRC_BIT(i, 1, b) ^ CRC_BIT(i, 2, c) ^ CRC_BIT(i, 3, d) ^                    \
        CRC_BIT(i, 4, e) ^ CRC_BIT(i, 5, f) ^ CRC_BIT(i, 6, g) ^ CRC_BIT(i, 7, h)
#define CRC_1(i, ...) CRC_BYTE(i, __VA_ARGS__)
#define CRC_4(i, ...)                                                                              \
    CRC_1(i, __VA_ARGS__), CRC_1(i + 1, __VA_ARGS__), CRC_1(i + 2, __VA_ARGS__),                   \
        CRC_1(i + 3, __VA_ARGS__)
#define CRC_16(i, ...)                                                                             \
    CRC_4(i, __VA_ARGS__), CRC_4(i + 4, __VA_ARGS__), CRC_4(i + 8, __VA_ARGS__),                   \
        CRC_4(i + 12, __VA_ARGS__)
#define CRC_64(i, ...)                                                                             \
    CRC_16(i, __VA_ARGS__), CRC_16(i + 16, __VA_ARGS__), CRC_16(i + 32, __VA_ARGS__),              \
        CRC_16(i + 48, __VA_ARGS__)
#define CRC_256(...)                                                                               \
    CRC_64(0, __VA_ARGS__), CRC_64(64, __VA_ARGS__), CRC_64(128, __VA_ARGS__),                     \
        CRC_64(192, __VA_ARGS__)

/* Arguments of row t: the remainder of 1 << bit followed by t zero bytes, for bits 0 to 7. */
static const uint32_t crc_table[4][256] = {
    {CRC_256(0x77073096, 0xee0e612c, 0x076dc419, 0x0edb8832, 0x1db71064, 0x3b6e20c8,
             0x76dc4190, 0xedb88320)},
    {CRC_256(0x191b3141, 0x32366282, 0x646cc504, 0xc8d98a08, 0x4ac21251, 0x958424a2,
             0xf0794f05, 0x3b83984b)},
    {CRC_256(0x01c26a37, 0x0384d46e, 0x0709a8dc, 0x0e1351b8, 0x1c26a370, 0x384d46e0,
             0x709a8dc0, 0xe1351b80)},
    {CRC_256(0xb8bc6765, 0xaa09c88b, 0x8f629757, 0xc5b428ef, 0x5019579f, 0xa032af3e,
             0x9b14583d, 0xed59b63b)},
};

uint32_t ki_crc32(const void *data, size_t len)
{
    const uint8_t *at = data;
    uint32_t crc = UINT32_MAX;
    for (; len >= 4; len -= 4, at += 4) {
        crc ^= (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
               (uint32_t)at[3] << 24;
        crc = crc_table[3][crc & 0xff] ^ crc_table[2][crc >> 8 & 0xff] ^
              crc_table[1][crc >> 16 & 0xff] ^ crc_table[0][crc >> 24];
    }
    for (; len > 0; len--, at++)
        crc = crc >> 8 ^ crc_table[0][(crc ^ *at) & 0xff];
    return ~crc;
}

/* ---- layers ---- */

bool ki_peel_label(struct ki_reader *r, struct ki_span *label)
{
    *label = ki_span(NULL, 0);
    if (r->left == 0 || r->pos[0] != PACKET_LABEL)
        return true;
    ki_take(r, 1);
    size_t len = (size_t)ki_take_be(r, 1);
    if (len == 0)
        r->bad = true;
    const uint8_t *at = ki_take(r, len);
    if (!at)
        return false;
    *label = ki_span(at, len);
    return true;
}

void ki_put_label(struct ki_writer *w, struct ki_span label)
{
    KI_ASSERT(label.len <= UINT8_MAX);
    if (label.len == 0)
        return;
    ki_put_u8(w, PACKET_LABEL);
    ki_put_u8(w, (uint8_t)label.len);
    ki_put(w, label.ptr, label.len);
}

bool ki_peel_crc(struct ki_reader *r)
{
    if (r->left == 0 || r->pos[0] != PACKET_CRC)
        return true;
    ki_take(r, 1);
    uint32_t crc = (uint32_t)ki_take_be(r, 4);
    return !r->bad && ki_crc32(r->pos, r->left) == crc;
}

bool ki_compound_begin(struct ki_reader *r, struct ki_compound *out)
{
    uint32_t count = (uint32_t)ki_take_be(r, 1);
    const uint8_t *sizes = ki_take(r, (size_t)count * 2);
    if (!sizes)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (ki_load_be(sizes + (size_t)i * 2, 2) == 0)
            return false;
    }
    *out = (struct ki_compound){
        .sizes = ki_reader(sizes, (size_t)count * 2), .parts = *r, .left = count};
    return true;
}

bool ki_compound_next(struct ki_compound *c, struct ki_span *part, bool *malformed)
{
    *malformed = false;
    if (c->left == 0)
        return false;
    size_t len = (size_t)ki_take_be(&c->sizes, 2);
    const uint8_t *at = ki_take(&c->parts, len);
    c->left = at ? c->left - 1 : 0;
    *malformed = !at;
    if (at)
        *part = ki_span(at, len);
    return at;
}
