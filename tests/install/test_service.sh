#!/bin/bash
# The installed unit starts the installed binary, tells systemd when it is ready, and gives it no privilege. Where there
# is a systemd-analyze, it judges the unit too (it warns of a program that lies outside the system's folders: not so here).
. "$KITH_SOURCE_DIR/tests/install/install.sh"

DESTDIR=$work/dest "$CMAKE" --install "$KITH_BUILD_DIR" >>"$work/install.log"
unit=$(find "$work/dest" -name kith.service)
[ -n "$unit" ] || die "no kith.service installed"
program=$(sed -n 's/^ExecStart=\([^ ]*\) .*/\1/p' "$unit")
[ -x "$work/dest$program" ] || die "the unit starts $program, which is not what was installed"
for line in Type=notify DynamicUser=yes NoNewPrivileges=yes CapabilityBoundingSet= ProtectSystem=strict; do
    grep -qxF "$line" "$unit" || die "the unit has no line $line"
done
! grep -nE '@[A-Z_]+@' "$unit" || die "the unit has an unfilled place"
"$work/dest$program" version || die "the installed binary does not run"
if command -v systemd-analyze >/dev/null; then
    systemd-analyze security --offline=yes --threshold=20 "$unit" || die "exposed more than 2.0 of 10"
fi
