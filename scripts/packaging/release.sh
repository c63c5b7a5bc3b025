#!/usr/bin/env bash
# Makes what an organisation installs that has no Rust toolchain: one statically linked, stripped program that runs
# on any Linux of this kind of processor, with manual pages, completions, the systemd unit and licences, in
# target/release-files/party-VERSION-TARGET.tar.gz and a SHA256SUMS beside it.
#
#   scripts/packaging/release.sh
#   --target TARGET    another target of rustc than this machine's, such as x86_64-unknown-linux-musl
#
# The program is run once with nothing around it (an empty root directory, where this machine lets us have one)
# before it is packed. The C library is in it; that of GNU is under the LGPL: give its source or this one's along.
set -euo pipefail

usage() { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p;}' "${BASH_SOURCE[0]}"; }

rust_target=$(rustc -vV | sed -n 's/^host: //p')
while [ $# -gt 0 ]; do
    case $1 in
        --target) rust_target=${2:?--target needs a value}; shift 2 ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
done
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
target=${CARGO_TARGET_DIR:-target}

# With a target that is named, these flags are not those of build scripts and macros, which cannot be static.
RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" \
    cargo build --locked --profile dist --target "$rust_target" -p parties --bin party
party=$target/$rust_target/dist/party

# No interpreter named in it: nothing is loaded when it starts.
if readelf -lW "$party" | grep -q INTERP; then
    echo "release.sh: $party is not statically linked" >&2
    exit 1
fi
version=$("$party" --version)
version=${version#party }
empty=$(mktemp -d)
trap 'rm -rf "$empty"' EXIT
cp "$party" "$empty/party"
if unshare --map-root-user --user true 2>/dev/null; then
    (cd "$empty" && unshare --map-root-user --user chroot "$empty" /party --version)
else
    echo "not run in an empty root directory: this machine has no user namespaces"
fi

name=party-$version-$rust_target
folder=$target/release-files/$name
rm -rf "$folder"
mkdir -p "$folder/man" "$folder/completions"
cp "$party" LICENSE-APACHE LICENSE-MIT scripts/packaging/party.service "$folder"
"$party" manual --dir "$folder/man"
for shell in bash zsh fish; do
    "$party" completions "$shell" >"$folder/completions/party.$shell"
done
# The same bytes whoever packs the same program.
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$folder/.." -c "$name" |
    gzip -n >"$folder.tar.gz"
(cd "$folder/.." && sha256sum "$name.tar.gz" | tee SHA256SUMS)
echo "$folder.tar.gz: $(($(stat -c %s "$folder.tar.gz") / 1000000)) MB, the program $(($(stat -c %s "$party") / 1000000)) MB"
