/* Event handlers: each has a queue and runs its script for one happening at a time, in order; several handlers run side
 * by side.  Serf's agent runs all of them one after another, and one that hangs holds up the rest.
 *
 *     happening --> queue of each handler that wants it --> a run, when the handler has none and fewer than
 *     handler_concurrency are going on; whose happening has waited longest comes first
 *
 * A queue is bounded, in number and in bytes (but for a single happening, which may be as large as the pool makes it);
 * what comes beyond is dropped, counted, and told in the log once a second at most.  A query whose asker waits no longer
 * is dropped, too.  A run's limit is handler_timeout, or the time that the asker waits.
 *
 * What a query's handler writes is the response, as in Serf: all of it, standard error too, or the last 8 KiB; but nothing
 * if it writes nothing or fails.
 *
 * A handler that the configuration has lost lives as long as its run.
 *
 * Not here: what is run and told (handler_spec.c, handler_input.c), and how a run goes (handler_run.c). */
#include "agent/handler.h"

#include "agent/internal.h"
#include "base/base.h"
#include "kith/event.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HANDLER_WAITS_MAX 1024              /* happenings that wait for one handler, and */
#define HANDLER_BYTES_MAX ((size_t)8 << 20) /* bytes of them */
#define HANDLER_SLOW_MS 1000                /* Serf's: longer runs are told in the log */
#define HANDLER_STOP_MS 1000                /* between SIGTERM and SIGKILL, when the agent stops */
#define HANDLER_OVERFLOW_LOG_MS 1000

struct handler_wait {
    struct handler_wait *next;
    struct ki_handled *handled;
    uint64_t turn; /* grows with each: the smallest has waited longest */
};

struct ki_handler {
    struct ki_handler *next;
    struct ki_handlers *all;
    struct ki_handler_spec spec;
    struct handler_wait *first, *last;
    size_t count, bytes;
    struct ki_run *run;
    struct ki_handled *running; /* what the run is about */
};

enum handler_number {
    HANDLER_INVOKED,
    HANDLER_FAILED,
    HANDLER_TIMED_OUT,
    HANDLER_DROPPED,
    HANDLER_TRUNCATED,
    HANDLER_NUMBER_COUNT
};

struct ki_handlers {
    struct ki_agent *agent;
    struct ki_agent_watch watch;
    struct ki_handler *list;    /* in the order of the configuration */
    struct ki_handler *retired; /* each with a run going on */
    size_t running;
    uint32_t concurrency, timeout_ms;
    uint64_t turn, overflow_log_ms, overflow_untold;
    uint64_t numbers[HANDLER_NUMBER_COUNT];
    bool stopping;
    void (*closed)(void *arg);
    void *closed_arg;
};

/* ---- queues ---- */

static struct ki_handled *handler_take(struct ki_handler *handler)
{
    struct handler_wait *wait = handler->first;
    struct ki_handled *handled = wait->handled;
    handler->first = wait->next;
    if (!handler->first)
        handler->last = NULL;
    handler->count--;
    handler->bytes -= handled->input.len;
    free(wait);
    return handled;
}

static void handler_overflow(struct ki_handlers *all, const struct ki_handler *handler)
{
    uint64_t now_ms = uv_now(&all->agent->loop);
    all->numbers[HANDLER_DROPPED]++;
    all->overflow_untold++;
    if (all->overflow_log_ms != 0 && now_ms < all->overflow_log_ms + HANDLER_OVERFLOW_LOG_MS)
        return;
    ki_log(all->agent->log, KI_LOG_WARN, "agent",
           "Too many events wait for handlers: %" PRIu64 " dropped, the last for '%s'", all->overflow_untold,
           handler->spec.script);
    all->overflow_log_ms = now_ms;
    all->overflow_untold = 0;
}

static void handler_enqueue(struct ki_handlers *all, struct ki_handler *handler, struct ki_handled *handled)
{
    bool fits = handler->count == 0 || (handler->count < HANDLER_WAITS_MAX && handler->bytes < HANDLER_BYTES_MAX &&
                                        handled->input.len <= HANDLER_BYTES_MAX - handler->bytes);
    struct handler_wait *wait = fits ? malloc(sizeof *wait) : NULL;
    if (!wait) {
        handler_overflow(all, handler);
        return;
    }
    *wait = (struct handler_wait){.handled = handled, .turn = all->turn++};
    handled->uses++;
    *(handler->last ? &handler->last->next : &handler->first) = wait;
    handler->last = wait;
    handler->count++;
    handler->bytes += handled->input.len;
}

static void handler_free(struct ki_handler *handler)
{
    while (handler->first)
        ki_handled_release(handler_take(handler));
    if (handler->running)
        ki_handled_release(handler->running);
    ki_handler_spec_free(&handler->spec);
    free(handler);
}

