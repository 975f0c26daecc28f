"""Runs the local cloud; `cargo xtask` starts it with

    python local_cloud.py <folder> [--with-parent]

The folder is that of the clone's state; it is an argument so that the process can be told from
another clone's. With --with-parent the cloud ends when its standard input does, which is when
the process that holds the other end is gone, however that came about.
"""

import os
import signal
import sys
import threading


def end_with_parent():
    sys.stdin.buffer.read()
    # The functions run in the same process group.
    os.killpg(os.getpgrp(), signal.SIGKILL)


if "--with-parent" in sys.argv:
    threading.Thread(target=end_with_parent, daemon=True).start()

# MiniStack reads its settings from the environment when it is imported, and knows none of our arguments.
sys.argv = ["ministack"]

from ministack.app import main  # noqa: E402

main()
