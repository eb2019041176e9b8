"""Training runs carried over from torch and back."""

import json
from typing import Any

import chex
import equinox
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import recorded
import torch_checkpoints_cases as cases
from flax import nnx

import gradtx
from gradtx.interop import torch

GOLDEN = recorded.read("torch_checkpoints")
NAMES: dict[str, Any] = {
    "fc.weight": ("fc/kernel", (1, 0)),
    "fc.bias": "fc/bias",
    "conv.weight": ("conv/kernel", (2, 3, 1, 0)),
}


def here(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """The parameters of torch as Flax has them."""
    weight, bias, conv = (jnp.asarray(arrays[name]) for name in cases.SHAPES)
    return {"fc": {"kernel": weight.T, "bias": bias}, "conv": {"kernel": jnp.transpose(conv, (2, 3, 1, 0))}}


def params_of(label: str, when: str) -> dict[str, Any]:
    return here({name: GOLDEN[f"{label}/{when}/{name}"] for name in cases.SHAPES})


def state_dict_of(label: str) -> dict[str, Any]:
    state: dict[int, dict[str, np.ndarray]] = {}
    for key, value in GOLDEN.items():
        if key.startswith(f"{label}/state/"):
            *_, index, entry = key.split("/")
            state.setdefault(int(index), {})[entry] = value
    return {"state": state, "param_groups": json.loads(str(GOLDEN[f"{label}/param_groups"]))}


def steps(tx: gradtx.GradientTransformation, params: Any, state: Any, gradients: list[Any]) -> tuple[Any, Any]:
    update = jax.jit(tx.update)
    for gradient in gradients:
        updates, state = update(here(gradient), state, params)
        params = jax.tree.map(jnp.add, params, updates)
    return params, state


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("label", cases.RUNS)
def test_the_next_steps_are_those_of_torch(label):
    params, state_dict = params_of(label, "middle"), state_dict_of(label)
    tx = torch.optimizer_from_torch(state_dict, params, NAMES)
    state = torch.from_torch(state_dict, params, NAMES)
    chex.assert_trees_all_equal_structs(state, tx.init(params))
    chex.assert_trees_all_equal_shapes_and_dtypes(state, tx.init(params))
    params, _ = steps(tx, params, state, cases.gradients()[cases.BEFORE :])
    chex.assert_trees_all_close(params, params_of(label, "end"), rtol=1e-12, atol=1e-13)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("label", cases.RUNS)
def test_to_torch_gives_the_state_dict_that_torch_has(label):
    theirs, start = state_dict_of(label), here(cases.start())
    tx = torch.optimizer_from_torch(theirs, start, NAMES)
    params, state = steps(tx, start, tx.init(start), cases.gradients()[: cases.BEFORE])
    ours = torch.to_torch(state, params, NAMES, theirs["param_groups"], step=cases.BEFORE)
    assert ours["param_groups"] == theirs["param_groups"]
    chex.assert_trees_all_close(ours["state"], theirs["state"], rtol=1e-10, atol=1e-13)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("label", cases.RUNS)
def test_there_and_back_changes_nothing(label):
    theirs, params = state_dict_of(label), params_of(label, "middle")
    state = torch.from_torch(theirs, params, NAMES)
    back = torch.to_torch(state, params, NAMES, theirs["param_groups"], step=cases.BEFORE)
    chex.assert_trees_all_equal(back["state"], theirs["state"])


def test_names_may_be_a_list_in_the_order_of_torch():
    params, state_dict = params_of("AdamW", "middle"), state_dict_of("AdamW")
    listed = torch.from_torch(state_dict, params, list(NAMES.values()))
    chex.assert_trees_all_equal(listed, torch.from_torch(state_dict, params, NAMES))
    shuffled = {name: NAMES[name] for name in reversed(NAMES)}  # the groups have names
    chex.assert_trees_all_equal(listed, torch.from_torch(state_dict, params, shuffled))


def test_a_schedule_goes_on_at_the_step_of_torch():
    params, state_dict = params_of("AdamW", "middle"), state_dict_of("AdamW")
    tx = gradtx.chain(gradtx.clip_by_global_norm(1.0), torch.adamw(torch.step_lr(0.1, 10)))
    state = torch.from_torch(state_dict, params, NAMES, tx)
    counts = gradtx.tree.get_all_with_path(state, "count")
    assert [int(count) for _, count in counts] == [cases.BEFORE] * 2


def test_what_torch_does_not_count_is_asked_for():
    params, state_dict = params_of("SGD", "middle"), state_dict_of("SGD")
    tx = torch.sgd(torch.step_lr(0.1, 10), momentum=0.9)
    with pytest.raises(ValueError, match="torch's SGD does not count its steps, but the state here does: give step="):
        torch.from_torch(state_dict, params, NAMES, tx)
    state = torch.from_torch(state_dict, params, NAMES, tx, step=30)
    assert int(gradtx.tree.get(state, "count")) == 30
    rmsprop = state_dict_of("RMSprop")
    state = torch.from_torch(rmsprop, params, NAMES)
    with pytest.raises(ValueError, match="torch counts the steps, but the state here does not: give step="):
        torch.to_torch(state, params, NAMES, rmsprop["param_groups"])


@pytest.mark.parametrize("label", ["SGD", "AdamW", "SGD with dampening"])
def test_before_the_first_step_the_state_is_fresh(label):
    params, state_dict = params_of(label, "middle"), {**state_dict_of(label), "state": {}}
    state = torch.from_torch(state_dict, params, NAMES)
    chex.assert_trees_all_equal(state, torch.optimizer_from_torch(state_dict, params, NAMES).init(params))


def test_dampening_leaves_out_nothing_of_the_first_gradient_in_torch_either():
    params, state_dict = params_of("SGD with dampening", "middle"), state_dict_of("SGD with dampening")
    fresh = torch.optimizer_from_torch(state_dict, params, NAMES).init(params)
    assert torch.to_torch(fresh, params, NAMES, state_dict["param_groups"])["state"] == {}


def test_steps_are_arrays_of_their_own():
    params, state_dict = params_of("AdamW", "middle"), state_dict_of("AdamW")
    state = torch.from_torch(state_dict, params, NAMES)
    back = torch.to_torch(state, params, NAMES, state_dict["param_groups"])["state"]
    back[0]["step"] += 1  # as torch does, in place
    assert back[1]["step"] == cases.BEFORE


def test_arrays_may_be_made_tensors():
    params, state_dict = params_of("AdamW", "middle"), state_dict_of("AdamW")
    state = torch.from_torch(state_dict, params, NAMES)
    made = []
    torch.to_torch(state, params, NAMES, state_dict["param_groups"], tensor=made.append)
    assert len(made) == 9
    assert all(isinstance(array, np.ndarray) and array.flags.writeable for array in made)


class Tensor:
    """What a tensor of torch can do that NumPy asks for."""

    def __init__(self, array: Any, dtype: str):
        self.array, self.dtype = array, dtype

    def detach(self):
        return self

    def cpu(self):
        return self

    def float(self):
        return Tensor(np.asarray(self.array, np.float32), "torch.float32")

    def __array__(self, dtype: Any = None, copy: Any = None):
        if self.dtype == "torch.bfloat16":
            raise TypeError("Got unsupported ScalarType BFloat16")
        return np.asarray(self.array)


@pytest.mark.parametrize("dtype", ["torch.float32", "torch.bfloat16"])
def test_reads_tensors(dtype):
    params, state_dict = params_of("Adam", "middle"), state_dict_of("Adam")
    tensors = {
        index: {name: Tensor(array, dtype) for name, array in entries.items()} for index, entries in state_dict["state"].items()
    }
    state = torch.from_torch({**state_dict, "state": tensors}, params, NAMES)
    chex.assert_trees_all_equal(state, torch.from_torch(state_dict, params, NAMES))


def test_the_state_has_the_sharding_of_its_parameters():
    params, state_dict = params_of("Adam", "middle"), state_dict_of("Adam")
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:2])
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    params["fc"]["kernel"] = jax.device_put(params["fc"]["kernel"], sharding)
    state = torch.from_torch(state_dict, params, NAMES)
    assert gradtx.tree.get(state, "mu")["fc"]["kernel"].sharding.is_equivalent_to(sharding, 2)


