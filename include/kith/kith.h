/* kith: gossip you can build on.  Membership that speaks the wire protocol of HashiCorp memberlist and Serf.
 *
 * What it is: a protocol core.  You feed it what happened (a datagram came, a stream opened, time passed) and ask
 * it what to do (send this datagram, open that stream, tell your user this event).  It has no socket, clock,
 * thread, file, global variable or randomness of its own, so it fits any event loop, a simulator and a fuzzer.
 *
 * The loop of every driver:
 *
 *     wait until a socket is readable or kith_deadline(k) has come;
 *     for each datagram:           kith_datagram(k, now, &from, buf, len);      news first,
 *     for each readable stream:    kith_stream_bytes(k, now, id, buf, len, &taken);
 *     if the deadline has come:    kith_tick(k, now);                           then the clock
 *     while (kith_poll_datagram(k, now, &to, buf, sizeof buf, &len))  send it;
 *     while (kith_poll_stream(k, &action))                            open, write, finish or abort it;
 *     while (kith_poll_record(k, &record))                            write it down (if you persist);
 *     while (kith_poll_event(k, &event))                              tell the application
 *
 * examples/poll.c is that loop with poll(2), whole.
 *
 * Rules that hold everywhere
 *   Arguments   instance, time, then inputs; outputs last, each length right after its buffer.
 *   Memory in   is borrowed for the call; what is kept is copied.
 *   Memory out  is borrowed until the next call that takes a non-const kith pointer.
 *   Errors      0 is success; every failure is one negative kith_error and leaves the state as it was, but for a
 *               counter.  Misuse by the caller (NULL, time running backwards) aborts.
 *   Threads     none inside and no locks: calls on one instance must not overlap.  Two instances share nothing.
 *   Limits      every queue and table has one in kith_config; reaching it is counted, never silent.
 */
#ifndef KITH_KITH_H
#define KITH_KITH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define KITH_API __attribute__((visibility("default")))
#else
#define KITH_API
#endif

#define KITH_VERSION "0.1.0"

/** The time that never comes: kith_deadline() when nothing is due. */
#define KITH_NEVER UINT64_MAX

/* ------------------------------------------------------------------------------------------------ errors ---- */

/** name, value, what it means and what to do */
#define KITH_ERRORS(X)                                                                                       \
    X(KITH_OK, 0, "success")                                                                                 \
    X(KITH_ERR_MALFORMED, -1, "bytes are not a valid message; they were dropped")                            \
    X(KITH_ERR_AUTH, -2, "no installed key opens it, or encryption is required; check the keys")             \
    X(KITH_ERR_LABEL, -3, "label is missing or another pool's; check the labels")                            \
    X(KITH_ERR_FULL, -4, "a limit of kith_config was reached; see the counters, raise the limit")            \
    X(KITH_ERR_NOMEM, -5, "out of memory; the state is unchanged, try again later")                          \
    X(KITH_ERR_ARG, -6, "argument out of its documented range")                                              \
    X(KITH_ERR_STATE, -7, "not possible now: not started, leaving, or left")                                 \
    X(KITH_ERR_NOT_FOUND, -8, "no such member, stream or tag")                                               \
    X(KITH_ERR_TIMEOUT, -9, "not finished in the configured time; it may still take effect")                 \
    X(KITH_ERR_UNREACHABLE, -10, "the peer could not be reached")                                            \
    X(KITH_ERR_VERSION, -11, "protocol versions do not overlap; check -protocol and -delegate-versions")     \
    X(KITH_ERR_REFUSED, -12, "the peer answered with an error")                                             \
    X(KITH_ERR_TYPE, -13, "the key holds another type; delete it first")                                     \
    X(KITH_ERR_NUMBER, -14, "what is there, or was given, is no number to count on")                         \
    X(KITH_ERR_OVERFLOW, -15, "the result does not fit 64 bits, or is no finite double")                     \
    X(KITH_ERR_TOO_LONG, -16, "key, field or value beyond the store's limits; raise them")

#define KITH_ERROR_ENUM(name, value, text) name = value,
enum kith_error { KITH_ERRORS(KITH_ERROR_ENUM) };
#undef KITH_ERROR_ENUM

/** Returns the text of a kith_error, static; "unknown error" for any other number. */
KITH_API const char *kith_strerror(int error);

