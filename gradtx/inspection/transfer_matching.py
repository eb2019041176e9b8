"""Which leaf of an old state continues as which leaf of a new one, and its value there."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from gradtx.inspection.transfer_substates import Key, Leaf, Substate
from gradtx.inspection.walk import dtype_of
from gradtx.tree.dtypes import truncates
from gradtx.tree.layout import in_memory, on_device, placed_like

Fits: TypeAlias = Callable[[Leaf, Leaf], bool]
"""Whether a new leaf can take the value of an old one."""


class _Pair(NamedTuple):
    """A new and an old substate of equivalent types, by their ranks, and the keys under which a leaf of one fits the other."""

    new: int
    old: int
    own: list[Key]  # of the parameters
    shared: list[Key]  # of all of them, such as a count


def matched(new: Sequence[Substate], old: Sequence[Substate], fits: Fits) -> dict[int, Leaf]:
    """Return the old leaf for each position of a new leaf that has one.

    A substate takes from the old ones of equivalent types, beginning with the one that has most for it, then the one of like
    labels and rank. So a substate may be split among groups, and several be joined. No array of a parameter is taken twice, and
    what is shared by the parameters, such as a count, comes along with one of theirs.

    Args:
      new: the substates of the new state.
      old: those of the old one.
      fits: whether a new leaf can take the value of an old one.
    """
    sources: dict[int, Leaf] = {}
    used: set[int] = set()
    served: dict[int, list[Substate]] = {}
    for pair in _pairs(new, old, fits):
        ours, theirs = new[pair.new], old[pair.old]
        own = [key for key in pair.own if theirs.leaves[key].position not in used and ours.leaves[key].position not in sources]
        together = own or (_is_shared(ours) and all(are_apart(ours, other, new) for other in served.get(pair.old, [])))
        shared = [key for key in pair.shared if together and ours.leaves[key].position not in sources]
        sources |= {ours.leaves[key].position: theirs.leaves[key] for key in (*own, *shared)}
        used |= {theirs.leaves[key].position for key in own}
        if shared:
            served.setdefault(pair.old, []).append(ours)
    return sources


def _pairs(new: Sequence[Substate], old: Sequence[Substate], fits: Fits) -> list[_Pair]:
    """The pairs of substates of equivalent types, those that belong together first."""
    pairs = []
    for state_type in dict.fromkeys(substate.state_type for substate in new):
        theirs = [position for position, substate in enumerate(old) if substate.state_type == state_type]
        ours = [position for position, substate in enumerate(new) if substate.state_type == state_type]
        for rank, position in enumerate(ours):
            for other_rank, other in enumerate(theirs):
                pair = _pair(position, other, new, old, fits)
                common = len(set(new[position].labels) & set(old[other].labels))
                alike = new[position].kind == old[other].kind
                order = (-len(pair.own), -len(pair.shared), not alike, -common, abs(rank - other_rank))
                pairs.append((order, pair))
    return [pair for _, pair in sorted(pairs, key=lambda ordered: ordered[0])]


def _pair(position: int, other: int, new: Sequence[Substate], old: Sequence[Substate], fits: Fits) -> _Pair:
    ours, theirs = new[position].leaves, old[other].leaves
    common = [key for key in ours if key in theirs and fits(ours[key], theirs[key])]
    own = [key for key in common if ours[key].parameter is not None]
    return _Pair(position, other, own, [key for key in common if ours[key].parameter is None])


def _is_shared(substate: Substate) -> bool:
    """Whether nothing in a substate belongs to one parameter."""
    return all(leaf.parameter is None for leaf in substate.leaves.values())


def are_apart(one: Substate, other: Substate, substates: Sequence[Substate]) -> bool:
    """Return whether two of the substates of a state never see the same parameter.

    They are in different groups of one partition, or, as behind two masks, beside moments of different parameters.
    """
    depth = next((at for at, (a, b) in enumerate(zip(one.place, other.place, strict=False)) if a != b), 0)
    if depth > 0 and one.place[depth - 1] == "PartitionState.inner_states":
        return True
    seen, also_seen = _parameters_around(one, substates), _parameters_around(other, substates)
    return bool(seen and also_seen) and not seen & also_seen


def _parameters_around(substate: Substate, substates: Sequence[Substate]) -> set[str | None]:
    """The parameters that have a leaf nearest to a substate: in it, or else in what is beside it, and so on."""
    for depth in range(len(substate.place), -1, -1):
        near = [other for other in substates if other.place[:depth] == substate.place[:depth]]
        if parameters := {leaf.parameter for other in near for leaf in other.leaves.values()} - {None}:
            return parameters
    return set()


# --- the value of an old array instead of a new one --------------------------------------------------------------


def misfit(new: Any, old: Any, growing: bool = False) -> str | None:
    """Return why `new` cannot take the value of `old`, or None if it can.

    Args:
      new: an array.
      old: another.
      growing: whether `new` may be larger than `old`.
    """
    if np.shape(new) != np.shape(old) and not (growing and is_larger(new, old)):
        return f"shape {np.shape(new)} instead of {np.shape(old)}"
    ours, theirs = dtype_of(new), dtype_of(old)
    return None if _converts(theirs, ours) else f"dtype {ours} instead of {theirs}"


def is_larger(new: Any, old: Any) -> bool:
    """Return whether `old` has another shape than `new` and fits into it."""
    ours, theirs = np.shape(new), np.shape(old)
    return ours != theirs and len(ours) == len(theirs) and all(a >= b for a, b in zip(ours, theirs, strict=True))


def are_equal(one: Any, other: Any) -> bool:
    """Return whether two arrays are known to have equal values."""
    unknown = Tracer | jax.ShapeDtypeStruct
    return not isinstance(one, unknown) and not isinstance(other, unknown) and np.array_equal(one, other)


def taken_over(new: Any, old: Any) -> jax.Array:
    """Return an array of its own with the values of `old`, in the shape, dtype, sharding and memory of `new`.

    Where `new` is larger, it keeps its own values beyond the leading corner.
    """
    old, model = on_device(_free_to_move(new, old)), on_device(new)
    if np.shape(new) == np.shape(old):
        array = placed_like(model, jnp.array(old, dtype=new.dtype))
    else:
        corner = tuple(slice(size) for size in np.shape(old))
        array = placed_like(model, model.at[corner].set(jnp.asarray(old, dtype=new.dtype)))
    return array if model is new else in_memory(array, jax.typeof(new).memory_space)


def _free_to_move(new: Any, old: Any) -> Any:
    """The old array, on the host if it is bound to other devices than the new one; that may be bound to none, as a count."""
    if isinstance(new, Tracer) or isinstance(old, Tracer) or not isinstance(old, jax.Array) or not old.committed:
        return old
    together = new.committed and new.sharding.device_set == old.sharding.device_set
    return old if together else jax.device_get(old)


def _converts(old: Any, new: Any) -> bool:
    """Whether numbers of one dtype can be written in another: precision may be lost, but no fraction and no imaginary part."""
    keys = [jnp.issubdtype(dtype, jax.dtypes.prng_key) for dtype in (old, new)]
    return old == new if any(keys) else not truncates(old, new)