def linear() -> dict[str, Any]:
    """The state dict of Adam for a torch.nn.Linear(3, 2)."""
    shapes = ((2, 3), (2,))
    state = {k: {"step": 5.0, "exp_avg": np.full(s, 1.0 + k), "exp_avg_sq": np.ones(s)} for k, s in enumerate(shapes)}
    options = {"lr": 1e-3, "betas": (0.9, 0.999), "amsgrad": False, "decoupled_weight_decay": False}
    return {"state": state, "param_groups": [{"params": [0, 1], **options}]}


def test_parameters_may_be_those_of_an_equinox_module():
    params = equinox.filter(equinox.nn.Linear(3, 2, key=jax.random.key(0)), equinox.is_array)
    state = torch.from_torch(linear(), params, ["weight", "bias"])
    chex.assert_trees_all_equal(gradtx.tree.get(state, "mu").weight, jnp.ones((2, 3)))
    back = torch.to_torch(state, params, ["weight", "bias"], linear()["param_groups"])
    chex.assert_trees_all_close(back, linear(), rtol=1e-7)


def test_parameters_may_be_those_of_an_nnx_module():
    params = nnx.state(nnx.Linear(3, 2, rngs=nnx.Rngs(0)), nnx.Param)
    names = {"weight": ("kernel", (1, 0)), "bias": "bias"}
    state = torch.from_torch(linear(), params, names)
    assert jax.tree.structure(gradtx.tree.get(state, "mu")) == jax.tree.structure(params)
    with pytest.raises(ValueError, match="which is none of the parameters here; did you mean 'kernel'"):
        torch.from_torch(linear(), params, {**names, "weight": ("kernel/value", (1, 0))})


