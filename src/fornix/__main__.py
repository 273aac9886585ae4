"""``python -m fornix``."""

from fornix.cli import main

if __name__ == "__main__":
    main()
