# Sourced by the canaries of the tools. A tool that has never been seen to refuse anything proves nothing: each canary
# plants one fault at a time in a folder of its own, and fails unless the tool exits non-zero and names the culprit.
set -uo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
planted=0 missed=0

# refuses WHAT PATTERN COMMAND...: the command must fail and print a line that matches the extended pattern.
refuses() {
    local what=$1 pattern=$2 out status
    shift 2
    out=$("$@" 2>&1)
    status=$?
    planted=$((planted + 1))
    if [ $status -eq 1 ] && grep -qE -- "$pattern" <<<"$out"; then
        echo "refused: $what"
        return
    fi
    missed=$((missed + 1))
    echo "MISSED: $what (status $status, wanted a line like: $pattern)"
    printf '    %s\n' "$out"
}

# accepts WHAT COMMAND...: the command must succeed; a tool that refuses everything is no better.
accepts() {
    local what=$1 out
    shift
    planted=$((planted + 1))
    if out=$("$@" 2>&1); then
        echo "accepted: $what"
        return
    fi
    missed=$((missed + 1))
    echo "WRONGLY REFUSED: $what"
    printf '    %s\n' "$out"
}

verdict() {
    echo "$planted planted, $missed not judged as they should be"
    [ "$planted" -gt 0 ] && [ "$missed" -eq 0 ]
}
