/* The store, as test_store.py sees it: one C replica beside each replica of the executable model.  A shared library of the
 * test's own; handles are pointers, bytes go out through one buffer.  Whatever must not happen aborts. */
#include <stdio.h>
#include <stdlib.h>

#include "base/varint.h"
#include "store/delta.h"
#include "store/kinds.h"
#include "store/ops.h"
#include "store/session.h"

#define SHOWN __attribute__((visibility("default")))
#define MUST(expr) ((expr) ? (void)0 : abort())

struct shim {
    struct ki_mem mem;
    struct ki_store store;
};

struct shim_session {
    struct ki_session session;
    bool is_open;
    unsigned turns;
};

static uint8_t out[1 << 16];
static const uint8_t item_key[16] = "a key of a pool";

/* ---- replicas ---- */

SHOWN struct shim *shim_new(uint64_t replica);
SHOWN void shim_free(struct shim *s);
SHOWN struct shim *shim_clone(const struct shim *s);
SHOWN void shim_renew(struct shim *s, uint64_t replica);
SHOWN int shim_do(struct shim *s, const char *command, const char *key, const char *field, const char *value, int64_t by,
                  uint64_t wall_ms);
SHOWN int shim_put(struct shim *s, const char *key, const char *value, const uint64_t *dots, size_t count,
                   uint64_t wall_ms);
SHOWN size_t shim_delta(struct shim *s);
SHOWN int shim_merge(struct shim *s, const uint8_t *bytes, size_t len);
SHOWN size_t shim_state(struct shim *s);
SHOWN size_t shim_read(struct shim *s, const char *key);
SHOWN const uint8_t *shim_out(void);
SHOWN void shim_item(struct shim *s, const uint8_t *bytes, size_t len, uint64_t item[2]);
SHOWN struct shim_session *shim_open(struct shim *s);
SHOWN int shim_learn(struct shim_session *x, const uint64_t *mine, size_t mine_count, const uint64_t *theirs,
                     size_t theirs_count, const uint8_t *context, size_t context_len, bool sorts);
SHOWN size_t shim_send(struct shim_session *x, size_t place);
SHOWN int shim_receive(struct shim_session *x, const uint8_t *bytes, size_t len);
SHOWN int shim_is_complete(struct shim_session *x);
SHOWN void shim_finish(struct shim_session *x);
SHOWN void shim_close(struct shim_session *x);
SHOWN void shim_session_free(struct shim_session *x);

struct shim *shim_new(uint64_t replica)
{
    static const uint8_t hash_key[16] = "a key for a test";
    static const struct ki_store_config config = {
        .limits = {.key_max = 1 << 16, .field_max = 1 << 16, .value_max = 1 << 16},
        .bounds = {.warn_ms = (uint64_t)1 << 46, .clamp_ms = (uint64_t)1 << 46, .refuse_ms = (uint64_t)1 << 46},
        .delta_cells_max = 1000};
    struct shim *s = calloc(1, sizeof *s);
    MUST(s);
    ki_mem_init(&s->mem, NULL, NULL, NULL, 0);
    ki_store_init(&s->store, &s->mem, &config, replica, hash_key);
    return s;
}

/* Python frees in any order: sessions that are open end here. */
void shim_free(struct shim *s)
{
    while (s->store.sessions)
        shim_close((struct shim_session *)s->store.sessions); /* its first member */
    ki_store_free(&s->store);
    MUST(s->mem.used == 0);
    free(s);
}

/* As read from a disk: the same cells, entered in another order. */
struct shim *shim_clone(const struct shim *s)
{
    struct shim *t = shim_new(s->store.replica);
    MUST(ki_context_copy(&t->store.context, &s->store.context));
    t->store.n = t->store.shown_n = s->store.n; /* a disk has seen it */
    t->store.clock = s->store.clock;
    for (uint32_t i = s->store.cells.cells_used; i-- > 0;) {
        uint32_t id;
        if (ki_cells_at(&s->store.cells, i)->kind == 0)
            continue;
        struct ki_cell_image image = ki_cells_image(&s->store.cells, i);
        MUST(ki_cells_add(&t->store.cells, &image, KI_NO_KEY, &id));
    }
    ki_delta_end(&t->store);
    return t;
}

void shim_renew(struct shim *s, uint64_t replica)
{
    ki_store_renew(&s->store, replica);
}

/* ---- operations ---- */

static struct ki_span shim_span(const char *text)
{
    return ki_span(text, strlen(text));
}

