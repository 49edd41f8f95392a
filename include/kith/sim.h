/* kith: a cluster in one process.  Thousands of nodes, one thread, one seed.
 *
 * What it is: a driver for libkith like any other (see kith.h), but of a network that does not exist.  Time jumps from
 * one happening to the next, so a quiet hour costs nothing, and everything random follows from the seed: the same seed
 * gives the same run, to the last bit, on every machine and from every compiler.  Use it to test a program that embeds
 * kith on clusters that no test bed has, under faults that no test bed can make.
 *
 *     struct kith_sim_config config;
 *     kith_sim_config_init(&config, 7);                         the seed
 *     kith_sim_new(&sim, &config);
 *     for (uint32_t n = 0; n < 5; n++) {
 *         struct kith_config node;
 *         kith_sim_node_config(sim, n, KITH_PROFILE_LAN, &node);   "node-N" at 10.0.0.N+1
 *         kith_sim_add(sim, &node, NULL);
 *         kith_sim_join(sim, n, 0);
 *     }
 *     struct kith_sim_happening h;
 *     while (kith_sim_step(sim, 30 * KITH_SIM_SECOND, &h))
 *         if (h.kind == KITH_SIM_EVENT)
 *             your_program(&nodes[h.node], kith_sim_node(sim, h.node), &h.event);
 *     kith_sim_crash(sim, 3, KITH_SIM_HOST);
 *     ...
 *
 * examples/sim_test.c is a whole test of a small program.
 *
 * Rules that hold everywhere
 *   Time        virtual microseconds since the run began.  Each node has its own clocks, which may be wrong:
 *               kith_sim_time() gives them for calls on its instance.
 *   Nodes       are numbers from 0 in the order of kith_sim_add(); they stay when a node crashes.
 *   Instances   belong to the simulation.  Call any function of kith.h on them between steps; what they put out is
 *               carried on by the next step.  They are gone with a crash.
 *   Memory out  is borrowed until the next call that takes a non-const kith_sim pointer.
 *   Errors      0 or a negative kith_error, as in kith.h.  Running out of memory ends the process: a simulation that
 *               has lost something is worth nothing.
 *   Misuse      calls abort(), in release builds too: a number that is no node's, a side beyond 63, more bytes than a
 *               datagram holds, a restart of a node that is not down, or with KEEP or BACKUP without config.persist;
 *               the disk or the backup of a node without a store, a disk whose least delay is above its greatest;
 *               kith_sim_new() with another config.size, kith_sim_node_config() for a number above 16,777,214,
 *               kith_sim_clock() beyond its ranges, kith_sim_inject() from an address of neither 4 nor 16 bytes.
 *   Violations  end the run: after the first one that a checker finds (config.check) time stands still.
 *               kith_sim_step() returns false and kith_sim_run() returns at once, before their until_us, and so does every
 *               later call; kith_sim_violation() tells what it was.
 */
#ifndef KITH_SIM_H
#define KITH_SIM_H

#include <kith/store.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KITH_SIM_MS     ((uint64_t)1000)
#define KITH_SIM_SECOND ((uint64_t)1000000)
#define KITH_SIM_ALL    UINT32_MAX /* every node, where it is allowed */

typedef struct kith_sim kith_sim;

/* --------------------------------------------------------------------------------------------------- life ---- */

/** How datagrams and streams fare on the way from one node to another; each direction has its own.  Streams lose
 *  nothing: a packet that would be lost is sent again after 200 ms, which may be lost too, then after 400 ms, 800 ms and so
 *  on, at most ten times.  What a cut holds up is tried again each second, and so is what meets a loss of 1,000,000. */
struct kith_sim_link {
    uint32_t latency_min_us; /* uniform from min to max, */
    uint32_t latency_max_us;
    uint32_t tail_us;        /* and an exponential of this mean on top; 0: none */
    uint32_t loss_ppm;       /* of a million datagrams, so many are lost, */
    uint32_t duplicate_ppm;  /* come twice, */
    uint32_t reorder_ppm;    /* come late by up to reorder_us more (others overtake them), */
    uint32_t reorder_us;
    uint32_t corrupt_ppm;    /* or have one byte changed */
    uint32_t mtu;            /* larger datagrams vanish; 0: none do */
    uint64_t bandwidth;      /* bytes a second; 0: without limit */
    uint32_t backlog;        /* bytes that may wait for the bandwidth; datagrams beyond are lost */
};

