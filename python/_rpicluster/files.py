"""Files that travel with a job over the HTTP API, and those that come home."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import pathlib
import tempfile
import typing

from _rpicluster.transport import ClusterError, Json, Path
from _rpicluster.web import PIECE, Web, locally


@dataclasses.dataclass
class TravellingFile:
    """`name` is the SHA-256 of its contents."""

    path: str  # in the work folder of the tasks
    name: str
    size: int
    mode: int = 0o644
    source: typing.Optional[pathlib.Path] = None
    content: bytes = b""  # without a source

    def entry(self) -> Json:
        return {"path": self.path, "file": self.name, "size": self.size, "mode": self.mode}

    def open(self) -> typing.BinaryIO:
        return open(self.source, "rb") if self.source else io.BytesIO(self.content)


def scan_text(content: bytes) -> TravellingFile:
    return TravellingFile("", hashlib.sha256(content).hexdigest(), len(content), content=content)


def scan_files(paths: typing.Sequence[Path],
               folder: typing.Optional[pathlib.Path]) -> typing.List[TravellingFile]:
    """As `--in` of the command does it: a relative path keeps its path, another one lands under its
    base name, a folder comes with all that is in it. The HTTP API knows files alone: links are
    followed, and empty folders do not travel."""
    found = []
    for path in paths:
        source = pathlib.Path(folder or ".", path)
        relative = _place_of(path, source)
        if not source.is_dir():
            found.append(_scan_file(source, relative))
            continue
        for name in sorted(source.rglob("*")):
            if name.is_symlink() and name.is_dir():
                raise ClusterError(f"{name} is a link to a folder: it cannot travel over the HTTP "
                                   "API")
            if not name.is_dir():
                place = pathlib.PurePath(relative, name.relative_to(source))
                found.append(_scan_file(name, place.as_posix()))
    return found


def _place_of(path: Path, source: pathlib.Path) -> str:
    """Where what is named so lands in the work folder of the tasks."""
    place = os.path.normpath(os.fspath(path))
    if not os.path.isabs(place) and place.split(os.sep)[0] != "..":
        return place
    name = os.path.basename(place)
    if name == "..":  # which says nothing about it
        name = source.resolve().name
    if not name:
        raise ClusterError(f"{path} has no name of its own: name files or folders in it")
    return name


def _scan_file(source: pathlib.Path, path: str) -> TravellingFile:
    if not source.exists():
        raise ClusterError(f"there is no file {source}")
    if not source.is_file():
        raise ClusterError(f"{source} is no file, and no folder either")
    digest, size = hashlib.sha256(), 0
    with open(source, "rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
            size += len(piece)
    mode = source.stat().st_mode & 0o777
    return TravellingFile(path, digest.hexdigest(), size, mode, source)


def _inside(folder: pathlib.Path, path: str) -> pathlib.Path:
    """Where a file of that name is to be. Neither the name nor a link that is there already may
    lead out of the folder: nodes choose the names."""
    place = pathlib.PurePosixPath(path)
    if place.is_absolute() or ".." in place.parts or not place.parts or "\0" in path:
        raise ClusterError(f"a file that came back has a name that leads elsewhere: {path!r}")
    target = folder / place
    parent = target.parent.resolve()
    if folder.resolve() not in [parent, *parent.parents]:
        raise ClusterError(f"a file that came back would land outside of {folder}: {path!r}")
    return target


def bring_home(web: Web, files: typing.Sequence[Json], folder: pathlib.Path) -> int:
    """Downloads what a list of files names; how many files these were. Each is there under its name
    when all of it has come."""
    with locally(f"write into {folder}"):
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            _bring_one(web, file, folder)
    return sum(file["kind"] == "file" for file in files)


def _bring_one(web: Web, file: Json, folder: pathlib.Path) -> None:
    target = _inside(folder, str(file["path"]))
    target.parent.mkdir(parents=True, exist_ok=True)
    if file["kind"] == "folder":
        target.mkdir(exist_ok=True)
    elif file["kind"] == "link":
        _make_link(folder, target, str(file["link"]))
    else:
        _download(web, file, target)


def _make_link(folder: pathlib.Path, target: pathlib.Path, to: str) -> None:
    _inside(folder, os.path.normpath(target.parent.relative_to(folder) / to))
    if target.is_symlink() or target.is_file():
        target.unlink()
    target.symlink_to(to)


def _download(web: Web, file: Json, target: pathlib.Path) -> None:
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".rpicluster-part-",
                                     delete=False) as part:
        try:
            web.download(str(file["href"]), part)
            part.flush()
            os.chmod(part.name, int(file["mode"]) & 0o777)
            os.replace(part.name, target)
        except BaseException:
            os.unlink(part.name)
            raise
