/* One agent of `kith dev`, as an RPC server to be asked.
 *
 *     down --connect--> connecting --> greeting --handshake answered--> ready --+--> asks `kith-members`, or `join`
 *      ^                     |             |                              ^      |
 *      +---- closing <-------+-------------+---- any failure              +------+ answered
 *
 * Nothing here waits.  One question is on its way at a time; while its answer is awaited nothing else
 * is asked, so an agent that is stopped costs one pending question and no more, and the others are
 * asked as if it did not exist.
 *
 * A node that sees nobody but itself is told to join one that is up.  `dev` does that by RPC rather
 * than by -retry-join, because it knows when both ends are there; partitions are not helped that way:
 * whoever was a member once is found again by the agents themselves. */
#include "cli/dev.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/msgpack.h"

#define DEV_LINK_JOIN_MS 1000 /* between two tries to join */

static void dev_link_closed(uv_handle_t *handle)
{
    struct ki_dev_node *node = handle->data;
    struct ki_dev_link *link = &node->link;
    free(link->in);
    link->in = NULL;
    link->in_len = 0;
    link->in_cap = 0;
    link->asked = KI_DEV_ASK_NONE;
    link->state = KI_DEV_LINK_DOWN;
}

void ki_dev_link_close(struct ki_dev_node *node)
{
    if (node->link.state == KI_DEV_LINK_DOWN || node->link.state == KI_DEV_LINK_CLOSING)
        return;
    node->link.state = KI_DEV_LINK_CLOSING;
    uv_close((uv_handle_t *)&node->link.tcp, dev_link_closed);
}

/* ---- asking ---- */

/* Sends a question.  Questions are small, and the one before was answered: the socket has room, or is
 * broken. */
static void dev_link_ask(struct ki_dev_node *node, enum ki_dev_question question,
                         const char *command, const struct ki_pack *body)
{
    struct ki_dev_link *link = &node->link;
    uint8_t buf[512];
    struct ki_pack p = ki_pack(buf, sizeof buf, true);
    ki_pack_map(&p, 2);
    ki_pack_text(&p, "Command");
    ki_pack_text(&p, command);
    ki_pack_text(&p, "Seq");
    ki_pack_uint(&p, ++link->seq);
    if (body)
        ki_put(&p.w, body->w.start, body->w.len);
    KI_ASSERT(!p.w.full && !(body && body->w.full));
    link->asked = question;
    link->header_read = false;
    ki_rpc_frame_start(&link->frame, KI_DEV_REPLY_MAX);
    uv_buf_t out = uv_buf_init((char *)buf, (unsigned)p.w.len);
    if (uv_try_write((uv_stream_t *)&link->tcp, &out, 1) != (int)p.w.len)
        ki_dev_link_close(node);
}

static void dev_link_greet(struct ki_dev_node *node)
{
    uint8_t buf[32];
    struct ki_pack body = ki_pack(buf, sizeof buf, true);
    ki_pack_map(&body, 1);
    ki_pack_text(&body, "Version");
    ki_pack_uint(&body, 1);
    node->link.state = KI_DEV_LINK_GREETING;
    dev_link_ask(node, KI_DEV_ASK_HANDSHAKE, "handshake", &body);
}

static void dev_link_join(struct ki_dev_node *node, const struct ki_dev_node *other)
{
    uint8_t buf[128];
    char addr[40];
    snprintf(addr, sizeof addr, "%s:%u", other->ip, node->dev->port);
    struct ki_pack body = ki_pack(buf, sizeof buf, true);
    ki_pack_map(&body, 2);
    ki_pack_text(&body, "Existing");
    ki_pack_array(&body, 1);
    ki_pack_text(&body, addr);
    ki_pack_text(&body, "Replay");
    ki_pack_bool(&body, false);
    dev_link_ask(node, KI_DEV_ASK_JOIN, "join", &body);
}

/* The node that this one should join: it is alone, and another is up.  NULL: none. */
static const struct ki_dev_node *dev_link_other(const struct ki_dev_node *node)
{
    const struct ki_dev *dev = node->dev;
    if (!node->known || node->cut)
        return NULL;
    for (unsigned i = 0; i < dev->count; i++) {
        if (i != node->index && node->sees[i] != KI_DEV_UNSEEN)
            return NULL;
    }
    for (unsigned i = 0; i < dev->count; i++) {
        const struct ki_dev_node *other = &dev->nodes[i];
        if (i != node->index && !other->cut && other->process == KI_DEV_RUNNING &&
            other->link.state == KI_DEV_LINK_READY)
            return other;
    }
    return NULL;
}

/* ---- answers ---- */

static void dev_link_ask_next(struct ki_dev_node *node)
{
    const struct ki_dev_node *other = dev_link_other(node);
    uint64_t now_ms = uv_now(&node->dev->loop);
    if (other && now_ms >= node->link.join_after_ms) {
        node->link.join_after_ms = now_ms + DEV_LINK_JOIN_MS;
        dev_link_join(node, other);
    } else {
        dev_link_ask(node, KI_DEV_ASK_MEMBERS, "kith-members", NULL);
    }
}

