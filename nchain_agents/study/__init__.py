"""Comparing agents: what is run (`run`), what it says (`summary`), where it goes (`store`)."""
