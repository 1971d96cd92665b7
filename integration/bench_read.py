"""Reads a file the way a benchmark wants it, and prints how many nanoseconds it took.

usage: bench_read.py sequential FILE
       bench_read.py random FILE SEED COUNT
       bench_read.py forget PATH...

random reads COUNT pages of 4 KiB, each in another block of 64 KiB. forget takes
files, and what is below directories, out of the kernel's memory; what is not on
disk yet stays.
"""

import os
import random
import sys
import time

BLOCK = 64 << 10


def sequential(file):
    buffer = bytearray(1 << 20)
    while os.readv(file, [buffer]):
        pass


def offsets(size, seed, count):
    places = random.Random(seed).sample(range(size // BLOCK), count)
    return [p * BLOCK + 4096 * (p % 16) for p in places]


def pages(file, places):
    for off in places:
        if len(os.pread(file, 4096, off)) != 4096:
            sys.exit("a short read")


def forget(path):
    if os.path.isdir(path):
        for name in os.listdir(path):
            forget(os.path.join(path, name))
    elif os.path.isfile(path):
        file = os.open(path, os.O_RDONLY)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


def main():
    what, path, *rest = sys.argv[1:]
    if what == "forget":
        for p in [path, *rest]:
            forget(p)
        return
    file = os.open(path, os.O_RDONLY)
    if what == "random":
        seed, count = map(int, rest)
        places = offsets(os.fstat(file).st_size, seed, count)
        begun = time.monotonic_ns()
        pages(file, places)
    else:
        begun = time.monotonic_ns()
        sequential(file)
    print(time.monotonic_ns() - begun)


main()