def test_a_state_that_was_json_is_read():
    params, state_dict = params_of("Adam", "middle"), state_dict_of("Adam")
    text = json.dumps(state_dict, default=np.ndarray.tolist)
    assert set(json.loads(text)["state"]) == {"0", "1", "2"}
    state = torch.from_torch(json.loads(text), params, NAMES)
    chex.assert_trees_all_equal(state, torch.from_torch(state_dict, params, NAMES))


# --- what does not fit ------------------------------------------------------------------------------------------------


def changed(label: str, change: Any) -> dict[str, Any]:
    state_dict = state_dict_of(label)
    change(state_dict)
    return state_dict


@pytest.mark.parametrize(
    ("label", "change", "message"),
    [
        ("Adam", lambda d: d["state"].pop(1), r"torch's state has no step for fc.bias \(fc/bias\)"),
        ("Adam", lambda d: d["state"][2].pop("exp_avg"), r"torch's state has no exp_avg for conv.weight \(conv/kernel\)"),
        ("Adam with amsgrad", lambda d: d["state"][0].pop("max_exp_avg_sq"), "has no max_exp_avg_sq for fc.weight"),
        ("Adam", lambda d: d["state"][1].update(max_exp_avg_sq=np.ones(3)), "has max_exp_avg_sq for fc.bias .* no place for"),
        (
            "Adam",
            lambda d: d["state"][0].update(exp_avg=np.ones((4, 3))),
            r"exp_avg of fc.weight \(fc/kernel\) has the shape \(4, 3\), which is \(3, 4\) with .*, not \(4, 3\) as here",
        ),
        (
            "Adam",
            lambda d: d["state"][1].update(exp_avg=np.ones(4)),
            r"fc.bias .* has the shape \(4,\), not \(3,\) as here",
        ),
        (
            "Adam",
            lambda d: d["state"][1].update(step=np.array(3.0)),
            "step is 3.0 for fc.bias .* and 30.0 for fc.weight",
        ),
        (
            "Adam",
            lambda d: d["param_groups"][0].update(momentums=1),
            "group 0 has the option 'momentums', which adam",
        ),
        ("Adam", lambda d: d["param_groups"][0].pop("decoupled_weight_decay"), "does not say whether it is of Adam or AdamW"),
        ("Adam", lambda d: d["param_groups"][0].pop("betas"), "is none of torch's SGD, Adam"),
        ("Adam", lambda d: d["param_groups"][0].update(params=[0, 1]), "has 2 parameters, but names has 3"),
    ],
)
def test_what_does_not_fit_is_named(label, change, message):
    with pytest.raises(ValueError, match=message):
        torch.from_torch(changed(label, change), params_of(label, "middle"), NAMES)


