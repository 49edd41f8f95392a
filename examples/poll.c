/* A member of a Serf pool in one file: libkith driven by plain poll(2).
 *
 *     poll [-n SECONDS] NAME IP:PORT JOIN_IP:PORT...        (IPv4)
 *
 * joins, prints what becomes of the members, and leaves on SIGINT, SIGTERM or after SECONDS.  libkith says what to do;
 * this file owns the sockets and the clock.  Not here: looking up names, keys, records kept for the next start. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <kith/kith.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHECK(fine) ((fine) ? (void)0 : (perror("poll: " #fine), exit(1)))
enum { STREAMS = 32, JOINS = 16, PIECE = 4096 };
static struct stream {
    int fd;      /* 0: a free place */
    uint32_t id; /* 0: dead for the core, only sends what is left */
    bool connecting, paused;
    size_t len, sent; /* of out: given by the core, taken by the socket */
    uint8_t out[PIECE];
} streams[STREAMS];
static uint8_t buf[65536];
static volatile sig_atomic_t interrupted;

static void on_signal(int number) { interrupted = number; }

static struct kith_time now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (struct kith_time){.mono_us = (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000,
                              .wall_us = (uint64_t)time(NULL) * 1000000};
}

static struct kith_addr addr_of(const struct sockaddr_in *from)
{
    struct kith_addr addr = {.ip_len = 4, .port = ntohs(from->sin_port)};
    memcpy(addr.ip, &from->sin_addr, 4);
    return addr;
}

static struct sockaddr_in sockaddr_of(const struct kith_addr *addr)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(addr->port)};
    memcpy(&to.sin_addr, addr->ip + addr->ip_len - 4, 4); /* 4 bytes, or 16 that hold an IPv4 address */
    return to;
}

static int socket_at(const struct kith_addr *addr, int type)
{
    struct sockaddr_in at = sockaddr_of(addr);
    int fd = socket(AF_INET, type | SOCK_NONBLOCK, 0), on = type == SOCK_STREAM;
    CHECK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
    CHECK(bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && (!on || listen(fd, 64) == 0));
    return fd;
}

/* ---- streams ---- */

static void stream_new(kith *k, int fd, uint32_t id, const struct sockaddr_in *to)
{
    struct stream *s = streams;
    while (s < streams + STREAMS - 1 && s->fd != 0)
        s++;
    if (fd < 0 || s->fd != 0) {
        kith_stream_failed(k, now(), id, KITH_ERR_UNREACHABLE);
        close(fd);
        return;
    }
    *s = (struct stream){.fd = fd, .id = id, .connecting = to != NULL};
    if (to)
        connect(fd, (const struct sockaddr *)to, sizeof *to); /* poll() tells how it ends */
}

static void stream_close(kith *k, struct stream *s)
{
    if (s->id != 0)
        kith_stream_failed(k, now(), s->id, KITH_ERR_UNREACHABLE);
    close(s->fd);
    *s = (struct stream){.fd = 0};
}

/* Looks at what has come, and takes it from the socket as far as the core does: the rest waits there for RESUME. */
static void stream_read(kith *k, struct stream *s)
{
    size_t taken = 0;
    ssize_t got = recv(s->fd, buf, PIECE, MSG_PEEK | MSG_DONTWAIT);
    if (got > 0)
        kith_stream_bytes(k, now(), s->id, buf, (size_t)got, &taken);
    else if (got == 0)
        kith_stream_end(k, now(), s->id);
    else
        stream_close(k, s);
    s->paused = got == 0 || (got > 0 && taken < (size_t)got);
    if (taken > 0)
        recv(s->fd, buf, taken, MSG_DONTWAIT);
}

static void stream_write(kith *k, struct stream *s)
{
    ssize_t sent = 0;
    for (; sent >= 0; s->sent += sent > 0 ? (size_t)sent : 0) {
        if (s->sent == s->len)
            s->sent = s->len = 0;
        if (s->len == 0 && s->id != 0)
            kith_stream_write(k, now(), s->id, s->out, PIECE, &s->len);
        if (s->len == 0)
            break;
        sent = send(s->fd, s->out + s->sent, s->len - s->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    if ((sent < 0 && errno != EAGAIN) || (s->id == 0 && s->len == 0))
        stream_close(k, s); /* else poll() tells when there is room, or the core when there is more */
}

static void stream_act(kith *k, const struct kith_stream_action *action)
{
    struct sockaddr_in to = sockaddr_of(&action->addr);
    struct stream *s = streams;
    if (action->kind == KITH_STREAM_OPEN) {
        stream_new(k, socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), action->id, &to);
        return;
    }
    while (s->id != action->id)
        s++; /* it is there: the core forgets those that failed */
    if (action->kind == KITH_STREAM_RESUME)
        s->paused = false;
    if (action->kind == KITH_STREAM_FINISH || action->kind == KITH_STREAM_ABORT)
        s->id = 0;
    if (action->kind == KITH_STREAM_ABORT)
        s->len = 0;
    stream_write(k, s);
}

/* ---- the loop ---- */

static void wait_and_feed(kith *k, int udp, int listener)
{
    struct pollfd fds[STREAMS + 2];
    struct sockaddr_in from;
    socklen_t from_len = sizeof from;
    ssize_t got;
    for (struct stream *s = streams; s < streams + STREAMS; s++) {
        short want = s->connecting || s->len > 0 ? POLLOUT : s->paused ? 0 : POLLIN;
        fds[s - streams] = (struct pollfd){.fd = s->fd && want ? s->fd : -1, .events = want};
    }
    fds[STREAMS] = (struct pollfd){.fd = listener, .events = POLLIN};
    fds[STREAMS + 1] = (struct pollfd){.fd = udp, .events = POLLIN};
    uint64_t now_us = now().mono_us, due_us = kith_deadline(k);
    uint64_t wait_us = due_us < now_us ? 0 : due_us - now_us > 500000 ? 500000 : due_us - now_us;
    if (poll(fds, STREAMS + 2, (int)((wait_us + 999) / 1000)) > 0) {
        for (int i = 0; i < 64; i++) {
            got = recvfrom(udp, buf, sizeof buf, 0, (struct sockaddr *)&from, &from_len);
    ...
