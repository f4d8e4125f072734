"""Learners with a neural network in Keras."""

from nchain_agents.deep.xla import fast_cpu

__all__ = ["fast_cpu"]
