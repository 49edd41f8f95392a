/* What a folded query has found, for the application: who is silent, as far as they can be named; the result; the end.
 *
 * On their way members are positions on the query's circle; here they get their names back, from our view.  One that we do
 * not know (any more) has none: among the silent it is counted only, among the largest its name is empty.  Whoever was
 * silent and would not have been asked, because the filters leave it out as far as we know, is not counted either.
 *
 * The result waits among the messages as bytes of its own: numbers big-endian, then the largest, each with its name.
 *
 * Deliberately not here: other languages' encodings of it (agent/, cli/). */
#include "node/folded.h"

#include "base/real.h"
#include "serf/filter.h"

#define RESULT_FRONT (4 * 4 + 5 * 8)            /* bytes */
#define RESULT_TOP_LEN (8 + 1 + KITH_NAME_MAX)  /* of one of the largest, at most */

/* Whose positions these are; KI_NO_MEMBER: not known. */
struct result_names {
    uint32_t top[KI_FOLD_TOP_MAX];
    uint32_t silent[KI_FOLD_NAMED_MAX];
};

static struct result_names result_names(const struct kith *k, const struct ki_folded *f, const struct ki_partial *p)
{
    struct result_names names;
    for (uint32_t i = 0; i < p->top_count; i++)
        names.top[i] = KI_NO_MEMBER;
    for (uint32_t i = 0; i < p->named; i++)
        names.silent[i] = KI_NO_MEMBER;
    for (uint32_t id = 0; id < k->table.used && p->top_count + p->named > 0; id++) {
        const struct ki_member *member = ki_table_at(&k->table, id);
        uint64_t position = member ? ki_fold_position(f->ask.id, ki_member_name(member)) : 0;
        for (uint32_t i = 0; i < p->top_count && member; i++) {
            if (p->top[i].position == position)
                names.top[i] = id;
        }
        for (uint32_t i = 0; i < p->named && member; i++) {
            if (p->silent_at[i] == position)
                names.silent[i] = id;
        }
    }
    return names;
}

static struct kith_str result_name(const struct kith *k, uint32_t id)
{
    const struct ki_member *member = ki_table_at(&k->table, id);
    struct ki_span name = member ? ki_member_name(member) : ki_span("", 0);
    return (struct kith_str){.ptr = (const char *)name.ptr, .len = name.len};
}

/* ---- telling ---- */

/* Returns how many of them the query was not for. */
static uint32_t result_silent(struct kith *k, const struct ki_folded *f, const struct ki_partial *p,
                              const struct result_names *names)
{
    uint32_t unconcerned = 0;
    for (uint32_t i = 0; i < p->named; i++) {
        const struct ki_member *member = ki_table_at(&k->table, names->silent[i]);
        if (!member)
            continue;
        if (ki_filters_match(&k->mem, f->ask.filters, ki_member_name(member), ki_member_meta(member)) == KI_FILTER_REJECT) {
            unconcerned++;
            continue;
        }
        bool is_able = ki_speaks_kith(member);
        struct kith_event event = {.kind = KITH_EVENT_SILENT,
                                   .ticket = f->ticket,
                                   .result = is_able ? KITH_ERR_TIMEOUT : KITH_ERR_VERSION,
                                   .message.origin = result_name(k, names->silent[i])};
        (void)ki_message_put(k, &event); /* counted, if it is lost */
    }
    return unconcerned;
}

static void result_put_real(struct ki_writer *w, double value)
{
    ki_put_be(w, ki_real_bits(value), 8);
}

static int result_put(struct kith *k, const struct ki_folded *f, const struct ki_partial *p,
                      const struct result_names *names, uint32_t silent)
{
    size_t cap = RESULT_FRONT + p->top_count * (size_t)RESULT_TOP_LEN;
    uint8_t *buf = ki_mem_resize(&k->mem, NULL, cap);
    if (!buf) {
        ki_count(k, KI_COUNT_out_of_memory);
        return KITH_ERR_NOMEM;
    }
    struct ki_writer w = ki_writer(buf, cap);
    ki_put_be(&w, p->answers + p->unusable + silent, 4);
    ki_put_be(&w, p->answers, 4);
    ki_put_be(&w, p->unusable, 4);
    ki_put_be(&w, silent, 4);
    result_put_real(&w, ki_partial_sum(p));
    result_put_real(&w, ki_partial_average(p));
    result_put_real(&w, ki_partial_variance(p));
    result_put_real(&w, p->min);
    result_put_real(&w, p->max);
    for (uint32_t i = 0; i < p->top_count; i++) {
        struct kith_str name = result_name(k, names->top[i]);
        result_put_real(&w, p->top[i].value);
        ki_put_u8(&w, (uint8_t)name.len);
        ki_put(&w, name.ptr, name.len);
    }
    KI_ASSERT(!w.full);
    struct kith_event event = {.kind = KITH_EVENT_FOLDED,
                               .ticket = f->ticket,
                               .message = {.name = {(const char *)f->ask.name.ptr, f->ask.name.len},
                                           .payload = {(const char *)buf, w.len},
                                           .ltime = f->ask.ltime}};
    int error = ki_message_put(k, &event);
    ki_mem_free(&k->mem, buf);
    return error;
}

void ki_folded_told(struct kith *k, struct ki_folded *f, const struct ki_partial *partial)
{
    struct result_names names = result_names(k, f, partial);
    uint32_t silent = partial->silent - result_silent(k, f, partial, &names);
    int error = result_put(k, f, partial, &names, silent);
    ki_done_event(k, &(struct ki_done){.kind = KITH_EVENT_DONE,
                                       .ticket = f->ticket,
                                       .result = error ? error : silent > 0 ? KITH_ERR_TIMEOUT : 0,
                                       .count = partial->answers + partial->unusable});
    f->ticket = 0;
    f->deadline_us = f->forget_us = k->now.mono_us;
}

/* ---- reading ---- */

static double result_take_real(struct ki_reader *r)
{
    return ki_real_of(ki_take_be(r, 8));
}

int kith_folded_read(const struct kith_event *event, struct kith_folded *out)
{
    struct ki_reader r = ki_reader(event->message.payload.ptr, event->message.payload.len);
    if (event->kind != KITH_EVENT_FOLDED)
        return KITH_ERR_ARG;
    *out = (struct kith_folded){.members = (uint32_t)ki_take_be(&r, 4)};
    out->answers = (uint32_t)ki_take_be(&r, 4);
    out->unusable = (uint32_t)ki_take_be(&r, 4);
    out->silent = (uint32_t)ki_take_be(&r, 4);
    out->sum = result_take_real(&r);
    out->average = result_take_real(&r);
    out->variance = result_take_real(&r);
    out->min = result_take_real(&r);
    out->max = result_take_real(&r);
    return r.bad ? KITH_ERR_MALFORMED : 0;
}

bool kith_folded_next(const struct kith_event *event, size_t *cursor, struct kith_str *member, double *value)
{
    size_t at = RESULT_FRONT + *cursor;
    if (event->kind != KITH_EVENT_FOLDED || at >= event->message.payload.len)
        return false;
    struct ki_reader r = ki_reader(event->message.payload.ptr + at, event->message.payload.len - at);
    *value = result_take_real(&r);
    member->len = (size_t)ki_take_be(&r, 1);
    member->ptr = (const char *)ki_take(&r, member->len);
    *cursor += RESULT_TOP_LEN - KITH_NAME_MAX + member->len;
    return !r.bad;
}
