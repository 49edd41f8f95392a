/* From the configuration to a running node: sockets first (a port in use is the most common failure, and nothing has
 * been said to anybody yet), then the core, then the doors.
 *
 * Whatever fails here is told on standard error in one sentence that says what to do; run.c closes what was opened.
 *
 * Events of the driver come in here and go to whom they concern: members to coalesce.c, what members say to coalesce_user.c,
 * ends of asks to ask.c. */
#include "agent/handler.h"
#include "agent/internal.h"
#include "agent/redis_server.h"
#include "agent/rpc.h"
#include "kith/store.h"

#include "base/base.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define SETUP_PORT 7946     /* memberlist's */
#define SETUP_TOLD 1        /* failed, and the user knows why; libuv's errors are negative */
#define SETUP_RPC_PORT 7373 /* Serf's */
#define SETUP_RESP_PORT 7379 /* Redis's is 6379: both may run on one machine */

/* ---- events and records of the driver ---- */

static void setup_conflict(struct ki_agent *agent, const struct kith_event *event)
{
    char mine[KI_ADDR_TEXT];
    char theirs[KI_ADDR_TEXT];
    ki_addr_format(&event->member.addr, mine);
    ki_addr_format(&event->other, theirs);
    ki_log(agent->log, event->member.is_self ? KI_LOG_ERR : KI_LOG_WARN, "serf",
           "Name conflict for '%.*s': %s and %s both use it. Names must be unique!", (int)event->member.name.len,
           event->member.name.ptr, mine, theirs);
}

/* The pool has voted that our name is another's: as Serf does, we stop, without a leave that would hurt that other. */
static void setup_name_lost(struct ki_agent *agent, const struct kith_event *event)
{
    ki_log(agent->log, KI_LOG_ERR, "serf",
           "Another member holds the name '%.*s' (%d of %u members say it is ours): stopping. Choose another -node name.",
           (int)event->member.name.len, event->member.name.ptr, event->result, event->count);
    ki_agent_stop(agent, 1);
}

static void setup_event(void *arg, const struct kith_event *event)
{
    struct ki_agent *agent = arg;
    switch (event->kind) {
    case KITH_EVENT_MEMBER:
        if (event->changed & KITH_CHANGED_SUSPECT)
            ki_log(agent->log, KI_LOG_DEBUG, "memberlist", "%.*s is %s", (int)event->member.name.len,
                   event->member.name.ptr, event->member.state == KITH_STATE_SUSPECT ? "suspect" : "no longer suspect");
        if (agent->coalesce)
            ki_coalesce_event(agent, event);
        return;
    case KITH_EVENT_CONFLICT:
        setup_conflict(agent, event);
        return;
    case KITH_EVENT_NAME_LOST:
        setup_name_lost(agent, event);
        return;
    case KITH_EVENT_DONE:
        if (agent->redis && ki_redis_done(agent->redis, event->ticket, event->count))
            return;
        ki_ask_event(agent, event->ticket, event->result, event->count);
        return;
    case KITH_EVENT_USER:
        if (event->message.kith_only) { /* what clients of the Redis door publish */
            if (agent->redis)
                ki_redis_published(agent->redis, &event->message);
            return;
        }
        if (agent->coalesce_user)
            ki_coalesce_user_event(agent, event);
        return;
    case KITH_EVENT_GAP:
    case KITH_EVENT_QUERY:
        if (agent->coalesce_user)
            ki_coalesce_user_event(agent, event);
        return;
    case KITH_EVENT_ANSWER:
    case KITH_EVENT_UNCONFIRMED:
    case KITH_EVENT_SILENT:
    case KITH_EVENT_FOLDED:
        ki_ask_answer(agent, event);
        return;
    case KITH_EVENT_KEYS:
        ki_keys_changed(agent, event->message.query);
        return;
    case KITH_EVENT_WATCH:
        return; /* the agent watches nothing */
    }
    KI_UNREACHABLE();
}

