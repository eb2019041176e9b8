"""Every transformation of the zoo keeps the laws inside of what trains in less memory.

That types are kept is traced for all. Of the laws, those that run soon are tried on one sample of each family, each in one of
the wrappers. All laws of all samples in all wrappers, half an hour's work, as CI does once a week:

    WHOLE_ZOO=1 pytest tests/wrappers/test_low_precision_of_the_zoo.py
"""

import os

import jax
import jax.numpy as jnp
import pytest
import zoo
from chosen_laws import COMPOSED_LAWS
from jax.sharding import NamedSharding, PartitionSpec
from test_laws import LABELS, PIECES, laws_of

import gradtx
from gradtx import testing
from gradtx.tree.quantized import Quantized
from gradtx.wrappers.compensated import CompensatedState


@gradtx.factory
def shown(tx, node, field, unit):
    """A transformation whose integers are floats in its state, so that to the laws one of them, or some, are rounding.

    Args:
      tx: a transformation.
      node: the type of the nodes of its state that have them.
      field: the field of the node.
      unit: how much of a float one is; the laws take 1e-6 for rounding.
    """

    def mapped(f, state):
        def on_node(x):
            return x._replace(**{field: jax.tree.map(f, getattr(x, field))}) if isinstance(x, node) else x

        return jax.tree.map(on_node, state, is_leaf=lambda x: isinstance(x, node))

    def show(state):
        return mapped(lambda x: x.astype(jnp.float32) * unit, state)

    def update(updates, state, params, **extra_args):
        dtype = jnp.int8 if node is Quantized else jnp.int16
        updates, state = tx.update(updates, mapped(lambda x: (x / unit).astype(dtype), state), params, **extra_args)
        return updates, show(state)

    return gradtx.GradientTransformationExtraArgs(lambda params: show(tx.init(params)), update)


WRAPPERS = {
    # One unit in the last place may make another code of a number, which is the next one.
    "quantized": lambda tx: shown(gradtx.quantized(tx, min_size=1, block_size=2), Quantized, "codes", 2**-20),
    "stored": lambda tx: gradtx.stored(tx, jnp.bfloat16),
    # The low bits are the last ones of a float32, of which many go where a step is as long as the parameter.
    "compensated": lambda tx: zoo.of_bfloat16(shown(gradtx.compensated(tx), CompensatedState, "low", 2**-26)),
    "stochastically_rounded": lambda tx: zoo.of_bfloat16(gradtx.stochastically_rounded(tx, 0)),
    "offloaded": lambda tx: gradtx.offloaded(tx, min_size=1),
}
# Only one sample of each family is in these.
OTHER_CODES = {
    "quantized with 4 bits": lambda tx: gradtx.quantized(tx, bits=4, min_size=1, block_size=2),
    "quantized dynamically": lambda tx: gradtx.quantized(tx, code="dynamic", min_size=1, block_size=2),
}
WHOLE_ZOO = os.environ.get("WHOLE_ZOO") == "1"
pytestmark = pytest.mark.filterwarnings("ignore:stored")


def is_refused(wrapper, label):
    """`quantized` is not put around codes, nor around what is on the host; in 4 bits not if all has odd last axes."""
    is_empty = (wrapper, label) == ("quantized with 4 bits", "masked")
    return is_empty or ("quantized" in wrapper and ("quantized" in label or label == "offloaded"))


# --- types --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", PIECES)
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_types_are_kept(wrapper, label):
    params = testing.sample_params()
    tx = WRAPPERS[wrapper](zoo.transformation(label))
    extra_args = zoo.extra_args(label, params)

    def steps(params):
        def step(state, updates):
            updates, state = tx.update(updates, state, params, **extra_args)
            return state, updates

        gradients = jax.tree.map(lambda p: jnp.stack([p, p]), params)
        return jax.lax.scan(step, tx.init(params), gradients)  # refuses a state of another type

    if is_refused(wrapper, label):
        with pytest.raises(ValueError, match="quantized"):
            jax.eval_shape(steps, params)
        return
    _, updates = jax.eval_shape(steps, params)
    expected = jax.eval_shape(lambda: jax.tree.map(lambda p: jnp.stack([p, p]), params))
    assert jax.tree.map(lambda u: (u.shape, u.dtype), updates) == jax.tree.map(lambda u: (u.shape, u.dtype), expected)


# --- laws ---------------------------------------------------------------------------------------------------------------

