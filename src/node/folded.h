/* Folded queries: asked along a tree of members, answered by each application with a number, folded on the way back.
 *
 *   folded.c         the queries of this node: ours and those of others, and what our application says to them
 *   folded_tree.c    whom we ask for them, what has come, and when it is enough
 *   folded_talk.c    what is heard of them, from whom, and how much of it
 *   folded_result.c  what the application is told in the end
 *
 * Each query puts the members on a circle: a member's position is a hash of the query and its name.  A question is for one
 * member and for those at the next `span` positions behind it; whoever asks has parted what is its own to ask for in up to
 * eight such parts.  The asker begins with all of the circle.  So nobody is asked by two ways, unless who asked is given up:
 * then the rest of its part is asked for anew, and only one of the two answers is taken. */
#ifndef KI_NODE_FOLDED_H
#define KI_NODE_FOLDED_H

#include "aggregate/partial.h"
#include "node/messages.h"

#define KI_FOLD_PARTS 8         /* that a question is parted in */
#define KI_FOLD_BRANCHES_MAX 24 /* and with those that it takes to go on where somebody does not answer */

/* A member that stands behind us. */
struct ki_fold_target {
    uint64_t behind; /* by so many positions */
    uint32_t id;     /* KI_NO_MEMBER: forgotten meanwhile */
};

/* Some of them, next to each other: the first is asked for all. */
struct ki_fold_branch {
    uint32_t first, count; /* of the targets */
    uint64_t span;
    uint64_t again_us;     /* when it is asked again */
    uint32_t unheard;      /* questions since something was heard of it */
    uint32_t calm;         /* times that it was heard of since it had to be asked again */
    bool is_over;
};

/* What somebody wants to hear from us: a member, or our own application. */
struct ki_fold_duty {
    struct ki_fold_duty *next;
    uint32_t parent;       /* who; our own id: we do */
    uint64_t span;
    uint64_t deadline_us;  /* when it is answered with what there is */
    uint64_t patience_us;  /* until when we wait for others */
    uint64_t interval_us;  /* between two questions to one of them that does not answer */
    struct ki_fold_target *targets;
    uint32_t target_count;
    struct ki_fold_branch branches[KI_FOLD_BRANCHES_MAX];
    uint32_t branch_count, open;
    bool is_over;          /* it has been answered; what with, stays: the answer may be lost */
    struct ki_partial partial;
};

enum ki_fold_own { /* what our application says */
    KI_FOLD_WAITING,
    KI_FOLD_NUMBER,
    KI_FOLD_UNUSABLE,
    KI_FOLD_SILENT,
    KI_FOLD_UNCONCERNED /* it is not asked */
};

struct ki_folded {
    struct ki_folded *next;
    bool is_ours;
    kith_ticket ticket;   /* of ours */
    uint64_t handle;
    uint64_t position;    /* where we stand */
    enum ki_fold_own own;
    double value;
    uint64_t deadline_us; /* until when our application may answer, */
    uint64_t forget_us;   /* and until when the rest may be asked for */
    struct ki_fold_duty *duties;
    uint32_t duty_count;
    struct ki_fold_ask ask; /* its strings lie in bytes[] */
    uint8_t bytes[];
};

/* ---- folded.c ---- */

int ki_folded_ask(struct kith *k, const struct kith_query *query, kith_ticket *ticket);
bool ki_folded_cancel(struct kith *k, kith_ticket ticket); /* false: it is none of these */
/* Our application answers.  KITH_ERR_NOT_FOUND: it was not one of these, or it is too late. */
int ki_folded_respond(struct kith *k, uint64_t handle, struct kith_str payload);
struct ki_folded *ki_folded_find(const struct ki_messages *m, uint64_t id);
/* One that is new here.  NULL: there is no room or memory, counted; or it is an old one. */
struct ki_folded *ki_folded_enter(struct kith *k, struct ki_messages *m, const struct ki_fold_ask *ask);
void ki_folded_drop(struct kith *k, struct ki_messages *m, struct ki_folded *f); /* taken out and freed */
int ki_folded_note(struct kith *k, struct ki_messages *m, const struct ki_folded *f); /* from now on it is known again */
void ki_folded_own_begin(struct kith *k, struct ki_folded *f); /* asks our application, if we are meant */
void ki_folded_tick(struct kith *k, struct ki_messages *m);
uint64_t ki_folded_deadline(const struct ki_messages *m);
void ki_folded_forget(struct ki_messages *m, uint32_t id);
void ki_folded_free(struct kith *k, struct ki_messages *m); /* all of them */

/* ---- folded_tree.c ---- */

/* Begins, or begins anew, what `parent` wants, and waits for it at most so long.  NULL: memory is out, nothing changed. */
struct ki_fold_duty *ki_folded_duty(struct kith *k, struct ki_folded *f, uint32_t parent, uint64_t span,
                                    uint64_t wait_us);
struct ki_fold_duty *ki_folded_duty_of(const struct ki_folded *f, uint32_t parent); /* NULL: none */
void ki_folded_duty_forget(struct ki_fold_duty *duty, uint32_t id); /* a member is about to be forgotten */
uint64_t ki_folded_due_us(const struct ki_fold_duty *duty);         /* when there is something to do for it */
void ki_folded_duty_free(struct kith *k, struct ki_folded *f, struct ki_fold_duty *duty);
/* Asks who is to be asked now, and answers when all is there or the time is over. */
void ki_folded_step(struct kith *k, struct ki_folded *f, struct ki_fold_duty *duty);
void ki_folded_step_all(struct kith *k, struct ki_folded *f);
void ki_folded_close(struct kith *k, struct ki_folded *f, struct ki_fold_duty *duty); /* with what there is */
/* A member says that it is about it; that it has this answer. */
void ki_folded_heard(struct kith *k, struct ki_folded *f, uint32_t id, uint64_t span);
void ki_folded_taken(struct kith *k, struct ki_folded *f, uint32_t id, uint64_t span, const struct ki_partial *partial);
/* Those whom the query is for and who are not asked are silent: of Serf's kind (but for a gauge, to which they never
 * contribute), or dead but named.  false: memory is out. */
bool ki_folded_unable(struct kith *k, const struct ki_folded *f, struct ki_partial *partial);

/* ---- folded_talk.c ---- */

int ki_folded_message(struct kith *k, uint32_t id, struct ki_span message); /* of the kith channel */
void ki_folded_say(struct kith *k, uint32_t id, const struct ki_folded *f, uint64_t span, uint32_t left_ms); /* asks it */
void ki_folded_reply(struct kith *k, const struct ki_folded *f, const struct ki_fold_duty *duty);

/* ---- folded_result.c ---- */

void ki_folded_told(struct kith *k, struct ki_folded *f, const struct ki_partial *partial);

#endif
