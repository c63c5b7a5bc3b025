#!/usr/bin/env bash
# The gate: everything that must hold before a change goes in.
#
#   scripts/test.sh             all of it
#   scripts/test.sh --quick     formatting, clippy and tests
#   scripts/test.sh --release   all of it, the end-to-end runs with release builds
#
# Everything is built once, as the tests need it: optimised, with overflow checks. The run with the
# portable kernels, the examples and the end-to-end runs use what is there then; only --release
# builds the programs apart, as a user has them. Before a version is given out it has to pass.
#
# Runs from any directory, needs a Rust toolchain and nothing else. The first
# step that fails ends the run and is named in the last line.
#
# CARGO_TARGET_DIR, CARGO_BUILD_JOBS and the like are honoured. MPC_DEMO_TIMEOUT,
# MPC_STUDIES_TIMEOUT, MPC_BENCH_TIMEOUT, MPC_FAULTS_TIMEOUT, MPC_FLOODS_TIMEOUT, MPC_CRASHES_TIMEOUT and
# MPC_EXAMPLE_TIMEOUT set the
# deadlines of the end-to-end runs, in seconds; MPC_FUZZ_SECONDS how long the fuzz targets run.
set -euo pipefail

usage() {
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "${BASH_SOURCE[0]}"
}

quick=false
release=false
for argument in "$@"; do
  case "$argument" in
    --quick) quick=true ;;
    --release) release=true ;;
    -h | --help) usage; exit 0 ;;
    *) echo "test.sh: unknown argument '$argument'" >&2; usage >&2; exit 2 ;;
  esac
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
target=${CARGO_TARGET_DIR:-$root/target}
case "$target" in /*) ;; *) target=$root/$target ;; esac
if [[ -n ${CARGO_TARGET_DIR:-} ]]; then
  export CARGO_TARGET_DIR=$target
fi
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-auto}

scratch=$(mktemp -d "${TMPDIR:-/tmp}/mpc-gate.XXXXXX")
current=
run_mark=
run_group=
timings=()
SECONDS=0

finish() {
  local status=$?
  trap - EXIT INT TERM
  stop_run
  rm -rf "$scratch"
  printf '\n'
  if ((${#timings[@]})); then
    printf '%s\n' "${timings[@]}"
  fi
  if ((status == 0)); then
    printf 'gate passed in %d s\n' "$SECONDS"
  else
    printf 'gate FAILED after %d s, in step: %s\n' "$SECONDS" "${current:-set-up}"
  fi
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

note() {
  local line
  printf -v line '%6s  %s' "$1" "$2"
  timings+=("$line")
}

# step NAME COMMAND...: announce, run, time. Not called from a condition, where
# bash would switch `set -e` off inside the command.
step() {
  current=$1
  shift
  local began=$SECONDS
  printf '\n=== %s\n' "$current"
  "$@"
  printf -- '--- %s: %d s\n' "$current" "$((SECONDS - began))"
  note "$((SECONDS - began)) s" "$current"
}

skip() {
  printf '\n=== %s\nskipped: %s\n' "$1" "$2"
  note skipped "$1 ($2)"
}

fail() {
  printf 'error: %s\n' "$*" >&2
  return 1
}

toolchain() {
  if ! command -v cargo >/dev/null; then
    fail "cargo is not on PATH; install Rust from https://rustup.rs"
  fi
  cargo --version
  local tool
  for tool in fmt clippy; do
    if ! cargo "$tool" --version; then
      fail "'cargo $tool' does not run. With rustup: rustup component add rustfmt clippy." \
        "Without: install the rustfmt and clippy packages of your distribution"
    fi
  done
}

clippy() {
  cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
}

audit() {
  cargo run --quiet --locked -p audit
}

# All features at once hide code that needs one of them and does not say so. Each alone, and none; with the node come the
# crates below it, without a feature of theirs but the QUIC of mpc-net.
each_feature() {
  local package feature
  for package in mpc-net mpc-core mpc-ml parties; do
    for feature in "" $(features "$package/Cargo.toml"); do
      case $package:$feature in mpc-core: | mpc-ml: | mpc-net:quic) continue ;; esac
      echo "$package: ${feature:-no feature}"
      cargo clippy --quiet --locked -p "$package" --lib --no-default-features \
        --features "$feature" -- -D warnings
    done
  done
}

# The names in the table [features] of a manifest, but for `default`.
features() {
  sed -n '/^\[features\]/,/^\[[^f]/s/^\([a-z][a-z-]*\) *=.*/\1/p' "$1" | grep -v '^default$'
}

