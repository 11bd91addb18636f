"""A finished run in another place, and back. Runs are made in a folder of this machine, which has locks and renames (docs/design.md)."""

from __future__ import annotations

from separatrix.arguments import checked
from separatrix.errors import FileError, InputError
from separatrix.runs._run import reopened
from separatrix.storage import PathLike, fetch, place_of, publish, url_of


@checked
def copy(source: PathLike, target: PathLike, *, overwrite: bool = False) -> None:
    """Copy a finished run to an object store (``s3://bucket/run``), or from there to a folder of this machine.

    It is complete at its target, or not there. A copy that was killed is completed by the same call; one that is there already
    costs the hashes of its files. What comes back is the run, byte for byte: it can be reported on, and its stages load. Single stages
    can be read where they are: ``sx.load_result("s3://bucket/run/limits")``.

    Args:
        source: of the run.
        target: where.
        overwrite: an earlier run of the same kind that is there may be replaced.

    Raises:
        InputError: none of the two is in an object store, or both are.
        FileError: no finished run is there, something else is at the target, or it cannot be written.

    Cost: no map evaluations.
    """
    there, here = url_of(source), url_of(target)
    if (there is None) == (here is None):
        raise InputError(
            "One of the two places must be in an object store, such as s3://bucket/run, and the other a folder of this machine; "
            "within this machine copy the folder."
        )
    if there is not None:
        fetch(place_of(there), target, overwrite=overwrite)
        return
    place = place_of(target)
    with reopened(source) as run:  # nobody writes there meanwhile
        if not run.finished:
            raise FileError(f"The run in {source} was stopped; run the same command again, it goes on where it was.")
        assert run.folder is not None
        publish(run.folder, place, overwrite=overwrite)
