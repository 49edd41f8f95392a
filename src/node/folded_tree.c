/* The tree of a folded query, as one node of it sees it: who stands behind us is parted, the first of each part is asked for
 * all of it, and answers are added up until none is missing or the time is over.
 *
 *               .-- asked --again and again--> answered: taken
 *   a branch: --|             '-- not heard of for 6 times, or it knows less than half of them
 *               |                      --> the first is asked for itself alone; a new branch of the rest, by the next one
 *               '-- the first is dead: silent; the next one is asked
 *
 * Datagrams are lost, and a question is its own repetition: whoever has the answer says it, whoever is about it says that.
 * Each level leaves the one above it the time of eight questions to hear what it found.
 *
 * Who is asked twice, by one whom its own parent has given up and by whoever took over, answers both; but that parent takes
 * an answer only for the span that it asks for now, so each member counts once.
 *
 * Invariants: targets are in order, branches have each target in one of them at most; what one answers for has never more
 * members than we know there; a duty whose parent is gone ends.
 *
 * Deliberately not here: whether others' filters let a member through.  Each looks at its own tags (folded.c): the
 * expressions are a stranger's, and matching them with all members would cost a second. */
#include "node/folded.h"
#include "serf/filter.h"

#define TREE_LEVEL_QUESTIONS 8 /* at a third of all datagrams lost all of these are, either way, once in 200 times */
#define TREE_UNHEARD_MAX 6     /* questions; likewise once in 50 times, and then nothing is lost but work */
#define TREE_CALM_MAX 3        /* doublings of the interval, as long as a member says that it is about it */
#define TREE_INTERVAL_MIN_US 10000

/* ---- who ---- */

static bool tree_lives(const struct ki_member *member)
{
    return member && (member->state == KI_ALIVE || member->state == KI_SUSPECT);
}

/* The members that a query may be for: those that its filters name, or all; not ourselves. */
struct tree_walk {
    const struct kith *k;
    bool by_name;
    struct ki_reader names;
    uint32_t at; /* the next id; or how many names are left */
};

static struct tree_walk tree_walk(const struct kith *k, const struct ki_folded *f)
{
    struct tree_walk walk = {.k = k};
    struct ki_reader r = ki_reader(f->ask.filters.ptr, f->ask.filters.len);
    struct ki_filter filter;
    uint32_t left = UINT32_MAX;
    while (!walk.by_name && ki_filter_next(&r, &left, &filter)) {
        walk.names = ki_reader(filter.names.ptr, filter.names.len);
        walk.by_name = !filter.by_tag;
    }
    if (walk.by_name && !ki_unpack_array(&walk.names, &walk.at))
        walk.at = 0;
    return walk;
}

static uint32_t tree_next(struct tree_walk *walk)
{
    const struct kith *k = walk->k;
    struct ki_span name;
    while (walk->by_name && walk->at > 0 && ki_unpack_str(&walk->names, &name)) {
        walk->at--;
        uint32_t id = ki_table_find(&k->table, name);
        if (id != KI_NO_MEMBER && id != k->self)
            return id;
    }
    while (!walk->by_name && walk->at < k->table.used) {
        uint32_t id = walk->at++;
        if (id != k->self && ki_table_at(&k->table, id))
            return id;
    }
    return KI_NO_MEMBER;
}

/* Lets what stands at `at` sink to its place in the heap of the first `count`. */
static void tree_sink(struct ki_fold_target *list, uint32_t at, uint32_t count)
{
    struct ki_fold_target sinking = list[at];
    for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
        child += child + 1 < count && list[child + 1].behind > list[child].behind;
        if (list[child].behind <= sinking.behind)
            break;
        list[at] = list[child];
    }
    list[at] = sinking;
}

static void tree_sort(struct ki_fold_target *list, uint32_t count)
{
    for (uint32_t at = count / 2; at-- > 0;)
        tree_sink(list, at, count);
    for (uint32_t left = count; left-- > 1;) {
        struct ki_fold_target last = list[0];
        list[0] = list[left];
        list[left] = last;
        tree_sink(list, 0, left);
    }
}

