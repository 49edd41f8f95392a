#!/bin/bash
# examples/poll.c by find_package(kith): kith::kith is the shared library, kith::static needs none.
. "$KITH_SOURCE_DIR/tests/install/install.sh"

"$CMAKE" -G Ninja -S "$KITH_SOURCE_DIR/tests/install/consumer" -B "$work/build" -DCMAKE_C_COMPILER="$CC" \
    -DCMAKE_PREFIX_PATH="$prefix" -DEXAMPLE="$example"
"$CMAKE" --build "$work/build"
uses_shared "$work/build/poll_kith" yes
runs "$work/build/poll_kith"
uses_shared "$work/build/poll_static" no
runs "$work/build/poll_static"