/** Returns KITH_VERSION of the library that was linked, static. */
KITH_API const char *kith_version(void);

/* ------------------------------------------------------------------------------------------------- types ---- */

/** One node's membership core.  Opaque; made by kith_new(). */
typedef struct kith kith;

/** What the clocks say, microseconds.  Timers use only mono_us, which must never go back; the first incarnation and
 *  expiry use only wall_us (since 1970), which may. */
struct kith_time {
    uint64_t mono_us;
    uint64_t wall_us;
};

/** An IP address and UDP/TCP port.  ip_len is 4 or 16; a v4-mapped IPv6 address keeps its 16 bytes, because
 *  memberlist compares addresses byte by byte, but kith treats it as equal to its 4-byte form. */
struct kith_addr {
    uint8_t ip[16];
    uint8_t ip_len;
    uint16_t port; /* host byte order */
};

/** A borrowed string that need not end in NUL and may hold any byte. */
struct kith_str {
    const char *ptr;
    size_t len;
};

/** One key=value of a member. */
struct kith_tag {
    struct kith_str key;
    struct kith_str value;
};

/** What the pool says of a member (Serf's status). */
enum kith_status {
    KITH_STATUS_NONE = 0,
    KITH_STATUS_ALIVE = 1,
    KITH_STATUS_LEAVING = 2,
    KITH_STATUS_LEFT = 3,
    KITH_STATUS_FAILED = 4
};

/** What failure detection says of a member (memberlist's state). */
enum kith_state { KITH_STATE_ALIVE = 0, KITH_STATE_SUSPECT = 1, KITH_STATE_DEAD = 2, KITH_STATE_LEFT = 3 };

/** One member, as this node sees it.  A copy whose strings are borrowed. */
struct kith_member {
    struct kith_str name;
    struct kith_addr addr;
    struct kith_str meta;  /* the tags as they were received; kith_tag_next() reads them */
    enum kith_status status;
    enum kith_state state;
    uint32_t incarnation;
    uint32_t id;           /* small number, stable while this node remembers the member */
    uint64_t status_ltime; /* Lamport time of the newest intent about it */
    uint64_t changed_us;   /* monotonic time of its last change of state */
    uint8_t versions[6];   /* protocol min, max, current, delegate min, max, current */
    bool is_self;
};

/** Identifies an ask (join, leave, ...) in the event that ends it; never 0. */
typedef uint64_t kith_ticket;

/* -------------------------------------------------------------------------------------------------- life ---- */

/** Memory comes from here.  resize works as realloc does (NULL in, 0 never asked for); release as free.  NULL in
 *  both: the C library's. */
struct kith_memory {
    void *(*resize)(void *arg, void *ptr, size_t size);
    void (*release)(void *arg, void *ptr);
    void *arg;
};

enum kith_profile { KITH_PROFILE_LAN = 0, KITH_PROFILE_WAN = 1, KITH_PROFILE_LOCAL = 2 };

/** A secret of 16, 24 or 32 bytes: AES-128, -192 or -256 in GCM. */
struct kith_key {
    uint8_t bytes[32];
    uint8_t len;
};