struct tree_list {
    struct ki_fold_target *items;
    uint32_t count, cap;
};

static uint64_t tree_behind(const struct ki_folded *f, const struct ki_member *member)
{
    return ki_fold_position(f->ask.id, ki_member_name(member)) - f->position;
}

/* false: memory is out. */
static bool tree_add(struct kith *k, uint32_t id, uint64_t behind, struct tree_list *list)
{
    if (!ki_list_room(&k->mem, (void **)&list->items, sizeof *list->items, list->count, &list->cap))
        return false;
    list->items[list->count++] = (struct ki_fold_target){.behind = behind, .id = id};
    return true;
}

/* In order, and each once: filters may name one twice. */
static void tree_tidy(struct tree_list *list)
{
    uint32_t count = list->count;
    tree_sort(list->items, count);
    list->count = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (i == 0 || list->items[i].behind != list->items[i - 1].behind)
            list->items[list->count++] = list->items[i];
    }
}

/* Who stands behind us within the span, lives, and speaks of these things. */
static bool tree_collect(struct kith *k, const struct ki_folded *f, uint64_t span, struct tree_list *list)
{
    struct tree_walk walk = tree_walk(k, f);
    for (uint32_t id = tree_next(&walk); id != KI_NO_MEMBER && span > 0; id = tree_next(&walk)) {
        const struct ki_member *member = ki_table_at(&k->table, id);
        uint64_t behind = tree_behind(f, member);
        bool is_asked = behind > 0 && behind <= span && tree_lives(member) && ki_speaks_kith(member);
        if (is_asked && !tree_add(k, id, behind, list))
            return false;
    }
    tree_tidy(list);
    return true;
}

/* How many members there may be at most, as far as we know: of those that are gone, others may know better. */
static uint32_t tree_known(const struct kith *k, const struct ki_folded *f, uint64_t from, uint64_t span)
{
    struct tree_walk walk = tree_walk(k, f);
    uint32_t count = 0;
    for (uint32_t id = tree_next(&walk); id != KI_NO_MEMBER; id = tree_next(&walk))
        count += ki_fold_position(f->ask.id, ki_member_name(ki_table_at(&k->table, id))) - from <= span;
    return count;
}

bool ki_folded_unable(struct kith *k, const struct ki_folded *f, struct ki_partial *partial)
{
    struct tree_walk walk = tree_walk(k, f);
    struct tree_list list = {.count = 0};
    bool room = true, is_gauge = ki_query_is_gauge(f->ask.name);
    for (uint32_t id = tree_next(&walk); id != KI_NO_MEMBER && room; id = tree_next(&walk)) {
        const struct ki_member *member = ki_table_at(&k->table, id);
        bool is_unable = tree_lives(member) ? !is_gauge && !ki_speaks_kith(member) : walk.by_name;
        if (is_unable &&
            ki_filters_match(&k->mem, f->ask.filters, ki_member_name(member), ki_member_meta(member)) == KI_FILTER_PASS)
            room = tree_add(k, id, tree_behind(f, member), &list);
    }
    tree_tidy(&list);
    for (uint32_t i = 0; i < list.count && room; i++)
        ki_partial_silent(partial, f->position + list.items[i].behind);
    ki_mem_free(&k->mem, list.items);
    if (!room)
        ki_count(k, KI_COUNT_out_of_memory);
    return room;
}

/* ---- duties ---- */

struct ki_fold_duty *ki_folded_duty_of(const struct ki_folded *f, uint32_t parent)
{
    struct ki_fold_duty *duty = f->duties;
    while (duty && duty->parent != parent)
        duty = duty->next;
    return duty;
}

void ki_folded_duty_free(struct kith *k, struct ki_folded *f, struct ki_fold_duty *duty)
{
    struct ki_fold_duty **at = &f->duties;
    while (*at != duty)
        at = &(*at)->next;
    *at = duty->next;
    f->duty_count--;
    ki_mem_free(&k->mem, duty->targets);
    ki_mem_free(&k->mem, duty);
}

