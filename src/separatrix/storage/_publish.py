"""A finished folder of ours in another place, such as an object store, which has no renames: complete, or recognised as what it is.

The manifest of a copy holds the SHA-256 of every file, and is the last to come. While the files come and go there is one without hashes, which
says whose they are. So who reads sees all or nothing, a copy that was killed is completed by the next, and two at the same time
can make no mixture that anybody would use.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from separatrix.errors import FileError, InputError
from separatrix.storage._folder import Folder
from separatrix.storage._manifest import MANIFEST, ON_ITS_WAY, in_words, manifest_of
from separatrix.storage._place import PathLike, Place, checked
from separatrix.storage._reservation import reserve

_SHA256 = "sha256"
_AGAIN = "copy the original there again"


def publish(folder: Path, place: Place, *, overwrite: bool = False) -> None:
    """Copy a folder of ours, and only what its manifest lists, to a place. A copy that is there already costs its hashes.

    Args:
        folder: of this machine; nobody writes there meanwhile.
        place: where.
        overwrite: another one of the same kind may be replaced.

    Raises:
        FileError: something else is there, or it cannot be written.
    """
    record = manifest_of(folder)
    present, there = set(Folder(folder).list()), set(place.list())
    names = sorted(present & set(record["files"]) - {MANIFEST}, key=_last_of_a_result)
    new = {**record, _SHA256: {name: digest(folder / name) for name in names}}
    earlier = _manifest(place)
    if earlier == new and there >= set(names):
        return
    own = set(earlier.get("files", ()))
    if foreign := sorted(there - own - {MANIFEST}) or ([MANIFEST] if there and not own else []):
        raise FileError(
            f"{place} holds something else ({in_words(foreign)}), which is not replaced; choose another place."
        )
    if own and (earlier.get("kind") != record["kind"] or (_SHA256 in earlier and not overwrite)):
        raise FileError(
            f"{place} already exists; choose another place, or pass overwrite=True for one of the same kind."
        )
    passing = {key: record[key] for key in ("written_by", "kind")}
    place.write(MANIFEST, _text({**passing, "files": sorted({*own, *names, MANIFEST})}))
    for name in sorted(there & own - {MANIFEST}, key=_last_of_a_result, reverse=True):
        place.remove(name)
    for name in names:
        place.put(name, folder / name)
    place.write(MANIFEST, _text(new))


def fetch(place: Place, path: PathLike, *, overwrite: bool = False) -> None:
    """Copy what was published in a place to a folder of this machine, byte for byte what it was; it appears when it is complete.

    Raises:
        FileError: nothing of ours is there, a file is not what was copied, or the folder cannot be written.
    """
    record = _manifest(place)
    hashes: dict[str, str] | None = record.pop(_SHA256, None)
    if hashes is None:
        raise FileError(f"{place} holds no complete copy of a run or a result; check the name, or {_AGAIN}.")
    with reserve(path, kind=record["kind"], overwrite=overwrite) as reserved:
        built = reserved.new / reserved.target.name
        for name, known in hashes.items():
            (built / name).parent.mkdir(parents=True, exist_ok=True)
            try:
                place.get(name, built / name)
            except FileNotFoundError as error:
                raise FileError(f"{place}/{name} is missing; {_AGAIN}.") from error
            if digest(built / name) != known:
                raise FileError(f"{place}/{name} is not what was copied there; {_AGAIN}.")
        (built / MANIFEST).write_bytes(_text(record))
        reserved.commit()


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _manifest(place: Place) -> dict[str, Any]:
    """The manifest there; empty if there is none, or it is not of ours."""
    from separatrix.storage._records import foreign_json

    where = f"{place}/{MANIFEST}"
    try:
        found = foreign_json(place.read(MANIFEST), where, _AGAIN)
    except FileNotFoundError:
        return {}
    if (
        not isinstance(found, dict)
        or not isinstance(found.get("files"), list)
        or not isinstance(found.get("kind"), str)
    ):
        return {}
    try:
        for name in (*found["files"], *found.get(_SHA256, {}), *found.get(_SHA256, {}).values()):
            if name != ON_ITS_WAY:
                checked(name)
    except (InputError, TypeError, AttributeError) as error:
        raise FileError(f"{where} is damaged ({error}); remove what is there, and {_AGAIN}.") from error
    return found


def _text(record: dict[str, Any]) -> bytes:
    return (json.dumps(record, indent=1) + "\n").encode()


def _last_of_a_result(name: str) -> tuple[bool, str]:
    """A result is read from its JSON file on, which comes after its tensors and goes before them."""
    return name.endswith(".json"), name
