import pickle

import jax
import jax.numpy as jnp
import numpy as np
import problem
import pytest
import recorded
from chosen_laws import RECIPE_LAWS
from transformers_trainer_cases import ADAMW, Case

import gradtx
from gradtx.interop.transformers import get_scheduler, trainer_adamw
from gradtx.testing import check_transformation, sample_params

GOLDEN = recorded.read("transformers_trainer")


def transformation(case: Case) -> gradtx.GradientTransformation:
    """The same run in gradtx."""
    options = dict(case.options)
    lr = options.pop("learning_rate", 5e-5)
    return trainer_adamw(get_scheduler(case.schedule, lr, case.warmup_steps, problem.STEPS), **options)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("case", ADAMW, ids=str)
def test_moves_as_the_trainer_does(case):
    recorded.assert_moves_as_recorded(transformation(case), GOLDEN[str(case)], case.scale)


def test_keeps_the_laws():
    check_transformation(trainer_adamw(1e-3, weight_decay=0.1), sample_params(), laws=RECIPE_LAWS)


def test_is_a_value():
    tx = trainer_adamw(weight_decay=0.01)
    assert tx == trainer_adamw(weight_decay=0.01)
    assert pickle.loads(pickle.dumps(tx)) == tx
    assert repr(tx) == "trainer_adamw(weight_decay=0.01)"


def test_biases_and_norms_stay_without_gradients_and_all_decays_with_no_mask():
    params = {"dense": {"kernel": jnp.ones(2), "bias": jnp.ones(2)}, "ln_f": {"scale": jnp.ones(2)}}
    zeros = jax.tree.map(jnp.zeros_like, params)

    def moves(**options):
        tx = trainer_adamw(1.0, weight_decay=0.5, **options)
        updates, _ = tx.update(zeros, tx.init(params), params)
        return jax.tree.map(lambda u: float(u[0]), updates)

    assert moves() == {"dense": {"kernel": -0.5, "bias": 0.0}, "ln_f": {"scale": 0.0}}
    assert moves(mask=None) == {"dense": {"kernel": -0.5, "bias": -0.5}, "ln_f": {"scale": -0.5}}


def test_the_largest_norm_may_be_infinite_by_zero_and_not_negative():
    g = jnp.full(4, 10.0)
    first = {norm: trainer_adamw(1.0, adam_epsilon=1.0, max_grad_norm=norm) for norm in (0.0, 1.0)}
    steps = {norm: float(tx.update(g, tx.init(g), g)[0][0]) for norm, tx in first.items()}
    np.testing.assert_allclose([steps[0.0], steps[1.0]], [-10 / 11, -0.5 / 1.5], rtol=1e-5)
    with pytest.raises(ValueError, match="trainer_adamw: max_grad_norm must be at least 0, got -1"):
        trainer_adamw(max_grad_norm=-1)
