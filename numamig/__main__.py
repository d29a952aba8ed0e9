"""``python -m numamig``: the same as the ``numamig`` command."""

from numamig.cli import main

if __name__ == "__main__":
    main()
