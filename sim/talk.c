/* What was said and asked, and who was told of it, as talk.h has it.
 *
 * Numbers are counted here, not asked for: the events that a life of a node of kith's kind has sent without an error are
 * its first, second and so on.  The Lamport time of an event is the one that was first told of it, to its sender as a rule.
 *
 * Invariant: a voice's list has the token of each of its numbers, in order.
 * Deliberately not here: what is wrong. */
#include "sim/talk.h"

#include <stdio.h>

struct sim_talk *ki_sim_talk(kith_sim *s)
{
    return ki_sim_observer_state(s, &ki_sim_check_once.watch);
}

bool ki_sim_talk_is_stock(const kith_sim *s, uint32_t node)
{
    return ki_sim_node_at(s, node)->config.stock;
}

uint32_t ki_sim_talk_able(kith_sim *s, uint32_t node)
{
    struct kith_member m;
    uint32_t cursor = 0, able = 0;
    while (kith_next(ki_sim_node_at(s, node)->k, &cursor, &m)) {
        uint32_t whom = ki_sim_member_node(s, &m);
        able += m.status == KITH_STATUS_ALIVE && whom != KITH_SIM_ALL && !ki_sim_talk_is_stock(s, whom);
    }
    return able;
}

void ki_sim_talk_free(struct sim_talk *t)
{
    for (size_t i = 0; i < t->voice_count; i++)
        free(t->voices[i].said);
    free(t->voices);
    free(t->said);
    free(t->asks);
    ki_sim_grid_free(&t->told);
    ki_sim_grid_free(&t->asked);
    ki_sim_grid_free(&t->gave);
    ki_sim_column_free(&t->old);
    ki_sim_column_free(&t->joins);
}

/* ---- saying ---- */

static uint32_t talk_voice(kith_sim *s, struct sim_talk *t, uint32_t node)
{
    uint32_t life = ki_sim_node_at(s, node)->lives;
    for (size_t i = 0; i < t->voice_count; i++) {
        if (t->voices[i].node == node && t->voices[i].life == life)
            return (uint32_t)i;
    }
    t->voices = ki_sim_grow(t->voices, &t->voice_cap, t->voice_count, sizeof *t->voices);
    t->voices[t->voice_count] = (struct sim_voice){.node = node, .life = life};
    return (uint32_t)t->voice_count++;
}

uint32_t ki_sim_talk_say(kith_sim *s, struct sim_talk *t, uint32_t node, bool numbered)
{
    uint32_t token = (uint32_t)t->said_count;
    struct sim_said said = {.by = node, .life = ki_sim_node_at(s, node)->lives, .voice = SIM_NO_TALK};
    t->on = true;
    if (numbered) {
        said.voice = talk_voice(s, t, node);
        struct sim_voice *voice = &t->voices[said.voice];
        voice->said = ki_sim_grow(voice->said, &voice->cap, voice->last, sizeof *voice->said);
        voice->said[voice->last++] = token;
        said.seq = voice->last;
    }
    t->said = ki_sim_grow(t->said, &t->said_cap, t->said_count, sizeof *t->said);
    t->said[t->said_count++] = said;
    return token;
}

void ki_sim_talk_refused(struct sim_talk *t, uint32_t token)
{
    struct sim_said *said = &t->said[token];
    said->void_ = true;
    if (said->seq)
        t->voices[said->voice].last--; /* the next one has this number */
}

uint32_t ki_sim_talk_ask(kith_sim *s, struct sim_talk *t, uint32_t node)
{
    t->on = true;
    t->asks = ki_sim_grow(t->asks, &t->ask_cap, t->ask_count, sizeof *t->asks);
    t->asks[t->ask_count] = (struct sim_ask){.by = node, .life = ki_sim_node_at(s, node)->lives};
    return (uint32_t)t->ask_count++;
}

/* ---- tokens ---- */

static char talk_filling(uint32_t token, uint32_t at)
{
    return (char)('A' + (token + at) % 23);
}

struct kith_str ki_sim_talk_text(char kind, uint32_t token, char *buf, uint32_t len)
{
    uint32_t at = (uint32_t)snprintf(buf, SIM_TALK_TEXT, "%c%u.", kind, token);
    for (; at < len; at++)
        buf[at] = talk_filling(token, at);
    return (struct kith_str){buf, at};
}

