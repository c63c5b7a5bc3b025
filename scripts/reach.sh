#!/usr/bin/env bash
# Three banks that can only make outgoing connections fit scripts/data/credit_status: each in a network
# of its own, behind a "firewall" between them. Four ways, one after the other:
#
#   direct   no firewall: the banks dial each other
#   udp      a bank reaches nothing but UDP port 443 of the relay
#   tcp      a bank reaches nothing but TCP port 443 of the relay
#   proxy    a bank reaches nothing but an HTTP proxy, and the proxy TCP port 443 of the relay
#
# Prints how long each takes, from the start of the nodes to the end of the last one, beside the direct
# way, and the memory of the relay; writes target/reach/summary.json. Fails when a run does, when the
# relay takes 50 MB, or when the relay over UDP takes more than 1.5 times as long as the direct way.
#
#   scripts/reach.sh            three rounds of all four, and the median of each
#   --rounds N                  so many rounds
#   --only WAY                  one way, and the direct one
#
# The networks are namespaces (veth), and go with this script. The firewalls are routing rules of the
# network between them, so that nothing but iproute2 and util-linux is needed: what no rule names is
# dropped without an answer, and what may come back is what comes from the port that was dialled. Runs as
# root, or as anybody where the system lets users make namespaces.
set -euo pipefail

usage() { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "${BASH_SOURCE[0]}"; }

rounds=3
ways=(direct udp tcp proxy)
arguments=("$@")
while [ $# -gt 0 ]; do
    case $1 in
        --rounds) rounds=${2:?--rounds needs a number}; shift 2 ;;
        --only)
            case ${2-} in
                direct) ways=(direct) ;;
                udp | tcp | proxy) ways=(direct "$2") ;;
                *) usage >&2; exit 2 ;;
            esac
            shift 2 ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
done
case $rounds in '' | *[!0-9]* | 0) usage >&2; exit 2 ;; esac

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

if [ -z "${REACH_INSIDE-}" ]; then
    if [ -z "${MPC_BINARIES-}" ]; then
        cargo build --release --locked -p parties -p tools --bin party --bin compare --bin proxy
    fi
    for tool in ip unshare nsenter; do
        if ! command -v $tool >/dev/null; then
            echo "reach.sh: $tool is not here: install iproute2 and util-linux" >&2
            exit 1
        fi
    done
    namespace=(unshare --net)
    if [ "$(id -u)" -ne 0 ]; then namespace=(unshare --map-root-user --net); fi
    probe="ip link add name probe0 type veth peer name probe1 && ip rule add ipproto udp dport 1 blackhole"
    if ! why=$("${namespace[@]}" sh -c "$probe" 2>&1); then
        echo "reach.sh: this machine makes no network namespaces for this user: $why" >&2
        echo "Run it as root, on a machine (not in a container) with veth and user namespaces." >&2
        exit 1
    fi
    REACH_INSIDE=1 exec "${namespace[@]}" "${BASH_SOURCE[0]}" "${arguments[@]}"
fi

folder=$target/reach
data=scripts/data/credit_status
banks=(bank-a bank-b bank-c)
hosts=("${banks[@]}" relay proxy)
proxy=$binaries/proxy
namespaces=()

# Everything that was started here: nodes, relay and proxy, and what holds the namespaces.
finish() {
    local each
    for each in "${namespaces[@]}"; do kill "$each" 2>/dev/null || true; done
    if [ "$1" -ne 0 ] && [ -d "$folder" ]; then
        echo "The runs failed. What the nodes said:" >&2
        show_logs "$folder"
    fi
}
on_end finish

# address HOST: its address.
address() {
    local i
    for i in "${!hosts[@]}"; do
        if [ "${hosts[$i]}" = "$1" ]; then echo "10.7.$((i + 1)).2"; fi
    done
}

# on HOST COMMAND...: runs a command in the network of a host.
on() {
    local i host=$1
    shift
    for i in "${!hosts[@]}"; do
        if [ "${hosts[$i]}" = "$host" ]; then exec nsenter -t "${namespaces[$i]}" --net "$@"; fi
    done
}

