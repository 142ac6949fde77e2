"""The learner that all algorithms share, and what it is made of."""
