"""`python -m millrace`: the command line, where the script is not on the path."""

from millrace.cli import main

if __name__ == "__main__":
    main()
