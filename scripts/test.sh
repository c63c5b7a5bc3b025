#!/usr/bin/env bash
# The gate: everything that must hold before a change goes in.
#
#   scripts/test.sh           all of it
#   scripts/test.sh --quick   formatting, clippy and tests
#
# Runs from any directory, needs a Rust toolchain and nothing else. The first
# step that fails ends the run and is named in the last line.
#
# CARGO_TARGET_DIR, CARGO_BUILD_JOBS and the like are honoured. MPC_DEMO_TIMEOUT,
# MPC_STUDIES_TIMEOUT and MPC_BENCH_TIMEOUT set the deadlines of the end-to-end
# runs, in seconds.
set -euo pipefail

usage() {
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "${BASH_SOURCE[0]}"
}

quick=false
for argument in "$@"; do
  case "$argument" in
    --quick) quick=true ;;
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
  cargo tree --locked -p parties -e normal,features -f "$form" >"$scratch/release"
  if test_only_features "$scratch/release"; then
    fail "the release binary would be built with a test-only feature"
  fi
  echo "parties: $(wc -l <"$scratch/release") lines of features, none of them test-only"
}

# The processes of the end-to-end run: those that carry its mark in their
# environment (Linux), elsewhere those in its process group.
run_processes() {
  if [[ -r /proc/self/environ ]]; then
    grep -lsazxF "MPC_GATE_RUN=$run_mark" /proc/[0-9]*/environ | cut -d/ -f3 || true
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

bench_smoke() {
  end_to_end "${MPC_BENCH_TIMEOUT:-900}" scripts/bench.sh --smoke
}

step "toolchain" toolchain
step "formatting" cargo fmt --all --check
step "clippy" clippy
if ! $quick; then
  step "documentation" docs
fi
step "tests" cargo test --locked --workspace --all-features

if $quick; then
  exit 0
fi

step "tests of mpc-core, portable kernels" \
  env MPC_PORTABLE=1 cargo test --locked -p mpc-core --all-features
step "mpc-core does not know QUIC" core_without_quinn
step "no test-only feature in the release binary" release_without_test_features

if command -v cargo-deny >/dev/null; then
  step "licences, advisories, sources" cargo deny --locked check
else
  skip "licences, advisories, sources" "not installed: cargo-deny"
fi

if [[ -f fuzz/Cargo.toml ]]; then
  step "fuzz targets compile" cargo check --locked --manifest-path fuzz/Cargo.toml
else
  skip "fuzz targets compile" "no fuzz/Cargo.toml"
fi

if [[ -f scripts/demo.sh ]]; then
  # Built here, so that the deadline below is that of the demo and not of the compiler.
  step "release build" cargo build --locked --release -p parties --bins --examples
  step "demo, end to end" demo
else
  skip "demo, end to end" "no scripts/demo.sh"
fi

if [[ -f scripts/studies.sh ]]; then
  step "studies beside their references, smoke run" studies_smoke
else
  skip "studies beside their references, smoke run" "no scripts/studies.sh"
fi

if [[ -f scripts/bench.sh ]]; then
  step "benchmarks, smoke run" bench_smoke
else
  skip "benchmarks, smoke run" "no scripts/bench.sh"
fi
