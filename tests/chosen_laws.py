"""The laws that a sample of the zoo, or a recipe, can break where others are held to all of them."""

from gradtx import testing
from gradtx.testing import LAWS

# These take most of the time, and hold for a chain if they hold for its pieces, which are in the zoo.
_OF_PIECES = {
    "zero_tiny_and_huge_gradients_give_finite_updates",
    "low_precision_computes_as_float32_does",
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
# Each takes some seconds: they are tried in test_scale_of_the_zoo.py, once a week on all samples.
LAWS_OF_SCALE = [name for name, law in LAWS.items() if law.__module__ in ("gradtx.testing.layouts", "gradtx.testing.scaling")]
LAWS_OF_ALL = {name: law for name, law in LAWS.items() if name not in LAWS_OF_SCALE}
COMPOSED_LAWS = {name: law for name, law in LAWS_OF_ALL.items() if name not in _OF_PIECES}
# Options of one function change its numbers and their dtypes, not what is done with trees, devices and extra arguments.
LAWS_OF_OPTIONS = {
    name: law
    for name, law in LAWS.items()
    if law.__module__ in ("gradtx.testing.numbers", "gradtx.testing.dtypes") or name == "jit_changes_nothing_and_traces_once"
}
# Of a recipe for what another library computes: the pieces of the zoo in another order.
RECIPE_LAWS = [
    testing.updates_keep_structure_shape_and_dtype,
    testing.state_keeps_its_type,
    testing.jit_changes_nothing_and_traces_once,
    testing.holes_stay_holes,
]
