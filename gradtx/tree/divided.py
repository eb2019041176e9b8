"""Rules on whole matrices that are split among devices: each device works on some of them, and none on those of another.

Left to itself, the compiler splits and gathers within each product of an iteration, and devices do the same work. Constraints
on layouts do not bind it; `shard_map` does.
"""

import contextlib
import functools
import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec

from gradtx.tree import scopes
from gradtx.tree.exchange import Spread, on_whole
from gradtx.tree.holes import is_hole
from gradtx.tree.layout import axes_in, is_explicit
from gradtx.tree.matrices import DimensionNumbers, Split, splits_of_matrices
from gradtx.tree.scopes import gathered, own_part

_Row: TypeAlias = tuple[jax.Array, ...]
_CAP = 1 << 28
_WHOLE = PartitionSpec()


class Layout(NamedTuple):
    """How an array is split among devices: for each of its axes, along which axes of the mesh."""

    mesh: Mesh | AbstractMesh
    split: Split

    @property
    def spec(self) -> PartitionSpec:
        """The same in JAX's words."""
        return PartitionSpec(*(names or None for names in self.split))

    @property
    def counting(self) -> scopes.Place:
        """Where that array is which has an entry for each matrix."""
        return scopes.Place(self.split[:-2])


# --- what is known ----------------------------------------------------------------------------------------------------


def layouts_of(arrays: Any, numbers: Sequence[DimensionNumbers | None]) -> list[Layout | None]:
    """Return how the matrices that arrays are made of are split among devices; None if they are not, or if nobody knows.

    On a mesh of explicit axes it is part of the type of an array; elsewhere a wrapper may have said it.

    Args:
      arrays: a tree of them.
      numbers: the dimension numbers of each.
    """
    leaves = jax.tree.leaves(arrays)
    if jax.sharding.get_abstract_mesh().manual_axes:  # within shard_map, where a device sees nothing but its part
        return [None] * len(leaves)
    pairs = zip(leaves, scopes.shardings_of(arrays), strict=True)
    found = [_layout(x, _sharding_in_type(x) or said) for x, said in pairs]
    splits = splits_of_matrices([layout and layout.split for layout in found], arrays, numbers)
    return [layout._replace(split=split) if layout and split else None for layout, split in zip(found, splits, strict=True)]


def as_they_lie(arrays: Any) -> contextlib.AbstractContextManager[None]:
    """Say how arrays are split that are not traced, where nobody else has said it."""

    def seen(x: Any) -> NamedSharding | None:
        sharding = None if jax.device_count() == 1 or isinstance(x, Tracer) else getattr(x, "sharding", None)
        return sharding if isinstance(sharding, NamedSharding) and not sharding.is_fully_replicated else None

    if not any(map(seen, jax.tree.leaves(arrays))):
        return contextlib.nullcontext()
    return scopes.placed(arrays, lambda place, x: place._replace(sharding=place.sharding or seen(x)))


def _sharding_in_type(x: jax.Array) -> NamedSharding | None:
    sharding = jax.typeof(x).sharding
    return sharding if is_explicit(sharding.mesh) else None


def _layout(x: jax.Array, sharding: NamedSharding | None) -> Layout | None:
    """That of an array which is split, and in equal parts."""
    if sharding is None or len(sharding.spec) > x.ndim:
        return None
    split = tuple(map(axes_in, (*sharding.spec, *[None] * (x.ndim - len(sharding.spec)))))
    numbers = [math.prod(sharding.mesh.shape[name] for name in names) for names in split]
    is_split = any(number > 1 for number in numbers) and all(
        size and size % number == 0 for size, number in zip(x.shape, numbers, strict=True)
    )
    return Layout(sharding.mesh, split) if is_split else None


# --- what is done -----------------------------------------------------------------------------------------------------


