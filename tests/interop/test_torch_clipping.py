"""torch's gradient clipping: the same numbers as torch."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import recorded
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P
from torch_clipping_cases import CASES, gradients, label

import gradtx
from gradtx.interop import torch
from gradtx.testing import LAWS, check_transformation, sample_params

GOLDEN = recorded.read("torch_clipping")
GRADIENTS = gradients()


def clipped(tx, grads):
    updates, _ = tx.update(grads, tx.init(grads))
    return updates


def test_what_is_recorded_is_what_is_compared():
    assert GOLDEN.keys() == {label(name, arguments, of) for name, arguments in CASES for of in GRADIENTS}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("name", "arguments"), CASES)
@pytest.mark.parametrize("of", GRADIENTS)
def test_clips_as_torch_does(name, arguments, of):
    tx = getattr(torch, name)(**arguments)
    updates = clipped(tx, {key: jnp.asarray(g) for key, g in GRADIENTS[of].items()})
    entries = np.concatenate([np.ravel(updates[key]) for key in GRADIENTS[of]])
    np.testing.assert_allclose(entries, GOLDEN[label(name, arguments, of)], rtol=1e-12)


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, 20.0, "inf"])
@pytest.mark.parametrize("magnitude", [1e-30, 1e20, 1e36])
def test_no_norm_of_float32_overflows_or_vanishes(norm_type, magnitude):
    g = {"a": jnp.full(2, magnitude), "b": jnp.full(2, -magnitude)}
    updates = clipped(torch.clip_grad_norm(1.0, norm_type), g)
    count = 1.0 if norm_type == "inf" else 4 ** (1 / norm_type)
    expected = min(magnitude, 1 / count)
    chex.assert_trees_all_close(updates, {"a": jnp.full(2, expected), "b": jnp.full(2, -expected)}, rtol=1e-5)


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, jnp.inf])
def test_the_norm_of_split_updates_is_that_of_the_whole(norm_type):
    mesh = jax.make_mesh((4,), ("x",), axis_types=(AxisType.Auto,))
    g = jnp.arange(8.0) - 3
    tx = torch.clip_grad_norm(1.0, norm_type, axis_name="x")
    split = jax.shard_map(lambda g: clipped(tx, g), mesh=mesh, in_specs=P("x"), out_specs=P("x"))
    chex.assert_trees_all_close(jax.jit(split)(g), clipped(torch.clip_grad_norm(1.0, norm_type), g), rtol=1e-6)


def test_differs_from_clip_by_global_norm_by_a_millionth():
    g = jnp.array([3.0, 4.0])
    ours, theirs = (clipped(tx(5.0), g) for tx in (gradtx.clip_by_global_norm, torch.clip_grad_norm))
    chex.assert_trees_all_equal(ours, g)
    np.testing.assert_allclose((ours - theirs) / ours, 2e-7, rtol=0.5)


@pytest.mark.parametrize(
    "tx", [torch.clip_grad_norm(0.1), torch.clip_grad_norm(0.1, 3.0), torch.clip_grad_value(0.1)], ids=repr
)
@pytest.mark.parametrize("law", LAWS)
def test_keeps_the_laws(tx, law):
    bounds_infinity = tx == torch.clip_grad_value(0.1)
    check_transformation(tx, sample_params(), laws=[LAWS[law]], excused=["nan_is_never_hidden"] if bounds_infinity else [])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: torch.clip_grad_norm(-1.0), "clip_grad_norm: max_norm must be at least 0, got -1.0"),
        (lambda: torch.clip_grad_norm(1.0, 0.0), "clip_grad_norm: norm_type must be above 0, got 0.0"),
        (lambda: torch.clip_grad_value(0.0), "clip_grad_value: clip_value must be above 0, got 0.0"),
    ],
)
def test_refuses_what_has_no_meaning(call, message):
    with pytest.raises(ValueError, match=message):
        call()
