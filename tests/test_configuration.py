"""Compositions as plain data: written, read again, and refused by the place where they cannot be."""

# Types are wrong here on purpose.
# pyright: reportArgumentType=false

import functools
import inspect
import json
import math
import pickle
import re
import subprocess
import sys
import tomllib
from collections import OrderedDict

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zoo
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import table

import gradtx
from gradtx import from_config, recipes, to_config
from gradtx.configuration.names import RESERVED
from gradtx.interop import keras, torch, transformers

MAKERS = {label: sample.make for label, sample in zoo.TRANSFORMATIONS.items()} | zoo.SCHEDULES | zoo.MASKS
LABELS = [*zoo.existing(zoo.TRANSFORMATIONS), *zoo.SCHEDULES, *zoo.MASKS]
KNOWN = {name: f for name, f in vars(zoo).items() if inspect.isfunction(f)}
# What has a function of someone's own among its arguments, with its place.
NOT_DATA = {
    "stateless": "stateless.f",
    "stateless_with_tree_map": "stateless_with_tree_map.f",
    "scale_by_schedule": "scale_by_schedule.step_size_fn",
    "scale_by_learning_rate with a schedule": "scale_by_learning_rate.learning_rate",
    "add_decayed_weights of matrices": "add_decayed_weights.mask",
    "add_decayed_weights with a schedule": "add_decayed_weights.weight_decay",
    "decay_after_step": "decay_after_step.mask",
    "decay_to_initial with a schedule": "decay_to_initial.weight",
    "distributed_shampoo of KL statistics": "distributed_shampoo.learning_rate",
    "ema_nesterov with a schedule": "ema_nesterov.lookahead",
    "floor_update_ratio of rows": "masked.mask",
    "muonh of matrices": "masked.mask",
    "primal_averaged with schedules": "primal_averaged.decay",
    "scale_by_stable_adam with weight decay": "scale_by_stable_adam.mask.matching[0]",
    "scale_by_layer_decay": "scale_by_layer_decay.layers[0]",
    "measure_with_ema of the updates themselves": "measure_with_ema.measure",
    "differentially_private_aggregate of one example": "chain[0].stateless.f",
    "scale_by_dion of matrices": "masked.mask",
    "scale_by_lmo": "scale_by_lmo.norm[0].tuple",
    "scale_by_lmo of matrices": "masked.mask",
    "scale_by_lmo of signs": "masked.mask",
    "scion": "scion.norm[0].tuple",
    "scale_by_matrix_shape": "masked.mask",
    "scale_by_matrix_shape by name": "masked.mask",
    "scale_by_muon of matrices in bfloat16": "masked.mask",
    "scale_by_muon of matrices": "masked.mask",
    "scale_by_muon of signs": "masked.mask",
    "scale_by_muon of a preset": "masked.mask",
    "normalize_by_matrix_rms": "masked.mask",
    "scale_by_row_rms": "masked.mask",
    "scale_by_row_rms of inputs": "masked.mask",
    "masked": "masked.mask",
    "partition": "partition.param_labels",
    "multi_transform": "multi_transform.param_labels",
    "freeze": "freeze.mask",
    "freeze what matches": "freeze.mask.matching[0]",
    "grouped": "grouped.groups[0].Group.pattern",
    "grouped with some frozen": "grouped.groups[0].Group.pattern",
    "selective_transform": "selective_transform.freeze_mask",
    "conditionally_transform": "conditionally_transform.should_transform_fn",
    "conditionally_mask": "conditionally_mask.should_transform_fn",
    "conditionally_mask by a value": "conditionally_mask.should_transform_fn",
    "lookahead": "synced",
    "compensated": "of_bfloat16",
    "compensated by 8 bits": "of_bfloat16",
    "stochastically_rounded": "of_bfloat16",
    "stacked": "stacked.where",
    "sharded": "sharded.layout",
    "mechanize": "mechanize.base_optimizer.sgd.learning_rate",
    "schedule_free": "schedule_free.base_optimizer.rmsprop.learning_rate",
    "inject_stateful_hyperparams": "call.arguments.momentum",
    "adjustable": "adjustable.inner.chain[1].adamw.learning_rate",
    "inject_hyperparams": "call.arguments.learning_rate",
    "muon of two presets": "muon.learning_rate",
    "momo_adam": "momo_adam.learning_rate",
    "prodigy": "prodigy.weight_decay_mask",
    "rprop with a schedule": "rprop.learning_rate",
    "sm3": "sm3.learning_rate",
    "optimistic_adam": "optimistic_adam.learning_rate",
    "dpsgd of one example": "chain[0].stateless.f",
    "sgd with momentum": "sgd.learning_rate",
    "adamw of matrices with a schedule": "adamw.learning_rate",
    "ademamix": "ademamix.b3",
    "join_schedules": "join_schedules.schedules[1]",
    "scaled_schedule": "scaled_schedule.schedule",
    "matching": "matching[1][1]",
}