/* What kith_config.stock switches off: whatever kith does beyond memberlist 0.2.2 and Serf 0.9.4 that their members could
 * notice.  For pools that mix both kinds, in a simulation above all; real pools gain nothing by it.
 *
 *   Tags         no _kith among them.
 *   Incarnation  begins at 1 with each life; a loaded one is not heeded.  Joins are said at the present Lamport time, not
 *                a little later.  A join intent of a former life is not answered with a newer one, and an old leave
 *                intent not again.
 *   Probing      the pace has one wasted turn at each wrap of the list; local health stretches only the wait for a
 *                verdict; the timeout is the configured one, whatever was measured; a refused port waits for it, and what
 *                helpers say of it is not asked, told or heeded; helpers say nack after a whole probe timeout; each missing
 *                nack counts against us, even if others came, and at the verdict; peers are drawn by 3 tries a member,
 *                which may miss some; the ping that carries an accusation carries no other news; a pause of the process
 *                excuses nobody.
 *   Refuting     by gossip alone: nobody is told what is said of it, the accuser gets no refutation of its own, and an
 *                exchange is answered before what it says of us is read.
 *   Accusing     suspects and dead in an exchange are accusations of our own, and may confirm those of others.  Who
 *                accuses one that has refuted, or is known to be gone, is not told.
 *   Failed       members are dead for failure detection for gossip_to_the_dead_ms, then unknown: exchanges leave them
 *                out, and whoever claims the name begins anew.  Dice decide each reconnect_interval_ms (set it to 30,000)
 *                whether one with the status failed is contacted, and which, by an exchange that says Join.  Never in
 *                bare pools.
 *   Status       a death notice that a member says itself means failed until its leave intent is heard; a leave that
 *                does not happen stays announced; who is listed as left in an exchange is taken to leave, even if it is
 *                alive; one silent vote loses the name.
 *   Events       and queries go by gossip alone, without numbers: no order, no gaps told, nothing confirmed or asked again;
 *                what does not fit a datagram is refused, and they wait while there is news of members.
 *   News         waits for the next gossip_interval_ms; is not repeated more often in tiny pools; no extra exchange follows
 *                a join or another change.
 *
 * What stays: every refusal of kith (limits, malformed messages, forged addresses, strangers' amplification), its
 * encoding (no CRC below a seal, no compression of short datagrams, no empty slots of the event ring), going on with a
 * leave whose news is late.  Lifeguard's buddy system and network coordinates have switches of their own; memberlist has
 * the first, in its pings, and Serf the second. */

/** Everything an instance can be told.  Always start from kith_config_init(): it sets every field. */
struct kith_config {
    size_t size; /* sizeof(struct kith_config), set by kith_config_init() */

    /* identity */
    struct kith_str name;              /* 1..KITH_NAME_MAX bytes, unique in the pool; must be set */
    struct kith_addr addr;             /* where others reach us, UDP and TCP; must be set */
    const struct kith_tag *tags;       /* initial tags; with the keys' lengths at most KITH_META_MAX encoded */
    size_t tag_count;
    uint8_t protocol;                  /* memberlist protocol spoken, 1..5; default 2 as Serf's */
    uint8_t delegate_min;              /* 2/5/5 joins Serf pools; 0/0/0 bare memberlist pools: membership only */
    uint8_t delegate_max;
    uint8_t delegate_cur;
    uint8_t seed[32];                  /* from the operating system; a new one for every instance */

    /* secrecy */
    struct kith_str label;             /* 0..255 bytes; pools with different labels never mix */
    const struct kith_key *keys;       /* keys[0] seals, all open; none: plain text */
    size_t key_count;
    bool verify_incoming;              /* refuse plain text when there is a key; default true */
    bool verify_outgoing;              /* seal when there is a key; default true */
    bool keys_kept;                    /* the driver writes the keyring down: kith_keys_written(); default false */
    bool resolve_conflicts;            /* vote when another claims our name (Serf's); default true */
    bool compress;                     /* LZW, when it makes a datagram smaller and on streams; default true */

    /* behaviour */
    bool stock;                        /* none of kith's own additions, as described above; default false */
    bool buddy;                        /* a ping to a suspect carries the accusation (Lifeguard), and, but for stock, a
                                        * suspect or dead member that speaks to us is told; default true */
    bool coordinates;                  /* say in acks where we are in the pool's network, and learn from others'
                                        * (Serf's); not in bare pools; default true */

    /* timing, milliseconds, and multipliers: memberlist's, by profile */
    uint32_t probe_interval_ms;
    uint32_t probe_timeout_ms;
    uint32_t gossip_interval_ms;
    uint32_t gossip_nodes;             /* members that get a gossip datagram each interval */
    uint32_t gossip_to_the_dead_ms;
    uint32_t push_pull_interval_ms;    /* 0: never */
    uint32_t stream_timeout_ms;        /* a stream without progress for so long is aborted */
    uint32_t indirect_checks;
    uint32_t retransmit_mult;
    uint32_t suspicion_mult;
    uint32_t suspicion_max_mult;
    uint32_t health_max;               /* local health score stays below it */
    uint32_t dead_reclaim_ms;          /* a dead name may be taken by another address after it; 0: never */