/* ---- results ---- */

static void handler_respond(struct ki_handlers *all, const struct ki_handled *handled, struct kith_str output)
{
    struct ki_agent *agent = all->agent;
    int result = kith_respond(agent->k, ki_net_now(), handled->query, output);
    if (result != 0)
        ki_log(agent->log, KI_LOG_WARN, "agent", "Failed to respond to query 'query: %s': %s", handled->name.ptr,
               result == KITH_ERR_TOO_LONG    ? "the output is longer than a response may be"
               : result == KITH_ERR_NOT_FOUND ? "it has been answered, or is over"
                                              : kith_strerror(result));
    ki_net_kick(agent->net);
}

/* Serf's words.  Newlines are told as \n: a line of the log is a line. */
static void handler_log_output(struct ki_handlers *all, const struct ki_handled *handled, struct kith_str output)
{
    char text[2048];
    size_t at = 0;
    while (output.len > 0 && output.ptr[output.len - 1] == '\n')
        output.len--;
    for (size_t i = 0; i < output.len && at + 3 < sizeof text; i++) {
        if (output.ptr[i] == '\n')
            text[at++] = '\\';
        text[at++] = output.ptr[i] == '\n' ? 'n' : output.ptr[i] ? output.ptr[i] : '?';
    }
    text[at] = '\0';
    ki_log(all->agent->log, KI_LOG_DEBUG, "agent", "Event '%s' script output: %s", ki_handled_word(handled->kind), text);
}

/* True: it did what it should. */
static bool handler_judge(struct ki_handlers *all, const char *script, const struct ki_run_result *result)
{
    struct ki_log *log = all->agent->log;
    if (result->timed_out) {
        all->numbers[HANDLER_TIMED_OUT]++;
        ki_log(log, KI_LOG_ERR, "agent", "Error invoking script '%s': ended after %" PRIu64 " ms: its time was over", script,
               result->lasted_ms);
        return false;
    }
    if (result->error == 0 && result->status == 0 && result->signal == 0)
        return true;
    all->numbers[HANDLER_FAILED]++;
    if (result->error != 0)
        ki_log(log, KI_LOG_ERR, "agent", "Error invoking script '%s': %s", script, uv_strerror(result->error));
    else if (result->signal != 0)
        ki_log(log, KI_LOG_ERR, "agent", "Error invoking script '%s': signal: %s", script, strsignal(result->signal));
    else
        ki_log(log, KI_LOG_ERR, "agent", "Error invoking script '%s': exit status %d", script, (int)result->status);
    return false;
}

static void handler_finish(struct ki_handlers *all, const struct ki_handler *handler, const struct ki_run_result *result)
{
    const char *script = handler->spec.script;
    struct ki_log *log = all->agent->log;
    if (result->error == 0)
        handler_log_output(all, handler->running, result->output);
    if (result->lasted_ms >= HANDLER_SLOW_MS)
        ki_log(log, KI_LOG_WARN, "agent", "Script '%s' slow, execution exceeding 1s: %" PRIu64 " ms", script,
               result->lasted_ms);
    if (result->written > result->output.len) {
        all->numbers[HANDLER_TRUNCATED]++;
        ki_log(log, KI_LOG_WARN, "agent", "Script '%s' generated %" PRIu64 " bytes of output, truncated to %zu", script,
               result->written, result->output.len);
    }
    if (handler_judge(all, script, result) && handler->running->kind == KI_HANDLED_QUERY && result->output.len > 0)
        handler_respond(all, handler->running, result->output);
}

/* ---- runs ---- */

static void handler_next(struct ki_handlers *all);

static void handler_done(void *arg, const struct ki_run_result *result)
{
    struct ki_handler *handler = arg;
    struct ki_handlers *all = handler->all;
    if (!all->stopping)
        handler_finish(all, handler, result);
    handler->run = NULL;
    all->running--;
    ki_handled_release(handler->running);
    handler->running = NULL;
    for (struct ki_handler **link = &all->retired; *link; link = &(*link)->next) {
        if (*link == handler) {
            *link = handler->next;
            handler_free(handler);
            break;
        }
    }
    if (!all->stopping)
        handler_next(all);
    else if (all->running == 0)
        all->closed(all->closed_arg);
}

/* The time it has, or 0: nobody waits for it any more. */
static uint64_t handler_limit_ms(const struct ki_handlers *all, const struct ki_handled *handled)
{
    uint64_t now_us = ki_net_now().mono_us;
    if (handled->kind != KI_HANDLED_QUERY)
        return all->timeout_ms;
    return handled->until_us > now_us ? (handled->until_us - now_us + 999) / 1000 : 0;
}

