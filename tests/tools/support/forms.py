"""Which tests need not run in both forms."""

from pathlib import Path

from . import TESTS

__all__ = ["ONE_FORM", "is_of_one_form"]

ONE_FORM = {
    # The command line, pictures, benchmarks and documents.
    "cli", "unit/test_plot.py", "unit/test_packaging.py", "unit/test_benchmarks.py", "unit/test_mirror.py",
    "docs/test_documents.py", "docs/test_readme.py", "docs/test_recipes.py",
    "docs/test_names_in_messages.py", "faces/test_typing.py",
    # Blobifys, and the end of a program.
    "unit/blobify", "unit/_core/txn/test_ending.py",
    # The independent judge and the power-cut enumerator: what they find does not depend on the form, because
    # unit/test_two_modes.py proves that both write the same bytes.
    "damage/test_judge.py", "damage/test_judge_forged.py", "damage/test_judge_values.py",
    "crash/test_planted_faults.py",
}  # fmt: skip
"""Files and folders of tests whose subject is the same code in both forms: no module with a .pxd.

Where both forms are tested, these run with the compiled one alone; ``make trust`` and a plain ``pytest``
leave nothing out.
"""


def is_of_one_form(file: Path) -> bool:
    """Return whether the tests of a file need not run in both forms."""
    inner = file.relative_to(TESTS)
    return any(str(each) in ONE_FORM for each in (inner, *inner.parents))
