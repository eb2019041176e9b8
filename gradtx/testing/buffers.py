"""Laws of memory: who owns a buffer."""

from typing import Any

import jax

from gradtx.core import Params, Transformation
from gradtx.testing.compare import by_path, is_key
from gradtx.testing.laws import law


@law
def fresh_state_and_params_can_be_donated(tx: Transformation, params: Params) -> None:
    """No two leaves of a fresh state, nor a leaf and a parameter, share a buffer: donated, it would be freed under the other.

    Nor do two fresh states: what `init` keeps for the next call must not be given away.
    """
    for case, init in (("init", tx.init), ("a jitted init", jax.jit(tx.init))):
        owners: dict[int, str] = {}
        for name, tree in (("params", params), ("state", init(params)), ("another fresh state", init(params))):
            for path, leaf in by_path(tree).items():
                pointer = _pointer(leaf)
                assert pointer not in owners, f"after {case}, {name}{path} shares the buffer of {owners.get(pointer)}"
                if pointer is not None:
                    owners[pointer] = f"{name}{path}"


def _pointer(leaf: Any) -> int | None:
    """The address of an array, or None where there is nothing to share."""
    leaf = jax.random.key_data(leaf) if is_key(leaf) else leaf
    return leaf.addressable_shards[0].data.unsafe_buffer_pointer() if leaf.size else None
