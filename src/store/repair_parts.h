/* What the files of a repair share: repair.c (life and phases), repair_find.c (the difference), repair_send.c,
 * repair_receive.c. */
#ifndef KI_STORE_REPAIR_PARTS_H
#define KI_STORE_REPAIR_PARTS_H

#include "store/repair.h"

enum { KI_REPAIR_FOUND = 1, KI_REPAIR_LIST = 2 };                                /* verdicts */
enum { KI_ASK_PARITY = 1, KI_ASK_CONTEXT = 2, KI_ASK_SET = 4, KI_ASK_DONE = 8 }; /* bits of an ASK */
enum { KI_REPAIR_PIECE_HEAD = 3, KI_REPAIR_TAG_LEN = 4, KI_REPAIR_CLASSES_MAX = 64 };
enum { KI_REPAIR_CODED_FIELDS = 8 }; /* two varints below 2^28 */

static inline uint32_t ki_repair_bit(enum ki_repair_piece piece)
{
    return (uint32_t)1 << piece;
}

void ki_repair_fail(struct ki_repair *repair, enum ki_repair_reason reason);
/* By an error of the store's. */
void ki_repair_fail_by(struct ki_repair *repair, int error);
void ki_repair_tag(const struct ki_repair *repair, uint8_t tag[KI_REPAIR_TAG_LEN]);

/* ---- repair_find.c ---- */

/* The prefix that can tell this cell; NULL: it has to be built. */
const struct ki_sketch *ki_repair_prefix(const struct ki_repair *repair, uint32_t cells);
/* One of the phases SEEK (of the responder), BUILD, SCAN, NAME (likewise): returns false when there is nothing to do but
 * wait, or the budget is used up. */
bool ki_repair_seek(struct ki_repair *repair, size_t *budget);
bool ki_repair_build(struct ki_repair *repair, size_t *budget);
bool ki_repair_scan(struct ki_repair *repair, size_t *budget);
bool ki_repair_name(struct ki_repair *repair, size_t *budget);
void ki_repair_begin_build(struct ki_repair *repair, uint32_t cells);
/* Makes the decoder ready for cells that come now; false: they cannot be used. */
bool ki_repair_prepare(struct ki_repair *repair);
/* Asks for those of the coded cells asked for that have not come. */
void ki_repair_ask_again(struct ki_repair *repair);
/* All own dots are known: says so, and goes on. */
void ki_repair_named(struct ki_repair *repair);

#endif
