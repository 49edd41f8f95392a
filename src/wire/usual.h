/* The usual form of what is said of a member: the body of an alive message and of a node state, as memberlist and kith
 * write it.  Of all that is read and written it is nearly all, so it has its own reader and writer; whatever has another
 * form (other order, other kinds of numbers, unknown keys, nil) is left to the tables (memberlist.c). */
#ifndef KI_USUAL_H
#define KI_USUAL_H

#include "wire/memberlist.h"

#define KI_USUAL_MAX 110 /* bytes of a body beside address, name and meta: keys, numbers, heads */

/* Reads one when it is whole, has the usual form, and is valid by memberlist.h; then the tables would have read the
 * same, and r is behind it.  false: r is where it was, and the tables must say what is wrong, if anything is.
 * state: a node state; otherwise the body of an alive message, and out->state is 0. */
bool ki_usual_read(struct ki_reader *r, bool state, struct ki_node_state *out);

/* Writes what the tables would write.  false: there may not be room for it, nothing written. */
bool ki_usual_write(struct ki_pack *p, bool state, const struct ki_node_state *msg);

#endif
