"""Learners that keep one number for each state and action."""
