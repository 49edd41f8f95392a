/* kith dev: a cluster on this machine, to be watched and to be hurt.
 *
 * N agents, each on a loopback address of its own (127.0.0.1 ... 127.0.0.N) with the default ports, so
 * that what works here works on N machines.  On a terminal a live table and keys; otherwise plain lines
 * of what changes.
 *
 * One libuv loop, never blocked by an agent: agents are asked by RPC without waiting (dev_link.c), and
 * killed, not asked, at the end.  The end is the same on every way out: all agents are killed and
 * reaped, then the terminal is given back; if this process is killed itself, the kernel kills the
 * agents (PR_SET_PDEATHSIG).
 *
 * Not here: persistence, keys, configuration.  It is a toy box; `kith agent` is the tool. */
#include "cli/dev.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/cli.h"

#define DEV_POLL_MS     200
#define DEV_POLLS_A_SEC (1000 / DEV_POLL_MS)
#define DEV_PORT_SPAN   500u /* how far from the wanted port to look */
#define DEV_RESP_PORT   7379
#define DEV_PORT_STEP   10u

/* ---- saying ---- */

uint64_t ki_dev_age_ms(const struct ki_dev *dev)
{
    return uv_now(&dev->loop) - dev->started_ms;
}

void ki_dev_say(struct ki_dev *dev, const char *format, ...)
{
    char *line = dev->events[dev->event_count % KI_DEV_EVENTS];
    va_list args;
    uv_update_time(&dev->loop);
    int len = snprintf(line, KI_DEV_LINE, "%.1fs ", (double)ki_dev_age_ms(dev) / 1000);
    va_start(args, format);
    vsnprintf(line + len, KI_DEV_LINE - (size_t)len, format, args);
    va_end(args);
    dev->event_count++;
    dev->dirty = true;
    if (!dev->screen && (puts(line) == EOF || fflush(stdout) != 0))
        ki_dev_quit(dev); /* nobody reads it any more */
}

void ki_dev_quit(struct ki_dev *dev)
{
    dev->quitting = true;
    uv_stop(&dev->loop);
}

/* ---- ports ---- */

static bool dev_port_usable(const char *ip, uint16_t port, int type)
{
    struct sockaddr_in addr;
    int yes = 1;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    bool good = fd >= 0 && uv_ip4_addr(ip, port, &addr) == 0;
    if (good &&
        type == SOCK_STREAM) /* as the agent does: a connection that just ended is no obstacle */
        good = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0;
    good = good && bind(fd, (const struct sockaddr *)&addr, sizeof addr) == 0 &&
           (type != SOCK_STREAM || listen(fd, 1) == 0);
    if (fd >= 0)
        close(fd);
    return good;
}

/* The first of some ports that all nodes can have, and that is not `other`.  Returns 0 when there is none. */
static uint16_t dev_port_find(const struct ki_dev *dev, uint32_t wanted, bool datagrams,
                              uint16_t other)
{
    uint32_t last = (uint32_t)ki_min_u64(wanted + DEV_PORT_SPAN, 65535);
    for (uint32_t port = wanted; port <= last; port += DEV_PORT_STEP) {
        bool good = port != other;
        for (unsigned i = 0; i < dev->count && good; i++) {
            good = dev_port_usable(dev->nodes[i].ip, (uint16_t)port, SOCK_STREAM) &&
                   (!datagrams || dev_port_usable(dev->nodes[i].ip, (uint16_t)port, SOCK_DGRAM));
        }
        if (good)
            return (uint16_t)port;
    }
    return 0;
}

/* Chooses both ports.  Returns false when there are none, having said so. */
static bool dev_choose_ports(struct ki_dev *dev, uint16_t port, uint16_t rpc_port)
{
    dev->port = dev_port_find(dev, port, true, 0);
    dev->rpc_port = dev_port_find(dev, rpc_port, false, dev->port);
    dev->resp_port = dev_port_find(dev, DEV_RESP_PORT, false, dev->port); /* none: no Redis doors */
    if (dev->port == 0 || dev->rpc_port == 0) {
        fprintf(stderr, "kith dev: no port near %u is free on all of %s - %s\n",
                dev->port == 0 ? port : rpc_port, dev->nodes[0].ip, dev->nodes[dev->count - 1].ip);
        return false;
    }
    return true;
}

/* ---- the loop ---- */

static void dev_reap(struct ki_dev *dev)
{
    bool all_exited = true;
    for (unsigned i = 0; i < dev->count; i++) {
        ki_dev_node_reap(&dev->nodes[i]);
        all_exited = all_exited && dev->nodes[i].process == KI_DEV_EXITED;
    }
    if (all_exited) /* by themselves: there is nothing to show */
        ki_dev_quit(dev);
}

static void dev_poll(uv_timer_t *timer)
{
    struct ki_dev *dev = timer->data;
    uint64_t second = ki_dev_age_ms(dev) / 1000;
    bool new_second = second != (ki_dev_age_ms(dev) - DEV_POLL_MS) / 1000;
    for (unsigned i = 0; i < dev->count; i++) {
        ki_dev_link_poll(&dev->nodes[i]);
        if (new_second)
            ki_dev_node_measure(&dev->nodes[i]);
    }
    ki_dev_view_check(dev);
    if (dev->screen && (dev->dirty || new_second))
        ki_dev_screen_draw(dev);
}

static void dev_signal(uv_signal_t *handle, int number)
{
    struct ki_dev *dev = handle->data;
    if (number == SIGCHLD)
        dev_reap(dev);
    else if (number == SIGWINCH && dev->screen)
        ki_dev_term_size(dev);
    else if (number != SIGWINCH)
        ki_dev_quit(dev);
}

