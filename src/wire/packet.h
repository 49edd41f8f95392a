/* The layers of a datagram, outermost first (PROTOCOL.md "datagram"):
 *
 *   F4 len label | version nonce ciphertext tag | 0C crc32:be32 | 09 compress | 07 n len:be16* parts
 *   | type body
 *
 * Peeling is iterative over a small stack with a depth limit, allocates nothing and writes only into
 * the scratch buffer given.  Building is the reverse. */
#ifndef KI_PACKET_H
#define KI_PACKET_H

#include "base/bytes.h"

uint32_t ki_crc32(const void *data, size_t len); /* CRC-32/IEEE */

/* Label header.  On success *label is the label (empty when there is no header) and r stands after
 * it.  false: the header is malformed (zero or truncated length). */
bool ki_peel_label(struct ki_reader *r, struct ki_span *label);
void ki_put_label(struct ki_writer *w, struct ki_span label); /* nothing for an empty one */

/* CRC header, if there is one: verified and removed.  false: it does not match or is truncated. */
bool ki_peel_crc(struct ki_reader *r);

/* A compound in walking: parts as spans.  begin reads the sizes as a whole: false when they are
 * truncated or one of them is 0, and no part has been given then.  Parts that are truncated come up
 * only when their turn comes: next gives those before, as memberlist does, then false with *malformed
 * set.  At the end it returns false with *malformed clear. */
struct ki_compound {
    struct ki_reader sizes; /* be16 each */
    struct ki_reader parts;
    uint32_t left;
};
bool ki_compound_begin(struct ki_reader *r, struct ki_compound *out); /* after the 07 */
bool ki_compound_next(struct ki_compound *c, struct ki_span *part, bool *malformed);

/* Most parts put in one compound: memberlist 0.2.2 reads 128 and more wrongly. */
#define KI_COMPOUND_MAX 127

#endif
