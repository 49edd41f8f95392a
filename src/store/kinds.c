/* Reading: a function of the live cells alone (R8 to R15).
 *
 * Every replica with the same cells shows the same value, whatever order they came in.  So nothing here may depend on
 * indexes or time; reals are added in the order of replica ids, which is that of a chain (groups.c), because adding doubles
 * does not commute beyond two.
 *
 * Chains are short: one cell, and a rival for each write that had not seen it.  So they are walked, twice if need be, but
 * never once for each of their cells: a peer with many ids can make them long.
 *
 * Deliberately not here: expiry, which is carried out as a write (expiry.c), and any writing.
 */
#include "store/kinds.h"

#include <float.h>

uint32_t ki_element_winner(const struct ki_cells *cells, uint32_t first, enum ki_kind kind)
{
    uint32_t best = KI_NO_CELL;
    for (uint32_t id = first; id != KI_NO_CELL; id = ki_cells_at(cells, id)->next) {
        const struct ki_cell *cell = ki_cells_at(cells, id);
        if (cell->kind != kind)
            continue;
        if (best == KI_NO_CELL || ki_rival_compare(cell->stamp, ki_cells_dot(cells, id), ki_cells_at(cells, best)->stamp,
                                                   ki_cells_dot(cells, best)) > 0)
            best = id;
    }
    return best;
}

/* The next replica's newest share of one kind, the last of its own in a chain that is in order of dots.  *at: where to look
 * from.  NULL: there is none. */
static const struct ki_cell *kinds_next_share(const struct ki_cells *cells, uint32_t *at, enum ki_kind kind)
{
    const struct ki_cell *share = NULL;
    for (; *at != KI_NO_CELL; *at = ki_cells_at(cells, *at)->next) {
        const struct ki_cell *cell = ki_cells_at(cells, *at);
        if (cell->kind != kind)
            continue;
        if (share && cell->replica != share->replica)
            break;
        share = cell;
    }
    return share;
}

bool ki_add_integers(int64_t a, int64_t b, int64_t *sum)
{
    if ((b > 0 && a > INT64_MAX - b) || (b < 0 && a < INT64_MIN - b)) {
        *sum = b > 0 ? INT64_MAX : INT64_MIN;
        return false;
    }
    *sum = a + b;
    return true;
}

bool ki_real_is_number(double value)
{
    return value >= 0 || value < 0;
}

