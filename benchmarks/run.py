"""Measure everything that the project promises about speed and size, and print one Markdown report.

    python benchmarks/run.py [--only PART]... [--quick] [--targets] [--values N] [--rounds R]
                             [--json FILE] [--folder DIR]

`own/` measures stablemem against itself or an ideal, `peers/` against others. Parts: lists, buffer, opening,
memory, modes, counts, blocks, fragmentation, waiting, rings, hashmaps. The report begins with the operations
of all contenders. With --targets it ends with the bounds that the project sets itself.
Medians are compared within one run only. The files take up to 1.2 GiB at a time, `buffer` up to 1.6, in DIR
or where temporary files go. `buffer`, `counts` and `blocks` count instructions if valgrind is there;
`fragmentation` has malloc in it if there is a C compiler, and jemalloc if that is installed (Debian:
libjemalloc2).
"""

import argparse
import json
import os
import platform
import sqlite3
import time
from dataclasses import asdict, replace
from pathlib import Path

import lmdb
from own import blocks, counts, hashmaps, memory, modes, rings, waiting
from peers import buffer, fragmentation, lists, opening
from report import QUICK, Scale, aims_table, say

import stablemem

PARTS = {
    "lists": lists.run,
    "buffer": buffer.run,
    "opening": opening.run,
    "memory": memory.run,
    "modes": modes.run,
    "counts": counts.run,
    "blocks": blocks.run,
    "fragmentation": fragmentation.run,
    "waiting": waiting.run,
    "rings": rings.run,
    "hashmaps": hashmaps.run,
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--only", action="append", choices=PARTS, help="this part; may be repeated")
    parser.add_argument(
        "--quick", action="store_true", help="fewer values, and no instructions: under a minute"
    )
    parser.add_argument("--targets", action="store_true", help="also print what the project wants to reach")
    parser.add_argument("--values", type=int, help=f"of the lists; default {Scale.values:,}")
    parser.add_argument("--rounds", type=int, help=f"of the lists; default {Scale.rounds}")
    parser.add_argument("--json", type=Path, help="also write every measurement here")
    parser.add_argument("--folder", type=Path, help="where the files go; default: where temporary files go")
    return parser.parse_args()


def main() -> None:
    options = _arguments()
    scale = QUICK if options.quick else Scale()
    scale = replace(scale, values=options.values or scale.values, rounds=options.rounds or scale.rounds)
    about = {
        "stablemem": f"{stablemem.__version__}, {'compiled' if stablemem.COMPILED else 'interpreted'}",
        "Python": platform.python_version(),
        "py-lmdb": f"{lmdb.__version__} (LMDB {'.'.join(map(str, lmdb.version()))})",
        "sqlite3": sqlite3.sqlite_version,
        "libc": " ".join(platform.libc_ver()),
        "cores": str(os.cpu_count()),
    }
    # The processes that parts start are files of own/ and peers/, and import from here as well.
    here = str(Path(__file__).resolve().parent)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
    begin = time.perf_counter()
    sections = {part: PARTS[part](scale, options.folder) for part in options.only or PARTS}
    about["seconds"] = f"{time.perf_counter() - begin:.0f}"
    print("# stablemem, measured\n")
    print(", ".join(f"{name} {value}" for name, value in about.items()) + "\n")
    aims = [aim for section in sections.values() for aim in section.aims]
    for section in sections.values():
        print(f"## {section.title}\n\n{section.text}\n")
    if options.targets and aims:
        print("## Targets\n")
        if options.quick or options.values:
            print("The bounds are for the full run; this one had fewer values.\n")
        print(aims_table(aims) + "\n")
    if options.json:
        record = {
            "about": about,
            "scale": asdict(scale),
            "aims": [asdict(aim) for aim in aims],
            "samples": {part: section.samples for part, section in sections.items()},
        }
        options.json.write_text(json.dumps(record, indent=1) + "\n")
        say(f"every measurement is in {options.json}")


if __name__ == "__main__":
    main()