int shim_do(struct shim *s, const char *command, const char *key, const char *field, const char *value, int64_t by,
            uint64_t wall_ms)
{
    struct ki_store *store = &s->store;
    struct ki_span k = shim_span(key), f = shim_span(field), v = shim_span(value);
    if (strcmp(command, "set") == 0)
        return ki_set(store, wall_ms, k, v, 0);
    if (strcmp(command, "delete") == 0)
        return ki_delete(store, k, NULL);
    if (strcmp(command, "incr") == 0)
        return ki_increase(store, wall_ms, k, by, NULL);
    if (strcmp(command, "sadd") == 0)
        return ki_set_add(store, wall_ms, k, f, NULL);
    if (strcmp(command, "srem") == 0)
        return ki_remove(store, k, KI_TYPE_SET, f, NULL);
    if (strcmp(command, "hset") == 0)
        return ki_hash_set(store, wall_ms, k, f, v, NULL);
    if (strcmp(command, "hdel") == 0)
        return ki_remove(store, k, KI_TYPE_HASH, f, NULL);
    MUST(strcmp(command, "collapse") == 0);
    return ki_collapse(store, k, f.len > 0 ? KI_TYPE_HASH : KI_TYPE_STRING, f);
}

int shim_put(struct shim *s, const char *key, const char *value, const uint64_t *dots, size_t count, uint64_t wall_ms)
{
    struct ki_dot token[16];
    MUST(count <= KI_COUNT(token));
    for (size_t i = 0; dots && i < count; i++)
        token[i] = (struct ki_dot){dots[2 * i], dots[2 * i + 1]};
    return ki_put_sibling(&s->store, wall_ms, shim_span(key), shim_span(value), dots ? token : NULL, count);
}

const uint8_t *shim_out(void)
{
    return out;
}

size_t shim_delta(struct shim *s)
{
    struct ki_writer w = ki_writer(out, sizeof out);
    size_t len = ki_delta_len(&s->store);
    bool is_empty = ki_delta_is_empty(&s->store);
    ki_delta_encode(&s->store, &w);
    MUST(!w.full && w.len == len);
    ki_delta_end(&s->store);
    return is_empty ? 0 : len;
}

int shim_merge(struct shim *s, const uint8_t *bytes, size_t len)
{
    return ki_store_merge(&s->store, 0, ki_span(bytes, len));
}

/* ---- what is there ---- */

static int shim_by_dot(const void *a, const void *b)
{
    const struct ki_cell_image *x = a, *y = b;
    return ki_dot_compare(x->dot, y->dot);
}

/* All cells by dot, then the context, each in its canonical bytes. */
size_t shim_state(struct shim *s)
{
    struct ki_cell_image images[256];
    struct ki_writer w = ki_writer(out, sizeof out);
    struct ki_context_cursor cursor = {.ended = false};
    size_t count = 0;
    for (uint32_t i = 0; i < s->store.cells.cells_used; i++) {
        if (ki_cells_at(&s->store.cells, i)->kind == 0)
            continue;
        MUST(count < KI_COUNT(images));
        images[count++] = ki_cells_image(&s->store.cells, i);
        MUST(ki_cells_by_dot(&s->store.cells, images[count - 1].dot) == i);
        MUST(ki_context_has(&s->store.context, images[count - 1].dot));
    }
    MUST(count == s->store.cells.cell_count);
    qsort(images, count, sizeof *images, shim_by_dot);
    ki_put_varint(&w, count);
    for (size_t i = 0; i < count; i++)
        ki_cell_encode(&w, &images[i]);
    w.len += ki_context_encode(&s->store.context, &cursor, w.start + w.len, w.cap - w.len);
    MUST(cursor.ended && !w.full);
    return w.len;
}

static void shim_show(struct ki_writer *w, const struct ki_shown *shown)
{
    char text[32];
    if (shown->as == KI_SHOWS_BYTES)
        ki_put(w, shown->bytes.ptr, shown->bytes.len);
    else if (shown->as == KI_SHOWS_INTEGER)
        ki_put(w, text, (size_t)snprintf(text, sizeof text, "%lld", (long long)shown->integer));
    ki_put_u8(w, '\n');
}

/* The type, and what the key shows, a line each, in no order. */
size_t shim_read(struct shim *s, const char *name)
{
    static const char *const types[] = {"none", "string", "mv", "sorted", "set", "hash"};
    const struct ki_cells *cells = &s->store.cells;
    struct ki_writer w = ki_writer(out, sizeof out);
    uint32_t key = ki_cells_key(cells, shim_span(name));
    enum ki_type type = key == KI_NO_KEY ? KI_TYPE_NONE : ki_key_type(cells, key);
    ki_put(&w, types[type], strlen(types[type]));
    ki_put_u8(&w, '\n');
    if (type == KI_TYPE_STRING) {
        struct ki_shown shown = ki_string_shown(&s->store, key);
        shim_show(&w, &shown);
    }
    for (uint32_t id = type == KI_TYPE_SIBLINGS ? ki_cells_key_at(cells, key)->single : KI_NO_CELL; id != KI_NO_CELL;
         id = ki_cells_at(cells, id)->next) {
        struct ki_shown shown = {.as = KI_SHOWS_BYTES, .bytes = ki_cells_value(ki_cells_at(cells, id))};
        if (ki_cells_at(cells, id)->kind == KI_KIND_SIBLING)
            shim_show(&w, &shown);
    }
    const struct ki_group *group = type >= KI_TYPE_SET ? ki_cells_group(cells, key, type) : NULL;
    for (uint32_t i = 0; group && i < group->count; i++) {
        struct ki_span field = ki_cells_field(ki_cells_at(cells, group->list[i]));
        ki_put(&w, field.ptr, field.len);
        ki_put_u8(&w, '=');
        struct ki_shown shown = ki_field_shown(&s->store, key, field);
        shim_show(&w, &shown);
    }
    MUST(!w.full);
    return w.len;
}

