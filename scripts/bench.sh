#!/usr/bin/env bash
# Measures kernels, network and training on this machine, each figure with its floor beside it:
# for a kernel the time of reading its bytes once, for a training a replay of its messages without
# any computation. Medians of one run; absolute figures of a busy machine mean little, ratios do.
#
# scripts/bench.sh [--json FILE]    some minutes
# scripts/bench.sh --smoke          that everything still runs
set -euo pipefail

smoke=
json=()
while [ $# -gt 0 ]; do
    case $1 in
        --smoke) smoke=1; shift ;;
        --json) json=(--json "$(realpath -m "$2")"); shift 2 ;;
        *) echo "usage: scripts/bench.sh [--smoke] [--json FILE]" >&2; exit 2 ;;
    esac
done
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}

cargo build --release --locked -p parties --example bench
if [ -n "$smoke" ]; then
    exec "$target/release/examples/bench" --smoke
fi
cargo bench --locked -p mpc-core --bench kernels -- --quiet
mkdir -p "$target/bench"
cargo run --quiet --release --locked -p mpc-net --features quic --example link >"$target/bench/link.jsonl"
"$target/release/examples/bench" --criterion "$target/criterion" --link "$target/bench/link.jsonl" "${json[@]}"