static void dev_watch_signals(struct ki_dev *dev)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGWINCH};
    for (size_t i = 0; i < KI_COUNT(numbers); i++) {
        uv_signal_init(&dev->loop, &dev->signals[i]);
        dev->signals[i].data = dev;
        uv_signal_start(&dev->signals[i], dev_signal, numbers[i]);
    }
    signal(SIGPIPE, SIG_IGN);
}

static void dev_close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

/* Kills and reaps all agents, gives back the terminal, closes every handle. */
static void dev_end(struct ki_dev *dev)
{
    for (unsigned i = 0; i < dev->count; i++)
        ki_dev_node_end(&dev->nodes[i]);
    if (dev->screen)
        ki_dev_term_close(dev);
    uv_walk(&dev->loop, dev_close_handle, NULL);
    uv_run(&dev->loop, UV_RUN_DEFAULT);
}

static int dev_run(struct ki_dev *dev)
{
    dev_watch_signals(dev);
    uv_update_time(&dev->loop);
    dev->started_ms = uv_now(&dev->loop);
    dev->screen = ki_dev_term_open(dev);
    dev->colour = dev->screen && ki_want_colour();
    if (!dev->screen)
        printf("kith dev: %u agents on %s - %s, port %u, RPC port %u, profile %s; Ctrl-C stops "
               "them all\n",
               dev->count, dev->nodes[0].ip, dev->nodes[dev->count - 1].ip, dev->port,
               dev->rpc_port, dev->profile);
    for (unsigned i = 0; i < dev->count; i++)
        ki_dev_node_start(&dev->nodes[i]);
    uv_timer_init(&dev->loop, &dev->poll);
    dev->poll.data = dev;
    uv_timer_start(&dev->poll, dev_poll, DEV_POLL_MS / 4, DEV_POLL_MS);
    while (!dev->quitting)
        uv_run(&dev->loop, UV_RUN_DEFAULT);
    bool failed = true;
    for (unsigned i = 0; i < dev->count; i++)
        failed = failed && dev->nodes[i].process == KI_DEV_EXITED;
    dev_end(dev);
    if (failed)
        fprintf(stderr, "kith dev: no agent runs: %s\n", dev->nodes[0].line);
    else
        printf("kith dev: all %u agents are stopped\n", dev->count);
    return failed ? KI_EXIT_FAILED : KI_EXIT_OK;
}

/* ---- starting ---- */

static bool dev_make_nodes(struct ki_dev *dev)
{
    dev->nodes = calloc(dev->count, sizeof *dev->nodes);
    if (!dev->nodes)
        return false;
    for (unsigned i = 0; i < dev->count; i++) {
        struct ki_dev_node *node = &dev->nodes[i];
        node->dev = dev;
        node->index = i;
        node->control = -1;
        node->process = KI_DEV_LEFT; /* until it is started */
        snprintf(node->name, sizeof node->name, "node-%u", i + 1);
        snprintf(node->ip, sizeof node->ip, "127.0.0.%u", i + 1);
    }
    return true;
}

int ki_cmd_dev(int argc, char **argv)
{
    uint32_t nodes = 5;
    uint32_t port = 7946;
    uint32_t rpc_port = 7373;
    const char *profile = "local";
    const struct ki_flag flags[] = {
        {"nodes", KI_FLAG_UINT, &nodes, "5", "How many agents, 1 to 32."},
        {"base-port", KI_FLAG_UINT, &port, "7946",
         "The agents' port; another near it if it is taken."},
        {"rpc-port", KI_FLAG_UINT, &rpc_port, "7373",
         "The agents' RPC port; another near it if it is taken."},
        {"profile", KI_FLAG_TEXT, &profile, "local", "Timing: local, lan or wan."},
    };
    const struct ki_usage usage = {"dev",
                                   "",
                                   "Runs a cluster on this machine and shows who sees whom.",
                                   flags,
                                   KI_COUNT(flags),
                                   0,
                                   0};
    int first;
    int code;
    if (!ki_flags_parse(&usage, argc, argv, &first, &code))
        return code;
    if (nodes < 1 || nodes > KI_DEV_NODES_MAX)
        return ki_usage_error(&usage, "-nodes must be 1 to %d", KI_DEV_NODES_MAX);
    if (port < 1 || port > 65535 || rpc_port < 1 || rpc_port > 65535 || port == rpc_port)
        return ki_usage_error(&usage, "ports must be 1 to 65535, and two");
    if (strcmp(profile, "local") != 0 && strcmp(profile, "lan") != 0 && strcmp(profile, "wan") != 0)
        return ki_usage_error(&usage, "-profile must be local, lan or wan");
    struct ki_dev *dev = calloc(1, sizeof *dev);
    if (!dev || uv_loop_init(&dev->loop) != 0) {
        fprintf(stderr, "kith dev: out of memory\n");
        free(dev);
        return KI_EXIT_FAILED;
    }
    dev->count = nodes;
    dev->profile = profile;
    dev->tty = -1;
    code = KI_EXIT_FAILED;
    if (dev_make_nodes(dev) && dev_choose_ports(dev, (uint16_t)port, (uint16_t)rpc_port)) {
        if (dev->port != port || dev->rpc_port != rpc_port)
            printf("kith dev: port %u or %u is taken; using %u and %u\n", port, rpc_port, dev->port,
                   dev->rpc_port);
        code = dev_run(dev);
    }
    uv_loop_close(&dev->loop); /* every handle in it has been closed */
    free(dev->nodes);
    free(dev);
    return code;
}
