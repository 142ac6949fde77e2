"""Checks settings, installation and environments, and writes down what results depend on."""

import sys

from pamdp.cli import main

if __name__ == "__main__":
    main(["setup", *sys.argv[1:]])
