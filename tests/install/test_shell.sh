#!/bin/bash
# The installed manual page and completion: found where man and bash look, naming every command, and every flag of the
# agent and of the simulator's commands that the installed binary names, and completing them.
. "$KITH_SOURCE_DIR/tests/install/install.sh"

kith=$prefix/bin/kith
page=$prefix/share/man/man1/kith.1
completion=$prefix/share/bash-completion/completions/kith
[ -s "$page" ] || die "no manual page at $page"
[ -s "$completion" ] || die "no completion at $completion"

commands=$("$kith" -help | sed -n '/^Commands:/,/^$/s/^  \([a-z-]*\) .*/\1/p')
flags=$("$kith" agent -help | sed -n 's/^  -\([a-z-]*\).*/\1/p')
[ "$(wc -w <<<"$commands")" -ge 10 ] || die "the help names these commands only: $commands"
[ "$(wc -w <<<"$flags")" -ge 20 ] || die "the help names these flags only: $flags"

. "$completion"
# completes WORD...: what the last word may become
completes() {
    COMP_WORDS=(kith "$@")
    COMP_CWORD=$#
    COMPREPLY=()
    _kith
    printf '%s\n' "${COMPREPLY[@]}"
}
for command in $commands; do
    completes "$command" | grep -xF -- "$command" >/dev/null || die "the command $command is not completed"
    grep -qE "^\.(Cm|It Cm|Ic|It Ic) $command( |\$)" "$page" || die "the manual page does not name the command $command"
done
for flag in $flags; do
    completes agent "-$flag" | grep -xF -- "-$flag" >/dev/null || die "the flag -$flag is not completed"
    grep -qE "Fl $flag( |\$)" "$page" || die "the manual page does not name the flag -$flag"
done
# A command stands in the synopsis with all its flags, but those of every client; "keys" and "query" stand there twice.
synopsis=$(sed -n '/^\.Sh SYNOPSIS/,/^\.Sh DESCRIPTION/p' "$page")
for command in $commands; do
    case $command in agent | dev | sim | store | gauge) continue ;; esac
    own=$(awk -v "command=.Cm $command" '/^\.Nm/ { on = 0 } $0 == command { on = 1 } on' <<<"$synopsis")
    for flag in $("$kith" "$command" -help | sed -n 's/^  -\([a-z-]*\).*/\1/p'); do
        case $flag in json | rpc-* | resp-*) continue ;; esac
        grep -qE "Fl $flag( |\$)" <<<"$own" || die "the synopsis does not name -$flag of kith $command"
    done
done
sims=$("$kith" sim -help | sed -n '/^Commands:/,/^$/s/^  \([a-z-]*\) .*/\1/p')
[ "$(wc -w <<<"$sims")" -ge 4 ] || die "the help names these simulations only: $sims"
for sim in $sims; do
    completes sim "$sim" | grep -xF -- "$sim" >/dev/null || die "the command sim $sim is not completed"
    grep -A 1 '^\.Cm sim$' <<<"$synopsis" | grep -qw "$sim" || die "the synopsis does not name the command sim $sim"
    section=$(sed -n "/^\.Ss Flags of sim $sim\$/,/^\.S[sh] /p" "$page" | grep -v '^\.S')
    [ -n "$section" ] || die "the manual page has no flags of sim $sim"
    named=$("$kith" sim "$sim" -help | sed -n 's/^  -\([a-z-]*\).*/\1/p')
    [ "$(wc -w <<<"$named")" -ge 5 ] || die "the help of sim $sim names these flags only: $named"
    for flag in $named; do
        completes sim "$sim" "-$flag" | grep -xF -- "-$flag" >/dev/null || die "the flag -$flag of sim $sim is not completed"
        completes sim "$sim" "--$flag" | grep -xF -- "--$flag" >/dev/null || die "the flag --$flag of sim $sim is not completed"
        case $flag in json | seed | report) continue ;; esac # the page tells them once for all
        grep -qE "Fl $flag( |\$)" <<<"$section" || die "the manual page does not name -$flag among the flags of sim $sim"
    done
done
[ "$(completes sim swarm --l)" = --list-checkers ] || die "two dashes: $(completes sim swarm --l)"
[ "$(completes sim run --profile l | sort | xargs)" = "lan local" ] || die "the value of --profile is not completed"
completes agent -profile l | grep -x lan >/dev/null || die "the value of -profile is not completed"
if command -v man >/dev/null; then
    warnings=$(MANROFFSEQ='' MANWIDTH=80 man --warnings -E UTF-8 -l "$page" 2>&1 >/dev/null)
    [ -z "$warnings" ] || die "man: $warnings"
fi
echo "$(wc -w <<<"$commands") commands and $(wc -w <<<"$flags") flags of the agent are in both"