    /* timing, milliseconds: Serf's */
    uint32_t broadcast_timeout_ms;     /* how long leave and tag changes wait for their news to be out */
    uint32_t leave_propagate_ms;       /* how long a leaving node stays to help its news along */
    uint32_t reap_interval_ms;
    uint32_t reconnect_interval_ms;    /* a failed member hears from somebody about each so often; 0: never.
                                        * Serf: 30,000 */
    uint32_t reconnect_timeout_ms;     /* a failed member is forgotten after */
    uint32_t tombstone_timeout_ms;     /* a left member is forgotten after */
    uint32_t intent_timeout_ms;        /* an intent about an unknown member is forgotten after */

    /* limits */
    uint32_t datagram_max;             /* bytes of the largest datagram built; default 1400; 576..65507, and enough for
                                        * a ping between two names: 470 + our name + label */
    uint32_t members_max;              /* members remembered, living and dead */
    uint32_t intents_max;              /* intents about members not yet known */
    uint32_t queue_max;                /* news waiting in each broadcast queue */
    uint32_t replies_max;              /* direct replies waiting to be sent */
    uint32_t relays_max;               /* indirect pings carried out for others at one time */
    uint32_t streams_max;              /* streams open at one time, and at most streams_per_source with one address */
    uint32_t streams_per_source;
    uint32_t tickets_max;              /* asks not yet ended */
    uint32_t events_max;               /* events waiting that are not about a member */
    uint32_t messages_max;             /* user events, queries and answers waiting, and */
    uint64_t message_bytes_max;        /* bytes of them */
    uint32_t event_size_max;           /* bytes of a user event's name and payload; default 1 MiB */
    uint32_t query_size_max;           /* of a query's, with its filters */
    uint32_t response_size_max;        /* of an answer's payload */
    uint32_t queries_max;              /* queries of others that may still be answered, and of ours that wait */
    uint64_t event_log_max;            /* bytes of past events kept for those that missed them; default 4 MiB */
    uint32_t aggregates_max;           /* aggregates open here, and as many that only others contribute to */
    uint32_t watches_max;              /* watches of aggregates */
    uint64_t aggregate_bytes_max;      /* bytes of contributions beyond which AUTO means the network engine; four times as
                                        * many are kept at most; default 1 MiB */
    uint64_t stream_bytes_max;         /* bytes held for all streams together */
    uint32_t frame_max;                /* bytes of one sealed stream frame */
    uint32_t inflated_max;             /* bytes a compressed stream may grow to; datagrams: 64 KiB */
    uint32_t nesting_max;              /* compound and compressed layers inside one datagram */
    uint64_t memory_max;               /* bytes allocated in all, but for a store's (store.h); 0: no limit */

    struct kith_memory memory;
};

#define KITH_NAME_MAX 255 /* bytes of a member's name; longer ones are refused and counted */
#define KITH_META_MAX 512 /* bytes of a member's encoded tags (memberlist's MetaMaxSize) */

/** Fills a configuration with a profile's defaults (Serf's values, but for reconnect_interval_ms).  Name, address and seed
 *  remain to be set. */
KITH_API void kith_config_init(struct kith_config *config, enum kith_profile profile);

/** Makes an instance that is not yet part of any pool: nothing is sent before kith_ready().
 *
 *  In:      config  copied whole, with all it points to.
 *  Out:     out     the instance; release it with kith_free().
 *  Returns: 0; KITH_ERR_ARG (a field is out of range: name, addr, tags, versions, key length, a limit of 0);
 *           KITH_ERR_NOMEM.
 */
KITH_API int kith_new(kith **out, const struct kith_config *config);

/** Releases an instance and all its memory, without a word to the pool (see kith_leave()).  NULL is fine. */
KITH_API void kith_free(kith *k);

/* ------------------------------------------------------------------------------------------------ records ---- */

/* What should survive a restart.  A driver that persists writes each record it polls and, at the COMMIT mark, makes
 * the group durable and says so with kith_durable(); at the next start it feeds what it wrote, in order, to
 * kith_load() before kith_ready().  One that does not may never poll: waiting records are one flag a member. */
