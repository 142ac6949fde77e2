"""What the verbs of the command line do, one module each; those of dvc.yaml are its stages."""
