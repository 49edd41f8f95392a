/* The world of kith/sim.h from inside: what the files of sim/ share.
 *
 *   world.c    new, free, the loop          node.c    lives of nodes, driving an instance
 *   queue.c    what happens when            link.c    datagrams on their way, faults of the network
 *   stream.c   streams on their way         fault.c   faults of nodes and clocks, and of the network as a whole
 *   trace.c    digest and text              observe.c who is told of what happens
 *   rows.c     disks of stores              contents.c  what a store shows, as a number
 *   check_*.c  one checker each (observers), listed in check.c
 *
 * Built on the public interface and base/ alone. */
#ifndef KI_SIM_WORLD_H
#define KI_SIM_WORLD_H

#include <kith/sim.h>

#include "base/map.h"
#include "base/rng.h"
#include "sim/queue.h"

#define SIM_SIDES 64
#define SIM_PORT  7946
#define SIM_LINE  512 /* bytes of a line of the trace */
#define SIM_WALL_MAX_US (INT64_MAX / 4) /* no wall clock shows more, about 73,000 years, so that no sum overflows */

struct sim_observer;
struct sim_stream;

/* ---- what is remembered for a pair of nodes that differs from all others ---- */

struct sim_pair {
    uint32_t from, to;
    bool own_link, cut;
    struct kith_sim_link link;
    uint64_t clogged_until_us;
    uint64_t line_free_us; /* when the bandwidth has sent what waits */
};

struct sim_record { /* one that a node has put out */
    enum kith_record_kind kind;
    struct kith_addr addr;
    uint64_t value;
    char *name; /* owned */
    size_t name_len;
    bool stale; /* while the disk is made compact: it goes */
};

struct sim_row {
    char *name, *value; /* owned */
    size_t name_len, value_len;
    bool is_gone;       /* in a group: the row goes */
};

struct sim_table {
    struct sim_row *rows;
    size_t count, cap;
};

struct sim_store { /* of a node: what lies under its store */
    struct kith_store_config config;
    struct kith_sim_disk disk;
    struct sim_table durable, backup; /* in order of name */
    struct sim_table group;           /* the one that is on its way, in order of polling */
    bool group_out;
    uint64_t group_seq;
    uint64_t group_id, durable_id;    /* the replica's id when the group was polled; that of the last durable one */
    bool vouched;                     /* the disk has all that was ever shown under the id on it */
};

struct sim_node {
    /* what nearly every happening looks at comes first */
    kith *k; /* NULL: down */
    struct sim_store *store; /* NULL: it has none */
    uint64_t due_us;           /* virtual time of its entry in the queue; KITH_NEVER: none */
    uint64_t deadline_us;      /* virtual time of its deadline, when it was polled last */
    uint64_t slow_until_us;
    uint64_t ticked_us;        /* virtual time of the last tick, */
    uint32_t same_time_ticks;  /* and how many there were before it at that time */
    uint32_t lives;            /* begun so far */
    unsigned side;
    bool paused;
    uint64_t paused_us;        /* virtual time at which it was paused last, */
    uint64_t away_us;          /* and how long it has been paused in all, before that */
    bool dirty;                /* the user may have called it: poll it before anything else happens */

    /* clocks: own mono = mono_base + (now - clock_base) * (1e6 + drift) / 1e6 */
    uint64_t clock_base_us, mono_base_us;
    int64_t wall_offset_us;    /* wall = mono + this */
    int32_t drift_ppm;

    enum kith_sim_death death;
    enum kith_sim_state begun; /* how this life began */
    struct kith_config config; /* name, tags, keys, label: owned */
    struct kith_tag *tags;
    struct kith_key *keys;
    uint64_t blocks;           /* of memory that its instance holds */

    struct sim_entry *waiting; /* what came while it was paused, in order */
    size_t waiting_count, waiting_cap, waiting_bytes;

    struct sim_record *disk;   /* the records of every committed group, in order; some that mean nothing more are gone */
    size_t disk_count, disk_cap;
    size_t disk_durable;       /* those before it are committed */
    size_t disk_kept;          /* were left when it was last made compact */
};

struct kith_sim {
    struct kith_sim_config cfg;
    struct ki_mem mem;         /* for base/'s containers; never fails */
    uint64_t now_us;
    struct sim_queue queue;
    struct ki_rng net_rng, node_rng, disk_rng; /* split by purpose: link luck, lives' seeds, rows' delays */

    struct sim_node **nodes;
    struct kith_addr *addrs;   /* theirs, side by side: each event asks whose one is */
    uint32_t count;
    size_t cap, addr_cap;
    struct ki_map by_addr;

    struct sim_pair *pairs;
    size_t pair_count, pair_cap;
    struct ki_map by_pair;
    uint64_t cut_sides[SIM_SIDES]; /* bit t of [f]: f's datagrams do not reach t */

