/* Reading what a Redis door answers, in version 2 of its protocol (the one that a connection begins with).
 *
 *     +text  -text  :number  $len bytes  $-1  *count elements  *-1        each line ends with CR LF
 *
 * No element is read twice: the scan goes on with the one that was not whole, which has left no trace but how far its line
 * was searched.  There is no recursion; arrays that go on are kept in a small stack.
 *
 * What answers may be anything: another service, or a hostile one.  A length or a count that is announced costs nothing
 * before its bytes come, and bytes, nodes and depth have limits.
 *
 * Deliberately not here: version 3, which these commands have no use for. */
#include "cli/resp_reply.h"

#include <stdlib.h>
#include <string.h>

#include "agent/resp_read.h"

#define REPLY_LINE_MAX ((size_t)64 << 10) /* of a header, an error or a simple string */

void ki_reply_start(struct ki_reply_reader *reader)
{
    struct ki_reply_node *nodes = reader->nodes;
    *reader = (struct ki_reply_reader){.nodes = nodes, .node_cap = reader->node_cap};
}

void ki_reply_free(struct ki_reply_reader *reader)
{
    free(reader->nodes);
    *reader = (struct ki_reply_reader){.len = 0};
}

/* Room for one more node. */
static enum ki_reply_state reply_room(struct ki_reply_reader *reader)
{
    if (reader->node_count < reader->node_cap)
        return KI_REPLY_WHOLE;
    if (reader->node_count == KI_REPLY_NODES_MAX)
        return KI_REPLY_BAD;
    size_t cap = reader->node_cap ? reader->node_cap * 2 : 16;
    struct ki_reply_node *nodes = realloc(reader->nodes, cap * sizeof *nodes);
    if (!nodes)
        return KI_REPLY_NO_MEMORY;
    reader->nodes = nodes;
    reader->node_cap = cap;
    return KI_REPLY_WHOLE;
}

/* The line at len: its length without CR LF. */
static enum ki_reply_state reply_line(struct ki_reply_reader *reader, const uint8_t *buf, size_t len, size_t *line)
{
    const uint8_t *at = buf + reader->len;
    size_t there = ki_min_size(len - reader->len, REPLY_LINE_MAX);
    const uint8_t *end = there > reader->lined ? memchr(at + reader->lined, '\n', there - reader->lined) : NULL;
    if (!end) {
        reader->lined = there;
        return there == REPLY_LINE_MAX ? KI_REPLY_BAD : KI_REPLY_MORE;
    }
    *line = (size_t)(end - at) - 1;
    return end - at >= 2 && end[-1] == '\r' ? KI_REPLY_WHOLE : KI_REPLY_BAD;
}

/* Reads a node whose line is at[0 .. line). */
static enum ki_reply_state reply_read(const uint8_t *at, size_t line, size_t there, struct ki_reply_node *node,
                                      size_t *taken)
{
    int64_t number = 0;
    bool is_number = ki_resp_number(at + 1, line - 1, &number);
    *taken = line + 2;
    switch (at[0]) {
    case '+':
    case '-':
        node->kind = at[0] == '+' ? KI_REPLY_SIMPLE : KI_REPLY_ERROR;
        node->at = 1;
        node->len = line - 1;
        return KI_REPLY_WHOLE;
    case ':':
        node->kind = KI_REPLY_INTEGER;
        node->integer = number;
        return is_number ? KI_REPLY_WHOLE : KI_REPLY_BAD;
    case '$':
    case '*':
        break;
    default:
        return KI_REPLY_BAD;
    }
    if (!is_number || number < -1 || number > (int64_t)KI_REPLY_BYTES_MAX)
        return KI_REPLY_BAD;
    node->kind = number < 0 ? KI_REPLY_NULL : at[0] == '*' ? KI_REPLY_ARRAY : KI_REPLY_BULK;
    if (node->kind == KI_REPLY_ARRAY)
        node->count = (size_t)number;
    if (node->kind != KI_REPLY_BULK)
        return KI_REPLY_WHOLE;
    node->at = line + 2;
    node->len = (size_t)number;
    *taken += node->len + 2;
    if (there < *taken)
        return KI_REPLY_MORE;
    return at[*taken - 2] == '\r' && at[*taken - 1] == '\n' ? KI_REPLY_WHOLE : KI_REPLY_BAD;
}

/* A node has come: it is the last of its array, perhaps, and that the last of another. */
static bool reply_settle(struct ki_reply_reader *reader)
{
    while (reader->depth > 0 && --reader->left[reader->depth - 1] == 0)
        reader->nodes[reader->open[--reader->depth]].next = reader->node_count;
    return reader->depth == 0;
}

enum ki_reply_state ki_reply_scan(struct ki_reply_reader *reader, const uint8_t *buf, size_t len)
{
    for (;;) {
        size_t line, taken;
        struct ki_reply_node node = {.kind = KI_REPLY_NULL};
        if (len == reader->len)
            return KI_REPLY_MORE;
        enum ki_reply_state state = reply_line(reader, buf, len, &line);
        if (state == KI_REPLY_WHOLE)
            state = reply_read(buf + reader->len, line, len - reader->len, &node, &taken);
        if (state == KI_REPLY_WHOLE)
            state = reader->len + taken > KI_REPLY_BYTES_MAX ? KI_REPLY_BAD : reply_room(reader);
        if (state != KI_REPLY_WHOLE)
            return state;
        node.at += reader->len;
        node.next = reader->node_count + 1;
        reader->len += taken;
        reader->lined = 0;
        reader->nodes[reader->node_count++] = node;
        if (node.kind == KI_REPLY_ARRAY && node.count > 0) {
            if (reader->depth == KI_REPLY_DEPTH_MAX || node.count > KI_REPLY_NODES_MAX)
                return KI_REPLY_BAD;
            reader->open[reader->depth] = reader->node_count - 1;
            reader->left[reader->depth++] = node.count;
        } else if (reply_settle(reader)) {
            return KI_REPLY_WHOLE;
        }
    }
}
