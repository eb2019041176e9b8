"""Recipes are the compositions that their sources describe, and ordinary values."""

# Some types are wrong here on purpose.
# pyright: reportArgumentType=false, reportCallIssue=false

import inspect
import pickle

import chex
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

import gradtx
from gradtx import hyperparams, recipes
from gradtx.core.hyperparameters import hyperparameters
from gradtx.tree.paths import leaves_with_paths

PARAMS = {
    "dense": {"kernel": jnp.linspace(-1.0, 1.0, 12).reshape(3, 4), "bias": jnp.linspace(0.2, 0.4, 4)},
    "norm": {"scale": jnp.ones(4)},
    "lora": {"lora_a": jnp.linspace(0.1, 0.2, 6).reshape(3, 2), "lora_b": jnp.linspace(-0.3, -0.1, 8).reshape(2, 4)},
}
GRADIENTS = jax.tree.map(lambda p: 0.7 * jnp.cos(5 * p), PARAMS)

MADE = {
    "cnn": lambda: recipes.cnn(total_steps=64_000),
    "cnn with a cosine": lambda: recipes.cnn(total_steps=100, decay="cosine"),
    "transformer": lambda: recipes.transformer(total_steps=100_000),
    "bert": lambda: recipes.bert(total_steps=1_000_000),
    "vit": lambda: recipes.vit(total_steps=90_000),
    "fine_tuning": lambda: recipes.fine_tuning(total_steps=1000),
    "lora": lambda: recipes.lora(total_steps=5000),
    "gan's generator": lambda: recipes.gan().generator,
    "gan's discriminator": lambda: recipes.gan().discriminator,
    "reinforcement_learning": lambda: recipes.reinforcement_learning(total_steps=10_000),
    "diffusion": lambda: recipes.diffusion(),
    "small_data": lambda: recipes.small_data(),
}
every_recipe = pytest.mark.parametrize("label", MADE)


def loss(params):
    return gradtx.tree.sum(jax.tree.map(lambda p: jnp.sum(jnp.cosh(p - 0.5)), params))


def extra_args(label, params):
    """What the line search of L-BFGS reads."""
    if label != "small_data":
        return {}
    value, grad = jax.value_and_grad(loss)(params)
    return {"value": value, "grad": grad, "value_fn": loss}


def run(tx, steps=3, params=PARAMS):
    """The parameters after some steps along fixed gradients."""
    state = tx.init(params)
    for _ in range(steps):
        updates, state = tx.update(GRADIENTS, state, params)
        params = gradtx.apply_updates(params, updates)
    return params


# --- as published -----------------------------------------------------------------------------------------------------

RATES = {  # step: learning rate, by hand
    "cnn": {0: 0.1, 31_999: 0.1, 32_000: 0.01, 47_999: 0.01, 48_000: 0.001, 64_000: 0.001},
    "cnn with a cosine": {0: 0.1, 50: 0.05, 100: 0.0},
    "transformer": {0: 0.0, 1000: 1.5e-4, 2000: 3e-4, 51_000: 1.65e-4, 100_000: 3e-5, 200_000: 3e-5},
    "bert": {0: 0.0, 5000: 5e-5, 10_000: 1e-4, 505_000: 5e-5, 1_000_000: 0.0},
    "vit": {0: 0.0, 5000: 5e-4, 10_000: 1e-3, 50_000: 5e-4, 90_000: 0.0},
    "fine_tuning": {0: 0.0, 50: 1e-5, 100: 2e-5, 550: 1e-5, 1000: 0.0},
    "lora": {0: 0.0, 250: 1e-4, 500: 2e-4, 2750: 1e-4, 5000: 0.0},
    "reinforcement_learning": {0: 2.5e-4, 5000: 1.25e-4, 10_000: 0.0},
    "diffusion": {0: 0.0, 2500: 1e-4, 5000: 2e-4, 1_000_000: 2e-4},
}


@pytest.mark.parametrize("label", RATES)
def test_the_learning_rate_is_the_published_one_at_key_steps(label):
    [rate] = [value for path, value in hyperparameters(MADE[label]()).items() if path.endswith(".learning_rate")]
    for step, expected in RATES[label].items():
        np.testing.assert_allclose(rate(step), expected, rtol=1e-5, atol=1e-12)


