/* The end of an object in a stream without framing.
 *
 * Serf's RPC concatenates msgpack objects.  Decoding from the start again with every packet would cost
 * the square of the object's size, so the bytes are only counted here: libmpack's reader yields one
 * token after the other and keeps what is cut between two packets; `missing` is how many objects are
 * still owed, one for the outermost, and those that an array or a map announces.  Each byte is looked
 * at once.
 *
 * Invariants: `missing` is 0 only when the object is whole.  Every owed object is at least one byte, so
 * `missing` above the limit cannot end well and is refused at once: a header that claims 2^32 elements
 * costs its own five bytes.
 *
 * Not done here: looking at what the object says.  The decoder does that once, when the object is
 * whole; its own limit of nesting is what refuses deep objects, counting needs no stack. */
#include "agent/rpc_frame.h"

void ki_rpc_frame_start(struct ki_rpc_frame *frame, size_t limit)
{
    mpack_tokbuf_init(&frame->tokens);
    frame->missing = 1;
    frame->chunk = 0;
    frame->scanned = 0;
    frame->limit = limit;
}

static void rpc_frame_count(struct ki_rpc_frame *frame, const mpack_token_t *token)
{
    if (token->type == MPACK_TOKEN_CHUNK) {
        frame->chunk -= token->length;
        return;
    }
    frame->missing--;
    if (token->type == MPACK_TOKEN_ARRAY)
        frame->missing += token->length;
    else if (token->type == MPACK_TOKEN_MAP)
        frame->missing += 2 * (uint64_t)token->length;
    else if (token->type == MPACK_TOKEN_STR || token->type == MPACK_TOKEN_BIN ||
             token->type == MPACK_TOKEN_EXT)
        frame->chunk = token->length;
}

enum ki_rpc_frame_state ki_rpc_frame_scan(struct ki_rpc_frame *frame, const uint8_t *object,
                                          size_t len)
{
    const char *at = (const char *)object + frame->scanned;
    size_t left = len - frame->scanned;
    while (frame->missing > 0 || frame->chunk > 0) {
        if (left == 0)
            return frame->scanned >= frame->limit ? KI_RPC_FRAME_LARGE : KI_RPC_FRAME_MORE;
        mpack_token_t token;
        size_t before = left;
        int status = mpack_read(&frame->tokens, &at, &left, &token);
        frame->scanned += before - left;
        if (status == MPACK_ERROR)
            return KI_RPC_FRAME_BAD;
        if (status == MPACK_OK)
            rpc_frame_count(frame, &token);
        if (frame->scanned + frame->missing + frame->chunk > frame->limit)
            return KI_RPC_FRAME_LARGE;
    }
    return frame->scanned > frame->limit ? KI_RPC_FRAME_LARGE : KI_RPC_FRAME_WHOLE;
}
