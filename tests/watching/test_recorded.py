"""`recorded` and `history`: what is measured, when, and that nothing else changes."""

import csv
import io

import chex
import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot

import gradtx
from gradtx.testing.collectives import collectives
from gradtx.testing.events import LOWERED, compiler_events

PARAMS = {"embedding": jnp.arange(1.0, 7.0).reshape(2, 3), "layers": [{"w": jnp.ones((2, 2)), "b": jnp.zeros(2)}] * 2}
INNER = gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(gradtx.linear_schedule(0.1, 0.0, 10)))


def gradients_at(step):
    rng = np.random.default_rng(step)
    return jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape), p.dtype), PARAMS)


def trained(tx, steps, params=PARAMS, gradients_at=gradients_at, **extra_args):
    """The states after each step, the updates, and the parameters before each."""
    state, run = tx.init(params), []
    update = jax.jit(tx.update)
    for step in range(steps):
        gradients = gradients_at(step)
        updates, state = update(gradients, state, params, **{name: value(step) for name, value in extra_args.items()})
        run.append((gradients, updates, params))
        params = gradtx.apply_updates(params, updates)
    return state, run


def norm(tree):
    return np.sqrt(sum(np.sum(np.square(np.asarray(leaf, np.float64))) for leaf in jax.tree.leaves(tree)))


def test_what_is_recorded_is_what_happened():
    groups = gradtx.top_level_groups(PARAMS)
    state, run = trained(gradtx.recorded(INNER, every=3, groups=groups), 10, value=lambda step: jnp.float32(10 - step))
    record = gradtx.history(state)
    np.testing.assert_array_equal(record["step"], [0, 3, 6, 9])
    np.testing.assert_array_equal(record["loss"], [10, 7, 4, 1])
    np.testing.assert_allclose(record["learning_rate"], [0.1, 0.07, 0.04, 0.01], rtol=1e-5)
    for position, step in enumerate(record["step"]):
        gradients, updates, params = run[step]
        for part, own in {"": lambda t: t, "/embedding": lambda t: t["embedding"], "/layers": lambda t: t["layers"]}.items():
            measured = {
                "gradient_norm": norm(own(gradients)),
                "update_norm": norm(own(updates)),
                "parameter_norm": norm(own(params)),
                "update_ratio": norm(own(updates)) / norm(own(params)),
                "nonfinite": 0,
            }
            for name, value in measured.items():
                np.testing.assert_allclose(record[name + part][position], value, rtol=1e-5)
        np.testing.assert_allclose(record["clip_factor"][position], 1 / norm(gradients), rtol=1e-5)


def test_steps_are_those_without_it():
    _, with_it = trained(gradtx.recorded(INNER, every=2), 5)
    _, without = trained(INNER, 5)
    for (_, updates, _), (_, expected, _) in zip(with_it, without, strict=True):
        chex.assert_trees_all_close(updates, expected, rtol=1e-6)


def test_the_ring_keeps_the_last_rows_in_their_order():
    state, _ = trained(gradtx.recorded(gradtx.sgd(0.1), every=2, size=3), 11)
    np.testing.assert_array_equal(gradtx.history(state)["step"], [6, 8, 10])


def test_a_fresh_record_is_empty():
    record = gradtx.history(gradtx.recorded(INNER).init(PARAMS))
    assert len(record["step"]) == 0
    assert record.rows() == []
    assert repr(record) == "History of no steps"


def test_a_loss_that_was_not_given_has_no_column():
    assert "loss" not in gradtx.history(trained(gradtx.recorded(INNER), 1)[0])


def test_nonfinite_entries_are_counted():
    def poisoned(step):
        gradients = gradients_at(step)
        return gradients | {"embedding": gradients["embedding"].at[0].set(jnp.nan)} if step == 1 else gradients

    tx = gradtx.recorded(gradtx.apply_if_finite(INNER, 3), every=1, groups={"embedding": "embedding"})
    state, _ = trained(tx, 3, gradients_at=poisoned)
    record = gradtx.history(state)
    np.testing.assert_allclose(record["nonfinite"], [0, 3 / 18, 0])
    np.testing.assert_allclose(record["nonfinite/embedding"], [0, 0.5, 0])
    np.testing.assert_array_equal(record["steps_left_out"], [0, 0, 1])  # before the step


