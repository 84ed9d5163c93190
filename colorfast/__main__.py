"""`python -m colorfast`."""

from colorfast.cli import main

main()
