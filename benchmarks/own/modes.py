"""The operations of a list, compiled and interpreted: what a machine without a compiler gets."""

import json
import sys
from pathlib import Path

from peers import lists
from peers.contenders import Stablemem
from report import Aim, Samples, Scale, Section, median, number, python, ratio, say, table

COMPILED, INTERPRETED = "compiled", "interpreted"


def _scale(values: int) -> Scale:
    """Return what one process measures."""
    return Scale(values=values, rounds=1, gets=values, inserts=max(1, values // 10), commits=50, turns=1)


def run(scale: Scale, folder: Path | None) -> Section:
    """Measure, and return the table."""
    samples: Samples = {}
    for turn in range(scale.rounds):
        say(f"modes: round {turn + 1} of {scale.rounds}, {scale.mode_values:,} values")
        for form, pure in (COMPILED, False), (INTERPRETED, True):
            arguments = [__file__, str(scale.mode_values), *([str(folder)] if folder else [])]
            answer = json.loads(python(arguments, pure).stdout)
            if answer["compiled"] == pure:
                text = "The extensions are not built here: there is no compiled form to compare with."
                return Section("Compiled and interpreted", text, {})
            for row, by_name in answer["samples"].items():
                samples.setdefault(row, {}).setdefault(form, []).extend(by_name[Stablemem.name])
    rows = [row for row in lists.TIMES if row in samples]
    text = (
        f"stablemem alone, {scale.mode_values:,} values of {lists.SIZE} bytes, medians of {scale.rounds} "
        f"rounds, each in a process of its own, one form after the other:\n\n"
        + table(
            ["ns an operation", COMPILED, INTERPRETED, "interpreted / compiled"],
            (
                [
                    row,
                    number(median(samples, row, COMPILED)),
                    number(median(samples, row, INTERPRETED)),
                    number(ratio(samples, row, INTERPRETED, COMPILED), 1),
                ]
                for row in rows
            ),
        )
    )
    told = [found for row in rows if (found := ratio(samples, row, INTERPRETED, COMPILED))]
    aims = [
        Aim("interpreted / compiled, least of the rows", min(told), None),
        Aim("interpreted / compiled, most", max(told), None),
    ]
    return Section("Compiled and interpreted", text, samples, aims)


def _measure(values: int, folder: Path | None) -> None:
    """Measure the form that this process has, and print it as JSON."""
    import stablemem

    samples = lists.measure([Stablemem], _scale(values), folder)
    json.dump({"compiled": stablemem.COMPILED, "samples": samples}, sys.stdout)


if __name__ == "__main__":
    _measure(int(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
