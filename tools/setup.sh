#!/usr/bin/env bash
# Make a virtual environment with numamig in it: tools/setup.sh VENV LOCK [COMMAND...]
# LOCK names a file in requirements/; each COMMAND (tmux, cc=gcc,libc6-dev …) is installed with apt-get, from packages
# of other names where these follow, if it is missing and we may.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$1 lock=requirements/$2.txt
shift 2

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

install_packages() {
    local run=()
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null && sudo -n true 2>/dev/null || return 1
        run=(sudo -n)
    fi
    command -v apt-get >/dev/null || return 1
    say "installing $*"
    "${run[@]}" apt-get -qq -o DPkg::Lock::Timeout=120 update >&2 &&
        "${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=120 \
            install --no-install-recommends "$@" >&2
}

for entry in "$@"; do
    command=${entry%%=*}
    IFS=, read -ra packages <<<"${entry#*=}"
    command -v "$command" >/dev/null || install_packages "${packages[@]}" ||
        fail "$command is missing: apt-get install ${packages[*]}"
done

python=
for candidate in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
    if [ -n "$candidate" ] && command -v "$candidate" >/dev/null &&
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || fail "no python3 of version 3.11 or later: apt-get install python3, or name one with PYTHON="

stamp=$venv/.installed-$(basename "$lock" .txt)
wanted=$(cat "$lock" pyproject.toml | sha256sum)
if [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi

if ! [ -x "$venv/bin/python" ] || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        install_packages "python$version-venv" || install_packages python3-venv ||
            fail "Python's venv module is missing: apt-get install python3-venv"
    fi
    say "making $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv"
fi
say "installing what $lock lists"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock"
# Our own code last, as it is in this folder: everything that it needs is there by now.
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
printf '%s\n' "$wanted" >"$stamp"
