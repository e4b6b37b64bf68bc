"""A slot as a commit may write one, for the tests of slots and of the header."""

from stablemem._core.format.slots import Slot
from stablemem.layout import HEADER_SIZE, NODE_SIZE

__all__ = ["BOOT", "FILE", "SLOT"]

BOOT = b"this boot is it."
FILE = b"the file's id..."
SLOT = Slot(
    file_id=FILE,
    transaction=7,
    length=100_000,
    main=(HEADER_SIZE, 1 << 63 | 5, 2, 300),
    catalog=(65536, 50, 99),
    log_page=4 * NODE_SIZE,
    log_check=98,
    log_newest=9,
    log_oldest=3,
)
