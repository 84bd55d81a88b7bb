"""Call records in object storage: copies of the objects in a temporary folder, which are read as other files are.

The objects are listed at each query, and those that are new or changed are copied. The file systems of fsspec find the
credentials where the tools of each vendor look for them: in the environment, in their files, on the machine.
"""

from __future__ import annotations

import os
import re
import threading
import weakref
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vapi_frames.cancellation import raise_if_cancelled
from vapi_frames.errors import MissingExtraError, RecordsError, VapiFramesError
from vapi_frames.files import make_temporary_folder, remove_temporary_folder
from vapi_frames.sources.local.patterns import is_read, is_read_folder
from vapi_frames.sources.records.digests import DIGESTS_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["ObjectMirror", "check_address", "is_address"]

_PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs"}
_ADDRESS = re.compile(r"([A-Za-z][\w+.-]+)://(.*)", re.DOTALL)
_ONE_SLASH = re.compile(r"(s3|gs|az):/[^/]")
_PATTERN = re.compile(r"[*?\[]")
_ARCHIVED = re.compile(r"\d{4}-\d\d-\d\d\.parquet")
_VERSION = ("ETag", "etag", "generation", "LastModified", "last_modified", "updated", "size")
_SECRET = re.compile(r"(AWS|AZURE|GOOGLE|GCLOUD|FSSPEC)_.*(KEY|SECRET|TOKEN|PASS|CONNECTION_STRING)")
_BATCH = 32  # objects that are copied concurrently


def is_address(path: str) -> bool:
    """Return whether *path* is an address, and no path of this machine.

    Examples:
        >>> is_address("s3://bucket/calls/"), is_address("calls/*.json")
        (True, False)
    """
    return _ADDRESS.match(path) is not None


def check_address(address: str) -> str:
    """Return *address* if it is one of object storage.

    Raises:
        RecordsError: It is another, names no bucket, has credentials, or has parts that no path may have.
    """
    if _ONE_SLASH.match(address):
        raise RecordsError(f"{address!r} has one slash: pass the address as text, {address.replace(':/', '://', 1)!r}")
    if (found := _ADDRESS.match(address)) is None:
        return address
    scheme, path = found.groups()
    if scheme not in _PACKAGES:
        raise RecordsError(
            f"cannot read call records from an address with {scheme}://; s3://, gs:// and az:// can be read, and files "
            "of this machine by their path"
        )
    parts = path.rstrip("/").split("/")
    if "@" in parts[0]:
        raise RecordsError(
            f"the address with {scheme}:// has credentials: leave them out, they are found where {_PACKAGES[scheme]} "
            "looks for them, e.g. in the environment"
        )
    _check_parts(parts, address)
    return address


def _check_parts(parts: Sequence[str], address: str) -> None:
    """Check that an object can be copied to a file of the same name."""
    if {"", ".", ".."}.intersection(parts) or "\0" in address:
        raise RecordsError(
            f"{address!r} cannot be read: an address is a bucket and a key, without parts that are empty, '.' or '..'",
            file=address,
        )


