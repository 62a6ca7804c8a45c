"""`python -m driblet`: the same as the `driblet` command."""

from driblet.cli import main

if __name__ == "__main__":
    main()
