"""Build the extensions of ``stablemem._core`` (metadata is in pyproject.toml).

The environment variable ``STABLEMEM_BUILD`` chooses the variant:

    (unset)    compile; where that fails, install the same Python source to run interpreted
    pure       no extension at all
    require    compile, and fail where that is impossible (what CI uses)
    checked    as require, with overflow and None checks and without optimisation;
               STABLEMEM_SANITIZE=1 adds the address and undefined-behaviour sanitizers
"""

import os
import sys
from pathlib import Path

from setuptools import Extension, setup

VARIANT = os.environ.get("STABLEMEM_BUILD", "")
CORE = Path("src/stablemem/_core")
# A module is compiled if a .pxd with its C types lies beside it; words.pxd is a header for the others.
MODULES = sorted(path.stem for path in CORE.glob("*.pxd") if path.stem != "words")


def extensions() -> list[Extension]:
    """Return the extensions of the chosen variant."""
    if VARIANT not in {"", "pure", "require", "checked"}:
        sys.exit(f"STABLEMEM_BUILD is {VARIANT!r}; it may be pure, require or checked")
    if VARIANT == "pure":
        return []
    try:
        from Cython.Build import cythonize
    except ImportError:
        if VARIANT:
            raise
        print("stablemem: Cython is missing, installing the interpreted form (slower)", file=sys.stderr)
        return []
    checked = VARIANT == "checked"
    compile_args = ["-O1", "-g"] if checked else ["-O3", "-g0"]
    link_args: list[str] = []
    if os.environ.get("STABLEMEM_SANITIZE") == "1":
        compile_args += ["-fsanitize=address,undefined", "-fno-omit-frame-pointer"]
        link_args += ["-fsanitize=address,undefined"]
    built: list[Extension] = cythonize(
        [
            Extension(
                f"stablemem._core.{name}",
                [str(CORE / f"{name}.py")],
                extra_compile_args=compile_args,
                extra_link_args=link_args,
            )
            for name in MODULES
        ],
        build_dir="build/cython",
        nthreads=0 if checked else min(4, os.cpu_count() or 1),
        compiler_directives={
            "language_level": 3,
            "nonecheck": checked,
            "overflowcheck": checked,
            "initializedcheck": checked,
        },
    )
    for extension in built:
        # cythonize() drops `optional` from what it is given, so it is set on what it returns.
        extension.optional = not VARIANT
    return built


setup(ext_modules=extensions())