    struct sim_stream **streams; /* NULL: free */
    size_t stream_count, stream_cap, stream_hint; /* none is free below hint */
    struct ki_map by_stream;     /* node and stream id to index in streams, times two, plus the end */
    uint64_t stream_serial;

    uint32_t *dirty;           /* nodes to poll, in order */
    size_t dirty_first, dirty_count, dirty_cap;
    uint32_t polled;           /* the node whose event is out; KITH_SIM_ALL: none */
    void *shown;               /* a message that is out, freed by the next step */

    uint64_t digest;
    char (*lines)[SIM_LINE];   /* ring of cfg.trace_lines */
    size_t line_first, line_count;
    char violation[512];
    bool injected;             /* a stranger has spoken: it may have sent again what it overheard, in anybody's name */

    const struct sim_observer *observers[32];
    void *observer_state[32];
    unsigned observer_count;

    struct kith_sim_totals totals;
    char **names;              /* of kith_sim_node_config(), made when asked */
    size_t names_count, names_cap;
};

/* ---- who is told of what happens ---- */

/* An observer looks on and never touches.  Any function may be NULL.  state: state_size bytes, zeroed, its own. */
struct sim_observer {
    const char *name;
    size_t state_size;
    void (*born)(kith_sim *s, void *state, uint32_t node);  /* a life has begun (k is ready, nothing polled yet) */
    void (*dying)(kith_sim *s, void *state, uint32_t node); /* k is still there */
    void (*told)(kith_sim *s, void *state, uint32_t node, const struct kith_addr *addr); /* asked to join by it */
    void (*sent)(kith_sim *s, void *state, uint32_t node, const struct kith_addr *to, const void *buf, size_t len);
    void (*opened)(kith_sim *s, void *state, uint32_t node, const struct kith_addr *to); /* a stream, by node */
    void (*arrives)(kith_sim *s, void *state, uint32_t node, const struct kith_addr *from, const void *buf, size_t len);
    void (*arrives_stream)(kith_sim *s, void *state, uint32_t node, const struct kith_addr *from); /* accepted */
    void (*event)(kith_sim *s, void *state, uint32_t node, const struct kith_event *event);
    void (*drained)(kith_sim *s, void *state, uint32_t node); /* after each input, when all was polled but events, */
    void (*settled)(kith_sim *s, void *state, uint32_t node); /* and when these were told too, if it still runs */
    void (*backup)(kith_sim *s, void *state, uint32_t node);  /* of its durable rows has been made */
    void (*import)(kith_sim *s, void *state, uint32_t node);  /* it is about to take rows in, and a new replica id */
    void (*fault)(kith_sim *s, void *state);                  /* a fault of any kind has been made */
    void (*end)(kith_sim *s, void *state);                    /* releases what the state holds */
};

