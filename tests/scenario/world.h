/* A few kith instances in one process on a virtual network: enough to test the core through its public API alone.
 * Datagrams and stream bytes arrive after a delay, in order; links can be cut; every instance runs by the loop
 * that kith.h describes.  (The simulator proper has latency, loss, seeds and checkers.) */
#ifndef TEST_WORLD_H
#define TEST_WORLD_H

#include <kith/store.h>

#define WORLD_NODES 304
#define WORLD_EVENTS 4096

struct world_event {
    unsigned node;
    enum kith_event_kind kind;
    uint32_t changed;
    char name[64];
    int result;
    uint32_t count;
    kith_ticket ticket;
    uint64_t at_us;
};

struct world;

struct world *world_new(void);
void world_free(struct world *w);
/* Adds node n (from 0) at 10.0.0.0 + n + 1, port 7946, named node-N, with this configuration, which the caller has
 * adjusted. */
void world_config(struct kith_config *config, unsigned n);
void world_add(struct world *w, unsigned n, const struct kith_config *config);
/* Those that are added from now on have a store; its rows are durable at once.  NULL: none, as at first. */
void world_store(struct world *w, const struct kith_store_config *config);
/* Who keeps the rows of all nodes' stores.  drain: instead of writing them down at once; load: before a node is ready. */
struct world_disk {
    void (*drain)(void *arg, unsigned n, kith *k, struct kith_time now);
    void (*load)(void *arg, unsigned n, kith *k);
    void *arg;
};
void world_set_disk(struct world *w, struct world_disk disk);
uint64_t world_ticks(const struct world *w, unsigned n); /* calls of kith_tick() so far */
/* A datagram arrives at node n as if it came from there. */
void world_inject(struct world *w, unsigned n, unsigned from, const void *bytes, size_t len);
void world_crash(struct world *w, unsigned n); /* freed without a word */
kith *world_node(struct world *w, unsigned n);
struct kith_time world_now(const struct world *w);
struct kith_addr world_addr(unsigned n);
void world_cut(struct world *w, unsigned a, unsigned b, bool cut); /* both ways */
void world_pause(struct world *w, unsigned n, bool paused);       /* hears and does nothing meanwhile */
void world_run(struct world *w, uint64_t us);
/* Everything random in this world follows from the seed; so many datagrams in a million are lost. */
void world_chance(struct world *w, uint64_t seed, uint32_t loss_ppm);
uint64_t world_random(struct world *w);
void world_delay(struct world *w, uint64_t us); /* of what is sent from now on, one way; at first 1 ms */
int world_join(struct world *w, unsigned n, unsigned to, kith_ticket *ticket);
/* Every datagram sent passes here if set. */
typedef void (*world_tap)(void *arg, unsigned from, const struct kith_addr *to, const uint8_t *buf, size_t len);
void world_set_tap(struct world *w, world_tap tap, void *arg);
/* Every event of every node passes here if set, while its strings are good. */
typedef void (*world_ear)(void *arg, unsigned n, kith *k, struct kith_time now, const struct kith_event *event);
void world_set_ear(struct world *w, world_ear ear, void *arg);
/* Those nodes that are silent take no events; NULL: all do. */
void world_pause_events(struct world *w, bool (*is_silent)(unsigned n));
size_t world_events(const struct world *w, const struct world_event **events);
/* How node n sees the member called name; KITH_STATUS_NONE when it does not. */
enum kith_status world_status(struct world *w, unsigned n, const char *name);
unsigned world_alive_seen(struct world *w, unsigned n); /* members alive in its view */

#endif