void ki_folded_duty_forget(struct ki_fold_duty *duty, uint32_t id)
{
    if (duty->parent == id)
        duty->parent = KI_NO_MEMBER;
    for (uint32_t i = 0; i < duty->target_count; i++) {
        if (duty->targets[i].id == id)
            duty->targets[i].id = KI_NO_MEMBER; /* it may soon be another's */
    }
}

uint64_t ki_folded_due_us(const struct ki_fold_duty *duty)
{
    uint64_t due_us = duty->deadline_us;
    for (uint32_t i = 0; i < duty->branch_count; i++) {
        if (!duty->branches[i].is_over)
            due_us = ki_min_u64(due_us, duty->branches[i].again_us);
    }
    return due_us;
}

/* Parts of equal count, each up to where the next begins: who is not known to us, but to whoever is asked, is in one, too,
 * unless it stands before the first. */
static void tree_part(struct ki_fold_duty *duty, uint64_t now_us)
{
    uint32_t count = duty->target_count, parts = count < KI_FOLD_PARTS ? count : KI_FOLD_PARTS;
    for (uint32_t i = 0; i < parts; i++) {
        uint32_t first = i * count / parts, next = (i + 1) * count / parts;
        uint64_t end = next < count ? duty->targets[next].behind - 1 : duty->span;
        duty->branches[i] = (struct ki_fold_branch){
            .first = first, .count = next - first, .span = end - duty->targets[first].behind, .again_us = now_us};
    }
    duty->branch_count = duty->open = parts;
}

/* A question every 32nd part of the time, but not before an answer can be there, nor oftener than news is told. */
static uint64_t tree_interval_us(const struct kith *k, uint64_t wait_us)
{
    uint64_t most_us = (uint64_t)k->cfg.gossip_interval_ms * 1000;
    uint64_t least_us = ki_max_u64(TREE_INTERVAL_MIN_US, ki_round_trip_wait_us(&k->round_trip, most_us));
    return ki_min_u64(most_us, ki_max_u64(least_us, wait_us / 32));
}

struct ki_fold_duty *ki_folded_duty(struct kith *k, struct ki_folded *f, uint32_t parent, uint64_t span, uint64_t wait_us)
{
    struct ki_fold_duty *duty = ki_mem_new(&k->mem, sizeof *duty), *former = ki_folded_duty_of(f, parent);
    struct tree_list list = {.count = 0};
    if (!duty || !tree_collect(k, f, span, &list)) {
        ki_mem_free(&k->mem, duty);
        ki_mem_free(&k->mem, list.items);
        ki_count(k, KI_COUNT_out_of_memory);
        return NULL;
    }
    duty->parent = parent;
    duty->span = span;
    duty->targets = list.items;
    duty->target_count = list.count;
    duty->interval_us = tree_interval_us(k, wait_us);
    duty->deadline_us = k->now.mono_us + wait_us;
    duty->patience_us = duty->deadline_us - ki_min_u64(wait_us / 4, TREE_LEVEL_QUESTIONS * duty->interval_us);
    tree_part(duty, k->now.mono_us);
    if (former)
        ki_folded_duty_free(k, f, former);
    duty->next = f->duties;
    f->duties = duty;
    f->duty_count++;
    return duty;
}

/* ---- ends ---- */

/* Nobody is asked for it any more. */
static void tree_over(struct kith *k, struct ki_fold_duty *duty)
{
    duty->is_over = true;
    ki_mem_free(&k->mem, duty->targets);
    duty->targets = NULL;
    duty->target_count = 0;
}

