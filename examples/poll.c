/* A member of a Serf pool in one file: libkith driven by plain poll(2).
 *
 *     poll [-n SECONDS] NAME IP:PORT JOIN_IP:PORT...        (IPv4)
 * joins, prints what becomes of the members, and leaves on SIGINT or after SECONDS.  libkith says what to do; this file
 * owns the sockets and the clock.  Not here: host names, keys, records for the next start, escaping what is printed. */
#define _POSIX_C_SOURCE 200809L
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
enum { FDS = 64, ADDRS = 16, PIECE = 4096 };
static struct stream {
    uint32_t id; /* 0: over for the core, but there may be something left to send */
    bool connecting;
    int want;         /* what poll() waits for: 0 while paused with nothing to send */
    size_t len, sent; /* of out: given by the core, taken by the socket */
    uint8_t out[PIECE];
} streams[FDS]; /* by file descriptor */
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

static struct sockaddr_in sockaddr_of(const struct kith_addr *addr)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(addr->port)};
    memcpy(&to.sin_addr, addr->ip + addr->ip_len - 4, 4); /* 4 bytes, or 16 that hold an IPv4 address */
    return to;
}

static struct kith_addr addr_of(const struct sockaddr_in *from)
{
    struct kith_addr addr = {.ip_len = 4, .port = ntohs(from->sin_port)};
    memcpy(addr.ip, &from->sin_addr, 4);
    return addr;
}

static int socket_at(const struct kith_addr *addr, int type)
{
    struct sockaddr_in at = sockaddr_of(addr);
    int fd = socket(AF_INET, type | SOCK_NONBLOCK, 0), on = type == SOCK_STREAM;
    CHECK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
    CHECK(bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && (!on || listen(fd, 64) == 0));
    return fd;
}

static void stream_act(kith *k, const struct kith_stream_action *action)
{
    struct stream *s = streams;
    if (action->kind == KITH_STREAM_OPEN) {
        struct sockaddr_in to = sockaddr_of(&action->addr);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (fd >= 0 && fd < FDS) {
            streams[fd] = (struct stream){.id = action->id, .connecting = true, .want = POLLIN | POLLOUT};
            connect(fd, (struct sockaddr *)&to, sizeof to); /* poll() tells how it ends */
        } else {
            close(fd);
            kith_stream_failed(k, now(), action->id, KITH_ERR_UNREACHABLE);
        }
        return;
    }
    while (s->id != action->id)
        s++; /* it is there: the core names none that has failed */
    bool over = action->kind == KITH_STREAM_FINISH || action->kind == KITH_STREAM_ABORT;
    s->want = over ? POLLOUT : s->want | (action->kind == KITH_STREAM_RESUME ? POLLIN : POLLOUT);
    s->id = over ? 0 : s->id;
    s->len = action->kind == KITH_STREAM_ABORT ? s->sent : s->len; /* else what is left goes out first */
}

