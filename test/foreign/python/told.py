"""Prints JSON lines. Libraries call back on threads of their own: each line is written whole, by one thread at a time."""

import json
import sys
import threading

lock = threading.Lock()


def tell(value):
    """Writes the value as one line, and flushes."""
    with lock:
        sys.stdout.write(json.dumps(value) + "\n")
        sys.stdout.flush()