static void tree_finish(struct kith *k, struct ki_folded *f, struct ki_fold_duty *duty)
{
    switch (f->own) {
    case KI_FOLD_NUMBER:
        ki_partial_answer(&duty->partial, f->position, f->value, f->ask.top);
        break;
    case KI_FOLD_UNUSABLE:
        ki_partial_unusable(&duty->partial);
        break;
    case KI_FOLD_WAITING:
    case KI_FOLD_SILENT:
        ki_partial_silent(&duty->partial, f->position);
        break;
    case KI_FOLD_UNCONCERNED:
        ki_partial_unconcerned(&duty->partial);
        break;
    }
    tree_over(k, duty);
    if (duty->parent == k->self)
        ki_folded_told(k, f, &duty->partial);
    else
        ki_folded_reply(k, f, duty);
}

static void tree_branch_over(struct ki_fold_duty *duty, struct ki_fold_branch *branch)
{
    branch->is_over = true;
    duty->open--;
}

void ki_folded_close(struct kith *k, struct ki_folded *f, struct ki_fold_duty *duty)
{
    for (uint32_t i = 0; i < duty->branch_count; i++) {
        struct ki_fold_branch *branch = &duty->branches[i];
        for (uint32_t at = branch->first; !branch->is_over && at < branch->first + branch->count; at++)
            ki_partial_silent(&duty->partial, f->position + duty->targets[at].behind);
        if (!branch->is_over)
            tree_branch_over(duty, branch);
    }
    tree_finish(k, f, duty);
}

/* ---- asking ---- */

/* The first goes on without the others: what it answers for is its own. */
static void tree_leave_first(const struct ki_fold_duty *duty, struct ki_fold_branch *branch)
{
    uint64_t apart = duty->targets[branch->first + 1].behind - duty->targets[branch->first].behind;
    branch->first++;
    branch->count--;
    branch->span -= apart;
    branch->unheard = branch->calm = 0;
}

/* Those at its head that have died are silent. */
static void tree_bury(const struct kith *k, const struct ki_folded *f, struct ki_fold_duty *duty,
                      struct ki_fold_branch *branch)
{
    while (!branch->is_over && !tree_lives(ki_table_at(&k->table, duty->targets[branch->first].id))) {
        ki_partial_silent(&duty->partial, f->position + duty->targets[branch->first].behind);
        if (branch->count > 1)
            tree_leave_first(duty, branch);
        else
            tree_branch_over(duty, branch);
    }
}

/* The first of a branch is asked for itself alone; the rest gets a branch of its own.  false: no rest, or no room. */
static bool tree_split(struct ki_fold_duty *duty, struct ki_fold_branch *branch, uint64_t now_us)
{
    if (branch->count < 2 || duty->branch_count == KI_FOLD_BRANCHES_MAX)
        return false;
    struct ki_fold_branch *rest = &duty->branches[duty->branch_count++];
    *rest = *branch;
    tree_leave_first(duty, rest);
    rest->again_us = now_us;
    duty->open++;
    branch->count = 1;
    branch->span = 0;
    return true;
}

/* When it is asked next.  Who says nothing at all is asked often at first, then more seldom; who is about it seldom, but
 * when its time is over. */
static uint64_t tree_again_us(const struct ki_fold_duty *duty, const struct ki_fold_branch *branch, uint64_t now_us)
{
    uint32_t late = branch->unheard > TREE_UNHEARD_MAX ? branch->unheard - TREE_UNHEARD_MAX : 0;
    uint32_t doublings = branch->unheard == 0 ? branch->calm : late;
    uint64_t next_us = now_us + (duty->interval_us << (doublings < TREE_CALM_MAX ? doublings : TREE_CALM_MAX));
    if (now_us < duty->patience_us)
        return ki_min_u64(next_us, duty->patience_us + duty->interval_us);
    return now_us + duty->interval_us;
}

static void tree_ask(struct kith *k, const struct ki_folded *f, struct ki_fold_duty *duty, struct ki_fold_branch *branch)
{
    uint64_t now_us = k->now.mono_us, left_us = duty->patience_us > now_us ? duty->patience_us - now_us : 0;
    tree_bury(k, f, duty, branch);
    if (branch->is_over)
        return;
    if (branch->unheard >= TREE_UNHEARD_MAX)
        (void)tree_split(duty, branch, now_us);
    ki_folded_say(k, duty->targets[branch->first].id, f, branch->span, (uint32_t)(left_us / 1000));
    branch->unheard++;
    branch->again_us = tree_again_us(duty, branch, now_us);
}

