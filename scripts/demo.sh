#!/usr/bin/env bash
# Three hospitals, processes on this machine, from ugly exports to a finding, without any of them showing a row: table
# one, how well such a model predicts (ROC curve, calibration), a model with odds ratios, a report to read in a browser,
# and the model for other programs.
#
# Builds the node, makes a folder, a key and settings for each hospital, starts the processes, and sets the joint model
# beside a fit to the pooled rows. Leaves everything in target/demo, with report.html and summary.json. Ends by itself,
# also when a step fails, and leaves no process.
#
#   scripts/demo.sh              the parties make their joint randomness themselves
#   scripts/demo.sh --dealer     a dealer, a process more, hands it out: fewer bytes, more trust
#   scripts/demo.sh --banks      another one: three banks train a model of credit default by gradient descent, beside the
#                                same training in the clear and what each bank reaches alone; then three laboratories fit
#                                the strength of concrete
#   scripts/demo.sh --vertical   another one: a bank, an insurer and a registry hold different columns of the
#                                same clients. From files with ids to a model of which each gets its own
#                                part, and to joint predictions for new clients
set -euo pipefail

source=pairwise story=hospitals
for option; do
    case $option in
        --dealer) source=dealer ;;
        --banks) story=banks ;;
        --vertical) story=vertical ;;
        *) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
    esac
done

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

# hospital NAME ARGUMENT...: `party ARGUMENT...` of a hospital.
hospital() {
    "$party" --config "$demo/hospitals/$1/party.toml" "${@:2}"
}

# agreed FILE: gives all hospitals the same study or agreement.
agreed() {
    local each
    with_source "$1" $source "$folder/$(basename "$1")"
    for each in "${hospitals[@]}"; do cp "$folder/$(basename "$1")" "$folder/$each/"; done
}

# together AGREEMENT ROWS: all of them take part, and the dealer if there is one. Shows what the first of them sees.
together() {
    if [ -n "${dealer[*]-}" ]; then
        PARTY__NETWORK__LINK=loopback "$party" --config "$folder/dealer/party.toml" dealer --once \
            </dev/null >"$folder/dealer/log.txt" 2>&1 &
        pids+=($!)
    fi
    # A node that is lost does not come back by itself here.
    PARTY__NETWORK__RETURN_WITHIN_S=0 run_nodes "$folder" run.txt "${hospitals[@]}" -- \
        train "$folder/$1" --data "$folder/{}/$2"
    cat "$folder/${hospitals[0]}/run.txt"
}

# signed STUDY ROWS: the officer of each hospital approves of it.
signed() {
    local each
    for each in "${hospitals[@]}"; do
        hospital "$each" study approve "$folder/$1" --data "$folder/$each/$2" --name "Officer of $each" \
            --role "data protection officer" >"$folder/$each/approved.txt"
    done
    cat "$folder/${hospitals[0]}/approved.txt"
}

