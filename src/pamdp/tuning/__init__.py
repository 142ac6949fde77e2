"""The Optuna study of a cell; the only importer of `optuna`."""
