"""Reads an image through mappings until stdin ends, and compares all it gets.

usage: live_mapper.py DATA SOURCE

SOURCE is a file with what DATA must be. At the end it prints when the longest
access began and how long it took, in seconds. When a byte is not as it must be the exit status is 1, and
a read that fails is the end by SIGBUS.
"""

import mmap
import os
import random
import select
import sys
import time

data, source = sys.argv[1:]
want = open(source, "rb").read()
longest = (0, 0)
while not select.select([sys.stdin], [], [], 0)[0]:
    fd = os.open(data, os.O_RDONLY)
    with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as m:
        for _ in range(100):
            off, n = random.randrange(len(want)), random.randint(1, 16384)
            m.madvise(mmap.MADV_DONTNEED)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            began = time.time()
            got = m[off : off + n]
            longest = max(longest, (time.time() - began, began))
            if got != want[off : off + n]:
                sys.exit(f"wrong bytes at {off}")
            time.sleep(random.uniform(0, 0.002))
    os.close(fd)
print(longest[1], longest[0])