NUMBERS = {
    "cnn": {"sgd.momentum": 0.9, "add_decayed_weights.weight_decay": 1e-4},
    "transformer": {"adamw.b1": 0.9, "adamw.b2": 0.95, "adamw.eps": 1e-5, "adamw.weight_decay": 0.1}
    | {"clip_by_global_norm.max_norm": 1.0},
    "bert": {"adamw.b1": 0.9, "adamw.b2": 0.999, "adamw.eps": 1e-6, "adamw.weight_decay": 0.01}
    | {"clip_by_global_norm.max_norm": 1.0},
    "vit": {"adamw.b1": 0.9, "adamw.b2": 0.999, "adamw.weight_decay": 0.1, "clip_by_global_norm.max_norm": 1.0},
    "fine_tuning": {"adamw.b2": 0.999, "adamw.eps": 1e-6, "adamw.weight_decay": 0.01, "clip_by_global_norm.max_norm": 1.0},
    "lora": {"adamw.b2": 0.999, "adamw.weight_decay": 0.01},
    "gan's generator": {"adam.learning_rate": 2e-4, "adam.b1": 0.5, "adam.b2": 0.999},
    "gan's discriminator": {"adam.learning_rate": 2e-4, "adam.b1": 0.5, "adam.b2": 0.999},
    "reinforcement_learning": {"adam.eps": 1e-5, "clip_by_global_norm.max_norm": 0.5},
    "diffusion": {"exponentially_averaged.decay": 0.9999, "clip_by_global_norm.max_norm": 1.0, "adam.b1": 0.9},
    "small_data": {"lbfgs.memory_size": 10},
}


@pytest.mark.parametrize("label", NUMBERS)
def test_the_other_numbers_are_the_published_ones(label):
    tx = MADE[label]()
    found = hyperparams(tx, tx.init(PARAMS))
    assert {path: found[path] for path in NUMBERS[label]} == NUMBERS[label]


def adamw_by_hand(steps, rate, b1, b2, eps, weight_decay, decays, max_norm=None):
    """Some steps of clipped AdamW in NumPy, from the papers' formulas, along fixed gradients in float64."""
    p, g = ({key: np.asarray(leaf, float) for key, leaf in leaves_with_paths(x)} for x in (PARAMS, GRADIENTS))
    if max_norm:
        norm = np.sqrt(sum(np.sum(leaf**2) for leaf in g.values()))
        g = {key: leaf * min(1, max_norm / norm) for key, leaf in g.items()}
    m, v = ({key: 0 * leaf for key, leaf in p.items()} for _ in range(2))
    for t in range(1, steps + 1):
        for key in p:
            m[key] = b1 * m[key] + (1 - b1) * g[key]
            v[key] = b2 * v[key] + (1 - b2) * g[key] ** 2
            step = m[key] / (1 - b1**t) / (np.sqrt(v[key] / (1 - b2**t)) + eps)
            p[key] = p[key] - rate(t - 1) * (step + weight_decay * p[key] * decays(key))
    return p


def is_matrix(path):
    return path not in ("dense/bias", "norm/scale")


BY_HAND = {
    "transformer": (
        recipes.transformer(0.1, total_steps=10, warmup_steps=2),
        lambda t: [0.0, 0.05, 0.1, 0.055 + 0.045 * np.cos(np.pi / 8)][t],
        (0.9, 0.95, 1e-5, 0.1, is_matrix, 1.0),
    ),
    "vit": (
        recipes.vit(0.1, total_steps=10, warmup_steps=2),
        lambda t: [0.0, 0.05, 0.1, 0.05 + 0.05 * np.cos(np.pi / 8)][t],
        (0.9, 0.999, 1e-8, 0.1, is_matrix, 1.0),
    ),
    "bert": (
        recipes.bert(0.1, total_steps=10, warmup_steps=2),
        lambda t: [0.0, 0.05, 0.1, 0.1 * 7 / 8][t],
        (0.9, 0.999, 1e-6, 0.01, is_matrix, 1.0),
    ),
    "fine_tuning": (
        recipes.fine_tuning(0.1, total_steps=20),
        lambda t: [0.0, 0.05, 0.1, 0.1 * 17 / 18][t],
        (0.9, 0.999, 1e-6, 0.01, is_matrix, 1.0),
    ),
    "gan": (recipes.gan(0.1).generator, lambda t: 0.1, (0.5, 0.999, 1e-8, 0.0, is_matrix)),
    "reinforcement_learning": (
        recipes.reinforcement_learning(0.1, total_steps=10),
        lambda t: 0.1 * (1 - t / 10),
        (0.9, 0.999, 1e-5, 0.0, is_matrix, 0.5),
    ),
    "diffusion": (
        recipes.diffusion(0.1, warmup_steps=2),
        lambda t: 0.1 * min(t / 2, 1),
        (0.9, 0.999, 1e-8, 0.0, is_matrix, 1.0),
    ),
}


