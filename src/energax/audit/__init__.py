"""The audit: every training method on the same problems, at the same price, against what is known exactly."""

from .cell import Cell as Cell, Row as Row, run as run
from .listing import cells as cells, methods as methods, problems as problems
from .method import Rule as Rule
from .problem import Diverged as Diverged, Problem as Problem, Seen as Seen
from .study import audit as audit, rows_of as rows_of
from .table import Summary as Summary, summarise as summarise
