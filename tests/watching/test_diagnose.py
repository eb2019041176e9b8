"""`diagnose` on recorded runs, of which those of seed 2 were not looked at when thresholds were set, and on curves made up."""

import numpy as np
import pytest
from record_runs import read

import gradtx

RUNS = read()
NOT_SEEN = [run for run in RUNS if run.seed == 2]


def is_right(run, record):
    return gradtx.diagnose(run.losses, record).kind == run.called


def test_at_least_9_of_10_runs_that_set_no_threshold_are_told_right():
    assert len(NOT_SEEN) >= 60
    assert np.mean([is_right(run, run.record) for run in NOT_SEEN]) >= 0.9


@pytest.mark.parametrize("with_record", [True, False])
def test_no_healthy_run_is_called_ill(with_record):
    healthy = [run for run in RUNS if run.called == "healthy"]
    assert len(healthy) >= 30
    for run in healthy:
        found = gradtx.diagnose(run.losses, run.record if with_record else None)
        assert found.kind in ("healthy", "cannot tell"), (run.name, str(found))


def test_most_of_it_is_told_by_the_losses_alone():
    told_by_a_record = ("dead updates", "clipped")
    assert np.mean([is_right(run, None) for run in NOT_SEEN if run.called not in told_by_a_record]) >= 0.75


@pytest.mark.parametrize("kind", sorted({run.called for run in RUNS}))
def test_each_kind_is_found(kind):
    assert any(is_right(run, run.record) for run in NOT_SEEN if run.called == kind)


# --- curves made up ---------------------------------------------------------------------------------------------------

STEPS = np.arange(200)
NOISE = 0.02 * np.random.default_rng(0).normal(size=200)
FALLING = 0.5 + 2 * np.exp(-STEPS / 5) + NOISE


def test_a_healthy_run():
    found = gradtx.diagnose(0.01 + 2.5 * np.exp(-STEPS / 10))
    assert found.kind == "healthy"
    assert found.advice == ""
    assert "from 2.51 to 0.01" in found.evidence


def test_evidence_and_advice_are_printed():
    found = gradtx.diagnose(2.5 - STEPS / 100)
    assert found.kind == "rate too low"
    assert "took 46% of the run" in found.evidence
    assert str(found) == f"rate too low: {found.evidence}\n  try: {found.advice}"
    assert "learning_rate 3 to 10 times larger" in found.advice
    assert found._repr_html_().startswith("<pre>rate too low")


def test_a_first_batch_that_is_hard_by_chance_is_no_fall():
    losses = 2.4 - 0.3 * STEPS / 200 + 2.5 * NOISE
    losses[0] = 2.5
    assert gradtx.diagnose(losses).kind == "rate too low"


def test_a_loss_that_grows_until_it_is_not_finite():
    found = gradtx.diagnose([2.0, 3.0, 40.0, 1e9, np.inf, np.nan])
    assert found.kind == "rate too high"
    assert "from 2 to 1e+09 until it was not finite, at step 4" in found.evidence


def test_a_loss_that_is_not_finite_all_at_once():
    found = gradtx.diagnose([*FALLING[:50], np.nan, np.nan])
    assert found.kind == "not finite"
    assert "from step 50 on" in found.evidence
    record = {"step": np.array([40, 50]), "nonfinite": np.array([0.0, 0.25])}
    assert "At step 50 25% of the entries" in gradtx.diagnose([*FALLING[:50], np.nan], record).evidence
    assert gradtx.diagnose([np.nan] * 3).kind == "not finite"


def test_a_plateau_and_a_loss_that_has_nothing_to_fall_to():
    assert gradtx.diagnose(FALLING).kind == "plateau"
    assert gradtx.diagnose(FALLING - 0.45).kind == "healthy"


def test_too_few_losses():
    assert gradtx.diagnose([1.0]).kind == "cannot tell"
    assert gradtx.diagnose(FALLING[:19]).kind == "cannot tell"


def test_a_loss_that_never_moved():
    flat = 2.3 + NOISE
    assert gradtx.diagnose(flat).kind == "cannot tell"

    def with_ratio(ratio):
        return gradtx.diagnose(flat, {"update_ratio": np.full(20, ratio), "learning_rate": np.full(20, 0.1)})

    assert with_ratio(1e-9).kind == "dead updates"
    assert with_ratio(1e-6).kind == "rate too low"
    assert with_ratio(1e-3).kind == "plateau"


def test_steps_that_are_rounded_away():
    found = gradtx.diagnose(2.3 + NOISE, {"rounded_away": np.full(20, 0.99), "update_ratio": np.full(20, 1e-5)})
    assert found.kind == "dead updates"
    assert "99% are rounded back" in found.evidence
    assert "compensated" in found.advice


def test_hard_clipping_explains_a_slow_run_and_is_noted_of_a_healthy_one():
    record = {"clip_factor": np.full(20, 0.05)}
    assert gradtx.diagnose(2.5 - STEPS / 100, record).kind == "clipped"
    found = gradtx.diagnose(0.01 + 2.5 * np.exp(-STEPS / 10), record)
    assert found.kind == "healthy"
    assert [note.kind for note in found.notes] == ["clipped"]
    assert "100% of the gradients are clipped, most to 0.05" in str(found)


def test_steps_left_out_are_noted():
    found = gradtx.diagnose(0.01 + 2.5 * np.exp(-STEPS / 10), {"steps_left_out": np.array([0.0, 3.0])})
    assert "3 steps were left out" in str(found)


def test_the_sign_and_the_scale_of_a_loss_do_not_matter_where_they_need_not():
    assert gradtx.diagnose(1e6 * (0.01 + 2.5 * np.exp(-STEPS / 10))).kind == "healthy"
    assert gradtx.diagnose(-5 + 2.5 * np.exp(-STEPS / 10)).kind == "healthy"
    assert gradtx.diagnose(np.arange(300, 100, -1)).kind == "rate too low"


def test_a_history_is_taken_as_it_is():
    tx = gradtx.recorded(gradtx.sgd(0.1), every=1)
    params, state, losses = np.float32(1), tx.init(np.float32(1)), []
    for _ in range(40):
        losses.append(float(params**2))
        updates, state = tx.update(2 * params, state, params, value=params**2)
        params = gradtx.apply_updates(params, updates)
    record = gradtx.history(state)
    np.testing.assert_allclose(record["loss"], losses, rtol=1e-5)
    assert gradtx.diagnose(record["loss"], record).kind == "healthy"


def test_bad_input_gets_one_clear_error():
    with pytest.raises(ValueError, match="diagnose: there is no loss to look at"):
        gradtx.diagnose([])
    with pytest.raises(TypeError, match=r"diagnose: losses must be numbers in a row, got an array of shape \(2, 2\)"):
        gradtx.diagnose(np.ones((2, 2)))
    with pytest.raises(TypeError, match="diagnose: losses must be numbers in a row"):
        gradtx.diagnose(["low", "lower"])  # pyright: ignore[reportArgumentType]
