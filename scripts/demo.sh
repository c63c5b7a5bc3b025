#!/usr/bin/env bash
# Two studies between processes on this machine, without any of them showing a row: three banks
# train a model of credit default, and three laboratories fit the strength of concrete.
#
# Builds the node, makes a folder, a key and settings for each party, starts the processes, and sets
# each joint model beside what could have been had otherwise. Writes target/demo/summary.json. Ends
# by itself, also when a step fails, and leaves no process.
#
#   scripts/demo.sh              the parties make their correlated randomness themselves
#   scripts/demo.sh --dealer     a dealer, a process more, hands it out: fewer bytes, more trust
#   scripts/demo.sh --vertical   another one: a bank, an insurer and a registry hold different columns of the
#                                same clients. From files with ids to a model of which each gets its own
#                                part, and to joint predictions for new clients
set -euo pipefail

source=pairwise vertical=
case ${1-} in
    "") ;;
    --dealer) source=dealer ;;
    --vertical) vertical=1 ;;
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

# by_columns: the whole way of parties that hold columns.
by_columns() {
    local folder=$demo/by-columns parties=(bank insurer registry) each
    step "Files with ids of their own: ${parties[*]}"
    "$compare" cut scripts/data/credit_status/study.toml "$folder" own "${parties[@]}"
    make_nodes "$folder" "${parties[@]}"
    for each in "${parties[@]}"; do
        mv "$folder/$each.csv" "$folder/$each/rows.csv"
        mv "$folder/$each-new.csv" "$folder/$each/new.csv"
        echo "$each: $(head -2 "$folder/$each/rows.csv" | tr '\n' ' ' | cut -c 1-70)"
    done
    step "What the bank sees of its own ids before anything runs"
    "$party" --config "$folder/bank/party.toml" align "$folder/alignment.toml" \
        --data "$folder/bank/rows.csv" --check
    step "Which clients do all have? A process each: ${parties[*]}"
    run_nodes "$folder" align.txt "${parties[@]}" -- align "$folder/alignment.toml" \
        --data "$folder/{}/rows.csv" --out "$folder/{}/aligned.csv"
    sed "s/^/  bank: /" "$folder/bank/align.txt"
    step "What the data-protection officer of the bank reads before anything is fitted"
    "$party" --config "$folder/bank/party.toml" study check "$folder/study.toml" \
        --data "$folder/bank/rows.csv"
    step "A model of which each party gets its own part"
    run_study "$folder" "$folder/study.toml" bank="$folder/bank/rows.csv" \
        insurer="$folder/insurer/rows.csv" registry="$folder/registry/rows.csv"
    sed "s/^/  bank: /" "$folder/bank/log.txt"
    step "New clients: which do all have, and what does the model say of them?"
    run_nodes "$folder" align-new.txt "${parties[@]}" -- align "$folder/alignment-new.toml" \
        --data "$folder/{}/new.csv" --out "$folder/{}/aligned-new.csv"
    run_nodes "$folder" scores.json "${parties[@]}" -- --json predict --joint "$folder/scores.toml" \
        --data "$folder/{}/new.csv"
    step "The joint model and its predictions beside the same in the clear"
    "$compare" columns "$folder" "$demo/summary.json"
    echo "Each party's part of the model and its receipts are in its folder under $folder; the"
    echo "predictions are at the bank:"
    head -3 "$folder"/bank/state/*/predictions.csv
}

step "Building the node"
build
rm -rf "$demo"

if [ -n "$vertical" ]; then
    by_columns
    exit
fi

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
