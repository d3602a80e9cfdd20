"""glibc's allocator, told to keep what it is given back: buffers of megapixels then cost no new pages each time."""

import ctypes

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