def is_plain(data):
    """Whether data are what JSON, YAML and TOML hold: no None, no key but strings, no number that is not finite."""
    if isinstance(data, dict):
        return all(type(key) is str for key in data) and all(map(is_plain, data.values()))
    if isinstance(data, list):
        return all(map(is_plain, data))
    return type(data) in (str, bool, int) or (type(data) is float and math.isfinite(data))


def returned(value, known=None):
    """A value after it was written to JSON and read again."""
    data = to_config(value, known=known or {})
    assert is_plain(data), data
    return from_config(json.loads(json.dumps(data, allow_nan=False)), known=known or {})


# --- there and back ---------------------------------------------------------------------------------------------------


@table("label", [label for label in LABELS if label not in NOT_DATA])
def test_everything_comes_back_from_json(label):
    value = MAKERS[label]()
    assert returned(value) == value
    assert repr(returned(value)).partition("(")[0] == repr(value).partition("(")[0]


@table("label", NOT_DATA)
def test_a_function_of_ones_own_is_refused_by_its_place_and_comes_back_under_a_name(label):
    value = MAKERS[label]()
    place = re.escape(NOT_DATA[label])
    with pytest.raises(
        TypeError, match=rf"^{place} is the function \w+, which is not data; write|^to_config: {place} is not a"
    ):
        to_config(value)
    assert returned(value, KNOWN) == value


RECIPES = {
    "cnn": recipes.cnn(total_steps=1000),
    "transformer": recipes.transformer(total_steps=10_000),
    "bert": recipes.bert(total_steps=100_000),
    "vit": recipes.vit(total_steps=100_000),
    "fine_tuning": recipes.fine_tuning(total_steps=1000),
    "lora": recipes.lora(total_steps=1000),
    "gan": recipes.gan().generator,
    "reinforcement_learning": recipes.reinforcement_learning(total_steps=1000),
    "diffusion": recipes.diffusion(),
    "small_data": recipes.small_data(),
    "torch": torch.adamw(torch.cosine_annealing_lr(0.1, T_max=10), betas=(0.9, 0.95)),
    "keras": keras.sgd(keras.cosine_decay(0.1, 100), momentum=0.9),
    "transformers": transformers.trainer_adamw(transformers.get_linear_schedule_with_warmup(0.1, 10, 100)),
}


@table("name", RECIPES)
def test_recipes_and_what_other_libraries_call_otherwise_come_back(name):
    assert returned(RECIPES[name]) == RECIPES[name]


