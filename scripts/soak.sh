#!/usr/bin/env bash
# Long runs that the gate has no time for.
#
#   scripts/soak.sh [SESSIONS]    1,000 sessions broken off at random points, if no number is given:
#                                 no seed, mask, secret, polynomial or tweak may come twice
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
MPC_SESSIONS=${1:-1000} cargo test --locked --release -p mpc-core --all-features --test freshness -- --nocapture
