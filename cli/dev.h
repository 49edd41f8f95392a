/* `kith dev`, between its files:
 *
 *     dev.c         options, ports, the loop, signals, the end of it all
 *     dev_node.c    one agent as a process: start, kill, stop, restart, its drop list, what it costs
 *     dev_link.c    one agent by RPC: asked who it sees, without ever waiting for it
 *     dev_view.c    who sees whom: changes become lines, agreement is noticed
 *     dev_screen.c  the table on a terminal
 *     dev_term.c    the terminal: raw mode, keys, and everything put back on every way out
 */
#ifndef KI_CLI_DEV_H
#define KI_CLI_DEV_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "agent/rpc_frame.h"
#include "base/base.h"

#define KI_DEV_NODES_MAX 32 /* what a wide terminal shows */
#define KI_DEV_EVENTS    64 /* lines remembered for the screen */
#define KI_DEV_LINE      160
#define KI_DEV_REPLY_MAX (1u << 20)

enum ki_dev_process {
    KI_DEV_RUNNING,
    KI_DEV_STOPPED, /* SIGSTOP */
    KI_DEV_LEAVING, /* asked to leave gracefully */
    KI_DEV_LEFT,    /* and did */
    KI_DEV_KILLED,  /* by us */
    KI_DEV_EXITED   /* by itself: not meant to happen */
};

enum ki_dev_seen { /* what one node says of another */
                   KI_DEV_UNSEEN,
                   KI_DEV_SEEN_ALIVE,
                   KI_DEV_SEEN_SUSPECT,
                   KI_DEV_SEEN_FAILED,
                   KI_DEV_SEEN_LEAVING,
                   KI_DEV_SEEN_LEFT,
                   KI_DEV_SEEN_COUNT
};

enum ki_dev_link_state {
    KI_DEV_LINK_DOWN,
    KI_DEV_LINK_CONNECTING,
    KI_DEV_LINK_GREETING,
    KI_DEV_LINK_READY,
    KI_DEV_LINK_CLOSING
};

enum ki_dev_question { KI_DEV_ASK_NONE, KI_DEV_ASK_HANDSHAKE, KI_DEV_ASK_MEMBERS, KI_DEV_ASK_JOIN };

struct ki_dev_link {
    uv_tcp_t tcp;
    uv_connect_t connect;
    enum ki_dev_link_state state;
    enum ki_dev_question asked; /* whose answer is awaited: one question at a time */
    bool header_read;           /* of that answer */
    uint64_t seq;
    uint64_t join_after_ms;
    struct ki_rpc_frame frame;
    uint8_t *in; /* KI_DEV_REPLY_MAX bytes at most; an object begins at its start */
    size_t in_len;
    size_t in_cap;
};

struct ki_dev;

struct ki_dev_node {
    struct ki_dev *dev;
    unsigned index; /* 0 .. count - 1; shown from 1 */
    char name[16];
    char ip[24];
    enum ki_dev_process process;
    pid_t pid;              /* 0: none to reap */
    bool restart;           /* start again when it is reaped */
    bool cut;               /* from all others */
    int control;            /* our end of KITH_DEV_FD; -1 */
    uv_pipe_t *output;      /* what it prints; NULL when there is none to read */
    char line[KI_DEV_LINE]; /* the last line it printed */
    char partial[KI_DEV_LINE];
    size_t partial_len;
    struct ki_dev_link link;
    bool known;                     /* sees[] is from this process */
    uint8_t sees[KI_DEV_NODES_MAX]; /* enum ki_dev_seen */
    uint64_t rss_bytes;
    uint64_t cpu_ns;
    uint32_t cpu_permille; /* of one core, over the last second */
};

struct ki_dev {
    uv_loop_t loop;
    uv_timer_t poll;
    uv_signal_t signals[5];
    struct ki_dev_node *nodes;
    unsigned count;
    uint16_t port;
    uint16_t rpc_port;
    uint16_t resp_port; /* 0: no Redis doors */
    const char *profile;
    uint64_t started_ms;
    bool quitting;
    bool announced;       /* the ready line is out */
    uint64_t agreed_hash; /* of the agreement announced last; 0: none */
    /* the screen */
    bool screen; /* else plain lines */
    bool colour;
    bool dirty;
    int tty;
    uv_poll_t keys;
    unsigned selected;
    unsigned rows;
    unsigned columns;
    char events[KI_DEV_EVENTS][KI_DEV_LINE];
    uint64_t event_count; /* ever */
};

/* ---- dev.c ---- */

/* Says what happened: a line, or the newest event on the screen. */
void ki_dev_say(struct ki_dev *dev, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Milliseconds since the start. */
uint64_t ki_dev_age_ms(const struct ki_dev *dev);
void ki_dev_quit(struct ki_dev *dev);

/* ---- dev_node.c ---- */

void ki_dev_node_start(struct ki_dev_node *node);
void ki_dev_node_kill(struct ki_dev_node *node);
void ki_dev_node_stop(struct ki_dev_node *node); /* or go on */
void ki_dev_node_restart(struct ki_dev_node *node);
void ki_dev_node_leave(struct ki_dev_node *node);
void ki_dev_node_cut(struct ki_dev_node *node); /* or heal */
/* Reaps it if it has ended. */
void ki_dev_node_reap(struct ki_dev_node *node);
/* Reads what the process costs; call it once a second. */
void ki_dev_node_measure(struct ki_dev_node *node);
/* Ends and reaps the process, now. */
void ki_dev_node_end(struct ki_dev_node *node);
const char *ki_dev_process_text(enum ki_dev_process process);

/* ---- dev_link.c ---- */

/* Connects, or asks the next question, unless an answer is awaited. */
void ki_dev_link_poll(struct ki_dev_node *node);
void ki_dev_link_close(struct ki_dev_node *node);

/* ---- dev_view.c ---- */

/* The node has answered. */
void ki_dev_view_update(struct ki_dev_node *node, const uint8_t sees[KI_DEV_NODES_MAX]);
/* Its process is gone, and its view with it. */
void ki_dev_view_forget(struct ki_dev_node *node);
/* Notices agreement of all running nodes, and says so once. */
void ki_dev_view_check(struct ki_dev *dev);
const char *ki_dev_seen_text(enum ki_dev_seen seen);
/* Parses an answer to `kith-members`.  Members that are none of ours are left out.  Returns false when
 * malformed. */
bool ki_dev_view_parse(const struct ki_dev *dev, struct ki_span object,
                       uint8_t sees[KI_DEV_NODES_MAX]);

/* ---- dev_screen.c ---- */

void ki_dev_screen_draw(struct ki_dev *dev);
/* Does what a key means. */
void ki_dev_screen_key(struct ki_dev *dev, int key);

/* ---- dev_term.c ---- */

enum { KI_DEV_KEY_UP = 256, KI_DEV_KEY_DOWN };

/* Takes the terminal.  Returns false, and changes nothing, when there is none to take. */
bool ki_dev_term_open(struct ki_dev *dev);
void ki_dev_term_size(struct ki_dev *dev);
void ki_dev_term_write(const char *bytes, size_t len);
void ki_dev_term_close(struct ki_dev *dev);

#endif
