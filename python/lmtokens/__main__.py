"""The command ``lmtokens``, also as ``python -m lmtokens``."""

import sys

from lmtokens import _lmtokens


def main() -> int:
    """Run the command that ``sys.argv`` holds; the result is the exit status."""
    try:
        return _lmtokens._shell(sys.argv[1:])
    except KeyboardInterrupt:
        # It came before the command began, or after it ended.
        return 130


if __name__ == "__main__":
    sys.exit(main())