def test_what_torch_cannot_have_made_is_named():
    scalars = [
        (-5.0, "is negative, -5.0"),
        (1.5, "must be a number of steps, a whole number from 0 to 2147483647, got 1.5"),
        (np.inf, "must be a number of steps"),
        (1e12, "must be a number of steps"),
        (np.nan, "has NaN"),
        ([3.0], r"has the shape \(1,\), and must be a single number"),
    ]
    cases = [("Adam", "step", value, message) for value, message in scalars]
    for label, entry in (
        ("Adam", "exp_avg_sq"),
        ("Adam with amsgrad", "max_exp_avg_sq"),
        ("Adamax", "exp_inf"),
        ("Adagrad", "sum"),
        ("Adadelta", "square_avg"),
        ("Adadelta", "acc_delta"),
        ("RMSprop", "square_avg"),
    ):
        for bad, message in ((-1.0, "is negative, -1.0 at the least"), (np.nan, "has NaN")):
            cases.append((label, entry, np.array([1.0, bad, 2.0]), message))
        cases.append((label, entry, np.ones(4), r"has the shape \(4,\), not \(3,\) as here"))
    cases.append(("NAdam", "mu_product", -0.5, "is negative, -0.5"))
    cases.append(("Adam", "exp_avg", np.array([1.0, np.nan, 2.0]), "has NaN"))
    cases.append(("Adam", "exp_avg", "abc", "is not an array of numbers, but of dtype <U3"))
    cases.append(("Adam", "exp_avg", [[1.0], 2.0, 3.0], "is not an array of numbers: "))
    cases.append(("Adam", "exp_avg", np.ones(3, complex), "is complex, and float32 here"))
    for label, entry, value, message in cases:
        state_dict = state_dict_of(label)
        assert entry in state_dict["state"][1]
        state_dict["state"][1][entry] = value
        with pytest.raises(ValueError, match=rf"^from_torch: {entry} of fc\.bias \(fc/bias\) {message}"):
            torch.from_torch(state_dict, params_of(label, "middle"), NAMES)


def test_keys_and_steps_that_do_not_fit_are_named():
    params = params_of("Adam", "middle")
    for key, message in (
        ("fc.weight", "has the key 'fc.weight', but the parameters of its groups are 0, 1, 2"),
        (7, "has the key 7, but"),
        ("7", "has the key '7', but"),
        ("1", r"has two keys for fc.bias \(fc/bias\): 1 and '1'"),
    ):
        state_dict = state_dict_of("Adam")
        state_dict["state"][key] = state_dict["state"][1]
        with pytest.raises(ValueError, match=f"from_torch: torch's state {message}"):
            torch.from_torch(state_dict, params, NAMES)
    with pytest.raises(ValueError, match=r"from_torch: torch's state has step for fc.weight .* no place for"):
        torch.from_torch(changed("SGD", lambda d: d["state"][0].update(step=3.0)), params, NAMES)
    adam, sgd = state_dict_of("Adam"), state_dict_of("SGD")
    for state_dict, step, message in (
        (adam, 7, "torch has taken 30 steps, but step=7"),
        ({**adam, "state": {}}, 7, "torch has taken 0 steps, but step=7"),
        (sgd, -5, "step must be a number of steps, .* got -5"),
        (sgd, 1.5, "step must be a number of steps, .* got 1.5"),
    ):
        with pytest.raises(ValueError, match=f"from_torch: {message}"):
            torch.from_torch(state_dict, params, NAMES, step=step)  # pyright: ignore[reportArgumentType]
    state = torch.from_torch(sgd, params, NAMES)
    with pytest.raises(ValueError, match="to_torch: step must be a number of steps"):
        torch.to_torch(state, params, NAMES, sgd["param_groups"], step=-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"fc.bias": "fc/bais"},
            "fc.bias is said to be 'fc/bais', which is none .*; did you mean 'fc/bias'",
        ),
        ({"fc.bias": "fc/kernel"}, "'fc/kernel' is said to be both fc.weight and fc.bias"),
        ({"fc.weight": ("fc/kernel", (0, 2))}, r"\(0, 2\) is not an order of the axes of 'fc/kernel'"),
        ({"more": "fc/bias"}, "has 3 parameters, but names has 4"),
    ],
)
def test_names_that_do_not_fit_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        torch.from_torch(state_dict_of("Adam"), params_of("Adam", "middle"), {**NAMES, **change})


def test_a_parameter_without_a_name_is_named():
    params = {**params_of("Adam", "middle"), "head": jnp.zeros(3)}
    with pytest.raises(ValueError, match="names has nothing for 'head'"):
        torch.from_torch(state_dict_of("Adam"), params, NAMES)
    with pytest.raises(ValueError, match=r"names has nothing for torch's 'conv\.weight'"):
        torch.from_torch(state_dict_of("Adam"), params, {name: NAMES[name] for name in list(NAMES)[:2]})


def test_a_state_that_torch_has_not_is_named():
    params, state_dict = params_of("Adam", "middle"), state_dict_of("Adam")
    tx = gradtx.chain(torch.adam(), gradtx.ema(0.9))
    with pytest.raises(ValueError, match="from_torch: EmaState is not a state that torch's optimizer has, too"):
        torch.from_torch(state_dict, params, NAMES, tx)