ARGUMENTS = {
    "infinity": lambda: gradtx.clip_by_global_norm(math.inf),
    "minus infinity and nan": lambda: kept([-math.inf, math.nan]),
    "minus zero": lambda: kept([-0.0, 0.0]),
    "a complex number": lambda: kept(complex(1.5, -math.inf)),
    "None": lambda: kept([None, {"a": None, "b": 1}]),
    "integers and bools": lambda: kept([1, 1.0, True, 2**70]),
    "strings": lambda: kept(["", "1e-3", "1", "none", "-.5E+7", "é\n"]),
    "tuples and lists": lambda: kept([(1, 2), [1, 2], ((),), [[]]]),
    "a dict of one key": lambda: kept({"adamw": {"kernel": True}}),
    "a dict of words": lambda: kept({"tuple": 1, "none": {}}),
    "a dict of numbers": lambda: gradtx.piecewise_constant_schedule(0.1, {5: 0.1, 10: 0.5}),
    "a dict of one number": lambda: gradtx.piecewise_constant_schedule(0.1, {5: 0.1}),
    "a dict of tuples": lambda: kept({(1, "a"): 2, (2, "b"): None}),
    "an empty dict": lambda: kept({}),
    "arrays": lambda: kept([np.arange(6.0).reshape(2, 3), jnp.asarray([[1], [2]], jnp.int8), np.zeros((0, 3), bool)]),
    "strange numbers in arrays": lambda: kept([np.array([np.nan, -np.inf, -0.0]), jnp.asarray([1e30 + 2j], jnp.complex64)]),
    "arrays of a few bits": lambda: kept([jnp.asarray([0.1, 3.0], jnp.bfloat16), jnp.asarray(0.3, jnp.float8_e4m3fn)]),
    "arrays of many bits": lambda: kept([np.array([2**64 - 1], np.uint64), np.array(0.1), np.float64(0.1), np.float32(0.1)]),
    "a scalar array": lambda: gradtx.scale(jnp.asarray(0.1)),
    "random keys": lambda: kept([jax.random.key(3), jax.random.split(jax.random.key(1, impl="rbg"), 2), jax.random.PRNGKey(0)]),
    "dtypes": lambda: kept([jnp.bfloat16, np.float32, np.dtype("int8"), jnp.dtype(jnp.bfloat16), float, bool, "bfloat16"]),
    "a dtype of a moment": lambda: gradtx.adam(0.1, mu_dtype=jnp.bfloat16),
    "regular expressions": lambda: gradtx.matching(re.compile(r"a/.*"), (re.compile("B", re.IGNORECASE), "**/c")),
    "partition specs": lambda: kept([jax.P(), jax.P("data", None, ("a", "b"))]),
    "functions of gradtx": lambda: gradtx.monitor({"norm": gradtx.tree.norm, "sum": gradtx.tree.sum}),
    "one function of gradtx": lambda: gradtx.monitor({"norm": gradtx.tree.norm}),
    "tuples with names": lambda: gradtx.muon(0.1, muon_weight_dimension_numbers=gradtx.MuonDimensionNumbers((0,), (1,))),
    "masked leaves": lambda: gradtx.masked(gradtx.adam(0.1), {"a": True, "b": gradtx.MaskedNode()}),
    "a mask of one key": lambda: gradtx.masked(gradtx.adam(0.1), {"kernel": {"chain": False}}),
    "a named chain": lambda: gradtx.named_chain(("rate", gradtx.scale(-0.1)), ("adam", gradtx.scale_by_adam())),
    "a chain of nothing": lambda: gradtx.chain(),
    "transformations by label": lambda: gradtx.partition({1: gradtx.adam(0.1), 3: gradtx.sgd(0.2)}, {"w": 1, "b": 3}),
    "one transformation by label": lambda: gradtx.partition({"adam": gradtx.adam(0.1)}, "adam"),
    "groups": lambda: gradtx.grouped(
        gradtx.adamw(gradtx.linear_schedule(0.1, 0.0, 9)),
        [
            gradtx.Group(("**/bias", "**/scale"), weight_decay=0.0),
            gradtx.Group("head/**", gradtx.muon(0.02), learning_rate_factor=0.5, name="1e5"),
            gradtx.Group("**", frozen=True),
        ],
    ),
    "no default": lambda: gradtx.lbfgs(linesearch=None),
    "factories of factories": lambda: gradtx.inject_hyperparams(gradtx.adamw, "b1")(
        0.1, weight_decay=gradtx.linear_schedule(1, 0, 9)
    ),
    "schedules by path": lambda: gradtx.adjustable(gradtx.adam(0.1), {"adam.b1": gradtx.linear_schedule(0.8, 0.9, 9)}),
    "accumulation": lambda: gradtx.MultiSteps(gradtx.adam(0.1), 4, should_skip_update_fn=gradtx.skip_not_finite),
    "what is made for another library": lambda: gradtx.with_extra_args_support(gradtx.adam(0.1)),
}


@gradtx.factory
def kept(argument):
    """Keep an argument of any kind."""
    return gradtx.identity()


@table("label", ARGUMENTS)
def test_arguments_of_every_kind_come_back(label):
    value = ARGUMENTS[label]()
    assert returned(value, {"kept": kept}) == value
    assert returned(value, {"kept": kept}) == pickle.loads(pickle.dumps(value))


