"""The command ``lmtokens``, also as ``python -m lmtokens``."""

import sys

from lmtokens import _lmtokens


def main() -> int:
    """Run the command that ``sys.argv`` holds; the result is the exit status."""
    return _lmtokens._shell(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
