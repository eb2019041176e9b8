"""PSGD Kron against trajectories of the authors' package, fed with the noise that it drew."""

import golden_runs
import jax.numpy as jnp
import pytest

from gradtx.optimizers import kron


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("entry", "one_diagonal"), [("psgd_kron", False), ("psgd_kron.one_diagonal", True)])
def test_it_moves_as_the_authors_code_does(entry, one_diagonal, monkeypatch):
    def recorded(key, like):
        return {leaf: jnp.asarray(golden_runs.arrays()[f"{entry}.noise/{leaf}"])[key[0]] for leaf in like}

    monkeypatch.setattr(kron, "split_key", lambda key, start, number: (key + 1, [key, jnp.zeros(2, jnp.uint32)]))
    monkeypatch.setattr(kron, "draw_noise", recorded)
    tx = kron.kron(2.0**-6, 0.9, 0.1, update_probability=1.0, balance_probability=0.0, one_diagonal=one_diagonal, key=0)
    golden_runs.assert_moves_as(entry, tx, atol=1e-11)
