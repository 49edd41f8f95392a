/* One agent of `kith dev`, as a process.
 *
 *     start --> running <--SIGSTOP/SIGCONT--> stopped
 *                  |  \__ SIGTERM --> leaving --> left --+
 *                  +-- SIGKILL ----------------> killed -+--> start (same name, same address)
 *                  +-- by itself --------------> exited -+
 *
 * The child is made by fork and exec rather than by libuv, because three things must be done in
 * between: it dies with us (PR_SET_PDEATHSIG, and the control socket closes), it has a process group of
 * its own, so that Ctrl-C on the terminal is ours alone, and it inherits neither our signal
 * dispositions nor KITH_... variables meant for somebody else.
 *
 * Invariant: pid is not 0 exactly while there is a child that we have not reaped, so no signal ever
 * goes to a stranger.
 *
 * The drop list (partitions) goes over the control socket; a child that is stopped reads it when it
 * goes on. */
#include "cli/dev.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#define DEV_NODE_CONTROL 3 /* the descriptor in the child */

const char *ki_dev_process_text(enum ki_dev_process process)
{
    static const char *const texts[] = {
        [KI_DEV_RUNNING] = "running", [KI_DEV_STOPPED] = "stopped", [KI_DEV_LEAVING] = "leaving",
        [KI_DEV_LEFT] = "left",       [KI_DEV_KILLED] = "killed",   [KI_DEV_EXITED] = "exited",
    };
    return texts[process];
}

/* ---- starting ---- */

struct dev_node_launch {
    char bind[48];
    char rpc_addr[48];
    char resp_addr[48];
    char name[32];
    char profile[32];
    char *argv[8];
    char **envp; /* the strings are borrowed, but for the last */
    char control[32];
};

/* Our environment without what would configure the agent. */
static bool dev_node_environment(struct dev_node_launch *launch)
{
    size_t count = 0;
    while (environ[count])
        count++;
    launch->envp = calloc(count + 2, sizeof *launch->envp);
    if (!launch->envp)
        return false;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (strncmp(environ[i], "KITH_", 5) != 0 && strncmp(environ[i], "SERF_", 5) != 0)
            launch->envp[kept++] = environ[i];
    }
    snprintf(launch->control, sizeof launch->control, "KITH_DEV_FD=%d", DEV_NODE_CONTROL);
    launch->envp[kept] = launch->control;
    return true;
}

static bool dev_node_prepare(struct dev_node_launch *launch, const struct ki_dev_node *node)
{
    static char program[] = "kith";
    static char command[] = "agent";
    const struct ki_dev *dev = node->dev;
    snprintf(launch->bind, sizeof launch->bind, "-bind=%s:%u", node->ip, dev->port);
    snprintf(launch->rpc_addr, sizeof launch->rpc_addr, "-rpc-addr=%s:%u", node->ip, dev->rpc_port);
    if (dev->resp_port != 0)
        snprintf(launch->resp_addr, sizeof launch->resp_addr, "-resp-addr=%s:%u", node->ip, dev->resp_port);
    else
        snprintf(launch->resp_addr, sizeof launch->resp_addr, "-resp-addr=none");
    snprintf(launch->name, sizeof launch->name, "-node=%s", node->name);
    snprintf(launch->profile, sizeof launch->profile, "-profile=%s", dev->profile);
    char *argv[] = {program,          command,           launch->name,    launch->bind,
                    launch->rpc_addr, launch->resp_addr, launch->profile, NULL};
    memcpy(launch->argv, argv, sizeof argv);
    return dev_node_environment(launch);
}

/* In the child, after fork: only calls that are safe there.  Does not return. */
static void dev_node_exec(const struct dev_node_launch *launch, pid_t parent, int control,
                          int output)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    for (int number = 1; number < 32; number++)
        signal(number, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    /* Both ends are above 3 (the parent holds 0, 1 and 2, and a loop), so no dup2 hides another. */
    if (null < 0 || dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0 ||
        dup2(control, DEV_NODE_CONTROL) < 0)
        _exit(1);
    execve("/proc/self/exe", launch->argv, launch->envp);
    _exit(127);
}

/* ---- what it prints ---- */

static void dev_node_output_closed(uv_handle_t *handle)
{
    free(handle);
}

static void dev_node_close_output(struct ki_dev_node *node)
{
    if (!node->output)
        return;
    node->output->data = NULL;
    uv_close((uv_handle_t *)node->output, dev_node_output_closed);
    node->output = NULL;
}

