from hypothesis import HealthCheck, settings

# The same examples on every run and every machine, and no failure because a machine is slow.
settings.register_profile(
    "repeatable",
    derandomize=True,
    deadline=None,
    max_examples=100,
    # The mutation tester runs the tests of a class several times in one process.
    suppress_health_check=[HealthCheck.differing_executors],
)
settings.load_profile("repeatable")