static void handler_start(struct ki_handlers *all, struct ki_handler *handler, uint64_t limit_ms)
{
    struct ki_handled *handled = handler->running;
    struct kith_member self;
    kith_self(all->agent->k, &self);
    char **environment = ki_handled_environment(handled, &self, environ);
    if (environment) {
        handler->run = ki_run_start(&all->agent->loop, handler->spec.script, environment, handled->input, limit_ms,
                                    handler_done, handler);
        ki_environment_free(environment);
    }
    if (handler->run) {
        all->numbers[HANDLER_INVOKED]++;
        all->running++;
        return;
    }
    const struct ki_run_result none = {.error = UV_ENOMEM};
    handler_finish(all, handler, &none);
    ki_handled_release(handled);
    handler->running = NULL;
}

/* Of the handlers that may run, the one whose happening has waited longest; NULL: none. */
static struct ki_handler *handler_longest(const struct ki_handlers *all)
{
    struct ki_handler *longest = NULL;
    for (struct ki_handler *handler = all->list; handler; handler = handler->next) {
        if (!handler->run && handler->first && (!longest || handler->first->turn < longest->first->turn))
            longest = handler;
    }
    return longest;
}

static void handler_next(struct ki_handlers *all)
{
    struct ki_handler *handler;
    while (all->running < all->concurrency && (handler = handler_longest(all)) != NULL) {
        handler->running = handler_take(handler);
        uint64_t limit_ms = handler_limit_ms(all, handler->running);
        if (limit_ms > 0) {
            handler_start(all, handler, limit_ms);
            continue;
        }
        all->numbers[HANDLER_DROPPED]++;
        ki_log(all->agent->log, KI_LOG_WARN, "agent", "Query '%s' was over before its handler could run",
               handler->running->name.ptr);
        ki_handled_release(handler->running);
        handler->running = NULL;
    }
}

/* ---- happenings ---- */

static bool handler_wanted(const struct ki_handlers *all, enum ki_handled_kind kind, struct kith_str name)
{
    for (const struct ki_handler *handler = all->list; handler; handler = handler->next) {
        if (ki_handler_spec_wants(&handler->spec, kind, name))
            return true;
    }
    return false;
}

/* Takes `handled` over; NULL: there was no memory for it. */
static void handler_offer(struct ki_handlers *all, struct ki_handled *handled)
{
    if (!handled) {
        all->numbers[HANDLER_DROPPED]++;
        return;
    }
    for (struct ki_handler *handler = all->list; handler; handler = handler->next) {
        if (ki_handler_spec_wants(&handler->spec, handled->kind, handled->name))
            handler_enqueue(all, handler, handled);
    }
    ki_handled_release(handled);
    handler_next(all);
}

static void handler_members(void *arg, enum ki_member_event event, const struct kith_member *members, size_t count)
{
    struct ki_handlers *all = arg;
    if (handler_wanted(all, (enum ki_handled_kind)event, (struct kith_str){.ptr = "", .len = 0}))
        handler_offer(all, ki_handled_members(event, members, count));
}

static void handler_message(void *arg, const struct kith_event *event)
{
    struct ki_handlers *all = arg;
    struct kith_str name = event->message.name;
    if (event->kind == KITH_EVENT_GAP ||
        !handler_wanted(all, event->kind == KITH_EVENT_USER ? KI_HANDLED_USER : KI_HANDLED_QUERY, name))
        return;
    if (memchr(name.ptr, '\0', name.len)) { /* no variable can hold it, and half a name is another one */
        all->numbers[HANDLER_FAILED]++;
        ki_log(all->agent->log, KI_LOG_ERR, "agent", "No handler is run for a name with a NUL in it");
        return;
    }
    handler_offer(all, ki_handled_message(event));
}

/* ---- life ---- */

static void handler_free_list(struct ki_handler *list)
{
    while (list) {
        struct ki_handler *next = list->next;
        handler_free(list);
        list = next;
    }
}

/* NULL with *result set, without memory. */
static struct ki_handler *handler_make_list(struct ki_handlers *all, const struct ki_strings *specs, int *result)
{
    struct ki_handler *list = NULL;
    char error[KI_ERROR_TEXT];
    *result = 0;
    for (size_t i = specs->count; i-- > 0;) {
        struct ki_handler *handler = calloc(1, sizeof *handler);
        if (!handler || ki_handler_spec_parse(&handler->spec, specs->items[i], error) != 0) {
            free(handler);
            handler_free_list(list);
            *result = KITH_ERR_NOMEM;
            return NULL;
        }
        handler->all = all;
        handler->next = list;
        list = handler;
    }
    return list;
}

/* Takes the handler of this text out of the list; NULL: there is none. */
static struct ki_handler *handler_claim(struct ki_handler **list, const char *text)
{
    for (; *list; list = &(*list)->next) {
        struct ki_handler *handler = *list;
        if (strcmp(handler->spec.text, text) == 0) {
            *list = handler->next;
            return handler;
        }
    }
    return NULL;
}

