"""gradtx in Optax's own layout, for programs that were written for Optax.

    import gradtx.interop.optax as optax          # one program: the names where Optax has them
    gradtx.interop.optax.install()                # one process and those it starts: `import optax` gets this module
    python -m gradtx.interop.optax program.py     # without touching a line

Beside the real Optax, `to_optax` and `from_optax` carry transformations across, and `convert_state` states.
"""

from typing import Any as _Any

from gradtx.interop.optax import internals, layout
from gradtx.interop.optax.bridge import convert_state as convert_state
from gradtx.interop.optax.bridge import from_optax as from_optax
from gradtx.interop.optax.bridge import to_optax as to_optax
from gradtx.interop.optax.finder import install as install

globals().update(layout.contents("") | layout.make_modules())
_src = internals  # programs reach into it without importing it
__version__ = "0.2.8"  # the Optax whose names these are: programs compare it


def __getattr__(name: str) -> _Any:
    return layout.missing("optax")(name)
