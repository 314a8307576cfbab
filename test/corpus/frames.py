"""Compresses the same bytes with everything that compresses: usage: frames.py PLAIN-DIRECTORY OUT-DIRECTORY

PLAIN-DIRECTORY has files NAME.records: the records of a batch, uncompressed. For each frame that it makes a line goes to standard output: the file, what it was made of, the codec, the
maker, and in the last field what is special about it. A file whose name begins with refused- must not be read."""
import gzip
import io
import pathlib
import random
import struct
import subprocess
import sys

import cramjam
import lz4
import lz4.block
import lz4.frame
import snappy
import zstandard

SOURCE, OUT = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])


def version(command):
    text = subprocess.run([command, "--version"], capture_output=True, text=True)
    return next(w.strip(",") for w in (text.stdout + text.stderr).replace("v", " ").split() if w[0].isdigit() and "." in w)


MAKERS = {
    "zstd-cli": version("zstd"), "lz4-cli": version("lz4"), "gzip-cli": version("gzip"), "zstandard": zstandard.__version__, "lz4": lz4.__version__,
    "python-gzip": sys.version.split()[0], "python-snappy": "0.7.3", "cramjam": cramjam.__version__,
}


# what differs from others only in flags is made of the small records alone, so that the corpus stays small
ONLY_SMALL = {"stored", "pipe-9", "fast", "no-checksum", "once", "content-checksum", "no-size", "block-4m", "bare-block", "cut", "checksum-wrong", "with-name",
              "xerial-1000", "pipe-fast", "pipe-rsyncable", "pipe-target-size", "pipe-ultra22", "raw"}


def write(plain, codec, maker, variant, data, refused=False):
    if plain == "large" and variant in ONLY_SMALL and maker != "cramjam":
        return
    name = f"{'refused-' if refused else ''}{codec}-{maker}-{variant}-{plain}"
    (OUT / name).write_bytes(data)
    print("\t".join([name, plain, codec, f"{maker} {MAKERS[maker]}"]))


def run(*command, data):
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


def skippable(data=b"ignore me"):
    return struct.pack("<II", 0x184D2A53, len(data)) + data


