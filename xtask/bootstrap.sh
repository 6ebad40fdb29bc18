#!/bin/sh
# What must be there before `cargo xtask` can be compiled: rustup's Rust (the one thing that is asked of the user), the
# toolchain that rust-toolchain.toml pins, and a C compiler to link with. Everything else is `cargo xtask setup`'s business.
# Then runs `cargo xtask "$@"`. The Makefile and .ci/run come through here; it needs neither make nor bash.
set -eu
cd "$(dirname "$0")/.."

say() { echo "bootstrap: $*" >&2; }

PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
export PATH
if ! command -v rustup >/dev/null 2>&1; then
    say "found no rustup; expected rustup on PATH or in ${CARGO_HOME:-$HOME/.cargo}/bin; install the Rust toolchain manager and try again"
    exit 1
fi

# libc6-dev is asked for by its own file: a gcc without it finds no crt1.o and every link fails.
missing=
command -v cc >/dev/null 2>&1 || missing="gcc"
[ -e /usr/include/stdio.h ] || missing="$missing libc6-dev"
if [ -n "$missing" ]; then
    say "installing $missing (cargo needs a linker)"
    if ! command -v apt-get >/dev/null 2>&1; then
        say "found no apt-get; expected Debian 12 or 13; install $missing by hand and try again"
        exit 1
    fi
    root=
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null 2>&1 || { say "not root and no sudo; run as root: apt-get install $missing"; exit 1; }
        root=sudo
    fi
    $root apt-get -q -o Acquire::Retries=3 update || say "apt-get update failed; going on with the lists that are there"
    # shellcheck disable=SC2086  # a list of package names
    $root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=600 install --no-install-recommends $missing
fi

# RUSTUP_AUTO_INSTALL=0 is common on build machines, so ask for the pinned toolchain by name.
version=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
if ! rustup run "$version" cargo --version >/dev/null 2>&1; then
    say "installing Rust $version with rustup"
    rustup toolchain install "$version" --profile minimal --component rustfmt --component clippy
fi

exec cargo xtask "$@"
