"""The one error of a fit that says something of the data: no scaling is best."""

from energax.errors import EnergaxError


class Unbounded(EnergaxError, ValueError):
    """The likelihood has no finite maximum, or vector scaling's offset of a class that never comes has none.

    `compare` writes it down and goes on; any other error of a fit is raised.
    """
