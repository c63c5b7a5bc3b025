#!/usr/bin/env bash
# Lets one node of a small study misbehave, as a real process over QUIC, and looks at how the others
# end: 165 faulty frames and 30 messages of the right form with wrong values, in studies by gradient
# descent, linear and logistic regression among three parties. Writes target/faults/summary.json, and
# fails unless every honest node names the one that misbehaved, or ends with the model of an undisturbed
# run (a changed bit may not matter). The node signs what its program computed, not what becomes of it.
# scripts/tools/src/bin/faults/verdict.rs has the list of verdicts.
#
#   scripts/faults.sh            all of it, some four minutes
#   scripts/faults.sh --smoke    a dozen
#   --jobs N                     so many runs at a time; 2 unless told otherwise
#   --only TEXT                  cases in whose description TEXT occurs
#
# The node is built with the feature test-faults, which no release binary has.
set -euo pipefail

usage() { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "${BASH_SOURCE[0]}"; }

options=()
while [ $# -gt 0 ]; do
    case $1 in
        --smoke) options+=("$1"); shift ;;
        --jobs | --only) options+=("$1" "${2:?$1 needs a value}"); shift 2 ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=${CARGO_TARGET_DIR:-target}
# As the tests are built, so that nothing of it is taken for a release.
if [ -z "${MPC_BINARIES-}" ]; then
    cargo build --locked --workspace --all-features --profile test --bin party --bin faults
    binaries=$target/debug
else
    binaries=$MPC_BINARIES
fi
folder=$target/faults
rm -rf "$folder"
exec "$binaries/faults" "$binaries/party" "$folder" "$folder/summary.json" "${options[@]}"