static void setup_record(void *arg, const struct kith_record *record)
{
    struct ki_agent *agent = arg;
    if (agent->snapshot)
        ki_snapshot_record(agent->snapshot, record);
}

static void setup_durable(void *arg, uint64_t seq)
{
    struct ki_agent *agent = arg;
    kith_durable(agent->k, ki_net_now(), seq, 0);
    ki_net_kick(agent->net);
}

/* ---- the network ---- */

static int setup_net_failed(const struct kith_addr *bind, int error)
{
    char where[KI_ADDR_TEXT];
    char ip[KI_ADDR_TEXT];
    ki_addr_format(bind, where);
    ki_addr_format_ip(bind, ip);
    if (error == UV_EADDRINUSE)
        ki_agent_fail("port %u on %s is in use (another serf, consul or kith agent?): stop it, or choose another with "
                      "-bind=%s%s%s:PORT",
                      (unsigned)bind->port, ip, strchr(ip, ':') ? "[" : "", ip, strchr(ip, ':') ? "]" : "");
    else if (error == UV_EADDRNOTAVAIL)
        ki_agent_fail("%s is no address of this machine: choose another with -bind", ip);
    else
        ki_agent_fail("cannot listen on %s: %s", where, uv_strerror(error));
    return -1;
}

static int setup_net(struct ki_agent *agent)
{
    char error[KI_ERROR_TEXT];
    struct ki_net_config config = {.loop = &agent->loop,
                                   .event = setup_event,
                                   .record = agent->config.snapshot ? setup_record : NULL,
                                   .arg = agent};
    if (ki_place_resolve(agent->config.bind, SETUP_PORT, &config.bind, error, sizeof error) != 0) {
        ki_agent_fail("-bind: %s", error);
        return -1;
    }
    int result = ki_net_open(&agent->net, &config);
    if (result != 0)
        return setup_net_failed(&config.bind, result);
    agent->addr = ki_net_bound(agent->net);
    struct kith_addr bound = agent->addr;
    if (agent->config.advertise) {
        if (ki_place_resolve(agent->config.advertise, bound.port, &agent->addr, error, sizeof error) != 0) {
            ki_agent_fail("-advertise: %s", error);
            return -1;
        }
        if (ki_addr_is_wildcard(&agent->addr)) {
            ki_agent_fail("-advertise: %s is no address that others can reach", agent->config.advertise);
            return -1;
        }
    } else if (ki_addr_is_wildcard(&bound) && ki_place_private(&bound, &agent->addr, error, sizeof error) != 0) {
        ki_agent_fail("%s", error);
        return -1;
    }
    return 0;
}

/* ---- the core ---- */

static void setup_versions(const struct ki_config *config, struct kith_config *core)
{
    uint8_t versions[3];
    if (config->delegate_versions && ki_config_versions(config->delegate_versions, versions)) {
        core->delegate_min = versions[0];
        core->delegate_max = versions[1];
        core->delegate_cur = versions[2];
    } else if (config->protocol != 0) {
        core->delegate_cur = (uint8_t)config->protocol;
    }
}

static enum kith_profile setup_profile(const char *name)
{
    return strcmp(name, "wan") == 0 ? KITH_PROFILE_WAN : strcmp(name, "local") == 0 ? KITH_PROFILE_LOCAL
                                                                                     : KITH_PROFILE_LAN;
}

static bool setup_would_do(const struct kith_config *core)
{
    kith *k;
    if (kith_new(&k, core) != 0)
        return false;
    kith_free(k);
    return true;
}

