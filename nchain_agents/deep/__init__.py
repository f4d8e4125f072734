"""Learners with a neural network in Keras."""

import os

from nchain_agents.deep.xla import with_small_loops

os.environ["XLA_FLAGS"] = with_small_loops(os.environ.get("XLA_FLAGS", ""))
