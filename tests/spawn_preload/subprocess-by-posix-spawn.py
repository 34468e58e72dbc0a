# SPDX-License-Identifier: MIT
"""Python's test_subprocess with as many children as possible by posix_spawn.

subprocess uses posix_spawn(3) only where it is told not to close descriptors.
Here that is the default. Some tests fail then, because descriptors are what
they look at: what matters is that the same ones do with and without the
preloaded library. Arguments: those of `python3 -m test`.
"""

import subprocess
import sys

original = subprocess.Popen.__init__


def without_closing(self, args, *rest, **options):
    if len(rest) < 6:  # close_fds is the seventh
        options.setdefault("close_fds", bool(options.get("pass_fds", ())))
    original(self, args, *rest, **options)


subprocess.Popen.__init__ = without_closing

from test import libregrtest  # noqa: E402

sys.argv[0] = "test"
libregrtest.main()
