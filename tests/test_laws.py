"""Every transformation keeps every law; exceptions are written in the zoo, with their reason."""

import jax.numpy as jnp
import pytest
import zoo

from gradtx import testing


def marks(label, demand):
    """The mark of a test that is expected to fail, if the zoo excuses the sample."""
    reason = zoo.TRANSFORMATIONS[label].excused.get(demand)
    return [pytest.mark.xfail(reason=reason, strict=True)] if reason else []


LABELS = zoo.existing(zoo.TRANSFORMATIONS)
CASES = [pytest.param(label, name, marks=marks(label, name), id=f"{label}-{name}") for label in LABELS for name in testing.LAWS]


@pytest.mark.parametrize(("label", "name"), CASES)
def test_the_law_is_kept(label, name):
    testing.LAWS[name](zoo.transformation(label), testing.sample_params(), zoo.TRANSFORMATIONS[label].extra_args)


@pytest.mark.parametrize("label", [pytest.param(label, marks=marks(label, "complex parameters")) for label in LABELS])
def test_complex_parameters_are_optimized(label):
    params = {"complex": jnp.asarray([[1 + 1j, -2j, 0.5]], jnp.complex64), "real": jnp.asarray([0.5, -1.0], jnp.float32)}
    testing.check_transformation(
        zoo.transformation(label),
        params,
        extra_args=zoo.TRANSFORMATIONS[label].extra_args,
        laws=[testing.updates_keep_structure_shape_and_dtype, testing.state_keeps_its_type, testing.scan_works],
    )