NUMBERS = st.floats(allow_nan=True) | st.integers(-(2**31), 2**31 - 1) | st.booleans() | st.none() | st.text(max_size=5)
TREES = st.recursive(
    NUMBERS | st.just(jnp.float32) | st.complex_numbers() | st.sampled_from(["1e5", "tuple", gradtx.tree.norm]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3) | st.sampled_from(["chain", "dict", "function"]), inner, max_size=3)
    ),
    max_leaves=8,
)
RATES = st.floats(0, 1) | st.builds(gradtx.cosine_decay_schedule, st.floats(0, 1), st.integers(1, 1000))
OPTIMIZERS = st.recursive(
    st.builds(gradtx.adamw, RATES, b1=st.floats(0, 0.99), weight_decay=RATES, nesterov=st.booleans())
    | st.builds(gradtx.sgd, RATES, momentum=st.none() | st.floats(0, 0.99))
    | st.builds(gradtx.clip_by_global_norm, st.floats(0.01, math.inf)),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda members: gradtx.chain(*members))
        | st.builds(gradtx.masked, inner, st.sampled_from([True, {"a": True}, {"a": True, "b": [False]}]))
        | st.builds(gradtx.MultiSteps, inner, st.integers(1, 9))
        | st.dictionaries(st.sampled_from(["chain", "adamw", "x"]), inner, min_size=1).map(
            lambda members: gradtx.partition(members, next(iter(members)))
        )
        | st.builds(lambda tx, other: gradtx.grouped(tx, [gradtx.Group("a/*", other), gradtx.Group("**")]), inner, inner)
    ),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None)
@given(TREES)
def test_any_tree_comes_back(tree):
    value = kept(tree)
    assert returned(value, {"kept": kept}) == value


@settings(max_examples=40, deadline=None)
@given(OPTIMIZERS)
def test_any_composition_comes_back(tx):
    assert returned(tx) == tx


# --- the form ---------------------------------------------------------------------------------------------------------

COMPOSED = gradtx.chain(
    gradtx.clip_by_global_norm(1.0),
    gradtx.adamw(gradtx.warmup_cosine_decay_schedule(0, 3e-4, 100, 1000), b2=0.95, weight_decay=0.1),
)


def test_the_form_is_one_that_a_person_would_write():
    assert to_config(COMPOSED) == {
        "chain": [
            {"clip_by_global_norm": {"max_norm": 1.0}},
            {
                "adamw": {
                    "learning_rate": {
                        "warmup_cosine_decay_schedule": {
                            "init_value": 0,
                            "peak_value": 3e-4,
                            "warmup_steps": 100,
                            "decay_steps": 1000,
                        }
                    },
                    "b2": 0.95,
                    "weight_decay": 0.1,
                }
            },
        ]
    }


def test_toml_written_by_hand_is_read():
    text = """
    [[chain]]
    clip_by_global_norm = 1.0
    [[chain]]
    [chain.adamw]
    b2 = 0.95
    weight_decay = 0.1
    learning_rate.warmup_cosine_decay_schedule = [0, 3e-4, 100, 1000]
    """
    assert from_config(tomllib.loads(text)) == COMPOSED


BY_HAND = {
    "arguments in their order": ({"adam": [0.1, 0.8]}, gradtx.adam(0.1, 0.8)),
    "the only argument": ({"adam": 0.1}, gradtx.adam(0.1)),
    "a call as the only argument": ({"adjustable": {"adamw": 0.1}}, gradtx.adjustable(gradtx.adamw(0.1))),
    "a call as the first argument": ({"MultiSteps": [{"adam": 0.1}, 4]}, gradtx.MultiSteps(gradtx.adam(0.1), 4)),
    "an argument with the name of a function": (
        {"galore": {"learning_rate": 0.1, "scale": 0.5}},
        gradtx.galore(0.1, scale=0.5),
    ),
    "no arguments": (
        {"chain": [{"zero_nans": None}, {"identity": []}, {"centralize": {}}]},
        gradtx.chain(gradtx.zero_nans(), gradtx.identity(), gradtx.centralize()),
    ),
    "null, as YAML has it": ({"sgd": {"learning_rate": 0.1, "momentum": None}}, gradtx.sgd(0.1)),
    "numbers that YAML takes for strings": ({"adam": {"learning_rate": "3e-4", "eps": "1E-8"}}, gradtx.adam(3e-4)),
    "a dtype by name": ({"adam": {"learning_rate": 0.1, "mu_dtype": "bfloat16"}}, gradtx.adam(0.1, mu_dtype="bfloat16")),
    "a list of patterns": ({"freeze": {"matching": ["a/**", ["b", "c"]]}}, gradtx.freeze(gradtx.matching("a/**", ("b", "c")))),
    "a list of betas": ({"prodigy": {"betas": [0.9, 0.99]}}, gradtx.prodigy(betas=(0.9, 0.99))),
    "keys that are numbers": (
        {"piecewise_constant_schedule": [0.1, {5: 0.5, 9: 0.1}]},
        gradtx.piecewise_constant_schedule(0.1, {5: 0.5, 9: 0.1}),
    ),
    "pairs": ({"named_chain": [["a", {"scale": -1.0}]]}, gradtx.named_chain(("a", gradtx.scale(-1.0)))),
    "a recipe": ({"recipes.cnn": {"total_steps": 100}}, recipes.cnn(total_steps=100)),
    "a dotted name": ({"interop.torch.sgd": {"lr": 0.1}}, torch.sgd(0.1)),
    "a mapping of another class": (OrderedDict(adam=OrderedDict(learning_rate=0.1)), gradtx.adam(0.1)),
}


