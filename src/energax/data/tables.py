"""Small real tables that ship inside scikit-learn.

By default every column is centred and divided by its standard deviation over the whole table, since the units of the
columns differ by factors of a thousand; `standardise=False` gives the numbers as printed.
"""

import numpy as np

from . import checks
from .dataset import Dataset
from .images import keep_classes


def wine(*, standardise: bool = True, classes: tuple[int, ...] | None = None) -> Dataset:
    """178 wines of three growers, 13 chemical measures."""
    from sklearn.datasets import load_wine

    return _table("wine", load_wine(), True, standardise, classes)


def breast_cancer(*, standardise: bool = True, classes: tuple[int, ...] | None = None) -> Dataset:
    """569 tumours, malignant (0) or benign (1), 30 measures of cell nuclei."""
    from sklearn.datasets import load_breast_cancer

    return _table("breast-cancer", load_breast_cancer(), True, standardise, classes)


def iris(*, standardise: bool = True, classes: tuple[int, ...] | None = None) -> Dataset:
    """150 irises of three species, 4 measures in cm."""
    from sklearn.datasets import load_iris

    return _table("iris", load_iris(), True, standardise, classes)


def diabetes(*, standardise: bool = True) -> Dataset:
    """442 patients, 10 measures; the target is a number and is left out."""
    from sklearn.datasets import load_diabetes

    return _table("diabetes", load_diabetes(), False, standardise, None)


def standardised(x: np.ndarray) -> np.ndarray:
    """`x` `[n, d]` with every column centred and divided by its standard deviation; none may be constant."""
    wide = x.astype(np.float64)
    return ((wide - wide.mean(axis=0)) / wide.std(axis=0)).astype(np.float32)


def _table(name: str, bunch, labelled: bool, standardise: bool, classes: tuple[int, ...] | None) -> Dataset:
    checks.choice(name, "standardise", standardise, (True, False))
    x = standardised(bunch.data) if standardise else bunch.data.astype(np.float32)
    y = bunch.target if labelled else None
    licence = "BSD-3-Clause (scikit-learn); the table itself is CC BY 4.0 at UCI or public"
    data = Dataset(name, x, y, float(x.min()), float(x.max()), "scikit-learn", licence)
    return keep_classes(data, classes)
