#!/usr/bin/env bash
# Runs the studies of scripts/data as real processes over QUIC on this machine, and sets each result
# beside its reference: pooled rows, double precision, scikit-learn and statsmodels. Prints a table,
# writes target/studies/summary.json, and fails when a limit is missed (the limits are in
# scripts/tools/src/bin/compare/cases.rs).
#
#   scripts/studies.sh                   what takes seconds to minutes
#   scripts/studies.sh --large           flights_large and mnist_wide as well
#   scripts/studies.sh --smoke           two small ones: that everything still works
#   scripts/studies.sh --only SET        one data set, however large, or one study (SET/FILE)
#   scripts/studies.sh --made-up         216 made-up studies instead, inside one process, each beside a
#                                        float64 fit; writes target/studies/made-up.json, and fails when
#                                        one is wrong or over 2% of those float64 can fit are refused.
#                                        --family logistic|poisson, --number N, --every N: fewer of them
#
#   --by-columns                         credit_status, concrete_strength, doctor_visits_count and
#                                        hospital_pancreatitis with their rows cut by columns: files with ids
#                                        that are aligned first, beside the same references; and
#                                        breast_cancer_vertical, whose columns are at three parties
#
#   --correlations pairwise|dealer|both  where the correlated randomness comes from; the parties
#                                        themselves unless told otherwise
#   --json FILE                          a summary elsewhere
set -euo pipefail

usage() { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "${BASH_SOURCE[0]}"; }

filters=()
correlations=pairwise
by_columns=
made_up=
made_up_filters=()
summary=
while [ $# -gt 0 ]; do
    case $1 in
        --large | --smoke) filters+=("$1"); shift ;;
        --by-columns) by_columns=1; filters+=("$1"); shift ;;
        --only) filters+=("$1" "${2:?--only needs the name of a set}"); shift 2 ;;
        --made-up) made_up=1; shift ;;
        --family | --number | --every) made_up_filters+=("$1" "${2:?$1 needs a value}"); shift 2 ;;
        --json) summary=$(realpath -m "${2:?--json needs a file}"); shift 2 ;;
        --correlations)
            case ${2-} in
                pairwise | dealer | both) correlations=$2 ;;
                *) usage >&2; exit 2 ;;
            esac
            shift 2 ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
done

if [ -z "$made_up" ] && [ "${#made_up_filters[@]}" -gt 0 ]; then usage >&2; exit 2; fi
if [ -n "$made_up" ] && [ "${#filters[@]}" -gt 0 ]; then usage >&2; exit 2; fi

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
folder=$target/studies

if [ -n "$made_up" ]; then
    if [ -z "${MPC_BINARIES-}" ]; then cargo build --release --locked -p tools --bin made-up; fi
    mkdir -p "$folder"
    exec "$binaries/made-up" "${summary:-$folder/made-up.json}" --correlations "$correlations" \
        "${made_up_filters[@]}"
fi

summary=${summary:-$folder/summary.json}
case $correlations in
    both) sources=(pairwise dealer) ;;
    *) sources=("$correlations") ;;
esac

finish() {
    if [ "$1" -ne 0 ]; then echo "The studies failed; everything is in $folder" >&2; fi
}
on_end finish

# The rows are public, and some sets have a party of four of them.
export PARTY__LIMITS__LEAST_ROWS=0 PARTY__LIMITS__LEAST_CELLS=0
# And may be told of as often as anybody likes.
export PARTY__PRIVACY__SOURCE="public rows" PARTY__PRIVACY__EPSILON=8 PARTY__PRIVACY__DELTA=1e-7

build
rm -rf "$folder"
mkdir -p "$folder"
"$compare" list "${filters[@]}" >"$folder/list.txt"

runs=()
while read -r -a fields; do
    name=${fields[0]} study=${fields[1]} rows=("${fields[@]:2}")
    for source in "${sources[@]}"; do
        # Federated averaging has no use for a dealer.
        if [ "$source" = dealer ] && grep -q '^mode = "federated"' "$study"; then continue; fi
        dir=$folder/${name/\//.}.$source
        nodes=("${rows[@]%%=*}")
        [ "$source" = dealer ] && nodes+=(dealer)
        make_nodes "$dir" "${nodes[@]}"
        began=$SECONDS
        label=$source chosen=$study
        if [ -n "$by_columns" ]; then
            label=columns
            nodes=("${rows[@]%%=*}")
            if grep -q '^partition = "vertical"' "$study"; then
                # Divided by columns from the start.
                alignment=$(dirname "$study")/alignment.toml
                for each in "${rows[@]}"; do cp "${each#*=}" "$dir/${each%%=*}/rows.csv"; done
            else
                cut=$dir/cut
                "$compare" cut "$study" "$cut" all --whole "${nodes[@]}"
                for each in "${nodes[@]}"; do cp "$cut/$each.csv" "$dir/$each/rows.csv"; done
                chosen=$cut/study.toml alignment=$cut/alignment.toml
            fi
            rows=("${nodes[@]/%/=}")
            for each in "${!nodes[@]}"; do rows[each]+=$dir/${nodes[$each]}/rows.csv; done
            if ! run_nodes "$dir" align.txt "${nodes[@]}" -- align "$alignment" \
                --data "$dir/{}/rows.csv"; then
                show_logs "$dir"
            fi
        fi
        with_source "$chosen" "$source" "$dir/study.toml"
        if run_study "$dir" "$dir/study.toml" "${rows[@]}"; then
            echo "$name, $source: done in $((SECONDS - began)) s"
        else
            # The report names it; the other studies are run all the same.
            echo "$name, $source: FAILED" >&2
            show_logs "$dir"
        fi
        runs+=("$name" "$label" "$dir")
    done
done <"$folder/list.txt"

echo
"$compare" report "$summary" "${runs[@]}"
