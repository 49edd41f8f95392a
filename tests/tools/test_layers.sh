#!/bin/bash
# Nobody includes upwards or sideways, and the library includes no header of the operating system.
exec "$KITH_SOURCE_DIR/tools/layers" "$KITH_SOURCE_DIR"
