"""`install`: every later `import optax` gets gradtx.

A finder at the head of `sys.meta_path` gives `optax` and each of its modules the module of the same name here. (To put one
module into `sys.modules` would not do: `import optax.contrib` would look for a file and load every class a second time.)
"""

import importlib
import os
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from gradtx.errors import warn

_HERE = "gradtx.interop.optax"
_FOR_CHILDREN = str(Path(__file__).parent / "children")


def install(*, children: bool = True) -> None:
    """Make every later `import optax...` in this process resolve to gradtx; call it before anything imports Optax.

    Programs and libraries written for Optax then run on gradtx, `isinstance` checks and unpickled states included. Calling
    it twice is the same as once.

    Args:
      children: whether Python processes that this one starts get gradtx, too (`multiprocessing`, `subprocess`): they inherit
        it by PYTHONPATH. One that is started with another PYTHONPATH or with `-I`, `-E` or `-S` has to call `install` itself.

    Raises:
      RuntimeError: Optax itself is loaded already, so that some modules would hold one library and some the other.
    """
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    if loaded := sorted(name for name in sys.modules if name == "optax" or name.startswith("optax.")):
        raise RuntimeError(f"install() came too late: {loaded[0]} is loaded already. Call it before the first import of Optax.")
    sys.meta_path.insert(0, _Finder())
    if children:
        _pass_on()


def _pass_on() -> None:
    if sys.flags.ignore_environment or sys.flags.no_site:
        warn(
            "install() cannot reach the processes that this one starts, as Python runs with -I, -E or -S: there, Optax is what "
            "it was. Run Python without them, or call install() there, too.",
            RuntimeWarning,
        )
    inherited = os.environ.get("PYTHONPATH", "")
    if _FOR_CHILDREN not in inherited.split(os.pathsep):
        os.environ["PYTHONPATH"] = _FOR_CHILDREN + (os.pathsep + inherited if inherited else "")


class _Finder(MetaPathFinder):
    """Finds `optax` and what is in it."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != "optax" and not fullname.startswith("optax."):
            return None
        return ModuleSpec(fullname, _Alias(), is_package=True)


class _Alias(Loader):
    """Loads a module under a second name, as the same object."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        own_name = _own_name(spec.name)
        try:
            module = importlib.import_module(own_name)
        except ModuleNotFoundError as error:
            if error.name is None or not own_name.startswith(error.name):
                raise
            raise ModuleNotFoundError(f"gradtx has no module {spec.name}", name=spec.name) from None
        self.own_spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.own_spec  # the import system has just replaced it: a module keeps its first name


def _own_name(name: str) -> str:
    if name == "optax._src":
        return f"{_HERE}.internals"
    if any(word.startswith("_") for word in name.split(".")):
        return f"{_HERE}.private"
    return _HERE + name.removeprefix("optax")
