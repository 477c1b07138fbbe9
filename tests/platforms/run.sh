#!/usr/bin/env bash
# Test on platforms that this machine is not: run.sh [windows|musl|aarch64|cpython]…, by default all of them.
#
# Needs root and debootstrap on a Debian-like x86-64 machine, and the network. Everything comes from Debian, crates.io and
# PyPI, and is installed in a folder of its own (15 GB; LMTOKENS_PLATFORMS, by default target/platforms), which is kept
# for the next run. `rm -rf` removes it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$here/../.." && pwd)
folder=${LMTOKENS_PLATFORMS:-$project/target/platforms}
root=$folder/sid
packages=(
    ca-certificates cargo cmake g++ gcc libc6-dev make nasm rust-clippy rust-src rustc xz-utils
    python3.13 python3.13-venv python3.14 python3.14-venv python3.15 python3.15-venv
    g++-mingw-w64-x86-64-posix gcc-mingw-w64-x86-64-posix wine64
    qemu-user zsh
    musl musl-dev musl-tools
)

if [ ! -e "$root/.packages" ] || [ "$(cat "$root/.packages")" != "${packages[*]}" ]; then
    mkdir -p "$folder"
    if [ ! -e "$root/.packages" ]; then
        rm -rf "$root"
        debootstrap --variant=minbase --include=ca-certificates sid "$root" http://deb.debian.org/debian
    fi
    # A mirror can be weeks behind. The signatures are checked.
    chroot "$root" apt-get update -qq -o Acquire::Check-Valid-Until=false
    DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get install -y -qq --no-install-recommends "${packages[@]}"
    echo "${packages[*]}" > "$root/.packages"
fi

mkdir -p "$root/source" "$root/output" "$root/cargo" "$folder/output" "$folder/cargo"
# The mounts end with the command.
# shellcheck disable=SC2016
inside='
set -e
root=$1 project=$2 folder=$3 platform=$4
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount --bind -o ro "$project" "$root/source"
mount --bind "$folder/output" "$root/output"
mount --bind "$folder/cargo" "$root/cargo"
mount --bind -o ro /etc/ssl/certs "$root/etc/ssl/certs"
cp /etc/resolv.conf "$root/etc/resolv.conf" 2> /dev/null || true
exec chroot "$root" env -i HOME=/root PATH=/usr/local/bin:/usr/bin:/usr/sbin:/usr/lib/wine LANG=C.UTF-8 TERM=dumb \
    CARGO_HOME=/cargo CARGO_TARGET_DIR=/output/target PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    bash -c "cd /source && exec bash tests/platforms/$platform.sh"'
[ "$#" != 0 ] || set -- windows musl aarch64 cpython
failed=()
for platform in "$@"; do
    echo "== $platform"
    if unshare --mount bash -c "$inside" - "$root" "$project" "$folder" "$platform"; then
        echo "== $platform: passed"
    else
        echo "== $platform: FAILED"
        failed+=("$platform")
    fi
done
[ "${#failed[@]}" = 0 ]
