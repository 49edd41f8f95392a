/* `kith sim swarm` with planted bugs, and nothing else of kith: what a failure looks like to whoever meets one. */
#include "cli/sim.h"

int main(int argc, char **argv)
{
    return ki_cmd_sim_swarm(argc, argv);
}
