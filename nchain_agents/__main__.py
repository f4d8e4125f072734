"""`nchain` and `python -m nchain_agents`."""

import sys

from nchain_agents.signals import stopped_by_signals


def main() -> None:
    """Run the command line, or say what it needs."""
    with stopped_by_signals():
        try:
            import rich  # noqa: F401
            import typer  # noqa: F401
        except ModuleNotFoundError as missing:
            from nchain_env.extras import install_command

            needs = f"the command line needs {missing.name}: {install_command('agents')}"
            sys.exit(f"nchain: {needs}")
        from nchain_agents.cli import run

        run()


if __name__ == "__main__":
    main()