int64_t ki_value_integer(const struct ki_cell *cell)
{
    uint64_t bits = ki_load_be(ki_cells_value(cell).ptr, 8);
    int64_t value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

double ki_value_real(const struct ki_cell *cell)
{
    uint64_t bits = ki_load_be(ki_cells_value(cell).ptr, 8);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Sums of doubles that leave the range stay at its end, and infinity less infinity is nothing: a sum is always a number. */
static double kinds_add_reals(double a, double b)
{
    double sum = a + b;
    if (!ki_real_is_number(sum))
        return 0;
    if (sum > DBL_MAX)
        return DBL_MAX;
    return sum < -DBL_MAX ? -DBL_MAX : sum;
}

/* A sum of 64 bits and how often it went round them: what it stands for does not depend on the order of adding. */
struct kinds_sum {
    uint64_t low;
    int64_t rounds;
};

static void kinds_sum_add(struct kinds_sum *sum, int64_t value)
{
    uint64_t low = sum->low + (uint64_t)value;
    if (value >= 0)
        sum->rounds += low < sum->low;
    else
        sum->rounds -= low > sum->low;
    sum->low = low;
}

/* The nearest number of 64 bits with a sign. */
static int64_t kinds_sum_end(struct kinds_sum sum)
{
    const uint64_t max = INT64_MAX;
    if (sum.rounds == 0)
        return sum.low <= max ? (int64_t)sum.low : INT64_MAX;
    if (sum.rounds == -1)
        return sum.low > max ? -(int64_t)(UINT64_MAX - sum.low) - 1 : INT64_MIN;
    return sum.rounds > 0 ? INT64_MAX : INT64_MIN;
}

/* A walk for each kind, however many replicas have a share. */
struct ki_shares ki_element_shares(const struct ki_cells *cells, uint32_t first, enum ki_kind integer, enum ki_kind real)
{
    struct ki_shares shares = {.count = 0};
    struct kinds_sum sum = {.low = 0};
    const struct ki_cell *cell;
    uint32_t at = first;
    while (integer && (cell = kinds_next_share(cells, &at, integer))) {
        kinds_sum_add(&sum, ki_value_integer(cell));
        shares.count++;
    }
    shares.integer = kinds_sum_end(sum);
    at = first;
    while (real && (cell = kinds_next_share(cells, &at, real))) {
        shares.real = shares.has_real ? kinds_add_reals(shares.real, ki_value_real(cell)) : ki_value_real(cell);
        shares.has_real = true;
        shares.count++;
    }
    return shares;
}

double ki_element_score(const struct ki_cells *cells, uint32_t first)
{
    uint32_t base = ki_element_winner(cells, first, KI_KIND_SORTED);
    double score = base != KI_NO_CELL ? ki_value_real(ki_cells_at(cells, base)) : 0;
    struct ki_shares shares = ki_element_shares(cells, first, (enum ki_kind)0, KI_KIND_SORTED_REAL);
    if (!shares.has_real)
        return score;
    return base != KI_NO_CELL ? kinds_add_reals(score, shares.real) : shares.real;
}

enum ki_type ki_key_type(const struct ki_cells *cells, uint32_t key)
{
    const struct ki_key *owner = ki_cells_key_at(cells, key);
    enum ki_type type = KI_TYPE_NONE;
    for (const struct ki_group *group = owner->groups; group; group = group->next)
        type = group->type > type ? group->type : type;
    for (uint32_t id = owner->single; id != KI_NO_CELL; id = ki_cells_at(cells, id)->next) {
        enum ki_type of = ki_kind_rule((enum ki_kind)ki_cells_at(cells, id)->kind)->type;
        type = of > type ? of : type;
    }
    return type;
}

/* ---- numbers in text ---- */

bool ki_text_integer(struct ki_span text, int64_t *value)
{
    if (text.len == 0)
        return false;
    bool negative = text.ptr[0] == '-';
    const uint8_t *at = text.ptr + negative;
    size_t len = text.len - negative;
    if (len == 0 || len > 19 || (at[0] == '0' && (len > 1 || negative)))
        return false;
    uint64_t sum = 0; /* 19 digits fit */
    for (size_t i = 0; i < len; i++) {
        if (at[i] < '0' || at[i] > '9')
            return false;
        sum = sum * 10 + (uint64_t)(at[i] - '0');
    }
    if (sum > (uint64_t)INT64_MAX + negative)
        return false;
    *value = negative ? -(int64_t)(sum - 1) - 1 : (int64_t)sum;
    return true;
}

struct kinds_digits {
    uint64_t value;
    uint32_t count; /* digits from the first that is not 0 */
    int32_t scale;  /* power of ten */
};

static bool kinds_take_digits(struct ki_reader *r, bool is_fraction, struct kinds_digits *d)
{
    bool any = false;
    for (; r->left > 0 && *r->pos >= '0' && *r->pos <= '9'; any = true) {
        uint8_t digit = (uint8_t)(*r->pos - '0');
        (void)ki_take(r, 1);
        if (d->value == 0 && digit == 0) {
            d->scale -= is_fraction;
            continue;
        }
        if (++d->count > 15)
            return false;
        d->value = d->value * 10 + digit;
        d->scale -= is_fraction;
    }
    return any;
}

static bool kinds_take_exponent(struct ki_reader *r, struct kinds_digits *d)
{
    if (r->left == 0 || (*r->pos != 'e' && *r->pos != 'E'))
        return true;
    (void)ki_take(r, 1);
    bool negative = r->left > 0 && *r->pos == '-';
    if (r->left > 0 && (negative || *r->pos == '+'))
        (void)ki_take(r, 1);
    int32_t exponent = 0;
    if (r->left == 0 || r->left > 3)
        return false;
    while (r->left > 0) {
        const uint8_t *digit = ki_take(r, 1);
        if (!digit || *digit < '0' || *digit > '9')
            return false;
        exponent = exponent * 10 + (*digit - '0');
    }
    d->scale += negative ? -exponent : exponent;
    return true;
}

bool ki_text_real(struct ki_span text, double *value)
{
    static const double POWERS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    struct ki_reader r = ki_reader(text.ptr, text.len);
    struct kinds_digits d = {.value = 0};
    bool negative = r.left > 0 && *r.pos == '-';
    if (r.left > 0 && (negative || *r.pos == '+'))
        (void)ki_take(&r, 1);
    bool whole = kinds_take_digits(&r, false, &d);
    bool fraction = false;
    if (d.count <= 15 && r.left > 0 && *r.pos == '.') {
        (void)ki_take(&r, 1);
        fraction = kinds_take_digits(&r, true, &d);
    }
    if ((!whole && !fraction) || d.count > 15 || !kinds_take_exponent(&r, &d) || r.left > 0)
        return false;
    if (d.value != 0 && (d.scale > 22 || d.scale < -22))
        return false;
    double magnitude = (double)d.value;
    if (d.value != 0)
        magnitude = d.scale >= 0 ? magnitude * POWERS[d.scale] : magnitude / POWERS[-d.scale];
    *value = negative ? -magnitude : magnitude;
    return true;
}
