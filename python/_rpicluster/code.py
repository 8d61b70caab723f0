"""The user's own modules, as an archive that Python on a node runs."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import importlib.util
import io
import marshal
import pathlib
import pickle
import site
import sys
import sysconfig
import threading
import types
import typing
import zipfile

from _rpicluster.node import PROTOCOL, Shared

CODE_BYTES = 16 * 1024 * 1024  # of all sources together; more: nothing travels
SCRIPT = "__mp_main__"  # name on the nodes of a script, which must not run there as __main__

Sources = typing.Dict[str, typing.Tuple[str, bytes]]  # name in the archive -> path here, contents


class CannotTravelError(TypeError):
    """A function, an argument or a module cannot be sent to the nodes. Says why, and what helps."""


class Pickler(pickle.Pickler):
    """Notes which modules the nodes need, and which shared things."""

    def __init__(self, file: io.BytesIO):
        super().__init__(file, PROTOCOL)
        self.modules: typing.Set[str] = set()
        self.shared: typing.Set[Shared] = set()

    def reducer_override(self, obj: typing.Any) -> typing.Any:
        if isinstance(obj, (type, types.FunctionType)):
            self.modules.add(obj.__module__)
        elif isinstance(obj, Shared):
            self.shared.add(obj)
        return NotImplemented


class Pickled(typing.NamedTuple):
    data: bytes
    modules: typing.Set[str]
    shared: typing.Set[Shared]


def pickled(value: typing.Any, what: str) -> Pickled:
    """Throws CannotTravelError about `what`."""
    file = io.BytesIO()
    pickler = Pickler(file)
    try:
        pickler.dump(value)
    except Exception as error:  # whatever the methods of its objects do
        kind = type(value).__qualname__
        raise CannotTravelError(f"{what} (of type {kind}) cannot travel: {error}") from error
    return Pickled(file.getvalue(), pickler.modules, pickler.shared)


def pickled_function(function: typing.Any) -> Pickled:
    inner = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    inner = getattr(inner, "__func__", inner)  # of a bound method
    name = getattr(inner, "__qualname__", "")
    if "<lambda>" in name or "<locals>" in name:
        code = getattr(inner, "__code__", None)
        place = f" ({code.co_filename}:{code.co_firstlineno})" if code else ""
        raise CannotTravelError(f"{name}{place} cannot travel, because nodes look functions up by "
                                "name: define it with \"def\" at the top level of a module")
    return pickled(function, f"the function {name or function!r}")


def pickled_arguments(name: str, args: typing.Tuple[typing.Any, ...],
                      kwargs: typing.Dict[str, typing.Any]) -> Pickled:
    try:
        return pickled((args, kwargs), "arguments")
    except CannotTravelError:
        for number, argument in enumerate(args, 1):
            pickled(argument, f"argument {number} of {name}")
        for keyword, argument in kwargs.items():
            pickled(argument, f"argument {keyword} of {name}")
        raise


def _installed_folders() -> typing.List[pathlib.Path]:
    paths = sysconfig.get_paths()
    folders = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders += [*site.getsitepackages(), site.getusersitepackages(), "/usr/lib/python3"]
    return [pathlib.Path(folder).resolve() for folder in folders]


@functools.lru_cache(maxsize=None)
def _is_own_file(path: str) -> bool:
    """Written by the user, not installed: what is installed must be so on the nodes."""
    resolved = pathlib.Path(path).resolve()
    return path.endswith(".py") and not any(
        folder in resolved.parents for folder in _installed_folders())


def _is_own(module: typing.Any) -> bool:
    path = getattr(module, "__file__", None)
    return bool(path) and _is_own_file(path)


def _imported_by(source: bytes, path: str) -> typing.Set[str]:
    """Names of the modules that it imports, apart from those of its own package."""
    names: typing.Set[str] = set()
    for statement in ast.walk(ast.parse(source, path)):
        if isinstance(statement, ast.Import):
            names.update(alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom) and not statement.level and statement.module:
            names.add(statement.module)
    return names


def _sources_of(name: str) -> Sources:
    """A module, or all of the package that it is in."""
    top = sys.modules[name.partition(".")[0]]
    folders = list(getattr(top, "__path__", []))
    if not folders:
        path = str(top.__file__)
        return {f"{top.__name__}.py": (path, pathlib.Path(path).read_bytes())}
    found: Sources = {}
    for folder in map(pathlib.Path, folders):
        for file in sorted(folder.rglob("*.py")):
            inside = (top.__name__ / file.relative_to(folder)).as_posix()
            found[inside] = (str(file), file.read_bytes())
    return found


def _compiled(source: bytes, path: str) -> bytes:
    """A .pyc that is valid whatever the times of files: nodes with the same Python start quicker.
    It keeps the path, so that tracebacks name the user's own file."""
    code = compile(source, path, "exec", dont_inherit=True)
    unchecked = (1).to_bytes(4, "little") + bytes(8)  # "do not compare this hash with the source"
    return importlib.util.MAGIC_NUMBER + unchecked + marshal.dumps(code)