def on_whole_matrices(
    rule: Callable[..., Any] | None = None, *, keep_whole: bool = False, cap_bytes: int = _CAP
) -> Callable[..., Any]:
    """Let each device carry out a rule on some of the matrices, which it gets whole.

        @on_whole_matrices
        @tree.lift
        def rule(m, *, coefficients): ...

        u = rule(matrices, layouts_of(arrays, numbers), coefficients=coefficients)

    Of k matrices of one shape that are split alike among n devices each gets ⌈k/n⌉: it gives its parts of the others for all
    parts of these, and gets the results back so, of as many at a time as there is room for. Fewer than n are filled up with
    zeros, or gathered along some axes of the mesh, whatever sends less. Where nothing is known the compiler decides, as it does
    on the rule alone.

    Args:
      rule: a lifted rule of one result. Its first tree has arrays (..., rows, columns), the others have as many matrices for
        each, which are whole on all devices.
      keep_whole: whether all devices get all results; else these are matrices, split as the given ones are.
      cap_bytes: the most bytes of whole matrices that a device is given at a time, unless a single one has more.

    Returns:
      A function of the matrices, their layouts, the other trees, and scalars by keyword.
    """
    if rule is None:
        return functools.partial(on_whole_matrices, keep_whole=keep_whole, cap_bytes=cap_bytes)

    def on_device(layouts: tuple[Layout, ...], rows: list[_Row], scalars: dict[str, Any]) -> list[jax.Array]:
        own = [
            (matrix, *(own_part(x, layout.counting) for x in others))
            for (matrix, *others), layout in zip(rows, layouts, strict=True)
        ]
        stacks = [jnp.concatenate([_listed(x) for x in column]) for column in zip(*own, strict=True)]
        f = functools.partial(rule, **scalars)
        results = on_whole(f, _spread(layouts[0]), *stacks, keep_whole=keep_whole, cap_bytes=cap_bytes)
        shaped = _unlisted(results, [matrix.shape[:-2] for matrix, *_ in rows])
        return [gathered(x, layout.counting) for x, layout in zip(shaped, layouts, strict=True)] if keep_whole else shaped

    @functools.partial(jax.jit, static_argnums=0)  # so that it is one program outside of `jit`, too
    def on_group(layouts: tuple[Layout, ...], rows: list[_Row], scalars: dict[str, Any]) -> list[jax.Array]:
        specs = [layout.spec for layout in layouts]
        in_specs = [(spec, *[_WHOLE] * len(others)) for spec, (_, *others) in zip(specs, rows, strict=True)]
        mapped = jax.shard_map(
            functools.partial(on_device, layouts),
            mesh=layouts[0].mesh,
            in_specs=(in_specs, _WHOLE),
            out_specs=_WHOLE if keep_whole else specs,
            check_vma=False,  # which does not see that what was gathered is the same on all devices
        )
        return mapped(rows, scalars)

    def on_tree(matrices: Any, layouts: Sequence[Layout | None], *others: Any, **scalars: Any) -> Any:
        if not any(layouts):
            return rule(matrices, *others, **scalars)
        leaves, structure = jax.tree.flatten(matrices, is_leaf=is_hole)
        rows = list(zip(leaves, *map(structure.flatten_up_to, others), strict=True))
        known = iter(layouts)
        groups = _groups([(None if is_hole(row[0]) else next(known), row) for row in rows])
        divided = {k for places, _ in groups for k in places}
        left = structure.unflatten(None if k in divided else leaf for k, leaf in enumerate(leaves))
        results = structure.flatten_up_to(rule(left, *others, **scalars))
        for places, its_layouts in groups:
            for k, result in zip(places, on_group(its_layouts, [rows[k] for k in places], scalars), strict=True):
                results[k] = result
        return structure.unflatten(results)

    return on_tree


def _groups(rows: Sequence[tuple[Layout | None, _Row]]) -> list[tuple[list[int], tuple[Layout, ...]]]:
    """Where those rows are whose layout is known, and their layouts: together what may be exchanged together."""
    groups: dict[Hashable, list[tuple[int, Layout]]] = {}
    for k, (layout, row) in enumerate(rows):
        if layout is not None and all(isinstance(x, jax.Array) for x in row):
            types = tuple((x.shape[-2:], x.dtype) for x in row)
            groups.setdefault((layout.mesh, _spread(layout), types), []).append((k, layout))
    return [([k for k, _ in group], tuple(layout for _, layout in group)) for group in groups.values()]


def _spread(layout: Layout) -> Spread:
    """How the rows and the columns of an array of matrices are split; axes that count matrices hand out whole ones."""
    long = [name for name, size in layout.mesh.shape.items() if size > 1]
    *counting, rows, columns = (tuple(name for name in names if name in long) for names in layout.split)
    used = {name for names in (*counting, rows, columns) for name in names}
    return Spread(rows, columns, tuple(name for name in long if name not in used))


def _listed(x: jax.Array) -> jax.Array:
    return x.reshape(-1, *x.shape[-2:])


def _unlisted(x: jax.Array, batches: Sequence[tuple[int, ...]]) -> list[jax.Array]:
    """The inverse: arrays of so many matrices each."""
    ends = np.cumsum([math.prod(batch) for batch in batches])[:-1]
    return [part.reshape(*batch, *x.shape[1:]) for batch, part in zip(batches, jnp.split(x, ends), strict=True)]
