"""`nchain` and `python -m nchain_agents`."""

import sys


def main() -> None:
    """Run the command line, or say what it needs."""
    try:
        import rich  # noqa: F401
        import typer  # noqa: F401
    except ModuleNotFoundError as missing:
        sys.exit(f"nchain: the command line needs {missing.name}: pip install 'nchain-env[agents]'")
    from nchain_agents.cli import run

    run()


if __name__ == "__main__":
    main()