@pytest.mark.parametrize("label", BY_HAND)
def test_a_recipe_steps_as_the_formulas_of_its_source_do(label):
    tx, rate, numbers = BY_HAND[label]
    expected = adamw_by_hand(4, rate, *numbers)
    for path, leaf in leaves_with_paths(run(tx, 4)):
        np.testing.assert_allclose(leaf, expected[path], rtol=2e-5, err_msg=path)


def test_cnn_steps_along_momentum_with_the_penalty_inside():
    p, g = ({key: np.asarray(leaf, float) for key, leaf in leaves_with_paths(x)} for x in (PARAMS, GRADIENTS))
    rates = [0.1, 0.1, 0.01, 0.001]
    m = {key: 0 * leaf for key, leaf in p.items()}
    for rate in rates:
        for key in p:
            m[key] = 0.9 * m[key] + g[key] + 0.05 * p[key]
            p[key] = p[key] - rate * m[key]
    for path, leaf in leaves_with_paths(run(recipes.cnn(total_steps=4, weight_decay=0.05), 4)):
        np.testing.assert_allclose(leaf, p[path], rtol=2e-5, err_msg=path)


def test_lora_moves_adapters_alone_and_keeps_nothing_of_the_others():
    tx = recipes.lora(0.1, total_steps=10, warmup_steps=0)
    moved = run(tx)
    chex.assert_trees_all_equal(moved["dense"], PARAMS["dense"])
    chex.assert_trees_all_equal(moved["norm"], PARAMS["norm"])
    alone = gradtx.adamw(gradtx.linear_schedule(0.1, 0.0, 10), weight_decay=0.01)
    params, state = PARAMS["lora"], alone.init(PARAMS["lora"])
    for _ in range(3):
        updates, state = alone.update(GRADIENTS["lora"], state, params)
        params = gradtx.apply_updates(params, updates)
    chex.assert_trees_all_close(moved["lora"], params, rtol=1e-6)
    in_state = sum(leaf.size for leaf in jax.tree.leaves(tx.init(PARAMS)) if leaf.ndim)
    assert in_state == 2 * sum(leaf.size for leaf in jax.tree.leaves(PARAMS["lora"]))


def test_lora_takes_adapters_of_other_names_and_refuses_a_model_without_any():
    renamed = {"dense": {"kernel": jnp.ones((2, 2)), "down": jnp.ones((2, 1))}}
    tx = recipes.lora(total_steps=1000, adapters="**/down")
    updates, _ = tx.update(renamed, tx.init(renamed), renamed)
    assert updates["dense"].keys() == {"kernel", "down"}
    recipes.lora(total_steps=1000).init({"layer": {"LoRA_A": jnp.ones(2)}})  # adapters alone are fine
    with pytest.raises(ValueError, match=r"^grouped: .*lora.* match"):
        recipes.lora(total_steps=1000).init(renamed)


def test_small_data_minimizes():
    result = gradtx.minimize(loss, PARAMS, tx=recipes.small_data())
    assert gradtx.MinimizeStatus(int(result.status)) is gradtx.MinimizeStatus.CONVERGED
    chex.assert_trees_all_close(result.params, jax.tree.map(lambda p: jnp.full_like(p, 0.5), PARAMS), atol=1e-4)


def test_the_average_of_diffusion_begins_at_the_first_parameters():
    tx = recipes.diffusion(0.1, warmup_steps=0, average_decay=0.75)
    _, state = tx.update(GRADIENTS, tx.init(PARAMS), PARAMS)
    moved = run(tx, 1)
    mean = jax.tree.map(lambda old, new: 0.75 * old + 0.25 * new, PARAMS, moved)
    chex.assert_trees_all_close(gradtx.eval_params(state, PARAMS), mean, rtol=1e-6)


# --- what decays ------------------------------------------------------------------------------------------------------


class Attention(linen.Module):
    """Flax's biases of attention have two axes: heads, and features of a head."""

    @linen.compact
    def __call__(self, x):
        x = linen.LayerNorm()(linen.MultiHeadDotProductAttention(num_heads=2)(x))
        return linen.Dense(2)(linen.GroupNorm(num_groups=2, name="strange")(x))


