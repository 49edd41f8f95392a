/* The agent's Redis door, as the agent sees it: RESP2 and RESP3 on TCP, so that the clients of Redis drive kith. */
#ifndef KI_AGENT_REDIS_SERVER_H
#define KI_AGENT_REDIS_SERVER_H

#include "agent/log.h"
#include "kith/store.h"

#include <uv.h>

struct ki_redis;

struct ki_redis_config {
    uv_loop_t *loop;
    struct ki_log *log;
    kith *k;                     /* with a store that is watched */
    const char *password;        /* NULL or "": everyone may; copied */
    uint32_t clients_max;
    bool withhold;               /* no answer leaves before what it tells of is durable */
    uint64_t memory_max;         /* the store's, for CONFIG and INFO */
    struct kith_time (*now)(void);
    void (*kick)(void *arg);     /* the core has been called: poll what it wants */
    void *arg;
};

/* Listens.  Returns 0, or a libuv error with nothing left behind (but for handles that close themselves in the loop's next
 * turn). */
int ki_redis_start(struct ki_redis **out, const struct ki_redis_config *config, const struct sockaddr *addr);
/* Refuses new clients, flushes answers (1 s at most), closes every handle, frees itself, then calls closed.  The core is
 * not touched any more. */
void ki_redis_stop(struct ki_redis *redis, void (*closed)(void *arg), void *arg);
/* A user event for kith's members alone has come: its name is a channel. */
void ki_redis_published(struct ki_redis *redis, const struct kith_message *message);
/* Rows have become durable: what waited for them goes out. */
void ki_redis_durable(struct ki_redis *redis);
/* An ask of the core has ended.  Was it one of this door? */
bool ki_redis_done(struct ki_redis *redis, kith_ticket ticket, uint32_t count);

#endif
