#!/bin/sh
# Run pytest, with the arguments given, on the compiled and on the interpreted form. Run by `make test`.
# A process for each core, unless the arguments ask for a debugger, or say themselves how many (-n 0 is none).
set -eu
cd "$(dirname "$0")/.."

step() { printf '==> %s\n' "$*"; }
compiled() { STABLEMEM_PURE=$1 .venv/bin/python -W ignore -c 'import stablemem; print(stablemem.COMPILED)'; }

cores=$(nproc 2>/dev/null || echo 1)
case " $* " in
    *" no:xdist "* | *"-pno:xdist"* | *" -n"* | *" --numprocesses"* | *" --pdb"* | *" --trace "* | *" -s "*) ;;
    *) [ "$cores" -lt 2 ] || set -- -n "$((cores < 8 ? cores : 8))" --dist worksteal "$@" ;;
esac

failed=
both=no
if [ "$(compiled 0)" = True ]; then
    both=yes
    step "tests, compiled"
    # For doctests pytest loads the .py of a compiled module, and other modules would then meet it in
    # place of the extension. These doctests run with the interpreted form.
    ignored=$(find src -name '*.so' | sed 's/\([^.]*\)\..*/--ignore=\1.py/')
    # shellcheck disable=SC2086
    STABLEMEM_PURE=0 .venv/bin/python -m pytest $ignored "$@" || failed="compiled"
else
    step "no extension could be built here, or none was asked for: the interpreted form is tested alone"
fi
if [ "$(compiled 1)" != False ]; then
    echo "error: STABLEMEM_PURE=1 does not give the interpreted form" >&2
    exit 1
fi
step "tests, interpreted"
if [ "$both" = yes ]; then
    # What is the same code in both forms has run already (tests/tools/support/forms.py has the rule). Where nothing else
    # was chosen pytest ends with 5.
    STABLEMEM_PURE=1 .venv/bin/python -m pytest -m 'not one_form' "$@" || [ $? = 5 ] || failed="${failed:+$failed and }interpreted"
else
    STABLEMEM_PURE=1 .venv/bin/python -m pytest "$@" || failed=interpreted
fi
if [ -n "$failed" ]; then
    step "tests failed: $failed"
    exit 1
fi
step "tests passed"
