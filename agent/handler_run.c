/* One run of a script: a child in a session and a process group of its own, with pipes for input and output.
 *
 *     RUN --- exits, and its output has ended ------------------------------> OVER
 *      |  `-- exits, but something that it started holds its output --> LINGER -- output ends, or 1 s --> OVER
 *      `- its time is over, or it is to end: SIGTERM to the group
 *     TERM -- nobody of the group is left ----------------------------------> OVER
 *      `- the grace is over: SIGKILL to the group
 *     KILL -- the script has exited, or 1 s (the kernel holds it) -----------> OVER: the handles close, then done
 *
 * Who ignores SIGTERM may be a child of a shell that has died of it, so TERM looks every 50 ms whether the group is empty;
 * as long as it is not, its number is not given to others.  What a script leaves running on purpose stays (LINGER), as
 * under Serf, which would wait for it; who wants to write on writes elsewhere.
 *
 * The last 8 KiB of output are kept, standard output and standard error as they come, and all of it is read, at 64 KiB a
 * millisecond at most: a script that floods blocks itself, not the loop.
 *
 * posix_spawn() rather than libuv's spawn, whose fork copies the page tables: with a store of 1 GB that stops the loop for
 * 0.3 s, longer than a probe may take.  Pipes rather than socket pairs, on which a script cannot open /dev/stdout.
 *
 * Not here: when a script runs and what becomes of its result (handler.c). */
#include "agent/handler.h"

#include "base/base.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUN_LINGER_MS 1000 /* so long we wait for the output of what a script left behind, and for one that was killed */
#define RUN_GRACE_MS 5000  /* between SIGTERM and SIGKILL, when its time is over */
#define RUN_LOOK_MS 50
#define RUN_BURST 65536    /* bytes read at one go, a pipe's usual capacity; then a pause of */
#define RUN_PAUSE_MS 1

enum run_state { RUN_RUN, RUN_LINGER, RUN_TERM, RUN_KILL, RUN_OVER };
enum run_event { RUN_EXITED, RUN_OUTPUT_ENDED, RUN_DUE };

struct ki_run {
    enum run_state state;
    bool exited, output_ended;
    pid_t group;
    unsigned open; /* handles that have not said closed */
    uv_signal_t child; /* SIGCHLD */
    uv_pipe_t in, out;
    uv_timer_t timer, pause;
    uv_write_t write;
    uint64_t started_ms, kill_ms;
    struct ki_run_result result;
    ki_run_done *done;
    void *arg;
    size_t kept, burst;
    char output[KI_HANDLER_OUTPUT_MAX];
    char scratch[RUN_BURST];
};

/* ---- the end ---- */

static void run_closed(uv_handle_t *handle)
{
    struct ki_run *run = handle->data;
    if (--run->open > 0)
        return;
    run->result.output = (struct kith_str){.ptr = run->output, .len = run->kept};
    run->done(run->arg, &run->result);
    free(run);
}

static void run_close(void *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, run_closed);
}

static void run_over(struct ki_run *run)
{
    run->state = RUN_OVER;
    run->result.lasted_ms = uv_now(run->timer.loop) - run->started_ms;
    run_close(&run->child);
    run_close(&run->in);
    run_close(&run->out);
    run_close(&run->pause);
    run_close(&run->timer);
}

/* ---- the states ---- */

static void run_step(struct ki_run *run, enum run_event event);

static void run_due(uv_timer_t *timer)
{
    run_step(timer->data, RUN_DUE);
}

static void run_terminate(struct ki_run *run, uint64_t grace_ms)
{
    run->state = RUN_TERM;
    run->kill_ms = uv_now(run->timer.loop) + grace_ms;
    kill(-run->group, SIGTERM);
    uv_timer_start(&run->timer, run_due, RUN_LOOK_MS, RUN_LOOK_MS);
}

