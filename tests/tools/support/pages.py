"""Interpreted, a page that a region gives is taken away at the region's next call.

So whoever keeps one longer reads what it may not, and fails: compiled, that would be a pointer to memory that
is mapped or kept no more.
"""

from stablemem._core.disk.region import Region

CALLS = ("at", "load", "view", "write", "write_run", "reach", "truncate", "punch", "close")


def take_pages_away():
    """Do so from now on, in all regions."""
    given = {}

    def strict(name, whole):
        def call(region, *args):
            page = given.pop(id(region), None)
            if page is not None:
                page.release()
            found = whole(region, *args)
            if name == "at":
                found = given[id(region)] = memoryview(found)
            return found

        return call

    for name in CALLS:
        setattr(Region, name, strict(name, getattr(Region, name)))
