#!/usr/bin/env bash
# Three clinics, a process each over QUIC, describe their patients together by treatment (docs/describe.md):
# table one with tests, no dealer, no count below the threshold; and how long they survive (docs/survival.md).
#
#   scripts/describe.sh          compares the table with the one of the pooled rows, and verifies the receipts
#
# Leaves everything in target/describe. MPC_BINARIES names a folder with `party`; without it that is built.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib.sh
begin describe "$@"
clinics=(north east south)
make_nodes "$folder" "${clinics[@]}"
cp parties/examples/describe.toml "$folder/agreement.toml"

# Made-up patients; of every fifth one the pressure is not known.
patients() {
    awk -v clinic="$1" 'BEGIN {
        print "treatment,sex,age,pressure"
        for (i = 0; i < 60; i++) {
            noise = (i * 7919 + clinic * 104729) % 1009 / 1009
            pressure = i % 5 == 4 ? "" : sprintf("%.1f", 110 + 40 * noise - 8 * (i % 2) + 3 * clinic)
            printf "%s,%s,%.1f,%s\n", i % 2 ? "new" : "usual", int(i / 2) % 2 ? "m" : "f", 40 + 50 * noise, pressure
        }
    }'
}
for i in "${!clinics[@]}"; do
    patients "$i" >"$folder/${clinics[$i]}/patients.csv"
done
# One clinic exports with semicolons, decimal commas and a word for what is missing, and packs the file.
mkdir -p "$folder/pooled"
cat "$folder"/{north,east,south}/patients.csv >"$folder/pooled/patients.csv"
south=$folder/south/patients.csv
sed 's/,$/,k.A./; s/,/;/g; s/\./,/g; s/k,A,$/k.A./' "$south" | gzip -n >"$south.gz"
mv "$south.gz" "$south"
sed -i 's/^# \[data\]$/[data]/; s/^# path = /path = /; s/^# separator = .*/separator = ";"/; s/^# decimal = .*/decimal = ","/
    s/^# missing = .*/missing = ["k.A."]/' "$folder/south/party.toml"

# train FILE: each clinic takes part. Fails when one does.
train() {
    run_nodes "$folder" run.txt "${clinics[@]}" -- train "$1" --data "$folder/{}/patients.csv"
}

# A lower threshold than the operator allows is refused before anybody is met.
sed 's/least = 5/least = 2/' "$folder/agreement.toml" >"$folder/lower.toml"
for command in train "study check"; do
    # shellcheck disable=SC2086
    if "$party" --config "$folder/north/party.toml" $command "$folder/lower.toml" \
        --data "$folder/north/patients.csv" >/dev/null 2>"$folder/refused.txt"; then
        echo "a threshold below limits.least_count was accepted by $command" >&2
        exit 1
    fi
    grep -q 'limits.least_count' "$folder/refused.txt"
done

"$party" --config "$folder/north/party.toml" study check "$folder/agreement.toml" \
    --data "$folder/north/patients.csv"
"$party" --json --config "$folder/south/party.toml" study check "$folder/agreement.toml" \
    --data "$folder/south/patients.csv" >"$folder/south/check.json"
grep -qE '"rows": ?60' "$folder/south/check.json"
train "$folder/agreement.toml"
cat "$folder/north/run.txt"
for clinic in east south; do
    diff <(grep -v '^Result\|^Receipt\|^Total\|^[0-9]' "$folder/north/run.txt" | head -20) \
        <(grep -v '^Result\|^Receipt\|^Total\|^[0-9]' "$folder/$clinic/run.txt" | head -20)
done
# The mean age of the patients with the new treatment, of the pooled rows.
mean=$(awk -F, '$1 == "new" { n++; sum += $3 } END { printf "%.3f", sum / n }' "$folder/pooled/patients.csv")
grep -q "^age, mean (SD).*$mean" "$folder/north/run.txt"

# With a threshold that nothing reaches, all are told that nothing is released, and nothing else.
sed 's/least = 5/least = 500/; s/three clinics/three small clinics/' "$folder/agreement.toml" >"$folder/higher.toml"
if train "$folder/higher.toml" 2>/dev/null; then
    echo "counts below the threshold were released" >&2
    exit 1
fi
grep -q 'below the threshold of 500' "$folder/north/log.txt" "$folder/north/run.txt"

# Of the description alone.
receipts=()
for clinic in "${clinics[@]}"; do
    for receipt in "$folder/$clinic"/state/*/receipt.json; do receipts+=("$receipt"); done
done

# The same with noise of every clinic in each figure, within a budget that each operator gives (docs/privacy.md).
cp parties/examples/private_tables.toml "$folder/private.toml"
if "$party" --config "$folder/north/party.toml" train "$folder/private.toml" --data "$folder/north/patients.csv" \
    2>"$folder/refused.txt"; then
    echo "tables with differential privacy were told without a budget" >&2
    exit 1
fi
grep -q 'no budget' "$folder/refused.txt"
for clinic in "${clinics[@]}"; do
    printf '\n[privacy]\nsource = "patients"\nepsilon = 4\ndelta = 1e-5\n' >>"$folder/$clinic/party.toml"
done
"$party" --config "$folder/north/party.toml" study check "$folder/private.toml" --data "$folder/north/patients.csv" \
    >"$folder/private.txt"
grep -q 'epsilon 3.00 for leaving' "$folder/private.txt"
"$party" plan "$folder/private.toml" --rows 60,60,60 | grep -q 'times the noise'
run_nodes "$folder" noisy.txt "${clinics[@]}" -- train "$folder/private.toml" --data "$folder/{}/patients.csv"
cat "$folder/north/noisy.txt"
for clinic in east south; do
    diff <(sed '/^Result/,$d' "$folder/north/noisy.txt") <(sed '/^Result/,$d' "$folder/$clinic/noisy.txt")
done
# Of each treatment there are 90 patients; the noise has a standard deviation of 7 rows.
awk '/^treatment$/ { at = NR } NR == at + 2 { found = $1 == "new" && $2 > 30 && $2 < 150 } END { exit !found }' \
    "$folder/north/noisy.txt"
"$party" --config "$folder/north/party.toml" study check "$folder/private.toml" --data "$folder/north/patients.csv" |
    grep -q 'taken epsilon 3'

# How long patients survive, on the first of three grids without a small count.
cp parties/examples/survival.toml "$folder/survival.toml"
followed() {
    awk -v clinic="$1" 'BEGIN {
        print "treatment,days,status"
        for (i = 0; i < 200; i++) {
            noise = (i * 7919 + clinic * 104729) % 1009 / 1009
            print (i % 2 ? "new" : "usual") "," int(1 + 900 * noise * (1 + 0.3 * (i % 2))) "," (i % 3 ? "dead" : "alive")
        }
    }'
}
for i in "${!clinics[@]}"; do
    followed "$i" >"$folder/${clinics[$i]}/followed.csv"
done
dead=$(cat "$folder"/*/followed.csv | awk -F, '$1 == "new" && $3 == "dead" && $2 <= 720 { n++ } END { print n }')
sed -i 's/,/;/g' "$folder/south/followed.csv"
run_nodes "$folder" survival.txt "${clinics[@]}" -- train "$folder/survival.toml" --data "$folder/{}/followed.csv"
cat "$folder/north/survival.txt"
grep -q "300 rows, $dead events" "$folder/north/survival.txt"

"$party" --config "$folder/north/party.toml" receipt verify "${receipts[@]}" >"$folder/verified.txt"
grep -q 'What all parties sent to all is the same' "$folder/verified.txt"
printf '\nThe mean age with the new treatment is %s at each clinic: %s\n' "$mean" "$folder"