static void run_step(struct ki_run *run, enum run_event event)
{
    switch (run->state) {
    case RUN_RUN:
        if (event == RUN_DUE) {
            run->result.timed_out = true;
            run_terminate(run, RUN_GRACE_MS);
        } else if (run->exited && run->output_ended) {
            run_over(run);
        } else if (run->exited) {
            run->state = RUN_LINGER;
            uv_timer_start(&run->timer, run_due, RUN_LINGER_MS, 0);
        }
        return;
    case RUN_LINGER:
        run_over(run); /* whatever it was */
        return;
    case RUN_TERM:
        if (run->exited && kill(-run->group, 0) != 0 && errno == ESRCH) {
            run_over(run);
        } else if (uv_now(run->timer.loop) >= run->kill_ms) {
            run->state = RUN_KILL;
            uv_timer_start(&run->timer, run_due, RUN_LINGER_MS, 0);
            kill(-run->group, SIGKILL);
            if (run->exited)
                run_over(run);
        }
        return;
    case RUN_KILL:
        if (run->exited || event == RUN_DUE)
            run_over(run);
        return;
    case RUN_OVER:
        return;
    }
    KI_UNREACHABLE();
}

void ki_run_end(struct ki_run *run, uint64_t grace_ms)
{
    if (run->state == RUN_RUN)
        run_terminate(run, grace_ms);
    else if (run->state == RUN_LINGER)
        run_over(run);
    else if (run->state == RUN_TERM)
        run->kill_ms = ki_min_u64(run->kill_ms, uv_now(run->timer.loop) + grace_ms);
}

void ki_run_kill(struct ki_run *run)
{
    if (run->state == RUN_RUN || run->state == RUN_TERM)
        kill(-run->group, SIGKILL);
}

/* ---- what libuv tells ---- */

/* The signal is the same for all children, and one may stand for several. */
static void run_child(uv_signal_t *child, int number)
{
    struct ki_run *run = child->data;
    int status;
    (void)number;
    if (waitpid(run->group, &status, WNOHANG) != run->group)
        return;
    uv_signal_stop(child); /* from now on the number may be another child's */
    run->exited = true;
    if (WIFSIGNALED(status))
        run->result.signal = WTERMSIG(status);
    else
        run->result.status = WEXITSTATUS(status);
    run_step(run, RUN_EXITED);
}

static void run_written(uv_write_t *write, int status)
{
    struct ki_run *run = write->data;
    (void)status; /* a script need not read */
    run_close(&run->in);
}

static void run_keep(struct ki_run *run, const char *bytes, size_t len)
{
    run->result.written += len;
    if (len > sizeof run->output) {
        bytes += len - sizeof run->output;
        len = sizeof run->output;
    }
    if (run->kept + len > sizeof run->output) {
        size_t drop = run->kept + len - sizeof run->output;
        memmove(run->output, run->output + drop, run->kept - drop);
        run->kept -= drop;
    }
    memcpy(run->output + run->kept, bytes, len);
    run->kept += len;
}

static void run_room(uv_handle_t *handle, size_t wanted, uv_buf_t *out)
{
    struct ki_run *run = handle->data;
    (void)wanted;
    *out = uv_buf_init(run->scratch, sizeof run->scratch);
}

static void run_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf);

static void run_paused(uv_timer_t *timer)
{
    struct ki_run *run = timer->data;
    run->burst = 0;
    if (!uv_is_closing((uv_handle_t *)&run->out))
        uv_read_start((uv_stream_t *)&run->out, run_room, run_read);
}

static void run_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
    struct ki_run *run = stream->data;
    if (len < 0) {
        run->output_ended = true;
        run_close(&run->out);
        run_step(run, RUN_OUTPUT_ENDED);
        return;
    }
    run_keep(run, buf->base, (size_t)len);
    run->burst += (size_t)len;
    if (run->burst >= RUN_BURST) {
        uv_read_stop(stream);
        uv_timer_start(&run->pause, run_paused, RUN_PAUSE_MS, 0);
    }
}

/* ---- the beginning ---- */

