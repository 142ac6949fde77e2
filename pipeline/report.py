"""Writes tables, figures, the film of the best policy, and the page that holds them all."""

import sys

from pamdp.cli import main

if __name__ == "__main__":
    main(["report", *sys.argv[1:]])
