/* A node's store looked at: which tokens it shows.
 *
 * What it shows must be something that was written there: an element with a number that was given to another place, or to
 * nobody, has come from nowhere.  So has a score or a field's value that is not what was written with it.
 *
 * Deliberately not here: whether it should be shown. */
#include <stdio.h>

#include "sim/truth.h"

/* Elements and values are "wNUMBER". */
static uint32_t look_token(const struct sim_truth *t, struct kith_str text, uint32_t place)
{
    uint32_t token = 0;
    if (text.len < 2 || text.len > 9 || text.ptr[0] != 'w')
        return SIM_NO_TOKEN;
    for (size_t i = 1; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return SIM_NO_TOKEN;
        token = token * 10 + (uint32_t)(text.ptr[i] - '0');
    }
    if (token >= t->count || t->tokens[token].place != place || t->tokens[token].void_)
        return SIM_NO_TOKEN;
    return token;
}

static void look_shown(kith_sim *s, struct sim_truth *t, uint32_t node, uint32_t place, struct kith_str text)
{
    uint32_t token = look_token(t, text, place);
    if (token == SIM_NO_TOKEN)
        ki_sim_violate(s, "store", node, "%s shows %.*s, which nobody has written there", ki_sim_places[place].key,
                       (int)text.len, text.ptr);
    else
        t->shown[token] = true;
}

static void look_type(kith_sim *s, uint32_t node, uint32_t place, int error)
{
    if (error && error != KITH_ERR_NOT_FOUND)
        ki_sim_violate(s, "store", node, "%s cannot be read: %s", ki_sim_places[place].key, kith_strerror(error));
}

static void look_elements(kith_sim *s, struct sim_truth *t, uint32_t node, uint32_t place)
{
    const struct sim_place *p = &ki_sim_places[place];
    kith *k = ki_sim_node_at(s, node)->k;
    struct kith_time now = kith_sim_time(s, node);
    struct kith_str key = ki_sim_str(p->key);
    struct kith_element e;
    uint64_t cursor = 0;
    uint32_t count = 0, walked = 0;
    look_type(s, node, place, kith_count(k, now, key, p->type, &count));
    for (; kith_next_element(k, now, key, p->type, &cursor, &e); walked++) {
        look_shown(s, t, node, place, e.field);
        uint32_t token = look_token(t, e.field, place);
        if (token == SIM_NO_TOKEN)
            return;
        bool same = p->type != KITH_TYPE_HASH || (e.value.shape == KITH_SHAPE_BYTES && e.value.bytes.len == e.field.len &&
                                                  memcmp(e.value.bytes.ptr, e.field.ptr, e.field.len) == 0);
        if (!same || (p->type == KITH_TYPE_SORTED && e.score != (double)t->tokens[token].amount))
            ki_sim_violate(s, "store", node, "%s shows w%u with another value than was written", p->key, token);
    }
    if (walked != count)
        ki_sim_violate(s, "store", node, "%s has %u elements, and %u are shown", p->key, count, walked);
}

static void look_siblings(kith_sim *s, struct sim_truth *t, uint32_t node, uint32_t place)
{
    kith *k = ki_sim_node_at(s, node)->k;
    struct kith_time now = kith_sim_time(s, node);
    struct kith_str value, key = ki_sim_str(ki_sim_places[place].key);
    struct kith_dot dot;
    int error = 0;
    for (uint32_t at = 0; (error = kith_sibling(k, now, key, at, &value, &dot)) == 0; at++)
        look_shown(s, t, node, place, value);
    look_type(s, node, place, error);
}

static void look_register(kith_sim *s, struct sim_truth *t, uint32_t node, uint32_t place)
{
    const struct sim_place *p = &ki_sim_places[place];
    kith *k = ki_sim_node_at(s, node)->k;
    struct kith_time now = kith_sim_time(s, node);
    struct kith_element e = {.value = {.shape = KITH_SHAPE_NOTHING}};
    int error = p->field ? kith_element(k, now, ki_sim_str(p->key), p->type, ki_sim_str(p->field), &e)
                         : kith_get(k, now, ki_sim_str(p->key), &e.value);
    look_type(s, node, place, error);
    if (e.value.shape == KITH_SHAPE_BYTES)
        look_shown(s, t, node, place, e.value.bytes);
    else if (e.value.shape != KITH_SHAPE_NOTHING)
        ki_sim_violate(s, "store", node, "%s shows a number, and none was written", p->key);
}

static void look_member(kith_sim *s, struct sim_truth *t, uint32_t node, uint32_t place)
{
    const struct sim_place *p = &ki_sim_places[place];
    struct kith_element e;
    int error = kith_element(ki_sim_node_at(s, node)->k, kith_sim_time(s, node), ki_sim_str(p->key), p->type,
                             ki_sim_str(p->field), &e);
    look_type(s, node, place, error);
    for (size_t i = 0; error == 0 && i < t->count; i++)
        t->shown[i] = t->shown[i] || t->tokens[i].place == place;
}

bool ki_sim_truth_counter(kith *k, struct kith_time now, const struct sim_place *p, int64_t *value)
{
    struct kith_element e = {.score = 0, .value = {.shape = KITH_SHAPE_NOTHING}};
    int error = p->field ? kith_element(k, now, ki_sim_str(p->key), p->type, ki_sim_str(p->field), &e)
                         : kith_get(k, now, ki_sim_str(p->key), &e.value);
    *value = 0;
    if (error == KITH_ERR_NOT_FOUND || (!error && !p->field && e.value.shape == KITH_SHAPE_NOTHING))
        return true;
    double real = p->type == KITH_TYPE_SORTED ? e.score : e.value.real;
    if (error || (!p->real && e.value.shape != KITH_SHAPE_INTEGER) || !(real > -1e15 && real < 1e15))
        return false;
    *value = p->real ? (int64_t)real : e.value.integer;
    return !p->real || (double)*value == real;
}

void ki_sim_truth_read(kith_sim *s, struct sim_truth *t, uint32_t node)
{
    if (t->shown_cap < t->count + 1) {
        t->shown_cap = 2 * t->count + 16;
        t->shown = ki_sim_resize(t->shown, t->shown_cap * sizeof *t->shown);
    }
    memset(t->shown, 0, t->shown_cap * sizeof *t->shown);
    for (uint32_t place = 0; place < SIM_PLACES; place++) {
        switch (ki_sim_places[place].kind) {
        case SIM_PLACE_ELEMENT:
            look_elements(s, t, node, place);
            break;
        case SIM_PLACE_SIBLING:
            look_siblings(s, t, node, place);
            break;
        case SIM_PLACE_REGISTER:
            look_register(s, t, node, place);
            break;
        case SIM_PLACE_MEMBER:
            look_member(s, t, node, place);
            break;
        case SIM_PLACE_COUNTER: /* no token shows in a sum */
            break;
        }
    }
}