def zstd_frames(name, plain):
    with_file = OUT / "tmp"
    with_file.write_bytes(plain)
    for variant, options in {
        "pipe": [], "pipe-no-check": ["--no-check"], "pipe-1": ["-1"], "pipe-19": ["-19"], "pipe-fast": ["--fast=5"], "pipe-long24": ["--long=24"],
        "pipe-long27": ["--long=27"], "pipe-ultra22": ["--ultra", "-22"], "pipe-threads": ["-T2", "-B16384"], "pipe-rsyncable": ["-T1", "--rsyncable"],
        "pipe-target-size": ["--target-compressed-block-size=1500"],
    }.items():
        write(name, "zstd", "zstd-cli", variant, run("zstd", "-qc", *options, data=plain))
    for variant, options in {"file": [], "file-19": ["-19"], "file-no-content-size": ["--no-content-size"]}.items():
        write(name, "zstd", "zstd-cli", variant, run("zstd", "-qc", *options, str(with_file), data=b""))
    write(name, "zstd", "zstd-cli", "pipe-long28", run("zstd", "-qc", "--long=28", data=plain), refused=True)
    with_file.unlink()
    half = len(plain) // 2
    for level in (1, 3, 22):
        c = zstandard.ZstdCompressor(level=level)
        write(name, "zstd", "zstandard", f"once-{level}", c.compress(plain))
        stream = c.compressobj()
        write(name, "zstd", "zstandard", f"stream-{level}", stream.compress(plain) + stream.flush())
    c = zstandard.ZstdCompressor(write_checksum=True, write_content_size=False)
    write(name, "zstd", "zstandard", "checksum", c.compress(plain))
    write(name, "zstd", "zstandard", "two-frames", c.compress(plain[:half]) + c.compress(plain[half:]))
    write(name, "zstd", "zstandard", "empty-and-skippable", c.compress(b"") + skippable() + c.compress(plain) + skippable())
    out = io.BytesIO()
    with c.stream_writer(out, closefd=False) as w:  # a block for each write
        for i in range(0, len(plain), 1000):
            w.write(plain[i:i + 1000])
            w.flush(zstandard.FLUSH_BLOCK)
    write(name, "zstd", "zstandard", "flushed-blocks", out.getvalue())
    write(name, "zstd", "cramjam", "once", bytes(cramjam.zstd.compress(plain)))
    dictionary = zstandard.ZstdCompressionDict(plain[:4096], dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    write(name, "zstd", "zstandard", "raw-dictionary", zstandard.ZstdCompressor(dict_data=dictionary).compress(plain), refused=True)
    good = c.compress(plain)
    write(name, "zstd", "zstandard", "cut", good[:-5], refused=True)
    write(name, "zstd", "zstandard", "checksum-wrong", good[:-1] + bytes([good[-1] ^ 1]), refused=True)


def lz4_frames(name, plain):
    for variant, options in {
        "pipe": [], "pipe-9": ["-9"], "pipe-12": ["-12"], "fast": ["--fast=3"], "block-64k": ["-B4"], "block-256k": ["-B5"], "block-4m": ["-B7"],
        "block-checksum": ["-BX"], "no-checksum": ["--no-frame-crc"],
    }.items():
        write(name, "lz4", "lz4-cli", variant, run("lz4", "-qc", *options, data=plain))
    options = dict(block_linked=False)
    for variant, more in {
        "once": {}, "content-checksum": dict(content_checksum=True), "block-checksum": dict(block_checksum=True), "no-size": dict(store_size=False),
        "level-16": dict(compression_level=16), "block-4m": dict(block_size=lz4.frame.BLOCKSIZE_MAX4MB),
        "all": dict(content_checksum=True, block_checksum=True, store_size=True),
    }.items():
        write(name, "lz4", "lz4", variant, lz4.frame.compress(plain, **{**options, **more}))
    out = io.BytesIO()
    with lz4.frame.open(out, "wb", block_linked=False) as w:
        for i in range(0, len(plain), 1000):
            w.write(plain[i:i + 1000])
    write(name, "lz4", "lz4", "stream", out.getvalue())
    # not cramjam's frames, and lz4's own default: their blocks are linked, which Kafka's clients do not read; one block has nothing to be linked to
    with lz4.frame.LZ4FrameCompressor(block_linked=True) as linked:
        data = linked.begin() + linked.compress(plain) + linked.flush()
    write(name, "lz4", "lz4", "linked", data, refused=True)
    good = lz4.frame.compress(plain, content_checksum=True, block_linked=False)
    write(name, "lz4", "lz4", "cut", good[:-6], refused=True)
    write(name, "lz4", "lz4", "checksum-wrong", good[:-1] + bytes([good[-1] ^ 1]), refused=True)
    write(name, "lz4", "lz4", "bare-block", lz4.block.compress(plain), refused=True)


def gzip_frames(name, plain):
    half = len(plain) // 2
    for level in (1, 6, 9):
        write(name, "gzip", "gzip-cli", f"pipe-{level}", run("gzip", f"-{level}c", data=plain))
    write(name, "gzip", "python-gzip", "stored", gzip.compress(plain, 0))
    write(name, "gzip", "python-gzip", "two-members", gzip.compress(plain[:half]) + gzip.compress(plain[half:]))
    out = io.BytesIO()
    with gzip.GzipFile("a name", "wb", fileobj=out) as w:
        w.write(plain)
    write(name, "gzip", "python-gzip", "with-name", out.getvalue())
    write(name, "gzip", "cramjam", "once", bytes(cramjam.gzip.compress(plain)))
    good = gzip.compress(plain)
    write(name, "gzip", "python-gzip", "cut", good[:-9], refused=True)
    write(name, "gzip", "python-gzip", "checksum-wrong", good[:-5] + bytes([good[-5] ^ 1]) + good[-4:], refused=True)


def snappy_frames(name, plain):
    write(name, "snappy", "python-snappy", "raw", snappy.compress(plain))
    write(name, "snappy", "cramjam", "raw", bytes(cramjam.snappy.compress_raw(plain)))
    for size in (1000, 32 << 10):  # as Java's stream does it
        out = b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1)
        for i in range(0, len(plain), size):
            block = snappy.compress(plain[i:i + size])
            out += struct.pack(">i", len(block)) + block
        write(name, "snappy", "python-snappy", f"xerial-{size}", out)
    write(name, "snappy", "python-snappy", "framing-format", bytes(cramjam.snappy.compress(plain)), refused=True)
    write(name, "snappy", "python-snappy", "cut", snappy.compress(plain)[:-3], refused=True)


def noise():
    """One record whose value does not shrink."""
    def varint(n):
        n, out = 2 * n if n >= 0 else -2 * n - 1, b""
        while n > 127:
            n, out = n >> 7, out + bytes([n & 127 | 128])
        return out + bytes([n])

    value = random.Random(1).randbytes(3000)
    body = b"\0" + varint(0) + varint(0) + varint(-1) + varint(len(value)) + value + varint(0)
    return varint(len(body)) + body


(SOURCE / "noise.records").write_bytes(noise())
for path in sorted(SOURCE.glob("*.records")):
    for frames in (zstd_frames, lz4_frames, gzip_frames, snappy_frames):
        frames(path.stem, path.read_bytes())