static struct ki_run *run_new(uv_loop_t *loop)
{
    struct ki_run *run = calloc(1, sizeof *run);
    if (!run)
        return NULL;
    run->timer.data = run->pause.data = run->in.data = run->out.data = run->child.data = run->write.data = run;
    if (uv_signal_init(loop, &run->child) != 0) {
        free(run);
        return NULL;
    }
    uv_timer_init(loop, &run->timer);
    uv_timer_init(loop, &run->pause);
    uv_pipe_init(loop, &run->in, 0);
    uv_pipe_init(loop, &run->out, 0);
    run->open = 5;
    return run;
}

/* The script begins with default signals, none of them blocked, whatever the agent does with its own. */
static int run_attributes(posix_spawnattr_t *attributes)
{
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    int error = posix_spawnattr_setsigdefault(attributes, &all);
    if (error == 0)
        error = posix_spawnattr_setsigmask(attributes, &none);
    if (error == 0)
        error = posix_spawnattr_setflags(attributes,
                                         POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    return error;
}

/* Returns 0 or an errno. */
static int run_spawn(struct ki_run *run, const char *script, char **environment, int in, int out)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    char *copy = strdup(script); /* argv is not const */
    char *args[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, copy, NULL};
    int error = copy ? posix_spawn_file_actions_init(&files) : ENOMEM;
    if (error == 0 && (error = posix_spawnattr_init(&attributes)) == 0) {
        error = run_attributes(&attributes);
        if (error == 0)
            error = posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
        if (error == 0)
            error = posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
        if (error == 0)
            error = posix_spawn_file_actions_adddup2(&files, out, STDERR_FILENO);
        if (error == 0)
            error = posix_spawn(&run->group, args[0], &files, &attributes, args, environment);
        posix_spawnattr_destroy(&attributes);
        posix_spawn_file_actions_destroy(&files);
    }
    free(copy);
    return error;
}

static void run_close_files(const uv_file *files, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (files[i] >= 0)
            close(files[i]);
    }
}

static int run_begin(struct ki_run *run, const char *script, char **environment, struct kith_str input)
{
    uv_file files[4] = {-1, -1, -1, -1}; /* in: read, write; out: read, write */
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)input.ptr, (unsigned)input.len);
    int result = uv_pipe(files, 0, UV_NONBLOCK_PIPE);
    if (result == 0)
        result = uv_pipe(files + 2, UV_NONBLOCK_PIPE, 0);
    if (result == 0 && (result = uv_pipe_open(&run->in, files[1])) == 0)
        files[1] = -1;
    if (result == 0 && (result = uv_pipe_open(&run->out, files[2])) == 0)
        files[2] = -1;
    if (result == 0)
        result = uv_signal_start(&run->child, run_child, SIGCHLD); /* before there is a child that may end */
    if (result == 0)
        result = uv_translate_sys_error(run_spawn(run, script, environment, files[0], files[3]));
    run_close_files(files, KI_COUNT(files));
    if (result != 0)
        return result;
    if (input.len == 0 || uv_write(&run->write, (uv_stream_t *)&run->in, &buf, 1, run_written) != 0)
        run_close(&run->in);
    if (uv_read_start((uv_stream_t *)&run->out, run_room, run_read) != 0)
        run->output_ended = true;
    return 0;
}

struct ki_run *ki_run_start(uv_loop_t *loop, const char *script, char **environment, struct kith_str input,
                            uint64_t limit_ms, ki_run_done *done, void *arg)
{
    struct ki_run *run = run_new(loop);
    if (!run)
        return NULL;
    run->done = done;
    run->arg = arg;
    run->started_ms = uv_now(loop);
    run->result.error = run_begin(run, script, environment, input);
    if (run->result.error != 0) {
        run_over(run);
        return run;
    }
    uv_update_time(loop); /* starting a process takes a while */
    uv_timer_start(&run->timer, run_due, limit_ms, 0);
    return run;
}
