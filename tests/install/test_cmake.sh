#!/bin/bash
# The examples by find_package(kith): kith::kith is the shared library; kith::static and kith::sim need none.
. "$KITH_SOURCE_DIR/tests/install/install.sh"

"$CMAKE" -G Ninja -S "$KITH_SOURCE_DIR/tests/install/consumer" -B "$work/build" -DCMAKE_C_COMPILER="$CC" \
    -DCMAKE_PREFIX_PATH="$prefix" -DEXAMPLE="$example" -DSIM_EXAMPLE="$sim_example"
"$CMAKE" --build "$work/build"
uses_shared "$work/build/poll_kith" yes
runs "$work/build/poll_kith"
uses_shared "$work/build/poll_static" no
runs "$work/build/poll_static"
uses_shared "$work/build/sim_test" no
passes "$work/build/sim_test"
