/* The table of `kith dev`: a row a member, a column a node that looks at it.
 *
 *     kith dev: 5 agents on 127.0.0.1 - 127.0.0.5, port 7946, RPC port 7373                    12.3 s
 *
 *       member  process        memory    cpu  by 1    by 2    by 3    by 4    by 5
 *     > node-1  running        2.1 MB   0.1%  alive   alive   failed  -       alive
 *
 * The whole screen is built in one buffer and written at once, line by line over what was there, so
 * nothing flickers.  Lines are cut at the terminal's width; when the columns do not fit as words they
 * shrink to letters.  A column is dim while its node is stopped (what it saw last), and dots when its
 * node is gone. */
#include "cli/dev.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SCREEN_LEFT 40 /* columns before the first view: five views fit a terminal of 80 */
#define SCREEN_WORD 8  /* columns of a view as a word and a space */

struct screen_frame {
    char bytes[65536];
    size_t len;
    unsigned column;
    unsigned columns;
    unsigned row;
    unsigned rows;
    bool colour;
};

static void screen_raw(struct screen_frame *frame, const char *bytes, size_t len)
{
    if (len <= sizeof frame->bytes - frame->len) {
        memcpy(frame->bytes + frame->len, bytes, len);
        frame->len += len;
    }
}

static void screen_escape(struct screen_frame *frame, const char *escape)
{
    if (frame->colour)
        screen_raw(frame, escape, strlen(escape));
}