static void dev_node_take_output(struct ki_dev_node *node, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != '\n') {
            unsigned char byte = (unsigned char)bytes[i];
            if (node->partial_len < sizeof node->partial - 1)
                node->partial[node->partial_len++] = byte >= 0x20 && byte < 0x7f ? bytes[i] : '?';
            continue;
        }
        node->partial[node->partial_len] = '\0';
        if (node->partial_len > 0)
            memcpy(node->line, node->partial, node->partial_len + 1);
        node->partial_len = 0;
    }
}

static void dev_node_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    static char shared[4096]; /* one read at a time, used up before the next */
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(shared, sizeof shared);
}

static void dev_node_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
    struct ki_dev_node *node = stream->data;
    if (!node)
        return;
    if (got > 0)
        dev_node_take_output(node, buf->base, (size_t)got);
    else if (got < 0)
        dev_node_close_output(node);
}

static bool dev_node_open_output(struct ki_dev_node *node, int fd)
{
    uv_pipe_t *pipe = malloc(sizeof *pipe);
    if (!pipe)
        return false;
    uv_pipe_init(&node->dev->loop, pipe, 0);
    pipe->data = node;
    node->output = pipe;
    node->partial_len = 0;
    node->line[0] = '\0';
    if (uv_pipe_open(pipe, fd) != 0)
        return false;
    return uv_read_start((uv_stream_t *)pipe, dev_node_alloc, dev_node_read) == 0;
}

/* ---- the drop list ---- */

static void dev_node_send_drops(const struct ki_dev_node *node)
{
    char line[KI_DEV_NODES_MAX * 25 + 8] = "drop";
    const struct ki_dev *dev = node->dev;
    if (node->control < 0)
        return;
    size_t len = strlen(line);
    for (unsigned i = 0; i < dev->count; i++) {
        if (i != node->index && (node->cut || dev->nodes[i].cut))
            len += (size_t)snprintf(line + len, sizeof line - len, " %s", dev->nodes[i].ip);
    }
    line[len++] = '\n';
    if (send(node->control, line, len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)len)
        ki_dev_say(node->dev, "%s does not take its drop list: %s", node->name, strerror(errno));
}

void ki_dev_node_cut(struct ki_dev_node *node)
{
    struct ki_dev *dev = node->dev;
    node->cut = !node->cut;
    for (unsigned i = 0; i < dev->count; i++)
        dev_node_send_drops(&dev->nodes[i]);
    ki_dev_say(dev, node->cut ? "%s is cut from all others" : "%s is connected again", node->name);
}

/* ---- life ---- */

/* Forks with both channels ready.  Returns false, errno set, with nothing left behind but open
 * descriptors of `fds`. */
static bool dev_node_fork(struct ki_dev_node *node, int sockets[2], int pipes[2])
{
    struct dev_node_launch launch;
    if (!dev_node_prepare(&launch, node))
        return false;
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        dev_node_exec(&launch, parent, sockets[1], pipes[1]);
    free(launch.envp);
    node->pid = pid > 0 ? pid : 0;
    return pid > 0;
}

static void dev_node_close_both(int fds[2])
{
    for (int i = 0; i < 2; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
        fds[i] = -1;
    }
}

void ki_dev_node_start(struct ki_dev_node *node)
{
    int sockets[2] = {-1, -1};
    int pipes[2] = {-1, -1};
    if (node->pid != 0)
        return;
    dev_node_close_output(node);
    node->restart = false;
    bool good = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) == 0 &&
                pipe2(pipes, O_CLOEXEC) == 0 && dev_node_fork(node, sockets, pipes);
    if (!good) {
        ki_dev_say(node->dev, "%s cannot start: %s", node->name, strerror(errno));
        node->process = KI_DEV_EXITED;
        dev_node_close_both(sockets);
        dev_node_close_both(pipes);
        return;
    }
    close(sockets[1]);
    close(pipes[1]);
    node->control = sockets[0];
    node->process = KI_DEV_RUNNING;
    node->cpu_ns = 0;
    if (!dev_node_open_output(node, pipes[0]))
        dev_node_close_output(node);
    ki_dev_say(node->dev, "%s started, pid %d", node->name, (int)node->pid);
    dev_node_send_drops(node);
}

