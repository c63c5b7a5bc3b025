#!/usr/bin/env bash
# Floods real nodes: strangers that begin handshakes while a study meets, a pinned peer that sends what nobody reads,
# and the nodes of a relay. Prints a table of what was measured and its bound, writes target/floods/summary.json,
# and fails when a bound is not kept (docs/operations.md, The line to the others).
#
#   scripts/floods.sh            a minute of 1,000 handshakes a second at each node; 250 nodes at a relay
#   scripts/floods.sh --smoke    some seconds of each, with 8 nodes at the relay
#
# The flooding program is built with the feature test-util of mpc-net, the nodes as the tests are.
set -euo pipefail

usage() { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "${BASH_SOURCE[0]}"; }

options=()
case "${1-}" in
    "") ;;
    --smoke) options=(--seconds 3 --nodes 8) ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
esac

cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=${CARGO_TARGET_DIR:-target}
if [ -z "${MPC_BINARIES-}" ]; then
    cargo build --locked --workspace --all-features --profile test --bin party --bin floods
    binaries=$target/debug
else
    binaries=$MPC_BINARIES
fi
folder=$target/floods
rm -rf "$folder"
mkdir -p "$folder"
exec "$binaries/floods" "$(realpath "$binaries/party")" "$(realpath "$folder")" "$folder/summary.json" "${options[@]}"