# the_folder TITLE: the folder in the state of the first hospital of the run whose title begins with this.
the_folder() {
    dirname "$(grep -l "\"title\": \"$1" "$folder/${hospitals[0]}"/state/*/receipt.json)"
}

# from_exports: the whole way of the hospitals.
from_exports() {
    local folder=$demo/hospitals hospitals=(hamburg lyon leeds) each described half evaluated fitted
    step "Three hospitals, three exports"
    make_nodes "$folder" "${hospitals[@]}" "${dealer[@]}"
    for each in "${hospitals[@]}"; do
        scripts/demo/export.sh "$each" >"$folder/$each/rows.csv"
        scripts/demo/export.sh "$each" 1 >"$folder/$each/half.csv"
        scripts/demo/export.sh "$each" 2 >"$folder/$each/others.csv"
        echo "$each: $(sed -n 3p "$folder/$each/rows.csv" | LC_ALL=C tr '\t\200-\377' '>?' | cut -c 1-70)"
    done
    agreed scripts/demo/table-one.toml
    agreed scripts/demo/study.toml

    step "hamburg says in party.toml what its columns are called, and asks how its file is read"
    cp "$folder/hamburg/party.toml" "$folder/hamburg/before.toml"
    { echo; echo "[data]"; echo 'path = "rows.csv"'; grep '^rename' scripts/demo/hamburg.toml; } \
        >>"$folder/hamburg/party.toml"
    hospital hamburg study check "$folder/study.toml" --data "$folder/hamburg/rows.csv" 2>&1 && return 1
    mv "$folder/hamburg/before.toml" "$folder/hamburg/party.toml"
    step "It adds what it was told, and what the words stand for; so do the others"
    for each in "${hospitals[@]}"; do
        { echo; echo "[data]"; echo 'path = "rows.csv"'; cat "scripts/demo/$each.toml"; } \
            >>"$folder/$each/party.toml"
    done
    echo
    cut -c 1-78 scripts/demo/hamburg.toml

    step "Table one, of all patients together"
    signed table-one.toml rows.csv >"$folder/signed.txt"
    together table-one.toml rows.csv
    described=$(the_folder "Patients with an ERCP")

    step "What the data-protection officer of hamburg reads before the model, and signs"
    hospital hamburg study check "$folder/study.toml"
    signed study.toml rows.csv

    step "Does such a model predict? First it is fitted to every other patient alone .."
    sed 's/^\(title = "Pancreatitis after ERCP\).*/\1, fitted to every other patient"/' scripts/demo/study.toml \
        >"$demo/half.toml"
    agreed "$demo/half.toml"
    echo "Fewer than ten of them had pancreatitis in lyon and leeds; operators allow 8."
    export PARTY__LIMITS__LEAST_CELLS=8
    signed half.toml half.csv >"$folder/signed.txt"
    together half.toml half.csv
    unset PARTY__LIMITS__LEAST_CELLS
    half=$(the_folder "Pancreatitis after ERCP, fitted")
    step ".. and tried on those that it has not seen"
    # These cuts were chosen for the demo, so that no count is too small: of 31 positive patients three groups are the most
    # that may be told. Hospitals take cuts at which they would act, or none; groups that are too small are joined.
    "$party" study evaluate --model "$half/model.json" --out "$demo/drafted.toml"
    {
        sed 's/^# cuts = .*/cuts = [0.1, 0.16]/; s/which of 5 sets/which of 3 sets/' "$demo/drafted.toml"
        echo
        sed -n '/^\[consent\]/,$p' scripts/demo/study.toml
    } >"$demo/evaluation.toml"
    agreed "$demo/evaluation.toml"
    signed evaluation.toml others.csv >"$folder/signed.txt"
    together evaluation.toml others.csv
    evaluated=$(the_folder "Evaluation of")

    step "The model, of all patients: does the treatment help?"
    together study.toml rows.csv
    fitted=$(the_folder "Pancreatitis after ERCP: the trial")
    "$compare" model hospital_pancreatitis/small "$fitted/model.json" "$demo/summary.json"

    step "The model for other programs, each file tested before it is written"
    for each in tidy=tidy.csv glance=glance.csv sklearn=model.py pmml=model.pmml onnx=model.onnx; do
        hospital hamburg export --model "$fitted/model.json" --as "${each%=*}" --out "$demo/${each#*=}" \
            --data "$folder/hamburg/rows.csv"
    done
    head -3 "$demo/tidy.csv" | cut -c 1-78

    step "The report"
    hospital hamburg report "$described" "$half" "$evaluated" "$fitted" --study "$folder/table-one.toml" \
        --study "$folder/half.toml" --study "$folder/evaluation.toml" --study "$folder/study.toml" \
        --out "$demo/report.html"
    echo "What each hospital has is in its folder under $folder;"
    echo "the figures beside the reference are in $demo/summary.json."
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
mkdir -p "$demo"

case $story in
    hospitals) from_exports; exit ;;
    vertical) by_columns; exit ;;
esac

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
