#!/usr/bin/env bash
# Archives fit all ten digits together by federated averaging (docs/federated.md): 6,430 coefficients, a process each over QUIC. The study
# is that of scripts/data/mnist_wide with another target. Prints how many digits that nobody fitted the model gets right, beside the
# softmax fit of the pooled rows.
#
#   scripts/digits.sh            three archives; two of them are enough to end a round
#   scripts/digits.sh --away     five, with most of a digit's rows at one of them each. At any time one is stopped, in turn, so that
#                                rounds are without it: that they end, with one model, not how good that is; ten minutes
#
# Leaves everything in target/digits. MPC_BINARIES names a folder with `party`; without it that is built.
set -euo pipefail

away=
if [ "${1-}" = --away ]; then
    away=1
    shift
fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib.sh
begin digits "$@"
archives=(archive-a archive-b archive-c)
terms=$'threshold = 2'
if [ -n "$away" ]; then
    archives+=(archive-d archive-e)
    terms=$'least_parties = 3\npatience_s = 8'
fi
make_nodes "$folder" "${archives[@]}"
data=scripts/data/mnist_wide
names=$(printf '"%s", ' "${archives[@]}")

{
    sed -n '/^version/,/^]/p' "$data/study.toml" |
        sed "s/^title = .*/title = \"Which digit it is, from its pixels\"/; s/^parties = .*/parties = [${names%, }]/"
    cat <<END

[model]
kind = "multinomial"
target = { column = "digit", levels = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"] }

[training]
mode = "federated"
l2 = 0.01
rounds = 20
own_steps = 40
$terms

[security]
against = "semi-honest"
END
} >"$folder/study.toml"

for part in 1 2 3; do zcat "$data/party$part.csv.gz" >"$folder/party$part.csv"; done
if [ -n "$away" ]; then
    # Three of five rows of a digit at one archive, the others in turn.
    awk -F, -v folder="$folder" -v names="${archives[*]}" '
        BEGIN { count = split(names, name, " ") }
        FNR == 1 { if (NR == 1) for (i in name) print >(folder "/" name[i] "/rows.csv"); next }
        { seen[$1]++; print >(folder "/" name[(seen[$1] % 5 < 3 ? $1 : seen[$1]) % count + 1] "/rows.csv") }
    ' "$folder"/party[123].csv
else
    for i in "${!archives[@]}"; do mv "$folder/party$((i + 1)).csv" "$folder/${archives[$i]}/rows.csv"; done
fi
zcat "$data/test.csv.gz" >"$folder/test.csv"

# take_turns PID...: stops one after another, the next one before the last one goes on, until one of them has ended.
take_turns() {
    local last= next
    # shellcheck disable=SC2064 # the processes are to be put in now
    trap "kill -CONT $* 2>/dev/null || true" EXIT
    while :; do
        for next in "$@"; do
            sleep 14
            kill -0 "$@" 2>/dev/null || return 0
            kill -STOP "$next"
            [ -z "$last" ] || kill -CONT "$last"
            last=$next
        done
    done
}

rows=()
for name in "${archives[@]}"; do rows+=("$name=$folder/$name/rows.csv"); done
began=$SECONDS
if [ -n "$away" ]; then export PARTY__NETWORK__LOST_AFTER_S=60 PARTY__NETWORK__SILENCE_TIMEOUT_S=120; fi
start_study "$folder" "$folder/study.toml" "${rows[@]}"
if [ -n "$away" ]; then
    until [ "$(grep -cs 'has joined' "$folder/archive-a/log.txt")" = 4 ]; do sleep 0.1; done
    take_turns "${pids[@]}" 2>/dev/null &
    disown
fi
wait_for_nodes
echo "fitted in $((SECONDS - began)) s"

models=("$folder"/archive-?/state/*/model.json)
[ "${#models[@]}" = "${#archives[@]}" ]
for model in "${models[@]}"; do cmp "${models[0]}" "$model"; done
if [ -n "$away" ]; then
    short=$(grep -ho '"round": [0-9]*' "$folder"/archive-?/state/*/receipt.json | sort -u | wc -l)
    echo "$short of 20 rounds were without one of the five"
    [ "$short" -ge 15 ]
fi
"$party" --config "$folder/archive-a/party.toml" predict --model "${models[0]}" --data "$folder/test.csv" \
    --out "$folder/predictions.csv" --evaluate | tee "$folder/evaluated.txt"
accuracy=$(sed -n 's/^Accuracy: //p' "$folder/evaluated.txt")
echo "softmax fit of the pooled rows: 0.907"
if [ -z "$away" ]; then
    awk -v accuracy="$accuracy" 'BEGIN { exit !(accuracy >= 0.902) }'
    "$party" --config "$folder/archive-a/party.toml" receipt verify "$folder"/archive-?/state/*/receipt.json >/dev/null
    echo "The receipts agree."
fi
