"""A training run from torch to gradtx, and back: the state of the optimizer."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradtx.core import OptState, Params, Transformation
from gradtx.errors import names_errors, unnamed
from gradtx.inspection.transfer_forms import Encoded, continued, with_forms
from gradtx.interop.torch.entries import check_step, entries_of, same, step_of
from gradtx.interop.torch.low_bit import LowBit
from gradtx.interop.torch.names import Names, ParamPair, param_pairs
from gradtx.interop.torch.param_groups import kind_of, optimizer_from_torch
from gradtx.transforms.momentum import TraceWithCountState
from gradtx.tree.paths import leaves_with_paths, map_with_paths
from gradtx.tree.quantized import is_quantized


@names_errors
def from_torch(
    state_dict: Mapping[str, Any],
    params: Params,
    names: Names,
    tx: Transformation | None = None,
    *,
    step: int | None = None,
) -> OptState:
    """Make a state of a torch optimizer's `state_dict()`: the next steps are those that torch would take.

        names = {"fc.weight": ("fc/kernel", (1, 0)), "fc.bias": "fc/bias"}
        tx = optimizer_from_torch(state_dict, params, names)
        state = from_torch(state_dict, params, names)

    Reads SGD, Adam, AdamW, NAdam, RAdam, Adamax, Adagrad, Adadelta and RMSprop. It takes all or raises; torch need not be
    installed where the dict holds NumPy arrays or numbers. Of an optimizer that has not taken a step it makes a fresh state.

    Reads the 8-bit AdamW, Adam, Lion and SGD of bitsandbytes, and the 8- and 4-bit Adam and AdamW of torchao, too. They do not
    say which they are: give `tx`, in float32 or `quantized`. In their own code, and with axes in torch's order, it takes the
    codes to the bit:

        state = from_torch(state_dict, params, names, quantized(adamw(1e-3, weight_decay=0.01), code="dynamic"))

    Args:
      state_dict: what `optimizer.state_dict()` returns. The keys of its state may be strings of digits, as JSON makes them.
      params: the parameters here.
      names: the path of each of torch's parameters here, "layers/0/kernel", or with it the axes of torch's array in their order
        here: `("layers/0/kernel", (1, 0))` for a matrix that is transposed. In the order of torch's parameters, group by group;
        or a mapping from torch's names to them, in this order if the groups have no names.
      tx: the transformation that the state is for: `optimizer_from_torch` by default. Needed where it has a schedule, another
        member in its chain, and the like.
      step: how many steps were taken, needed where the state counts them and torch does not, as in SGD with a schedule.

    Raises:
      ValueError: something does not fit: an entry that is missing, left over or of another shape, with NaN, or negative where
        torch adds squares, entries or parameters without a counterpart, an optimizer or an option that is unknown. The message
        names the parameter.
    """
    groups = state_dict["param_groups"]
    pairs = param_pairs(groups, params, names)
    kind = kind_of(groups)
    tx = optimizer_from_torch(state_dict, params, names) if tx is None else tx
    fresh = tx.init(params)
    found = entries_of(state_dict["state"], pairs.values())
    if step is not None:
        check_step("step", step)
    if not any(found.values()) and (kind.counts or any(group["momentum"] for group in groups)):
        _check_agrees(step, 0)
        return fresh  # before torch's first step
    if kind.counts:
        taken = step_of(pairs.values(), found)
        _check_agrees(step, taken)
        step = taken
    used: set[tuple[int, str]] = set()

    def take(pair: ParamPair, entry: str) -> np.ndarray | LowBit:
        if entry not in found[pair.index]:
            raise ValueError(f"from_torch: torch's state has no {entry} for {pair}.")
        used.add((pair.index, entry))
        return found[pair.index][entry]

    def filled(node: Any, field: str) -> Any:
        old = getattr(node, field)
        if field == "count":
            return jnp.asarray(_count(node, step), old.dtype)
        entry = kind.entries[field]
        if field == "momentum_product":
            return _like(same(entry, [(pair, np.asarray(take(pair, entry))) for pair in pairs.values()]), old)

        def leaf(path: str, old: jax.Array | Encoded) -> Any:
            pair = pairs[path]
            value = take(pair, entry)
            array = pair.here(entry, np.asarray(value))
            if np.iscomplexobj(array) and not jnp.issubdtype(old.dtype, jnp.complexfloating):
                raise ValueError(f"from_torch: {entry} of {pair} is complex, and {old.dtype} here.")
            return _coded(value, pair, array, old) if isinstance(old, Encoded) else _like(array, old)

        return map_with_paths(leaf, old)

    filled_state = _map_fields(with_forms(fresh, tx), {"count", *kind.entries}, filled)
    for pair in pairs.values():
        for entry in found[pair.index].keys() - ({"step"} if kind.counts else set()):
            if (pair.index, entry) not in used:
                raise ValueError(f"from_torch: torch's state has {entry} for {pair}, which the state here has no place for.")
    return filled_state


@names_errors
def to_torch(
    state: OptState,
    params: Params,
    names: Names,
    param_groups: Sequence[Mapping[str, Any]],
    *,
    step: int | None = None,
    tensor: Callable[[np.ndarray], Any] = np.asarray,
) -> dict[str, Any]:
    """Make a torch optimizer's `state_dict` of a state: the inverse of `from_torch`.

        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict(to_torch(state, params, names, groups, tensor=torch.from_numpy))

    Args:
      state: of one of the optimizers that `from_torch` reads.
      params: the parameters here.
      names: see `from_torch`.
      param_groups: those of the optimizer's own `state_dict()`. They say which it is, and are handed on as they are.
      step: how many steps were taken, needed where torch counts them and the state does not, as in RMSprop.
      tensor: what makes a tensor of an array; by default they stay arrays of NumPy.

    Raises:
      ValueError: something does not fit; the message names it.
    """
    pairs = param_pairs(param_groups, params, names)
    kind = kind_of(param_groups)
    if kind.factory is None:
        raise unnamed(ValueError, "the groups are those of bitsandbytes, whose states are not written.")
    if any(map(is_quantized, jax.tree.leaves(state, is_leaf=is_quantized))):
        message = "the state is quantized: transfer_state(state, tx, params) makes it float32."
        raise unnamed(ValueError, message)
    entries: dict[int, dict[str, np.ndarray]] = {pair.index: {} for pair in pairs.values()}
    if step is not None:
        check_step("step", step)
    counts = [] if step is None else [step]

    def collect(node: Any, field: str) -> Any:
        value = getattr(node, field)
        if field == "count":
            counts.append(int(value))
        elif field == "momentum_product":
            for pair in pairs.values():
                entries[pair.index][kind.entries[field]] = np.array(value)
        else:
            for path, leaf in leaves_with_paths(value):
                pair = pairs[path]
                entries[pair.index][kind.entries[field]] = np.array(pair.there(np.asarray(leaf)))
        return value

    _map_fields(state, {"count", *kind.entries}, collect)
    if kind.counts:
        if not counts:
            raise ValueError("to_torch: torch counts the steps, but the state here does not: give step=.")
        if len(set(counts)) > 1:
            raise ValueError(f"to_torch: the steps taken are {counts[0]} and {counts[1]}: which of them?")
        for entry in entries.values():  # an array for each: torch counts in place
            entry["step"] = np.array(counts[0], np.float32)
    elif 0 in counts:
        entries = {index: {} for index in entries}  # torch makes its buffers in the first step
    state_of = {index: {name: tensor(array) for name, array in entry.items()} for index, entry in sorted(entries.items())}
    present = {index: entry for index, entry in state_of.items() if entry}
    return {"state": present, "param_groups": [dict(group) for group in param_groups]}


def _map_fields(node: Any, fields: set[str], function: Callable[[Any, str], Any]) -> Any:
    """Replace the fields of these names in all NamedTuples of a state; no other array may be there."""

    def within(child: Any) -> Any:
        return _map_fields(child, fields, function)

    if hasattr(node, "_fields"):
        try:
            return type(node)(
                **{name: function(node, name) if name in fields else within(getattr(node, name)) for name in node._fields}
            )
        except _ArrayError as error:
            raise unnamed(ValueError, f"{type(node).__name__} is not a state that torch's optimizer has, too.") from error
    if isinstance(node, dict):
        return {key: within(child) for key, child in node.items()}
    if isinstance(node, tuple):
        return tuple(within(child) for child in node)
    if node is None:
        return None
    raise _ArrayError


class _ArrayError(Exception):
    """An array that has no counterpart in torch."""


def _count(node: Any, step: int | None) -> int:
    if step is not None:
        return step
    if isinstance(node, TraceWithCountState):
        return 1  # all that matters is that the first step is over
    raise ValueError("from_torch: torch's SGD does not count its steps, but the state here does: give step=.")


def _check_agrees(step: int | None, taken: int) -> None:
    if step is not None and step != taken:
        raise ValueError(f"from_torch: torch has taken {taken} steps, but step={step}: leave it out.")


def _coded(value: np.ndarray | LowBit, pair: ParamPair, array: np.ndarray, old: Encoded) -> Any:
    """An array in codes: to the bit those of torch, if they are in the same order and mean the same."""
    in_order = pair.axes == tuple(range(len(pair.axes)))
    same_codes = value.to_the_bit(old) if isinstance(value, LowBit) and in_order else None
    return continued(old, array) if same_codes is None else jax.tree.map(_like, same_codes, old.parts)


def _like(array: np.ndarray, old: jax.Array) -> jax.Array:
    """The array in the dtype and with the sharding of what it replaces."""
    return jax.device_put(np.asarray(array, old.dtype), old.sharding)
