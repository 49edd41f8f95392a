# bash completion for kith(1)

# The flags of a subcommand of kith sim, but -json and -help.
_kith_sim()
{
    case $1 in
    run) echo "-nodes -for -seed -warm -until-full -profile -mix -compress -key -latency -loss -duplicate -reorder -check
            -trace -report -kill -crash -leave -restart -pause -slow -partition" ;;
    swarm) echo "-seeds -seed -only -nodes -jobs -stores -events -aggregates -shrink -trace -list-checkers" ;;
    spread) echo "-nodes -mode -stop -k -fanout -loss -runs -seed -report" ;;
    aggregate) echo "-nodes -function -algorithm -overlay -loss -churn -cycles -retries -sample -q -seed -report" ;;
    lifeguard) echo "-nodes -runs -seed -quick -report" ;;
    esac
}

_kith()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local commands="agent aggregate del dev event force-leave gauge get help incr info join keygen keys leave members monitor query
        reachability rtt set sim store stream tags version watch"
    local client="-rpc-addr -rpc-auth -json -help"
    local door="-resp-addr -resp-auth -json -help"
    local words="" command=${COMP_WORDS[1]}
    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$cur")
        return
    fi
    if [ "$command" = sim ] && [ "$COMP_CWORD" -eq 2 ]; then
        mapfile -t COMPREPLY < <(compgen -W "run swarm spread aggregate lifeguard -help" -- "$cur")
        return
    fi
    if [ "$command" = store ] && [ "$COMP_CWORD" -eq 2 ]; then
        mapfile -t COMPREPLY < <(compgen -W "status backup restore -help" -- "$cur")
        return
    fi
    if [ "$command" = gauge ] && [ "$COMP_CWORD" -eq 2 ]; then
        mapfile -t COMPREPLY < <(compgen -W "set clear list -help" -- "$cur")
        return
    fi
    # With a value behind '=', bash makes three words of -flag=value.
    [ "$prev" = "=" ] && prev=${COMP_WORDS[COMP_CWORD - 2]}
    [ "$cur" = "=" ] && cur=
    case ${prev#-} in
    -profile | profile) words="lan wan local" ;;
    -log-level | log-level) words="trace debug info warn err" ;;
    -fsync | fsync) words="always everysec no" ;;
    -log-format | log-format) words="text logfmt json" ;;
    -format | format) words="text json" ;;
    -status | status) words="alive leaving left failed" ;;
    -size | size) words="16 24 32" ;;
    -coalesce | coalesce) words="true false" ;;
    -engine | engine) words="auto exact network" ;;
    -fold | fold) words="count sum avg min max top:" ;;
    -gauges | gauges) words="true false" ;;
    -mode | mode) words="push pull push-pull" ;;
    -function | function) words="avg sum count max quantile order" ;;
    -algorithm | algorithm) words="flow-updating push-pull push-sum exact merge sample t-man" ;;
    -overlay | overlay) words="rings complete" ;;
    -stop | stop) words="never feedback-counter feedback-coin blind-counter blind-coin" ;;
    -config-file | config-file | -keyring-file | keyring-file | -tags-file | tags-file | -snapshot | snapshot | -report | report)
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
        ;;
    -config-dir | config-dir | -data-dir | data-dir)
        mapfile -t COMPREPLY < <(compgen -d -- "$cur")
        return
        ;;
    esac
    if [ -z "$words" ]; then
        case $command in
        agent) words="-node -bind -advertise -join -retry-join -retry-interval -retry-max -tag -tags-file -encrypt
                -keyring-file -profile -rpc-addr -rpc-auth -rpc-socket -resp-addr -resp-auth -config-file -config-dir -log-level
                -log-format -event-handler -handler-timeout -handler-concurrency -gauges -snapshot -data-dir -fsync -data-max -store-max -value-max -repair-rate -rejoin -broadcast-timeout -disable-compression
                -protocol -replay -role -label -delegate-versions -help" ;;
        dev) words="-nodes -base-port -rpc-port -profile -help" ;;
        members) words="-detailed -format -name -role -status -tag $client" ;;
        get) words="-siblings -evidence $door" ;;
        set) words="-ex -nx $door" ;;
        del | incr | watch) words=$door ;;
        keys) words="-install -use -remove -list -rpc-addr -rpc-auth $door" ;;
        event) words="-coalesce -confirm -timeout $client" ;;
        query) words="-fold -format -gauge -no-ack -node -relay-factor -tag -timeout $client" ;;
        reachability) words="-verbose $client" ;;
        stream)
            words="-from $client"
            [[ $cur != -* ]] && words="member-join member-leave member-failed member-update member-reap user query"
            ;;
        store)
            words=$door
            [ "${COMP_WORDS[2]}" = status ] && words="-wait $door"
            if [ "${COMP_WORDS[2]}" != status ] && [[ $cur != -* ]]; then
                mapfile -t COMPREPLY < <(compgen -f -- "$cur")
                return
            fi
            ;;
        aggregate) words="-quantile -top -bottom -sorted -engine -timeout -watch $client" ;;
        gauge)
            words=$client
            [ "${COMP_WORDS[2]}" = set ] && words="-unit -min -max -step -interval -engine $client"
            ;;
        join) words="-replay $client" ;;
        leave | rtt) words=$client ;;
        force-leave) words="-prune $client" ;;
        tags) words="-set -delete $client" ;;
        info) words="-format $client" ;;
        monitor) words="-log-level $client" ;;
        keygen) words="-size -json -help" ;;
        sim) words="-json -help $(_kith_sim "${COMP_WORDS[2]}")" ;;
        version) words="-json -help" ;;
        esac
    fi
    # Flags take two dashes as well as one.
    if [[ $cur == --* ]]; then
        local word twice=""
        for word in $words; do
            [[ $word == -* ]] && twice+=" -$word"
        done
        words=$twice
    fi
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -F _kith kith
