/* The bytes of a link: the kith channel's long-lived stream between two members (PROTOCOL.md "links").
 *
 *   opening  [F4 len label] [0A len:be32 version nonce ...] 08 {UserMsgLen} 4B hello         sealed as any stream frame
 *   hello    min:u8 max:u8 role:u8 session[16 or 32] credit:be64 len:u8 name len:be16 {subject:u8 len:be16 bytes} ...
 *   frame    len:be32  then with a key  version nonce[12] ciphertext tag[16],  without one the plain frame
 *   plain    01 channel:u8 more:u8 part | 02 credit:be64 | 03 reason:u8
 *
 * To a stock member the opening is a user message of a type that it does not know.  The dialler's hello (role 0) has 16
 * random bytes, the acceptor's answer (role 1) repeats them and adds 16 of its own: neither an old hello nor an old
 * answer leads to an old session.  A frame's associated data are label, session, direction (the sender's role) and the
 * number of the frame in that direction from 0, so that a frame opens in one place only. */
#ifndef KI_WIRE_LINK_H
#define KI_WIRE_LINK_H

#include "wire/msgpack.h"
#include "wire/seal.h"

#define KI_LINK_TYPE 75 /* 'K': Serf's message types end at 9 */
#define KI_LINK_VERSION 1
#define KI_LINK_HALF 16 /* of a session: what one side adds */
#define KI_LINK_SESSION (2 * KI_LINK_HALF)
#define KI_LINK_PAYLOAD_MAX 1024
#define KI_LINK_PART_FRONT 3 /* in the payload: subject, length */
#define KI_LINK_CHANNELS 16  /* of each subject */
#define KI_LINK_OPENING_MAX 1536 /* 16 of the user header, 1 + 3 + 32 + 8 + 1 + 255 + 2 + 1024 of the hello: 1342 */
#define KI_LINK_HEAD 4           /* the length before each frame, */
#define KI_LINK_FRAME_MAX 65536  /* which says at most this */
#define KI_LINK_PART_HEAD 3
#define KI_LINK_PART_MAX (KI_LINK_FRAME_MAX - KI_SEAL_OVERHEAD - KI_LINK_PART_HEAD)

/* What is talked about over a link.  Channels are numbered through: 16 for each subject, in this order. */
enum ki_link_subject {
    KI_LINK_STORE,
    KI_LINK_EVENTS,
    KI_LINK_VIEW,
    KI_LINK_SUBJECTS
};

struct ki_link_hello {
    uint8_t version_min, version_max;
    bool is_answer;
    uint8_t session[KI_LINK_SESSION]; /* in the dialler's the second half is not sent, and reads as zero */
    uint64_t credit;                  /* message bytes that the receiver of this may send before it is given more */
    struct ki_span name;              /* of the sending member; 1 to 255 bytes */
    struct ki_span payload;           /* at most KI_LINK_PAYLOAD_MAX: a part for each subject that the sender has */
};

/* Writes an opening from the 08 on. */
void ki_encode_link_opening(struct ki_pack *p, const struct ki_link_hello *hello);
/* Reads a hello behind its 4B.  Versions that we do not speak are the caller's to see: they begin alike, and what stands
 * behind the payload is a later version's.  false: malformed. */
bool ki_decode_link_hello(struct ki_reader *r, struct ki_link_hello *out);

/* The parts of a payload; ptr NULL: there is none for this subject.  Those of subjects that we do not know are skipped.
 * false: malformed, which two parts for one subject are, too. */
bool ki_decode_link_parts(struct ki_span payload, struct ki_span parts[KI_LINK_SUBJECTS]);

enum ki_link_kind { KI_LINK_DATA = 1, KI_LINK_CREDIT = 2, KI_LINK_CLOSE = 3 };

struct ki_link_frame {
    enum ki_link_kind kind;
    uint8_t channel;     /* DATA */
    bool more;           /* DATA: the message goes on in the next one */
    struct ki_span part; /* DATA: at least a byte */
    uint64_t credit;     /* CREDIT: granted since the beginning, the hello's included */
    uint8_t reason;      /* CLOSE: 0, it has been idle; others are for later */
};

/* A plain frame.  Of DATA the encoder writes the head alone: the part follows it in the same buffer already. */
void ki_encode_link_frame(struct ki_writer *w, const struct ki_link_frame *frame);
bool ki_decode_link_frame(struct ki_span plain, struct ki_link_frame *out); /* all of it, or false */

/* Where a frame stands. */
struct ki_link_place {
    struct ki_span label;
    const uint8_t *session; /* KI_LINK_SESSION bytes */
    uint8_t direction;      /* 0: the dialler sends it */
    uint64_t counter;
};

/* Writes the length and the sealed frame: KI_LINK_HEAD + ki_sealed_len(1, plain.len) bytes. */
void ki_seal_link_frame(const struct ki_keyring *ring, const struct ki_link_place *place,
                        const uint8_t nonce[KI_NONCE_LEN], struct ki_span plain, uint8_t *out);
/* Opens what stands behind the length; out holds sealed.len bytes.  false: not sealed for this place by a known key. */
bool ki_open_link_frame(const struct ki_keyring *ring, const struct ki_link_place *place, struct ki_span sealed,
                        uint8_t *out, size_t *len);

#endif
