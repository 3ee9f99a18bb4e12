"""JEM and the cross-entropy: exact on the line, where log p(x, y) is a quadrature; labels may be missing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from energax.core import FunctionEnergy
from energax.energies import ClassifierEnergy, standard_normal
from energax.objectives import JEM, CrossEntropy, ExactLikelihood, box_nodes
from objectives.population import slope

KEY = jax.random.key(0)
ROWS = np.array([[-1.2], [0.3], [0.9], [2.0], [-0.4]])
Y = jnp.array([0, 2, 1, -1, -1])


def model():
    """Three quadratic logits over a Gaussian base."""
    weights = jnp.asarray(np.array([[0.3, -0.2, 0.1], [0.8, 0.1, -0.5], [-0.3, -0.1, -0.2]]))
    net = jax.tree_util.Partial(lambda w, x: w[0] + w[1] * x[0] + w[2] * x[0] ** 2, weights)
    return ClassifierEnergy(net, standard_normal(1))


def exact(nodes, widths, labels):
    """mean -log p(x) over all rows + mean -log p(y | x) over rows with a label, from the joint table alone."""

    def loss(m):
        def joint(x):
            return jnp.stack([-m(x, jnp.array(c)) for c in range(3)])

        log_z = jax.nn.logsumexp(jax.vmap(joint)(nodes) + widths[:, None])
        rows = jax.vmap(joint)(jnp.asarray(ROWS))
        marginal = jax.nn.logsumexp(rows, axis=1)
        known = np.flatnonzero(labels >= 0)
        given = jnp.stack([rows[i, int(labels[i])] - marginal[i] for i in known])
        return -jnp.mean(marginal - log_z) - jnp.mean(given)

    return loss


def judge(rule, batch, wanted):
    """Value and gradient to 1e-10."""
    here = lambda m: rule(KEY, m, rule.init(KEY, m, batch), batch)[0]  # noqa: E731
    np.testing.assert_allclose(here(model()), wanted(model()), rtol=1e-10)
    np.testing.assert_allclose(slope(here, model()), slope(wanted, model()), atol=1e-10)


ROWS3 = jnp.ones((5, 3))


@pytest.mark.parametrize("labels", [jnp.array([0, 2, 1, 1, 0]), Y], ids=["all labelled", "two without"])
def test_it_is_the_joint_likelihood(labels):
    with jax.enable_x64(True):
        nodes, widths = (jnp.asarray(part, jnp.float64) for part in box_nodes(((-9.0, 9.0),), 400))
        rule = JEM(ExactLikelihood(nodes, widths))
        wanted = exact(nodes, widths, np.asarray(labels))
        judge(rule, {"x": jnp.asarray(ROWS), "y": labels}, wanted)
        # planted: no label is taken for class 0; where all have one, classes are counted from 1
        spoilt = jnp.maximum(labels, 0) if bool(jnp.any(labels < 0)) else jnp.maximum(labels - 1, 0)
        with pytest.raises(AssertionError):
            judge(rule, {"x": jnp.asarray(ROWS), "y": spoilt}, wanted)


def test_without_any_label_it_is_the_rule_for_x_alone():
    with jax.enable_x64(True):
        rule = ExactLikelihood(*(jnp.asarray(part, jnp.float64) for part in box_nodes(((-9.0, 9.0),), 400)))
        batch = {"x": jnp.asarray(ROWS), "y": jnp.full(5, -1)}
        loss, (_, metrics) = JEM(rule)(KEY, model(), JEM(rule).init(KEY, model(), batch), batch)
        np.testing.assert_allclose(loss, rule(KEY, model(), None, batch)[0], rtol=1e-12)
        assert float(metrics["labelled"]) == 0.0
        assert float(metrics["classes/loss"]) == 0.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: JEM(CrossEntropy(), -1.0), "weight must be"),
        (
            lambda: CrossEntropy().init(KEY, FunctionEnergy(jnp.sum), {"x": jnp.ones((5, 2)), "y": Y}),
            "must be an AbstractClassifier",
        ),
        (
            lambda: CrossEntropy().init(KEY, ClassifierEnergy(lambda x: x), {"x": jnp.ones((5, 2))}),
            "must hold labels 'y'; got",
        ),
        *(
            (
                lambda labels=labels: CrossEntropy().init(
                    KEY, ClassifierEnergy(lambda x: x), {"x": ROWS3, "y": labels}
                ),
                says,
            )
            for labels, says in (
                (jnp.array([0, 1, 3, -1, 0]), "must be < 3, the classes of the model; got 3"),
                (jnp.array([0.0, 1.0, 2.0, 0.0, 0.0]), "must be integers, one a row, .*; got float32 of shape"),
                (jnp.array([0, 1]), r"one a row, shape \(5,\); got int32 of shape \(2,\)"),
            )
        ),
        (lambda: ClassifierEnergy(jnp.sum)(jnp.ones(2)), "must give one row of logits"),
    ],
)
def test_bad_input_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
