"""What a file may ask of us before we refuse it, and how many threads decoding may take."""

import os

MAX_PIXELS = 8192 * 4608
"""Largest picture that is decoded: 8K (7680x4320, DCI 8192x4320) works, 16K is refused. One RGB frame is 113 MB."""

MAX_SIDE = 16384
"""Longest side of a picture after its pixels are made square."""

MAX_ASPECT = 4
"""Sample aspect ratios beyond 1:4 or 4:1 are lies of the header and read as square pixels."""

MAX_DAMAGED_PACKETS = 250
"""Packets in a row that a decoder may fail on before the rest of the file is given up."""

MAX_THREADS = 8
"""Decoding threads; each holds a frame, and beyond eight they no longer pay."""

READABLE_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,apng,webp,mpeg,mpegvideo,mpegts,flv,asf,ogg,mxf,nut,ivf,"
    "dv,h264,hevc,obu,m4v,mjpeg,yuv4mpegpipe,rm,swf,vob,wtv,gxf"
)
"""FFmpeg's names of the containers that are opened. Playlists (hls, dash, concat) are left out: they open others."""


def threads_allowed() -> int:
    """Threads decoding may use: ``FACEWITNESS_THREADS`` (set for scan workers), else the cores we may run on."""
    given = os.environ.get("FACEWITNESS_THREADS", "")
    if given.isdigit() and int(given) > 0:
        return min(int(given), MAX_THREADS)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MAX_THREADS)
