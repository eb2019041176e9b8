"""How large the steps of parameters are, as far as it is known without gradients, and which of them are rounded away."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gradtx.core import Params
from gradtx.inspection.walk import Node, Parameter
from gradtx.tree.paths import leaves_with_paths
from gradtx.tree.sixteen_bits import has_sixteen_bits, is_sixteen_bits

Sizes = dict[str, float | None]
"""Of each parameter by its path; None where it is not known."""

_SAMPLE = 4096  # numbers of a parameter that are looked at
_STEPS = [0, *(2**k for k in range(21))]  # at which a schedule is looked at


class Lost(NamedTuple):
    """The steps of a parameter, the size of its numbers, and half of the gap between two of these, which is more."""

    parameter: Parameter
    step: float
    size: float
    half_gap: float


def sizes_of(params: Params) -> Sizes:
    """Return how large a number usually is in each 16-bit parameter that is an array; one of zeros has none."""
    return {path: _median(leaf) for path, leaf in leaves_with_paths(params) if _is_known(leaf) and has_sixteen_bits(leaf)}


def lost_steps(node: Node, sizes: Mapping[str, float | None]) -> list[Lost]:
    """Return the 16-bit parameters that a step of an optimizer leaves as they were, since it is rounded away.

    Args:
      node: the composition.
      sizes: those of the parameters; without one, it is taken for 1.
    """
    narrow = [parameter for parameter in node.parameters if is_sixteen_bits(parameter.dtype)]
    if not narrow:
        return []
    steps = _steps(node, dict.fromkeys(node.paths))
    lost = []
    for parameter in narrow:
        step, size = steps[parameter.path], sizes.get(parameter.path, 1.0)
        if step is not None and size is not None and step < (half_gap := _half_gap(size, parameter.dtype)):
            lost.append(Lost(parameter, step, size, half_gap))
    return lost


def _steps(node: Node, sizes: Sizes) -> Sizes:
    """The size of the updates that a transformation makes of updates of given sizes; of what is not rounded there is none."""
    told = node.told
    if told.freezes or (told.widens and not any(part.told.widens for part in node.parts)):
        return dict.fromkeys(node.paths)
    if told.update_size is not None:
        sizes = dict.fromkeys(node.paths, _largest(told.update_size))
    elif told.factor is None and not node.parts:
        return dict.fromkeys(node.paths)
    for part in node.parts if told.update_size is None else ():
        sizes = {**sizes, **_steps(part, {path: sizes[path] for path in part.paths})}
    factor = 1.0 if told.factor is None else _largest(told.factor)
    return {path: None if size is None or factor is None else size * factor for path, size in sizes.items()}


def _largest(number: Any) -> float | None:
    """The largest magnitude of a number, or of a schedule; None of what is traced."""
    with jax.ensure_compile_time_eval():
        values = [number(jnp.asarray(step, jnp.int32)) for step in _STEPS] if callable(number) else [number]
        if any(isinstance(value, Tracer) for value in values):
            return None
        return max(float(np.max(np.abs(np.asarray(value, float)), initial=0.0)) for value in values)


def _half_gap(size: float, dtype: Any) -> float:
    """Half of what a number is away from the next one towards 0."""
    return float(jnp.finfo(dtype).eps) * 2.0 ** (math.ceil(math.log2(size)) - 2)


def _is_known(leaf: Any) -> bool:
    """Whether there are numbers to look at: of an array that was not donated, and some of it on a device of this process."""
    if not isinstance(leaf, jax.Array) or isinstance(leaf, Tracer):
        return isinstance(leaf, np.ndarray)
    return not leaf.is_deleted() and bool(leaf.addressable_shards)


def _median(leaf: Any) -> float | None:
    """The median of the magnitudes other than 0 among its first numbers: of a sharded one, those that are at hand."""
    at_hand = leaf.addressable_data(0) if isinstance(leaf, jax.Array) else leaf
    magnitudes = np.abs(np.asarray(at_hand.reshape(-1)[:_SAMPLE], np.float32))
    magnitudes = magnitudes[(magnitudes > 0) & np.isfinite(magnitudes)]
    return float(np.median(magnitudes)) if magnitudes.size else None