# The examples that are run here, not those that only measure: the benchmarks run these.
gate_examples() {
  local path name
  for path in */examples/*.rs; do
    name=$(basename "$path" .rs)
    case $name in link | pairwise_ot | comparisons) ;; *) echo "$name" ;; esac
  done
}

# Libraries, programs, tests and examples, all at once: what follows runs them.
build_all() {
  local examples
  mapfile -t examples < <(gate_examples)
  cargo build --locked --workspace --all-features --profile test --bins --tests \
    "${examples[@]/#/--example=}"
}

# Tests of nodes wait for each other most of the time, so there are twice as many at once as cores.
tests() {
  local cores
  cores=$(getconf _NPROCESSORS_ONLN)
  # A thousand sessions that are broken off (mpc-core/tests/freshness.rs) take one core a minute and a half.
  MPC_SESSIONS=${MPC_SESSIONS:-300} RUST_TEST_THREADS=${RUST_TEST_THREADS:-$((2 * cores))} \
    cargo test --locked --workspace --all-features --tests
  cargo test --locked --workspace --all-features --doc
}

# The same test programs as before, of the crate that has the kernels, but for looks at views, which take most of the time and
# see the same numbers whichever kernel computes them, and aggregation, which only adds. Chosen from the whole workspace, so that cargo has the same
# features in mind and compiles nothing.
portable_tests() {
  local program ran=0
  CARGO_TERM_COLOR=never cargo test --locked --workspace --all-features --lib --test core_tests \
    --no-run 2>"$scratch/programs"
  sed -n 's/^ *Executable .*(\(.*\))$/\1/p' "$scratch/programs" >"$scratch/paths"
  while IFS= read -r program; do
    case $(basename "$program") in
      mpc_core-* | core_tests-*) ;;
      *) continue ;;
    esac
    case $program in /*) ;; *) program=$root/$program ;; esac
    echo "mpc-core: $(basename "$program")"
    (cd mpc-core && MPC_PORTABLE=1 "$program" --skip views --skip aggregat </dev/null)
    ran=$((ran + 1))
  done <"$scratch/paths"
  if ((ran != 2)); then
    cat "$scratch/programs" >&2
    fail "of two test programs $ran were found"
  fi
}

docs() {
  RUSTDOCFLAGS="${RUSTDOCFLAGS:-} -D warnings" \
    cargo doc --locked --workspace --all-features --no-deps
}

# The protocols import bytes, not QUIC.
core_without_quinn() {
  cargo tree --locked -p mpc-core -e normal >"$scratch/core"
  if grep -nE '(^|[^[:alnum:]_-])quinn' "$scratch/core"; then
    fail "mpc-core depends on quinn; the QUIC backend is for parties to switch on"
  fi
  echo "mpc-core: $(wc -l <"$scratch/core") lines of dependencies, no quinn"
}

# Lines of a feature tree in which a crate of ours has a test-only feature,
# either by an edge (`mpc-net feature "test-util"`) or in its list of features.
test_only_features() {
  grep -nE \
    -e '(mpc-[a-z]+|parties) feature "(test|insecure)[^"]*"' \
    -e '(mpc-[a-z]+|parties) v[^|]*\|features:([^|]*,)?(test|insecure)[^|]*\|' \
    "$1"
}

release_without_test_features() {
  local form='{p}|features:{f}|'
  # A search that cannot find is no assurance: this tree does have the feature.
  cargo tree --locked -p mpc-net -F test-util -e normal,features -f "$form" >"$scratch/control"
  if ! test_only_features "$scratch/control" >/dev/null; then
    fail "the search for test-only features no longer recognises one"
  fi
  # With the tools beside it, as scripts/lib.sh builds it: cargo unites their features.
  cargo tree --locked -p parties -p tools -e normal,features -f "$form" >"$scratch/release"
  if test_only_features "$scratch/release"; then
    fail "the release binary would be built with a test-only feature"
  fi
  echo "parties: $(wc -l <"$scratch/release") lines of features, none of them test-only"
}

# The processes of the end-to-end run: those in its process group, and on Linux those that carry its
# mark in their environment. (A `party` shows its environment to nobody but root.)
run_processes() {
  if [[ -r /proc/self/environ ]]; then
    {
      grep -lsazxF "MPC_GATE_RUN=$run_mark" /proc/[0-9]*/environ | cut -d/ -f3 || true
      sed -sn "s/^\([0-9]*\) (.*) [^Z] [0-9]* $run_group .*/\1/p" /proc/[0-9]*/stat 2>/dev/null ||
        true
    } | sort -u
  else
    ps -A -o pid= -o pgid= -o stat= |
      awk -v group="$run_group" '$2 == group && $3 !~ /^Z/ { print $1 }'
  fi
}

# Stop whatever is left of the end-to-end run, asking first.
stop_run() {
  local signal left patience
  [[ -n $run_group ]] || return 0
  for signal in TERM KILL; do
    for patience in 1 2 3 4 5; do
      left=$(run_processes)
      if [[ -z $left ]]; then
        break 2
      fi
      if ((patience == 1)); then
        # shellcheck disable=SC2086 # a list of process ids
        kill "-$signal" $left 2>/dev/null || true
      fi
      sleep 1
    done
  done
  run_group=
}

