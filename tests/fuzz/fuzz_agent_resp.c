/* What a client of the Redis door sends, any bytes, cut anywhere: the first byte of the input says how small the pieces
 * are, the second how much memory there is and whether the client is authenticated, the rest is the stream.
 *
 * Held to: arguments lie in the reader's buffer, memory stays in its bound, a broken stream stays broken, the same stream
 * cut in other pieces gives the same requests and the same error, and requests that are written out as arrays of bulks
 * are read again the same. */
#include "agent/resp_read.h"
#include "agent/resp_write.h"
#include "scenario/lone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RESP_INPUT_MAX 70000
#define RESP_BULK_MAX  50000

/* A run: what was heard, and how it ended. */
struct resp_run {
    uint64_t heard;
    enum ki_resp_step step;
    char error[64];
};

static void resp_hear(struct resp_run *run, const struct ki_resp_reader *reader, struct ki_resp_writer *again)
{
    LONE_CHECK(reader->arg_count > 0 && reader->arg_count <= reader->arg_cap);
    run->heard = lone_mix_number(run->heard, reader->arg_count);
    if (again)
        ki_resp_put_array(again, reader->arg_count);
    const uint8_t *least = reader->buf;
    for (size_t i = 0; i < reader->arg_count; i++) {
        struct ki_span arg = reader->args[i];
        LONE_CHECK(arg.ptr >= least && arg.len <= RESP_INPUT_MAX && arg.ptr + arg.len <= reader->buf + reader->pos);
        least = arg.ptr + arg.len;
        run->heard = lone_mix_number(run->heard, arg.len);
        if (arg.len > 0)
            run->heard = lone_mix(run->heard, arg.ptr, arg.len);
        if (again)
            ki_resp_put_bulk(again, arg);
    }
}

/* Requests that were read go to `again`, which may be NULL, as arrays of bulks. */
static struct resp_run resp_play(const uint8_t *data, size_t size, size_t piece, size_t memory_max, bool authenticated,
                                 struct ki_resp_writer *again)
{
    struct ki_resp_reader reader;
    struct resp_run run = {.heard = 1, .step = KI_RESP_MORE};
    ki_resp_reader_init(&reader, RESP_BULK_MAX, memory_max);
    for (size_t at = 0; at < size && run.step == KI_RESP_MORE;) {
        size_t room;
        uint8_t *to = ki_resp_room(&reader, &room);
        LONE_CHECK(reader.cap + reader.arg_cap * sizeof *reader.args <= memory_max);
        if (!to) {
            run.step = KI_RESP_NO_ROOM;
            break;
        }
        size_t len = ki_min_size(ki_min_size(room, piece), size - at);
        LONE_CHECK(len > 0);
        memcpy(to, data + at, len);
        ki_resp_filled(&reader, len);
        at += len;
        while ((run.step = ki_resp_next(&reader, authenticated)) == KI_RESP_REQUEST)
            resp_hear(&run, &reader, again);
        LONE_CHECK(run.step == KI_RESP_MORE || ki_resp_next(&reader, authenticated) == run.step);
        LONE_CHECK((reader.error[0] != '\0') == (run.step == KI_RESP_BROKEN));
    }
    memcpy(run.error, reader.error, sizeof run.error);
    ki_resp_reader_free(&reader);
    return run;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > RESP_INPUT_MAX)
        return -1;
    size_t piece = (size_t)data[0] + 1, plenty = (size_t)16 << 20;
    bool authenticated = data[1] & 1;
    size_t little = (size_t)(data[1] >> 1) << 9;
    data += 2;
    size -= 2;
    struct ki_resp_writer again;
    ki_resp_writer_init(&again, plenty);
    struct resp_run whole = resp_play(data, size, SIZE_MAX, plenty, authenticated, &again);
    struct resp_run cut = resp_play(data, size, piece, plenty, authenticated, NULL);
    LONE_CHECK(whole.step == KI_RESP_MORE || whole.step == KI_RESP_BROKEN);
    LONE_CHECK(cut.step == whole.step && cut.heard == whole.heard && strcmp(cut.error, whole.error) == 0);
    (void)resp_play(data, size, piece, little, authenticated, NULL);

    LONE_CHECK(!again.full);
    struct ki_span replies = ki_resp_unsent(&again);
    struct resp_run read = resp_play(replies.ptr, replies.len, piece * 7, plenty, true, NULL);
    if (replies.len > 0) /* a word of an inline command may be longer than a bulk may be */
        LONE_CHECK(read.step == KI_RESP_BROKEN || (read.step == KI_RESP_MORE && read.heard == whole.heard));
    ki_resp_writer_free(&again);
    return 0;
}
