"""What all tests share. Tests under ``lab/`` want a kernel with several memory nodes: ``make lab-test`` boots one."""

import os

collect_ignore = [] if os.environ.get("NUMAMIG_LAB") else ["lab"]
