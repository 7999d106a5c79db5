"""`python -m leveret` is `leveret`."""

from leveret.cli import main

main()
