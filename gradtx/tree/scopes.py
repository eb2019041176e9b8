"""What a rule cannot see in an array: that it is one of the parts of a leaf on a mesh, or that many layers are in it.

The wrappers that know it (`per_shard`, `stacked`, `sharded`) say it, by path, for the time of a call of what they wrap.
Reductions know two scopes: within a rule on leaves (`tree.lift`, `tree.map_leaves`) that of the *leaf*, and outside of one that
of the *tree*.
"""

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import NamedSharding

from gradtx.errors import unnamed
from gradtx.tree.layout import first_axis_like, is_explicit, placed_like, varying_axes

MeshAxes: TypeAlias = tuple[str, ...]
_Path: TypeAlias = tuple[Any, ...]


class Place(NamedTuple):
    """Where the array of a leaf is among all that belongs to it.

    - `split`: for each axis of the array the axes of the mesh along which `shard_map` has split it; None if nobody knows;
    - `layers`: whether its first axis counts layers, which rules see one by one;
    - `batch`: the axes of the mesh along which `shard_map` has split the examples; None if nobody has said it;
    - `sharding`: how the whole leaf is split among devices, if somebody has said so.
    """

    split: tuple[MeshAxes, ...] | None = ()
    layers: bool = False
    batch: MeshAxes | None = ()
    sharding: NamedSharding | None = None

    @property
    def of_layer(self) -> "Place":
        """That of one layer."""
        return self._replace(split=self.split and self.split[1:], layers=False) if self.layers else self

    def mesh_axes(self, axes: Sequence[int] | None = None) -> MeshAxes:
        """Return the axes of the mesh along which some axes of the array are split, by default all of them."""
        if self.split is None:
            raise unnamed(ValueError, "it is not known how this array is split; call update outside of shard_map.")
        chosen = self.split if axes is None else [self.split[axis] for axis in axes if axis < len(self.split)]
        return tuple(name for names in chosen for name in names)


_WHOLE = Place()
_UNKNOWN = Place(split=None)


class _Known:
    """Places by path, hashed once, as they are part of the key of every program that is traced meanwhile."""

    def __init__(self, places: dict[_Path, Place]):
        self.places = places
        self._hash = hash(tuple(places.items()))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, _Known) and self.places == other.places)

    @functools.cached_property
    def matters(self) -> bool:
        """Whether rules have to know it."""
        return any(place.split or place.layers for place in self.places.values())

    @functools.cached_property
    def otherwise(self) -> Place:
        """Where another leaf than those of the parameters is: if these are split, nobody knows."""
        return _UNKNOWN if any(any(place.split or ()) for place in self.places.values()) else _WHOLE


# Contexts of JAX: what was traced within one is not taken for what is called within another.
_tree: Any = jax.make_user_context(None)
_leaf: Any = jax.make_user_context(None)


# --- what is said -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def placed(tree: Any, change: Callable[[Place, Any], Place]) -> Iterator[None]:
    """Say of each leaf of a tree like the parameters where it is.

    Args:
      tree: parameters, or what is known of each of them in their places.
      change: a function of what was known before and of the leaf, that returns what is known now.
    """
    before = _tree.value.places if _tree.value else {}
    rows = jax.tree_util.tree_leaves_with_path(tree)
    with _tree(_Known(before | {path: change(before.get(path, _WHOLE), leaf) for path, leaf in rows})):
        yield


def nothing_placed() -> contextlib.AbstractContextManager[None]:
    """Say that leaves are whole, and of one layer."""
    return _tree(None)


def layers_together() -> contextlib.AbstractContextManager[None]:
    """Let rules see all layers of a leaf at once."""
    known = _tree.value
    if known is None:
        return contextlib.nullcontext()
    return _tree(_Known({path: place._replace(layers=False) for path, place in known.places.items()}))


def in_leaf(place: Place) -> contextlib.AbstractContextManager[None]:
    """Reduce over one leaf, at this place."""
    return _leaf(place)


# --- what is known ----------------------------------------------------------------------------------------------------


