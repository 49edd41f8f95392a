/* A repair of which some messages are lost, repeated, changed, or made up: one side's, the other is honest.  Whatever came,
 * the repair comes to an end, gives back its memory, and leaves a store with which an honest repair makes both equal.
 *
 * The first byte says which side lies, over what, and by how many coded cells it begins; then four bytes for each message of
 * the liar say what is done to it. */
#define PAIR_KEPT 64 /* less is done for each input, and longer prefixes are needed now and then */
#include "unit/repair_pair.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { WRITES = 60, KEYS = 30, MESSAGES_MAX = 400, TICKS_MAX = 60 };

static struct pair pair;

static void fill(bool loses_all)
{
    pair_begin(&pair, 11);
    for (unsigned i = 0; i < WRITES; i++)
        pair_write(&pair, i % 2, KEYS, loses_all || i % 7 == 0);
}

static void give(unsigned to, const uint8_t *bytes, size_t len)
{
    pair.results[to] = ki_repair_receive(&pair.sides[to], PAIR_WALL_MS, pair.now_ms, ki_span(bytes, len));
    pair_work(&pair, to);
}

/* A piece made up, of what follows in the script. */
static void make_up(unsigned to, uint8_t kind, size_t len, struct ki_reader *script)
{
    uint8_t message[KI_REPAIR_HEAD_LEN + 3 + 64];
    struct ki_writer w = ki_writer(message, sizeof message);
    const uint8_t *bytes = ki_take(script, ki_min_size(len % 64, script->left));
    size_t taken = ki_min_size(len % 64, (size_t)(bytes ? script->pos - bytes : 0));
    ki_put_u8(&w, (uint8_t)pair.sides[!to].config.role);
    ki_put_be(&w, pair.sides[to].config.session, 8);
    ki_put_be(&w, pair.sides[1].config.answering, 4);
    ki_put_u8(&w, kind % (KI_PIECE_END + 1));
    ki_put_be(&w, taken, 2);
    ki_put(&w, bytes, taken);
    give(to, message, w.len);
}

static void deliver_badly(unsigned to, uint8_t *bytes, size_t len, struct ki_reader *script)
{
    const uint8_t *op = ki_take(script, 4);
    switch (op ? op[0] & 7 : 0) {
    case 4:
        bytes[(size_t)(op[1] << 8 | op[2]) % len] ^= op[3] | 1;
        break;
    case 5:
        return;
    case 6:
        give(to, bytes, len);
        break;
    case 7:
        make_up(to, op[1], op[2], script);
        break;
    default:
        break;
    }
    give(to, bytes, len);
}

static void exchange(unsigned victim, struct ki_reader *script)
{
    static uint8_t bytes[KI_REPAIR_MESSAGE_MAX];
    size_t len;
    unsigned messages = 0;
    for (unsigned tick = 0; tick < TICKS_MAX && !pair_is_over(&pair); tick++) {
        bool is_quiet = false;
        while (!is_quiet && messages < MESSAGES_MAX) {
            is_quiet = true;
            for (unsigned from = 0; from < 2; from++) {
                pair_work(&pair, from);
                if (!ki_repair_poll(&pair.sides[from], bytes, sizeof bytes, &len))
                    continue;
                is_quiet = false;
                messages++;
                if (from != victim)
                    deliver_badly(victim, bytes, len, script);
                else
                    give(!victim, bytes, len);
            }
        }
        pair.now_ms += 1000;
    }
}

static void repair_honestly(void)
{
    struct ki_repair_config config = pair_config(true);
    config.first_cells = PAIR_KEPT;
    bool opened = pair_open(&pair, &config);
    KI_ASSERT(opened);
    pair_stream(&pair);
    KI_ASSERT(pair.results[0] == KI_REPAIR_DONE && pair.results[1] == KI_REPAIR_DONE);
    pair_close(&pair);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 2048)
        return -1;
    struct ki_reader script = ki_reader(data + 1, size - 1);
    unsigned victim = data[0] & 1;
    struct ki_repair_config config = pair_config(data[0] & 2);
    fill(data[0] & 4);
    config.message_max = data[0] & 8 ? KI_REPAIR_MESSAGE_MIN : config.message_max;
    config.first_cells = data[0] >> 4;
    config.has_parity = data[0] & 16;
    config.coded_max = 300;
    config.runs_max = 1000;
    bool opened = pair_open(&pair, &config);
    KI_ASSERT(opened);
    exchange(victim, &script);
    pair_close(&pair);
    repair_honestly();
    repair_honestly(); /* the first may have been a list, which does not see a dot with two contents */
    KI_ASSERT(pair_agrees(&pair));
    pair_end(&pair);
    return 0;
}
