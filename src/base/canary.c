/* Planted bugs: which one this run has, and what each is called.
 *
 * A checker that has never found anything may be blind; each has a bug here that it must find (tests/swarm).
 * The only writable global of the library, and only in a build that is made to be wrong: the bugs are in the code of all
 * layers, and none of it should carry an argument that no honest build needs.  Nothing here exists in such a build. */
#include "base/canary.h"

_Static_assert(KI_CANARY_NONE == 0, "no bug is what a run begins with");

#ifdef KITH_CANARY
int ki_canary;

const char *const ki_canary_names[KI_CANARY_COUNT] = {
    "",
#define CANARY_NAME(name, text, checker, about) text,
    KI_CANARIES(CANARY_NAME)
#undef CANARY_NAME
};

const char *const ki_canary_checkers[KI_CANARY_COUNT] = {
    "",
#define CANARY_CHECKER(name, text, checker, about) checker,
    KI_CANARIES(CANARY_CHECKER)
#undef CANARY_CHECKER
};
#endif
