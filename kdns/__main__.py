"""`python -m kdns` is the command `kdns`."""

import sys

from kdns.cli.main import main

sys.exit(main())