/* observe.c */
void *ki_sim_observe(kith_sim *s, const struct sim_observer *observer); /* returns its state */
void *ki_sim_observer_state(kith_sim *s, const struct sim_observer *observer); /* NULL: not observing */
/* Notes the first violation, as "SECONDS NODE: CHECKER: text", and stops the run.  node may be KITH_SIM_ALL. */
void ki_sim_violate(kith_sim *s, const char *checker, uint32_t node, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#define SIM_TELL(s, what, ...)                                                           \
    do {                                                                                 \
        for (unsigned tell_ = 0; tell_ < (s)->observer_count; tell_++) {                 \
            if ((s)->observers[tell_]->what)                                             \
                (s)->observers[tell_]->what((s), (s)->observer_state[tell_], __VA_ARGS__); \
        }                                                                                \
    } while (0)

#define SIM_TELL0(s, what)                                                               \
    do {                                                                                 \
        for (unsigned tell_ = 0; tell_ < (s)->observer_count; tell_++) {                 \
            if ((s)->observers[tell_]->what)                                             \
                (s)->observers[tell_]->what((s), (s)->observer_state[tell_]);            \
        }                                                                                \
    } while (0)

/* check.c: all checkers of the house */
void ki_sim_check_all(kith_sim *s);

/* ---- memory: a simulation that has run out of it ends ---- */

void *ki_sim_make(size_t size);                /* zeroed */
void *ki_sim_resize(void *ptr, size_t size);
char *ki_sim_copy(const void *from, size_t len); /* with a NUL behind */
void *ki_sim_grow(void *items, size_t *cap, size_t count, size_t size); /* so that count + 1 fit */

/* ---- node.c ---- */

struct sim_node *ki_sim_node_at(const kith_sim *s, uint32_t node); /* asserts that it exists */
static inline bool sim_runs(const struct sim_node *n)
{
    return n->k && !n->paused;
}
bool ki_sim_node_in_pool(const struct sim_node *n); /* it runs, and is not leaving */
/* On error it stays down, its disk as it was. */
int ki_sim_node_start(kith_sim *s, uint32_t node, enum kith_sim_state state);
void ki_sim_node_stop(kith_sim *s, uint32_t node);
void ki_sim_node_free(kith_sim *s, uint32_t node);
void ki_sim_node_dirty(kith_sim *s, uint32_t node);
void ki_sim_node_hold(kith_sim *s, uint32_t node, struct sim_entry entry, size_t len); /* it is paused */
void ki_sim_node_release(kith_sim *s, uint32_t node);                                  /* all that was held */
/* Polls everything of a node but its events, and puts its deadline into the queue. */
void ki_sim_node_drain(kith_sim *s, uint32_t node);
bool ki_sim_node_event(kith_sim *s, uint32_t node, struct kith_event *out); /* the next; observers are told */
void ki_sim_node_due(kith_sim *s, uint32_t node);                           /* its entry in the queue has come */
struct kith_time ki_sim_node_time(const kith_sim *s, const struct sim_node *n);

/* ---- rows.c ---- */

struct sim_store *ki_sim_store_make(const struct kith_store_config *config);
void ki_sim_store_free(struct sim_store *store);
/* Gives an instance that is not ready yet its store, with what the disk has. */
int ki_sim_store_open(struct sim_node *n, kith *k, enum kith_sim_state state);
void ki_sim_store_begun(struct sim_node *n);            /* the life has begun: the disk is what it was begun with */
void ki_sim_store_poll(kith_sim *s, uint32_t node);     /* takes a group, if there is one and none is on its way */
void ki_sim_store_happens(kith_sim *s, uint32_t node);  /* the group has come to the disk, or has failed */
/* One takes in the rows that another exports now, or that are in its backup.  False: there are none, or it may not. */
bool ki_sim_store_import(kith_sim *s, uint32_t from, uint32_t to, bool live);
void ki_sim_store_stop(kith_sim *s, uint32_t node);     /* the life ends, and its group with it or not */

/* ---- contents.c ---- */

/* All that a store shows: equal numbers, equal contents.  Another order of walking gives the same. */
uint64_t ki_sim_contents(kith *k, struct kith_time now);
uint64_t ki_sim_contents_key(kith *k, struct kith_time now, struct kith_str key); /* of one; 0: nothing */
/* The first key that two stores show differently; false: none. */
bool ki_sim_contents_differ(kith *a, struct kith_time a_now, kith *b, struct kith_time b_now, char *key, size_t cap);

/* ---- link.c ---- */

struct sim_datagram {
    struct kith_addr from;
    uint32_t from_node; /* KITH_SIM_ALL: an attacker's */
    uint32_t to;
    bool message;       /* the program's, not kith's */
    uint32_t len;
    uint8_t bytes[];
};

struct sim_pair *ki_sim_pair_make(kith_sim *s, uint32_t from, uint32_t to);
const struct kith_sim_link *ki_sim_link_of(const kith_sim *s, uint32_t from, uint32_t to);
bool ki_sim_chance(struct ki_rng *rng, uint32_t ppm);
/* When something of len bytes sent now arrives, if it is not cut off; KITH_NEVER: the line is full. */
uint64_t ki_sim_link_arrival_us(kith_sim *s, uint32_t from, uint32_t to, size_t len);
void ki_sim_send(kith_sim *s, uint32_t from, const struct kith_addr *to, const void *buf, size_t len);
/* A datagram has come to its node's host.  Takes it over.  True: it is a message and now in s->shown. */
bool ki_sim_arrive(kith_sim *s, struct sim_datagram *d);
void ki_sim_refused(kith_sim *s, struct sim_datagram *d); /* the news that one was refused has come back; frees it */

bool ki_sim_link_fine(const struct kith_sim_link *link); /* fault.c */

/* ---- stream.c ---- */

void ki_sim_stream_act(kith_sim *s, uint32_t node, const struct kith_stream_action *action);
void ki_sim_stream_happens(kith_sim *s, uint32_t index, uint64_t serial); /* its entry in the queue has come */
void ki_sim_streams_node_down(kith_sim *s, uint32_t node);
void ki_sim_streams_wake(kith_sim *s, uint32_t node); /* it runs again */
void ki_sim_streams_free(kith_sim *s);

/* ---- trace.c ---- */

void ki_sim_digest(kith_sim *s, uint64_t word);
void ki_sim_digest_bytes(kith_sim *s, const void *bytes, size_t len);
static inline bool sim_traces(const kith_sim *s)
{
    return s->cfg.trace_lines > 0;
}
void ki_sim_trace(kith_sim *s, uint32_t node, const char *format, ...) __attribute__((format(printf, 3, 4)));
void ki_sim_trace_datagram(kith_sim *s, const char *verb, uint32_t node, uint32_t other, const void *buf, size_t len);
void ki_sim_trace_event(kith_sim *s, uint32_t node, const struct kith_event *event);
const char *ki_sim_name(const kith_sim *s, uint32_t node); /* its configured name, borrowed */

#endif