def test_groups_are_told_by_patterns():
    groups = {"biases": "**/b", "rest": "**"}
    state, run = trained(gradtx.recorded(INNER, groups=groups), 1)
    record = gradtx.history(state)
    assert record.of_groups("update_norm").keys() == {"all", "biases", "rest"}
    biases = [layer["b"] for layer in run[0][1]["layers"]]
    np.testing.assert_allclose(record["update_norm/biases"], norm(biases), rtol=1e-5)
    assert not any("/" in name for name in gradtx.history(trained(gradtx.recorded(INNER), 1)[0]))


def test_groups_at_the_top():
    assert gradtx.top_level_groups(PARAMS) == {"embedding": "embedding/**", "layers": "layers/**"}
    assert gradtx.top_level_groups({"params": PARAMS}) == {"embedding": "params/embedding/**", "layers": "params/layers/**"}
    assert gradtx.top_level_groups({"params": {"a*": 1.0, "[b]": 2.0}}) == {"a*": "params/a[*]/**", "[b]": "params/[[]b]/**"}
    assert gradtx.top_level_groups([1.0]) == {}
    strange = {"a*": jnp.ones(2), "ab": jnp.ones(3), "[b]": jnp.ones(4)}
    tx = gradtx.recorded(gradtx.sgd(1.0), groups=gradtx.top_level_groups(strange))
    record = gradtx.history(tx.update(strange, tx.init(strange), strange)[1])
    norms = {name: float(norm[0]) for name, norm in record.of_groups("gradient_norm").items() if name != "all"}
    assert norms == pytest.approx({"a*": 2**0.5, "ab": 3**0.5, "[b]": 2.0})


def test_measures_of_ones_own_see_updates_parameters_and_state():
    measures = {
        "largest": lambda updates, params, state: jnp.max(updates["embedding"]),
        "first": lambda updates, params, state: params["embedding"][0, 0],
        "count": lambda updates, params, state: gradtx.tree.get(state, "ScaleByAdamState.count"),
    }
    state, run = trained(gradtx.recorded(INNER, every=1, measures=measures), 3)
    record = gradtx.history(state)
    np.testing.assert_allclose(record["largest"], [np.max(updates["embedding"]) for _, updates, _ in run])
    np.testing.assert_allclose(record["first"], [params["embedding"][0, 0] for _, _, params in run])
    np.testing.assert_array_equal(record["count"], [0, 1, 2])


def test_around_multi_steps_the_steps_are_those_of_its_optimizer():
    state, run = trained(gradtx.recorded(gradtx.MultiSteps(gradtx.sgd(0.1), 3), every=2), 15)
    record = gradtx.history(state)
    np.testing.assert_array_equal(record["step"], [0, 2, 4])
    np.testing.assert_allclose(record["update_norm"], [norm(run[k][1]) for k in (2, 8, 14)], rtol=1e-5)


def test_inside_of_multi_steps_it_sees_their_mean():
    state, run = trained(gradtx.MultiSteps(gradtx.recorded(gradtx.sgd(0.1), every=1), 2), 4)
    record = gradtx.history(state)
    means = [jax.tree.map(lambda a, b: (a + b) / 2, run[k][0], run[k + 1][0]) for k in (0, 2)]
    np.testing.assert_allclose(record["gradient_norm"], list(map(norm, means)), rtol=1e-5)


def test_learning_rates_of_an_adjustable_optimizer_and_of_groups():
    tx = gradtx.adjustable(gradtx.recorded(gradtx.sgd(0.1), every=1))
    state = gradtx.set_hyperparams(tx, tx.init(PARAMS), {"sgd.learning_rate": 0.5})
    _, state = tx.update(PARAMS, state, PARAMS)
    np.testing.assert_allclose(gradtx.history(state)["learning_rate"], [0.5])

    grouped = gradtx.grouped(gradtx.sgd(0.1), [gradtx.Group("embedding", gradtx.lion(0.05))])
    record = gradtx.history(trained(gradtx.recorded(grouped), 1)[0])
    np.testing.assert_allclose(record["learning_rate/sgd"], [0.1])
    np.testing.assert_allclose(record["learning_rate/embedding.lion"], [0.05])


