#!/bin/sh
# Build a wheel for this machine into dist/, and test it where there is no compiler. Run by `make wheel`.
set -eu
cd "$(dirname "$0")/.."
here=$(pwd)

step() { printf '==> %s\n' "$*"; }

step "building a wheel"
rm -f dist/stablemem-*.whl
STABLEMEM_BUILD=require .venv/bin/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
wheel=$(echo "$here"/dist/stablemem-*.whl)

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM
step "testing it in a new environment without a compiler"
.venv/bin/python -m venv "$folder/venv"
# Nothing may be compiled, and nothing of the checkout may be imported.
cd "$folder"
CC=false venv/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: "$wheel[cli]"
venv/bin/python -W error -c '
import stablemem
assert stablemem.COMPILED, "the wheel has no extensions"
assert stablemem.__file__.startswith("'"$folder"'"), stablemem.__file__'
venv/bin/python "$here/examples/demo.py" "$folder" >demo.txt || {
    cat demo.txt
    exit 1
}
grep "Every check held" demo.txt
step "$wheel ($(du -k "$wheel" | cut -f 1) KiB)"
