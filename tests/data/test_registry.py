"""The list of data sets: every name loads what its line says, and a wrong name is answered with the right one."""

import subprocess
import sys

import numpy as np
import pytest

from energax.data import Dataset, entries, load, options_of, toy
from energax.errors import DataError

HERE = [e.name for e in entries() if e.available and e.kind != "graph" and e.name not in ("mnist", "fashion-mnist")]


@pytest.mark.parametrize("name", HERE)
def test_loads_what_its_line_says(name):
    entry = next(e for e in entries() if e.name == name)
    data = load(name)
    assert isinstance(data, Dataset)
    assert (data.shape, len(data), data.name) == (entry.shape, entry.n, name)
    assert data.x.dtype == np.float32
    assert np.all(np.isfinite(data.x))
    if entry.kind == "image":
        assert data.is_image
        assert (data.low, data.high) == (-1.0, 1.0)
        assert -1.0 <= data.x.min() < data.x.max() <= 1.0
    if name == "mnist5k":
        assert np.bincount(data.y).tolist() == [500] * 10
    assert data.source
    assert data.licence


@pytest.mark.parametrize("name", ["digits", "patches"])
def test_flat_images_are_the_same_images(name):
    image, flat = load(name), load(name, layout="flat")
    np.testing.assert_array_equal(image.flat(), flat.x)
    assert flat.image_shape == image.shape


def test_digits_are_the_digits():
    from sklearn.datasets import load_digits

    bunch = load_digits()
    data = load("digits")
    np.testing.assert_allclose((data.flat() + 1.0) * 8.0, bunch.data, atol=1e-6)
    np.testing.assert_array_equal(data.y, bunch.target)


def test_classes_are_kept():
    assert set(load("digits", classes=(1, 7)).y.tolist()) == {1, 7}
    assert set(load("wine", classes=(2,)).y.tolist()) == {2}


def test_tables_are_standardised_unless_told():
    data = load("wine")
    np.testing.assert_allclose(data.x.mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(data.x.std(axis=0), 1.0, atol=1e-5)
    assert load("wine", standardise=False).x.max() == 1680.0


def test_toys_follow_seed_and_number():
    np.testing.assert_array_equal(load("moons", n_train=50, seed=3).x, load("moons", n_train=50, seed=3).x)
    assert not np.array_equal(load("moons", n_train=50, seed=3).x, load("moons", n_train=50, seed=4).x)
    assert (load("moons").low, load("moons").high) == toy("moons").box


def test_mixture_options():
    assert load("mixture", dim=3, n_train=10).x.shape == (10, 3)
    assert load("mixture", dim=1, masses=(1.0,), positions=(100.0,)).low > 90.0


def test_patches_follow_seed_and_size():
    assert load("patches", size=5, n_train=7, seed=1).x.shape == (7, 5, 5, 1)
    np.testing.assert_array_equal(load("patches", n_train=7, seed=1).x, load("patches", n_train=7, seed=1).x)


def test_options_of():
    assert options_of("digits") == ("layout", "classes")
    with pytest.raises(DataError, match="no data set"):
        options_of("digit")


def test_patches_without_scikit_image_say_how(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage", None)
    monkeypatch.setitem(sys.modules, "skimage.data", None)
    with pytest.raises(DataError, match=r"pip install 'energax\[images\]'"):
        load("patches")


BAD = {
    "nearest name": (("digit",), {}, "Did you mean 'digits'"),
    "nearest toy": (("moon",), {}, "Did you mean 'moons'"),
    "far from any": (("qqqqqq",), {}, "Known: digits"),
    "empty": (("",), {}, "no data set ''"),
    "a number": ((3,), {}, "name or a path"),
    "none": ((None,), {}, "name or a path"),
    "no such path": (("./nowhere",), {}, "nothing of that name"),
    "unknown option": (("digits",), {"layuot": "flat"}, "Did you mean 'layout'"),
    "option of another set": (("moons",), {"layout": "flat"}, "no option of moons 'layout'"),
    "option of no path": (("./a.npy",), {"n_train": 3}, "no option of a path 'n_train'"),
    "layout": (("digits",), {"layout": "rows"}, "layout must be one of"),
    "class": (("digits",), {"classes": (10,)}, "classes of 'digits' must be"),
    "classes empty": (("digits",), {"classes": ()}, "classes of 'digits' must be"),
    "number of points": (("moons",), {"n_train": 0}, "n_train must be an integer >= 2"),
    "points a float": (("moons",), {"n_train": 10.0}, "n_train must be an integer"),
    "seed": (("rings",), {"seed": -1}, "seed must be an integer >= 0"),
    "dim": (("mixture",), {"dim": 0}, "dim must be an integer >= 1"),
    "masses": (("mixture",), {"masses": (0.5, 0.6)}, "add up to 1"),
    "size": (("patches",), {"size": 1000}, "size must lie in"),
    "standardise": (("wine",), {"standardise": 1}, "standardise must be one of"),
    "part": (("mnist",), {"part": "half"}, "part must be one of"),
}


@pytest.mark.parametrize(("args", "options", "said"), BAD.values(), ids=BAD)
def test_refuses(args, options, said):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the sentence is looked at here
        load(*args, **options)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_data_never_imports_jax_nor_the_heavy_packages():
    program = (
        "import sys, energax.data as d; d.entries(); d.load('moons', n_train=10); "
        "heavy = {'jax', 'sklearn', 'mlxtend', 'skimage', 'pandas', 'matplotlib', 'PIL'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