def test_a_limit_that_was_set_is_the_one_that_clips():
    tx = gradtx.recorded(gradtx.adjustable(INNER), every=1)
    state = gradtx.set_hyperparams(tx, tx.init(PARAMS), {"clip_by_global_norm.max_norm": 0.5})
    _, state = tx.update(PARAMS, state, PARAMS)
    np.testing.assert_allclose(gradtx.history(state)["clip_factor"], [0.5 / norm(PARAMS)], rtol=1e-5)


@pytest.mark.parametrize(
    "tx",
    [
        gradtx.adamw(0.1),
        gradtx.chain(gradtx.scale(2.0), gradtx.clip_by_global_norm(1.0)),
        gradtx.dynamic_loss_scaling(INNER),
        gradtx.MultiSteps(INNER, 2),
    ],
    ids=["without", "of other gradients", "of unscaled gradients", "of means"],
)
def test_clipping_that_sees_other_gradients_is_not_told_of(tx):
    assert "clip_factor" not in gradtx.recorded(tx).init(PARAMS).record


def test_what_16_bits_round_away():
    params = {"w": jnp.ones(4, jnp.bfloat16), "v": jnp.ones(4)}

    def record_of(tx, rates):
        state = tx.init(params)
        gradients = {"w": jnp.asarray(rates, jnp.bfloat16), "v": jnp.ones(4)}
        return gradtx.history(tx.update(gradients, state, params)[1])

    # 1 − u rounds back to 1 if u is less than 1/512.
    np.testing.assert_allclose(record_of(gradtx.recorded(gradtx.sgd(1.0)), [1e-3, 1e-3, 1e-3, 0.1])["rounded_away"], [0.75])
    np.testing.assert_allclose(record_of(gradtx.recorded(gradtx.sgd(1.0)), [0, 0, 1e-3, 0.1])["rounded_away"], [0.5])
    exact = gradtx.recorded(gradtx.compensated(gradtx.sgd(1.0)))
    np.testing.assert_allclose(record_of(exact, [1e-3, 1e-3, 1e-3, 0.1])["rounded_away"], [0.0])
    assert "rounded_away" not in gradtx.recorded(gradtx.sgd(1.0)).init(PARAMS).record


def test_lookahead_is_measured_where_its_gradients_are_taken():
    pair = gradtx.LookaheadParams.init_synced(PARAMS)
    tx = gradtx.recorded(gradtx.lookahead(gradtx.sgd(0.1), 2, 0.5))
    record = gradtx.history(tx.update(PARAMS, tx.init(pair), pair)[1])
    np.testing.assert_allclose(record["gradient_norm"], [norm(PARAMS)], rtol=1e-5)
    np.testing.assert_allclose(record["update_ratio"], [0.1], rtol=1e-5)


def test_a_run_in_a_loop_compiles_once_and_donates():
    tx = gradtx.recorded(INNER, every=2, size=4)

    @jax.jit
    def run(params, state):
        def step(carry, _):
            params, state = carry
            updates, state = tx.update(params, state, params, value=jnp.float32(1))
            return (gradtx.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, state), length=10)[0]

    _, state = run(PARAMS, tx.init(PARAMS))
    np.testing.assert_array_equal(gradtx.history(state)["step"], [2, 4, 6, 8])

    step = jax.jit(tx.update, donate_argnums=1)
    state = tx.init(PARAMS)
    with compiler_events(LOWERED) as events:
        for _ in range(4):
            _, state = step(PARAMS, state, PARAMS)
    assert len(events) == 1


def test_a_step_that_is_not_recorded_copies_nothing():
    """Else the compiler keeps all that a row may be made of: the parameters, two moments and the updates."""
    params = jnp.ones(100_000)
    tx = gradtx.recorded(gradtx.adamw(1e-3))

    def step(params, state, gradients):
        updates, state = tx.update(gradients, state, params)
        return gradtx.apply_updates(params, updates), state

    compiled = jax.jit(step, donate_argnums=(0, 1)).lower(params, tx.init(params), params).compile()
    text = compiled.as_text() or ""
    entry = text[text.index("ENTRY") :]
    assert not [line for line in entry.splitlines() if "f32[100000]" in line and " copy(" in line]


