"""Training runs with the 8- and 4-bit optimizers of bitsandbytes and torchao, carried over."""

import json
import types
from typing import Any

import chex
import jax
import jax.numpy as jnp
import low_bit_checkpoints_cases as cases
import low_bit_optimizers_cases as optimizers
import numpy as np
import pytest
import recorded

import gradtx
from gradtx.interop import torch
from gradtx.tree.quantized import Quantized, is_quantized

GOLDEN = recorded.read("low_bit_checkpoints")
every_run = pytest.mark.parametrize("label", cases.RUNS)


def state_dict_of(label: str) -> dict[str, Any]:
    """With torchao's tensors as what has their attributes."""
    state: dict[int, dict[str, Any]] = {}
    for key, value in GOLDEN.items():
        if key.startswith(f"{label}/state/"):
            _, _, index, entry, *part = key.split("/")
            entries = state.setdefault(int(index), {})
            if part:
                entries.setdefault(entry, {})[part[0]] = value
            else:
                entries[entry] = value
    if label.startswith("torchao"):
        for entries in state.values():
            entries |= {k: types.SimpleNamespace(**value) for k, value in entries.items() if isinstance(value, dict)}
    return {"state": state, "param_groups": json.loads(str(GOLDEN[f"{label}/param_groups"]))}


def params_of(label: str, when: str = "middle") -> dict[str, Any]:
    return {name: jnp.asarray(GOLDEN[f"{label}/{when}/{name}"]) for name in cases.names_of(label)}


def in_float32(label: str) -> gradtx.GradientTransformationExtraArgs:
    options = cases.RUNS[label]
    if "SGD" in label:
        return gradtx.sgd(options["lr"], options["momentum"])
    b1, b2 = options["betas"]
    make = gradtx.lion if "Lion" in label else gradtx.adamw
    return make(options["lr"], b1, b2, weight_decay=options["weight_decay"])


def in_their_code(label: str) -> gradtx.GradientTransformationExtraArgs:
    return gradtx.quantized(in_float32(label), code="dynamic", bits=4 if "4bit" in label else 8)


def went_on(tx, label, params, state):
    """The parameters at the end, as torch's run has them."""
    step = jax.jit(tx.update)
    for grads in optimizers.gradients()[cases.BEFORE : cases.BEFORE + cases.AFTER]:
        updates, state = step({name: jnp.asarray(grads[name]) for name in params}, state, params)
        params = gradtx.apply_updates(params, updates)
    return params


def assert_equal_moves(label, actual, limit):
    """Moves since the state was carried over differ by `limit` of the largest one, in the mean."""
    for name, p in params_of(label).items():
        expected = GOLDEN[f"{label}/end/{name}"]
        assert np.mean(np.abs(actual[name] - expected)) <= limit * np.max(np.abs(expected - p)), name


@every_run
def test_the_next_steps_are_those_of_torch(label):
    params, tx = params_of(label), in_their_code(label)
    state = torch.from_torch(state_dict_of(label), params, list(params), tx)
    chex.assert_trees_all_equal_shapes_and_dtypes(state, tx.init(params))
    assert_equal_moves(label, went_on(tx, label, params, state), 1e-5)


@every_run
def test_codes_are_taken_to_the_bit(label):
    params = params_of(label)
    state_dict = state_dict_of(label)
    state = torch.from_torch(state_dict, params, list(params), in_their_code(label))
    kernel = list(params).index("kernel")
    node = next(leaf for leaf in jax.tree.leaves(state, is_leaf=is_quantized) if is_quantized(leaf))
    entries = state_dict["state"][kernel]
    if "bitsandbytes" in label:
        codes, scale = (entries["__bnb_optimizer_quant_state__"][name] for name in ("state1", "absmax1"))
    else:
        codes, scale = entries["exp_avg"].codes, entries["exp_avg"].scale
    chex.assert_trees_all_equal(np.ravel(node.codes), np.ravel(codes))
    chex.assert_trees_all_equal(np.ravel(node.scale), scale)


