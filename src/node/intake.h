/* What a peer tells of members, by whatever way, taken in: all by the same rules.
 *
 * Whoever takes a state in reads all of it first, and notes the versions: nothing of a state is applied whose versions do
 * not go together with ours.  When it accuses us, we raise our incarnation before we answer, so that the answer refutes. */
#ifndef KI_NODE_INTAKE_H
#define KI_NODE_INTAKE_H

#include "node/node.h"

/* Who tells. */
struct ki_teller {
    const struct kith_addr *addr; /* where it can be told better; NULL: nowhere */
    uint32_t id;                  /* the member, or KI_NO_MEMBER */
};

/* intake.c */
struct ki_versions ki_versions_none(void);
void ki_versions_note(struct ki_versions *v, const struct ki_node_state *node);
void ki_versions_note_ours(struct ki_versions *v, struct kith *k); /* of all that we know */
/* Certainly: not if a member has changed or gone since the last message that told of members. */
bool ki_all_speak_kith(struct kith *k);
bool ki_versions_fine(const struct ki_versions *v);
struct ki_node_state ki_node_state_of(const struct ki_member *m); /* borrowed */
bool ki_intake_accuses_us(const struct kith *k, const struct ki_node_state *node);
/* near: as of ki_table_find_near() */
void ki_intake_member(struct kith *k, const struct ki_teller *teller, const struct ki_node_state *node, uint32_t *near);

/* state.c: Serf's part.  What is told of a member's newest intent, */
void ki_state_told(const struct kith *k, uint32_t id, uint64_t *ltime, bool *has_left);
/* and taken in.  id: of the member of that name, or KI_NO_MEMBER; *unknown counts those of one teller. */
void ki_state_take(struct kith *k, uint32_t id, struct ki_span name, uint64_t ltime, bool has_left, uint32_t *unknown);
void ki_state_clocks(struct kith *k, uint64_t ltime, uint64_t event_ltime, uint64_t query_ltime);

#endif
