"""Evaluates all seeds of all cells and compares the cells."""

import sys

from pamdp.cli import main

if __name__ == "__main__":
    main(["evaluate", *sys.argv[1:]])