def places_of(tree: Any, is_hole: Callable[[Any], bool] | None = None) -> list[Place] | None:
    """Return where each leaf of a tree is, holes left out; None if each is whole and of one layer."""
    if (leaf := _leaf.value) is not None:
        return [leaf] * len(jax.tree.leaves(tree)) if leaf.split != () else None
    known = _tree.value
    if known is None or not known.matters:
        return None
    rows = jax.tree_util.tree_leaves_with_path(tree, is_leaf=is_hole)
    return [known.places.get(path, known.otherwise) for path, leaf in rows if not (is_hole and is_hole(leaf))]


class _Whole(jax.ShapeDtypeStruct):
    """The shape of one layer of a whole leaf."""


def as_whole(tree: Any) -> Any:
    """Return what a function of the user's that chooses leaves is to see: one layer of each whole leaf, as a shape."""
    known = _tree.value
    if known is None or not known.matters:
        return tree

    def seen(path: _Path, leaf: Any) -> Any:
        place = known.places.get(path, _WHOLE)
        if place == _WHOLE or not hasattr(leaf, "dtype") or isinstance(leaf, _Whole):
            return leaf
        shape = whole_shape(leaf, place)
        return _Whole(shape[1:] if place.layers else shape, leaf.dtype)

    return jax.tree_util.tree_map_with_path(seen, tree)


def split_of(tree: Any) -> list[MeshAxes] | None:
    """Return for each leaf of a tree without holes the axes of the mesh along which it is split; None if no leaf is."""
    places = places_of(tree)
    return None if places is None else [place.mesh_axes() for place in places]


def shardings_of(tree: Any) -> list[NamedSharding | None]:
    """Return how each leaf of a tree is split among devices, as far as somebody has said so."""
    known = _tree.value.places if _tree.value else {}
    return [known.get(path, _WHOLE).sharding for path, _ in jax.tree_util.tree_leaves_with_path(tree)]


def batch_axes(gradients: Any) -> MeshAxes:
    """Return the axes of the mesh along which `shard_map` has split examples, whose gradients these are.

    Raises:
      ValueError: nobody has said it, and types do not tell it.
    """
    if (known := _tree.value) is None:
        return ()
    places = list(known.places.values())
    if not places or places[0].batch is not None:
        return places[0].batch if places else ()
    along = {name for g in jax.tree.leaves(gradients) for name in varying_axes(g)}
    if not along:
        raise unnamed(ValueError, "say along which axes examples are split: per_shard(..., batch=...), () for none.")
    return tuple(sorted(along - {name for place in places for name in place.mesh_axes()}))


def place_of_leaf() -> Place:
    """Return where the array of a rule is."""
    return _leaf.value or _WHOLE


def whole_shape(x: Any, place: Place | None = None) -> tuple[int, ...]:
    """Return the shape of the whole leaf, of which a rule sees the array `x`; outside of a rule at a place."""
    place, shape = place or place_of_leaf(), jnp.shape(x)
    if place.split == ():
        return shape
    return tuple(size * devices_along(place.mesh_axes([axis])) for axis, size in enumerate(shape))


def devices_along(names: MeshAxes) -> int:
    """Return how many devices there are along some axes of the mesh."""
    return math.prod(lax.axis_size(name) for name in names)


# --- what is done with it ---------------------------------------------------------------------------------------------


def at_place(place: Place, function: Callable[..., Any], *arguments: Any) -> Any:
    """Return `function(*arguments)` for the leaf at a place, layer by layer if it has many.

    Args:
      place: that of the leaf.
      function: of arrays, or of trees of them, and of numbers, which are the same for all layers.
      *arguments: those of all layers. Of a key each layer gets one of its own.
    """
    with in_leaf(place.of_layer):
        if not place.layers:
            return function(*arguments)
        leaves, structure = jax.tree.flatten(arguments)
        number = next(len(leaf) for leaf in leaves if jnp.ndim(leaf))
        leaves = [jax.random.split(leaf, number) if is_key(leaf) else leaf for leaf in leaves]
        counted = [k for k, leaf in enumerate(leaves) if jnp.ndim(leaf)]

        def of_layer(layer: list[jax.Array]) -> Any:
            seen = dict(zip(counted, layer, strict=True))
            return function(*structure.unflatten(seen.get(k, leaf) for k, leaf in enumerate(leaves)))

        model = leaves[counted[0]]
        results = jax.vmap(of_layer)([first_axis_like(model, leaves[k]) for k in counted])
        return jax.tree.map(functools.partial(_layers_like, model), results)


