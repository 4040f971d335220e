"""`python -m fnloop`: the command."""

from fnloop.cli.app import main

if __name__ == "__main__":
    main()
