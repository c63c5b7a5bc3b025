#!/usr/bin/env bash
# A protocol of one's own as three processes over QUIC: parties/examples/custom_protocol.rs, each with a party.toml.
#
#   scripts/protocol.sh          compares the result with the one in the clear, and verifies receipts and ledgers
#
# Leaves everything in target/protocol. MPC_BINARIES names a folder with `party`, and with the example in its
# folder `examples`; without it they are built.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/lib.sh
begin protocol "$@"
example=$binaries/examples/custom_protocol
if [ -z "${MPC_BINARIES-}" ]; then
    cargo build --release --locked -p parties --example custom_protocol
fi
shops=(shop-a shop-b shop-c)
make_nodes "$folder" "${shops[@]}"
# The turnovers of some months: 60, 75 and 105 in all, whose standard deviation is the root of 350.
printf '%s\n' 10 20 30 >"$folder/shop-a/turnover.txt"
printf '%s\n' 25 50 >"$folder/shop-b/turnover.txt"
printf '%s\n' 35.5 34.5 35 >"$folder/shop-c/turnover.txt"

# run: the program of each shop. Fails when one does.
run() {
    # It takes the place of the node.
    local party=$example
    run_nodes "$folder" run.json "${shops[@]}" -- --json "$folder/agreement.toml" --data "$folder/{}/turnover.txt"
}

# The agreement asks for the approvals of all: without one, nothing is sent.
cp parties/examples/custom_protocol.toml "$folder/agreement.toml"
if "$example" --config "$folder/shop-a/party.toml" "$folder/agreement.toml" \
    --data "$folder/shop-a/turnover.txt" 2>"$folder/refused.txt"; then
    echo "a protocol ran that nobody had approved" >&2
    exit 1
fi
grep -q 'is not approved here' "$folder/refused.txt"
"$party" --config "$folder/shop-a/party.toml" study check "$folder/agreement.toml" \
    --data "$folder/shop-a/turnover.txt"
for shop in "${shops[@]}"; do
    "$party" --config "$folder/$shop/party.toml" study approve "$folder/agreement.toml" \
        --data "$folder/$shop/turnover.txt" --name "Owner of $shop" --role owner >/dev/null
done
run
receipts=()
for shop in "${shops[@]}"; do
    # The root of 350, to three digits behind the point.
    grep -q '"result": 18\.708' "$folder/$shop/run.json"
    receipts+=("$(ls "$folder/$shop"/state/*/receipt.json)")
    "$party" --config "$folder/$shop/party.toml" studies >"$folder/$shop/studies.txt"
    grep -q 'spread' "$folder/$shop/studies.txt"
done
echo
"$party" --config "$folder/shop-a/party.toml" receipt verify "${receipts[@]}" | tee "$folder/verified.txt"
grep -q 'What all parties sent to all is the same' "$folder/verified.txt"
# What was revealed once is not revealed again.
code=0
"$example" --config "$folder/shop-a/party.toml" "$folder/agreement.toml" \
    --data "$folder/shop-a/turnover.txt" 2>"$folder/refused.txt" || code=$?
[ "$code" = 8 ]
printf '\nThe standard deviation of the turnovers is 18.708 at each shop: %s\n' "$folder"
