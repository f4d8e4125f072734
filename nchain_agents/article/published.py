"""What the NChain tutorial sets and prints, as data.

Source: Reinforcement learning tutorial using Python and Keras, Adventures in Machine Learning,
    https://adventuresinmachinelearning.com/reinforcement-learning-tutorial-python-keras/
"""

from __future__ import annotations

SOURCE = "https://adventuresinmachinelearning.com/reinforcement-learning-tutorial-python-keras/"

GAMMA = 0.95
LEARNING_RATE = 0.8
EPSILON = {"initial": 0.5, "decay": 0.999}
EPISODES = 500
STEPS = 1000  # of an episode
ROUNDS = 100
NETWORK_EPISODES = 1000
HIDDEN, ACTIVATION = 10, "sigmoid"

PrintedTable = tuple[tuple[float, float], ...]

# (S, 2): the values of forward and backward
TABLES: dict[str, PrintedTable] = {
    "reward-sum": (
        (0.0, 639006.0),
        (0.0, 129034.0),
        (0.0, 25418.0),
        (0.0, 4944.0),
        (0.0, 2762.0),
    ),
    "greedy-q": (
        (0.0, 29.66281604),
        (0.0, 29.84359424),
        (0.0, 27.66807031),
        (28.95331666, 0.0),
        (0.0, 31.20152823),
    ),
    "epsilon-greedy-q": (
        (41.20824652, 35.97030955),
        (43.55900598, 37.46930009),
        (41.56350501, 42.67025479),
        (41.61145508, 37.83951913),
        (59.73051977, 42.22259272),
    ),
}
# the agents above, in their order
WINS = (13, 22, 65)

NETWORK_Q: PrintedTable = (
    (62.734287, 61.350456),
    (66.317955, 62.27209),
    (70.82501, 63.262383),
    (76.63797, 64.75874),
    (84.51073, 66.499725),
)
# read off the picture of the reward a step over the episodes
FIRST_REWARD, LAST_REWARD = 1.35, 2.8
