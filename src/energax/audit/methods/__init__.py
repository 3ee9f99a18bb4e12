"""One file a method: a TITLE, `fits(problem)` and `make(problem)`; listed by `audit.listing`."""
