/* What it costs two replicas to know that they hold the same: two whole instances in one process, in virtual time.
 *
 *     bench_rounds [keys] [seconds]     1,000,000 keys, 60 s
 *
 * Each datagram is taken apart: the bytes of kith's messages 1 to 3 and 9 (PROTOCOL.md, "Stores of a pool"), and what the
 * datagram is longer by because they ride in it, which counts the heads of the compound.  A round is one message 9 and its
 * answer; processor time is that of both instances, with all else that they do, less that of a pair without keys.
 * One line a figure. */
#include <time.h>

#include "kith/store.h"
#include "scenario/duo.h"

struct tally {
    uint64_t datagrams, bytes; /* all */
    uint64_t kinds[10], kind_bytes[10];
    uint64_t added; /* bytes that would not have been sent without kith's messages */
    uint64_t alone; /* datagrams with nothing else in them */
};

static struct tally tally;

static double now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* Counts a message if it is one of roots.  false: it is something else. */
static bool count_message(const uint8_t *at, size_t len)
{
    unsigned kind = len >= 3 && at[0] == 8 && at[1] == 0x4b ? at[2] & 0x7f : 0;
    if ((kind < 1 || kind > 3) && kind != 9)
        return false;
    tally.kinds[kind]++;
    tally.kind_bytes[kind] += len;
    return true;
}

static void count_datagram(const uint8_t *buf, size_t len)
{
    tally.datagrams++;
    tally.bytes += len;
    size_t at = len > 5 && buf[0] == 0x0c ? 5 : 0, own = 0, parts;
    if (buf[at] != 7) {
        bool is_ours = count_message(buf + at, len - at);
        tally.alone += is_ours;
        tally.added += is_ours ? len : 0;
        return;
    }
    parts = buf[at + 1];
    size_t own_parts = 0, part = at + 2 + 2 * parts;
    for (size_t i = 0; i < parts; i++) {
        size_t part_len = (size_t)buf[at + 2 + 2 * i] << 8 | buf[at + 3 + 2 * i];
        LONE_CHECK(part + part_len <= len);
        if (count_message(buf + part, part_len)) {
            own_parts++;
            own += 2 + part_len;
        }
        part += part_len;
    }
    if (own_parts == parts) { /* nothing else in it */
        own = len;
        tally.alone++;
    } else if (own_parts > 0 && parts - own_parts == 1) { /* without ours it would be no compound */
        own += 4;
    }
    tally.added += own;
}

static bool datagrams(struct duo *d, unsigned n)
{
    uint8_t buf[2048];
    struct kith_addr to, from = lone_addr((uint8_t)(n + 1), 7946);
    struct kith_event event;
    size_t len;
    bool any = false;
    while (kith_poll_datagram(d->side[n].k, d->now, &to, buf, sizeof buf, &len)) {
        any = true;
        count_datagram(buf, len);
        kith_datagram(d->side[duo_of_addr(&to)].k, d->now, &from, buf, len);
    }
    while (kith_poll_event(d->side[n].k, &event)) {
    }
    return any;
}

static void run(struct duo *d, uint64_t seconds)
{
    uint64_t end_us = d->now.mono_us + seconds * LONE_SECOND;
    while (d->now.mono_us < end_us) {
        bool any = false;
        for (unsigned i = 0; i < DUO_WIRES; i++)
            any = duo_wire_run(d, &d->wires[i]) || any;
        for (unsigned n = 0; n < 2; n++) {
            if (kith_deadline(d->side[n].k) <= d->now.mono_us) {
                kith_tick(d->side[n].k, d->now);
                any = true;
            }
            any = duo_actions(d, n) || any;
            any = datagrams(d, n) || any;
        }
        uint64_t next_us = d->now.mono_us + 50;
        if (!any)
            next_us = ki_max_u64(
                next_us, ki_min_u64(kith_deadline(d->side[0].k), kith_deadline(d->side[1].k)));
        d->now = lone_time(ki_min_u64(next_us, end_us));
    }
}

static void meet(struct duo *d, unsigned n)
{
    static const char meta[] = "\xff\x81\xa5_kith\xa4"
                               "1-1s";
    struct kith_member m = {.name = lone_str(n ? "zero" : "one"),
                            .addr = lone_addr(n ? 1 : 2, 7946),
                            .meta = {meta, sizeof meta - 1},
                            .status = KITH_STATUS_ALIVE,
                            .incarnation = 5,
                            .versions = {1, 5, 2, 2, 5, 5}};
    LONE_CHECK(kith_import_members(d->side[n].k, d->now, &m, 1) == 0);
}

static struct duo *pair(unsigned keys)
{
    struct duo *d = duo_new();
    for (unsigned n = 0; n < 2; n++) {
        struct kith_config c;
        struct kith_store_config store;
        duo_config(&c, n);
        c.memory = (struct kith_memory){0};
        c.compress = false;
        kith_store_config_init(&store);
        LONE_CHECK(kith_new(&d->side[n].k, &c) == 0 && kith_store_open(d->side[n].k, &store) == 0);
        LONE_CHECK(kith_ready(d->side[n].k, d->now) == 0);
    }
    for (unsigned i = 0; i < keys; i++) { /* before they meet: a repair carries them over */
        char name[32];
        snprintf(name, sizeof name, "key:%012u", i);
        LONE_CHECK(kith_set(d->side[0].k, d->now, lone_str(name), lone_str(name), KITH_NEVER_MS) ==
                   0);
    }
    for (unsigned n = 0; n < 2; n++)
        meet(d, n);
    struct kith_store_gauges gauges[2];
    for (unsigned tries = 0; tries < 300; tries++) {
        run(d, 1);
        for (unsigned n = 0; n < 2; n++)
            LONE_CHECK(kith_store_read_gauges(d->side[n].k, &gauges[n]) == 0);
        if (gauges[1].keys == keys && gauges[0].peers_in_sync == 1 && gauges[1].peers_in_sync == 1)
            return d;
    }
    fprintf(stderr, "the two do not come to agree: %llu keys, in sync %u %u\n",
            (unsigned long long)gauges[1].keys, gauges[0].peers_in_sync, gauges[1].peers_in_sync);
    exit(1);
}

static double idle_ms(unsigned keys, unsigned seconds)
{
    struct duo *d = pair(keys);
    run(d, 5);
    tally = (struct tally){0};
    double start = now_ms();
    run(d, seconds);
    double took = now_ms() - start;
    for (unsigned n = 0; n < 2; n++)
        kith_free(d->side[n].k);
    for (unsigned i = 0; i < DUO_WIRES; i++) {
        free(d->wires[i].bytes[0]);
        free(d->wires[i].bytes[1]);
    }
    free(d);
    return took;
}

int main(int argc, char **argv)
{
    unsigned keys = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1000000;
    unsigned seconds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 60;
    double empty = idle_ms(0, seconds), full = idle_ms(keys, seconds);
    double rounds = (double)tally.kinds[9];
    uint64_t own = tally.kind_bytes[9] + tally.kind_bytes[3];
    LONE_CHECK(tally.kinds[9] > 0 && tally.kinds[1] == 0 && tally.kinds[2] == 0);
    printf("rounds %u %.0f\nmessage_bytes %u %.1f\nadded_bytes %u %.1f\nalone %u %.3f\ncpu_us %u "
           "%.2f\n",
           keys, rounds, keys, (double)own / rounds, keys, (double)tally.added / rounds, keys,
           (double)tally.alone / rounds, keys, (full - empty) * 1e3 / rounds);
    return 0;
}
