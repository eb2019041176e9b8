"""Which parameter of torch is which one here, and how its axes lie."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from gradtx import hints
from gradtx.core import Params
from gradtx.errors import unnamed
from gradtx.tree.paths import leaves_with_paths

Name: TypeAlias = str | tuple[str, tuple[int, ...]]
"""A path such as "layers/0/kernel", or a path and the axes of torch's array in the order that they have here."""
Names: TypeAlias = Sequence[Name] | Mapping[str, Name]
"""One for each parameter of torch's optimizer, in its order; as a mapping, by the names that torch's model has for them."""


class ParamPair(NamedTuple):
    """A parameter of torch, by its place in the optimizer, and the one here."""

    index: int
    torch_name: str
    path: str
    axes: tuple[int, ...]
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.torch_name} ({self.path})"

    def here(self, entry: str, array: np.ndarray) -> np.ndarray:
        """Return an array of torch in the shape that it has here; raise if it has another."""
        if array.ndim != len(self.shape):
            raise unnamed(ValueError, f"{entry} of {self} has the shape {array.shape}, not {self.shape} as here.")
        shape = tuple(array.shape[axis] for axis in self.axes)
        if shape != self.shape:
            order = "" if shape == array.shape else f", which is {shape} with its axes in the order {self.axes}"
            raise unnamed(ValueError, f"{entry} of {self} has the shape {array.shape}{order}, not {self.shape} as here.")
        return np.transpose(array, self.axes)

    def there(self, array: np.ndarray) -> np.ndarray:
        """Return an array of gradtx as torch has it."""
        return np.transpose(array, np.argsort(self.axes))


def param_pairs(param_groups: Sequence[Mapping[str, Any]], params: Params, names: Names) -> dict[str, ParamPair]:
    """Return all pairs, by the path here.

    Args:
      param_groups: those of torch's `state_dict()`.
      params: a tree of arrays.
      names: see `Names`.

    Raises:
      ValueError: a parameter, here or in torch, has no counterpart or several.
    """
    indices = [index for group in param_groups for index in group["params"]]
    shapes = {path: np.shape(p) for path, p in leaves_with_paths(params)}
    listed = _in_order(param_groups, names)
    if len(listed) != len(indices):
        raise unnamed(ValueError, f"torch's optimizer has {len(indices)} parameters, but names has {len(listed)}.")
    pairs: dict[str, ParamPair] = {}
    for index, (torch_name, name) in zip(indices, listed, strict=True):
        path, axes = (name, None) if isinstance(name, str) else name
        if path not in shapes:
            hint = hints.nearest(path, shapes, otherwise=f"they are {', '.join(shapes)}.")
            raise unnamed(ValueError, f"{torch_name} is said to be {path!r}, which is none of the parameters here; {hint}")
        if path in pairs:
            raise unnamed(ValueError, f"{path!r} is said to be both {pairs[path].torch_name} and {torch_name}.")
        shape = shapes[path]
        axes = tuple(range(len(shape))) if axes is None else tuple(axes)
        if sorted(axes) != list(range(len(shape))):
            raise unnamed(ValueError, f"{axes} is not an order of the axes of {path!r}, whose shape is {shape}.")
        pairs[path] = ParamPair(index, torch_name, path, axes, shape)
    if missing := sorted(shapes.keys() - pairs.keys()):
        raise unnamed(ValueError, f"names has nothing for {missing[0]!r}.")
    return pairs


def _in_order(param_groups: Sequence[Mapping[str, Any]], names: Names) -> list[tuple[str, Name]]:
    """Pairs of torch's name and the name here, in the order of torch's parameters."""
    if not isinstance(names, Mapping):
        return [(f"parameter {k}", name) for k, name in enumerate(names)]
    theirs = [name for group in param_groups for name in group.get("param_names", [])]
    if not theirs:
        return list(names.items())
    for name in theirs:
        if name not in names:
            raise unnamed(ValueError, f"names has nothing for torch's {name!r}.")
    return [(name, names[name]) for name in theirs] + [(name, at) for name, at in names.items() if name not in theirs]
