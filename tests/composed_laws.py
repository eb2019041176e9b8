"""The laws that a chain can break whose pieces keep all of them.

The others, of finite numbers, shardings, derivatives, batches and loops, take most of the time and hold for a chain if they
hold for its pieces, which are in the zoo.
"""

from gradtx import testing
from gradtx.testing import LAWS

_OF_PIECES = {
    "zero_tiny_and_huge_gradients_give_finite_updates",
    "low_precision_computes_as_float32_does",
    "sharding_is_kept",
    "gradients_through_update_are_finite",
    "flatten_unflatten_and_numpy_round_trip_change_nothing",
    "vmap_works",
    "scan_works",
    "shard_map_works",
    "nan_is_never_hidden",
    "updates_are_bounded",
    "float32_computes_as_float64_does",
}
assert LAWS.keys() >= _OF_PIECES
COMPOSED_LAWS = {name: law for name, law in LAWS.items() if name not in _OF_PIECES}
# Of a recipe for what another library computes: the pieces of the zoo in another order.
RECIPE_LAWS = [
    testing.updates_keep_structure_shape_and_dtype,
    testing.state_keeps_its_type,
    testing.jit_changes_nothing_and_traces_once,
    testing.holes_stay_holes,
]
