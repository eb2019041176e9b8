"""SOAP, SPlus and eigenvalue-corrected Shampoo against their authors' trajectories."""

import golden_runs
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gradtx

RATE = 2.0**-6


def eigenvalue_corrected_shampoo(every):
    rotated = gradtx.in_eigenbasis(
        gradtx.scale_by_adam(0.9, 0.95, 2.0**-10),
        every=every,
        start="identity",
        basis="eigh",
        refresh="before",
        reorder=False,
    )
    return gradtx.chain(rotated, gradtx.add_decayed_weights(0.1), gradtx.scale_by_learning_rate(RATE))


RUNS = {
    "eigenvalue_corrected_shampoo.every1": eigenvalue_corrected_shampoo(1),
    "eigenvalue_corrected_shampoo.every3": eigenvalue_corrected_shampoo(3),
    "soap": gradtx.soap(RATE, 0.92, 0.97, weight_decay=0.05, every=3),
    "soap.every1": gradtx.soap(RATE, 0.92, 0.97, weight_decay=0.05, every=1),
    "soap.own_statistics_decay": gradtx.soap(RATE, 0.92, 0.97, 1e-5, 0.05, statistics_decay=0.85, every=4),
    "soap.max_dim3": gradtx.soap(RATE, 0.92, 0.97, weight_decay=0.05, every=3, max_size=3),
    "splus": gradtx.splus(RATE, 0.9, 0.05, statistics_decay=0.97, every=5, other_factor=0.5),
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("entry", RUNS)
def test_it_moves_as_the_authors_code_does(entry):
    golden_runs.assert_moves_as(entry, RUNS[entry])


def in_basis_of(g, bases):
    return bases[0].T @ g @ bases[1]


def kl_soap_in_numpy(gradients, every, decay, b1, b2, eps):
    """The updates of KL-SOAP on one matrix: statistics of the gradient whitened along the other axis (Lin et al., 2025)."""
    rows, columns = gradients[0].shape
    statistics, bases = [np.zeros((rows, rows)), np.zeros((columns, columns))], [np.eye(rows), np.eye(columns)]
    m, v, updates = np.zeros((rows, columns)), np.zeros((rows, columns)), []
    for step, g in enumerate(gradients):
        if step == 0:
            updates.append(np.zeros_like(g))
            inverses = [np.eye(rows), np.eye(columns)]
        else:
            rotated = in_basis_of(g, bases)
            m, v = b1 * m + (1 - b1) * rotated, b2 * v + (1 - b2) * rotated**2
            direction = m / (1 - b1**step) / (np.sqrt(v / (1 - b2**step)) + eps)
            updates.append(bases[0] @ direction @ bases[1].T)
            eigenvalues = [np.diag(q.T @ s @ q) for q, s in zip(bases, statistics, strict=True)]
            inverses = [q @ np.diag(1 / np.maximum(e, 1e-6 * e.max())) @ q.T for q, e in zip(bases, eigenvalues, strict=True)]
        new = [g @ inverses[1] @ g.T / columns, g.T @ inverses[0] @ g / rows]
        statistics = [decay * s + (1 - decay) * n for s, n in zip(statistics, new, strict=True)]
        if step % every:
            continue
        old, means = bases, bases[0] @ m @ bases[1].T
        if step == 0:
            bases = [np.linalg.eigh(s)[1][:, ::-1] for s in statistics]
        else:
            orders = [np.argsort(-np.diag(q.T @ s @ q)) for q, s in zip(old, statistics, strict=True)]
            bases = [np.linalg.qr(s @ q[:, order])[0] for s, q, order in zip(statistics, old, orders, strict=True)]
            v = v[np.ix_(*orders)]
        m = in_basis_of(means, bases)
    return updates


@pytest.mark.usefixtures("x64")
def test_kl_soap_moves_as_its_pseudo_code_does():
    gradients = list(np.random.default_rng(0).normal(size=(12, 4, 4)))
    tx = gradtx.kl_soap(1.0, 0.9, 0.95, weight_decay=0.0, statistics_decay=0.8, every=3)
    params = jnp.ones((4, 4))
    state, update = tx.init(params), jax.jit(tx.update)
    for step, expected in enumerate(kl_soap_in_numpy(gradients, 3, 0.8, 0.9, 0.95, 1e-8)):
        moved, state = update(jnp.asarray(gradients[step]), state, params)
        np.testing.assert_allclose(moved, -expected, rtol=0, atol=1e-9, err_msg=f"step {step}")
