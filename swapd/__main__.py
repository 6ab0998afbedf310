"""`python -m swapd` is the same as `swapd`."""

from swapd.cli import main

if __name__ == "__main__":
    main()
