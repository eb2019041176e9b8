"""Every transformation keeps every law; exceptions are written in the zoo, with their reason."""

import pytest
import zoo

from gradtx import testing


def cases():
    for label in zoo.existing(zoo.TRANSFORMATIONS):
        excused = zoo.TRANSFORMATIONS[label].excused
        for name in testing.LAWS:
            marks = [pytest.mark.xfail(reason=excused[name], strict=True)] if name in excused else []
            yield pytest.param(label, name, marks=marks, id=f"{label}-{name}")


@pytest.mark.parametrize(("label", "name"), list(cases()))
def test_the_law_is_kept(label, name):
    sample = zoo.TRANSFORMATIONS[label]
    testing.LAWS[name](zoo.transformation(label), testing.sample_params(), sample.extra_args)
