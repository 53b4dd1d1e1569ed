"""`python -m trainer` is the same command as `trainer`."""

from trainer.cli.main import main

main()