/* ---- sessions ---- */

struct shim_session *shim_open(struct shim *s)
{
    struct shim_session *x = calloc(1, sizeof *x);
    MUST(x && ki_session_open(&x->session, &s->store, &(struct ki_session_limits){.limbo_bytes_max = 1 << 20}));
    x->is_open = true;
    return x;
}

/* Small budgets, and not always the same, so that everything is cut wherever it can be.  Nothing changes in between. */
static size_t shim_budget(struct shim_session *x)
{
    MUST(x->turns < 100000); /* each call gets on */
    return 1 + x->turns++ % 6;
}

static int shim_whole(struct shim_session *x, int (*step)(struct ki_session *, size_t *))
{
    int error;
    do {
        size_t budget = shim_budget(x);
        error = step(&x->session, &budget);
    } while (error == KI_SESSION_MORE);
    return error;
}

static void shim_dots(struct ki_context *to, const uint64_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++, numbers += 2)
        MUST(ki_context_add(to, (struct ki_dot){numbers[0], numbers[1]}));
}

/* sorts: else that is done when we are asked whether it is complete, and cells come before. */
int shim_learn(struct shim_session *x, const uint64_t *mine, size_t mine_count, const uint64_t *theirs,
               size_t theirs_count, const uint8_t *context, size_t context_len, bool sorts)
{
    struct ki_session *session = &x->session;
    struct ki_reader r = ki_reader(context, context_len);
    struct ki_context_decoder decoder = {.into = &session->peer_context, .replicas_max = 1000, .runs_max = 1000};
    session->runs.is_difference = true;
    shim_dots(&session->runs.mine, mine, mine_count);
    MUST(ki_context_decode(&decoder, &r, SIZE_MAX) == KI_CONTEXT_FINE && r.left == 0);
    int error = shim_whole(x, ki_session_give);
    shim_dots(&session->runs.theirs, theirs, theirs_count);
    return error || !sorts ? error : shim_whole(x, ki_session_sort);
}

size_t shim_send(struct shim_session *x, size_t place)
{
    const struct ki_context *give = &x->session.runs.give;
    struct ki_cell_image image;
    struct ki_writer w = ki_writer(out, sizeof out);
    struct ki_run run;
    struct ki_dot at = {0, 0};
    while (ki_context_next(give, at, &run) && place > run.high - run.low) {
        place -= run.high - run.low + 1;
        at = (struct ki_dot){run.replica, run.high + 1};
    }
    if (!ki_context_next(give, at, &run))
        return 0;
    MUST(ki_session_image(&x->session, (struct ki_dot){run.replica, run.low + place}, &image));
    ki_cell_encode(&w, &image);
    return w.len;
}

static struct ki_cell_image shim_cell(const struct ki_store *store, const uint8_t *bytes, size_t len)
{
    struct ki_cell_image image;
    struct ki_reader r = ki_reader(bytes, len);
    ki_cell_decode(&r, &store->config.limits, &image);
    MUST(!r.bad && r.left == 0);
    return image;
}

/* What tells cells apart, and which of two under one dot stays. */
void shim_item(struct shim *s, const uint8_t *bytes, size_t len, uint64_t item[2])
{
    struct ki_cell_image image = shim_cell(&s->store, bytes, len);
    struct ki_item is = ki_cell_item(&image, item_key);
    item[0] = is.a;
    item[1] = is.b;
}

int shim_receive(struct shim_session *x, const uint8_t *bytes, size_t len)
{
    struct ki_cell_image image = shim_cell(x->session.store, bytes, len);
    return ki_session_take(&x->session, 0, &image, item_key);
}

int shim_is_complete(struct shim_session *x)
{
    struct ki_session *session = &x->session;
    enum ki_missing missing = KI_MISSING_MORE;
    struct ki_dot at = {0, 0};
    struct ki_run run;
    if (!session->runs.is_given)
        return false;
    MUST(session->runs.is_sorted || shim_whole(x, ki_session_sort) == 0);
    while (missing == KI_MISSING_MORE) {
        size_t budget = shim_budget(x);
        missing = ki_session_lacking(session, &at, &budget, &run);
    }
    MUST(!session->has_failed);
    return missing == KI_MISSING_END;
}

void shim_finish(struct shim_session *x)
{
    MUST(shim_whole(x, ki_session_end) == 0);
}

void shim_close(struct shim_session *x)
{
    MUST(x->is_open);
    ki_session_close(&x->session);
    x->is_open = false;
}

void shim_session_free(struct shim_session *x)
{
    if (x->is_open)
        ki_session_close(&x->session);
    free(x);
}
