"""What opening refuses, by what is at the path and by mode."""

from stablemem.errors import CorruptRegionError, NotARegionError, VersionError

__all__ = ["PATHS", "RESTORE"]

ALWAYS = "r r+ a x w"
IS_FOREIGN = "not a region: it starts with "
IS_TAKEN = "mode='x' makes a new file", "File exists", "mode='a' opens this one, mode='w' replaces it"
IS_REGULAR = "a region is a regular file"
RESTORE = "Run `stablemem verify` on it to see how far the damage goes, and restore it from a copy"

PATHS = [
    # what is at the path, modes, error, expected, found, what to do
    ("nothing", "r", FileNotFoundError,
     "mode='r' opens an existing file", "No such file", "mode='a' makes a missing one"),
    ("nothing", "r+", FileNotFoundError,
     "mode='r+' opens an existing file", "No such file", "mode='a' makes a missing one"),
    ("no folder", ALWAYS, FileNotFoundError, "the folder ", "nowhere is missing", "make it first"),
    ("no path", ALWAYS, FileNotFoundError,
     "name a file", "the path is empty", "leave the path out for a list in memory"),
    ("a region", "x", FileExistsError, *IS_TAKEN),
    ("another file", "x", FileExistsError, *IS_TAKEN),
    ("an empty file", "x", FileExistsError, *IS_TAKEN),
    ("an empty file", "r r+", NotARegionError, "not a region", "it is empty", "Mode 'a' or 'w' makes it one"),
    ("another file", "r r+ a", NotARegionError, IS_FOREIGN, "it starts with b'some", "Name another file"),
    ("a short file", "r r+ a", NotARegionError, IS_FOREIGN, "it starts with b'abc'", "Name another file"),
    ("another file", "w", NotARegionError,
     "mode='w' does not replace other files", "not a region", "remove it first, or name another file"),
    ("a newer format", "r r+ a", VersionError,
     "reads format 0", "has format 7", "open it with the version that wrote it"),
    ("a file cut short", "r r+ a", CorruptRegionError, " bytes, ", "found the end of the file", RESTORE),
    ("damaged slots", "r r+ a", CorruptRegionError,
     "expected a valid header slot", "found slot 0: its checksum does not match; slot 1: its", RESTORE),
    ("a folder", ALWAYS, IsADirectoryError,
     "a region is a file", "Is a directory", "name one in this folder"),
    ("a fifo", ALWAYS, OSError, "a region must be a regular file", "this is a fifo", "name another path"),
    ("a device", ALWAYS, OSError, "a region must be a regular file", "this is a device", "name another path"),
    ("a socket", ALWAYS, OSError, IS_REGULAR, "No such device or address", "name another path"),
    ("below a file", ALWAYS, NotADirectoryError, IS_REGULAR, "Not a directory", "name another path"),
    ("a loop", ALWAYS, OSError, IS_REGULAR, "Too many levels of symbolic links", "name another path"),
    ("a long name", ALWAYS, OSError, IS_REGULAR, "File name too long", "name another path"),
]  # fmt: skip