# end_to_end DEADLINE COMMAND...: run in a process group of its own, stop it at
# the deadline, and insist that nothing of it goes on running.
end_to_end() {
  local deadline=$1 status=0 began=$SECONDS left
  shift
  run_mark=$$.$RANDOM
  set -m
  MPC_GATE_RUN=$run_mark "$@" </dev/null &
  run_group=$!
  set +m
  while kill -0 "$run_group" 2>/dev/null; do
    if ((SECONDS - began >= deadline)); then
      stop_run
      fail "'$*' did not end within $deadline s"
    fi
    sleep 0.2
  done
  wait "$run_group" || status=$?

  left=$(run_processes)
  if [[ -n $left ]]; then
    sleep 1
    left=$(run_processes)
  fi
  if [[ -n $left ]]; then
    ps -o pid= -o args= -p "$(tr '\n' ',' <<<"$left" | sed 's/,$//')" >&2 || true
    stop_run
    fail "'$*' left processes running:" $left
  fi
  run_group=
  if ((status != 0)); then
    fail "'$*' ended with status $status"
  fi
}

demo() {
  local summary= candidate
  touch "$scratch/before-demo"
  end_to_end "${MPC_DEMO_TIMEOUT:-900}" scripts/demo.sh
  for candidate in "$target/demo/summary.json" "$root/target/demo/summary.json"; do
    # An older file is the trace of an older run.
    if [[ -f $candidate && ! $candidate -ot $scratch/before-demo ]]; then
      summary=$candidate
      break
    fi
  done
  if [[ -z $summary ]]; then
    fail "the demo wrote no $target/demo/summary.json"
  fi
  if command -v python3 >/dev/null; then
    python3 -m json.tool "$summary" "$scratch/summary.json"
    echo "$summary: valid JSON"
  else
    echo "$summary: not validated, python3 is not installed"
  fi
}

studies_smoke() {
  end_to_end "${MPC_STUDIES_TIMEOUT:-900}" scripts/studies.sh --smoke --correlations both
}

# With the binaries of the tests in any case: a release has no menu of faults.
faults_smoke() {
  MPC_BINARIES=$target/debug end_to_end "${MPC_FAULTS_TIMEOUT:-300}" scripts/faults.sh --smoke
}

# Likewise; the bounds are those of the long run.
floods_smoke() {
  MPC_BINARIES=$target/debug end_to_end "${MPC_FLOODS_TIMEOUT:-300}" scripts/floods.sh --smoke
}

# Likewise: it dies at exact places.
crashes_smoke() {
  MPC_BINARIES=$target/debug end_to_end "${MPC_CRASHES_TIMEOUT:-300}" scripts/crashes.sh --runs 8
}

# Likewise; a network namespace is used where there is one.
network_smoke() {
  MPC_BINARIES=$target/debug end_to_end "${MPC_NETWORK_TIMEOUT:-300}" scripts/network.sh --smoke
}

bench_smoke() {
  end_to_end "${MPC_BENCH_TIMEOUT:-900}" scripts/bench.sh --smoke
}

# Each of these once, as a reader would run it.
examples() {
  local name
  for name in $(gate_examples); do
    echo "$name"
    # One that measures, small here.
    if [[ $name == aggregation ]]; then
      end_to_end "${MPC_EXAMPLE_TIMEOUT:-120}" "$target/debug/examples/$name" 5 1000
      continue
    fi
    # One that nodes run, each as a process of its own.
    if [[ $name == custom_protocol ]]; then
      MPC_BINARIES=$target/debug end_to_end "${MPC_EXAMPLE_TIMEOUT:-120}" scripts/protocol.sh
      continue
    fi
    end_to_end "${MPC_EXAMPLE_TIMEOUT:-120}" "$target/debug/examples/$name"
  done
  echo "describe, by nodes"
  MPC_BINARIES=$target/debug end_to_end "${MPC_EXAMPLE_TIMEOUT:-120}" scripts/describe.sh
  echo "evaluate, by nodes"
  MPC_BINARIES=$target/debug end_to_end "${MPC_EXAMPLE_TIMEOUT:-120}" scripts/evaluate.sh
}

step "toolchain" toolchain
step "formatting" cargo fmt --all --check
step "licences, sources, dependencies" audit
step "clippy" clippy
if ! $quick; then
  step "clippy, each feature alone" each_feature
  step "documentation" docs
fi
step "build of all tests and programs" build_all
step "tests" tests

if $quick; then
  exit 0
fi

step "tests with portable kernels" portable_tests
step "mutants, two of them" scripts/mutants.sh --smoke
step "mpc-core does not know QUIC" core_without_quinn
step "no test-only feature in the release binary" release_without_test_features

if command -v cargo-deny >/dev/null; then
  step "advisories, and licences on all platforms" cargo deny --locked check
else
  skip "advisories, and licences on all platforms" "not installed: cargo-deny"
fi

step "fuzz targets" scripts/fuzz.sh "${MPC_FUZZ_SECONDS:-60}"
step "examples" examples

if $release; then
  # Built here, so that the deadlines below are not those of the compiler.
  step "release build" cargo build --locked --release -p parties -p tools --bins
  export MPC_BINARIES=$target/release
else
  export MPC_BINARIES=$target/debug
fi
step "demo, end to end" demo
step "faults of a node, smoke run" faults_smoke
step "floods of a node and a relay, smoke run" floods_smoke
step "kills of a node, smoke run" crashes_smoke
step "lines that lose, delay and change, smoke run" network_smoke
step "studies beside their references, smoke run" studies_smoke
step "benchmarks, smoke run" bench_smoke