def test_under_vmap_each_run_has_a_record():
    tx = gradtx.recorded(gradtx.sgd(0.1), every=1)
    state = jax.vmap(tx.init)(jax.tree.map(lambda p: jnp.stack([p, 2 * p]), PARAMS))
    many = jax.tree.map(lambda p: jnp.stack([p, 2 * p]), PARAMS)
    _, state = jax.vmap(tx.update)(many, state, many)
    with pytest.raises(ValueError, match=r"history: the state is that of 2 runs; pass one"):
        gradtx.history(state)
    second = gradtx.history(jax.tree.map(lambda x: x[1], state))
    np.testing.assert_allclose(second["gradient_norm"], [2 * norm(PARAMS)], rtol=1e-5)


def test_on_a_mesh_the_record_is_on_every_device_and_of_the_whole():
    if jax.device_count() < 2:
        pytest.skip("one device")
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:2])
    split = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    params = {"w": jax.device_put(jnp.arange(8.0), split)}
    tx = gradtx.recorded(gradtx.adam(0.1), every=1)
    step = jax.jit(tx.update)
    _, state = step(params, tx.init(params), params)
    assert state.record["gradient_norm"].sharding.is_fully_replicated
    np.testing.assert_allclose(gradtx.history(state)["gradient_norm"], [norm(params)], rtol=1e-5)
    sent = collectives(step.lower(params, state, params).compile())
    assert sum(each.bytes for each in sent.values()) <= 64  # sums, one for each norm


# --- history ----------------------------------------------------------------------------------------------------------


def test_rows_are_what_loggers_take():
    state, _ = trained(gradtx.recorded(INNER, every=2), 5, value=lambda step: jnp.float32(step))
    rows = gradtx.history(state).rows()
    assert [row["step"] for row in rows] == [0, 2, 4]
    assert all(type(value) in (int, float) for row in rows for value in row.values())
    assert list(rows[0])[:4] == ["step", "loss", "learning_rate", "gradient_norm"]
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    assert file.getvalue().count("\n") == 4


def test_history_prints_the_last_row():
    state, _ = trained(gradtx.recorded(gradtx.sgd(0.1)), 1)
    assert repr(gradtx.history(state)).splitlines()[:2] == ["History of 1 steps, the last 0:", "learning_rate   0.1"]


def test_history_is_drawn():
    mpl.use("agg")
    tx = gradtx.recorded(INNER, every=1, groups=gradtx.top_level_groups(PARAMS))
    state, _ = trained(tx, 5, value=lambda step: jnp.float32(5 - step))
    figure = gradtx.plot_history(gradtx.history(state))
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert labels == ["loss", "learning rate", "gradient norm", "clip factor", "update ratio"]  # no entry was not finite
    assert [line.get_label() for line in figure.axes[2].lines] == ["all", "embedding", "layers"]
    pyplot.close(figure)


# --- mistakes ---------------------------------------------------------------------------------------------------------


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="recorded: every must be at least 1, got 0"):
        gradtx.recorded(INNER, every=0)
    with pytest.raises(ValueError, match="recorded: size must be at least 1, got 0"):
        gradtx.recorded(INNER, size=0)
    with pytest.raises(TypeError, match=r"recorded: groups\['a'\] must be a string"):
        gradtx.recorded(INNER, groups={"a": 3})  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"'embeddings/\*\*' matches no"):
        gradtx.recorded(INNER, groups={"a": "embeddings/**"}).init(PARAMS)
    with pytest.raises(ValueError, match="recorded: there is a column 'loss' already; give the measure another name"):
        gradtx.recorded(INNER, measures={"loss": lambda updates, params, state: 0.0}).init(PARAMS)
    with pytest.raises(ValueError, match=r"'many' is to be measured as a number, got an array of shape \(2, 3\)"):
        gradtx.recorded(INNER, measures={"many": lambda updates, params, state: params["embedding"]}).init(PARAMS)


def test_a_state_without_a_record_is_refused():
    with pytest.raises(ValueError, match="history"):
        gradtx.history(INNER.init(PARAMS))
