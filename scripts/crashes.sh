#!/usr/bin/env bash
# Kills one of three nodes of a small study, sometimes two, as real processes over QUIC: while they meet,
# prepare, fit, release and write. Each is started again by the same command, and so is one that gave up
# because a peer was lost. Writes target/crashes/summary.json and prints a table, and fails unless every
# party has the model of an undisturbed run in the end, and unless fits go on from the last state that all had kept.
# scripts/tools/src/bin/crashes/verdict.rs has the list of verdicts.
#
#   scripts/crashes.sh           200 runs, some ten minutes
#   --runs N                     so many
#   --seed S                     other moments; 1 unless told otherwise
#   --jobs N                     so many runs at a time; 2 unless told otherwise
#   --stopped S                  nodes are stopped for S seconds in place of being killed, as by a line that is
#                                down or a machine that sleeps
#   --only TEXT                  runs in whose description TEXT occurs
#
# The node is built with the feature test-faults, which no release binary has: it dies at exact places.
set -euo pipefail

usage() { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "${BASH_SOURCE[0]}"; }

options=()
while [ $# -gt 0 ]; do
    case $1 in
        --runs | --seed | --jobs | --stopped | --only) options+=("$1" "${2:?$1 needs a value}"); shift 2 ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=${CARGO_TARGET_DIR:-target}
# As the tests are built, so that nothing of it is taken for a release.
if [ -z "${MPC_BINARIES-}" ]; then
    cargo build --locked --workspace --all-features --profile test --bin party --bin crashes
    binaries=$target/debug
else
    binaries=$MPC_BINARIES
fi
folder=$target/crashes
rm -rf "$folder"
exec "$binaries/crashes" "$binaries/party" "$folder" "$folder/summary.json" "${options[@]}"