enum kith_record_kind {
    KITH_RECORD_MEMBER = 1,  /* name at addr is alive */
    KITH_RECORD_GONE = 2,    /* name is no longer alive */
    KITH_RECORD_CLOCK = 3,   /* value: member Lamport clock */
    KITH_RECORD_EVENT_CLOCK = 4,
    KITH_RECORD_QUERY_CLOCK = 5,
    KITH_RECORD_INCARNATION = 6, /* value: our own incarnation */
    KITH_RECORD_LEFT = 7,    /* we left: do not rejoin by what came before */
    KITH_RECORD_COMMIT = 8   /* value: seq for kith_durable() */
};

struct kith_record {
    enum kith_record_kind kind;
    struct kith_str name;
    struct kith_addr addr;
    uint64_t value;
};

/** Feeds one stored record, before kith_ready().  MEMBER records are not members yet: the driver joins them.
 *  Returns: 0; KITH_ERR_STATE after kith_ready(); KITH_ERR_ARG for an unknown kind. */
KITH_API int kith_load(kith *k, const struct kith_record *record);

/** Starts life: the node announces itself and its timers run.  First incarnation = max(wall seconds, last own + 1),
 *  so that it outranks its own death notice.
 *  Returns: 0; KITH_ERR_STATE when called twice; KITH_ERR_NOMEM; KITH_ERR_MALFORMED: rows of the store are missing. */
KITH_API int kith_ready(kith *k, struct kith_time now);

/** Takes the next record to write down, if there is one. */
KITH_API bool kith_poll_record(kith *k, struct kith_record *out);

/** Tells that all groups up to a COMMIT's seq are durable, or (error != 0) that this group was not written; then
 *  everything is offered again. */
KITH_API void kith_durable(kith *k, struct kith_time now, uint64_t seq, int error);

/* -------------------------------------------------------------------------------- input: what has happened ---- */

/** Feeds one received datagram.
 *
 *  In:      from  its source address.   buf, len  the whole datagram.
 *  Returns: 0; KITH_ERR_AUTH, KITH_ERR_LABEL: dropped and counted, and nothing else has changed;
 *           KITH_ERR_MALFORMED, KITH_ERR_VERSION, KITH_ERR_FULL, KITH_ERR_NOMEM: so was at least one of its messages;
 *           others in the same datagram may have been applied; KITH_ERR_STATE: before kith_ready() or after leaving.
 *           The result may be ignored: datagrams may be lost anyway.
 */
KITH_API int kith_datagram(kith *k, struct kith_time now, const struct kith_addr *from, const void *buf, size_t len);

/** Tells that the operating system reported a datagram to this address as undeliverable.  A probe of that address goes
 *  on to indirect probing at once.
 *  In:      error  KITH_ERR_REFUSED: that host itself says that nobody listens at the port (ICMP port unreachable), which
 *                  is evidence of a process that ended; KITH_ERR_UNREACHABLE: anything else (no route, a failing send),
 *                  which is none. */
KITH_API void kith_datagram_refused(kith *k, struct kith_time now, const struct kith_addr *to, int error);

/** Tells that a peer opened a stream to us.
 *  Out:     id  names the stream from now on; never 0.
 *  Returns: 0; KITH_ERR_FULL (streams_max or streams_per_source: close it); KITH_ERR_NOMEM; KITH_ERR_STATE. */
KITH_API int kith_stream_accept(kith *k, struct kith_time now, const struct kith_addr *from, uint32_t *id);

/** Tells that a stream asked for with OPEN is connected. */
KITH_API void kith_stream_opened(kith *k, struct kith_time now, uint32_t id);

/** Tells that a stream could not be opened or broke.  The id is dead now; do not answer with an action.
 *  In:      error  KITH_ERR_UNREACHABLE, KITH_ERR_TIMEOUT or KITH_ERR_REFUSED. */
KITH_API void kith_stream_failed(kith *k, struct kith_time now, uint32_t id, int error);

/** Feeds received bytes of a stream.
 *  Out:     taken  how many were taken.  Fewer than len: stop reading, keep the rest, and offer it again after
 *                  the action RESUME.
 *  Returns: 0; KITH_ERR_NOT_FOUND: the stream is over, drop the bytes (its ABORT or FINISH is on its way). */
KITH_API int kith_stream_bytes(kith *k, struct kith_time now, uint32_t id, const void *buf, size_t len, size_t *taken);

/** Tells that the peer sends no more on this stream. */
KITH_API void kith_stream_end(kith *k, struct kith_time now, uint32_t id);

