#!/usr/bin/env bash
# Three banks train one model of credit default on all their applicants, without showing a row.
#
# Builds the node, makes a folder, a key and settings for each bank and for a dealer, starts four
# processes on this machine, and sets the joint model beside what could have been had otherwise.
# Writes target/demo/summary.json. Ends by itself, also when a step fails, and leaves no process.
set -euo pipefail

cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
demo=$target/demo
data=scripts/data/credit_status
party=$target/release/party
names=(bank-a bank-b bank-c)
nodes=("${names[@]}" dealer)
pids=()

end() {
    local code=$?
    trap - EXIT INT TERM
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    if [ $code -ne 0 ] && [ -d "$demo" ]; then
        echo "The demo failed. What the nodes said:" >&2
        tail -n 20 "$demo"/*/log.txt >&2 2>/dev/null || true
    fi
    exit $code
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

step() { printf '\n== %s\n' "$1"; }

if ! command -v cargo >/dev/null; then
    echo "cargo is not here: install a Rust toolchain from https://rustup.rs first" >&2
    exit 1
fi

step "Building the node"
cargo build --release --locked -p parties --bin party --example compare

step "Three banks and a dealer: a folder, a key and a party.toml each"
rm -rf "$demo"
mkdir -p "$demo"
# Free UDP ports, one for each node.
read -r -a ports < <("$target/release/examples/compare" --free-ports ${#nodes[@]})
fingerprints=()
for i in "${!nodes[@]}"; do
    dir=$demo/${nodes[$i]}
    "$party" init --dir "$dir" --name "${nodes[$i]}" --listen "127.0.0.1:${ports[$i]}" >"$dir.init"
    mv "$dir.init" "$dir/init.txt"
    fingerprints+=("$("$party" --config "$dir/party.toml" fingerprint)")
    echo "${nodes[$i]}: ${fingerprints[$i]}"
done
for i in "${!nodes[@]}"; do
    for j in "${!nodes[@]}"; do
        [ "$i" = "$j" ] && continue
        as=()
        [ "${nodes[$j]}" = dealer ] && as=(--dealer)
        "$party" --config "$demo/${nodes[$i]}/party.toml" peer add "${as[@]}" \
            "${nodes[$j]}" "127.0.0.1:${ports[$j]}" "${fingerprints[$j]}" >/dev/null
    done
done
for i in "${!names[@]}"; do
    cp "$data/party$((i + 1)).csv" "$demo/${names[$i]}/rows.csv"
    cp "$data/study.toml" "$demo/${names[$i]}/study.toml"
done

step "What bank-a's data-protection officer reads before anything runs"
"$party" --config "$demo/bank-a/party.toml" study check "$demo/bank-a/study.toml" --data "$demo/bank-a/rows.csv"

step "Four processes: three banks and the dealer"
export PARTY__NETWORK__LINK=loopback
"$party" --config "$demo/dealer/party.toml" dealer --once >"$demo/dealer/log.txt" 2>&1 &
pids+=($!)
for name in "${names[@]}"; do
    "$party" --config "$demo/$name/party.toml" --json train "$demo/$name/study.toml" \
        --data "$demo/$name/rows.csv" >"$demo/$name/run.json" 2>"$demo/$name/log.txt" &
    pids+=($!)
    echo "$name: process $!"
done
for pid in "${pids[@]}"; do wait "$pid"; done
pids=()
sed 's/^/  bank-a: /' "$demo/bank-a/log.txt"

step "The joint model beside the alternatives"
runs=()
for i in "${!names[@]}"; do
    runs+=("$demo/${names[$i]}/run.json" "$data/party$((i + 1)).csv")
done
"$target/release/examples/compare" "$data/study.toml" "$data/reference.json" "$data/test.csv" \
    "$demo/summary.json" "${runs[@]}"
echo "Each bank's model and receipt are in its folder under $demo; the figures above are in"
echo "$demo/summary.json. A bank applies its copy of the model to new rows with:"
model=$(echo "$demo"/bank-a/state/*/model.json)
echo "  $party predict --model $model --data $data/test.csv --evaluate"
