"""Look at the built site: every link, picture and anchor leads somewhere, and the reference has every public name.

    mkdocs build --strict && python -m tests.support.site_links site

It prints what does not, and then ends with 1. Links to other hosts are left alone; no network is used.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import vapi_frames as vf
from vapi_frames import analysis, errors


class Page(HTMLParser):
    """What a page has to link to, and what it links to.

    Attributes:
        ids: Its anchors.
        targets: Its links, pictures, scripts and styles.
        undescribed: The pictures without an alternative text.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.targets: list[str] = []
        self.undescribed: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag is, and where it leads."""
        said = dict(attrs)
        self.ids |= {value for name in ("id", "name") if (value := said.get(name))}
        self.targets += [value for name in ("href", "src") if (value := said.get(name))]
        # The second is what is put there where a notebook has no text of its own.
        if tag == "img" and (said.get("alt") or "No description").startswith("No description"):
            self.undescribed.append((said.get("src") or "")[:60])


def broken(site: Path) -> list[str]:
    """Return what leads nowhere in the pages of *site*, a line for each."""
    pages = {path.resolve(): Page(path) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        name = path.relative_to(site.resolve()).as_posix()
        found += [f"{name}: a picture without alt text: {source}" for source in page.undescribed]
        for target in page.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            place = unquote(parts.path)
            base = site if place.startswith("/") else path.parent
            leads = (base / place.lstrip("/")).resolve() if place else path
            leads = leads / "index.html" if leads.is_dir() else leads
            if not leads.exists():
                found.append(f"{name}: {target} is not there")
            elif parts.fragment and leads in pages and unquote(parts.fragment) not in pages[leads].ids:
                found.append(f"{name}: {target} has no such anchor")
    return found


def public_names() -> list[str]:
    """Return the full name of each thing that the reference must have: names, their members, functions, errors.

    What stands at the top of the package and in a module, such as `load`, is there under its name at the top.
    """
    found = [f"vapi_frames.{name}" for name in vf.__all__]
    for name in ("Query", "Comparison", "VapiAccessor", "Vq", "Progress"):
        kind = getattr(vf, name)
        members = {member: value for one in kind.__mro__ if _is_ours(one) for member, value in vars(one).items()}
        found += [f"vapi_frames.{name}.{member}" for member, value in members.items() if _is_verb(member, value)]
    for module in (analysis, errors):
        names = (name for name in module.__all__ if getattr(vf, name, None) is not getattr(module, name))
        found += [f"{module.__name__}.{name}" for name in names]
    return [*found, "vapi_frames.cache.info", "vapi_frames.cache.clear"]


def _is_ours(kind: type) -> bool:
    return kind.__module__.startswith("vapi_frames.")


def _is_verb(member: str, value: object) -> bool:
    """Say whether a member is public and a method or property; another name for the same, such as mean, is not."""
    value = value.__func__ if isinstance(value, classmethod) else value
    is_own = callable(value) and getattr(value, "__name__", "") == member
    return not member.startswith("_") and (isinstance(value, property) or is_own)


def _main() -> int:
    site = Path(sys.argv[1])
    found = broken(site)
    there = [one for path in (site / "reference" / "api").glob("*.html") for one in Page(path).ids]
    # A function that is named like its module stands there as what is in it.
    places = {name: there.count(name) + there.count(f"{name}.{name.rpartition('.')[2]}") for name in public_names()}
    found += [f"reference/api: {name} is there {count} times" for name, count in places.items() if count != 1]
    print("\n".join(found) or "every link of the site leads somewhere")  # noqa: T201 - this is a command
    return bool(found)


if __name__ == "__main__":
    sys.exit(_main())
