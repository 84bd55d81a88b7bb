"""Print the lowest allowed version of each direct dependency, also of the extras that are named as arguments."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def lowest(wanted: list[str]) -> Iterator[str]:
    """Yield a pin for each requirement of *wanted*; the package's own extras are replaced by their requirements."""
    for one in wanted:
        if own := re.fullmatch(r"vapi-frames\[(.+)\]", one):
            for extra in own[1].split(","):
                yield from lowest(PROJECT["optional-dependencies"][extra])
        else:
            yield re.fullmatch(r"([\w.-]+(?:\[\w+\])?)>=([\d.]+)(?:,<[\d.]+)?(?:; .+)?", one).expand(r"\1==\2")


print("\n".join(lowest([*PROJECT["dependencies"], *(f"vapi-frames[{extra}]" for extra in sys.argv[1:])])))
