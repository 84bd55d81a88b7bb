"""What a build leaves: a wheel and a source archive with the package, its license and what it says of itself."""

from __future__ import annotations

import email
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import vapi_frames as vf

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NAME = f"vapi_frames-{vf.__version__}"
MODULES = {path.relative_to(ROOT).as_posix() for path in (ROOT / "vapi_frames").rglob("*.py")} | {
    "vapi_frames/report/page.css"
}


def build(folder, target):
    """Build the wheel and the source archive of *folder* in *target*; return what is in each: name → bytes."""
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(target)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    with zipfile.ZipFile(target / f"{NAME}-py3-none-any.whl") as archive:
        wheel = {name: archive.read(name) for name in archive.namelist()}
    with tarfile.open(target / f"{NAME}.tar.gz") as archive:
        source = {one.name: archive.extractfile(one).read() for one in archive.getmembers() if one.isfile()}
    return wheel, source


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build(ROOT, tmp_path_factory.mktemp("dist"))


def test_the_wheel_has_the_package_and_no_more(built):
    """Every module, the mark that it has types, the license; no test, page or tool of the project."""
    wheel, _ = built
    meta = {
        f"{NAME}.dist-info/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")
    }
    assert set(wheel) == {*MODULES, "vapi_frames/py.typed", *meta}
    for name in MODULES:
        assert wheel[name] == (ROOT / name).read_bytes()


def test_the_source_archive_has_what_makes_the_wheel_and_no_more(built, tmp_path):
    """The package and what builds and explains it; the wheel that is built from it is the same, to the byte."""
    wheel, source = built
    beside = {"pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", ".gitignore", "PKG-INFO"}
    assert {name.removeprefix(f"{NAME}/") for name in source} == {*MODULES, "vapi_frames/py.typed", *beside}
    for name, content in source.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    again, _ = build(tmp_path / NAME, tmp_path / "dist")
    assert again == wheel


def test_the_metadata_say_what_it_is(built):
    """Version, license, Pythons, extras and description are those of the project, in both archives."""
    wheel, source = built
    text = wheel[f"{NAME}.dist-info/METADATA"]
    assert source[f"{NAME}/PKG-INFO"] == text
    meta = email.message_from_bytes(text)
    assert meta["Name"] == "vapi-frames"
    assert meta["Version"] == vf.__version__
    assert meta["Summary"] == vf.__doc__.splitlines()[0]
    assert meta["License-Expression"] == "MIT"
    assert meta.get_all("License-File") == ["LICENSE"]
    assert meta["Requires-Python"] == ">=3.11"
    assert meta["Description-Content-Type"] == "text/markdown"
    assert meta.get_payload(decode=True).decode() == (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(meta.get_all("Provides-Extra")) == set(PROJECT["optional-dependencies"])
    assert "Programming Language :: Python :: 3 :: Only" in meta.get_all("Classifier")
    assert wheel[f"{NAME}.dist-info/entry_points.txt"].decode().split() == [
        "[console_scripts]", "vapi-frames", "=", "vapi_frames.cli.main:main",
    ]  # fmt: skip


def test_without_an_extra_few_packages_are_needed(built):
    """The core is pandas, pyarrow, pydantic and requests with its urllib3, each with the lowest version that is tested."""
    meta = email.message_from_bytes(built[0][f"{NAME}.dist-info/METADATA"])
    core = [one for one in meta.get_all("Requires-Dist") if "extra ==" not in one]
    assert {re.match(r"\w+", one)[0] for one in core} == {"pandas", "pyarrow", "pydantic", "requests", "urllib3"}
    assert all(">=" in one for one in core)


def test_the_actions_of_the_workflows_are_pinned_by_hash():
    """A tag can be moved to other code; the comment says which release the hash is, and an action has one in all."""
    lines = [
        line.split("uses:", 1)[1].strip()
        for path in sorted((ROOT / ".github/workflows").glob("*.yml"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if "uses:" in line
    ]
    assert lines
    assert [line for line in lines if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []
    assert len(set(lines)) == len({line.split("@")[0] for line in lines})
