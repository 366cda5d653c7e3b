"""Every limit on memory, disk space, time and repetitions, and the environment variable that changes it.

The limits protect against files that cost far more than their size suggests, and against servers that never finish.
A variable is read whenever its limit applies, so the processes of a run, which inherit the environment, have the same
limits. docs/reference/settings.md lists all limits.
"""

from __future__ import annotations

import os

from zoo.errors import OptionError
from zoo.files.limit import Limit

#: Maximum number of classes of a model. Like the next five values, it is not adjustable: it defines what is valid.
MAX_CLASSES = 1_000_000
#: Maximum height and width of the input of a model in pixels.
MAX_SIDE = 4096
#: Maximum number of channels of an image.
MAX_CHANNELS = 64
#: Maximum length to which images are resized before the crop, in pixels.
MAX_RESIZE = 4 * MAX_SIDE
#: Maximum size of run.json in bytes, enough for the metrics of the maximum number of classes.
MAX_RUN_BYTES = 2**29
#: Maximum number of threads that decode images, and therefore of the `workers` option.
MAX_WORKERS = 256

#: A variable that begins with this prefix and is not listed below is probably a misspelling.
_PREFIX = "ZOO_MAX_"

IMAGE_BYTES = Limit(
    variable="ZOO_MAX_IMAGE_BYTES",
    default=2**29,
    unit="bytes",
    bounds="the size of an image file",
    reason="the whole file is read into memory; the largest image allowed takes 512 MiB with 16 bits per channel",
)
PIXELS = Limit(
    variable="ZOO_MAX_PIXELS",
    default=2**28 // 3,
    unit="pixels",
    bounds="the width times the height of an image, or of a tile of a TIFF, according to the header",
    reason="a file of 12 kB can contain 100 megapixels; Pillow has the same limit",
)
DECODING_BYTES = Limit(
    variable="ZOO_MAX_DECODING_BYTES",
    default=3 * 2**30,
    unit="bytes",
    bounds="the memory for all images that are decoded at the same time on this machine",
    reason="enough for the largest image allowed, or for 19 photos of 24 megapixels",
)
JPEG_SCANS = Limit(
    variable="ZOO_MAX_JPEG_SCANS",
    default=100,
    unit="scans",
    bounds="the scans of a JPEG, each of which decodes the full image again",
    reason="progressive JPEGs have about 10 scans; libtiff has the same limit",
)
PIXEL_CACHE = Limit(
    variable="ZOO_MAX_PIXEL_CACHE",
    default=2**30,
    unit="bytes",
    bounds="the memory for decoded images that a process keeps; training and evaluation have one budget each",
    reason="about 1,900 photos for training or 7,000 for evaluation; at most a quarter of the free memory is used",
    least=0,
)
EXAMINING_THREADS = Limit(
    variable="ZOO_MAX_EXAMINING_THREADS",
    default=8,
    unit="threads",
    bounds="the threads that decode images before training; at most one per core is started",
    reason="each thread has a decoded image in memory",
)
EXAMINED_IMAGES = Limit(
    variable="ZOO_MAX_EXAMINED_IMAGES",
    default=200_000,
    unit="images",
    bounds="the largest data set that is decoded before the first step, not during the first epoch",
    reason="decoding them takes a few minutes",
    least=0,
)
UNPACKED_BYTES = Limit(
    variable="ZOO_MAX_UNPACKED_BYTES",
    default=100 * 2**20,
    unit="bytes",
    bounds="the unpacked size of an archive, unless ZOO_MAX_UNPACKED_RATIO allows more",
    reason="small archives of drawings compress well",
)
UNPACKED_RATIO = Limit(
    variable="ZOO_MAX_UNPACKED_RATIO",
    default=100,
    unit="times its own size",
    bounds="the unpacked size of a large archive, as a multiple of its packed size",
    reason="photos hardly compress, and only simple graphics come close to this ratio",
)
MEMBERS = Limit(
    variable="ZOO_MAX_MEMBERS",
    default=10_000,
    unit="members",
    bounds="the files and folders in an archive, unless ZOO_MAX_MEMBERS_PER_KIB allows more",
    reason="creating them takes a few seconds",
)
MEMBERS_PER_KIB = Limit(
    variable="ZOO_MAX_MEMBERS_PER_KIB",
    default=20,
    unit="members per KiB",
    bounds="the files and folders of a large archive, in proportion to its packed size",
    reason="a packed image takes more than 50 bytes; an empty folder takes 5",
)
DEPTH = Limit(
    variable="ZOO_MAX_DEPTH",
    default=64,
    unit="folders",
    bounds="the folders in the path of an archive member",
    reason="a single name of 4 kB can create 2,000 folders",
)
TAR_HEADER_BYTES = Limit(
    variable="ZOO_MAX_TAR_HEADER_BYTES",
    default=2**20,
    unit="bytes",
    bounds="an extended header of a .tar archive",
    reason="the whole header is read into memory; a long name takes a few kB",
)
LABEL_BYTES = Limit(
    variable="ZOO_MAX_LABEL_BYTES",
    default=2**20,
    unit="bytes",
    bounds="the file with an image's label in a shard",
    reason="the whole file is read into memory; a label is a few bytes long, and image metadata a few kB",
)
DOWNLOAD_BYTES = Limit(
    variable="ZOO_MAX_DOWNLOAD_BYTES",
    default=2**34,
    unit="bytes",
    bounds="a download whose size is neither declared in advance nor reported by the server",
    reason="larger than any published weights file of a backbone",
)
DOWNLOAD_TRIES = Limit(
    variable="ZOO_MAX_DOWNLOAD_TRIES",
    default=5,
    unit="attempts",
    bounds="the attempts to download a file",
    reason="the waits of 1, 2, 4 and 8 seconds between them outlast a brief server outage",
)
RETRY_SECONDS = Limit(
    variable="ZOO_MAX_RETRY_SECONDS",
    default=300,
    unit="seconds",
    bounds="the wait between two attempts, even if the server asks for more",
    reason="servers that limit the number of requests usually ask for at most five minutes",
    least=0,
)
STALL_SECONDS = Limit(
    variable="ZOO_MAX_STALL_SECONDS",
    default=60,
    unit="seconds",
    bounds="the time in which a server sends less than 64 KiB",
    reason="about 1 kB per second, which any usable connection exceeds; a silent server is given up after 30 seconds",
)
MATCH_SECONDS = Limit(
    variable="ZOO_MAX_MATCH_SECONDS",
    default=60,
    unit="seconds",
    bounds="the time for searching all file names for the `label_from` option",
    reason="a million names take a few seconds, but a pattern such as (a+)+$ can take years for a single name",
)
LOCK_SECONDS = Limit(
    variable="ZOO_MAX_LOCK_SECONDS",
    default=3600,
    unit="seconds",
    bounds="the wait for another process that is downloading the same file",
    reason="large data sets take this long",
    least=0,
)
PARTIAL_SECONDS = Limit(
    variable="ZOO_MAX_PARTIAL_SECONDS",
    default=3600,
    unit="seconds",
    bounds="the age at which zoo removes what a process that has ended left unfinished in the cache folder",
    reason="it is useless, unless a process on another machine is still writing it",
    least=0,
)
PART_SECONDS = Limit(
    variable="ZOO_MAX_PART_SECONDS",
    default=7 * 24 * 3600,
    unit="seconds",
    bounds="the age at which zoo removes an interrupted download from the cache folder",
    reason="until then, the next attempt resumes it",
    least=0,
)
CACHE_BYTES = Limit(
    variable="ZOO_CACHE_LIMIT",
    default=20 * 2**30,
    unit="bytes",
    bounds="the cached features on disk; the least recently used ones are removed first",
    reason="the features of a few large data sets",
    least=0,
)
FREE_BYTES = Limit(
    variable="ZOO_MIN_FREE_BYTES",
    default=2**30,
    unit="bytes",
    bounds="the disk space that cached features leave free",
    reason="a run must be able to save its model",
    least=0,
)

