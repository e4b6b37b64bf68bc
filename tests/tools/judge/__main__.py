"""``python -m judge [--boot] FILE...``: print the verdict; exit 1 if anything is wrong."""

import mmap
import sys
from pathlib import Path

from judge.check import Verdict, judge, judge_kept

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def show(path: str, boot: bytes | None) -> bool:
    """Print what a file holds; return whether it is sound."""
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
    verdicts: list[Verdict] = [judge(content, boot), *judge_kept(content, boot)]
    print(f"{path}: {size} bytes")
    for number, slot in enumerate(verdicts[0].slots):
        print(f"  slot {number}: {slot}")
    for verdict in verdicts:
        state = "sound" if verdict.sound else "NOT SOUND"
        print(
            f"  transaction {verdict.transaction} ({'synced' if verdict.synced else 'not synced'}): {state}"
        )
        for name, blobs in verdict.lists.items():
            kind, options = verdict.blobify.get(name, ("?", b""))
            print(f"    list {name!r}: {len(blobs)} values, {kind!a} {options!r}")
        print("    " + ", ".join(f"{name} {count}" for name, count in verdict.bytes.items()))
        for fault in verdict.faults:
            print(f"    fault: {fault}")
    return all(verdict.sound for verdict in verdicts)


def main(arguments: list[str]) -> int:
    """Judge each file; ``--boot`` counts the unsynced commits of the running machine."""
    boot = None
    if "--boot" in arguments:
        arguments.remove("--boot")
        boot = bytes.fromhex(BOOT_ID.read_text().strip().replace("-", ""))
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    sound = [show(path, boot) for path in arguments]
    return 0 if all(sound) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
