/* The outer layers of a datagram: label, checksum, compound.
 *
 * Everything here reads through a ki_reader and hands out borrowed spans, so nothing is copied and
 * nothing is believed before it was found inside the datagram.
 *
 * The checksum takes sixteen bytes a step ("slicing", Kounavis and Berry 2005).  Row t of its table
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
static const uint32_t crc_table[16][256] = {
    {CRC_256(0x77073096, 0xee0e612c, 0x076dc419, 0x0edb8832, 0x1db71064, 0x3b6e20c8,
             0x76dc4190, 0xedb88320)},
    {CRC_256(0x191b3141, 0x32366282, 0x646cc504, 0xc8d98a08, 0x4ac21251, 0x958424a2,
             0xf0794f05, 0x3b83984b)},
    {CRC_256(0x01c26a37, 0x0384d46e, 0x0709a8dc, 0x0e1351b8, 0x1c26a370, 0x384d46e0,
             0x709a8dc0, 0xe1351b80)},
    {CRC_256(0xb8bc6765, 0xaa09c88b, 0x8f629757, 0xc5b428ef, 0x5019579f, 0xa032af3e,
             0x9b14583d, 0xed59b63b)},
    {CRC_256(0x3d6029b0, 0x7ac05360, 0xf580a6c0, 0x30704bc1, 0x60e09782, 0xc1c12f04,
             0x58f35849, 0xb1e6b092)},
    {CRC_256(0xcb5cd3a5, 0x4dc8a10b, 0x9b914216, 0xec53826d, 0x03d6029b, 0x07ac0536,
             0x0f580a6c, 0x1eb014d8)},
    {CRC_256(0xa6770bb4, 0x979f1129, 0xf44f2413, 0x33ef4e67, 0x67de9cce, 0xcfbd399c,
             0x440b7579, 0x8816eaf2)},
    {CRC_256(0xccaa009e, 0x4225077d, 0x844a0efa, 0xd3e51bb5, 0x7cbb312b, 0xf9766256,
             0x299dc2ed, 0x533b85da)},
    {CRC_256(0x177b1443, 0x2ef62886, 0x5dec510c, 0xbbd8a218, 0xacc04271, 0x82f182a3,
             0xde920307, 0x6655004f)},
    {CRC_256(0xefc26b3e, 0x04f5d03d, 0x09eba07a, 0x13d740f4, 0x27ae81e8, 0x4f5d03d0,
             0x9eba07a0, 0xe6050901)},
    {CRC_256(0xc18edfc0, 0x586cb9c1, 0xb0d97382, 0xbac3e145, 0xaef6c4cb, 0x869c8fd7,
             0xd64819ef, 0x77e1359f)},
    {CRC_256(0x9ba54c6f, 0xec3b9e9f, 0x03063b7f, 0x060c76fe, 0x0c18edfc, 0x1831dbf8,
             0x3063b7f0, 0x60c76fe0)},
    {CRC_256(0xdd96d985, 0x605cb54b, 0xc0b96a96, 0x5a03d36d, 0xb407a6da, 0xb37e4bf5,
             0xbd8d91ab, 0xa06a2517)},
    {CRC_256(0x9d0fe176, 0xe16ec4ad, 0x19ac8f1b, 0x33591e36, 0x66b23c6c, 0xcd6478d8,
             0x41b9f7f1, 0x8373efe2)},
    {CRC_256(0xb9fbdbe8, 0xa886b191, 0x8a7c6563, 0xcf89cc87, 0x44629f4f, 0x88c53e9e,
             0xcafb7b7d, 0x4e87f0bb)},
    {CRC_256(0xae689191, 0x87a02563, 0xd4314c87, 0x73139f4f, 0xe6273e9e, 0x173f7b7d,
             0x2e7ef6fa, 0x5cfdedf4)},
};

/* The remainder of four bytes, into which crc was added, with as many zero bytes after them as rows begins with. */
static uint32_t crc_word(const uint32_t rows[4][256], const uint8_t *at, uint32_t crc)
{
    crc ^= (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
    return rows[3][crc & 0xff] ^ rows[2][crc >> 8 & 0xff] ^ rows[1][crc >> 16 & 0xff] ^
           rows[0][crc >> 24];
}

uint32_t ki_crc32(const void *data, size_t len)
{
    const uint8_t *at = data;
    uint32_t crc = UINT32_MAX;
    for (; len >= 16; len -= 16, at += 16)
        crc = crc_word(crc_table + 12, at, crc) ^ crc_word(crc_table + 8, at + 4, 0) ^
              crc_word(crc_table + 4, at + 8, 0) ^ crc_word(crc_table, at + 12, 0);
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
