#!/usr/bin/env bash
# Two studies between processes on this machine, without any of them showing a row: three banks
# train a model of credit default, and three laboratories fit the strength of concrete.
#
# Builds the node, makes a folder, a key and settings for each party, starts the processes, and sets
# each joint model beside what could have been had otherwise. Writes target/demo/summary.json. Ends
# by itself, also when a step fails, and leaves no process.
#
#   scripts/demo.sh            the parties make their correlated randomness themselves
#   scripts/demo.sh --dealer   a dealer, a process more, hands it out: fewer bytes, more trust
set -euo pipefail

source=pairwise
case ${1-} in
    "") ;;
    --dealer) source=dealer ;;
    *) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
demo=$target/demo
dealer=()
if [ $source = dealer ]; then dealer=(dealer); fi

finish() {
    if [ "$1" -ne 0 ] && [ -d "$demo" ]; then
        echo "The demo failed. What the nodes said:" >&2
        show_logs "$demo"
    fi
}
on_end finish

step() { printf '\n== %s\n' "$1"; }

# joint_study SET PARTY...: makes the nodes in $demo/SET, gives each its rows and the study, shows
# what the first of them reads before anything runs, and runs it. `rows` and `runs` say afterwards
# where each party's rows and result are.
joint_study() {
    local data=scripts/data/$1 folder=$demo/$1 names=("${@:2}") i
    rows=() runs=()
    step "A folder, a key and a party.toml each: ${names[*]} ${dealer[*]-}"
    make_nodes "$folder" "${names[@]}" "${dealer[@]}"
    for i in "${!names[@]}"; do
        cp "$data/party$((i + 1)).csv" "$folder/${names[$i]}/rows.csv"
        with_source "$data/study.toml" $source "$folder/${names[$i]}/study.toml"
        rows+=("${names[$i]}=$folder/${names[$i]}/rows.csv")
        runs+=("$folder/${names[$i]}/run.json" "$folder/${names[$i]}/rows.csv")
        echo "${names[$i]}: $("$party" --config "$folder/${names[$i]}/party.toml" fingerprint)"
    done
    step "What the data-protection officer of ${names[0]} reads before anything runs"
    "$party" --config "$folder/${names[0]}/party.toml" study check "$folder/${names[0]}/study.toml" \
        --data "$folder/${names[0]}/rows.csv"
    step "A process each: ${names[*]} ${dealer[*]-}"
    run_study "$folder" "$folder/${names[0]}/study.toml" "${rows[@]}"
    sed "s/^/  ${names[0]}: /" "$folder/${names[0]}/log.txt"
}

step "Building the node"
build
rm -rf "$demo"

joint_study credit_status bank-a bank-b bank-c
step "The joint model beside the alternatives"
data=scripts/data/credit_status
"$compare" demo "$data/study.toml" "$data/reference.json" "$data/test.csv" "$demo/summary.json" "${runs[@]}"

joint_study concrete_strength laboratory-a laboratory-b laboratory-c
step "The joint coefficients beside those of the pooled rows"
"$compare" coefficients concrete_strength/study "$demo/concrete_strength" "$demo/summary.json"

echo "Each party's model and receipt are in its folder under $demo; the figures above are in"
echo "$demo/summary.json. A bank applies its copy of the model to new rows with:"
model=$(echo "$demo"/credit_status/bank-a/state/*/model.json)
echo "  $party predict --model $model --data $data/test.csv --evaluate"