struct kith_sim_config {
    size_t size; /* sizeof(struct kith_sim_config), set by kith_sim_config_init() */
    uint64_t seed;
    uint64_t wall_us;          /* what the wall clocks say at virtual time 0 */
    struct kith_sim_link link; /* of every pair without one of its own */
    uint32_t receive_buffer;   /* bytes of datagrams that wait at a node that is paused; those beyond are lost */
    bool persist;              /* keep each node's records and rows as a disk would, for KITH_SIM_KEEP and _BACKUP */
    bool check;                /* run the checkers; kith_sim_violation() tells what they found */
    uint32_t trace_lines;      /* lines of text kept for kith_sim_trace(); 0: none are made */
};

/** Fills a configuration: 0.5 to 1.5 ms, no faults, a receive buffer as Linux has it, persist and check on, no trace. */
KITH_API void kith_sim_config_init(struct kith_sim_config *config, uint64_t seed);

/** Makes a world without nodes, at time 0.  Release it with kith_sim_free().
 *  Returns: 0; KITH_ERR_ARG: min above max, a probability above 1,000,000, or wall_us beyond 73,000 years. */
KITH_API int kith_sim_new(kith_sim **out, const struct kith_sim_config *config);

/** Releases the world and its nodes.  NULL is fine. */
KITH_API void kith_sim_free(kith_sim *s);

/* -------------------------------------------------------------------------------------------------- nodes ---- */

/** Fills a configuration for node number `node`, below 2^24 - 1: named "node-N", at 10.x.y.z:7946.  The name is borrowed
 *  from the simulation for as long as that lives.  Change what you like, but the seed, which kith_sim_add() sets. */
KITH_API void kith_sim_node_config(kith_sim *s, uint32_t node, enum kith_profile profile, struct kith_config *out);

/** Adds a node and starts it: it is alone until it joins.
 *  In:      config  copied whole; every life of the node uses it.  Its address must be no other node's.
 *  Out:     node    its number; may be NULL.
 *  Returns: 0; KITH_ERR_ARG (as kith_new(), or the address is taken); KITH_ERR_NOMEM: its own memory_max is too little to
 *           start with, or its own config.memory refused. */
KITH_API int kith_sim_add(kith_sim *s, const struct kith_config *config, uint32_t *node);

/** The same, of a node with a store: each life opens it with this configuration, feeds it the rows that are on the node's
 *  disk, and writes its groups there (kith_sim_disk()).  keep_id is what an honest driver makes of it: a life goes on under
 *  the id on the disk only if the last one showed nothing under it that the disk has not.  The program may call
 *  kith_poll_change(); rows are the simulation's.  To write and read use kith_sim_node() and kith_sim_time().
 *  In:      store  copied.  NULL: none, as kith_sim_add().
 *  Returns: also what kith_store_open() does. */
KITH_API int kith_sim_add_with_store(kith_sim *s, const struct kith_config *config,
                                     const struct kith_store_config *store, uint32_t *node);

/** Makes a node join by another's address: kith_join(), without a ticket.  Use this one rather than kith_join(): the
 *  checker that watches where datagrams go must know whom a node was told of.
 *  Returns: 0; KITH_ERR_STATE: it is down or paused; as kith_join(). */
KITH_API int kith_sim_join(kith_sim *s, uint32_t node, uint32_t to);

/** Gives every running node the view that all running nodes are members, without a word on the network.
 *  Returns: 0; as kith_import_members(): KITH_ERR_FULL for more nodes than a node's members_max. */
KITH_API int kith_sim_warm(kith_sim *s);

enum kith_sim_life { KITH_SIM_RUNNING, KITH_SIM_PAUSED, KITH_SIM_DOWN };

KITH_API uint32_t kith_sim_count(const kith_sim *s);
KITH_API enum kith_sim_life kith_sim_life(const kith_sim *s, uint32_t node);
/** The node's instance; NULL when it is down. */
KITH_API kith *kith_sim_node(kith_sim *s, uint32_t node);
/** What the node's own clocks say now. */
KITH_API struct kith_time kith_sim_time(const kith_sim *s, uint32_t node);
/** The node at an address, or KITH_SIM_ALL: none. */
KITH_API uint32_t kith_sim_find(const kith_sim *s, const struct kith_addr *addr);