/** Does what is due.  Call it when kith_deadline() has come; earlier calls do no harm.  Runs about 1 ms at most:
 *  when more work remains the deadline is at once again. */
KITH_API void kith_tick(kith *k, struct kith_time now);

/* ------------------------------------------------------------------------------------- input: what you ask ---- */

/* Asks that take time return a ticket; the event KITH_EVENT_DONE ends it.  ticket may be NULL: no event then.
 * All return KITH_ERR_STATE before kith_ready() and after leaving, KITH_ERR_FULL beyond tickets_max, KITH_ERR_NOMEM. */

/** Joins a pool by these addresses: all are contacted, a few at a time.  Ends with the number reached in `count`, and with
 *  result KITH_ERR_UNREACHABLE (or the last error) if none was.
 *  In:      addrs, count  1 or more;  replay  take old user events too.
 *  Returns: also KITH_ERR_ARG for a count of 0. */
KITH_API int kith_join(kith *k, struct kith_time now, const struct kith_addr *addrs, size_t count, bool replay,
                       kith_ticket *ticket);

/** Leaves the pool gracefully: says so, waits until the news is out (broadcast_timeout_ms at most) and helps it
 *  along (leave_propagate_ms).  Afterwards the instance is only good for reading and kith_free().  Leaving goes on
 *  when the news could not be sent in time; the result is KITH_ERR_TIMEOUT then. */
KITH_API int kith_leave(kith *k, struct kith_time now, kith_ticket *ticket);

/** Declares a failed member left on its behalf; with prune, forgets it everywhere.  A member that is alive refutes.
 *  Returns: also KITH_ERR_NOT_FOUND (it is told to the pool all the same, but there is no ticket then). */
KITH_API int kith_force_leave(kith *k, struct kith_time now, struct kith_str name, bool prune, kith_ticket *ticket);

/* Tag changes between kith_begin() and kith_commit() are one group: others see all or none of it.
 * Tags that begin with "_kith" are kith's own. */
/** Opens a group.  Returns: KITH_ERR_STATE if one is open. */
KITH_API int kith_begin(kith *k);
/** Sets a tag in the open group.  Returns: KITH_ERR_ARG (empty or own key, the whole beyond KITH_META_MAX bytes). */
KITH_API int kith_tag_set(kith *k, struct kith_str key, struct kith_str value);
/** Deletes a tag in the open group.  Returns: KITH_ERR_NOT_FOUND; the group goes on. */
KITH_API int kith_tag_delete(kith *k, struct kith_str key);
/** Tells the pool.  Ends when the news is out, or with KITH_ERR_TIMEOUT after broadcast_timeout_ms. */
KITH_API int kith_commit(kith *k, struct kith_time now, kith_ticket *ticket);
/** Drops the open group, if there is one. */
KITH_API void kith_abandon(kith *k);

/* ----------------------------------------------------------------------------------- output: what to do now ---- */

/** Builds the next datagram to send, from the newest state.  Order: probe replies, probes and refutations, other
 *  replies, gossip.
 *  In:      cap  size of buf, at least config.datagram_max.
 *  Returns: true and the datagram, or false: nothing to send now. */
KITH_API bool kith_poll_datagram(kith *k, struct kith_time now, struct kith_addr *to, void *buf, size_t cap,
                                 size_t *len);

enum kith_stream_kind {
    KITH_STREAM_OPEN = 1,   /* connect to addr, then kith_stream_opened() or kith_stream_failed() */
    KITH_STREAM_WRITE = 2,  /* there are bytes: kith_stream_write() whenever writable, until it gives none */
    KITH_STREAM_RESUME = 3, /* offer the bytes that were not taken, and read on */
    KITH_STREAM_FINISH = 4, /* send what was written, then close; the id is dead */
    KITH_STREAM_ABORT = 5   /* close at once; the id is dead */
};

struct kith_stream_action {
    enum kith_stream_kind kind;
    uint32_t id;
    struct kith_addr addr; /* OPEN: where to */
};

/** Takes the next thing to do with a stream, if there is one. */
KITH_API bool kith_poll_stream(kith *k, struct kith_stream_action *out);

