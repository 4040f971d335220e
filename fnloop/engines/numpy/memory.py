"""Memory of arrays that are freed and allocated again in each step."""

from functools import cache

import numpy as np

LARGEST = 1 << 24  # bytes of the largest array whose memory is kept


@cache
def keep_freed_memory() -> None:
    """Make the C library keep the memory of freed arrays, up to 32 MiB, for those of the next step.

    glibc returns memory above a threshold to the system, and each page of it is then cleared again when it is next used: a
    third of the time of a step of 100 tiny models, or of one convolution of images of 28x28. The threshold follows the largest
    array that was freed, so one such array is allocated, and freed, once in a process. Its memory is never touched. Other C
    libraries are not affected.
    """
    np.empty(LARGEST, np.uint8)
