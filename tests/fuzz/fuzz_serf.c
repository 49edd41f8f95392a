/* Serf's decoders: the first byte picks the message, the rest is its body.  Intents encode and decode to the same; a
 * state that was accepted walks to its end, and rebuilt from its pieces walks the same way. */
#include "wire/serf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t first[1 << 18], second[1 << 18];

static bool check_leave(struct ki_reader *r)
{
    struct ki_serf_leave msg, back;
    if (!ki_decode_serf_leave(r, &msg))
        return false;
    struct ki_pack p = ki_pack(first, sizeof(first), false);
    ki_encode_serf_leave(&p, &msg);
    struct ki_reader again = ki_reader(first + 1, p.w.len - 1);
    KI_ASSERT(!p.w.full && first[0] == KI_SERF_LEAVE && msg.node.len > 0);
    KI_ASSERT(ki_decode_serf_leave(&again, &back) && again.left == 0);
    KI_ASSERT(back.ltime == msg.ltime && back.prune == msg.prune &&
              ki_span_equal(back.node, msg.node));
    return true;
}

static bool check_join(struct ki_reader *r)
{
    struct ki_serf_join msg, back;
    if (!ki_decode_serf_join(r, &msg))
        return false;
    struct ki_pack p = ki_pack(first, sizeof(first), false);
    ki_encode_serf_join(&p, &msg);
    struct ki_reader again = ki_reader(first + 1, p.w.len - 1);
    KI_ASSERT(!p.w.full && first[0] == KI_SERF_JOIN && msg.node.len > 0);
    KI_ASSERT(ki_decode_serf_join(&again, &back) && again.left == 0);
    KI_ASSERT(back.ltime == msg.ltime && ki_span_equal(back.node, msg.node));
    return true;
}

static size_t count_status(struct ki_span map)
{
    struct ki_reader r = ki_reader(map.ptr, map.len);
    uint32_t left = UINT32_MAX;
    struct ki_span name;
    uint64_t ltime;
    size_t count = 0;
    while (ki_serf_status_next(&r, &left, &name, &ltime))
        count++;
    KI_ASSERT(!r.bad);
    return count;
}

static size_t count_left(struct ki_span array)
{
    struct ki_reader r = ki_reader(array.ptr, array.len);
    uint32_t left = UINT32_MAX;
    struct ki_span name;
    size_t count = 0;
    while (ki_serf_left_next(&r, &left, &name))
        count++;
    KI_ASSERT(!r.bad);
    return count;
}

static size_t count_events(struct ki_span events)
{
    struct ki_serf_events w = {.r = ki_reader(events.ptr, events.len), .groups = UINT32_MAX};
    struct ki_serf_state_event event;
    enum ki_serf_events_step step;
    size_t count = 0;
    while ((step = ki_serf_events_next(&w, &event)) != KI_SERF_EVENTS_END)
        count += step == KI_SERF_EVENTS_EVENT;
    return count;
}

static size_t encode_state(const struct ki_serf_state *state, uint8_t *out, size_t cap)
{
    struct ki_pack p = ki_pack(out, cap, false);
    struct ki_span name;
    uint64_t ltime;
    uint32_t left = UINT32_MAX;
    struct ki_reader r = ki_reader(state->left_members.ptr, state->left_members.len);
    struct ki_serf_state_event event;
    struct ki_serf_events w = {.r = ki_reader(state->events.ptr, state->events.len), .groups = UINT32_MAX};
    enum ki_serf_events_step step;
    ki_encode_serf_state_begin(&p, state->event_ltime, count_events(state->events));
    while ((step = ki_serf_events_next(&w, &event)) != KI_SERF_EVENTS_END) {
        if (step == KI_SERF_EVENTS_EVENT)
            ki_encode_serf_state_event(&p, &event);
    }
    ki_encode_serf_state_left_members(&p, state->ltime, count_left(state->left_members));
    while (ki_serf_left_next(&r, &left, &name))
        ki_encode_serf_state_left(&p, name);
    left = UINT32_MAX;
    r = ki_reader(state->status_ltimes.ptr, state->status_ltimes.len);
    ki_encode_serf_state_middle(&p, state->query_ltime, count_status(state->status_ltimes));
    while (ki_serf_status_next(&r, &left, &name, &ltime))
        ki_encode_serf_state_status(&p, name, ltime);
    KI_ASSERT(!p.w.full && out[0] == KI_SERF_PUSH_PULL);
    return p.w.len;
}

static bool check_state(struct ki_reader *r)
{
    struct ki_serf_state state, back;
    if (!ki_decode_serf_state(r, &state))
        return false;
    size_t len = encode_state(&state, first, sizeof(first));
    struct ki_reader again = ki_reader(first + 1, len - 1);
    KI_ASSERT(ki_decode_serf_state(&again, &back) && again.left == 0);
    KI_ASSERT(back.ltime == state.ltime && back.query_ltime == state.query_ltime);
    size_t len_again = encode_state(&back, second, sizeof(second));
    KI_ASSERT(ki_span_equal(ki_span(first, len), ki_span(second, len_again)));
    return true;
}

/* The walkers by themselves, on bytes nobody has checked: they end. */
static bool check_walkers(struct ki_reader *r)
{
    struct ki_reader statuses = *r, lefts = *r;
    uint32_t left = UINT32_MAX;
    struct ki_span name;
    uint64_t ltime;
    while (ki_serf_status_next(&statuses, &left, &name, &ltime))
        KI_ASSERT(statuses.left < r->left);
    KI_ASSERT(!ki_serf_status_next(&statuses, &left, &name, &ltime));
    left = UINT32_MAX;
    while (ki_serf_left_next(&lefts, &left, &name))
        KI_ASSERT(lefts.left < r->left);
    KI_ASSERT(!ki_serf_left_next(&lefts, &left, &name));
    return !r->bad;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 65536)
        return -1;
    struct ki_reader r = ki_reader(data + 1, size - 1);
    struct ki_serf_clocked clocked;
    bool good = false;
    switch (data[0]) {
    case KI_SERF_LEAVE:
        good = check_leave(&r);
        break;
    case KI_SERF_JOIN:
        good = check_join(&r);
        break;
    case KI_SERF_PUSH_PULL:
        good = check_state(&r);
        break;
    case KI_SERF_USER_EVENT:
    case KI_SERF_QUERY:
        good = ki_decode_serf_clocked(&r, &clocked);
        break;
    default:
        good = check_walkers(&r);
        break;
    }
    KI_ASSERT(good == !r.bad);
    return 0;
}