/* --------------------------------------------------------------------------------------------------- time ---- */

KITH_API uint64_t kith_sim_now_us(const kith_sim *s);

enum kith_sim_kind {
    KITH_SIM_EVENT = 1,   /* an instance has an event for its user */
    KITH_SIM_WAKE = 2,    /* kith_sim_wake()'s time has come */
    KITH_SIM_MESSAGE = 3  /* kith_sim_message() has arrived */
};

struct kith_sim_happening {
    enum kith_sim_kind kind;
    uint32_t node;
    struct kith_event event; /* EVENT: borrowed until the next step */
    uint64_t cookie;         /* WAKE */
    uint32_t from;           /* MESSAGE: sender and bytes, borrowed until the next step */
    const void *buf;
    size_t len;
};

/** Runs until something happens that concerns the program under test, or until a time.  An event that is returned stops
 *  everything else: what the program asks of that instance now comes before all that happens next.
 *  Returns: true and what happened; false when until_us has come, or a checker has found a violation, now or before. */
KITH_API bool kith_sim_step(kith_sim *s, uint64_t until_us, struct kith_sim_happening *out);

/** Runs until a time and drops what happens.  A time that is past is now: what was asked for is carried out.  Stops sooner
 *  when a checker finds a violation, and does nothing after one. */
KITH_API void kith_sim_run(kith_sim *s, uint64_t until_us);

/** Wakes the program of a node at a time (now, if that is past), with a cookie.  Dropped when the node crashes; late when
 *  it is paused. */
KITH_API void kith_sim_wake(kith_sim *s, uint32_t node, uint64_t at_us, uint64_t cookie);

/** Sends a datagram of the program's own, by the same links.  len at most 65,507.  Nothing is sent by a node that is down,
 *  and one that is down hears and refuses nothing. */
KITH_API void kith_sim_message(kith_sim *s, uint32_t from, uint32_t to, const void *buf, size_t len);

/* ------------------------------------------------------------------------------------------------- faults ---- */

/* PROCESS: the process is gone and its host refuses what comes (ICMP, TCP reset).  HOST: silence. */
enum kith_sim_death { KITH_SIM_PROCESS, KITH_SIM_HOST };
/* KEEP: with the records its last life wrote, and joining the members in them; and with the rows that were durable.
 * EMPTY: without, as after the loss of the disk.  BACKUP: as KEEP, but with the rows of kith_sim_backup(), if there was
 * one; else with none. */
enum kith_sim_state { KITH_SIM_KEEP, KITH_SIM_EMPTY, KITH_SIM_BACKUP };

/** Ends a node without a word (kill -9).  Does nothing to one that is down. */
KITH_API void kith_sim_crash(kith_sim *s, uint32_t node, enum kith_sim_death how);
/** Starts a node that is down (no other), with a new seed.  KEEP and BACKUP need config.persist; EMPTY clears the disk.
 *  Returns: 0; KITH_ERR_NOMEM as kith_sim_add(): it stays down, and its disk stays. */
KITH_API int kith_sim_restart(kith_sim *s, uint32_t node, enum kith_sim_state state);
/** How the disk under a node's store takes the groups of rows.  A group that is on its way when the node ends may or may
 *  not have come to the disk; those before it have, those after it have not. */
struct kith_sim_disk {
    uint32_t delay_min_us; /* until a group is durable: uniform from min to max; at first 0.5 to 5 ms */
    uint32_t delay_max_us;
    bool full;             /* then nothing of it is written, and it is offered again */
};
/** Changes it, for groups that are not on their way yet.  It stays so through all lives. */
KITH_API void kith_sim_disk(kith_sim *s, uint32_t node, const struct kith_sim_disk *disk);
/** Keeps a copy of the rows that are durable now, in place of an older one, for a restart with KITH_SIM_BACKUP. */
KITH_API void kith_sim_backup(kith_sim *s, uint32_t node);
/** Stops a node's time for it (SIGSTOP): it hears and does nothing; then everything at once. */
KITH_API void kith_sim_pause(kith_sim *s, uint32_t node, bool paused);
/** Holds up a node's traffic both ways until a time, while its clocks and timers run: a process too busy to read and
 *  write, as in the experiment of the Lifeguard paper.  KITH_NEVER, and what is as far away (beyond half of it), cuts the
 *  node off until the next call, or its next life.  A time that is past ends it. */
