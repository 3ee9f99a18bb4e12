"""Parameters of a machine out of a file that is not trusted."""

import numpy as np
import pytest

from energax.data.rbm_file import read_rbm
from energax.errors import DataError

SOUND = {"weights": np.ones((3, 2)), "visible_bias": np.zeros(3, np.float32), "hidden_bias": np.arange(2)}


def test_arrays_come_in_single_precision(tmp_path):
    np.savez(tmp_path / "model.npz", **SOUND)
    found = read_rbm(tmp_path / "model.npz")
    assert {name: array.shape for name, array in found.items()} == {
        "weights": (3, 2), "visible_bias": (3,), "hidden_bias": (2,)
    }  # fmt: skip
    assert all(array.dtype == np.float32 for array in found.values())
    assert found["hidden_bias"].tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"weights": np.ones(3)}, r"shape \(visible, hidden\); got \(3,\)"),
        ({"weights": np.ones((0, 2))}, "shape"),
        ({"weights": np.ones((2, 3))}, r"visible_bias must be of shape \(2,\)"),
        ({"hidden_bias": np.zeros(3)}, r"hidden_bias must be of shape \(2,\)"),
        ({"weights": np.full((3, 2), np.nan)}, "weights must be finite in float32; got 6 others"),
        ({"visible_bias": np.array([1e300, 0.0, 0.0])}, "visible_bias must be finite"),
        ({"hidden_bias": np.array(["a", "b"])}, "must hold numbers"),
        ({"hidden_bias": np.array([None, None])}, "must hold plain numbers"),
        ({"more": np.ones(1)}, "must hold the arrays weights, visible_bias, hidden_bias; got"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path, change, says):
    np.savez(tmp_path / "model.npz", **(SOUND | change))
    with pytest.raises(DataError, match=says):
        read_rbm(tmp_path / "model.npz")


def test_a_file_that_is_no_archive_is_refused(tmp_path):
    (tmp_path / "model.npz").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"must be a whole \.npz archive"):
        read_rbm(tmp_path / "model.npz")
    with pytest.raises(FileNotFoundError):
        read_rbm(tmp_path / "none.npz")