class ObjectMirror:
    """Copies of objects, which are deleted with it.

    Args:
        addresses: Objects, folders and globs. Of a folder those objects are copied that are read of a folder of files.

    Raises:
        MissingExtraError: A file system is not installed.
        RecordsError: An address leads to nothing, or cannot be read.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses
        self._systems: dict[tuple[int, str], Any] = {}
        self._versions: dict[str, tuple[str, ...]] = {}
        self._folder = ""
        self._process = 0  # that made the folder: the child of a fork makes its own
        self._lock = threading.Lock()
        with self._lock:
            self._list_all()

    def refresh(self) -> None:
        """Copy the objects that are new or changed since the last time, and delete the copies of those that are gone.

        Raises:
            RecordsError: An address leads to nothing, or cannot be read.
        """
        with self._lock:
            wanted = self._list_all()
            if self._process != os.getpid() or not Path(self._folder).is_dir():
                self._folder, self._process, self._versions = make_temporary_folder(), os.getpid(), {}
                weakref.finalize(self, remove_temporary_folder, os.getpid(), self._folder)
            for address in self._versions.keys() - wanted.keys():
                Path(self.locate(address)).unlink(missing_ok=True)
            self._versions = {one: version for one, version in self._versions.items() if one in wanted}
            changed = [
                one
                for one, version in wanted.items()
                if self._versions.get(one) != version or not Path(self.locate(one)).exists()
            ]
            for start in range(0, len(changed), _BATCH):
                raise_if_cancelled()
                self._copy(changed[start : start + _BATCH], wanted)

    def locate(self, address: str) -> str:
        """Return the path of the copy of *address*: an object, a folder, or a glob."""
        return str(Path(self._folder, *address.replace("://", "/", 1).rstrip("/").split("/")))

    def restore_names(self, text: str) -> str:
        """Return *text* with addresses in place of the paths of copies."""
        for scheme in _PACKAGES if self._folder else ():
            text = text.replace(f"{Path(self._folder, scheme)}{os.sep}", f"{scheme}://")
        return text

    def clear(self) -> None:
        """Delete the copies; the next refresh makes them anew."""
        with self._lock:
            if self._process == os.getpid():
                remove_temporary_folder(self._process, self._folder)
            self._folder, self._process, self._versions = "", 0, {}

    def _list_all(self) -> dict[str, tuple[str, ...]]:
        """Return the address of each object → what changes when it does."""
        found: dict[str, tuple[str, ...]] = {}
        for address in self._addresses:
            scheme, _, path = address.partition("://")
            with _naming(address):
                system = self._find_system(scheme)
                system.invalidate_cache()
                listed = dict(self._list(system, path.rstrip("/")))
                for folder in {name.rpartition("/")[0] for name in listed if _ARCHIVED.fullmatch(_last(name))}:
                    if about := _find_object(system, f"{folder}/{DIGESTS_FILE}"):
                        listed[f"{folder}/{DIGESTS_FILE}"] = about
            if not listed:
                raise RecordsError(_describe_absence(address), file=address)
            for name, about in listed.items():
                one = f"{scheme}://{name}"
                _check_parts(name.split("/"), one)
                found[one] = tuple(str(about.get(key)) for key in _VERSION)
        return found

    def _find_system(self, scheme: str) -> Any:
        """Return the file system of *scheme*; the child of a fork needs one of its own."""
        key = os.getpid(), scheme
        if key not in self._systems:
            try:
                import_module(_PACKAGES[scheme])
                import fsspec
            except ImportError:
                raise MissingExtraError("cloud", _PACKAGES[scheme], f"reading from {scheme}://") from None
            # A known one might have the credentials of another time.
            self._systems[key] = fsspec.filesystem(scheme, skip_instance_cache=True)
        return self._systems[key]

    def _list(self, system: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield name and description of the objects that *path* means."""
        if not _PATTERN.search(path):
            yield from self._list_folder(system, path)
        elif about := _find_object(system, path):  # its name has signs of a pattern
            yield path, about
        else:
            matched = system.glob(path, detail=True)
            if not matched:
                system.ls(_PATTERN.split(path)[0].rpartition("/")[0])  # which says so where there is no such bucket
            for name, about in matched.items():
                yield from self._list_entry(system, name, about)

    def _list_folder(self, system: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for about in system.ls(path, detail=True):
            name = about["name"].rstrip("/")
            if name == path and about["type"] == "file" and not about["name"].endswith("/"):
                yield path, about  # the path is that of an object
            elif name == path or _last(name).startswith("."):
                continue
            elif about["type"] == "directory" or is_read(_last(name)):
                yield from self._list_entry(system, name, about)

    def _list_entry(self, system: Any, name: str, about: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        if about["type"] == "file":
            yield name, about
        elif is_read_folder(_last(name)):
            yield from self._list_folder(system, name.rstrip("/"))

    def _copy(self, addresses: Sequence[str], versions: Mapping[str, tuple[str, ...]]) -> None:
        """Copy objects; a copy takes the place of an earlier one when it is whole."""
        by_scheme: dict[str, list[str]] = {}
        for address in addresses:
            by_scheme.setdefault(address.partition("://")[0], []).append(address)
        for scheme, ours in by_scheme.items():
            parts = [str(Path(self._folder, f"{number}.part")) for number in range(len(ours))]
            with _naming(ours[0] if len(ours) == 1 else self._addresses[0]):
                self._find_system(scheme).get([one.partition("://")[2] for one in ours], parts)
                for address, part in zip(ours, parts, strict=True):
                    Path(self.locate(address)).parent.mkdir(parents=True, exist_ok=True)
                    Path(part).replace(self.locate(address))
                    self._versions[address] = versions[address]


class _naming:  # noqa: N801 - used like a function
    """Turns whatever a file system raises in a block into an error that names the address, and shows no secret."""

    def __init__(self, address: str) -> None:
        self._address = address

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, Exception) or isinstance(error, VapiFramesError | MemoryError):
            return
        reason = _redact(str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__)
        path = self._address.partition("://")[2].rstrip("/")
        if isinstance(error, FileNotFoundError) and path.startswith(reason.rstrip("/")):
            message = _describe_absence(self._address)
        else:
            message = f"{self._address!r} cannot be read: {reason}"
        raise RecordsError(message, file=self._address) from (None if _shows_secret(error) else error)


def _describe_absence(address: str) -> str:
    if _PATTERN.search(address):
        return f"no object matches {address!r}"
    return f"no Parquet, JSON, CSV or TSV file is at {address!r}"


def _find_object(system: Any, path: str) -> Mapping[str, Any] | None:
    """Return the description of the object at *path*, if there is one."""
    try:
        about: Mapping[str, Any] = system.info(path)
    except FileNotFoundError:
        return None
    return about if about["type"] == "file" else None


def _last(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2]


def _secrets() -> Iterable[str]:
    return {value for name, value in os.environ.items() if value and _SECRET.match(name)}


def _redact(text: str) -> str:
    for secret in _secrets():
        text = text.replace(secret, "***")
    return text


def _shows_secret(error: BaseException | None) -> bool:
    while error is not None:
        if _redact(str(error)) != str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
