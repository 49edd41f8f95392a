/* Checker "size": no datagram is larger than its sender's limit.
 *
 * Paths that carry less lose what is larger, always the same datagrams, so that retrying does not help: the limit is a
 * promise to whoever configured it.  Looked at for every datagram, whatever it carries and however it is sealed.
 * Deliberately not here: streams, which the path cuts to size, and what programs send with kith_sim_message(). */
#include "sim/check.h"

static void size_sent(kith_sim *s, void *state, uint32_t node, const struct kith_addr *to, const void *buf, size_t len)
{
    (void)state;
    (void)to;
    (void)buf;
    uint32_t most = ki_sim_node_at(s, node)->config.datagram_max;
    if (len > most)
        ki_sim_violate(s, "size", node, "a datagram of %zu bytes, %u allowed", len, most);
    if (len == 0)
        ki_sim_violate(s, "size", node, "an empty datagram");
}

const struct sim_checker ki_sim_check_size = {
    .about = "no datagram above the sender's limit",
    .watch = {.name = "size", .sent = size_sent},
};
