"""Comparing agents: what is planned (`plan`), run (`run`, in `pool`), kept (`store`) and found."""
