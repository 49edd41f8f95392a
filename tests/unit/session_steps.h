/* A session as its caller drives it, for tests: each step to its end, in slices as thin as there can be. */
#ifndef SESSION_STEPS_H
#define SESSION_STEPS_H

#include "store/session.h"

static inline int session_whole(struct ki_session *session, int (*step)(struct ki_session *, size_t *))
{
    int error = KI_SESSION_MORE;
    for (size_t slices = 0; error == KI_SESSION_MORE; slices++) {
        size_t budget = 1;
        assert_true(slices < 100000); /* each gets on */
        error = step(session, &budget);
    }
    return error;
}

/* runs.mine has been filled in.  theirs: only what differs. */
static inline int session_learn(struct ki_session *session, const struct ki_context *theirs,
                                const struct ki_context *peer_context)
{
    session->runs.is_difference = true;
    if (!ki_context_join(&session->peer_context, peer_context))
        return KI_STORE_MEMORY;
    int error = session_whole(session, ki_session_give);
    if (!error && !ki_context_join(&session->runs.theirs, theirs))
        error = KI_STORE_MEMORY;
    return error ? error : session_whole(session, ki_session_sort);
}

/* The first dot to send that does not stand before *dot. */
static inline bool session_next(const struct ki_session *session, struct ki_dot *dot)
{
    struct ki_run run;
    if (!ki_context_next(&session->runs.give, *dot, &run))
        return false;
    *dot = (struct ki_dot){run.replica, run.replica == dot->replica ? ki_max_u64(run.low, dot->n) : run.low};
    return true;
}

static inline size_t session_give_count(const struct ki_session *session)
{
    size_t count = 0;
    for (struct ki_dot dot = {0, 0}; session_next(session, &dot); dot.n++)
        count++;
    return count;
}

/* All that is waited for has come. */
static inline bool session_is_complete(const struct ki_session *session)
{
    enum ki_missing missing = KI_MISSING_MORE;
    struct ki_dot at = {0, 0};
    struct ki_run run;
    while (session->runs.is_sorted && !session->has_failed && missing == KI_MISSING_MORE) {
        size_t budget = 1;
        missing = ki_session_lacking(session, &at, &budget, &run);
    }
    return missing == KI_MISSING_END;
}

#endif
