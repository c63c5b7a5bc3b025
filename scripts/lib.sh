# What scripts share that run whole studies as processes of this machine. To be sourced by a script
# that is in the root of the repository and under `set -euo pipefail`.

target=${CARGO_TARGET_DIR:-target}
# The gate names a folder here where everything is built already.
binaries=${MPC_BINARIES:-$target/release}
party=$binaries/party
compare=$binaries/compare
# The processes that run now, all of them started here.
pids=()

# build: the node, and the program that sets results beside their references.
build() {
    if [ -n "${MPC_BINARIES-}" ]; then return; fi
    if ! command -v cargo >/dev/null; then
        echo "cargo is not here: install a Rust toolchain from https://rustup.rs first" >&2
        return 1
    fi
    cargo build --release --locked -p parties -p tools --bin party --bin compare
}

# end_processes: ends what was started here and still runs.
end_processes() {
    local pid
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    pids=()
}

# on_end FUNCTION: calls FUNCTION with the exit code at the end, however it comes about, when no
# process is left.
on_end() {
    # shellcheck disable=SC2064 # the name is to be put in now
    trap "code=\$?; trap - EXIT INT TERM; end_processes; $1 \$code; exit \$code" EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

# begin NAME ARGUMENT...: what a script begins with that takes no arguments. Tells what stands in its head where it
# gets one; else builds, and makes way for $folder, target/NAME, whose logs are shown if the script fails.
begin() {
    folder=$target/$1
    if [ $# -gt 1 ]; then
        sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "scripts/${0##*/}"
        [ "$2" = -h ] || [ "$2" = --help ]
        exit
    fi
    build
    on_end show_logs_of_failure
    rm -rf "$folder"
}

# show_logs_of_failure CODE: for `on_end`.
show_logs_of_failure() {
    if [ "$1" != 0 ]; then show_logs "$folder"; fi
}

# make_nodes FOLDER NAME...: a folder, a key and settings for each node, which know each other on
# free ports. A node called dealer is the dealer.
make_nodes() {
    local folder=$1 i j as
    shift
    local nodes=("$@") ports fingerprints=()
    read -r -a ports < <("$compare" ports $#)
    mkdir -p "$folder"
    for i in "${!nodes[@]}"; do
        "$party" init --dir "$folder/${nodes[$i]}" --name "${nodes[$i]}" \
            --listen "127.0.0.1:${ports[$i]}" >"$folder/init.txt"
        mv "$folder/init.txt" "$folder/${nodes[$i]}/"
        fingerprints+=("$("$party" --config "$folder/${nodes[$i]}/party.toml" fingerprint)")
    done
    for i in "${!nodes[@]}"; do
        for j in "${!nodes[@]}"; do
            [ "$i" = "$j" ] && continue
            as=()
            [ "${nodes[$j]}" = dealer ] && as=(--dealer)
            "$party" --config "$folder/${nodes[$i]}/party.toml" peer add "${as[@]}" \
                "${nodes[$j]}" "127.0.0.1:${ports[$j]}" "${fingerprints[$j]}" >/dev/null
        done
    done
}

# wait_for_nodes: until all processes in `pids` have ended. Fails when one does, and ends the others.
wait_for_nodes() {
    local began
    for _ in "${pids[@]}"; do
        # The next one to end, whichever it is.
        if ! wait -n; then
            # The others have been told why; they need a moment to say so in their logs.
            began=$SECONDS
            while ((SECONDS - began < 5)) && [ -n "$(jobs -rp)" ]; do sleep 0.2; done
            end_processes
            return 1
        fi
    done
    pids=()
}

# run_study FOLDER STUDY PARTY=ROWS...: trains, a process for each party, and one for the dealer
# when there is a folder for it. Leaves run.json and log.txt in each folder. Fails when a node does.
run_study() {
    start_study "$@"
    wait_for_nodes
}

# start_study FOLDER STUDY PARTY=ROWS...: the same, without waiting for their end.
start_study() {
    local folder=$1 study=$2 each name
    shift 2
    # A node that is lost does not come back by itself here.
    export PARTY__NETWORK__LINK=loopback PARTY__NETWORK__RETURN_WITHIN_S=0
    if [ -d "$folder/dealer" ]; then
        "$party" --config "$folder/dealer/party.toml" dealer --once \
            </dev/null >"$folder/dealer/log.txt" 2>&1 &
        pids+=($!)
    fi
    for each in "$@"; do
        name=${each%%=*}
        "$party" --config "$folder/$name/party.toml" --json train "$study" --data "${each#*=}" \
            </dev/null >"$folder/$name/run.json" 2>"$folder/$name/log.txt" &
        pids+=($!)
    done
}

# run_nodes FOLDER OUTPUT PARTY... -- ARGUMENT...: `party ARGUMENT...` as a process for each party, with its
# name in the place of {}. Leaves what each prints in OUTPUT of its folder, and log.txt. Fails when one does.
run_nodes() {
    local folder=$1 output=$2 parties=() name
    shift 2
    while [ "$1" != -- ]; do parties+=("$1"); shift; done
    shift
    export PARTY__NETWORK__LINK=loopback
    for name in "${parties[@]}"; do
        "$party" --config "$folder/$name/party.toml" "${@//\{\}/$name}" \
            </dev/null >"$folder/$name/$output" 2>"$folder/$name/log.txt" &
        pids+=($!)
    done
    wait_for_nodes
}

# show_logs FOLDER: what the nodes in FOLDER, or in folders of it, said.
show_logs() {
    find "$1" -name log.txt -exec tail -v -n 20 {} + >&2 || true
    # Why a node gave up is in its result.
    find "$1" -name run.json -exec grep -h '"what":' {} + >&2 || true
}

# with_source STUDY SOURCE COPY: the same study with `correlations = "SOURCE"`.
with_source() {
    sed "s/^correlations = \"[a-z]*\"/correlations = \"$2\"/" "$1" >"$3"
    grep -q "^correlations = \"$2\"" "$3"
}
