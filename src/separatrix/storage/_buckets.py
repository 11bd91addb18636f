"""Places in object stores, through fsspec, which is imported with this file and by nobody else."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import fsspec

from separatrix.errors import FileError, InputError, SeparatrixError, first_line
from separatrix.storage._place import PACKAGES, Content, Place, checked, unwritten

_IN_MEMORY = "memory"  # of this process; for examples
_TOGETHER = "separatrix[s3]"
_CREDENTIALS = {
    "s3fs": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "gcsfs": "set GOOGLE_APPLICATION_CREDENTIALS",
    "adlfs": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}


class Bucket(Place):
    """A place in an object store.

    Credentials, region and address of the server come from where the store's own tools take them (for S3 the variables ``AWS_…``,
    with ``AWS_ENDPOINT_URL`` for a server that is not Amazon's), or from fsspec's configuration.

    Attributes:
        url: of the folder, without a slash at its end.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._conditional = False  # was it seen that the store keeps to the condition?

    @classmethod
    def to_read(cls, url: str) -> Bucket:
        """The place at a URL of any kind that fsspec knows, for whoever only reads there.

        Raises:
            InputError: as :meth:`at`, but that the kind need not be an object store.
        """
        kind = url.partition("://")[0]
        if kind in PACKAGES or kind == _IN_MEMORY:
            return cls.at(url)
        try:
            fsspec.get_filesystem_class(kind)
        except (ImportError, ValueError) as error:
            raise InputError(
                f"{kind}:// cannot be read ({first_line(error)}); give a folder or another URL."
            ) from error
        return cls(url.rstrip("/"))

    @classmethod
    def at(cls, url: str) -> Bucket:
        """The place at a URL.

        Raises:
            InputError: it is of no object store, names no bucket, holds credentials, or its package is not installed.
        """
        kind, _, path = url.partition("://")
        bucket = path.split("/")[0]
        if kind == _IN_MEMORY:
            return cls(url.rstrip("/"))
        if kind not in PACKAGES:
            raise InputError(
                f"{kind}:// is no object store that is known here; give a folder of this machine, or a URL that begins with "
                f"{', '.join(f'{each}://' for each in ('s3', 'gs'))} or az://."
            )
        if "@" in bucket and not kind.startswith("abfs"):
            raise InputError(
                f"A {kind}:// URL with credentials in it would be written into files; {_CREDENTIALS[PACKAGES[kind]]}."
            )
        if not bucket:
            raise InputError(f"{url} names no bucket; give {kind}://BUCKET/FOLDER.")
        try:
            fsspec.get_filesystem_class(kind)
        except ImportError as error:
            package = PACKAGES[kind]
            wanted = f'pip install "{_TOGETHER}"' if package == "s3fs" else f"pip install {package}"
            raise InputError(f"{kind}:// needs {package}, which is not installed; {wanted}.") from error
        return cls(url.rstrip("/"))

    def __getstate__(self) -> dict[str, Any]:
        return {"url": self.url, "_conditional": self._conditional}  # connections are no other process's

    def __truediv__(self, name: str) -> Bucket:
        inside = Bucket(f"{self.url}/{checked(name)}")
        inside._conditional = self._conditional
        return inside

    def __str__(self) -> str:
        return self.url

    def __repr__(self) -> str:
        return f"Place({self.url!r})"

    @cached_property
    def _store(self) -> Any:
        kind = self.url.partition("://")[0]
        # Listings that are remembered would hide what other processes write.
        return fsspec.filesystem(kind) if kind == _IN_MEMORY else fsspec.filesystem(kind, use_listings_cache=False)

    def read(self, name: str) -> bytes:
        with self._troubles(name):
            content: bytes = self._store.cat_file(self._key(name))
            return content

    def get(self, name: str, path: Path) -> None:
        with self._troubles(name):
            self._store.get_file(self._key(name), str(path))

    @contextmanager
    def opened(self, name: str) -> Iterator[BinaryIO]:
        with self._troubles(name), self._store.open(self._key(name), "rb") as stream:
            yield stream

    def stamps(self, name: str = "") -> Iterator[tuple[str, int, int]]:
        top = self._store._strip_protocol(self.url)
        try:
            with self._troubles(name):
                found = {name: self._store.info(self._key(name))} if name else self._store.find(top, detail=True)
        except FileNotFoundError as error:
            raise FileError(f"There is no file {self._key(name)}; check the address.") from error
        for key, info in found.items():
            inside = name or key.removeprefix(f"{top}/")
            if not key.endswith("/"):
                yield inside, int(info.get("size") or 0), _time_stamp(info)

    def write(self, name: str, content: Content) -> None:
        with self._troubles(name, writing=True):
            self._store.pipe_file(self._key(name), bytes(content))

    def put(self, name: str, path: Path) -> None:
        with self._troubles(name, writing=True):
            self._store.put_file(str(path), self._key(name))

    def create_exclusive(self, name: str, content: Content) -> bool:
        if not self._conditional:
            self._ask_for_conditions()
        return self._created(name, content)

    def exists(self, name: str) -> bool:
        try:
            with self._troubles(name):
                return bool(self._store.info(self._key(name))["type"] == "file")
        except FileNotFoundError:
            return False

    def list(self, folder: str = "") -> list[str]:
        top = self._store._strip_protocol(self.url)
        inside = f"{top}/{checked(folder)}" if folder else top
        try:
            with self._troubles(folder):
                found = self._store.find(inside)
        except FileNotFoundError:
            return []
        return sorted(
            key.removeprefix(f"{top}/") for key in found if key.startswith(f"{inside}/") and not key.endswith("/")
        )

    def remove(self, name: str) -> None:
        try:
            with self._troubles(name, writing=True):
                self._store.rm_file(self._key(name))
        except FileNotFoundError:
            return

    def sweep(self) -> None:
        """Nothing is left: a put that did not end is no object. Parts of large ones may cost storage; set a rule in the bucket."""

    def _created(self, name: str, content: Content) -> bool:
        try:
            with self._troubles(name, writing=True):
                self._store.pipe_file(self._key(name), bytes(content), mode="create")
        except FileExistsError:
            return False
        return True

    def _ask_for_conditions(self) -> None:
        """Some servers that speak S3 ignore conditions, and two processes would both be told True."""
        name = f"condition-{uuid4().hex}"
        try:
            if not self._created(name, b"1") or self._created(name, b"2"):
                raise FileError(
                    f"The server of {self.url} ignores conditions on puts (If-None-Match), without which two processes could take the same "
                    "file; use another server, or a shared folder."
                )
        finally:
            self.remove(name)
        self._conditional = True

    def _key(self, name: str) -> str:
        return f"{self.url}/{checked(name)}"

    @contextmanager
    def _troubles(self, name: str, *, writing: bool = False) -> Iterator[None]:
        """Make one sentence of what goes wrong there; only that a file is missing, or is there, stays what it is."""
        where = f"{self.url}/{name}" if name else self.url
        try:
            yield
        except (FileExistsError, SeparatrixError):
            raise
        except Exception as error:  # every store has errors of its own, which are no OSErrors
            bucket = "/".join(self.url.split("/")[:3])
            causes = [error, error.__cause__, error.__context__]
            kinds = {base.__name__ for cause in causes if cause is not None for base in type(cause).__mro__}
            package = PACKAGES.get(self.url.partition("://")[0], "")
            reason = first_line(error)
            if isinstance(error, FileNotFoundError):
                if not writing and "NoSuchBucket" not in kinds:
                    raise FileNotFoundError(error.errno or 2, os.strerror(2), where) from error
                raise FileError(f"There is no bucket {bucket}; check the name, or create it first.") from error
            if kinds & {
                "NoCredentialsError",
                "PartialCredentialsError",
                "DefaultCredentialsError",
                "ClientAuthenticationError",
            }:
                raise FileError(
                    f"There are no credentials for {bucket}; {_CREDENTIALS.get(package, 'give some')}."
                ) from error
            if isinstance(error, PermissionError):
                what = "written" if writing else "read"
                raise FileError(
                    f"{where} may not be {what} with the credentials that were found ({reason}); use others "
                    f"({_CREDENTIALS.get(package, 'of the store')}) or another place."
                ) from error
            if kinds & {"ConnectionError", "ClientConnectionError", "HTTPClientError", "TimeoutError"}:
                raise FileError(
                    f"The server of {bucket} cannot be reached ({reason}); check the network and its address (for S3 AWS_ENDPOINT_URL)."
                ) from error
            if writing and isinstance(error, OSError):
                raise unwritten(where, error) from error
            raise FileError(
                f"{where} cannot be {'written' if writing else 'read'} ({reason}); try again, or choose another place."
            ) from error


def _time_stamp(info: Mapping[str, Any]) -> int:
    """Return when a file was last changed, by one of the names that stores have for it, in nanoseconds; −1 if nobody says.

    >>> _time_stamp({"LastModified": datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)}), _time_stamp({"updated": "1970-01-01T00:00:01Z"}), _time_stamp({})
    (1000000000, 1000000000, -1)
    """
    for name in ("mtime", "LastModified", "last_modified", "updated", "created"):
        found = info.get(name)
        if isinstance(found, str):
            try:
                found = datetime.fromisoformat(found)
            except ValueError:
                continue
        if isinstance(found, datetime):
            found = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
        if isinstance(found, (int, float)):
            return round(found * 1e9)
    return -1