/* Says what the core does not take: that without which it would take the rest. */
static void setup_explain(const struct ki_config *config, const struct kith_config *core)
{
    struct kith_config plain, tried = *core;
    tried.tag_count = 0;
    if (setup_would_do(&tried)) {
        ki_agent_fail(KI_TAGS_REFUSED);
        return;
    }
    kith_config_init(&plain, setup_profile(config->profile));
    for (size_t i = 0; i < ki_limit_count; i++) {
        size_t offset = ki_limits[i].offset;
        if (!config->limits[i].set)
            continue;
        tried = *core;
        memcpy((char *)&tried + offset, (const char *)&plain + offset, ki_limits[i].wide ? 8 : 4);
        if (setup_would_do(&tried)) {
            ki_agent_fail("%s: %llu cannot be used: it is out of range, or does not go with another limit or timing",
                          ki_limits[i].key, (unsigned long long)config->limits[i].value);
            return;
        }
    }
    ki_agent_fail("the node cannot be made of this configuration: check its name, label, versions, limits and timing");
}

static int setup_new(struct ki_agent *agent, const struct ki_tags *tags, const struct ki_keyfile *keyring)
{
    struct kith_config core;
    struct kith_tag list[KITH_META_MAX];
    kith_config_init(&core, setup_profile(agent->config.profile));
    ki_config_apply_limits(&agent->config, &core);
    setup_versions(&agent->config, &core);
    core.name = ki_str(agent->config.node);
    core.addr = agent->addr;
    core.compress = agent->config.compression;
    core.coordinates = agent->config.coordinates;
    if (agent->config.label)
        core.label = ki_str(agent->config.label);
    if (tags->count > KI_COUNT(list)) {
        ki_agent_fail(KI_TAGS_REFUSED);
        return -1;
    }
    for (size_t i = 0; i < tags->count; i++)
        list[i] = (struct kith_tag){.key = ki_str(tags->items[i].key), .value = ki_str(tags->items[i].value)};
    core.tags = list;
    core.tag_count = tags->count;
    core.keys = keyring->keys;
    core.key_count = keyring->count;
    core.keys_kept = agent->config.keyring_file != NULL;
    agent->sizes = (struct ki_agent_sizes){
        .event = core.event_size_max, .query = core.query_size_max, .response = core.response_size_max};
    agent->encrypted = keyring->count > 0;
    if (getrandom(core.seed, sizeof core.seed, 0) != (ssize_t)sizeof core.seed) {
        ki_agent_fail("the operating system gives no randomness: %s", strerror(errno));
        return -1;
    }
    int result = kith_new(&agent->k, &core);
    explicit_bzero(core.seed, sizeof core.seed);
    if (result == KITH_ERR_ARG)
        setup_explain(&agent->config, &core);
    else if (result != 0)
        ki_agent_fail("the node cannot be made: %s", kith_strerror(result));
    return result == 0 ? 0 : -1;
}

static int setup_keyring(const struct ki_config *config, struct ki_keyfile *keyring, char *error, size_t cap)
{
    if (config->keyring_file)
        return ki_keyfile_load(keyring, config->keyring_file, error, cap);
    if (!config->encrypt)
        return 0;
    keyring->keys = calloc(1, sizeof *keyring->keys);
    keyring->count = keyring->keys ? 1 : 0;
    if (keyring->keys)
        return ki_key_decode(config->encrypt, keyring->keys, error, cap);
    snprintf(error, cap, "out of memory");
    return -1;
}

static int setup_core(struct ki_agent *agent)
{
    char error[KI_ERROR_TEXT] = "";
    struct ki_keyfile keyring = {.keys = NULL};
    struct ki_tags file_tags = {.items = NULL};
    const struct ki_tags *tags = agent->config.tags_file ? &file_tags : &agent->config.tags;
    int result = setup_keyring(&agent->config, &keyring, error, sizeof error);
    if (result == 0 && agent->config.tags_file)
        result = ki_tags_load(&file_tags, agent->config.tags_file, error, sizeof error);
    if (result != 0)
        ki_agent_fail("%s", error);
    else
        result = setup_new(agent, tags, &keyring);
    ki_keyfile_free(&keyring);
    ki_tags_free(&file_tags);
    return result;
}

