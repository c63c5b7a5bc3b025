#!/usr/bin/env bash
# Lets three nodes, and a relay and a proxy, run studies over lines as an operator meets them: lost, late, doubled
# and changed packets, black-outs, small packets, addresses that change, ports that are refused, names that do not
# resolve, clocks that are turned, nodes that stand still, vanish or come twice. Prints a table with a line for each
# case (what was expected, what happened, seconds), writes target/network/summary.json, and fails when one is wrong.
# scripts/tools/src/bin/network/cases.rs has the list.
#
#   scripts/network.sh            all of it, some six minutes
#   scripts/network.sh --smoke    some seconds of it
#   --only TEXT                   cases in whose name TEXT occurs
#   --jobs N                      so many at a time; 4 unless told otherwise
#   --seed S                      other dice for the lines
#
# The lines are programs, so that every machine has the same. Where it may make network namespaces, the script runs
# in one, with a table of names of its own; elsewhere the cases that need one are listed as skipped. The node is
# built with the feature test-faults, which no release binary has.
set -euo pipefail

usage() { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "${BASH_SOURCE[0]}"; }

options=()
arguments=("$@")
while [ $# -gt 0 ]; do
    case $1 in
        --smoke) options+=("$1"); shift ;;
        --jobs | --only | --seed) options+=("$1" "${2:?$1 needs a value}"); shift 2 ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
# As the tests are built, so that nothing of it is taken for a release.
if [ -z "${MPC_BINARIES-}" ]; then
    cargo build --locked --workspace --all-features --profile test --bin party --bin network --bin proxy
    binaries=$target/debug
else
    binaries=$(realpath "$MPC_BINARIES")
fi
folder=$target/network

if [ -z "${NETWORK_TRIED-}" ]; then
    rm -rf "$folder"
    mkdir -p "$folder"
    cc -shared -fPIC -O1 -o "$binaries/clock.so" scripts/tools/src/bin/network/clock.c -ldl
    namespace=(unshare --net --mount)
    if [ "$(id -u)" -ne 0 ]; then namespace=(unshare --map-root-user --net --mount); fi
    export NETWORK_TRIED=1 MPC_BINARIES=$binaries
    # In it what this machine does with its own packets comes after the rules of a case.
    if "${namespace[@]}" sh -c 'ip link set lo up && ip rule add priority 100 lookup local &&
        ip rule del priority 0 && ip rule add priority 50 ipproto udp sport 1 prohibit' 2>/dev/null; then
        printf '127.0.0.1 localhost\n' >"$folder/hosts"
        export NETWORK_INSIDE=1
        exec "${namespace[@]}" scripts/network.sh "${arguments[@]}"
    fi
fi
if [ -n "${NETWORK_INSIDE-}" ]; then
    ip link set lo up
    ip rule add priority 100 lookup local
    ip rule del priority 0
    mount --bind "$folder/hosts" /etc/hosts
fi
exec "$binaries/network" "$binaries/party" "$folder" "$folder/summary.json" "${options[@]}"