/* What the process was when it ended. */
static void dev_node_ended(struct ki_dev_node *node, int status)
{
    enum ki_dev_process was = node->process;
    node->pid = 0;
    node->rss_bytes = 0;
    node->cpu_permille = 0;
    if (node->control >= 0)
        close(node->control);
    node->control = -1;
    ki_dev_link_close(node);
    ki_dev_view_forget(node);
    if (was == KI_DEV_LEAVING && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        node->process = KI_DEV_LEFT;
        ki_dev_say(node->dev, "%s has left and exited", node->name);
    } else if (was != KI_DEV_KILLED) {
        node->process =
            WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? KI_DEV_KILLED : KI_DEV_EXITED;
        if (WIFSIGNALED(status))
            ki_dev_say(node->dev, "%s ended by signal %d", node->name, WTERMSIG(status));
        else
            ki_dev_say(node->dev, "%s exited with %d: %s", node->name, WEXITSTATUS(status),
                       node->line);
    }
    if (node->restart)
        ki_dev_node_start(node);
}

/* Reads what the pipe still holds: why it ended, most likely. */
static void dev_node_last_words(struct ki_dev_node *node)
{
    char text[4096];
    uv_os_fd_t fd;
    if (!node->output || uv_fileno((uv_handle_t *)node->output, &fd) != 0)
        return;
    for (int i = 0; i < 16; i++) { /* as much as a pipe holds */
        ssize_t got = read(fd, text, sizeof text);
        if (got <= 0)
            return;
        dev_node_take_output(node, text, (size_t)got);
    }
}

void ki_dev_node_reap(struct ki_dev_node *node)
{
    int status;
    if (node->pid != 0 && waitpid(node->pid, &status, WNOHANG) == node->pid) {
        dev_node_last_words(node);
        dev_node_ended(node, status);
    }
}

void ki_dev_node_end(struct ki_dev_node *node)
{
    int status;
    if (node->pid != 0) {
        kill(node->pid, SIGKILL);
        while (waitpid(node->pid, &status, 0) < 0 && errno == EINTR)
            continue;
        node->pid = 0;
    }
    if (node->control >= 0)
        close(node->control);
    node->control = -1;
    dev_node_close_output(node);
    ki_dev_link_close(node);
}

void ki_dev_node_kill(struct ki_dev_node *node)
{
    if (node->pid == 0 || node->process == KI_DEV_KILLED)
        return;
    node->process = KI_DEV_KILLED;
    kill(node->pid, SIGKILL);
    ki_dev_say(node->dev, "%s killed (kill -9)", node->name);
}

void ki_dev_node_stop(struct ki_dev_node *node)
{
    if (node->process == KI_DEV_RUNNING) {
        node->process = KI_DEV_STOPPED;
        kill(node->pid, SIGSTOP);
        ki_dev_say(node->dev, "%s stopped (SIGSTOP)", node->name);
    } else if (node->process == KI_DEV_STOPPED) {
        node->process = KI_DEV_RUNNING;
        kill(node->pid, SIGCONT);
        ki_dev_say(node->dev, "%s goes on (SIGCONT)", node->name);
    }
}

void ki_dev_node_restart(struct ki_dev_node *node)
{
    if (node->pid == 0) {
        ki_dev_node_start(node);
        return;
    }
    ki_dev_node_kill(node);
    node->restart = true;
}

void ki_dev_node_leave(struct ki_dev_node *node)
{
    if (node->process == KI_DEV_STOPPED)
        ki_dev_node_stop(node);
    if (node->process != KI_DEV_RUNNING)
        return;
    node->process = KI_DEV_LEAVING;
    kill(node->pid, SIGTERM);
    ki_dev_say(node->dev, "%s is asked to leave", node->name);
}

/* ---- cost ---- */

/* Reads a small file of /proc/PID.  Returns false when it is gone. */
static bool dev_node_proc(const struct ki_dev_node *node, const char *file, char text[256])
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)node->pid, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t got = read(fd, text, 255);
    close(fd);
    if (got <= 0)
        return false;
    text[got] = '\0';
    return true;
}

void ki_dev_node_measure(struct ki_dev_node *node)
{
    char text[256];
    if (node->pid == 0)
        return;
    const char *second = dev_node_proc(node, "statm", text) ? strchr(text, ' ') : NULL;
    if (second)
        node->rss_bytes = strtoull(second, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
    if (!dev_node_proc(node, "schedstat", text))
        return;
    uint64_t cpu_ns = strtoull(text, NULL, 10);
    if (node->cpu_ns != 0 && cpu_ns >= node->cpu_ns)
        node->cpu_permille = (uint32_t)((cpu_ns - node->cpu_ns) / 1000000); /* ms in a second */
    node->cpu_ns = cpu_ns;
}
