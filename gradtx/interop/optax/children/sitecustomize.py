"""What Python runs first in a process that was started by one where `gradtx.interop.optax.install()` was called.

`install` puts this folder at the head of PYTHONPATH, which such a process inherits. There, `import optax` gets gradtx, too.
Nothing is imported before that: most programs that a program starts know nothing of Optax.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from types import ModuleType


class _Installer(MetaPathFinder):
    """Calls `install` at the first import of Optax."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != "optax":
            return None
        sys.meta_path.remove(self)
        if find_spec("gradtx") is None:
            raise ImportError(
                f"this program was started by one in which Optax is replaced by gradtx, and {sys.executable} has no gradtx: "
                f"install it there, or start the program without {Path(__file__).parent} in PYTHONPATH."
            )
        from gradtx.interop.optax import install

        install()
        return find_spec(fullname)


def _run_the_next() -> None:
    """Run the `sitecustomize` that this one hides, if there is one."""
    sys.path.remove(str(Path(__file__).parent))
    spec = PathFinder.find_spec("sitecustomize")
    if spec is not None and spec.loader is not None:
        module = sys.modules["sitecustomize"] = module_from_spec(spec)
        spec.loader.exec_module(module)


sys.meta_path.insert(0, _Installer())
_run_the_next()