# Networks of their own for all, with this one between them.
networks() {
    local i holder
    ip link set lo up
    echo 1 >/proc/sys/net/ipv4/ip_forward
    for i in "${!hosts[@]}"; do
        unshare --net sleep infinity &
        holder=$!
        namespaces+=($holder)
        # Until it has left this network.
        while [ "$(readlink /proc/$holder/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do
            sleep 0.05
        done
        ip link add name "host$i" type veth peer name eth0 netns "$holder"
        ip address add "10.7.$((i + 1)).1/24" dev "host$i"
        ip link set "host$i" up
        nsenter -t "$holder" --net sh -c "ip link set lo up && ip address add 10.7.$((i + 1)).2/24 \
            dev eth0 && ip link set eth0 up && ip route add default via 10.7.$((i + 1)).1"
    done
}

# allow FROM TO PROTOCOL PORT: connections with a port, and what comes back.
allow() {
    ip rule add priority 100 from "$1" to "$2" ipproto "$3" dport "$4" lookup main
    ip rule add priority 100 from "$2" to "$1" ipproto "$3" sport "$4" lookup main
}

# firewall WAY: what the network between all lets through.
firewall() {
    local bank
    while ip rule del priority 100 2>/dev/null; do :; done
    while ip rule del priority 200 2>/dev/null; do :; done
    if [ "$1" = direct ]; then return; fi
    for bank in "${banks[@]}"; do
        case $1 in
            udp) allow "$(address "$bank")" "$(address relay)" udp 443 ;;
            tcp) allow "$(address "$bank")" "$(address relay)" tcp 443 ;;
            proxy) allow "$(address "$bank")" "$(address proxy)" tcp 3128 ;;
        esac
    done
    if [ "$1" = proxy ]; then allow "$(address proxy)" "$(address relay)" tcp 443; fi
    ip rule add priority 200 from 10.7.0.0/16 blackhole
}

# nodes WAY: a folder, a key and settings for each, and the relay for its part.
nodes() {
    local way=$1 each other at key
    for each in "${banks[@]}" relay; do
        at=0.0.0.0:7400
        if [ "$each" = relay ]; then at=0.0.0.0:443; fi
        "$party" init --dir "$folder/$way/$each" --name "$each" --listen $at >/dev/null
    done
    for each in "${banks[@]}" relay; do
        for other in "${banks[@]}"; do
            if [ "$each" = "$other" ]; then continue; fi
            # Only the direct way has addresses: nobody can dial a bank behind a firewall.
            at=-
            if [ "$way" = direct ]; then at=$(address "$other"):7400; fi
            key=$("$party" --config "$folder/$way/$other/party.toml" fingerprint)
            "$party" --config "$folder/$way/$each/party.toml" peer add "$other" "$at" "$key" >/dev/null
        done
    done
    if [ "$way" = direct ]; then return; fi
    key=$("$party" --config "$folder/$way/relay/party.toml" fingerprint)
    for each in "${banks[@]}"; do
        {
            printf '\n[relay]\naddress = "%s:443"\nkey = "%s"\n' "$(address relay)" "$key"
            if [ "$way" = proxy ]; then printf 'proxy = "http://%s:3128"\n' "$(address proxy)"; fi
        } >>"$folder/$way/$each/party.toml"
    done
}