@every_run
def test_into_float32_the_numbers_are_those_of_the_books(label):
    params, tx = params_of(label), in_float32(label)
    state = torch.from_torch(state_dict_of(label), params, list(params), tx)
    chex.assert_trees_all_equal_shapes_and_dtypes(state, tx.init(params))
    entries = state_dict_of(label)["state"][list(params).index("kernel")]
    bits = 4 if "4bit" in label else 8
    if "bitsandbytes" in label:
        own = entries["__bnb_optimizer_quant_state__"]
        codes, scale, book = own["state1"], own["absmax1"], own["qmap1"]
    else:
        codes, scale, book = (getattr(entries["exp_avg"], name) for name in ("codes", "scale", "qmap"))
    if bits == 4:
        codes = np.stack([codes // 16, codes % 16], axis=1)
    expected = np.reshape(book[codes].reshape(scale.size, -1) * scale[:, None], (32, 128))
    first = gradtx.tree.get(state, "trace" if "SGD" in label else "mu")["kernel"]
    chex.assert_trees_all_close(first, expected, rtol=1e-7)
    # 8 bits are kept no longer, so that the next steps are near those of torch, not equal.
    assert_equal_moves(label, went_on(tx, label, params, state), 0.3 if bits == 4 else 0.03)


def test_a_transposed_parameter_is_coded_again():
    label = "bitsandbytes AdamW8bit"
    params = {name: p.T for name, p in params_of(label).items()}
    names: list[Any] = [(name, (1, 0)) if p.ndim == 2 else name for name, p in params.items()]
    plain = torch.from_torch(state_dict_of(label), params, names, in_float32(label))
    tx = in_their_code(label)
    state = torch.from_torch(state_dict_of(label), params, names, tx)
    expected, report = gradtx.transfer_state(plain, tx, params)
    chex.assert_trees_all_equal(state, expected)
    assert len(report.converted) == 4


def test_into_another_code_numbers_are_coded_again():
    label = "bitsandbytes AdamW8bit"
    params, tx = params_of(label), gradtx.quantized(in_float32(label))
    state = torch.from_torch(state_dict_of(label), params, list(params), tx)
    plain = torch.from_torch(state_dict_of(label), params, list(params), in_float32(label))
    chex.assert_trees_all_equal(state, gradtx.transfer_state(plain, tx, params)[0])
    assert_equal_moves(label, went_on(tx, label, params, state), 0.03)


def test_the_state_of_an_optimizer_that_was_not_saved_is_read_too():
    """What `optimizer.state` of bitsandbytes has, without the dict in it."""
    label = "bitsandbytes AdamW8bit"
    params, tx, saved = params_of(label), in_their_code(label), state_dict_of(label)
    flat = {k: {"step": own["step"], **own["__bnb_optimizer_quant_state__"]} for k, own in saved["state"].items()}
    states = [torch.from_torch({**saved, "state": each}, params, list(params), tx) for each in (flat, saved["state"])]
    chex.assert_trees_all_equal(*states)


def test_which_optimizer_of_bitsandbytes_it_is_must_be_said():
    for label in ("bitsandbytes AdamW8bit", "bitsandbytes Lion8bit", "bitsandbytes SGD8bit"):
        params = params_of(label)
        with pytest.raises(ValueError, match="bitsandbytes does not say which of its optimizers a state_dict is of: make"):
            torch.from_torch(state_dict_of(label), params, list(params))
    params, adam, lion = params_of("bitsandbytes Lion8bit"), in_float32("bitsandbytes AdamW8bit"), gradtx.lion(1e-4)
    with pytest.raises(ValueError, match="torch's state has no state2 for parameter 1"):
        torch.from_torch(state_dict_of("bitsandbytes Lion8bit"), params, list(params), adam)
    params = params_of("bitsandbytes AdamW8bit")
    with pytest.raises(ValueError, match=r"torch's state has state2 for parameter 0 \(kernel\), which the state here has no"):
        torch.from_torch(state_dict_of("bitsandbytes AdamW8bit"), params, list(params), lion)
    params = params_of("torchao AdamW8bit")
    with pytest.raises(ValueError, match="does not say whether it is of Adam or AdamW"):
        torch.from_torch(state_dict_of("torchao AdamW8bit"), params, list(params))


def test_damaged_codes_are_named():
    label = "bitsandbytes AdamW8bit"
    params, tx = params_of(label), in_their_code(label)
    for entry, change, message in (
        ("absmax1", lambda scale: scale[:-1], r"state1 of parameter 0 \(kernel\) has 15 scales, of blocks of 512"),
        ("absmax2", lambda scale: np.where(scale == scale[0], np.nan, scale), r"state2 of parameter 0 \(kernel\) has NaN"),
        ("absmax2", lambda scale: -scale, r"state2 of parameter 0 \(kernel\) is negative"),
        ("state1", lambda codes: codes.T, r"state1 of parameter 0 \(kernel\) has the shape \(128, 32\), not \(32, 128\)"),
    ):
        state_dict = state_dict_of(label)
        own = state_dict["state"][0]["__bnb_optimizer_quant_state__"]
        own[entry] = change(own[entry])
        with pytest.raises(ValueError, match=f"from_torch: {message}"):
            torch.from_torch(state_dict, params, list(params), tx)


def test_before_the_first_step_the_state_is_fresh():
    label = "bitsandbytes AdamW8bit"
    params, tx = params_of(label), in_their_code(label)
    state = torch.from_torch({**state_dict_of(label), "state": {}}, params, list(params), tx)
    chex.assert_trees_all_equal(state, tx.init(params))
    assert isinstance(gradtx.tree.get(state, "mu")["kernel"], Quantized)


def test_what_is_not_written_for_torch_is_an_error():
    label = "bitsandbytes AdamW8bit"
    params, tx = params_of(label), in_their_code(label)
    groups = state_dict_of(label)["param_groups"]
    with pytest.raises(ValueError, match="to_torch: the groups are those of bitsandbytes, whose states are not written"):
        torch.to_torch(tx.init(params), params, list(params), groups)
    groups = [{**state_dict_of("torchao AdamW8bit")["param_groups"][0], "params": [0, 1, 2]}]
    with pytest.raises(ValueError, match="to_torch: the state is quantized: transfer_state"):
        torch.to_torch(tx.init(params), params, list(params), groups)