static void screen_put(struct screen_frame *frame, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Adds text, cut at the right margin. */
static void screen_put(struct screen_frame *frame, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (frame->row >= frame->rows || frame->column >= frame->columns)
        return;
    size_t len = ki_min_size(strlen(text), frame->columns - frame->column);
    screen_raw(frame, text, len);
    frame->column += (unsigned)len;
}

/* Ends a line.  There is no line break after the last, which would scroll. */
static void screen_line(struct screen_frame *frame)
{
    if (frame->row < frame->rows) {
        screen_raw(frame, "\033[0m\033[K", 7);
        if (frame->row + 1 < frame->rows)
            screen_raw(frame, "\r\n", 2);
    }
    frame->row++;
    frame->column = 0;
}

/* ---- the table ---- */

static const char *screen_seen_escape(enum ki_dev_seen seen)
{
    static const char *const escapes[KI_DEV_SEEN_COUNT] = {
        [KI_DEV_UNSEEN] = "\033[2m",        [KI_DEV_SEEN_ALIVE] = "\033[32m",
        [KI_DEV_SEEN_SUSPECT] = "\033[33m", [KI_DEV_SEEN_FAILED] = "\033[31m",
        [KI_DEV_SEEN_LEAVING] = "\033[36m", [KI_DEV_SEEN_LEFT] = "\033[36m",
    };
    return escapes[seen];
}

/* What `viewer` says of member `index`. */
static void screen_cell(struct screen_frame *frame, const struct ki_dev_node *viewer,
                        unsigned index, unsigned width)
{
    enum ki_dev_seen seen = (enum ki_dev_seen)viewer->sees[index];
    const char *text = viewer->known ? ki_dev_seen_text(seen) : ".";
    if (viewer->process == KI_DEV_STOPPED || !viewer->known)
        screen_escape(frame, "\033[2m");
    else
        screen_escape(frame, screen_seen_escape(seen));
    char letter = seen == KI_DEV_SEEN_LEAVING ? 'l' : (char)toupper((unsigned char)text[0]);
    if (width == SCREEN_WORD)
        screen_put(frame, "%-*s", SCREEN_WORD, text);
    else
        screen_put(frame, "%-*c", (int)width, letter);
    screen_escape(frame, "\033[0m");
}

static void screen_row(struct screen_frame *frame, const struct ki_dev *dev, unsigned index,
                       unsigned width)
{
    const struct ki_dev_node *node = &dev->nodes[index];
    bool selected = index == dev->selected;
    char process[24];
    snprintf(process, sizeof process, "%s%s", ki_dev_process_text(node->process),
             node->cut ? ", cut" : "");
    if (selected)
        screen_escape(frame, "\033[1m");
    screen_put(frame, "%c %-8s%-13s", selected ? '>' : ' ', node->name, process);
    if (node->pid != 0)
        screen_put(frame, "%5.1f MB%4u.%u%%", (double)node->rss_bytes / 1e6,
                   node->cpu_permille / 10, node->cpu_permille % 10);
    screen_escape(frame, "\033[0m");
    if (frame->column < SCREEN_LEFT)
        screen_put(frame, "%*s", (int)(SCREEN_LEFT - frame->column), "");
    for (unsigned i = 0; i < dev->count; i++)
        screen_cell(frame, &dev->nodes[i], index, width);
    screen_line(frame);
}

static void screen_table(struct screen_frame *frame, const struct ki_dev *dev)
{
    unsigned width = SCREEN_LEFT + SCREEN_WORD * dev->count <= dev->columns ? SCREEN_WORD : 3;
    screen_put(frame, "  member  process         memory    cpu");
    screen_put(frame, "%*s", (int)(SCREEN_LEFT - frame->column), "");
    for (unsigned i = 0; i < dev->count; i++)
        screen_put(frame, width == SCREEN_WORD ? "by %-*u" : "%-*u",
                   (int)(width == SCREEN_WORD ? 5 : 3), i + 1);
    screen_line(frame);
    for (unsigned i = 0; i < dev->count; i++)
        screen_row(frame, dev, i, width);
    if (width != SCREEN_WORD)
        screen_put(frame, "  A alive  S suspect  F failed  l leaving  L left  - unknown");
    screen_line(frame);
}

/* ---- the screen ---- */

void ki_dev_screen_draw(struct ki_dev *dev)
{
    struct screen_frame frame = {.columns = dev->columns, .rows = dev->rows, .colour = dev->colour};
    uint64_t age_ms = ki_dev_age_ms(dev);
    screen_raw(&frame, "\033[H", 3);
    screen_escape(&frame, "\033[1m");
    screen_put(&frame, "kith dev: %u agents on %s - %s, port %u, RPC port %u   %u s", dev->count,
               dev->nodes[0].ip, dev->nodes[dev->count - 1].ip, dev->port, dev->rpc_port,
               (unsigned)(age_ms / 1000));
    screen_line(&frame);
    screen_escape(&frame, "\033[2m");
    const struct ki_dev_node *node = &dev->nodes[dev->selected];
    if (node->pid != 0)
        screen_put(&frame, "%s: pid %d; ask it: kith members -rpc-addr %s:%u, redis-cli -h %s -p %u", node->name,
                   (int)node->pid, node->ip, dev->rpc_port, node->ip, dev->resp_port);
    else
        screen_put(&frame, "%s: no process; r starts it again", node->name);
    screen_line(&frame);
    screen_line(&frame);
    screen_table(&frame, dev);
    unsigned room = dev->rows > frame.row + 1 ? dev->rows - frame.row - 1 : 0;
    uint64_t shown = ki_min_u64(ki_min_u64(room, dev->event_count), KI_DEV_EVENTS);
    for (uint64_t i = dev->event_count - shown; i < dev->event_count; i++) {
        screen_put(&frame, "%s", dev->events[i % KI_DEV_EVENTS]);
        screen_line(&frame);
    }
    while (frame.row + 1 < frame.rows)
        screen_line(&frame);
    screen_escape(&frame, "\033[7m");
    screen_put(&frame,
               "1-9/arrows select  k kill  s stop/go on  r restart  p cut/heal  l leave  q quit");
    screen_line(&frame);
    ki_dev_term_write(frame.bytes, frame.len);
    dev->dirty = false;
}

void ki_dev_screen_key(struct ki_dev *dev, int key)
{
    struct ki_dev_node *node = &dev->nodes[dev->selected];
    if (key >= '1' && key <= '9' && (unsigned)(key - '1') < dev->count)
        dev->selected = (unsigned)(key - '1');
    else if (key == KI_DEV_KEY_UP)
        dev->selected = (dev->selected + dev->count - 1) % dev->count;
    else if (key == KI_DEV_KEY_DOWN)
        dev->selected = (dev->selected + 1) % dev->count;
    else if (key == 'k')
        ki_dev_node_kill(node);
    else if (key == 's')
        ki_dev_node_stop(node);
    else if (key == 'r')
        ki_dev_node_restart(node);
    else if (key == 'p')
        ki_dev_node_cut(node);
    else if (key == 'l')
        ki_dev_node_leave(node);
    else if (key == 'q' || key == 3 || key == 4) /* Ctrl-C, Ctrl-D */
        ki_dev_quit(dev);
    ki_dev_screen_draw(dev);
}
