"""Within `shard_map`: give parts of many matrices for a few whole ones, work on these, and give the results back."""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gradtx.tree.scopes import MeshAxes, Place, devices_along, gathered, own_part


class Spread(NamedTuple):
    """Along which axes of the mesh the rows of matrices are split, their columns, and neither, as each device has a copy."""

    rows: MeshAxes
    columns: MeshAxes
    copies: MeshAxes

    @property
    def parts(self) -> MeshAxes:
        """Along which axes each device has a part."""
        return self.rows + self.columns


class _Plan(NamedTuple):
    """What is done along each axis of the mesh.

    - `dealt`: each device takes some of the matrices, of which it has copies;
    - `exchanged`: each gives its parts of the others for all parts of some;
    - `gathered`: each gets all parts of all.
    """

    dealt: MeshAxes
    exchanged: MeshAxes
    gathered: MeshAxes

    @property
    def divided(self) -> MeshAxes:
        """Along which axes each device has matrices of its own."""
        return self.dealt + self.exchanged


def on_whole(
    f: Callable[..., jax.Array], spread: Spread, parts: jax.Array, *others: jax.Array, keep_whole: bool, cap_bytes: int
) -> jax.Array:
    """Return `f(matrices, *others)`, of which each device computes its share, from what each has of the matrices.

    Args:
      f: a function of some whole matrices, and of that of the others which is beside them.
      spread: how the matrices are split.
      parts: what a device has of them, of shape (matrices, rows, columns).
      *others: arrays with as many entries, which all devices have.
      keep_whole: whether every device gets all results; else it gets parts of them as it had of the matrices.
      cap_bytes: the most bytes of whole matrices on a device at a time, if one matrix has no more.
    """

    def step(arrays: tuple[jax.Array, ...]) -> jax.Array:
        return _at_once(f, spread, *arrays, keep_whole=keep_whole)

    results, start = [], 0
    matrix_bytes = parts[0].nbytes * devices_along(spread.parts)
    for number, size in _chunks(len(parts), devices_along(spread.parts + spread.copies), cap_bytes // max(1, matrix_bytes)):
        chunk = [lax.slice_in_dim(x, start, start + number * size) for x in (parts, *others)]
        if number == 1:
            results.append(step(tuple(chunk)))
        else:
            many = lax.map(step, tuple(x.reshape(number, size, *x.shape[1:]) for x in chunk))
            results.append(many.reshape(number * size, *many.shape[2:]))
        start += number * size
    return jnp.concatenate(results) if len(results) > 1 else results[0]


def _chunks(matrices: int, devices: int, most_each: int) -> Iterator[tuple[int, int]]:
    """How many chunks of how many matrices there are: each device gets equally many in all of them, but for the last."""
    rounds, left = divmod(matrices, devices)
    each = math.ceil(rounds / math.ceil(rounds / max(1, most_each))) if rounds else 1
    for number, size in ((rounds // each, each * devices), (1, rounds % each * devices), (1, left)):
        if number and size:
            yield number, size


def _at_once(f: Callable[..., jax.Array], spread: Spread, parts: jax.Array, *others: jax.Array, keep_whole: bool) -> jax.Array:
    plan = _cheapest(len(parts), spread, keep_whole=keep_whole)
    missing = -len(parts) % devices_along(plan.divided)
    padded, *others_padded = (jnp.pad(x, [(0, missing)] + [(0, 0)] * (x.ndim - 1)) for x in (parts, *others))
    result = f(_to_whole(padded, spread, plan), *(_mine(x, plan.divided) for x in others_padded))
    result = _all(result, plan.divided) if keep_whole else _to_parts(result, spread, plan)
    return lax.slice_in_dim(result, 0, len(parts))


def _cheapest(matrices: int, spread: Spread, *, keep_whole: bool) -> _Plan:
    """The plan by which no device gets more matrices than it must, and sends least: few matrices are padded, or gathered."""

    def cost(plan: _Plan) -> tuple[int, float]:
        dealt, exchanged, all_gathered = map(devices_along, plan)
        each = math.ceil(matrices / (dealt * exchanged))
        # In parts of matrices that a device sends: there, and back.
        own = each * exchanged
        exchange, gather, deal = own * (1 - 1 / exchanged), own * (all_gathered - 1), own * (dealt - 1)
        whole = each * exchanged * all_gathered * (dealt * exchanged - 1)
        return each, exchange + gather + (whole if keep_whole else exchange + deal)

    names = spread.parts + spread.copies if spread.parts else ()  # what is whole already is not sent
    return min((_plan(spread, chosen) for n in range(len(names) + 1) for chosen in itertools.combinations(names, n)), key=cost)


def _plan(spread: Spread, divided: MeshAxes) -> _Plan:
    return _Plan(
        dealt=tuple(name for name in spread.copies if name in divided),
        exchanged=tuple(name for name in spread.parts if name in divided),
        gathered=tuple(name for name in spread.parts if name not in divided),
    )


# --- there and back ---------------------------------------------------------------------------------------------------


def _to_whole(parts: jax.Array, spread: Spread, plan: _Plan) -> jax.Array:
    """Parts of many matrices, as all parts of those that this device works on."""
    own = _exchange(_mine(parts, plan.dealt), plan.exchanged)
    many = lax.all_gather(own, plan.gathered) if plan.gathered else own
    number, (rows, columns) = len(own) // devices_along(plan.exchanged), own.shape[1:]
    by_axis = many.reshape(*map(lax.axis_size, plan.gathered + plan.exchanged), number, rows, columns)
    whole = by_axis.transpose(_order(spread, plan))
    return whole.reshape(number, rows * devices_along(spread.rows), columns * devices_along(spread.columns))


def _to_parts(whole: jax.Array, spread: Spread, plan: _Plan) -> jax.Array:
    """The inverse of `_to_whole`."""
    number, rows, columns = whole.shape
    row_sizes, column_sizes = (tuple(map(lax.axis_size, names)) for names in (spread.rows, spread.columns))
    rows, columns = rows // math.prod(row_sizes), columns // math.prod(column_sizes)
    by_axis = whole.reshape(number, *row_sizes, rows, *column_sizes, columns).transpose(np.argsort(_order(spread, plan)))
    many = by_axis.reshape(-1, devices_along(plan.exchanged) * number, rows, columns)
    own = many[lax.axis_index(plan.gathered)] if plan.gathered else many[0]
    return _all(_exchange(own, plan.exchanged), plan.dealt)


def _order(spread: Spread, plan: _Plan) -> tuple[int, ...]:
    """Where the axes of matrices are that are split by the axes of the mesh, among those of arrays that begin with these."""
    names = plan.gathered + plan.exchanged
    at = {name: k for k, name in enumerate(names)}
    number, rows, columns = range(len(names), len(names) + 3)
    return (number, *(at[name] for name in spread.rows), rows, *(at[name] for name in spread.columns), columns)


def _exchange(x: jax.Array, names: MeshAxes) -> jax.Array:
    return lax.all_to_all(x, names, split_axis=0, concat_axis=0, tiled=True) if names else x


def _mine(x: jax.Array, names: MeshAxes) -> jax.Array:
    """The entries of this device, if they are dealt along some axes of the mesh."""
    return own_part(x, Place((names,)))


def _all(x: jax.Array, names: MeshAxes) -> jax.Array:
    return gathered(x, Place((names,)))
