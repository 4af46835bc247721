"""`python -m clflow` is the command `clflow`."""

from clflow.cli.main import main

main()
