/* What must be true of stores, known from outside: what was written through the workload (store_work.c), and what each
 * node has shown of it.
 *
 * Every write of the workload makes something that no other write makes: an element, a value with a number, its token.  So
 * whatever a node shows names the write it came from.
 *
 *   truth.c         tokens, and what each node must know      truth_look.c    a node's store looked at
 *   check_store.c   when it is looked at, and what is wrong   check_holder.c  evidence      check_withhold.c
 *   check_changes.c  the feed of changes
 *
 * What a node knows of a token is HELD (it has shown it) or GONE (it has shown it and then did not, or has removed it
 * itself).  Both are for ever but for a crash, which takes back to what the disk had: for that the number of the group is
 * kept that holds the knowledge.  What nobody has removed and a node holds must be shown; what is gone must not. */
#ifndef KI_SIM_TRUTH_H
#define KI_SIM_TRUTH_H

#include "sim/check.h"

#define SIM_NO_TOKEN UINT32_MAX

/* How a place is written, and what can be asked of it. */
enum sim_place_kind {
    SIM_PLACE_ELEMENT,  /* of a set, sorted set or hash: each write adds one with a name of its own */
    SIM_PLACE_SIBLING,  /* each write puts one, in place of those that its writer read */
    SIM_PLACE_REGISTER, /* each write sets another value; one shows */
    SIM_PLACE_MEMBER,   /* one member, added and removed again and again; an add that a removal has not seen wins */
    SIM_PLACE_COUNTER   /* each write adds an amount */
};

struct sim_place {
    const char *key, *field; /* field: NULL, or the one that is spoken of */
    enum sim_place_kind kind;
    enum kith_type type;
    bool kept;  /* nobody ever deletes it */
    bool real;  /* a counter of doubles */
    bool rises; /* a counter of positive amounts */
};

#define SIM_PLACES 18
extern const struct sim_place ki_sim_places[SIM_PLACES];

struct sim_token {
    uint32_t place, by, life;
    uint64_t at_us;
    uint64_t replica; /* its writer's id then */
    uint64_t group;   /* of the writer's rows; 0: the write has not ended yet */
    int64_t amount;   /* COUNTER; the score of an element of a sorted set */
    bool removed;     /* somebody may have removed it */
    bool acked;       /* it was durable at its writer */
    bool void_;       /* the write was refused */
};

enum sim_knows { SIM_KNOWS_NOTHING, SIM_KNOWS_HELD, SIM_KNOWS_GONE };

struct sim_knowledge { /* of one node and token */
    uint8_t now, backup; /* enum sim_knows */
    uint64_t since;      /* the group of rows that holds it; 0: one of a former life */
};

struct sim_low { /* what a counter has shown at least, of those that rise */
    int64_t now, durable, backup;
    uint64_t since;
};

struct sim_truth_node {
    struct sim_knowledge *knows; /* by token */
    size_t cap;
    struct sim_low low[SIM_PLACES];
    uint64_t replica;            /* the present id, or the last one */
    uint64_t looked_us;
};

struct sim_replica_id { /* one life of a node's data */
    uint64_t id;
    uint32_t node;
    bool ended;
    bool *held; /* when it has ended: by token, of the first held_count */
    uint32_t held_count;
};

struct sim_wait { /* a node waits until others hold what it has written */
    kith_ticket ticket;
    uint32_t node, life;
    uint64_t replica; /* its id: what it wrote under another one, before it took in a backup, is not waited for */
    uint32_t tokens; /* that there were when it began */
};

struct sim_truth {
    bool on;           /* the workload has begun */
    bool skewed;       /* a clock was wrong at some time */
    struct sim_token *tokens;
    size_t count, cap;
    struct sim_truth_node *nodes; /* by number */
    size_t node_count;
    struct sim_replica_id *ids;
    size_t id_count, id_cap;
    struct sim_wait *waits;
    size_t wait_count, wait_cap;
    bool *shown;       /* by token, while a node is looked at */
    size_t shown_cap;
};

/* The world's, kept by the checker "store"; NULL: no checkers. */
struct sim_truth *ki_sim_truth(kith_sim *s);
struct sim_truth_node *ki_sim_truth_node(struct sim_truth *t, uint32_t node);
struct sim_knowledge *ki_sim_truth_knows(struct sim_truth *t, uint32_t node, uint32_t token);

/* ---- for who writes: between two looks at the node ---- */

uint32_t ki_sim_truth_issue(kith_sim *s, struct sim_truth *t, uint32_t node, uint32_t place, int64_t amount);
void ki_sim_truth_refused(struct sim_truth *t, uint32_t token);
/* The node removes it, having seen it. */
void ki_sim_truth_removes(struct sim_truth *t, uint32_t node, uint32_t token);
/* Somebody removes a member: all that has been added until now may go. */
void ki_sim_truth_removes_member(struct sim_truth *t, uint32_t place);
/* A group of writes has ended; the node is looked at. */
void ki_sim_truth_written(kith_sim *s, struct sim_truth *t, uint32_t node);
/* The node waits for others; the event ends it. */
void ki_sim_truth_waits(kith_sim *s, struct sim_truth *t, uint32_t node, kith_ticket ticket);
bool ki_sim_truth_shows(const struct sim_truth *t, uint32_t token); /* at the last look, whichever node's */

/* ---- looking ---- */

/* Fills t->shown, and says what is shown that was never written.  truth_look.c */
void ki_sim_truth_read(kith_sim *s, struct sim_truth *t, uint32_t node);
/* Looks at a node, compares with what it must know, and learns.  check_store.c */
void ki_sim_truth_look(kith_sim *s, struct sim_truth *t, uint32_t node);
/* When all has come that can: counters are what was added to them. */
void ki_sim_truth_settle(kith_sim *s, struct sim_truth *t);
/* Whether it was durable where it was written. */
bool ki_sim_truth_acked(kith_sim *s, struct sim_truth *t, uint32_t token);

void ki_sim_truth_withheld(kith_sim *s, struct sim_truth *t, uint32_t node); /* of the last look; check_withhold.c */
void ki_sim_truth_ids_begin(kith_sim *s, struct sim_truth *t, uint32_t node); /* a life does; check_holder.c */
void ki_sim_truth_ids_end(kith_sim *s, struct sim_truth *t, uint32_t node);
bool ki_sim_truth_counter(kith *k, struct kith_time now, const struct sim_place *p, int64_t *value);
struct kith_str ki_sim_str(const char *s); /* NULL: none */

#endif
