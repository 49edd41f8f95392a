/* What members have said to all and asked, known from outside: what went through the workload (event_work.c), and what
 * each node was told of it.
 *
 * The payload of every event and query of the workload is a token of its own, so whatever a node is told names what it
 * came from.
 *
 *   talk.c        what was said and asked       check_once.c         each event at most once, and as it was said
 *   event_work.c  who says and asks it          check_order.c        in the order of its numbers
 *                                               check_gaps.c         what is missing is told, and nothing else
 *                                               check_certificate.c  confirmed events   check_asks.c  queries
 *
 * A voice is one life of a member of kith's kind that numbers its events from 1.  An event is old for whoever joins after
 * it: a join asks to be spared what was said before.  Which Lamport times those are only a node itself knows exactly; seen
 * from outside they are at most the highest one of all until the join must have ended. */
#ifndef KI_SIM_TALK_H
#define KI_SIM_TALK_H

#include "sim/check.h"

#define SIM_NO_TALK UINT32_MAX
#define SIM_TALK_TEXT 16 /* bytes of a token's name */

struct sim_said { /* one event */
    uint32_t by, life;
    uint32_t voice, seq; /* SIM_NO_TALK, 0: a stock member's, without number */
    uint64_t ltime;      /* as it was first told; 0: it was told to nobody yet */
    uint32_t len;        /* bytes of its payload */
    bool coalesce, kith_only;
    bool void_;          /* it was refused */
    bool confirms;       /* its ticket is open, or ended */
    kith_ticket ticket;
    uint32_t expects;    /* members that must confirm it, if all of them stay alive; 0: not known */
    uint32_t unconfirmed;/* told so far of this ticket: those that could have, */
    uint32_t lacking;    /* and of those, how many were told it before all the same */
    bool ended;
};

struct sim_voice {
    uint32_t node, life, last; /* numbers so far */
    uint32_t *said;            /* by number - 1 */
    size_t cap;
};

struct sim_ask { /* one query */
    uint32_t by, life;
    kith_ticket ticket;
    uint64_t until_us; /* virtual time */
    bool acks, void_, ended;
};

struct sim_talk {
    bool on;
    struct sim_said *said;
    size_t said_count, said_cap;
    struct sim_voice *voices;
    size_t voice_count, voice_cap;
    struct sim_ask *asks;
    size_t ask_count, ask_cap;
    struct sim_grid told;   /* node and event: the last life that was told it */
    struct sim_grid asked;  /* node and query: the last life that was told it */
    struct sim_grid gave;   /* node and query: flags */
    struct sim_column old;  /* by node: the highest Lamport time that may be old for it, */
    struct sim_column joins;/* and until when, awake, a join may make more so */
    uint64_t ltime;         /* the highest of all events */
    bool stock;             /* a member of Serf's kind has been there */
};

enum { SIM_GAVE_ANSWER = 1, SIM_TOLD_ANSWER = 2, SIM_TOLD_ACK = 4 };

/* The world's, kept by the checker "once"; NULL: no checkers. */
struct sim_talk *ki_sim_talk(kith_sim *s);
bool ki_sim_talk_is_stock(const kith_sim *s, uint32_t node);
uint32_t ki_sim_talk_able(kith_sim *s, uint32_t node); /* living members that can confirm an event, in its view */

/* ---- for who says and asks ---- */

uint32_t ki_sim_talk_say(kith_sim *s, struct sim_talk *t, uint32_t node, bool numbered);
void ki_sim_talk_refused(struct sim_talk *t, uint32_t said);
uint32_t ki_sim_talk_ask(kith_sim *s, struct sim_talk *t, uint32_t node);
/* Its text: "e17" and so on, padded to len bytes if that is more. */
struct kith_str ki_sim_talk_text(char kind, uint32_t token, char *buf, uint32_t len);
/* The token that such a text names, if it is whole; SIM_NO_TALK. */
uint32_t ki_sim_talk_token(char kind, struct kith_str text);

/* ---- for the checkers ---- */

void ki_sim_talk_born(kith_sim *s, struct sim_talk *t, uint32_t node);
uint64_t ki_sim_talk_join_us(const kith_sim *s, uint32_t node); /* so long a join of it may last */
void ki_sim_talk_joins(kith_sim *s, struct sim_talk *t, uint32_t node);
/* A node has been told of an event: its Lamport time. */
void ki_sim_talk_heard(kith_sim *s, struct sim_talk *t, uint32_t node, struct sim_said *said, uint64_t ltime);
void ki_sim_talk_free(struct sim_talk *t);
uint32_t ki_sim_talk_node(const kith_sim *s, struct kith_str name); /* the node of this name; KITH_SIM_ALL */
uint32_t ki_sim_talk_ticket(const kith_sim *s, const struct sim_talk *t, uint32_t node, kith_ticket ticket, bool ask);
bool ki_sim_talk_was_told(struct sim_talk *t, uint32_t node, uint32_t said, uint32_t life);
/* Nobody need tell the node of this number: it is old for it, or was told without its number. */
bool ki_sim_talk_spared(kith_sim *s, struct sim_talk *t, uint32_t node, const struct sim_voice *voice, uint32_t seq);

/* ---- when all has come that can: what is still missing is wrong ---- */

bool ki_sim_gaps_settled(kith_sim *s, uint32_t node, uint32_t voice); /* all its numbers are */
void ki_sim_certificates_settle(kith_sim *s);
void ki_sim_asks_settle(kith_sim *s);

#endif
