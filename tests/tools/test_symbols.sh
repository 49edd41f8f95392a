#!/bin/bash
# What the library of this build asks of the world, keeps, and shows.
exec "$KITH_SOURCE_DIR/tools/symbols" "$KITH_BUILD_DIR/libkith.a" "$KITH_BUILD_DIR/libkith.so" \
    "$KITH_SOURCE_DIR/include/kith" "$KITH_BUILD_DIR/libkith-sim.a"