static int setup_snapshot(struct ki_agent *agent)
{
    const struct ki_snapshot_config config = {.loop = &agent->loop,
                                              .log = agent->log,
                                              .path = agent->config.snapshot,
                                              .rejoin = agent->config.rejoin,
                                              .durable = setup_durable,
                                              .arg = agent};
    if (!agent->config.snapshot)
        return 0;
    if (ki_snapshot_open(&agent->snapshot, &config) != 0) {
        ki_agent_fail("snapshot %s: %s", agent->config.snapshot, strerror(errno));
        return -1;
    }
    int result = ki_snapshot_load(agent->snapshot, agent->k);
    if (result != 0)
        ki_agent_fail("snapshot %s cannot be used: %s", agent->config.snapshot, kith_strerror(result));
    return result == 0 ? 0 : -1;
}

/* A node that speaks to members without a store (-delegate-versions=0/0/0) has none either. */
static int setup_store(struct ki_agent *agent)
{
    struct kith_store_config config;
    kith_store_config_init(&config);
    config.withhold = ki_disk_withholds(&agent->config);
    config.memory_max = agent->config.store_max;
    config.value_max = (uint32_t)agent->config.value_max;
    config.repair_bytes_per_s = (uint32_t)agent->config.repair_rate;
    int result = kith_store_open(agent->k, &config);
    agent->has_store = result == 0;
    if (result == 0 || result == KITH_ERR_STATE)
        return 0;
    ki_agent_fail("the store cannot be made: %s", kith_strerror(result));
    return -1;
}

/* ---- the doors ---- */

/* Opens the door at this address (NULL: none), and at its Unix socket, if it has one.  Returns 0, a libuv error about the
 * address, or SETUP_TOLD. */
static int setup_rpc_start(struct ki_agent *agent, const struct sockaddr *addr)
{
    char error[KI_ERROR_TEXT];
    struct ki_rpc_config config = {.agent = agent,
                                   .addr = addr,
                                   .unix_fd = -1,
                                   .auth_key = agent->config.rpc_auth,
                                   .kept_max = agent->config.rpc_kept_max,
                                   .kept_bytes_max = agent->config.rpc_kept_bytes_max,
                                   .first_index = ki_net_now().wall_us};
    if (agent->config.rpc_socket && ki_rpc_socket_open(&agent->rpc_socket, agent->config.rpc_socket, &config.unix_fd, error,
                                                       sizeof error) != 0) {
        ki_agent_fail("-rpc-socket: %s", error);
        return SETUP_TOLD;
    }
    int result = ki_rpc_start(&agent->rpc, &config);
    if (result != 0) {
        agent->rpc = NULL;
        ki_rpc_socket_remove(&agent->rpc_socket);
    }
    return result;
}

/* The Unix socket alone, if there is one. */
static int setup_rpc_alone(struct ki_agent *agent)
{
    agent->rpc_bound.ip_len = 0;
    return agent->config.rpc_socket ? setup_rpc_start(agent, NULL) : 0;
}

/* A default address that is taken costs this door, or what of it is at that address; one that was asked for is an error. */
static int setup_rpc_at(struct ki_agent *agent, const char text[KI_ADDR_TEXT])
{
    struct sockaddr_storage storage;
    socklen_t len;
    if (!ki_addr_to_sockaddr(&agent->rpc_bound, ki_addr_family(&agent->rpc_bound), &storage, &len))
        return UV_EINVAL;
    int result = setup_rpc_start(agent, (const struct sockaddr *)&storage);
    if (result != UV_EADDRINUSE || agent->config.rpc_addr)
        return result;
    ki_log(agent->log, KI_LOG_WARN, "agent",
           "no RPC door: its default address %s is in use; give this agent its own with -rpc-addr", text);
    return setup_rpc_alone(agent);
}