class Code:
    """What travels: the modules of all functions and arguments so far, and what they import."""

    def __init__(self, folder: pathlib.Path, extra: typing.Iterable[str]):
        self.folder = folder
        self.main = ""  # name on the nodes of the module that is __main__ here; empty: stays here
        self._lock = threading.Lock()
        self._known: typing.Set[str] = set()
        self._sources: Sources = {}
        self._archive: typing.Optional[pathlib.Path] = None
        self._take(["_rpicluster.node"], wanted=True)
        for name in extra:
            importlib.import_module(name)
            self._take([name], wanted=True)

    def add(self, modules: typing.Set[str]) -> None:
        """Throws CannotTravelError."""
        if modules <= self._known:
            return
        with self._lock:
            self._take(modules - self._known)

    def _take(self, modules: typing.Iterable[str], wanted: bool = False) -> None:
        todo = sorted(modules)
        sources: Sources = {}
        seen: typing.Set[str] = set()
        while todo:
            name = todo.pop()
            if name in seen or name in self._known:
                continue
            seen.add(name)
            if name == "__main__":
                found = self._script()
            elif wanted or _is_own(sys.modules.get(name)):
                found = _sources_of(name)
            else:
                continue
            sources.update(found)
            for path, source in found.values():
                todo += [other for other in _imported_by(source, path) if other in sys.modules
                         and _is_own(sys.modules[other])]
            wanted = False
        size = sum(len(source) for _, source in {**self._sources, **sources}.values())
        if size > CODE_BYTES:
            raise CannotTravelError(f"the modules that would travel have {size} bytes together, "
                                    f"more than {CODE_BYTES}: install them on the nodes")
        self._known |= seen
        if sources:
            self._sources.update(sources)
            self._archive = None

    def _script(self) -> Sources:
        main = sys.modules["__main__"]
        path = getattr(main, "__file__", None)
        if not path or not pathlib.Path(path).is_file():
            raise CannotTravelError("what was defined in an interactive session cannot travel: it "
                                    "has no file; write it into a module and import that")
        spec = getattr(main, "__spec__", None)
        if spec is not None:  # python -m: it may need the rest of its package
            self.main = spec.name
            if "." in spec.name:
                return _sources_of(spec.name)
        self.main = self.main or SCRIPT
        return {f"{self.main}.py": (str(path), pathlib.Path(path).read_bytes())}

    def archive(self) -> pathlib.Path:
        """Its name says what is in it, so it travels once to each node."""
        with self._lock:
            if self._archive is None:
                self._archive = self._write()
            return self._archive

    def _write(self) -> pathlib.Path:
        file = io.BytesIO()
        start = b"import sys\nfrom _rpicluster.node import main\nsys.exit(main())\n"
        contents = {**self._sources, "__main__.py": ("", start)}
        with zipfile.ZipFile(file, "w") as archive:
            for name, (path, source) in sorted(contents.items()):
                archive.writestr(zipfile.ZipInfo(name), source)
                archive.writestr(zipfile.ZipInfo(name + "c"), _compiled(source, path or name))
        data = file.getvalue()
        target = self.folder / f"code-{hashlib.sha256(data).hexdigest()[:16]}.pyz"
        target.write_bytes(data)
        return target
