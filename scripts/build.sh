#!/bin/sh
# Make .venv and install stablemem into it, compiled where that is possible. Run by `make build`.
set -eu
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
STABLEMEM_BUILD=${STABLEMEM_BUILD:-}
export STABLEMEM_BUILD

step() { printf '==> %s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }
fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}
ask() { "$PYTHON" -c "import os, sys, sysconfig; $1"; }

rm -f .venv/built

step "checking $PYTHON"
command -v "$PYTHON" >/dev/null ||
    fail "there is no $PYTHON: stablemem needs Python 3.11 or later; name one as in make PYTHON=/usr/bin/python3.12"
found=$(ask 'print("%d.%d.%d" % sys.version_info[:3])') || fail "$PYTHON does not run"
ask 'sys.exit(sys.version_info < (3, 11))' ||
    fail "$PYTHON is Python $found, and stablemem needs 3.11 or later: install one, and name it as in make PYTHON=python3.12"
minor=$(ask 'print("%d.%d" % sys.version_info[:2])')

if .venv/bin/python -m pip --version >/dev/null 2>&1; then
    present=$(.venv/bin/python -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])')
    [ "$present" = "$found" ] ||
        fail ".venv has Python $present, and $PYTHON is $found: \`make clean\` first, or keep it with PYTHON=.venv/bin/python"
else
    # Debian has venv without ensurepip, which venv needs.
    "$PYTHON" -c 'import venv, ensurepip' 2>/dev/null || fail "python3-venv is missing:
    on Debian and Ubuntu    apt-get install python$minor-venv
    on Fedora and the like  dnf install python$minor   (it has venv)
    on openSUSE             zypper install python$(echo "$minor" | tr -d .)"
    step "first run: making .venv with Python $found"
    "$PYTHON" -m venv .venv || fail "$PYTHON could not make .venv (see above)"
fi

# Nothing compiled may outlive its source: a build that fails would leave it to be imported.
find src -name '*.so' | while read -r so; do
    stem=${so%%.*}
    if [ "$STABLEMEM_BUILD" = pure ] || [ ! -e "$stem.py" ] || [ ! -e "$stem.pxd" ] ||
        [ -n "$(find src setup.py pyproject.toml \( -name '*.pxd' -o -name setup.py -o -name pyproject.toml \) -newer "$so")" ] ||
        [ -n "$(find "$stem.py" -newer "$so")" ]; then
        rm -f "$so"
    fi
done

missing=
cc=${CC:-$(ask 'print(sysconfig.get_config_var("CC") or "cc")')}
command -v "${cc%% *}" >/dev/null ||
    missing="a C compiler (${cc%% *}; on Debian and Ubuntu apt-get install gcc libc6-dev, on Fedora dnf install gcc)"
ask 'sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' ||
    missing="${missing:+$missing and }Python.h (on Debian and Ubuntu apt-get install python$minor-dev, on Fedora dnf install python3-devel)"
if [ -n "$missing" ] && [ "$STABLEMEM_BUILD" != pure ]; then
    [ -z "$STABLEMEM_BUILD" ] || fail "STABLEMEM_BUILD=$STABLEMEM_BUILD, and this machine lacks $missing"
    warn "this machine lacks $missing: the interpreted form is used, which is slower
    (once that is installed, \`make clean\` and then the same again gives the compiled form)"
    STABLEMEM_BUILD=pure
    find src -name '*.so' -exec rm -f {} +
fi

pip() { .venv/bin/python -m pip --quiet --disable-pip-version-check "$@"; }
# What stablemem and its tools need, a line each, as pyproject.toml has it.
needs() {
    .venv/bin/python -c '
import tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
print(*project["dependencies"], *project["optional-dependencies"]["dev"], sep="\n")'
}

if [ "$STABLEMEM_BUILD" = pure ]; then
    step "installing stablemem, interpreted, and what it needs into .venv"
else
    step "building stablemem and installing it and what it needs into .venv (about a minute the first time)"
fi
# Both at once: the compilers leave a core idle at first and last, and pip mostly waits.
needs >.venv/needs.txt
pip install --requirement .venv/needs.txt &
needed=$!
pip install --no-deps --editable . || {
    wait "$needed" || :
    fail "pip could not build stablemem (see above)"
}
wait "$needed" || fail "pip could not install what stablemem needs (see above)"

# What the package would warn of is said below.
compiled=$(STABLEMEM_PURE=0 .venv/bin/python -W ignore -c 'import stablemem; print(stablemem.COMPILED)') ||
    fail "stablemem was installed and cannot be imported (see above)"
if [ "$compiled" = True ]; then
    step "stablemem runs compiled"
else
    step "stablemem runs interpreted (slower)"
    [ "$STABLEMEM_BUILD" = pure ] ||
        warn "the extensions could not be built: \`make build STABLEMEM_BUILD=require\` shows why"
fi
