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
from sysconfig import get_config_var

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

# Every call of a list or of raw blocks runs through these: -O3 takes 1.4 % off the instructions of `get` and
# `append`. Elsewhere -O2 measures the same, and compiles in three quarters of the time.
EVERY_CALL = {
    "calls/bracket",
    "calls/list_core",
    "calls/raw",
    "calls/shortcuts",
    "calls/values",
    "calls/codec",
    "calls/walking",
    "disk/region",
    "format/checksum",
    "space/blocknode",
    "space/blocktree",
    "space/freetree",
    "tree/index",
    "tree/kinds",
    "tree/node",
    "tree/pager",
    "txn/latch",
}
# As many compilers at once as this process may use cores.
JOBS = len(os.sched_getaffinity(0))
VARIANT = os.environ.get("STABLEMEM_BUILD", "")
PACKAGE = "stablemem/_core"
CORE = Path("src", PACKAGE)
# A module is compiled if a .pxd with its C types lies beside it; words.pxd is a header for the others.
# Its name here has its folder in it: "tree/index".
# The longest first: then no core is left alone with one of them at the end.
MODULES = sorted(
    (str(path.relative_to(CORE).with_suffix("")) for path in CORE.rglob("*.pxd") if path.stem != "words"),
    key=lambda name: -(CORE / f"{name}.py").stat().st_size,
)


def remove_compiled(folder: Path, kept: set[Path]) -> None:
    """Remove extensions that an earlier build has left: they would be imported in place of their source."""
    for path in folder.rglob(f"*{get_config_var('EXT_SUFFIX')}"):
        if path not in kept:
            path.unlink()


class BuildPy(build_py):
    """Note in what is built that the interpreted form was asked for: then the package does not warn of it."""

    def run(self) -> None:
        """Copy the sources, and write or remove the note."""
        super().run()
        # The checkout is changed only where it is what will be imported.
        folder = CORE if self.editable_mode else Path(self.build_lib, PACKAGE)
        note = folder / "PURE"
        if not self.distribution.ext_modules:
            remove_compiled(folder, set())
        if VARIANT == "pure":
            note.write_text("Built with STABLEMEM_BUILD=pure.\n")
        else:
            note.unlink(missing_ok=True)


class BuildExt(build_ext):
    """Leave all extensions behind, of the sources as they are now, or none."""

    def finalize_options(self) -> None:
        """Compile on all cores; an option given to ``setup`` would be lost in an editable installation."""
        super().finalize_options()
        self.parallel = self.parallel or JOBS

    def run(self) -> None:
        """Build, in the folder of the sources too if that is wanted."""
        super().run()
        if self.inplace:
            made = {CORE / path.relative_to(Path(self.build_lib, PACKAGE)) for path in self.made()}
            remove_compiled(CORE, made)
            if made:
                (CORE / "PURE").unlink(missing_ok=True)

    def made(self) -> set[Path]:
        """Return the files of the extensions that are there."""
        names = (self.get_ext_filename(extension.name) for extension in self.extensions)
        return {path for path in (Path(self.build_lib, name) for name in names) if path.exists()}

    def build_extensions(self) -> None:
        """Build all; some without the others could not be imported."""
        super().build_extensions()
        made = self.made()
        complete = len(made) == len(self.extensions)
        remove_compiled(Path(self.build_lib, PACKAGE), made if complete else set())

    def build_extension(self, extension: Extension) -> None:
        """Build one; if that fails, nothing older stays in its place."""
        try:
            super().build_extension(extension)
        except BaseException:
            Path(self.build_lib, self.get_ext_filename(extension.name)).unlink(missing_ok=True)
            raise


def optimisation(name: str) -> str:
    """Return the level of optimisation that a module is worth."""
    if name in EVERY_CALL:
        return "-O3"
    # A .pxd without types says that only the interpreter is to be saved: there is nothing to optimise.
    typed = any(not line.startswith("#") for line in (CORE / f"{name}.pxd").read_text().splitlines())
    return "-O2" if typed else "-O1"


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
    compile_args = ["-O1", "-g"] if checked else ["-g0"]
    link_args: list[str] = []
    if os.environ.get("STABLEMEM_SANITIZE") == "1":
        compile_args += ["-fsanitize=address,undefined", "-fno-omit-frame-pointer"]
        link_args += ["-fsanitize=address,undefined"]
    built: list[Extension] = cythonize(
        [
            Extension(
                f"stablemem._core.{name.replace('/', '.')}",
                [str(CORE / f"{name}.py")],
                extra_compile_args=[*compile_args, *([] if checked else [optimisation(name)])],
                extra_link_args=link_args,
            )
            for name in MODULES
        ],
        build_dir="build/cython",
        nthreads=0 if checked else JOBS,
        compiler_directives={
            "language_level": 3,
            # No object of the engine is ever pickled, and its methods would be a twenty-fifth of the code.
            "auto_pickle": False,
            "nonecheck": checked,
            "overflowcheck": checked,
            "initializedcheck": checked,
        },
    )
    for extension in built:
        # cythonize() drops `optional` from what it is given, so it is set on what it returns.
        extension.optional = not VARIANT
    return built


setup(
    ext_modules=extensions(),
    cmdclass={"build_py": BuildPy, "build_ext": BuildExt},
)
