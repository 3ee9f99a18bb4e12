"""The command line: verbs over runs, recipes and data."""

from .main import app as app
from .main import run as run
