"""`python -m colorfast.cli`."""

from colorfast.cli import main

main()
