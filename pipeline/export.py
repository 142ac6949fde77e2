"""Exports the best seed of every cell as a SavedModel and proves that it acts the same."""

import sys

from pamdp.cli import main

if __name__ == "__main__":
    main(["export", *sys.argv[1:]])
