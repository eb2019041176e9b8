"""What a user does wrong, and what the library says: who, what it got, what to write instead."""

# Types are wrong here on purpose.
# pyright: reportArgumentType=false

import contextlib
import re
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx
from gradtx.interop import transformers

NAN = float("nan")
SCHEDULE = gradtx.cosine_decay_schedule(0.1, 100)
PARAMS = {"dense": {"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2)}, "scale": jnp.ones(())}
GRADIENTS = jax.tree.map(jnp.ones_like, PARAMS)


@contextlib.contextmanager
def raises(error, message):
    """Expect an error with this message, to the last letter; ` ...` stands for anything."""
    with pytest.raises(error) as caught:
        yield
    pattern = ".*".join(re.escape(part) for part in message.split(" ..."))
    assert re.fullmatch(pattern, str(caught.value)), str(caught.value)


def changed(tree, **leaves):
    """A copy of `tree` in which `dense` has other leaves, and lacks what is None."""
    dense = {**tree["dense"], **leaves}
    return {**tree, "dense": {name: leaf for name, leaf in dense.items() if leaf is not None}}


# --- mistakes in building: found at once ------------------------------------------------------------------------------

TO_STEER = (
    "got a function, cosine_decay_schedule(0.1, 100). To let it follow a schedule write "
    'adjustable({0}(...), {{"{0}.{1}": schedule}}) or inject_hyperparams({0})(..., {1}=schedule).'
)

NO_NUMBER = [
    (lambda: gradtx.adamw(1e-3, b1=SCHEDULE), "adamw: b1 must be a number, " + TO_STEER.format("adamw", "b1")),
    (lambda: gradtx.sgd(0.1, SCHEDULE), "sgd: momentum must be a number or None, " + TO_STEER.format("sgd", "momentum")),
    (lambda: gradtx.scale(SCHEDULE), "scale: step_size must be a number or an array, " + TO_STEER.format("scale", "step_size")),
    (
        lambda: gradtx.clip_by_global_norm(SCHEDULE),
        "clip_by_global_norm: max_norm must be a number, " + TO_STEER.format("clip_by_global_norm", "max_norm"),
    ),
    (
        lambda: gradtx.lookahead(gradtx.sgd(0.1), 5, SCHEDULE),
        "lookahead: slow_step_size must be a number, " + TO_STEER.format("lookahead", "slow_step_size"),
    ),
    (
        lambda: gradtx.apply_every(SCHEDULE),
        "apply_every: k must be an integer, got a function, cosine_decay_schedule(0.1, 100).",
    ),
    (lambda: gradtx.adamw("1e-3"), "adamw: learning_rate must be a number or a schedule, got '1e-3'."),
    (lambda: gradtx.adamw(None), "adamw: learning_rate must be a number or a schedule, got None."),
    (lambda: gradtx.adamw(1e-3, b1=None), "adamw: b1 must be a number, got None."),
    (lambda: gradtx.adamw(1e-3, 0.9, 0.999, 1e-8, True), "adamw: eps_root must be a number, got True."),
    (lambda: gradtx.adamw(1e-3 + 0j), "adamw: learning_rate must be a number or a schedule, got (0.001+0j)."),
    (lambda: gradtx.adamw([0.1, 0.2]), "adamw: learning_rate must be a number or a schedule, got [0.1, 0.2]."),
    (
        lambda: gradtx.adamw(np.ones(3)),
        "adamw: learning_rate must be a number or a schedule, got an array of shape (3,); jax.vmap tries several.",
    ),
    (lambda: gradtx.adamw(gradtx.sgd(0.1)), "adamw: learning_rate must be a number or a schedule, got sgd(0.1)."),
    (
        lambda: gradtx.adamw(gradtx.cosine_decay_schedule),
        "adamw: learning_rate must be a number or a schedule, got cosine_decay_schedule itself; "
        "call it: cosine_decay_schedule(...).",
    ),
    (
        lambda: gradtx.muon(0.02, adam_learning_rate="1e-3"),
        "muon: adam_learning_rate must be a number, a schedule or None, got '1e-3'.",
    ),
    (
        lambda: gradtx.inject_hyperparams(gradtx.adamw)("1e-3"),
        "adamw: learning_rate must be a number or a schedule, got '1e-3'.",
    ),
    (
        lambda: gradtx.adamw(1e-3, mu_dtype="bf16"),
        "adamw: mu_dtype must be a dtype or None, got 'bf16'; write one such as jnp.bfloat16 or 'bfloat16'.",
    ),
]

OUT_OF_RANGE = [
    (lambda: gradtx.adamw(-0.1), "adamw: learning_rate must be at least 0, got -0.1; to ascend, negate the gradients"),
    (
        lambda: gradtx.adamw(np.float32(-1)),
        "adamw: learning_rate must be at least 0, got -1.0; to ascend, negate the gradients",
    ),
    (lambda: gradtx.inject_hyperparams(gradtx.adam)(-0.1), "adam: learning_rate must be at least 0, got -0.1; ..."),
    (lambda: gradtx.adamw(NAN), "adamw: learning_rate must be at least 0, got nan; ..."),
    (lambda: gradtx.adamw(1e-3, weight_decay=NAN), "adamw: weight_decay must be at least 0, got nan"),
    (lambda: gradtx.scale(NAN), "scale: step_size must be finite, got nan"),
    (lambda: gradtx.add_noise(0.1, 0.5, 1, seed=2), "add_noise: seed is another word for key; give one of the two."),
]

NO_TRANSFORMATION = [
    ("chain", lambda: gradtx.chain(gradtx.adam), "adam itself; call it: adam(...)."),
    ("masked", lambda: gradtx.masked(gradtx.adam, True), "adam itself; call it: adam(...)."),
    ("partition", lambda: gradtx.partition({"a": gradtx.adam}, "a"), "adam itself; call it: adam(...)."),
    ("chain", lambda: gradtx.chain([gradtx.adam(0.1)]), "[adam(0.1)]. Members are handed over one by one: chain(*members)."),
    ("masked", lambda: gradtx.masked(True, gradtx.adam(0.1)), "True."),
    ("MultiSteps", lambda: gradtx.MultiSteps(0.1, 2), "0.1."),
]

NO_MASK = (
    "must be True or False, got {}. "
    "A mask decides what is computed, so it cannot be a number, an array with axes or a traced one."
)


@pytest.mark.parametrize(("build", "message"), NO_NUMBER, ids=[message[:60] for _, message in NO_NUMBER])
def test_what_is_no_number_is_refused_when_built(build, message):
    with raises(TypeError, message):
        build()


@pytest.mark.parametrize(("build", "message"), OUT_OF_RANGE, ids=[message[:60] for _, message in OUT_OF_RANGE])
def test_a_number_out_of_range_is_refused_when_built(build, message):
    with raises(ValueError, message):
        build()


def test_what_is_not_a_transformation_is_refused_when_built():
    for owner, build, got in NO_TRANSFORMATION:
        with raises(TypeError, f"{owner}: ... must be a gradient transformation, got {got}"):
            build()


def test_a_mask_of_numbers_is_refused_when_built():
    with raises(TypeError, "adamw: mask " + NO_MASK.format("0.1")):
        gradtx.adamw(1e-3, mask=0.1)
    with raises(TypeError, "masked: mask['dense'] " + NO_MASK.format("1")):
        gradtx.masked(gradtx.adamw(1e-3), {"dense": 1, "scale": True})


def test_a_mask_as_a_function_is_refused_at_init():
    with raises(TypeError, "add_decayed_weights: mask " + NO_MASK.format("3")):
        gradtx.adamw(1e-3, mask=lambda params: 3).init(PARAMS)


def test_a_pattern_that_matches_nothing_is_refused_and_a_mask_of_false_alone_is_not():
    message = "matching: 'biases' matches nothing; did you mean '**/bias'? There are 'dense/bias', 'dense/kernel', 'scale'."
    with raises(ValueError, message):
        gradtx.adamw(1e-3, mask=gradtx.matching("biases")).init(PARAMS)
    gradtx.adamw(1e-3, mask=lambda params: jax.tree.map(lambda p: False, params)).init(PARAMS)


def test_a_transformation_in_the_place_of_its_factory_is_refused():
    message = (
        "inject_hyperparams: inner_factory must be a function, got adamw(0.001), which is made already; what makes it is adamw."
    )
    with raises(TypeError, message):
        gradtx.inject_hyperparams(gradtx.adamw(1e-3))


def test_the_ways_to_follow_a_schedule_that_the_error_proposes_work():
    for tx in (
        gradtx.adjustable(gradtx.adamw(1e-3), {"adamw.b1": SCHEDULE}),
        gradtx.inject_hyperparams(gradtx.adamw)(1e-3, b1=SCHEDULE),
    ):
        tx.update(GRADIENTS, tx.init(PARAMS), PARAMS)


def test_numbers_of_every_kind_are_numbers():
    for number in (0, 0.1, np.float32(0.1), np.asarray(0.1), jnp.asarray(0.1), jnp.asarray(1)):
        gradtx.adamw(number, eps=number)
    jax.eval_shape(lambda number: gradtx.adamw(number, b1=number).init(PARAMS), 0.1)


# --- mistakes in the arguments of update ------------------------------------------------------------------------------

OPTIMIZERS = {
    "chain": gradtx.chain(gradtx.clip_by_global_norm(1.0), gradtx.adamw(1e-3)),
    "muon": gradtx.muon(0.02),
    "masked": gradtx.masked(gradtx.adamw(1e-3), lambda params: jax.tree.map(lambda p: True, params)),
    "partition": gradtx.partition({"a": gradtx.adamw(1e-3), "b": gradtx.rmsprop(1e-2)}, {"dense": "a", "scale": "b"}),
    "inject_hyperparams": gradtx.inject_hyperparams(gradtx.adamw)(1e-3),
    "MultiSteps": gradtx.MultiSteps(gradtx.adamw(1e-3), 2),
    "apply_if_finite": gradtx.apply_if_finite(gradtx.adamw(1e-3), 3),
    "schedule_free": gradtx.schedule_free_adamw(1e-3),
    "adafactor": gradtx.adafactor(1e-3),
    "prodigy": gradtx.prodigy(),
    "lbfgs": gradtx.lbfgs(0.1, linesearch=None),
    "momo": gradtx.momo(0.1),
}

MADE_FOR_OTHERS = "Was the state made by init for other params?"
IN_ORDER = "Are params and updates in the right order: update(updates, state, params)?"
NO_FLOAT = (
    "has dtype int32, and only floating-point and complex arrays are optimized. Leave it out with masked(...), or put None"
)
NO_ARRAY = (
    "is not an array but a function, relu. Pass the arrays only (equinox: eqx.filter(model, eqx.is_inexact_array)), "
    "with None in place of the rest."
)

IN_A_LIST = GRADIENTS | {"dense": list(GRADIENTS["dense"].values())}
WRONG_UPDATES = {
    "a leaf is missing": (changed(GRADIENTS, bias=None), ValueError, "['dense']['bias'] has no counterpart in ..."),
    "one leaf too many": (changed(GRADIENTS, more=jnp.ones(2)), ValueError, "['dense']['more'] has no counterpart in ..."),
    "another container": (IN_A_LIST, ValueError, "updates['dense'] is a list, but ... is a dict. ..."),
    "an integer": (changed(GRADIENTS, bias=jnp.ones(2, jnp.int32)), TypeError, f"updates['dense']['bias'] {NO_FLOAT} ..."),
    "a function": (changed(GRADIENTS, bias=jax.nn.relu), TypeError, f"updates['dense']['bias'] {NO_ARRAY}"),
    "a word": (changed(GRADIENTS, bias="x"), TypeError, "updates['dense']['bias'] is not an array but a str. ..."),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("mistake", WRONG_UPDATES)
def test_updates_unlike_the_parameters_are_refused_by_path(name, mistake):
    updates, error, message = WRONG_UPDATES[mistake]
    with raises(error, f" ...{message}"):
        traced_update(OPTIMIZERS[name], updates)


def traced_update(tx, updates, params=PARAMS):
    """One step, of which nothing is compiled."""
    return jax.eval_shape(lambda: tx.update(updates, tx.init(PARAMS), params, value=jnp.ones(())))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_updates_of_a_wrong_shape_are_refused_by_path(name):
    with pytest.raises((TypeError, ValueError)) as caught:
        traced_update(OPTIMIZERS[name], changed(GRADIENTS, bias=jnp.ones(3)))
    said = "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    assert "['dense']['bias']" in said
    assert "(3,)" in said
    assert "(2,)" in said
    assert MADE_FOR_OTHERS.split(" by ")[0] in said or IN_ORDER in said


def test_a_rule_with_parts_of_other_shapes_says_which_leaf_it_was_at():
    message = (
        "scale_by_factored_rms: the rule fails at ['dense']['bias'], with the shapes updates (3,), state v_row (1,), "
        "state v_col (1,), state v (2,). Was the state made for other params? ... incompatible shapes ..."
    )
    with raises(TypeError, message):
        traced_update(gradtx.adafactor(1e-3), changed(GRADIENTS, bias=jnp.ones(3)))


def test_parameters_unlike_the_updates_are_refused_by_path():
    tx = gradtx.adamw(1e-3)
    missing = (
        f"add_decayed_weights: updates['dense']['bias'] has no counterpart in params['dense'], which has ['kernel']. {IN_ORDER}"
    )
    with raises(ValueError, missing):
        traced_update(tx, GRADIENTS, changed(PARAMS, bias=None))
    shape = (
        f"add_decayed_weights: updates['dense']['bias'] has shape (2,), but params['dense']['bias'] has shape (3,). {IN_ORDER}"
    )
    with raises(ValueError, shape):
        traced_update(tx, GRADIENTS, changed(PARAMS, bias=jnp.ones(3)))


def test_params_and_updates_that_are_swapped_are_told_where_they_differ():
    with_hole = changed(GRADIENTS) | {"scale": None}
    message = f"add_decayed_weights: updates['scale'] is an array, but params['scale'] is a hole (None). {IN_ORDER}"
    with raises(ValueError, message):
        traced_update(gradtx.adamw(1e-3), PARAMS, with_hole)


def test_the_value_in_the_place_of_the_gradients_is_refused():
    loss = jnp.ones(())
    with raises(ValueError, f"scale_by_adam: updates is an array, but state m is a dict. {MADE_FOR_OTHERS}"):
        traced_update(gradtx.adamw(1e-3), loss)
    with raises(ValueError, f"scale_by_adam: updates is a tuple, but state m is a dict. {MADE_FOR_OTHERS}"):
        traced_update(gradtx.adamw(1e-3), (loss, GRADIENTS))
    with raises(ValueError, "masked: mask has nothing for a lone array; it has ['dense'], ['scale']."):
        traced_update(gradtx.masked(gradtx.adamw(1e-3), {"dense": True, "scale": True}), loss)


@pytest.mark.parametrize(
    "name", ["chain", "muon", "masked", "partition", "inject_hyperparams", "MultiSteps", "apply_if_finite"]
)
def test_missing_parameters_are_asked_for(name):
    with raises(
        ValueError,
        "add_decayed_weights reads the parameters: call update(updates, state, params), not update(updates, state).",
    ):
        traced_update(OPTIMIZERS[name], GRADIENTS, None)


def test_a_missing_value_is_asked_for():
    for tx, name in [(gradtx.polyak_sgd(), "scale_by_polyak"), (gradtx.momo(0.1), "momo")]:
        with raises(TypeError, f"{name} reads 'value': call update(updates, state, params, value=...)."):
            tx.update(GRADIENTS, tx.init(PARAMS), PARAMS)


def test_gradients_of_another_float_dtype_are_no_mistake():
    half = jax.tree.map(lambda g: g.astype(jnp.bfloat16), GRADIENTS)
    updates, _ = traced_update(gradtx.adamw(1e-3), half)
    assert {u.dtype for u in jax.tree.leaves(updates)} == {jnp.dtype(jnp.bfloat16)}


# --- mistakes in the state --------------------------------------------------------------------------------------------

FIRST = "Make one before the first step, state = tx.init(params), and pass it on: update(updates, state, params)."
OWN = {
    "chain": "chain: the state is {}, not a tuple of EmptyState, tuple as init makes it. ",
    "muon": "muon: the state is {}, not PartitionState as init makes it. ",
    "masked": "masked: the state is {}, not MaskedState as init makes it. ",
    "partition": "partition: the state is {}, not PartitionState as init makes it. ",
    "inject_hyperparams": "inject_hyperparams(adamw): the state is {}, not InjectStatefulHyperparamsState as init makes it. ",
    "MultiSteps": "MultiSteps: the state is {}, not MultiStepsState as init makes it. ",
    "apply_if_finite": "apply_if_finite: the state is {}, not ApplyIfFiniteState as init makes it. ",
    "schedule_free": "schedule_free_adamw: the state is {}, not ScheduleFreeState as init makes it. ",
    "prodigy": "prodigy: the state is {}, not ProdigyState as init makes it. ",
}


@pytest.mark.parametrize("name", OWN)
def test_a_state_that_was_never_made_is_asked_for(name):
    tx = OPTIMIZERS[name]
    with raises(TypeError, OWN[name].format("None") + FIRST):
        tx.update(GRADIENTS, None, PARAMS)
    with raises(TypeError, OWN[name].format("a function, init") + FIRST):
        tx.update(GRADIENTS, tx.init, PARAMS)


@pytest.mark.parametrize("name", OWN)
def test_parameters_in_the_place_of_the_state_are_refused(name):
    message = OWN[name].format("a dict of 'dense', 'scale'")
    order = "It has the structure of the updates: call update(updates, state, params), in this order."
    with raises(TypeError, message + order):
        OPTIMIZERS[name].update(GRADIENTS, PARAMS, OPTIMIZERS[name].init(PARAMS))


def test_a_forgotten_state_is_not_taken_from_the_parameters():
    """The parameters are a dict of two here, and the chain has two members."""
    with raises(TypeError, "sgd: the state is a dict of 'dense', 'scale', not a tuple of EmptyState, EmptyState as init ..."):
        gradtx.sgd(0.1).update(GRADIENTS, PARAMS)


@pytest.mark.parametrize("name", OWN)
def test_the_state_of_another_optimizer_is_refused(name):
    others = {
        "a tuple of ScaleByRmsState, EmptyState, TraceState": gradtx.rmsprop(1e-3, momentum=0.9),
        "ScaleByAdamState": gradtx.scale_by_adam(),
    }
    for kind, other in others.items():
        with raises(TypeError, OWN[name].format(kind) + "Is it the state of another optimizer?"):
            OPTIMIZERS[name].update(GRADIENTS, other.init(PARAMS), PARAMS)


def test_a_part_of_the_state_that_is_anothers_is_refused_by_whose_it_is():
    rmsprop = gradtx.chain(gradtx.scale_by_rms(), gradtx.add_decayed_weights(0.1), gradtx.scale(0.1))
    message = "scale_by_adam: the state is ScaleByRmsState, not ScaleByAdamState as init makes it. ..."
    with raises(TypeError, message):
        gradtx.adamw(1e-3).update(GRADIENTS, rmsprop.init(PARAMS), PARAMS)


def test_states_of_the_same_fields_and_lists_of_a_checkpoint_are_no_mistake():
    tx = gradtx.adamw(1e-3)
    tx.update(GRADIENTS, list(tx.init(PARAMS)), PARAMS)


@pytest.mark.parametrize("name", ["chain", "muon", "inject_hyperparams", "MultiSteps", "apply_if_finite", "schedule_free"])
def test_the_state_of_other_parameters_is_refused_by_path(name):
    tx = OPTIMIZERS[name]
    state = tx.init({"other": jnp.ones((3, 2))})
    with raises(ValueError, f" ...: updates['dense'] has no counterpart in state ..., which has ['other']. {MADE_FOR_OTHERS}"):
        tx.update(GRADIENTS, state, PARAMS)


def test_an_error_in_what_a_user_wrote_is_left_as_it_is():
    def fail(updates, params):
        raise KeyError("mine")

    tx = gradtx.chain(gradtx.scale(1.0), gradtx.stateless(fail))
    with pytest.raises(KeyError, match="mine"):
        tx.update(GRADIENTS, tx.init(PARAMS), PARAMS)


def test_an_error_is_explained_once_however_many_wrappers_are_around_it():
    """An explanation makes a state and walks over all leaves: with a thousand of them, each level would take its time."""
    made = []

    def init(params):
        made.append(params)
        return gradtx.EmptyState()

    def update(updates, state, params=None):
        raise KeyError("mine")

    tx = gradtx.chain(gradtx.scale(1.0), gradtx.GradientTransformation(init, update))
    for wrap in (lambda tx: gradtx.masked(tx, True), lambda tx: gradtx.MultiSteps(tx, 1), gradtx.flatten, gradtx.chain):
        tx = wrap(tx)
    state = tx.init(PARAMS)
    made.clear()
    with pytest.raises(KeyError, match="mine"):
        tx.update(GRADIENTS, state, PARAMS)
    assert len(made) == 1


# --- models that are trees and hold functions -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make", [gradtx.adamw, gradtx.muon, gradtx.schedule_free_adamw, lambda rate: gradtx.MultiSteps(gradtx.lion(rate), 2)]
)
def test_a_model_of_equinox_is_to_be_filtered(make):
    model = eqx.nn.MLP(2, 1, 4, 1, key=jax.random.key(0))
    with raises(TypeError, " ...params.activation is not an array but a function, relu. Pass the arrays only (equinox: ..."):
        make(0.1).init(model)
    make(0.1).init(eqx.filter(model, eqx.is_inexact_array))


def test_a_function_that_a_mask_leaves_out_is_not_blamed_for_another_mistake():
    tx = gradtx.masked(gradtx.adamw(1e-3), lambda params: jax.tree.map(lambda p: not callable(p), params))
    params = changed(PARAMS, activation=jax.nn.relu)
    state = tx.init(params)
    with raises(ValueError, "scale_by_adam: updates['dense']['bias'] has shape (3,), ..."):
        tx.update(changed(params, bias=jnp.ones(3)), state, params)


# --- warnings: by default Python shows those of deprecated names only where they point at the program ------------------------

WARNINGS = {
    "a deprecated optimizer": lambda: gradtx.optimistic_adam(0.1),
    "... within others": lambda: gradtx.chain(gradtx.masked(gradtx.optimistic_adam(0.1), True)),
    "... with hyperparameters in the state": lambda: gradtx.inject_hyperparams(gradtx.optimistic_adam)(0.1),
    "a deprecated loss": lambda: gradtx.losses.convex_kl_divergence(jnp.zeros(2), jnp.ones(2)),
    "... traced": lambda: jax.jit(gradtx.losses.convex_kl_divergence)(jnp.zeros(2), jnp.ones(2)),
    "an average that cannot decay": lambda: gradtx.stored(gradtx.adam(0.1), jnp.bfloat16).init(PARAMS),
    "... of a member": lambda: gradtx.chain(gradtx.clip(1.0), gradtx.stored(gradtx.adam(0.1), jnp.bfloat16)).init(PARAMS),
    "steps that do not add up": lambda: transformers.get_wsd_schedule(1e-3, 1, 2, 10, num_stable_steps=3),
}


@pytest.mark.parametrize("call", WARNINGS.values(), ids=WARNINGS)
def test_a_warning_points_at_the_program(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    assert {each.filename for each in caught} == {__file__}
