"""The experiments of the articles that made the chain known, reproduced, then corrected.

They are the NChain tutorial (tables, a tournament, a Keras network) and three shorter articles: on
Q-learning with Keras in a grid world, on a network in TensorFlow for a state of four numbers, and
an overview. `nchain reproduce` runs all of it.
"""