def _layers_like(model: jax.Array, result: jax.Array) -> jax.Array:
    """What was computed of each layer, where the layer lies."""
    result = first_axis_like(model, result)
    if result.ndim >= model.ndim or is_explicit(jax.typeof(model).sharding.mesh):
        return result
    of_layers = model.reshape(len(model), -1)[:, :1] if model.size else jnp.zeros((len(model), 1), model.dtype)
    return placed_like(jnp.broadcast_to(of_layers.reshape(-1, *[1] * (result.ndim - 1)), result.shape), result)


def combined(
    terms: Sequence[jax.Array],
    split: Sequence[MeshAxes] | None,
    of_devices: Callable[[jax.Array, MeshAxes], jax.Array],
    of_two: Callable[[Any, Any], jax.Array],
) -> list[jax.Array]:
    """Return the terms that come of leaves, those of parts of leaves combined with those of the other devices.

    Args:
      terms: one for each leaf.
      split: for each leaf the axes of the mesh along which it is split; see `split_of`.
      of_devices: combines one term of each of several devices, as `lax.psum` does.
      of_two: combines two terms: those of leaves that are split alike go together.
    """
    if not split:
        return list(terms)
    groups: dict[MeshAxes, list[jax.Array]] = {}
    for term, names in zip(terms, split, strict=True):
        groups.setdefault(names, []).append(term)
    together = {names: functools.reduce(of_two, group) for names, group in groups.items()}
    return [of_devices(term, names) if names else term for names, term in together.items()]


def largest_of_devices(x: jax.Array, names: MeshAxes) -> jax.Array:
    """Return `lax.pmax(x, names)`, and NaN where a device has it, which that may lose."""
    return _with_nan_of_devices(x, names, lax.pmax(x, names))


def smallest_of_devices(x: jax.Array, names: MeshAxes) -> jax.Array:
    """Return `lax.pmin(x, names)`, and NaN where a device has it, which that may lose."""
    return _with_nan_of_devices(x, names, lax.pmin(x, names))


def _with_nan_of_devices(x: jax.Array, names: MeshAxes, picked: jax.Array) -> jax.Array:
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        return picked
    return jnp.where(lax.pmax(jnp.isnan(x).astype(jnp.int32), names) > 0, jnp.nan, picked)


def gathered(x: jax.Array, place: Place) -> jax.Array:
    """Return the whole leaf of which `x` is a part."""
    for axis in range(x.ndim):
        if names := place.mesh_axes([axis]):
            x = lax.all_gather(x, names, axis=axis, tiled=True)
    return x


def own_part(whole: jax.Array, place: Place) -> jax.Array:
    """Return the part of a whole leaf that this device has: the inverse of `gathered`."""
    for axis in range(whole.ndim):
        if names := place.mesh_axes([axis]):
            size = whole.shape[axis] // devices_along(names)
            whole = lax.dynamic_slice_in_dim(whole, lax.axis_index(names) * size, size, axis)
    return whole


def same_on_all(x: jax.Array, place: Place) -> jax.Array:
    """Return what is the same on all devices that have parts of a leaf, made of the whole one, so that JAX knows it."""
    names = place.mesh_axes()
    return lax.psum(jnp.where(lax.axis_index(names) == 0, x, 0), names) if names else x


def own_key(key: jax.Array, place: Place) -> jax.Array:
    """Return a key that differs between the parts of a leaf, and not between copies of one part."""
    for name in place.mesh_axes():
        key = jax.random.fold_in(key, lax.axis_index(name))
    return key


def is_key(leaf: Any) -> bool:
    """Return whether a leaf is a typed random key."""
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
