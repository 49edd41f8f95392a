/* What happened, twice: as a running digest, always, and as lines of text, when asked for.
 *
 * The digest takes in every datagram sent and delivered, every byte of every stream, every event told and the time of
 * each.  Two runs with one digest were the same run.  It is a chain of multiplications and shifts over 64-bit words read
 * little-endian, not a cryptographic hash: nobody is trying to fool it.
 *
 * The text is a ring of lines, "SECONDS NODE WHAT".  Whoever wants to read the end of a failed run repeats its seed with
 * the text on; so the thousands that do not fail pay nothing for it. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "sim/world.h"

static uint64_t trace_mix(uint64_t chain, uint64_t word)
{
    uint64_t h = (chain ^ word) * 0x9e3779b97f4a7c15;
    return h ^ h >> 29;
}

void ki_sim_digest(kith_sim *s, uint64_t word)
{
    s->digest = trace_mix(s->digest, word);
}

/* Little-endian, wherever it runs; compilers make one load of it. */
static uint64_t trace_word(const uint8_t b[8])
{
    return (uint64_t)b[0] | (uint64_t)b[1] << 8 | (uint64_t)b[2] << 16 | (uint64_t)b[3] << 24 | (uint64_t)b[4] << 32 |
           (uint64_t)b[5] << 40 | (uint64_t)b[6] << 48 | (uint64_t)b[7] << 56;
}

/* Long ones in four chains side by side, whose ends join: one chain alone waits for each multiplication. */
void ki_sim_digest_bytes(kith_sim *s, const void *bytes, size_t len)
{
    const uint8_t *b = bytes;
    uint8_t rest[8] = {0};
    uint64_t lanes[4] = {1, 2, 3, 4};
    ki_sim_digest(s, len);
    bool side_by_side = len >= 64;
    for (; side_by_side && len >= 32; len -= 32, b += 32) {
        for (unsigned i = 0; i < 4; i++)
            lanes[i] = trace_mix(lanes[i], trace_word(b + 8 * i));
    }
    for (unsigned i = 0; side_by_side && i < 4; i++)
        ki_sim_digest(s, lanes[i]);
    for (; len >= 8; len -= 8, b += 8)
        ki_sim_digest(s, trace_word(b));
    if (len > 0) {
        memcpy(rest, b, len);
        ki_sim_digest(s, trace_word(rest));
    }
}

uint64_t kith_sim_digest(const kith_sim *s)
{
    return s->digest;
}

const char *ki_sim_name(const kith_sim *s, uint32_t node)
{
    return node < s->count ? s->nodes[node]->config.name.ptr : "elsewhere";
}

void ki_sim_trace(kith_sim *s, uint32_t node, const char *format, ...)
{
    if (!sim_traces(s))
        return;
    size_t at = (s->line_first + s->line_count) % s->cfg.trace_lines;
    if (s->line_count == s->cfg.trace_lines)
        s->line_first = (s->line_first + 1) % s->cfg.trace_lines;
    else
        s->line_count++;
    int used = snprintf(s->lines[at], SIM_LINE, "%llu.%06llu %s ", (unsigned long long)(s->now_us / 1000000),
                        (unsigned long long)(s->now_us % 1000000), node == KITH_SIM_ALL ? "-" : ki_sim_name(s, node));
    size_t head = ki_min_size((size_t)(used < 0 ? 0 : used), SIM_LINE - 1);
    va_list args;
    va_start(args, format);
    vsnprintf(s->lines[at] + head, SIM_LINE - head, format, args);
    va_end(args);
}

const char *kith_sim_trace(const kith_sim *s, size_t index)
{
    return index < s->line_count ? s->lines[(s->line_first + index) % s->cfg.trace_lines] : NULL;
}

void ki_sim_trace_datagram(kith_sim *s, const char *verb, uint32_t node, uint32_t other, const void *buf, size_t len)
{
    if (!sim_traces(s))
        return;
    char text[SIM_LINE];
    kith_describe(s->nodes[node]->k, buf, len, text, sizeof text);
    ki_sim_trace(s, node, "%s %s: %s", verb, ki_sim_name(s, other), text);
}

static void trace_member_event(kith_sim *s, uint32_t node, const struct kith_event *e)
{
    static const struct {
        uint32_t bit;
        const char *word;
    } words[] = {{KITH_CHANGED_JOINED, "joined"},   {KITH_CHANGED_LEFT, "left"},       {KITH_CHANGED_FAILED, "failed"},
                 {KITH_CHANGED_TAGS, "tags"},       {KITH_CHANGED_REAPED, "reaped"},   {KITH_CHANGED_SUSPECT, "suspect"},
                 {KITH_CHANGED_LEAVING, "leaving"}};
    char text[96] = "";
    size_t used = 0;
    for (size_t i = 0; i < KI_COUNT(words); i++) {
        bool restored = words[i].bit == KITH_CHANGED_SUSPECT && e->member.state != KITH_STATE_SUSPECT;
        if (e->changed & words[i].bit && used < sizeof text)
            used += (size_t)snprintf(text + used, sizeof text - used, " %s%s", restored ? "not-" : "", words[i].word);
    }
    ki_sim_trace(s, node, "event%s %.*s incarnation %u", text, (int)e->member.name.len, e->member.name.ptr,
                 (unsigned)e->member.incarnation);
}

static void trace_message_event(kith_sim *s, uint32_t node, const char *what, const struct kith_event *e)
{
    const struct kith_message *m = &e->message;
    ki_sim_trace(s, node, "%s %.*s of %.*s number %" PRIu64 " to %" PRIu64 ", %zu bytes, result %d", what,
                 (int)m->name.len, m->name.ptr, (int)m->origin.len, m->origin.ptr, m->seq, m->seq_last, m->payload.len,
                 e->result);
}

void ki_sim_trace_event(kith_sim *s, uint32_t node, const struct kith_event *e)
{
    if (!sim_traces(s))
        return;
    switch (e->kind) {
    case KITH_EVENT_MEMBER:
        trace_member_event(s, node, e);
        return;
    case KITH_EVENT_CONFLICT:
        ki_sim_trace(s, node, "event conflict %.*s", (int)e->member.name.len, e->member.name.ptr);
        return;
    case KITH_EVENT_DONE:
        ki_sim_trace(s, node, "event done: %s, %u", kith_strerror(e->result), (unsigned)e->count);
        return;
    case KITH_EVENT_NAME_LOST:
        ki_sim_trace(s, node, "event name lost: %d of %u are for us", e->result, (unsigned)e->count);
        return;
    case KITH_EVENT_USER:
        trace_message_event(s, node, "event user", e);
        return;
    case KITH_EVENT_GAP:
        trace_message_event(s, node, "event gap", e);
        return;
    case KITH_EVENT_QUERY:
        trace_message_event(s, node, "event query", e);
        return;
    case KITH_EVENT_ANSWER:
        trace_message_event(s, node, "event answer", e);
        return;
    case KITH_EVENT_UNCONFIRMED:
        trace_message_event(s, node, "event unconfirmed", e);
        return;
    case KITH_EVENT_KEYS:
        ki_sim_trace(s, node, "event keys");
        return;
    case KITH_EVENT_WATCH:
        ki_sim_trace(s, node, "event watch: %s", e->result ? "holds" : "no longer");
        return;
    case KITH_EVENT_SILENT:
        trace_message_event(s, node, "event silent", e);
        return;
    case KITH_EVENT_FOLDED:
        trace_message_event(s, node, "event folded", e);
        return;
    }
}
