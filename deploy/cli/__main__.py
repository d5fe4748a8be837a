"""`python -m deploy.cli`, `./sampan` in a checkout, `sampan` where the distribution is installed."""

from deploy.cli.app import app


def main() -> None:
    """Runs the command that the arguments name and exits."""
    app(prog_name="sampan")


if __name__ == "__main__":
    main()
