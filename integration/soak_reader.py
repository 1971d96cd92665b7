"""Reads images of a mount for ever and compares all it gets with what it must be.

usage: soak_reader.py SEED MOUNT SOURCE=ID...

SOURCE is a file with the data of image ID; its name is the image's. For each
comparison that held, a line tells the number of bytes. When a system call
fails, the exit status is 3 and the last line is "ERRNO BEGAN ENDED DOING", with
times in seconds of the Unix epoch. When something is not as it must be, the
exit status is 1, and the reason is on stderr.
"""

import json
import mmap
import os
import random
import sys
import time


def attempt(doing, call, *args):
    began = time.time()
    try:
        return call(*args)
    except OSError as e:
        print(e.errno, began, time.time(), doing, flush=True)
        sys.exit(3)


def same(doing, got, want):
    if got != want:
        sys.exit(f"{doing}: {got!r:.300} instead of {want!r:.300}")


class Image:
    def __init__(self, mount, source, id):
        self.id, self.name = id, os.path.basename(source)
        self.dir = f"{mount}/images/{id}"
        self.source = os.open(source, os.O_RDONLY)
        self.size = os.fstat(self.source).st_size

    def open(self, flags=0):
        return attempt(f"open {self.name}", os.open, f"{self.dir}/data", os.O_RDONLY | flags)

    def compare(self, data, off, n, read=os.pread):
        """Compares n bytes at off. Fewer may come at a time, but only at the end none."""
        end = min(off + n, self.size)
        while True:
            doing = f"read {n} bytes at {off} of {self.name}"
            got = attempt(doing, read, data, n, off)
            want = os.pread(self.source, len(got), off)
            if got != want or (not got and off < end):
                wrong = sum(a != b for a, b in zip(got, want))
                first = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), len(want))
                sys.exit(f"{doing}: {len(got)} bytes, of which {wrong} wrong, the first at {off + first}")
            print(len(got), flush=True)
            off, n = off + len(got), n - len(got)
            if off >= end:
                break


def whole(mount, images):
    """Reads one image from start to end, none of it from the kernel's memory."""
    image = random.choice(images)
    data = image.open()
    os.posix_fadvise(data, 0, 0, os.POSIX_FADV_DONTNEED)
    for off in range(0, image.size, 1 << 20):
        image.compare(data, off, 1 << 20)
    same("read at the end", attempt("read at the end", os.pread, data, 1, image.size), b"")
    os.close(data)


def pieces(mount, images):
    """Reads pieces of one image anywhere, past the end too."""
    image = random.choice(images)
    data = image.open()
    for _ in range(50):
        image.compare(data, random.randrange(image.size), random.randint(1, 300_000))
    os.close(data)


def direct(mount, images):
    """Reads pages of one image anywhere past the kernel's memory, into memory as that needs it."""
    pages = mmap.mmap(-1, 64 * mmap.PAGESIZE)

    def read(data, n, off):
        with memoryview(pages) as all, all[:n] as part:
            return bytes(part[: os.preadv(data, [part], off)])

    image = random.choice(images)
    data = image.open(os.O_DIRECT)
    for _ in range(50):
        off = random.randrange(image.size) & -mmap.PAGESIZE
        image.compare(data, off, random.randint(1, 64) * mmap.PAGESIZE, read)
    os.close(data)


def tree(mount, images):
    """Lists and describes everything."""
    listed = attempt("list images", os.listdir, f"{mount}/images")
    same("images listed twice", len(listed), len(set(listed)))
    # There may be more, which come and go.
    same("images not listed", {i.id for i in images} - set(listed), set())
    for i in images:
        same("size", attempt(f"stat {i.name}", os.stat, f"{i.dir}/data").st_size, i.size)
        meta = attempt(f"read meta.json of {i.name}", lambda: open(f"{i.dir}/meta.json").read())
        same("meta.json", json.loads(meta)["name"], i.name)
        link = attempt(f"readlink by-name/{i.name}", os.readlink, f"{mount}/by-name/{i.name}")
        same("by-name", link, f"../images/{i.id}")


def main():
    seed, mount, *pairs = sys.argv[1:]
    random.seed(seed)
    images = [Image(mount, *p.split("=")) for p in pairs]
    while True:
        random.choice((whole, pieces, direct, tree))(mount, images)


main()
