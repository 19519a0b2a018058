"""How the command line makes its `Weaver`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from weaver.cli.confirm import on_terminal

if TYPE_CHECKING:
    from weaver.api import Weaver
    from weaver.settings import Settings


def weaver_from(settings: Settings, *, yes: bool) -> Weaver:
    """The façade for ``settings``.

    Args:
        yes: the user agrees beforehand to what would be asked (downloading the embedded model).
    """
    from weaver.api import Weaver

    return Weaver(settings=settings, confirm=on_terminal(yes=yes))
