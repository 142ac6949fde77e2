"""Between environments of this package and those of Gymnasium, both ways."""
