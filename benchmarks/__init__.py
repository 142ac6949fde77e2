"""Speed, side by side with what a user would otherwise have: `make bench`."""
