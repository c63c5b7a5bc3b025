#!/usr/bin/env bash
# Feeds the decoders of bytes from peers, and of files, with bytes that grow towards new code, for a while.
#
#   scripts/fuzz.sh [SECONDS]    all targets of fuzz/ together; 60 unless told otherwise
#
# Needs a C++ compiler beside the stable toolchain (libFuzzer is C++; the coverage comes from rustc
# itself), neither nightly nor cargo-fuzz. Without one the same decoders get random bytes from
# proptest. What was found stays: new inputs in fuzz/corpus, inputs that failed in fuzz/artifacts. fuzz/seeds has
# what it begins with where a format is not found by chance.
set -euo pipefail

seconds=${1:-60}
case $seconds in
    '' | *[!0-9]*) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! command -v "${CXX:-c++}" >/dev/null; then
    echo "no C++ compiler: random bytes in place of the fuzzer"
    PROPTEST_CASES=4096 exec cargo test --locked --workspace --all-features --lib no_bytes
fi

host=$(rustc -vV | sed -n 's/^host: //p')
target=${CARGO_TARGET_DIR:-target}/fuzz
# As cargo-fuzz has it, but for the sanitizer, which needs nightly; all but the kernels is safe code.
sancov="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
sancov+=" -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
sancov+=" -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
# --target keeps the flags from build scripts and macros.
RUSTFLAGS="--cfg fuzzing $sancov" cargo build --locked --release --target "$host" \
    --manifest-path fuzz/Cargo.toml --target-dir "$target"

targets=(fuzz/fuzz_targets/*.rs)
each=$((seconds / ${#targets[@]}))
[ "$each" -gt 0 ] || each=1
for path in "${targets[@]}"; do
    name=$(basename "$path" .rs)
    mkdir -p "fuzz/corpus/$name" "fuzz/artifacts/$name"
    begin=("fuzz/corpus/$name")
    [ -d "fuzz/seeds/$name" ] && begin+=("fuzz/seeds/$name")
    log=$target/$name.log
    if ! "$target/$host/release/$name" -max_total_time="$each" -timeout=10 -rss_limit_mb=2048 \
        -artifact_prefix="fuzz/artifacts/$name/" "${begin[@]}" >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        echo "error: $name failed; the input is in fuzz/artifacts/$name" >&2
        exit 1
    fi
    # A fuzzer that sees no coverage tries the same few inputs again and again.
    if ! grep -q "INFO: Loaded .* inline 8-bit counters" "$log"; then
        echo "error: $name was built without coverage" >&2
        exit 1
    fi
    printf '%-10s %s\n' "$name" "$(grep -E '^#[0-9]+.*DONE' "$log" | sed 's/ lim:.*//')"
done
