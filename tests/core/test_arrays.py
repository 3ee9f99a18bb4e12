"""Arrays of NumPy, JAX and PyTorch at the door: the same numbers, and refusals in a sentence."""

import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from energax import checks

ROWS = np.array([[0.5, -2.0], [3.0, 1.0]], np.float32)


class Tensor:
    """What a PyTorch tensor can do, as far as it is asked."""

    layout = "torch.strided"

    def __init__(self, values):
        self.values = values

    def detach(self):
        return self

    cpu = detach

    @property
    def dtype(self):
        return f"torch.{self.values.dtype}"

    def numpy(self):
        return self.values


@pytest.mark.parametrize("make", [np.asarray, jnp.asarray, Tensor], ids=["numpy", "jax", "tensor"])
def test_every_kind_of_array_gives_the_same_numbers(make):
    found = checks.array("f", "x", make(ROWS), ndim=2)
    assert type(found) is np.ndarray
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, ROWS)
    np.testing.assert_array_equal(checks.labels("f", "y", make(np.array([1, 0], np.uint8)), 2), [1, 0])


def test_a_tensor_of_torch_gives_them_too():
    torch = pytest.importorskip("torch")
    tensor = torch.tensor(ROWS, dtype=torch.bfloat16, requires_grad=True)
    np.testing.assert_array_equal(checks.array("f", "x", tensor), ROWS)
    np.testing.assert_array_equal(checks.labels("f", "y", torch.tensor([1, 0]), 2, classes=2), [1, 0])
    for dtype, kept in ((torch.bfloat16, np.float32), (torch.float32, np.float32), (torch.float64, np.float64)):
        assert checks.on_host("f", "x", tensor.to(dtype)).dtype == kept
    with pytest.raises(ValueError, match=r"x must be dense; got a tensor of layout torch\.sparse"):
        checks.array("f", "x", torch.tensor(ROWS).to_sparse())


def test_torch_is_not_imported():
    code = "import sys, numpy; from energax import checks; checks.array('f', 'x', numpy.ones(2))"
    code += "; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: checks.array("f", "x", [[1.0]]), "x must be an array with samples on axis 0; got list"),
        (lambda: checks.array("f", "x", np.array([1.0, np.nan])), r"x must be finite; got nan at index \(1,\)"),
        (lambda: checks.array("f", "x", np.ones(3), ndim=2), r"x must have rank 2, .* got shape \(3,\)"),
        (lambda: checks.array("f", "x", np.array(["a"])), "x must hold real numbers; got dtype <U1"),
        (lambda: checks.array("f", "x", Tensor(np.array([True]))), "x must hold real numbers; got dtype bool"),
        (lambda: checks.labels("f", "y", np.zeros(2, int), 3), r"y must be one a row, shape \(3,\); got shape \(2,\)"),
        (lambda: checks.labels("f", "y", np.zeros(2), 2), "y must be integers, .* got dtype float64"),
        (lambda: checks.labels("f", "y", np.array([0, -1]), 2), "y must be >= 0; got -1"),
        (lambda: checks.labels("f", "y", np.array([0, 3]), 2, classes=3), r"y must be in 0\.\.2; got 3"),
    ],
)
def test_refuses(call, words):
    with pytest.raises(ValueError, match=words):
        call()