void ki_folded_step(struct kith *k, struct ki_folded *f, struct ki_fold_duty *duty)
{
    uint64_t now_us = k->now.mono_us;
    if (duty->is_over)
        return;
    if (duty->parent != k->self && !tree_lives(ki_table_at(&k->table, duty->parent))) {
        duty->parent = KI_NO_MEMBER; /* nobody waits for it; if it lives after all, it asks anew */
        tree_over(k, duty);
        return;
    }
    if (duty->deadline_us <= now_us) {
        ki_folded_close(k, f, duty);
        return;
    }
    for (uint32_t i = 0; i < duty->branch_count; i++) { /* which may add some */
        if (!duty->branches[i].is_over && duty->branches[i].again_us <= now_us)
            tree_ask(k, f, duty, &duty->branches[i]);
    }
    if (duty->open == 0 && f->own != KI_FOLD_WAITING)
        tree_finish(k, f, duty);
}

void ki_folded_step_all(struct kith *k, struct ki_folded *f)
{
    for (struct ki_fold_duty *duty = f->duties; duty; duty = duty->next)
        ki_folded_step(k, f, duty);
}

/* ---- hearing ---- */

static struct ki_fold_branch *tree_branch_of(struct ki_fold_duty *duty, uint32_t id, uint64_t span)
{
    for (uint32_t i = 0; i < duty->branch_count && !duty->is_over; i++) {
        struct ki_fold_branch *branch = &duty->branches[i];
        if (!branch->is_over && duty->targets[branch->first].id == id && branch->span == span)
            return branch;
    }
    return NULL;
}

void ki_folded_heard(struct kith *k, struct ki_folded *f, uint32_t id, uint64_t span)
{
    for (struct ki_fold_duty *duty = f->duties; duty; duty = duty->next) {
        struct ki_fold_branch *branch = tree_branch_of(duty, id, span);
        if (!branch)
            continue;
        branch->unheard = 0;
        branch->calm++;
        branch->again_us = tree_again_us(duty, branch, k->now.mono_us);
    }
}

/* What it speaks of is its own to speak of: of nobody elsewhere, and of no more than there are.  A member that joins now may
 * be known there and not here yet; then the answer is refused, but asked for again. */
static bool tree_believes(struct kith *k, const struct ki_folded *f, const struct ki_fold_duty *duty,
                          const struct ki_fold_branch *branch, const struct ki_partial *partial)
{
    uint64_t from = f->position + duty->targets[branch->first].behind;
    bool fine = ki_partial_within(partial, from, branch->span) &&
                (partial->members <= branch->count || partial->members <= tree_known(k, f, from, branch->span));
    if (!fine)
        ki_count(k, KI_COUNT_fold_replies_refused);
    return fine;
}

void ki_folded_taken(struct kith *k, struct ki_folded *f, uint32_t id, uint64_t span, const struct ki_partial *partial)
{
    for (struct ki_fold_duty *duty = f->duties; duty; duty = duty->next) {
        struct ki_fold_branch *branch = tree_branch_of(duty, id, span);
        if (!branch || !tree_believes(k, f, duty, branch, partial))
            continue;
        uint32_t lacking = partial->members < branch->count ? branch->count - partial->members : 0;
        if (lacking * 2 >= branch->count && tree_split(duty, branch, k->now.mono_us)) {
            branch->again_us = k->now.mono_us; /* it has only just joined, and knows few: the next one will know */
        } else {
            ki_partial_merge(&duty->partial, partial, f->ask.top);
            ki_partial_silent_many(&duty->partial, lacking); /* dead for it, and not yet for us */
            tree_branch_over(duty, branch);
        }
        ki_folded_step(k, f, duty);
    }
}
