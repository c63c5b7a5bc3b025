#!/usr/bin/env bash
# Measures kernels, network and trainings on this machine, each figure with its floor beside it:
# for a kernel the time of reading its bytes once, for a training a replay of its messages without
# any computation, for a slow line its rate and delay, for a linear regression the reading and the
# product of the same rows in the clear. Medians of one run; absolute figures of a busy machine mean
# little, ratios do.
#
# scripts/bench.sh [--json FILE] [--only PART,..]    a quarter of an hour
# scripts/bench.sh --smoke                           that everything still runs
#
# Parts, in the order of docs/cost.md; without --only all of them:
#   kernels     matrix products, number-theoretic transforms, transfers, the loopback link
#   training    10,000 x 100 without and with a dealer, with two, three and five parties
#   wide        full batches, 12,800 x 784, 60,000 x 784
#   slow        40 ms and 100 Mbit/s between the parties
#   linear      1,000,000 x 50, from three files to the model
#   optimum     logistic fits of 1,000,000 x 100 and of 10,000,000 x 20
set -euo pipefail

usage() {
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "${BASH_SOURCE[0]}" >&2
    exit 2
}

smoke=
json=()
parts=kernels,training,wide,slow,linear,optimum
while [ $# -gt 0 ]; do
    case $1 in
        --smoke) smoke=1; shift ;;
        --json) [ $# -gt 1 ] || usage; json=(--json "$(realpath -m "$2")"); shift 2 ;;
        --only) [ $# -gt 1 ] || usage; parts=$2; shift 2 ;;
        *) usage ;;
    esac
done
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=${CARGO_TARGET_DIR:-target}

if [ -n "$smoke" ] && [ -n "${MPC_BINARIES-}" ]; then
    # Of the gate, which has built them.
    exec "$MPC_BINARIES/bench" --smoke
fi
cargo build --release --locked -p tools --bin bench
if [ -n "$smoke" ]; then
    exec "$target/release/bench" --smoke
fi

measured=()
case ,$parts, in
    *,kernels,*)
        mkdir -p "$target/bench"
        cargo bench --locked -p mpc-core --bench kernels -- --quiet
        cargo run --quiet --release --locked -p mpc-core --features test-util --example pairwise_ot \
            >"$target/bench/transfers.jsonl"
        cargo run --quiet --release --locked -p mpc-core --features test-util --example comparisons \
            >"$target/bench/comparisons.jsonl"
        for parties in 10 50; do
            cargo run --quiet --release --locked -p mpc-core --example aggregation -- "$parties"
        done >"$target/bench/aggregation.jsonl"
        cargo run --quiet --release --locked -p mpc-net --features quic --example link \
            >"$target/bench/link.jsonl"
        measured=(--criterion "$target/criterion" --transfers "$target/bench/transfers.jsonl"
            --link "$target/bench/link.jsonl")
        ;;
esac
exec "$target/release/bench" --only "$parts" "${measured[@]}" "${json[@]}"
