"""Problems of the literature: one file each, with its table and its environment."""
