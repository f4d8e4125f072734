"""Hyperparameter search: spaces, trials, and the search itself with Optuna."""