static int setup_rpc(struct ki_agent *agent)
{
    char error[KI_ERROR_TEXT];
    char text[KI_ADDR_TEXT] = "its Unix socket";
    const char *asked = agent->config.rpc_addr ? agent->config.rpc_addr : "127.0.0.1";
    bool alone = strcmp(asked, "none") == 0;
    if (!alone && ki_place_resolve(asked, SETUP_RPC_PORT, &agent->rpc_bound, error, sizeof error) != 0) {
        ki_agent_fail("-rpc-addr: %s", error);
        return -1;
    }
    if (!alone)
        ki_addr_format(&agent->rpc_bound, text);
    int result = alone ? setup_rpc_alone(agent) : setup_rpc_at(agent, text);
    if (result != 0 && result != SETUP_TOLD)
        ki_agent_fail("the RPC door cannot listen on %s: %s", text, uv_strerror(result));
    return result == 0 ? 0 : -1;
}

static void setup_kick(void *arg)
{
    struct ki_agent *agent = arg;
    if (agent->net)
        ki_net_kick(agent->net);
}

static int setup_redis(struct ki_agent *agent)
{
    char error[KI_ERROR_TEXT];
    char text[KI_ADDR_TEXT];
    struct sockaddr_storage storage;
    socklen_t len;
    const char *asked = agent->config.resp_addr;
    const struct ki_redis_config config = {.loop = &agent->loop,
                                           .log = agent->log,
                                           .k = agent->k,
                                           .password = agent->config.resp_auth,
                                           .clients_max = agent->config.resp_clients_max,
                                           .withhold = ki_disk_withholds(&agent->config),
                                           .memory_max = agent->config.store_max,
                                           .now = ki_net_now,
                                           .kick = setup_kick,
                                           .arg = agent};
    if ((asked && strcmp(asked, "none") == 0) || (!asked && !agent->has_store))
        return 0;
    if (!agent->has_store) {
        ki_agent_fail("-resp-addr: this node has no store, by its -delegate-versions");
        return -1;
    }
    if (ki_place_resolve(asked ? asked : "127.0.0.1", SETUP_RESP_PORT, &agent->resp_bound, error, sizeof error) != 0) {
        ki_agent_fail("-resp-addr: %s", error);
        return -1;
    }
    ki_addr_format(&agent->resp_bound, text);
    int result = UV_EINVAL;
    if (ki_addr_to_sockaddr(&agent->resp_bound, ki_addr_family(&agent->resp_bound), &storage, &len))
        result = ki_redis_start(&agent->redis, &config, (const struct sockaddr *)&storage);
    if (result == 0)
        return 0;
    agent->redis = NULL;
    if (result == UV_EADDRINUSE && !asked) {
        ki_log(agent->log, KI_LOG_WARN, "agent",
               "no Redis door: its default address %s is in use; give this agent its own with -resp-addr", text);
        return 0;
    }
    ki_agent_fail("the Redis door cannot listen on %s: %s", text, uv_strerror(result));
    return -1;
}

int ki_setup(struct ki_agent *agent)
{
    int result;
    if (ki_ask_init(agent) != 0 || ki_coalesce_init(agent) != 0 || ki_coalesce_user_init(agent) != 0 ||
        ki_handlers_start(agent) != 0) {
        ki_agent_fail("out of memory");
        return -1;
    }
    if (setup_net(agent) != 0 || setup_core(agent) != 0 || setup_store(agent) != 0 || setup_snapshot(agent) != 0 ||
        ki_disk_setup(agent) != 0)
        return -1;
    if ((result = kith_ready(agent->k, ki_net_now())) != 0) {
        ki_agent_fail("the node cannot start: %s", kith_strerror(result));
        return -1;
    }
    if ((result = ki_gauges_start(agent)) != 0) {
        ki_agent_fail("the agent's own gauges cannot be opened: %s (raise aggregates_max, or -gauges=false)",
                      kith_strerror(result));
        return -1;
    }
    if (setup_rpc(agent) != 0 || setup_redis(agent) != 0)
        return -1;
    if ((result = ki_signals_start(agent)) != 0 || (result = ki_dev_start(agent)) != 0) {
        ki_agent_fail("cannot start: %s", uv_strerror(result));
        return -1;
    }
    return 0;
}