def test_all_weights_of_flax_decay_and_nothing_else():
    params = Attention().init(jax.random.key(0), jnp.ones((1, 3, 4)))["params"]
    mask = dict(leaves_with_paths(recipes.all_but_norms_and_biases(params)))
    assert mask == {path: path.endswith("kernel") for path, _ in leaves_with_paths(params)}
    assert len([path for path, leaf in leaves_with_paths(params) if path.endswith("bias") and leaf.ndim > 1]) == 3


def test_all_weights_of_an_nnx_model_decay_and_nothing_else():
    class Model(nnx.Module):
        def __init__(self, rngs):
            self.dense, self.norm1 = nnx.Linear(3, 4, rngs=rngs), nnx.LayerNorm(4, rngs=rngs)

    params = nnx.state(Model(nnx.Rngs(0)), nnx.Param)
    mask = dict(leaves_with_paths(recipes.all_but_norms_and_biases(params)))
    assert mask == {"dense/kernel": True, "dense/bias": False, "norm1/scale": False, "norm1/bias": False}


def test_all_weights_of_equinox_decay_and_nothing_else_also_in_layers_that_were_stacked():
    def layer(key):
        return {"linear": eqx.nn.Linear(3, 4, key=key), "strange": eqx.nn.LayerNorm(4)}

    keys = jax.random.split(jax.random.key(0), 2)
    for model in (layer(keys[0]), eqx.filter_vmap(layer)(keys)):
        params = eqx.filter(model, eqx.is_inexact_array)
        mask = dict(leaves_with_paths(recipes.all_but_norms_and_biases(params)))
        assert mask == {path: path == "linear/weight" for path, _ in leaves_with_paths(params)}
        assert len(mask) == 4


def test_names_do_not_matter_where_the_rank_decides():
    params = {"W": jnp.ones((2, 2)), "b": jnp.ones(2), "alpha": jnp.ones(()), "conv": [jnp.ones((3, 3, 1, 2)), jnp.ones(2)]}
    mask = recipes.all_but_norms_and_biases(params)
    assert mask == {"W": True, "b": False, "alpha": False, "conv": [True, False]}


@pytest.mark.parametrize(
    ("path", "decays"),
    [
        ("blocks/ln_1/w", False),
        ("blocks/ln/w", False),
        ("layers/input_layernorm/weight", False),
        ("layers/BatchNorm_0/g", False),
        ("encoder/q_bias", False),
        ("norm2/gamma", False),
        ("spectral_norm/layer/weight", True),
        ("lnear/kernel", True),
        ("normalizer/kernel", True),
        ("biased/kernel", True),
    ],
)
def test_stacked_norms_and_biases_are_told_by_their_names(path, decays):
    tree = jnp.ones((2, 3))
    for key in reversed(path.split("/")):
        tree = {key: tree}
    assert jax.tree.leaves(recipes.all_but_norms_and_biases(tree)) == [decays]


DECAYING = {
    "transformer": lambda **more: recipes.transformer(0.1, total_steps=10, warmup_steps=0, **more),
    "bert": lambda **more: recipes.bert(0.1, total_steps=10, warmup_steps=0, **more),
    "vit": lambda **more: recipes.vit(0.1, total_steps=10, warmup_steps=0, **more),
    "fine_tuning": lambda **more: recipes.fine_tuning(0.1, total_steps=10, warmup_steps=0, **more),
}


@pytest.mark.parametrize("label", DECAYING)
def test_a_step_without_gradients_moves_what_decays_alone(label):
    zeros = jax.tree.map(jnp.zeros_like, PARAMS)
    for mask in ({}, {"mask": None}):
        tx = DECAYING[label](**mask)
        updates, _ = tx.update(zeros, tx.init(PARAMS), PARAMS)
        moved = {path for path, leaf in leaves_with_paths(updates) if np.any(leaf)}
        everything = {"dense/kernel", "dense/bias", "norm/scale", "lora/lora_a", "lora/lora_b"}
        assert moved == (everything if mask else {path for path in everything if is_matrix(path)})


# --- ordinary values --------------------------------------------------------------------------------------------------


def test_every_recipe_is_tried_here_and_names_its_source():
    public = {name for name, thing in vars(recipes).items() if inspect.isfunction(thing)} - {"all_but_norms_and_biases"}
    assert {label.split()[0].removesuffix("'s") for label in MADE} == public
    for name in public:
        function = getattr(recipes, name)
        assert "References:" in function.__doc__
        assert "https://" in function.__doc__
        first, *others = inspect.signature(function).parameters.values()
        assert first.name == "learning_rate"
        assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in others)


