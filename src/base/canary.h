/* Planted bugs, one for each checker of the simulator: a build with -DKITH_CANARY has them all and chooses one when it
 * runs; in every other build KI_CANARY() is false and nothing of them is left.
 *
 * A line: the name, the checker that must catch it, and what is wrong then. */
#ifndef KI_CANARY_H
#define KI_CANARY_H

#define KI_CANARIES(X)                                                                          \
    X(OLD_NEWS, "old-news", "incarnation", "takes accusations of a lower incarnation")          \
    X(REVIVE, "revive", "left", "takes back a member that left, by whatever is said of it")     \
    X(OBEY, "obey", "self", "believes its own death notice")                                    \
    X(OVERFILL, "overfill", "size", "forgets the seal when it fills a datagram")                \
    X(SPIN, "spin", "deadline", "wakes for a time that it never serves")                        \
    X(HOARD, "hoard", "limits", "keeps all news, however many")                                 \
    X(LEAK, "leak", "memory", "does not release what a join has kept")                          \
    X(HASTY, "hasty", "quiet", "suspects now and then one that has answered")                   \
    X(RELAY, "relay", "address", "pings any address for whoever asks")                          \
    X(CHATTY, "chatty", "answer", "tells news to strangers")                                    \
    X(MUTE, "mute", "events", "does not tell that a suspicion has ended")                       \
    X(ECHO, "echo", "storm", "asks once more whoever it has answered")                          \
    X(GRUDGE, "grudge", "agree", "never refutes what is said of it")                            \
    X(EAGER, "eager", "store", "takes over what a peer knows before its cells have come")       \
    X(SAME_ID, "same-id", "store", "goes on under its replica id whatever the disk has lost")   \
    X(BOAST, "boast", "holder", "holds every peer to have what was asked about")                \
    X(BLURT, "blurt", "withhold", "pushes what is not durable yet")                             \
    X(SILENT, "silent", "changes", "does not tell who watches what has come from elsewhere")    \
    X(STALE, "stale", "converge", "says an old root when its context alone has grown")          \
    X(TWICE, "twice", "once", "tells an event that has a number twice")                         \
    X(JUMBLE, "jumble", "order", "tells what comes too early at once")                          \
    X(HUSH, "hush", "gaps", "says nothing of what is lost")                                     \
    X(VOUCH, "vouch", "certificate", "counts those that have not confirmed")                    \
    X(PARROT, "parrot", "asks", "tells every answer as often as it comes")                      \
    X(SHY, "shy", "settle", "asks once for what is missing, and waits for it for ever")         \
    X(HAUNT, "haunt", "places", "folds what the dead have contributed, too")                    \
    X(JUMPY, "jumpy", "edges", "does not wait until what is watched has held")                  \
    X(SKIP, "skip", "fold", "takes what it is told last for all there is")                      \
    X(SPILL, "spill", "flow", "does not take back what has flowed to who is gone")

enum {
    KI_CANARY_NONE,
#define KI_CANARY_ENUM(name, text, checker, about) KI_CANARY_##name,
    KI_CANARIES(KI_CANARY_ENUM)
#undef KI_CANARY_ENUM
        KI_CANARY_COUNT
};

#ifdef KITH_CANARY
extern int ki_canary; /* the one that is planted */
extern const char *const ki_canary_names[KI_CANARY_COUNT];
extern const char *const ki_canary_checkers[KI_CANARY_COUNT];
#define KI_CANARY(name) (ki_canary == KI_CANARY_##name)
#else
#define KI_CANARY(name) (false)
#endif

#endif
