/* A snapshot file of any bytes: what is read is sorted, whole and unique, a node starts from it, and what the living
 * lines say, written again as a file, reads the same. */
#include "agent/snapshot.h"
#include "net/net.h"
#include "scenario/lone.h"

#include <inttypes.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char snapshot_path[64];

static void snapshot_gone(void)
{
    unlink(snapshot_path);
}

static void snapshot_put(const void *bytes, size_t len)
{
    if (snapshot_path[0] == '\0') {
        snprintf(snapshot_path, sizeof snapshot_path, "/tmp/fuzz-snapshot-%ld", (long)getpid());
        LONE_CHECK(atexit(snapshot_gone) == 0);
    }
    FILE *file = fopen(snapshot_path, "w");
    LONE_CHECK(file != NULL && fwrite(bytes, 1, len, file) == len);
    LONE_CHECK(fclose(file) == 0);
}

static void snapshot_check(const struct ki_snapshot_state *state)
{
    for (size_t i = 0; i < state->count; i++) {
        const struct ki_snapshot_peer *peer = &state->peers[i];
        size_t len = strlen(peer->name);
        LONE_CHECK(len > 0 && len <= KITH_NAME_MAX && !strchr(peer->name, '\n'));
        LONE_CHECK((peer->addr.ip_len == 4 || peer->addr.ip_len == 16) && peer->addr.port != 0);
        LONE_CHECK(i == 0 || strcmp(state->peers[i - 1].name, peer->name) < 0);
    }
}

/* A node takes all of it, or says why not; neither harms. */
static void snapshot_load(const struct ki_snapshot_state *state)
{
    struct lone_memory memory = {0};
    struct kith_config c;
    kith *k = NULL;
    lone_config(&c);
    c.memory = lone_hooks(&memory);
    c.members_max = 8;
    LONE_CHECK(kith_new(&k, &c) == 0);
    const struct kith_record clock = {.kind = KITH_RECORD_CLOCK, .value = state->clock};
    const struct kith_record incarnation = {.kind = KITH_RECORD_INCARNATION, .value = state->incarnation};
    (void)kith_load(k, &clock);
    (void)kith_load(k, &incarnation);
    for (size_t i = 0; i < state->count; i++) {
        const struct kith_record record = {.kind = KITH_RECORD_MEMBER,
                                           .name = lone_str(state->peers[i].name),
                                           .addr = state->peers[i].addr};
        (void)kith_load(k, &record);
    }
    LONE_CHECK(kith_ready(k, lone_time(LONE_SECOND)) == 0);
    lone_check(k);
    kith_free(k);
    LONE_CHECK(memory.blocks == 0);
}

static void snapshot_again(const struct ki_snapshot_state *state)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    LONE_CHECK(out != NULL);
    for (size_t i = 0; i < state->count; i++) {
        char addr[KI_ADDR_TEXT];
        ki_addr_format(&state->peers[i].addr, addr);
        fprintf(out, "alive: %s %s\n", state->peers[i].name, addr);
    }
    fprintf(out, "clock: %" PRIu64 "\n# incarnation: %u\n", state->clock, (unsigned)state->incarnation);
    LONE_CHECK(fclose(out) == 0);
    snapshot_put(text, len);
    free(text);
    struct ki_snapshot_state back;
    LONE_CHECK(ki_snapshot_read(&back, snapshot_path, false, NULL) == 0);
    LONE_CHECK(back.count == state->count && back.skipped == 0);
    LONE_CHECK(back.clock == state->clock && back.incarnation == state->incarnation);
    for (size_t i = 0; i < back.count; i++)
        LONE_CHECK(strcmp(back.peers[i].name, state->peers[i].name) == 0 &&
                   ki_addr_same_ip(&back.peers[i].addr, &state->peers[i].addr) &&
                   back.peers[i].addr.port == state->peers[i].addr.port);
    ki_snapshot_state_free(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ki_log *log;
    struct ki_snapshot_state state;
    if (size < 1)
        return -1;
    if (!log)
        log = ki_log_new(-1, KI_LOG_ERR, KI_LOG_TEXT, "self");
    LONE_CHECK(log != NULL);
    snapshot_put(data + 1, size - 1);
    bool rejoin = data[0] & 1;
    LONE_CHECK(ki_snapshot_read(&state, snapshot_path, rejoin, log) == 0);
    LONE_CHECK(!rejoin || !state.left);
    snapshot_check(&state);
    snapshot_load(&state);
    snapshot_again(&state);
    ki_snapshot_state_free(&state);
    return 0;
}