/** Writes the next bytes of a stream into the caller's buffer; call it when the socket is writable.
 *  Returns: 0, *len 0 when there are none now; KITH_ERR_NOT_FOUND. */
KITH_API int kith_stream_write(kith *k, struct kith_time now, uint32_t id, void *buf, size_t cap, size_t *len);

enum kith_event_kind {
    KITH_EVENT_MEMBER = 1,   /* member changed as `changed` says; one event a member, however often it changed */
    KITH_EVENT_CONFLICT = 2, /* somebody at `other` claims the name of `member` */
    KITH_EVENT_DONE = 3,     /* the ask `ticket` ended with `result` and `count` */
    KITH_EVENT_NAME_LOST = 4, /* of `count` members only `result` hold our name to be ours: stop using it */
    /* of these event.h tells; what they hold is in `message` */
    KITH_EVENT_USER = 5,        /* a user event */
    KITH_EVENT_GAP = 6,         /* user events of one origin that this member will not get */
    KITH_EVENT_QUERY = 7,       /* somebody asks: kith_respond() */
    KITH_EVENT_ANSWER = 8,      /* to what `ticket` asked */
    KITH_EVENT_UNCONFIRMED = 9, /* who has not confirmed the event of `ticket`; result KITH_ERR_VERSION: it never can */
    KITH_EVENT_KEYS = 10,       /* our keyring has changed: kith_keys() */
    KITH_EVENT_WATCH = 11,      /* the watch `ticket` of aggregate.h: `result` 1, it holds; 0, no longer */
    KITH_EVENT_SILENT = 12,     /* who has not answered the folded query of `ticket`; KITH_ERR_VERSION: it never can */
    KITH_EVENT_FOLDED = 13      /* what all others have: kith_folded_read() */
};

enum { /* struct kith_event.changed */
       KITH_CHANGED_JOINED = 1,
       KITH_CHANGED_LEFT = 2,
       KITH_CHANGED_FAILED = 4,
       KITH_CHANGED_TAGS = 8,
       KITH_CHANGED_REAPED = 16,  /* forgotten; the last event about it */
       KITH_CHANGED_SUSPECT = 32, /* became suspect, or is no longer */
       KITH_CHANGED_LEAVING = 64  /* is leaving, or no longer */
};

/** What a member said to all, or to us.  Strings are borrowed as all that is polled. */
struct kith_message {
    struct kith_str origin;  /* who: sent the event, asks, answers.  Empty: an event of a Serf member, which does not say */
    struct kith_str name;
    struct kith_str payload;
    uint64_t ltime;          /* Lamport time of the event or query */
    uint64_t seq;            /* USER: its number among what this life of its origin has sent, rising from 1 (large queries
                              * take numbers, too); 0: not numbered, a Serf member's.  GAP: the first that is missing, */
    uint64_t seq_last;       /* and the last */
    uint64_t query;          /* QUERY, KEYS: what to answer to */
    uint64_t until_us;       /* QUERY: monotonic time after which nobody waits for an answer */
    bool coalesce;
    bool kith_only;
    bool is_ack;             /* ANSWER: the query has been heard; else a response */
};

struct kith_event {
    enum kith_event_kind kind;
    uint32_t changed;
    struct kith_member member;
    struct kith_addr other;
    struct kith_message message;
    kith_ticket ticket;
    int result;
    uint32_t count;
};

/** Takes the next event, if there is one. */
KITH_API bool kith_poll_event(kith *k, struct kith_event *out);

/** Returns the monotonic time at which kith_tick() is due next, microseconds, or KITH_NEVER. */
KITH_API uint64_t kith_deadline(const kith *k);

/* ------------------------------------------------------------------------------------------------ reading ---- */

/** Reads ourselves. */
KITH_API void kith_self(const kith *k, struct kith_member *out);
/** Finds a member by name.  Returns: 0 or KITH_ERR_NOT_FOUND. */
KITH_API int kith_find(const kith *k, struct kith_str name, struct kith_member *out);
/** Walks all members in order of id: start with *cursor = 0.  Returns: false after the last. */
KITH_API bool kith_next(const kith *k, uint32_t *cursor, struct kith_member *out);
/** Exports the view: up to cap members, borrowed.  Returns: how many there are. */
KITH_API size_t kith_members(const kith *k, struct kith_member *out, size_t cap);
/** Restores a view: each member (but ourselves) is entered as it is described, without news or events.  After
 *  kith_ready().  Returns: 0, KITH_ERR_ARG, KITH_ERR_FULL, KITH_ERR_NOMEM (those before the failing one are in). */
