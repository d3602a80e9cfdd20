"""The process's memory: keep what is freed, because buffers of megapixels come again, and tell the peak."""

import ctypes
import re
from pathlib import Path

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_MMAP_THRESHOLD = 32 * 1024 * 1024
"""Bytes; glibc refuses more on 64 bits (HEAP_MAX_SIZE / 2, mallopt(3))."""
TRIM_THRESHOLD = 512 * 1024 * 1024


def keep_freed_memory() -> bool:
    """Raise the thresholds above which memory comes from and returns to the kernel at once.

    Returns
    -------
    bool
        Whether the C library took them; one without `mallopt` (musl, macOS) works as before, only slower.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)) and bool(mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD))


def peak_megabytes() -> int:
    """Give the largest resident size of this process so far, in MiB.

    The kernel's own count (VmHWM in /proc/self/status). `getrusage` would do on Lambda; but its `ru_maxrss` survives
    fork and exec, so that a small child of a large process reports its parent.
    """
    kibibytes = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return round(int(kibibytes[1]) / 1024) if kibibytes else 0