/* Takes the body of an answer, or the header of one that has none.  Returns false when it is not as it
 * should be. */
static bool dev_link_answered(struct ki_dev_node *node, struct ki_span object)
{
    struct ki_dev_link *link = &node->link;
    enum ki_dev_question asked = link->asked;
    uint8_t sees[KI_DEV_NODES_MAX];
    link->asked = KI_DEV_ASK_NONE;
    if (asked == KI_DEV_ASK_MEMBERS) {
        if (!ki_dev_view_parse(node->dev, object, sees))
            return false;
        ki_dev_view_update(node, sees);
    } else {
        link->state = KI_DEV_LINK_READY;
        dev_link_ask_next(node); /* who does it see now? */
    }
    return true;
}

/* Takes one whole object. */
static bool dev_link_take(struct ki_dev_node *node, struct ki_span object)
{
    struct ki_dev_link *link = &node->link;
    struct header {
        struct ki_span error;
        uint64_t seq;
    } header = {{NULL, 0}, 0};
    static const struct ki_field fields[] = {
        KI_FIELD(struct header, error, "Error", KI_FIELD_STR, 0, false),
        KI_FIELD(struct header, seq, "Seq", KI_FIELD_U64, 1, false),
    };
    if (link->header_read)
        return dev_link_answered(node, object);
    struct ki_reader r = ki_reader(object.ptr, object.len);
    if (!ki_unpack_struct(&r, fields, KI_COUNT(fields), &header) || header.seq != link->seq)
        return false;
    if (header.error.len > 0 && link->asked != KI_DEV_ASK_JOIN) /* joining is tried again */
        return false;
    link->header_read = true;
    return link->asked == KI_DEV_ASK_HANDSHAKE ? dev_link_answered(node, object) : true;
}

/* Takes every object that is there whole. */
static bool dev_link_process(struct ki_dev_node *node)
{
    struct ki_dev_link *link = &node->link;
    while (link->asked != KI_DEV_ASK_NONE && link->in_len > link->frame.scanned) {
        enum ki_rpc_frame_state state = ki_rpc_frame_scan(&link->frame, link->in, link->in_len);
        if (state != KI_RPC_FRAME_WHOLE)
            return state == KI_RPC_FRAME_MORE;
        size_t used = link->frame.scanned;
        ki_rpc_frame_start(&link->frame, KI_DEV_REPLY_MAX);
        bool good = dev_link_take(node, ki_span(link->in, used));
        if (!good || link->state == KI_DEV_LINK_CLOSING)
            return good;
        link->in_len -= used;
        memmove(link->in, link->in + used, link->in_len);
    }
    return true;
}

static void dev_link_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    struct ki_dev_link *link = &((struct ki_dev_node *)handle->data)->link;
    if (link->in_len == link->in_cap) {
        size_t cap = link->in_cap ? link->in_cap * 2 : 4096;
        uint8_t *in = cap <= 2 * KI_DEV_REPLY_MAX ? realloc(link->in, cap) : NULL;
        if (!in) {
            *buf = uv_buf_init(NULL, 0);
            return;
        }
        link->in = in;
        link->in_cap = cap;
    }
    *buf = uv_buf_init((char *)link->in + link->in_len, (unsigned)(link->in_cap - link->in_len));
}

static void dev_link_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
    (void)buf;
    struct ki_dev_node *node = stream->data;
    if (got > 0)
        node->link.in_len += (size_t)got;
    if (got < 0 || !dev_link_process(node))
        ki_dev_link_close(node);
}

/* ---- connecting ---- */

static void dev_link_connected(uv_connect_t *connect, int status)
{
    struct ki_dev_node *node = connect->data;
    if (node->link.state != KI_DEV_LINK_CONNECTING)
        return;
    if (status != 0 ||
        uv_read_start((uv_stream_t *)&node->link.tcp, dev_link_alloc, dev_link_read) != 0)
        ki_dev_link_close(node);
    else
        dev_link_greet(node);
}

static void dev_link_connect(struct ki_dev_node *node)
{
    struct ki_dev_link *link = &node->link;
    struct sockaddr_in addr;
    if (uv_tcp_init(&node->dev->loop, &link->tcp) != 0)
        return;
    link->tcp.data = node;
    link->connect.data = node;
    link->state = KI_DEV_LINK_CONNECTING;
    if (uv_ip4_addr(node->ip, node->dev->rpc_port, &addr) != 0 ||
        uv_tcp_connect(&link->connect, &link->tcp, (const struct sockaddr *)&addr,
                       dev_link_connected) != 0)
        ki_dev_link_close(node);
}

void ki_dev_link_poll(struct ki_dev_node *node)
{
    if (node->pid == 0 || node->process == KI_DEV_KILLED)
        return;
    if (node->link.state == KI_DEV_LINK_DOWN)
        dev_link_connect(node);
    else if (node->link.state == KI_DEV_LINK_READY && node->link.asked == KI_DEV_ASK_NONE)
        dev_link_ask_next(node);
}
