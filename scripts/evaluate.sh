#!/usr/bin/env bash
# Three hospitals, a process each over QUIC, fit the trial's model and then find out together how well it predicts
# patients that none of them fitted it to (docs/evaluation.md): AUC, ROC curve, calibration, no dealer.
#
#   scripts/evaluate.sh          compares with the pooled test rows, and verifies the receipts
#
# Leaves everything in target/evaluate. MPC_BINARIES names a folder with `party`; without it that is built.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib.sh
begin evaluate "$@"
data=scripts/data/hospital_pancreatitis
hospitals=(michigan indiana kentucky)
make_nodes "$folder" "${hospitals[@]}"
# One hospital is small: a node does not take part with so few positive patients unless its operator says so.
export PARTY__LIMITS__LEAST_ROWS=0 PARTY__LIMITS__LEAST_CELLS=0
run_study "$folder" "$data/small.toml" "michigan=$data/party1.csv" "indiana=$data/party2.csv" \
    "kentucky=$data/party3.csv"
unset PARTY__LIMITS__LEAST_ROWS PARTY__LIMITS__LEAST_CELLS
model=$(ls "$folder"/michigan/state/*/model.json)

# Every third patient of those that the fit left out is one hospital's.
for i in "${!hospitals[@]}"; do
    awk -v own="$i" 'NR == 1 || NR % 3 == own' "$data/test.csv" >"$folder/${hospitals[$i]}/test.csv"
done
"$party" study evaluate --model "$model" --out "$folder/evaluation.toml"

# evaluate FILE: each hospital takes part. Fails when one does.
evaluate() {
    run_nodes "$folder" run.txt "${hospitals[@]}" -- train "$1" --data "$folder/{}/test.csv"
}

# A lower threshold than the operator allows is refused before anybody is met.
sed 's/least = 5/least = 2/' "$folder/evaluation.toml" >"$folder/lower.toml"
if "$party" --config "$folder/michigan/party.toml" train "$folder/lower.toml" \
    --data "$folder/michigan/test.csv" 2>"$folder/refused.txt"; then
    echo "a threshold below limits.least_count was accepted" >&2
    exit 1
fi
grep -q 'limits.least_count' "$folder/refused.txt"

evaluate "$folder/evaluation.toml"
cat "$folder/michigan/run.txt"
for hospital in indiana kentucky; do
    diff <(sed '/^Result/,$d' "$folder/michigan/run.txt") <(sed '/^Result/,$d' "$folder/$hospital/run.txt")
done

# What the pooled test rows say. Of so few rows a single pair is 5e-4 of the area; the losses are the same.
"$party" predict --evaluate --model "$model" --data "$data/test.csv" >"$folder/pooled.txt"
near() {
    awk -v a="$1" -v b="$2" -v most="$3" 'BEGIN { d = a - b; exit !(a > 0 && d <= most && -d <= most) }'
}
joint=$(awk '$1 == "AUC" { print $2 }' "$folder/michigan/run.txt")
pooled=$(awk '$1 == "AUC:" { print $2 }' "$folder/pooled.txt")
near "$joint" "$pooled" 0.0006
near "$(awk '$1 == "Brier" { print $3 }' "$folder/michigan/run.txt")" "$(awk '$1 == "Brier:" { print $2 }' "$folder/pooled.txt")" 0.00006
near "$(awk '$1 == "Log" { print $3 }' "$folder/michigan/run.txt")" "$(awk '$1 == "Log-loss:" { print $2 }' "$folder/pooled.txt")" 0.00006

# With a threshold that nothing reaches, all are told that nothing is released, and nothing else.
sed 's/least = 5/least = 30/; s/^title = "/&Again: /' "$folder/evaluation.toml" >"$folder/higher.toml"
if evaluate "$folder/higher.toml" 2>/dev/null; then
    echo "counts below the threshold were released" >&2
    exit 1
fi
grep -q 'threshold of 30' "$folder/michigan/log.txt" "$folder/michigan/run.txt"

# With noise, and so by another protocol: an evaluation says which, and what to do first (docs/privacy.md).
sed 's/^threshold/privacy = { epsilon = 8, delta = 1e-5 }\n&/' "$folder/evaluation.toml" >"$folder/exact.toml"
if "$party" --config "$folder/michigan/party.toml" train "$folder/exact.toml" \
    --data "$folder/michigan/test.csv" 2>"$folder/refused.txt"; then
    echo "an evaluation without noise took [privacy]" >&2
    exit 1
fi
tr -s ' \n' ' ' <"$folder/refused.txt" | grep -q 'private-tables/1'
cat >"$folder/noisy.toml" <<'END'
version = 1
title = "How well the model predicts, with differential privacy"
parties = ["michigan", "indiana", "kentucky"]
[protocol]
name = "private-tables/1"
[settings]
group = "outcome"
histograms = [["probability", 4]]
privacy = { epsilon = 8, delta = 1e-5 }
columns = [
    { name = "outcome", levels = ["0_no", "1_yes"], missing = false },
    { name = "probability", range = [0, 1], missing = false },
]
[[reveals]]
label = "noisy tables"
to = "all"
what = "patients by outcome and predicted probability, with noise"
why = "how well the model predicts follows"
[security]
correlations = "pairwise"
against = "covert"
END
for hospital in "${hospitals[@]}"; do
    "$party" predict --model "$model" --data "$folder/$hospital/test.csv" --out "$folder/$hospital/predictions.csv" >/dev/null
    cut -d, -f2 "$folder/$hospital/predictions.csv" | paste -d, "$folder/$hospital/test.csv" - >"$folder/$hospital/scored.csv"
    printf '\n[privacy]\nsource = "test patients"\nepsilon = 8\ndelta = 1e-5\n' >>"$folder/$hospital/party.toml"
done
run_nodes "$folder" noisy.txt "${hospitals[@]}" -- train "$folder/noisy.toml" --data "$folder/{}/scored.csv"
sed '/^Result/,$d' "$folder/michigan/noisy.txt"
grep -q 'area under the ROC' "$folder/michigan/noisy.txt"

receipts=()
for hospital in "${hospitals[@]}"; do
    receipts+=("$(grep -l evaluate/auc "$folder/$hospital"/state/*/receipt.json)")
done
"$party" --config "$folder/michigan/party.toml" receipt verify "${receipts[@]}" >"$folder/verified.txt"
grep -q 'What all parties sent to all is the same' "$folder/verified.txt"
printf '\nThe area under the curve is %s, that of the pooled rows %s: %s\n' "$joint" "$pooled" "$folder"
