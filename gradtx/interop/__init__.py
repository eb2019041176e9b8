"""Rooms for those who come from elsewhere: one for each library, loaded when it is touched."""

import typing as _typing

if _typing.TYPE_CHECKING:
    from gradtx.interop import keras as keras
    from gradtx.interop import optax as optax
    from gradtx.interop import torch as torch
    from gradtx.interop import transformers as transformers
else:
    from gradtx import lazy as _lazy

    _PARTS = ("keras", "optax", "torch", "transformers")

    def __getattr__(name: str) -> _typing.Any:
        return _lazy.attribute(__name__, name, _PARTS)

    def __dir__() -> list[str]:
        return _lazy.names(__name__, _PARTS)
