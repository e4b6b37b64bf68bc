"""The command ``stablemem``, also as ``python -m stablemem``."""

import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line on ``sys.argv`` and return the exit code.

    Click and rich come with the extra ``cli``; without them one line says so, and the code is 2.
    """
    try:
        import click  # noqa: F401
        import rich  # noqa: F401
    except ModuleNotFoundError as error:
        print(
            f"stablemem: the command line needs {error.name}: pip install click rich",
            file=sys.stderr,
        )
        return 2
    from .cli import run

    return run()


if __name__ == "__main__":
    sys.exit(main())