@every_recipe
def test_a_recipe_prints_compares_and_pickles_as_the_composition_that_it_is(label):
    tx = MADE[label]()
    names = {**vars(gradtx), "all_but_norms_and_biases": recipes.all_but_norms_and_biases}
    assert eval(repr(tx), names) == tx
    assert f"{label.split()[0]}(" not in repr(tx)
    assert pickle.loads(pickle.dumps(tx)) == tx == MADE[label]()
    assert hash(tx) == hash(MADE[label]())


@every_recipe
def test_a_recipe_can_be_inspected_and_adjusted(label):
    tx = gradtx.adjustable(MADE[label]())
    state = tx.init(PARAMS)
    found, given = hyperparams(tx, state), hyperparams(MADE[label](), MADE[label]().init(PARAMS))
    assert found.keys() == given.keys()
    for path, value in found.items():
        np.testing.assert_allclose(value, given[path], rtol=1e-6, err_msg=path)
    path = next((path for path in found if path.endswith((".b2", ".momentum"))), None)
    if path:
        assert hyperparams(tx, gradtx.set_hyperparams(tx, state, {path: 0.5}))[path] == 0.5
    assert str(gradtx.summary(MADE[label](), PARAMS))


@every_recipe
def test_a_recipe_trains_under_jit_in_one_trace(label):
    tx = {
        "transformer": recipes.transformer(0.03, total_steps=100, warmup_steps=5),
        "bert": recipes.bert(0.03, total_steps=100, warmup_steps=5),
        "vit": recipes.vit(0.03, total_steps=100, warmup_steps=5),
        "fine_tuning": recipes.fine_tuning(0.03, total_steps=100),
        "lora": recipes.lora(0.03, total_steps=100, warmup_steps=5),
        "gan's generator": recipes.gan(0.03).generator,
        "gan's discriminator": recipes.gan(0.0, discriminator_learning_rate=0.03).discriminator,
        "reinforcement_learning": recipes.reinforcement_learning(0.03, total_steps=100),
        "diffusion": recipes.diffusion(0.03, warmup_steps=5),
        "cnn": recipes.cnn(0.01, total_steps=100),
    }.get(label) or MADE[label]()

    chex.clear_trace_counter()

    @jax.jit
    @chex.assert_max_traces(n=1)
    def step(params, state):
        gradients = jax.grad(loss)(params)
        updates, state = tx.update(gradients, state, params, **extra_args(label, params))
        return gradtx.apply_updates(params, updates), state

    params, state = PARAMS, tx.init(PARAMS)
    before, start = float(loss(params["lora"])), float(loss(params))
    for _ in range(60):
        params, state = step(params, state)
    least = {"lora": 8.0 + 6.0}  # of cosh: the number of entries
    assert float(loss(params["lora"])) - least["lora"] < 0.5 * (before - least["lora"])
    assert float(loss(params)) < start


def test_a_learning_rate_may_be_traced():
    def first_steps(rate):
        return run(recipes.transformer(rate, total_steps=10, warmup_steps=1), 2)["dense"]["kernel"]

    rates = jnp.asarray([0.1, 0.2])
    each = [first_steps(0.1), first_steps(0.2)]
    chex.assert_trees_all_close(jax.vmap(first_steps)(rates), jnp.stack(each), rtol=1e-5)


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["transformer", "bert", "vit", "fine_tuning", "lora"])
def test_a_run_shorter_than_its_warm_up_is_refused(name):
    with pytest.raises(ValueError, match=rf"^{name}: total_steps must be above warmup_steps \(50\), got 50; give a"):
        getattr(recipes, name)(total_steps=50, warmup_steps=50)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: recipes.transformer(), TypeError, r"transformer\(\) missing .* 'total_steps'"),
        (lambda: recipes.transformer(lr=0.1, total_steps=10_000), TypeError, "'lr'; did you mean 'learning_rate'"),
        (lambda: recipes.vit(-1.0, total_steps=20_000), ValueError, "^vit: learning_rate must be at least 0"),
        (lambda: recipes.cnn(total_steps=0), ValueError, "^cnn: total_steps must be at least 1"),
        (lambda: recipes.cnn(total_steps=9, decay="step"), ValueError, '^cnn: decay must be "steps" or "cosine"'),
        (lambda: recipes.cnn(total_steps=9, decay="cosine", boundaries=[3]), ValueError, "^cnn: boundaries are those of"),
    ],
)
def test_mistakes_are_told_in_the_name_of_the_recipe(call, error, message):
    with pytest.raises(error, match=message):
        call()