@table("label", BY_HAND)
def test_what_a_person_writes_is_understood(label):
    data, meant = BY_HAND[label]
    assert from_config(data) == meant


def test_what_is_read_twice_in_the_same_data_is_no_cycle():
    adam = {"adam": 0.1}
    assert from_config({"chain": [adam, adam]}) == gradtx.chain(gradtx.adam(0.1), gradtx.adam(0.1))


def test_words_are_no_names_of_gradtx():
    assert RESERVED.isdisjoint(gradtx.__all__)


# --- mistakes ---------------------------------------------------------------------------------------------------------


def cyclic():
    members = [{"scale": 1.0}]
    members.append({"chain": members})
    return {"chain": members}


WRONG = {
    "a misspelt name": (
        {"chain": [{"clip": 1.0}, {"adamw": {"learning_rate": {"cosine_decay_shedule": {"init_value": 1}}}}]},
        ValueError,
        r"^chain\[1\]\.adamw\.learning_rate: no factory is called 'cosine_decay_shedule'; did you mean 'cosine_decay_sched",
    ),
    "a misspelt name at the top": (
        {"chian": []},
        ValueError,
        r"^from_config: no factory is called 'chian'; did you mean 'chain'\?",
    ),
    "a dict of one key": (
        {"masked": {"inner": {"adam": 0.1}, "mask": {"zzzz": True}}},
        ValueError,
        r"^masked\.mask: no factory is called 'zzzz'; a dict of one key is written \{'dict'",
    ),
    "a misspelt argument": (
        {"chain": [{"adam": {"lr": 0.1}}]},
        TypeError,
        r"^chain\[0\]\.adam: .*'lr'; did you mean 'learning_",
    ),
    "a missing argument": ({"chain": [{"adam": {}}]}, TypeError, r"^chain\[0\]\.adam: .*missing.* 'learning_rate'"),
    "too many arguments": ({"scale": [1, 2, 3]}, TypeError, r"^scale: scale\(\) takes 1 positional argument but 3"),
    "a number out of range": (
        {"chain": [{"adam": [0.1, 1.5]}]},
        ValueError,
        r"^chain\[0\]\.adam: b1 must be at least 0 and",
    ),
    "no number": ({"adam": {"learning_rate": "fast"}}, TypeError, r"^adam: learning_rate must be a number"),
    "a number as the only member of a chain": ({"chain": 3}, TypeError, r"^chain: args\[0\] must be a gradient"),
    "a function that makes nothing": ({"tree.norm": {}}, ValueError, r"^from_config: 'tree.norm' makes no transformation"),
    "a function that makes no transformation": ({"minimize": []}, ValueError, r"^from_config: 'minimize' makes no transf"),
    "a class of the protocol": ({"GradientTransformation": [1, 2]}, ValueError, r"^from_config: 'GradientTransf.* makes no"),
    "an unknown function": (
        {"stateless": {"function": "tree.nrm"}},
        ValueError,
        r"^stateless: no function is called 'tree.nrm'",
    ),
    "a word that is misused": ({"clip": {"number": "12"}}, ValueError, r"^clip\.number: a number that is not finite is"),
    "an unknown dtype": (
        {"adam": [0.1, 0.9, 0.9, 0, 0, {"dtype": "f1"}]},
        ValueError,
        r"^adam\[5\]\.dtype: there is no type 'f1'",
    ),
    "a wrong regular expression": ({"matching": [{"regex": "("}]}, ValueError, r"^matching\[0\]\.regex: missing \)"),
    "a wrong array": (
        {"scale": {"array": {"value": 1}}},
        TypeError,
        r"^scale\.array: a dict of dtype, shape, values is wanted",
    ),
    "a tuple of nothing": ({"scale": {"tuple": 1}}, TypeError, r"^scale\.tuple: a list is wanted, got 1"),
    "a call of what is no factory": (
        {"call": {"function": {"scale": 1.0}, "arguments": [1]}},
        TypeError,
        r"^from_config: its function is a call of inject_hyperparams, got scale\(1.0\)",
    ),
    "a cycle": (cyclic(), ValueError, r"^chain\[1\]\.chain\[1\]: the data contain themselves"),
    "an object": ({"scale": object()}, TypeError, r"^scale: a config holds dicts, lists, .* got <object"),
    "a list": ([{"adam": 0.1}], TypeError, r"^from_config: a config is a dict of one key"),
    "two calls": ({"adam": 0.1, "sgd": 0.1}, TypeError, r"^from_config: a config is a dict of one key"),
    "a number": (3, TypeError, r"^from_config: a config is a dict of one key"),
    "a word at the top": ({"none": []}, TypeError, r"^from_config: a config is a dict of one key"),
}


