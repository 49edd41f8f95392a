/* The disk in the agent: the configuration's words, and the store of the agent's core behind the disk's four calls.
 *
 * The rows are loaded after the store is opened and before the core is ready.  With -fsync=always the core withholds what is
 * not yet durable, so every end of a group lets something go: the network is polled, and who keeps answers back
 * (the Redis door) is told.
 *
 * Not here: what a disk does (disk.c). */
#include "agent/disk.h"
#include "agent/internal.h"
#include "agent/redis_server.h"

#include "base/base.h"

#include <signal.h>

static bool disk_agent_pending(void *arg)
{
    const struct ki_agent *agent = arg;
    return kith_rows_written(agent->k) != kith_rows_are_durable(agent->k);
}

static bool disk_agent_poll(void *arg, struct kith_row *out)
{
    struct ki_agent *agent = arg;
    return kith_poll_row(agent->k, ki_net_now(), out);
}

static void disk_agent_durable(void *arg, uint64_t seq, int error)
{
    struct ki_agent *agent = arg;
    kith_rows_durable(agent->k, ki_net_now(), seq, error);
    if (agent->redis)
        ki_redis_durable(agent->redis);
    if (agent->net)
        ki_net_kick(agent->net);
}

static int disk_agent_load(void *arg, struct kith_str name, struct kith_str value)
{
    struct ki_agent *agent = arg;
    return kith_load_row(agent->k, name, value);
}

bool ki_disk_withholds(const struct ki_config *config)
{
    enum ki_disk_fsync fsync;
    return config->data_dir && ki_disk_fsync_parse(config->fsync, &fsync) && fsync == KI_DISK_ALWAYS;
}

int ki_disk_setup(struct ki_agent *agent)
{
    char error[KI_DISK_ERROR_TEXT];
    struct kith_store_gauges gauges;
    struct ki_disk_config config = {.loop = &agent->loop,
                                    .log = agent->log,
                                    .dir = agent->config.data_dir,
                                    .fsync = KI_DISK_EVERYSEC,
                                    .size_first = ki_min_u64(KI_DISK_SIZE_FIRST, agent->config.data_max),
                                    .size_max = agent->config.data_max,
                                    .ops = {.pending = disk_agent_pending,
                                            .poll = disk_agent_poll,
                                            .durable = disk_agent_durable,
                                            .load = disk_agent_load},
                                    .arg = agent};
    if (!config.dir)
        return 0;
    (void)ki_disk_fsync_parse(agent->config.fsync, &config.fsync); /* checked when it was read */
    signal(SIGXFSZ, SIG_IGN); /* a limit of file sizes is a full disk, and no reason to die */
    if (kith_store_read_gauges(agent->k, &gauges) == KITH_ERR_STATE) {
        ki_agent_fail("-data-dir: the delegate versions 0/0/0 have membership only, and no store to keep");
        return -1;
    }
    if (ki_disk_open(&agent->disk, &config, error) == 0)
        return 0;
    ki_agent_fail("%s", error);
    return -1;
}
