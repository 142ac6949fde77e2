"""Tunes one cell: `python pipeline/tune.py platform-mpdqn-inverting`."""

import sys

from pamdp.cli import main

if __name__ == "__main__":
    main(["tune", *sys.argv[1:]])
