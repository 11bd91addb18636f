"""``python reproduce``: see again.py."""

import sys

from again import main

if __name__ == "__main__":
    sys.exit(main())
