"""``python -m vapi_frames.cli``: the command line without the script that an installation makes."""

import sys

from vapi_frames.cli.main import main

sys.exit(main())
