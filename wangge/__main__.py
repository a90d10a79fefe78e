"""`python -m wangge` is `wangge`."""

from wangge.cli import main

main()
