"""torch's optimizers: the same numbers as torch, and the laws."""

# Some arguments are of a type that is refused.
# pyright: reportArgumentType=false

import inspect
from typing import Any

import chex
import jax
import jax.numpy as jnp
import problem
import pytest
import recorded
from chosen_laws import RECIPE_LAWS
from torch_optimizers_cases import CASES, LR_HALVES

import gradtx
from gradtx.interop import torch
from gradtx.testing import check_transformation, sample_params

GOLDEN = recorded.read("torch_optimizers")
MUON = [case for case in CASES if case.optimizer == "Muon"]


def transformation(case: problem.Case, **more: Any) -> gradtx.GradientTransformation:
    """The same call in gradtx."""
    options = {**case.options, **more}
    factory = getattr(torch, case.optimizer.lower())
    if options.pop("lr_halves", False):
        lr = options.pop("lr", inspect.signature(factory).parameters["lr"].default)
        options["lr"] = torch.step_lr(lr, **LR_HALVES)
    return factory(**options)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("case", [case for case in CASES if case not in MUON], ids=str)
def test_moves_as_torch_does(case):
    recorded.assert_moves_as_recorded(transformation(case), GOLDEN[str(case)], case.scale)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("case", MUON, ids=str)
def test_muon_moves_as_torchs_does_whose_iterations_are_in_float64(case):
    golden = GOLDEN[f"{case}, in float64"]
    assert recorded.difference(transformation(case, ns_dtype=None), golden, case.scale, names=["kernel"]) < 1e-12


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("case", MUON, ids=str)
def test_muon_moves_as_torchs_does(case):
    # Equal to 1e-13 where products are summed in the same order; in another, a sum may be rounded to the next bfloat16.
    assert recorded.difference(transformation(case), GOLDEN[str(case)], case.scale, names=["kernel"]) < 1e-2


def matrices(params: Any) -> Any:
    return jax.tree.map(lambda p: p.ndim == 2, params)


OPTIMIZERS = {
    "sgd": lambda: torch.sgd(0.1, momentum=0.9, dampening=0.1, weight_decay=0.1),
    "adam": lambda: torch.adam(amsgrad=True, weight_decay=0.1),
    "adamw": lambda: torch.adamw(maximize=True),
    "nadam": lambda: torch.nadam(),
    "radam": lambda: torch.radam(weight_decay=0.1, decoupled_weight_decay=True),
    "adamax": lambda: torch.adamax(),
    "adagrad": lambda: torch.adagrad(lr_decay=0.1),
    "adadelta": lambda: torch.adadelta(),
    "rmsprop": lambda: torch.rmsprop(momentum=0.9, centered=True),
    "rprop": lambda: torch.rprop(),
    "asgd": lambda: torch.asgd(t0=2.0),
    "adafactor": lambda: torch.adafactor(weight_decay=0.1),
    "muon": lambda: gradtx.masked(torch.muon(ns_steps=2), matrices),
    "sgd with a cycle": lambda: torch.sgd(torch.one_cycle_lr(0.1, 100), momentum=torch.one_cycle_momentum(0.1, 100)),
    "adam with a cycle": lambda: torch.adam(0.1, betas=(torch.one_cycle_momentum(0.1, 100), 0.999)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_keeps_the_laws(name):
    check_transformation(OPTIMIZERS[name](), sample_params(), laws=RECIPE_LAWS)


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_is_a_value(make):
    assert make() == make()
    assert hash(make()) == hash(make())


@pytest.mark.usefixtures("x64")
def test_asgd_keeps_the_average_of_torch():
    params = {"p": jnp.ones(3)}
    tx = torch.asgd(0.1, lambd=0.1, t0=2.0)
    state, path = tx.init(params), []
    for _ in range(6):
        updates, state = tx.update({"p": jnp.arange(3.0)}, state, params)
        params = gradtx.apply_updates(params, updates)
        path.append(params["p"])
    chex.assert_trees_all_close(state.average["p"], sum(path[3:]) / 3, rtol=1e-14)


def test_momentum_may_be_a_schedule():
    def falling(count):
        return 0.9 / (1 + count.astype(float))

    tx = torch.sgd(1.0, momentum=falling)
    state = tx.init(jnp.zeros(()))
    steps = []
    for _ in range(3):
        update, state = tx.update(jnp.ones(()), state)
        steps.append(float(-update))
    assert steps == pytest.approx([1, 1 + 0.45, 1 + 0.3 * 1.45])


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "nadam", "radam", "adamax", "adagrad", "adadelta", "rmsprop", "asgd"])
def test_hyperparameters_may_be_injected(name):
    tx = gradtx.inject_hyperparams(getattr(torch, name))(lr=0.1)
    state = tx.init(jnp.ones(3))
    assert float(state.hyperparams["lr"]) == pytest.approx(0.1)
    state.hyperparams["lr"] = jnp.float32(0.0)
    state.hyperparams["weight_decay"] = jnp.float32(0.5)
    updates, _ = tx.update(jnp.ones(3), state, jnp.ones(3))
    assert jnp.all(updates == 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: torch.sgd(nesterov=True), "sgd: nesterov needs a momentum and no dampening"),
        (lambda: torch.sgd(momentum=0.9, dampening=0.1, nesterov=True), "sgd: nesterov needs a momentum and no dampening"),
        (lambda: torch.sgd(-1.0), "sgd: lr must be at least 0, got -1.0; to ascend, negate the gradients"),
        (lambda: torch.adam(betas=(0.9, 1.0)), r"adam: betas\[1\] must be at least 0 and below 1, got 1.0"),
        (lambda: torch.adafactor(beta2_decay=0.8), "adafactor: beta2_decay must be at most 0"),
        (lambda: torch.adafactor(eps=(-1.0, 1e-3)), r"adafactor: eps\[0\] must be at least 0"),
        (lambda: torch.muon(adjust_lr_fn="best"), 'muon: adjust_lr_fn must be "original", "match_rms_adamw" or None, got'),
        (lambda: torch.muon().init({"bias": jnp.zeros(3)}), r"muon: \['bias'\] has the shape \(3,\), which is not a matrix"),
        (lambda: torch.rprop(etas=(1.2, 0.5)), "scale_by_rprop: eta_minus must be"),
    ],
)
def test_refuses_what_torch_refuses(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_muon_takes_transposed_matrices():
    kernel = jax.random.normal(jax.random.key(0), (4, 3))
    g = jax.random.normal(jax.random.key(1), (4, 3))
    tx = torch.muon(ns_dtype=None)
    ours = torch.muon(ns_dtype=None, weight_dimension_numbers=gradtx.MuonDimensionNumbers())
    update, _ = tx.update(g.T, tx.init(kernel.T), kernel.T)
    transposed, _ = ours.update(g, ours.init(kernel), kernel)
    chex.assert_trees_all_close(update.T, transposed, rtol=1e-5)
