"""`python -m energax` is `energax`."""

from energax.cli.main import run

if __name__ == "__main__":
    run()
