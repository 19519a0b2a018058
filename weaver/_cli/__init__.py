"""The ``weaver`` command. Its commands are loaded when they are used, so that ``--help`` is instant."""

from __future__ import annotations

from weaver._cli.support.guard import guarded


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code; never raises and never shows a traceback.

    Args:
        arguments: without the program's name; default ``sys.argv``.
    """
    from weaver._cli.app import weaver

    return guarded(weaver, arguments)
