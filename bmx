#!/bin/sh
# ./bmx: makes .venv with the pinned requirements when they changed, then runs the command line in ops/.
# BMX_PYTHON names the Python to make it of, BMX_VENV another folder for it, as for a clone that is readable only.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
venv=${BMX_VENV:-$root/.venv}
once='set-up needs the network once. Behind a proxy with a certificate authority of its own, add that to the system, or name
its file in SSL_CERT_FILE and PIP_CERT. Nothing half-made is used: run the same command again.'
# uv brings authorities of its own and asks the system for its only when it is told to; pip does so by itself.
export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}"

fail() {
    printf 'bmx: %s\n' "$1" >&2
    exit 1
}

find_python() {
    for candidate in "${BMX_PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null 2>&1 &&
            "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail 'needs Python 3.11 or newer with venv and pip (on Debian: apt-get install python3-venv); set BMX_PYTHON to name one.'
}

# Installs requirements/$1.txt unless the stamp says that this very file is installed already.
install() {
    wanted=$(cksum <"$root/requirements/$1.txt")
    stamp=$venv/.installed-$1
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
        return
    fi
    printf 'bmx: installing requirements/%s.txt into %s (once; needs the package index)\n' "$1" "${venv#"$root/"}" >&2
    if [ ! -x "$venv/bin/uv" ]; then
        [ -x "$venv/bin/pip" ] || "$(find_python)" -m venv "$venv" || fail "could not make $venv; see the lines above."
        "$venv/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r "$root/requirements/uv.txt" >&2 ||
            fail "could not install uv; $once"
    fi
    "$venv/bin/uv" pip install --python "$venv/bin/python" --require-hashes -r "$root/requirements/$1.txt" >&2 ||
        fail "could not install requirements/$1.txt; $once"
    printf '%s\n' "$wanted" >"$stamp"
}

# `test` and `bench` need the test tools as well; they include everything that the other commands need.
case "${1-}" in
test | bench) install dev ;;
*) [ -f "$venv/.installed-dev" ] && [ "$(cat "$venv/.installed-dev")" = "$(cksum <"$root/requirements/dev.txt")" ] || install local ;;
esac

PYTHONPATH=$root exec "$venv/bin/python" -m ops "$@"
