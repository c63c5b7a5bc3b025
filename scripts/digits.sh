#!/usr/bin/env bash
# Three archives fit all ten digits together by federated averaging (docs/federated.md): 6,430 coefficients, a process each over QUIC. The study
# is that of scripts/data/mnist_wide with another target. Prints how many digits that nobody fitted the model gets right, beside the
# softmax fit of the pooled rows.
#
#   scripts/digits.sh            with two of three parties enough to end a round
#
# Leaves everything in target/digits. MPC_BINARIES names a folder with `party`; without it that is built.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib.sh
begin digits "$@"
archives=(archive-a archive-b archive-c)
make_nodes "$folder" "${archives[@]}"
data=scripts/data/mnist_wide

{
    sed -n '/^version/,/^]/p' "$data/study.toml" |
        sed 's/^title = .*/title = "Which digit it is, from its pixels"/'
    cat <<'END'

[model]
kind = "multinomial"
target = { column = "digit", levels = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"] }

[training]
mode = "federated"
l2 = 0.01
rounds = 20
own_steps = 40
threshold = 2

[security]
against = "semi-honest"
END
} >"$folder/study.toml"

for i in "${!archives[@]}"; do
    zcat "$data/party$((i + 1)).csv.gz" >"$folder/${archives[$i]}/rows.csv"
done
zcat "$data/test.csv.gz" >"$folder/test.csv"

rows=()
for name in "${archives[@]}"; do rows+=("$name=$folder/$name/rows.csv"); done
began=$SECONDS
run_study "$folder" "$folder/study.toml" "${rows[@]}"
echo "fitted in $((SECONDS - began)) s"

models=("$folder"/archive-?/state/*/model.json)
[ "${#models[@]}" = 3 ]
for model in "${models[@]}"; do cmp "${models[0]}" "$model"; done
"$party" --config "$folder/archive-a/party.toml" predict --model "${models[0]}" --data "$folder/test.csv" \
    --out "$folder/predictions.csv" --evaluate | tee "$folder/evaluated.txt"
accuracy=$(sed -n 's/^Accuracy: //p' "$folder/evaluated.txt")
echo "softmax fit of the pooled rows: 0.907"
# Within two standard errors of it, of a thousand digits.
awk -v accuracy="$accuracy" 'BEGIN { exit !(accuracy > 0.89) }'
"$party" --config "$folder/archive-a/party.toml" receipt verify "$folder"/archive-?/state/*/receipt.json >/dev/null
echo "The receipts agree."