int ki_handlers_reload(struct ki_agent *agent, const struct ki_config *config)
{
    struct ki_handlers *all = agent->handlers;
    int result;
    struct ki_handler *fresh = handler_make_list(all, &config->handlers, &result);
    if (result != 0)
        return result;
    for (struct ki_handler **link = &fresh; *link; link = &(*link)->next) {
        struct ki_handler *kept = handler_claim(&all->list, (*link)->spec.text);
        if (!kept)
            continue;
        kept->next = (*link)->next;
        handler_free(*link);
        *link = kept;
    }
    while (all->list) {
        struct ki_handler *lost = all->list;
        all->list = lost->next;
        if (!lost->run) {
            handler_free(lost);
            continue;
        }
        lost->next = all->retired;
        all->retired = lost;
    }
    all->list = fresh;
    all->concurrency = config->handler_concurrency;
    all->timeout_ms = config->handler_timeout_ms;
    handler_next(all);
    return 0;
}

int ki_handlers_start(struct ki_agent *agent)
{
    struct ki_handlers *all = calloc(1, sizeof *all);
    if (!all)
        return KITH_ERR_NOMEM;
    all->agent = agent;
    all->watch = (struct ki_agent_watch){.members = handler_members, .message = handler_message, .arg = all};
    agent->handlers = all;
    ki_agent_watch(agent, &all->watch);
    return ki_handlers_reload(agent, &agent->config);
}

static void handler_end(struct ki_handler *list)
{
    for (; list; list = list->next) {
        if (list->run)
            ki_run_end(list->run, HANDLER_STOP_MS);
    }
}

void ki_handlers_stop(struct ki_handlers *all, void (*closed)(void *arg), void *arg)
{
    ki_agent_unwatch(all->agent, &all->watch);
    all->stopping = true;
    all->closed = closed;
    all->closed_arg = arg;
    handler_end(all->list);
    handler_end(all->retired);
    if (all->running == 0)
        closed(arg);
}

void ki_handlers_free(struct ki_handlers *all)
{
    if (all)
        handler_free_list(all->list);
    free(all);
}

void ki_handlers_kill(struct ki_handlers *all)
{
    for (struct ki_handler *handler = all->list; handler; handler = handler->next) {
        if (handler->run)
            ki_run_kill(handler->run);
    }
    for (struct ki_handler *handler = all->retired; handler; handler = handler->next)
        ki_run_kill(handler->run);
}

/* ---- numbers ---- */

/* A map has a key once: the last script of a filter is told, as Serf does. */
static bool handler_told_later(const struct ki_handler *handler, size_t index)
{
    const struct ki_handler_filter *filter = &handler->spec.filters[index];
    for (; handler; handler = handler->next, index = SIZE_MAX) {
        for (size_t i = index + 1; i < handler->spec.count; i++) {
            const struct ki_handler_filter *later = &handler->spec.filters[i];
            if (later->kind == filter->kind && strcmp(later->name, filter->name) == 0)
                return true;
        }
    }
    return false;
}

void ki_handlers_stats_serf(const struct ki_handlers *all, ki_agent_stat *visit, void *arg)
{
    char key[300];
    if (!all->list)
        visit(arg, "event_handlers", NULL, NULL);
    for (const struct ki_handler *handler = all->list; handler; handler = handler->next) {
        for (size_t i = 0; i < handler->spec.count; i++) {
            const struct ki_handler_filter *filter = &handler->spec.filters[i];
            snprintf(key, sizeof key, "%s:%s", filter->word, filter->name);
            if (!handler_told_later(handler, i))
                visit(arg, "event_handlers", key, handler->spec.script);
        }
    }
}

void ki_handlers_stats(const struct ki_handlers *all, ki_agent_stat *visit, void *arg)
{
    static const char *const keys[HANDLER_NUMBER_COUNT] = {[HANDLER_INVOKED] = "invoked",
                                                           [HANDLER_FAILED] = "failed",
                                                           [HANDLER_TIMED_OUT] = "timed_out",
                                                           [HANDLER_DROPPED] = "dropped",
                                                           [HANDLER_TRUNCATED] = "output_truncated"};
    char text[24];
    size_t waiting = 0;
    for (const struct ki_handler *handler = all->list; handler; handler = handler->next)
        waiting += handler->count;
    snprintf(text, sizeof text, "%zu", all->running);
    visit(arg, "handlers", "running", text);
    snprintf(text, sizeof text, "%zu", waiting);
    visit(arg, "handlers", "waiting", text);
    for (size_t i = 0; i < HANDLER_NUMBER_COUNT; i++) {
        snprintf(text, sizeof text, "%" PRIu64, all->numbers[i]);
        visit(arg, "handlers", keys[i], text);
    }
}