# stop PID: ends a process and waits for it.
stop() {
    kill "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}

# run WAY ROUND: one training; leaves its milliseconds in `took` and the relay's memory in `memory`.
run() {
    local way=$1 round=$2 dir=$folder/$1 began i each serving=()
    firewall "$way"
    took=
    memory=0
    if [ "$way" != direct ]; then
        on relay "$party" --config "$dir/relay/party.toml" relay </dev/null >"$dir/relay/log.txt" 2>&1 &
        serving+=($!)
        pids+=($!)
        if [ "$way" = proxy ]; then
            on proxy "$proxy" "$(address proxy):3128" </dev/null >"$dir/proxy.txt" 2>&1 &
            serving+=($!)
            pids+=($!)
        fi
        until grep -q listening "$dir/relay/log.txt"; do sleep 0.05; done
    fi
    for i in "${!banks[@]}"; do
        each=${banks[$i]}
        # A study is released once: each round is another study.
        sed "s/^title = \"/&Round $round. /" "$data/study.toml" >"$dir/$each/study.toml"
    done
    local running=()
    began=$(date +%s%N)
    for i in "${!banks[@]}"; do
        each=${banks[$i]}
        on "$each" "$party" --config "$dir/$each/party.toml" --json train "$dir/$each/study.toml" \
            --data "$data/party$((i + 1)).csv" </dev/null >"$dir/$each/run.json" 2>"$dir/$each/log.txt" &
        running+=($!)
        pids+=($!)
    done
    for each in "${running[@]}"; do wait "$each"; done
    took=$((($(date +%s%N) - began) / 1000000))
    if [ "$way" != direct ]; then
        memory=$(awk '/^VmHWM/ { print $2 }' "/proc/${serving[0]}/status")
        for each in "${serving[@]}"; do stop "$each"; done
    fi
    pids=()
}

rm -rf "$folder"
mkdir -p "$folder"
networks
declare -A times met most
for way in "${ways[@]}"; do
    nodes "$way"
    most[$way]=0
done
for round in $(seq "$rounds"); do
    for way in "${ways[@]}"; do
        run "$way" "$round"
        times[$way]="${times[$way]-} $took"
        if [ "$memory" -gt "${most[$way]}" ]; then most[$way]=$memory; fi
        met[$way]=$(sed -n 's/^bank-b has joined //p' "$folder/$way/bank-a/log.txt" | head -n 1)
        echo "$way, round $round: $took ms; bank-a met bank-b ${met[$way]}"
        "$compare" demo "$data/study.toml" "$data/reference.json" "$data/test.csv" \
            "$folder/$way/result.json" \
            "$folder/$way/bank-a/run.json" "$data/party1.csv" \
            "$folder/$way/bank-b/run.json" "$data/party2.csv" \
            "$folder/$way/bank-c/run.json" "$data/party3.csv" >"$folder/$way/result.txt"
    done
done

# median NUMBER...: the middle one.
median() { printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"; }

# shellcheck disable=SC2086 # a list of numbers
direct=$(median ${times[direct]})
failed=0
printf '\n%-8s %9s %6s %10s  %s\n' way seconds ratio "relay, MB" "bank-a met bank-b"
{
    printf '{\n  "study": "credit_status",\n  "rounds": %s,\n  "ways": [' "$rounds"
    comma=
    for way in "${ways[@]}"; do
        # shellcheck disable=SC2086
        middle=$(median ${times[$way]})
        ratio=$(awk "BEGIN { printf \"%.2f\", $middle / $direct }")
        megabytes=$(awk "BEGIN { printf \"%.1f\", ${most[$way]} * 1024 / 1e6 }")
        list=$(echo ${times[$way]} | tr ' ' ',')
        printf '%s\n    { "way": "%s", "milliseconds": [%s], "median": %s, "ratio": %s, "relay_mb": %s, "met": "%s" }' \
            "$comma" "$way" "$list" "$middle" "$ratio" "$megabytes" "${met[$way]}"
        comma=,
        seconds=$(awk "BEGIN { printf \"%.2f\", $middle / 1000 }")
        printf '%-8s %9s %6s %10s  %s\n' "$way" "$seconds" "$ratio" "$megabytes" "${met[$way]}" >&2
        if [ "${most[$way]}" -ge 48828 ]; then
            echo "error: the relay took 50 MB or more" >&2
            failed=1
        fi
        if [ "$way" = udp ] && [ $((middle * 10)) -gt $((direct * 15)) ]; then
            echo "error: the relay over UDP takes more than 1.5 times as long as the direct way" >&2
            failed=1
        fi
    done
    printf '\n  ]\n}\n'
    [ $failed -eq 0 ]
} >"$folder/summary.json" || exit 1
echo
echo "The figures are in $folder/summary.json"
