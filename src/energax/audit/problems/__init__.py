"""One file a problem: a TITLE, and `make(seed)`; listed by `audit.listing`."""