KITH_API int kith_import_members(kith *k, struct kith_time now, const struct kith_member *members, size_t count);

/** Walks a member's tags in the order in which it sent them: start with *cursor = 0.  A member without the tag map of
 *  Serf has one tag, "role".  Returns: false after the last, or at a malformed rest. */
KITH_API bool kith_tag_next(const struct kith_member *member, size_t *cursor, struct kith_tag *out);

/** A place in the pool's network: where a node is (Vivaldi), in seconds of round trip, so that the round trip between any
 *  two can be estimated though nobody has measured it.  A copy; may be kept and compared with any other of the pool. */
struct kith_coordinate {
    double vec[8];
    double error;      /* how little it is to be believed: a part of the distance; new nodes say 1.5, settled ones 0.1 */
    double adjustment; /* added to each distance; either sign */
    double height;     /* what all ways from here have in common */
};

/** Reads where a member, or we ourselves, are in the pool's network.
 *  In:      name  a member's name.
 *  Out:     out   ours, as learned so far; or what the member said in its last answer to our probes.
 *  Returns: 0; KITH_ERR_NOT_FOUND: no such member; or it has not answered one yet, says no coordinates, or ours are
 *           switched off.  Probes reach each member once in so many probe intervals as there are members: wait, or ask
 *           another node. */
KITH_API int kith_coordinate(const kith *k, struct kith_str name, struct kith_coordinate *out);

/** Estimates the round trip between two places, microseconds.  Good to some ten percent once the pool has lived for a few
 *  minutes.  What hostile members say may lead to any result, 0 and UINT64_MAX included. */
KITH_API uint64_t kith_coordinate_distance_us(const struct kith_coordinate *a, const struct kith_coordinate *b);

/** Names of the counters, in the order of kith_counter(). */
KITH_API size_t kith_counter_count(void);
KITH_API const char *kith_counter_name(size_t index);
/** Reads a counter; 0 beyond the last. */
KITH_API uint64_t kith_counter(const kith *k, size_t index);

/** Numbers that go up and down. */
struct kith_gauges {
    uint32_t members, alive, suspect, failed, left;
    uint32_t health_score;                  /* Lifeguard: 0 healthy .. health_max-1 */
    uint32_t queue_members, queue_intents, queue_events, queue_queries; /* news waiting */
    uint32_t streams;
    uint32_t tickets;
    uint64_t member_ltime, event_ltime, query_ltime; /* Lamport clocks */
    uint64_t memory_bytes;                  /* allocated now */
    uint64_t stream_bytes;                  /* held for streams now */
    uint32_t incarnation;
    bool encrypted;
    bool leaving;
    bool left_pool;
};
KITH_API void kith_read_gauges(const kith *k, struct kith_gauges *out);

/** Describes a datagram in one line of text, for traces and logs: what is in it, layer by layer, its messages in order:
 *  "ping 17 of node-2 | suspect node-3 inc 4 by node-1 | alive node-4 inc 1".
 *
 *  In:      k    whose keys open it, whose label it should carry, and whose memory hooks and limits hold; unchanged.
 *                NULL: any label, and what is sealed stays so ("sealed 93 bytes").
 *           buf, len  the whole datagram, which may be anybody's.
 *  Out:     out  at most cap bytes (1 or more), always ending in NUL; what does not fit is cut and ends in "...".
 *                Bytes of names that would confuse a reader (control, space, '|', '\\', no UTF-8) are written \xNN.
 *  Returns: 0; KITH_ERR_AUTH, KITH_ERR_LABEL: not for k's pool; KITH_ERR_MALFORMED, KITH_ERR_NOMEM: some part could not
 *           be read.  The text tells what could, all the same.
 */
KITH_API int kith_describe(const kith *k, const void *buf, size_t len, char *out, size_t cap);

/** True when both name the same place: ports equal, and addresses equal in canonical form. */
KITH_API bool kith_addr_equal(const struct kith_addr *a, const struct kith_addr *b);

#ifdef __cplusplus
}
#endif

#endif