UPLOAD_BYTES = Limit(
    variable="ZOO_MAX_UPLOAD_BYTES",
    default=20 * 2**20,
    unit="bytes",
    bounds="the size of an image that `zoo serve` accepts",
    reason="photos of phones have up to 10 MB",
)
WAITING_BYTES = Limit(
    variable="ZOO_MAX_WAITING_BYTES",
    default=2**28,
    unit="bytes",
    bounds="all images together that `zoo serve` is receiving, or that wait for the model",
    reason="enough for 13 images of the maximum size, or for a hundred photos",
)
CLIENTS = Limit(
    variable="ZOO_MAX_CLIENTS",
    default=500,
    unit="connections",
    bounds="the connections that `zoo serve` keeps open at the same time",
    reason="many systems allow a process 1,024 open files",
)
REQUEST_SECONDS = Limit(
    variable="ZOO_MAX_REQUEST_SECONDS",
    default=30,
    unit="seconds",
    bounds="the time in which a client of `zoo serve` must send its headers, then its image, and then get an answer",
    reason="an image of the maximum size takes this long at 6 Mbit/s",
)

LIMITS = tuple(value for value in vars().copy().values() if isinstance(value, Limit))


def check_limits() -> None:
    """Raise `OptionError` if a value is invalid, or a variable that begins with ``ZOO_MAX_`` is unknown."""
    values = {limit.variable: limit.read() for limit in LIMITS}
    for name in sorted(os.environ):
        if name.startswith(_PREFIX) and name not in values:
            raise OptionError(f"there is no limit {name}; the limits are {', '.join(sorted(values))}.")