KITH_API void kith_sim_slow(kith_sim *s, uint32_t node, uint64_t until_us);
/** Makes a node's clocks run faster or slower by so many millionths (-100,000 .. 100,000), and its wall clock jump.  The
 *  wall clock must stay between 1970 and 73,000 years later. */
KITH_API void kith_sim_clock(kith_sim *s, uint32_t node, int32_t drift_ppm, int64_t wall_jump_us);

/** Gives a pair its own link, one way.  link NULL: the default one again.
 *  Returns: 0; KITH_ERR_ARG as kith_sim_new(). */
KITH_API int kith_sim_link(kith_sim *s, uint32_t from, uint32_t to, const struct kith_sim_link *link);
/** Changes the link of all pairs without one of their own.
 *  Returns: 0; KITH_ERR_ARG as kith_sim_new(). */
KITH_API int kith_sim_default_link(kith_sim *s, const struct kith_sim_link *link);
/** Cuts or mends one direction of a pair. */
KITH_API void kith_sim_cut(kith_sim *s, uint32_t from, uint32_t to, bool cut);
/** Puts a node on a side, 0..63; all begin on side 0.  Sides are racks, or the parts of a partition. */
KITH_API void kith_sim_side(kith_sim *s, uint32_t node, unsigned side);
/** Cuts or mends one direction between two sides. */
KITH_API void kith_sim_cut_sides(kith_sim *s, unsigned from, unsigned to, bool cut);
/** Holds what is sent from one node to another until a time; then it all arrives, in order.  KITH_NEVER, and what is as
 *  far away (beyond half of it), cuts as kith_sim_cut() does, until the next call. */
KITH_API void kith_sim_clog(kith_sim *s, uint32_t from, uint32_t to, uint64_t until_us);
/** True when datagrams of one cannot reach the other. */
KITH_API bool kith_sim_is_cut(const kith_sim *s, uint32_t from, uint32_t to);
/** Ends all faults of the network: cuts, clogs, links of their own; sides are 0 again.  Loss and other faults of the
 *  default link stay. */
KITH_API void kith_sim_mend(kith_sim *s);
/** Delivers a datagram from any address, as an attacker would send it.  At once, past all links. */
KITH_API void kith_sim_inject(kith_sim *s, const struct kith_addr *from, uint32_t to, const void *buf, size_t len);

/* ----------------------------------------------------------------------------------------------- evidence ---- */

struct kith_sim_totals {
    uint64_t events;         /* happenings of all kinds that were handled */
    uint64_t datagrams;      /* sent */
    uint64_t datagram_bytes;
    uint64_t lost;           /* by chance, by a full line or buffer, or too large */
    uint64_t cut;            /* by a partition, held up for ever, or to a node that is down */
    uint64_t streams;        /* opened */
    uint64_t stream_bytes;
};
KITH_API void kith_sim_read_totals(const kith_sim *s, struct kith_sim_totals *out);

/** One number for all that has happened: equal for two runs that were equal in every datagram, event and time. */
KITH_API uint64_t kith_sim_digest(const kith_sim *s);

/** A line of the trace, from the oldest kept: NULL beyond the last.  "SECONDS NODE WHAT".  A datagram is "-> TO: WHAT" by
 *  kith_describe(), "-x" if it is cut off, "-?" if it is lost on the way.  What kith_sim_message() sends has no line. */
KITH_API const char *kith_sim_trace(const kith_sim *s, size_t index);

/** What a checker found, in one sentence with the time and the nodes; NULL: nothing. */
KITH_API const char *kith_sim_violation(const kith_sim *s);

/** True when all nodes that run, are not paused and have not left have each other, and nobody else, with the status
 *  alive; a suspect is alive. */
KITH_API bool kith_sim_agrees(kith_sim *s);

/** True when all nodes with a store that run, are not paused and have not left show the same: keys, types, values,
 *  elements, siblings, expiries.  A walk through all of it; what has expired is ended on the way. */
KITH_API bool kith_sim_stores_agree(kith_sim *s);

#ifdef __cplusplus
}
#endif

#endif