static void stream_ready(kith *k, int fd, int events)
{
    struct stream *s = &streams[fd];
    size_t taken = 0;
    ssize_t done = 0;
    if (s->connecting && (events & POLLERR) == 0) {
        s->connecting = false;
        kith_stream_opened(k, now(), s->id);
    } else if (events & POLLOUT) {
        if (s->sent == s->len) {
            s->sent = 0;
            kith_stream_write(k, now(), s->id, s->out, PIECE, &s->len);
        }
        if (s->len == 0)
            s->want &= ~POLLOUT;
        done = send(fd, s->out + s->sent, s->len - s->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        s->sent += done > 0 ? (size_t)done : 0;
    } else if ((done = recv(fd, buf, PIECE, MSG_PEEK | MSG_DONTWAIT)) >= 0) {
        if (done > 0)
            kith_stream_bytes(k, now(), s->id, buf, (size_t)done, &taken);
        else
            kith_stream_end(k, now(), s->id);
        if (done == 0 || taken < (size_t)done)
            s->want &= ~POLLIN; /* the rest waits in the socket for RESUME */
        recv(fd, buf, taken, MSG_DONTWAIT);
    }
    if (done < 0 || (s->id == 0 && s->sent == s->len)) {
        kith_stream_failed(k, now(), s->id, KITH_ERR_UNREACHABLE); /* 0 is no stream's id */
        *s = (struct stream){.want = 0};
        close(fd);
    }
}

/* One turn of the loop: carry out what the core wants, wait, tell it what has happened.  False: `last` has ended. */
static bool turn(kith *k, int udp, int listener, kith_ticket last)
{
    static const char *const status[] = {"none", "alive", "leaving", "left", "failed"};
    struct kith_stream_action action;
    struct kith_event event;
    struct kith_addr addr;
    struct sockaddr_in peer = {.sin_family = AF_INET};
    socklen_t peer_len = sizeof peer;
    size_t len;
    uint32_t id;
    while (kith_poll_datagram(k, now(), &addr, buf, sizeof buf, &len)) {
        peer = sockaddr_of(&addr);
        sendto(udp, buf, len, 0, (struct sockaddr *)&peer, sizeof peer); /* or it is lost, as datagrams may be */
    }
    while (kith_poll_stream(k, &action))
        stream_act(k, &action);
    while (kith_poll_event(k, &event)) {
        const struct kith_member *m = &event.member;
        if (event.kind == KITH_EVENT_MEMBER)
            printf("%.*s %s\n", (int)m->name.len, m->name.ptr,
                   m->state == KITH_STATE_SUSPECT ? "suspect" : status[m->status]);
        else if (event.kind == KITH_EVENT_DONE && event.result != 0)
            fprintf(stderr, "poll: %s\n", kith_strerror(event.result));
        if (event.kind == KITH_EVENT_DONE && event.ticket == last)
            return false;
    }
    struct pollfd fds[FDS];
    for (int fd = 0; fd < FDS; fd++)
        fds[fd] = (struct pollfd){.fd = streams[fd].want ? fd : -1, .events = (short)streams[fd].want};
    uint64_t now_us = now().mono_us, due_us = kith_deadline(k);
    poll(fds, FDS, due_us <= now_us ? 0 : due_us - now_us > 500000 ? 500 : (int)((due_us - now_us) / 1000 + 1));
    for (ssize_t got; (got = recvfrom(udp, buf, sizeof buf, 0, (struct sockaddr *)&peer, &peer_len)) > 0;) {
        addr = addr_of(&peer);
        kith_datagram(k, now(), &addr, buf, (size_t)got);
    }
    for (int i = 0; i < FDS; i++)
        if (fds[i].revents && i != udp && i != listener)
            stream_ready(k, i, fds[i].revents);
    int fd = accept(listener, (struct sockaddr *)&peer, &peer_len);
    addr = addr_of(&peer);
    if (fd >= 0 && fd < FDS && kith_stream_accept(k, now(), &addr, &id) == 0)
        streams[fd] = (struct stream){.id = id, .want = POLLIN};
    else
        close(fd);
    if (kith_deadline(k) <= now().mono_us)
        kith_tick(k, now());
    return true;
}

int main(int argc, char **argv)
{
    int skip = argc > 2 && strcmp(argv[1], "-n") == 0 ? 3 : 1, count = argc - skip - 1;
    struct kith_addr at[ADDRS]; /* ours, and those to join */
    struct kith_config config;
    kith_ticket joining, leaving = 0;
    kith *k;
    if (count < 2 || count > ADDRS)
        return fprintf(stderr, "usage: poll [-n SECONDS] NAME IP:PORT JOIN_IP:PORT...\n"), 2;
    for (int i = 0; i < count; i++) {
        uint8_t *ip = at[i].ip;
        at[i].ip_len = 4;
        CHECK(sscanf(argv[skip + 1 + i], "%hhu.%hhu.%hhu.%hhu:%hu", ip, ip + 1, ip + 2, ip + 3, &at[i].port) == 5);
    }
    kith_config_init(&config, KITH_PROFILE_LAN);
    config.name = (struct kith_str){argv[skip], strlen(argv[skip])};
    config.addr = at[0];
    CHECK(getrandom(config.seed, sizeof config.seed, 0) == sizeof config.seed);
    int udp = socket_at(&at[0], SOCK_DGRAM), listener = socket_at(&at[0], SOCK_STREAM);
    streams[udp].want = streams[listener].want = POLLIN;
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGINT, on_signal);
    signal(SIGALRM, on_signal);
    alarm(skip == 3 ? (unsigned)strtoul(argv[2], NULL, 10) : 0);
    CHECK(kith_new(&k, &config) == 0 && kith_ready(k, now()) == 0);
    CHECK(kith_join(k, now(), at + 1, (size_t)count - 1, false, &joining) == 0);
    while (turn(k, udp, listener, leaving))
        if (interrupted && leaving == 0)
            CHECK(kith_leave(k, now(), &leaving) == 0);
    kith_free(k);
    return 0;
}
