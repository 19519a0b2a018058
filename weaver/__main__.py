"""``python -m weaver``."""

import sys

from weaver._cli import main

sys.exit(main())
