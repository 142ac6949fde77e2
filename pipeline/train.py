"""Trains all seeds of one cell: `python pipeline/train.py platform-mpdqn-inverting`."""

import sys

from pamdp.cli import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
