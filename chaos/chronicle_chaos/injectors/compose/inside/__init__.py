"""Programs that run in a container of the stack, whose image has Python and no other tools.

They are handed over as text (`source`), so that they are the engine's own, whatever release the image is of; each uses
the standard library alone.
"""

from __future__ import annotations

from importlib.resources import files


def source(name: str) -> str:
    """Return the text of a program, for `python -c`."""
    return (files(__name__) / f"{name}.py").read_text(encoding="utf-8")