# What need not hold in a wrapper, or does for some numbers only; the zoo says what need not hold anywhere.
FEW_BITS = {
    "float32_computes_as_float64_does": "float64 is not quantized",
    "low_precision_computes_as_float32_does": "rounding decides which of two codes is taken",
}
SIXTEEN_BITS = dict.fromkeys(FEW_BITS, "rounding decides which of two numbers of 16 bits is taken")
EXCUSED = {
    **dict.fromkeys(("quantized", *OTHER_CODES), FEW_BITS),
    **dict.fromkeys(("stored", "compensated", "stochastically_rounded"), SIXTEEN_BITS),
    "offloaded": {},
}
# Samples in the two that round parameters, of float64, too.
NO_FLOAT64 = {"updates_are_bounded": "for gradients of float64 the state is float32, which does not hold their squares"}
EXCUSED_OF_BFLOAT16 = {
    "scale_by_madgrad": NO_FLOAT64,
    "scale_by_param_block_rms": dict.fromkeys(
        ("jit_changes_nothing_and_traces_once", "scan_works"),
        "the low bits are those of what is rounded otherwise in each program",
    ),
    "scale_by_lbfgs without initial scale": {"nan_is_never_hidden": "it divides by changes, which are rounding in this law"},
    "scale_by_ftrl": NO_FLOAT64,
    "scale_by_shampoo": NO_FLOAT64,
    "scale_by_dowg": {"nan_is_never_hidden": "in the law the parameters stay, and so does what is less than their last digit"},
}
EXCUSED_OF_16_BITS: dict[str, dict[str, str]] = dict.fromkeys(
    (
        "scale_by_came",
        "scale_by_row_rms",
        "scale_by_factored_rms of last axes",
        "scale_by_factored_rms of small matrices",
        "scale_by_rss",
        "scale_by_rss from zero",
        "scale_by_rss with eps outside",
    ),
    NO_FLOAT64,
)

EXCUSED_OF_CODES: dict[str, dict[str, str]] = dict.fromkeys(
    ("sam in opaque mode", "adjustable", "prodigy"),
    dict.fromkeys(("jit_changes_nothing_and_traces_once", "scan_works"), "rounding decides which of two codes is taken"),
)


def families():
    """One sample of each family in one wrapper, in turns."""
    wrappers = [*WRAPPERS, *OTHER_CODES]
    return [(wrappers[k % len(wrappers)], label) for k, label in enumerate(zoo.QUICK)]


def pairs():
    """The wrappers and the samples to put in them."""
    if not WHOLE_ZOO:
        return families()
    everything = [(wrapper, label) for wrapper in WRAPPERS for label in LABELS]
    everything += [(wrapper, label) for wrapper in OTHER_CODES for label in zoo.QUICK]
    return [pair for pair in everything if not is_refused(*pair)]


def cases():
    """The pairs with each law, and a mark where it need not be kept."""
    found = []
    for wrapper, label in pairs():
        sample = zoo.TRANSFORMATIONS[label]
        reasons = {**sample.excused, **sample.uncertain, **EXCUSED[wrapper]}
        if wrapper in ("stored", "compensated", "stochastically_rounded"):
            reasons |= EXCUSED_OF_16_BITS.get(label, {})
        if "quantized" in wrapper:
            reasons |= EXCUSED_OF_CODES.get(label, {})
        if wrapper in ("compensated", "stochastically_rounded"):
            reasons |= EXCUSED_OF_BFLOAT16.get(label, {})
        for name in laws_of(label) if WHOLE_ZOO else COMPOSED_LAWS:
            marks = [pytest.mark.xfail(reason=reasons[name], strict=False)] if name in reasons else []
            found.append(pytest.param(wrapper, label, name, marks=marks, id=f"{label}-in-{wrapper}-{name}"))
    return found


def params_for(name):
    """All shapes for laws that trace, and two for those that compile.

    Laws that compute the same twice get numbers from which no step of ±1, as Adam's first one is, leads half-way between two of
    bfloat16, where rounding decides which is taken.
    """
    theme = testing.LAWS[name].__module__.rpartition(".")[2]
    if theme == "tracing" or name.startswith("flatten_"):
        matrix = jnp.linspace(4, 7, 12, dtype=jnp.float32).reshape(4, 3)
        return {"vector": matrix[:, 0] - 11, "matrix": matrix}
    params = testing.sample_params()
    return params if theme in ("arguments", "buffers", "dtypes", "structure") else {k: params[k] for k in ("vector", "matrix")}


@pytest.mark.parametrize(("wrapper", "label", "name"), cases())
def test_the_law_is_kept(wrapper, label, name):
    tx = (WRAPPERS | OTHER_CODES)[wrapper](zoo.transformation(label))
    testing.LAWS[name](tx, params_for(name), zoo.TRANSFORMATIONS[label].extra_args)


@pytest.mark.parametrize(("wrapper", "label"), [pair for pair in pairs() if pair[1] != "sharded"])  # which has its own mesh
def test_no_more_is_sent_from_device_to_device(wrapper, label):
    mesh = jax.make_mesh((len(jax.devices()),), ("x",))
    arrays = {"matrix": jnp.ones((16, 4), jnp.float32), "vector": jnp.ones(16, jnp.float32)}  # of whole blocks on each device
    params = jax.device_put(arrays, NamedSharding(mesh, PartitionSpec("x")))

    def bytes_sent(tx):
        def step(updates, state, params):
            return tx.update(updates, state, params, **extra_args)

        compiled = jax.jit(step).lower(params, jax.jit(tx.init)(params), params).compile()
        return sum(each.bytes for each in testing.collectives(compiled).values())

    plain = zoo.transformation(label)
    with jax.set_mesh(mesh):
        extra_args = zoo.extra_args(label, params)
        assert bytes_sent((WRAPPERS | OTHER_CODES)[wrapper](plain)) <= bytes_sent(plain)