uint32_t ki_sim_talk_token(char kind, struct kith_str text)
{
    uint64_t token = 0;
    size_t at = 1;
    if (text.len < 3 || text.ptr[0] != kind)
        return SIM_NO_TALK;
    for (; at < text.len && at < SIM_TALK_TEXT && text.ptr[at] >= '0' && text.ptr[at] <= '9'; at++)
        token = token * 10 + (uint64_t)(text.ptr[at] - '0');
    if (at == 1 || at == text.len || text.ptr[at] != '.' || token >= SIM_NO_TALK)
        return SIM_NO_TALK;
    for (at++; at < text.len; at++) {
        if (text.ptr[at] != talk_filling((uint32_t)token, (uint32_t)at))
            return SIM_NO_TALK;
    }
    return (uint32_t)token;
}

/* ---- what is old ---- */

/* Virtual time without what the node was paused for: meanwhile a join of it does not end. */
static uint64_t talk_awake_us(const kith_sim *s, uint32_t node)
{
    const struct sim_node *n = ki_sim_node_at(s, node);
    return (n->paused ? n->paused_us : s->now_us) - n->away_us;
}

/* A stream without progress is given up after a while; the state that it brings tells of the time when it was made. */
uint64_t ki_sim_talk_join_us(const kith_sim *s, uint32_t node)
{
    return (ki_sim_node_at(s, node)->config.stream_timeout_ms + UINT64_C(1000)) * KITH_SIM_MS;
}

void ki_sim_talk_joins(kith_sim *s, struct sim_talk *t, uint32_t node)
{
    *ki_sim_column_at(&t->old, node) = t->ltime;
    uint64_t *until_us = ki_sim_column_at(&t->joins, node); /* one address after another */
    *until_us = ki_max_u64(*until_us, talk_awake_us(s, node)) + ki_sim_talk_join_us(s, node);
}

void ki_sim_talk_born(kith_sim *s, struct sim_talk *t, uint32_t node)
{
    t->stock = t->stock || ki_sim_talk_is_stock(s, node);
    *ki_sim_column_at(&t->old, node) = t->ltime; /* its records may say so */
    *ki_sim_column_at(&t->joins, node) = 0;
}

void ki_sim_talk_heard(kith_sim *s, struct sim_talk *t, uint32_t node, struct sim_said *said, uint64_t ltime)
{
    *ki_sim_grid_at(&t->told, node, (uint32_t)(said - t->said)) = ki_sim_node_at(s, node)->lives;
    if (said->ltime == 0)
        said->ltime = ltime;
    t->ltime = ki_max_u64(t->ltime, ltime);
    for (uint32_t n = 0; n < s->count; n++) {
        if (talk_awake_us(s, n) < *ki_sim_column_at(&t->joins, n))
            *ki_sim_column_at(&t->old, n) = t->ltime;
    }
}

bool ki_sim_talk_was_told(struct sim_talk *t, uint32_t node, uint32_t said, uint32_t life)
{
    uint32_t last = *ki_sim_grid_at(&t->told, node, said);
    return life ? last == life : last > 0;
}

bool ki_sim_talk_spared(kith_sim *s, struct sim_talk *t, uint32_t node, const struct sim_voice *voice, uint32_t seq)
{
    const struct sim_said *said = &t->said[voice->said[seq - 1]];
    if (ki_sim_talk_was_told(t, node, voice->said[seq - 1], ki_sim_node_at(s, node)->lives))
        return true;
    bool old = said->ltime <= *ki_sim_column_at(&t->old, node); /* or of unknown time */
    return old && node != voice->node;
}

/* ---- finding ---- */

uint32_t ki_sim_talk_node(const kith_sim *s, struct kith_str name)
{
    for (uint32_t n = 0; n < s->count; n++) {
        const struct kith_str *own = &ki_sim_node_at(s, n)->config.name;
        if (own->len == name.len && memcmp(own->ptr, name.ptr, name.len) == 0)
            return n;
    }
    return KITH_SIM_ALL;
}

uint32_t ki_sim_talk_ticket(const kith_sim *s, const struct sim_talk *t, uint32_t node, kith_ticket ticket, bool ask)
{
    uint32_t life = ki_sim_node_at(s, node)->lives;
    for (size_t i = ask ? t->ask_count : 0; i-- > 0;) {
        const struct sim_ask *a = &t->asks[i];
        if (a->by == node && a->life == life && a->ticket == ticket && !a->void_)
            return (uint32_t)i;
    }
    for (size_t i = ask ? 0 : t->said_count; i-- > 0;) {
        const struct sim_said *said = &t->said[i];
        if (said->by == node && said->life == life && said->confirms && said->ticket == ticket)
            return (uint32_t)i;
    }
    return SIM_NO_TALK;
}
