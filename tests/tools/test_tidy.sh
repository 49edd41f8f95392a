#!/bin/bash
# The tree is as the house style says.
exec "$KITH_SOURCE_DIR/tools/tidy" "$KITH_SOURCE_DIR"