@pytest.mark.parametrize("label", WRONG)
def test_mistakes_are_told_by_their_place(label):
    data, error, message = WRONG[label]
    with pytest.raises(error, match=message):
        from_config(data)


STRANGERS = ("os.system", "builtins.eval", "eval", "__import__", "gradtx.adam", "interop.os", "lazy.attribute", "core.factory")
INSIDE = ("tree.jax", "jax", "_typing", "__getattr__", "interop.torch.checkpoints.from_torch", "testing.check", "cli.main", ".")


@pytest.mark.parametrize("name", [*STRANGERS, *INSIDE, "chain.__globals__"])
def test_data_of_strangers_name_nothing_but_what_is_public_and_import_nothing(name):
    for data in ({name: ["echo"]}, {"stateless": {"function": name}}):
        with pytest.raises(ValueError, match="is called"):
            from_config(data)


def test_a_module_is_not_loaded_because_data_name_it():
    program = """
import sys, gradtx
for name in ("gradtx.testing.check", "testing.check", "interop.optax.bridge", "cli.main", "this.s"):
    try:
        gradtx.from_config({name: []})
    except ValueError:
        pass
assert not {"gradtx.testing", "gradtx.cli", "gradtx.interop.optax", "this", "torch", "keras"} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: gradtx.chain(gradtx.clip(1.0), gradtx.sgd(lambda t: 0.1)),
            r"^chain\[1\]\.sgd\.learning_rate is the function <lam",
        ),
        (
            lambda: kept({"a": 1, "b": np.zeros((40, 40))}),
            r"^kept\.argument\.b is an array of shape \(40, 40\) .* at most 1024",
        ),
        (lambda: kept([{1, 2}]), r"^kept\.argument\[0\] is \{1, 2\}, a set, which is not data"),
        (lambda: kept((object(),)), r"^kept\.argument\.tuple is <object .*, a object, which is not data"),
        (lambda: gradtx.chain(unmarked()), r"^chain\[0\] is a transformation that no factory has made; mark"),
        (lambda: unmarked(), r"^to_config takes what a function of gradtx has made, got a transformation that no"),
        (lambda: zoo.halving, r"^to_config takes what a function of gradtx has made, got the function halving"),
        (
            lambda: gradtx.scale_by_schedule(functools.partial(max, 0)),
            r"^scale_by_schedule\.step_size_fn is the function partial",
        ),
        (lambda: of_others(1, b=2), r"^of_others has the argument \*\*others, which a config cannot name"),
    ],
)
def test_what_is_not_data_is_told_by_its_place(make, message):
    with pytest.raises(TypeError, match=message):
        to_config(make(), known={"kept": kept, "of_others": of_others})


def unmarked():
    """A pair that someone wrote without a factory."""
    return gradtx.GradientTransformation(gradtx.init_empty_state, zoo.negated)


@gradtx.factory
def of_others(a, **others):
    """Take any keyword."""
    return gradtx.identity()


def test_a_traced_number_is_not_data():
    def trace(rate):
        with pytest.raises(
            TypeError, match=r"^adam\.learning_rate is a traced array, which has no value; call to_config outside"
        ):
            to_config(gradtx.adam(rate))
        return rate

    jax.eval_shape(trace, 0.1)


@pytest.mark.parametrize("name", ["adam", "tuple", "function", "tree.norm"])
def test_a_name_of_ones_own_hides_none_of_gradtx(name):
    for use in (functools.partial(to_config, COMPOSED), functools.partial(from_config, {"scale": 1.0})):
        with pytest.raises(ValueError, match=f"known: '{name}' has a meaning in a config already"):
            use(known={name: zoo.halving})
