"""Learners with a neural network in Keras."""
