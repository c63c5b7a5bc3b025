#!/usr/bin/env bash
# Mutants: faults that would break the privacy of a study, put into a copy of the sources one at a
# time. For each a test has to fail, the one that the mutant names, for the reason that it names.
#
#   scripts/mutants.sh                 all of them; half an hour on two cores
#   scripts/mutants.sh NAME...         these
#   scripts/mutants.sh --smoke         those that are marked for the gate
#   scripts/mutants.sh --list          their names, and what each does
#
# A mutant is a file in scripts/mutants: a head of `what:`, `test:`, `says:` and, for the gate,
# `smoke: yes`, then a patch (CONTRIBUTING.md, "Mutants"). Prints a line each, and writes
# target/mutants/summary.json. Fails when a mutant is not caught, or its patch does not apply, or
# what it makes does not compile, or a test fails without any mutant.
#
# The tracked files, as they are, are copied to target/mutants/tree and compiled there, in a target
# folder of their own: nothing else is touched.
#
# Needs git and a Rust toolchain. CARGO_TARGET_DIR is honoured; MPC_MUTANTS_TIMEOUT is how long a test
# may run, in seconds.
set -euo pipefail

usage() {
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "${BASH_SOURCE[0]}"
}

fail() {
  printf 'mutants.sh: %s\n' "$*" >&2
  exit 1
}

cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD
mutants=$root/scripts/mutants
smoke=false
names=()
for argument in "$@"; do
  case "$argument" in
    --smoke) smoke=true ;;
    --list)
      for path in "$mutants"/*.patch; do
        printf '%-32s %s\n' "$(basename "$path" .patch)" "$(sed -n 's/^what: //p' "$path")"
      done
      exit 0
      ;;
    -h | --help) usage; exit 0 ;;
    -*) usage >&2; exit 2 ;;
    *)
      [[ -f $mutants/$argument.patch ]] || fail "there is no mutant '$argument'"
      names+=("$argument")
      ;;
  esac
done
# A mutant that no longer fits the sources, or whose test is nowhere, catches nothing: the gate looks at all of them.
for path in "$mutants"/*.patch; do
  name=$(basename "$path")
  git apply --check "$path" || fail "$name no longer applies: write it for the sources as they are"
  head=$(sed '/^--- /,$d' "$path")
  if ! [[ $head =~ (^|$'\n')test:\ ([a-z-]+)\ ([a-z_]+)::[a-z0-9_:]+($|$'\n') && $head == *$'\n'says:\ ?* ]]; then
    fail "$name: its head needs 'test: PACKAGE lib::FUNCTION' or 'test: PACKAGE PROGRAM::FUNCTION', and 'says:'"
  fi
  package=${BASH_REMATCH[2]} target=${BASH_REMATCH[3]}
  [[ $target == lib || -f $package/tests/$target.rs || -f $package/tests/$target/main.rs ]] ||
    fail "$name: $package has no test program '$target'"
done
if ((${#names[@]} == 0)); then
  for path in "$mutants"/*.patch; do
    if ! $smoke || grep -q '^smoke: yes$' "$path"; then
      names+=("$(basename "$path" .patch)")
    fi
  done
fi

out=${CARGO_TARGET_DIR:-$root/target}/mutants
case "$out" in /*) ;; *) out=$root/$out ;; esac
tree=$out/tree
log=$out/log
mkdir -p "$tree" "$log"
export CARGO_TARGET_DIR=$out/build CARGO_TERM_COLOR=never RUST_BACKTRACE=0
# Most of the time goes into compiling, and what is compiled here runs for a moment. The crates of others stay as the gate has them.
export CARGO_PROFILE_DEV_DEBUG=false
levels=()
for package in mpc-net mpc-core mpc-ml; do
  levels+=(--config "profile.test.package.$package.opt-level=1")
done
deadline=${MPC_MUTANTS_TIMEOUT:-600}

# field NAME KEY: a line of a mutant's head.
field() {
  sed -n "/^--- /q;s/^$2: //p" "$mutants/$1.patch"
}

# dependencies FOLDER: takes over what a build in FOLDER has compiled of others' crates.
dependencies() {
  local part
  [[ -d $1/.fingerprint && ! -d $CARGO_TARGET_DIR/debug ]] || return 0
  for part in .fingerprint build deps; do
    mkdir -p "$CARGO_TARGET_DIR/debug/$part"
    find "$1/$part" -mindepth 1 -maxdepth 1 ! -name 'mpc[-_]*' ! -name 'libmpc_*' ! -name 'part*' \
      ! -name 'libpart*' ! -name 'tools*' ! -name 'audit*' \
      \( -type d -o -name '*.d' -o -name '*.r*' -o -name '*.so' -o -name '*.dylib' \) -print0 |
      xargs -0 -r cp -a -t "$CARGO_TARGET_DIR/debug/$part"
  done
}

# fresh: makes the copy what the sources are. What differs gets the time of now, so that cargo sees it.
fresh() {
  local file
  git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
    [[ -f $file ]] || continue
    if ! cmp -s "$file" "$tree/$file"; then
      mkdir -p "$tree/$(dirname "$file")"
      cp "$file" "$tree/$file"
      touch "$tree/$file"
    fi
  done
  # What is not in the sources any more.
  (cd "$tree" && find . -type f -print0) | while IFS= read -r -d '' file; do
    [[ -f ${file#./} ]] || rm -f "$tree/$file"
  done
}

# chosen TEST: the arguments of cargo for `package target::function`, a target being `lib` or the
# name of a test program.
chosen() {
  local target=${1#* }
  target=${target%%::*}
  # From the whole workspace, so that the dependencies are those of the gate.
  printf '%s\n' --locked --workspace --all-features "${levels[@]}"
  if [[ $target == lib ]]; then echo --lib; else printf '%s\n' --test "$target"; fi
}

# build TEST LOG: compiles the test in the copy.
build() {
  local arguments
  mapfile -t arguments < <(chosen "$1")
  (cd "$tree" && cargo test --no-run "${arguments[@]}") >"$2" 2>&1
}

# run TEST LOG: runs it, and says whether it passed.
run() {
  local arguments name=${1#* }
  mapfile -t arguments < <(chosen "$1")
  (cd "$tree" && timeout "$deadline" cargo test "${arguments[@]}" -- --exact "${name#*::}") \
    >"$2" 2>&1
}

# passes TEST LOG: whether the test is there and passes; otherwise what is wrong.
sound=
passes() {
  local name=${1#* }
  if [[ $sound == *"|$1|"* ]]; then return; fi
  build "$1" "$2" || fail "'$1' does not compile without a mutant: $2"
  run "$1" "$2" || fail "'$1' fails without a mutant: $2"
  grep -qF "test ${name#*::} ... ok" "$2" || fail "there is no test '$1': $2"
  sound+="|$1|"
}

# verdict NAME: what becomes of a mutant, in a word.
verdict() {
  local test says file=$log/$1.txt
  test=$(field "$1" test)
  says=$(field "$1" says)
  if ! (cd "$tree" && GIT_CEILING_DIRECTORIES=$out git apply "$mutants/$1.patch") >"$file" 2>&1
  then
    echo "not applied"
  elif ! build "$test" "$file"; then
    echo "not compiled"
  elif run "$test" "$file"; then
    echo missed
  elif grep -qF "test ${test#*::} ... FAILED" "$file" && grep -qE -e "$says" "$file"; then
    echo caught
  else
    echo "failed otherwise"
  fi
}

caught=0 missed=0 unmade=0 entries=()
for name in "${names[@]}"; do
  for key in what test says; do
    [[ -n $(field "$name" "$key") ]] || fail "$name.patch has no '$key:'"
  done
done
fresh
dependencies "${out%/mutants}/debug"
for name in "${names[@]}"; do
  began=$SECONDS
  # The gate has run all tests before.
  if ! $smoke; then passes "$(field "$name" test)" "$log/without.txt"; fi
  how=$(verdict "$name")
  fresh
  case $how in
    caught) caught=$((caught + 1)) ;;
    not*) unmade=$((unmade + 1)) ;;
    *) missed=$((missed + 1)) ;;
  esac
  printf '%-16s %4d s  %s\n' "$how" "$((SECONDS - began))" "$name"
  [[ $how == caught ]] || echo "                         $log/$name.txt"
  entries+=("$(printf '    {"name": "%s", "test": "%s", "verdict": "%s", "seconds": %d}' \
    "$name" "$(field "$name" test)" "$how" "$((SECONDS - began))")")
done
{
  printf '{\n  "caught": %d,\n  "missed": %d,\n  "not_applied": %d,\n  "mutants": [\n' \
    "$caught" "$missed" "$unmade"
  for at in "${!entries[@]}"; do
    printf '%s%s\n' "${entries[$at]}" "$( ((at + 1 < ${#entries[@]})) && echo ,)"
  done
  printf '  ]\n}\n'
} >"$out/summary.json"
printf '%d caught, %d missed, %d not applied, in %d s: %s\n' \
  "$caught" "$missed" "$unmade" "$SECONDS" "$out/summary.json"
((missed + unmade == 0))
