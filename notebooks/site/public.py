"""The public names of gradtx and the page that each is on, read from the source: a new name has a page by itself."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]

# Modules whose names are public where they are, besides those in the one list of `gradtx/__init__.py`.
MODULES = (
    "gradtx.schedules",
    "gradtx.losses",
    "gradtx.aggregating",
    "gradtx.tree",
    "gradtx.linalg",
    "gradtx.projections",
    "gradtx.second_order",
    "gradtx.perturbations",
    "gradtx.assignment",
    "gradtx.microbatching",
    "gradtx.recipes",
    "gradtx.testing",
    "gradtx.interop.optax",
    "gradtx.interop.torch",
    "gradtx.interop.keras",
    "gradtx.interop.transformers",
)
# Rooms in which each file has a page of its own. Others are one page each.
ROOMS_OF_PAGES = ("optimizers", "transforms", "wrappers")


class Name(NamedTuple):
    """A public name, and the module that defines it."""

    path: str
    module: str

    @property
    def source(self) -> str:
        """Where it is found in the source: its path, unless a module has the same one, as `gradtx.minimize` has."""
        return f"{self.module}.{self.path.rpartition('.')[2]}" if _is_module(self.path) else self.path

    @property
    def page(self) -> str:
        """The page that it is on, without a suffix: "wrappers/masked", "losses", "interop/torch"."""
        room, *rest = self.module.split(".")[1:]
        if room == "interop" or (room in ROOMS_OF_PAGES and rest):
            return f"{room}/{rest[0]}"
        return room


def public_names() -> list[Name]:
    """Return all public names, each once: as `gradtx.adam` if it is there, else where its theme has it."""
    top = list(_imported("gradtx"))
    listed = _listed_at_the_top()
    names = [name for name in top if name.path.removeprefix("gradtx.") in listed]
    seen = {(name.module.split(".")[1], name.path.rpartition(".")[2]) for name in names}
    for module in MODULES:
        room = module.split(".")[1]
        found = _imported(module) if _file(module).name == "__init__.py" else _defined(module)
        names += [name for name in found if (room, name.path.rpartition(".")[2]) not in seen]
    return names


def module_of_a_page(page: str) -> str:
    """Return the module that a page is about."""
    return "gradtx." + page.replace("/", ".")


def docstring_of(module: str) -> str:
    """Return the docstring of a module."""
    return ast.get_docstring(_parsed(module)) or ""


def _imported(package: str) -> Iterator[Name]:
    """The names that a package takes from its modules."""
    for statement in _parsed(package).body:
        if isinstance(statement, ast.ImportFrom) and statement.module and statement.module.startswith("gradtx"):
            for alias in statement.names:
                name, module = alias.asname or alias.name, statement.module
                if not name.startswith("_") and not _is_module(f"{module}.{alias.name}"):
                    yield Name(f"{package}.{name}", module)


def _defined(module: str) -> Iterator[Name]:
    """The names that a module defines."""
    for statement in _parsed(module).body:
        match statement:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                pass
            case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
                pass
            case _:
                continue
        if not name.startswith("_"):
            yield Name(f"{module}.{name}", module)


def _listed_at_the_top() -> set[str]:
    for statement in _parsed("gradtx").body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__":
            return set(ast.literal_eval(statement.value))
    raise ValueError("gradtx/__init__.py has no __all__")


def _parsed(module: str) -> ast.Module:
    return ast.parse(_file(module).read_text(encoding="utf-8"))


def _file(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _is_module(name: str) -> bool:
    return _file(name).exists()
