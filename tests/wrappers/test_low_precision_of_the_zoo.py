"""Every transformation of the zoo keeps its types within `quantized`, `stored`, `compensated` and `offloaded`.

The laws run over these wrappers around one transformation each. That any other can be inside is traced here, not computed.
"""

import jax
import jax.numpy as jnp
import pytest
import zoo
from test_laws import PIECES

import gradtx
from gradtx import testing

WRAPPERS = {
    "quantized": lambda tx: gradtx.quantized(tx, min_size=1, block_size=2),
    "stored": lambda tx: gradtx.stored(tx, jnp.bfloat16),
    "compensated": lambda tx: zoo.of_bfloat16(gradtx.compensated(tx)),
    "offloaded": lambda tx: gradtx.offloaded(tx, min_size=1),
}
REFUSED = {
    ("quantized", "offloaded"),  # put the other way round
    *(("quantized", label) for label in PIECES if "quantized" in label),
}


@pytest.mark.parametrize("label", PIECES)
@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.filterwarnings("ignore:stored")
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

    if (wrapper, label) in REFUSED:
        with pytest.raises(ValueError, match="quantized"):
            jax.eval_shape(steps, params)
        return
    _, updates = jax.eval_shape(steps, params)
    expected = jax.eval_shape(lambda: jax.tree.map(lambda p: jnp.stack([p, p]), params))
    assert jax.tree.map(lambda u: (u.shape, u.dtype), updates) == jax.tree.map(lambda u: (u.shape, u.dtype), expected)
