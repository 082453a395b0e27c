"""Opens a zip file that a stranger may have made: everything about it is checked before any of it is used.

What we write ourselves is plain (stored or deflated files, no folders, no comment, no 64-bit records, nothing before
or after), so whatever is not plain is refused rather than interpreted.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO

MAX_ARCHIVE_BYTES = 512 * 2**20
MAX_ENTRIES = 4096
MAX_FILE_BYTES = 512 * 2**20
MAX_TOTAL_BYTES = 1024 * 2**20
MAX_RATIO = 200
"""How much smaller a file may be packed; tables and pages reach 50, a bomb 1,000. Small files are let be."""
RATIO_FREE_BYTES = 8 * 2**20

_END = struct.Struct("<4s4H2LH")  # the end of central directory record: signature, 4 counts, size, offset, comment
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_RUNS_CODE = (".pkl", ".pickle", ".pt", ".pth", ".npy", ".npz", ".joblib", ".dill")
_CHUNK = 1 << 20


class BundleError(ValueError):
    """A bundle cannot be read or written; the message is one sentence for the person who gave it."""


class Archive:
    """A checked zip file. Context manager; ``names`` are safe relative paths with forward slashes.

    Raises ``BundleError`` on construction where the archive's structure is not what we write, and on reading where a
    file's bytes are not what the archive says of them.
    """

    def __init__(self, file: BinaryIO) -> None:
        try:
            entries = _check_frame(file)
            self._zip = zipfile.ZipFile(file)
            infos = self._zip.infolist()
        except BundleError:
            raise
        except _BROKEN as error:
            raise BundleError(f"The file is not a readable zip archive: {_words(error)}.") from None
        try:
            if len(infos) != entries:
                raise BundleError(f"The bundle must list the {entries} files that it counts, but lists {len(infos)}.")
            _check_entries(infos)
        except BundleError:
            self._zip.close()
            raise
        self._infos = {info.filename: info for info in infos}

    @property
    def names(self) -> list[str]:
        """The paths of all files, in the archive's order."""
        return list(self._infos)

    def size(self, name: str) -> int:
        """The declared number of bytes of a file; reading it gives just as many or raises."""
        return self._infos[name].file_size

    def chunks(self, name: str) -> Iterator[bytes]:
        """The file's bytes, a megabyte at a time: never more than declared, and checked to be just as many."""
        info = self._infos[name]
        left = info.file_size
        try:
            with self._zip.open(info) as file:
                while block := file.read(_CHUNK):
                    left -= len(block)
                    yield block
        except _BROKEN as error:
            raise BundleError(f"The file {name} in the bundle is damaged: {_words(error)}.") from None
        if left != 0:
            raise BundleError(f"The file {name} in the bundle is not of the size that the archive declares.")

    def read(self, name: str, limit: int) -> bytes:
        """A whole file of at most ``limit`` bytes."""
        if self.size(name) > limit:
            raise BundleError(f"The file {name} must be at most {limit} bytes, but is {self.size(name)}.")
        return b"".join(self.chunks(name))

    def sha256(self, name: str) -> str:
        """The digest of a file's bytes, as hex."""
        digest = hashlib.sha256()
        for block in self.chunks(name):
            digest.update(block)
        return digest.hexdigest()

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()


_BROKEN = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, struct.error),
    *(
        OSError,
        EOFError,
        ValueError,
        NotImplementedError,
        RuntimeError,
        OverflowError,
        MemoryError,
        IndexError,
        KeyError,
    ),
)
"""What zipfile raises on damaged input, found by flipping bytes."""


def _words(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".")[:120] or type(error).__name__


def _check_frame(file: BinaryIO) -> int:
    """The number of entries, once the records around the files are seen to be the plain ones: this comes before
    zipfile reads a list whose length a stranger chose."""
    size = file.seek(0, os.SEEK_END)
    if size > MAX_ARCHIVE_BYTES:
        raise BundleError(f"The bundle must be at most {MAX_ARCHIVE_BYTES} bytes, but is {size}.")
    file.seek(0)
    if size < _END.size or file.read(4) != b"PK\x03\x04":
        raise BundleError("The file is not a bundle: it does not begin as a zip archive does.")
    file.seek(size - _END.size)
    signature, disk, first_disk, here, entries, length, offset, comment = _END.unpack(file.read(_END.size))
    if signature != b"PK\x05\x06" or comment or disk or first_disk or here != entries:
        raise BundleError("The bundle is cut off or has something behind its end.")
    if entries > MAX_ENTRIES:
        raise BundleError(f"The bundle must hold at most {MAX_ENTRIES} files, but holds {entries}.")
    file.seek(max(0, size - _END.size - 20))
    if file.read(4) == b"PK\x06\x07":
        raise BundleError("The bundle has the 64-bit records of archives above 4 GB, which no bundle needs.")
    if offset + length + _END.size != size:
        raise BundleError("The bundle is cut off, or its list of files is not where it should be.")
    if length > 1024 * (entries + 1):
        raise BundleError(f"The bundle's list of files must be at most 1024 bytes per file, but is {length} bytes.")
    return int(entries)


def _check_entries(infos: list[zipfile.ZipInfo]) -> None:
    for info in infos:
        _check_name(info)
        _check_kind(info)
        _check_size(info)
    # Without regard to case: on some systems Report.html and report.html are one file.
    name, count = Counter(info.filename.lower() for info in infos).most_common(1)[0] if infos else ("", 0)
    if count > 1:
        raise BundleError(f"The bundle holds the file {name} twice.")
    total = sum(info.file_size for info in infos)
    if total > MAX_TOTAL_BYTES:
        raise BundleError(f"The bundle must unpack to at most {MAX_TOTAL_BYTES} bytes, but declares {total}.")
    ordered = sorted(infos, key=lambda info: info.header_offset)
    for info, after in itertools.pairwise(ordered):
        if info.header_offset + 30 + len(info.filename) + info.compress_size > after.header_offset:
            raise BundleError(f"The files {_shown(info.filename)} and {_shown(after.filename)} overlap in the bundle.")


def _check_name(info: zipfile.ZipInfo) -> None:
    name = info.filename
    # orig_filename is what the archive says; zipfile cuts names at a NUL and turns the system's separator into /.
    if info.orig_filename != name or "\\" in name or re.match(r"[A-Za-z]:", name) or name.startswith("/"):
        raise BundleError(f"The bundle names a file that is not a plain relative path: {_shown(info.orig_filename)}.")
    parts = name.split("/")
    if ".." in parts or "." in parts:
        raise BundleError(f"The bundle names a file outside itself: {_shown(name)}.")
    if name.endswith("/"):
        raise BundleError(f"The bundle must hold files only, but holds the folder {_shown(name)}.")
    if name.lower().endswith(_RUNS_CODE):
        raise BundleError(f"The bundle holds {_shown(name)}, of a kind that can run code when it is opened.")
    if len(parts) > 4 or not all(_PART.fullmatch(part) for part in parts):
        raise BundleError(f"The bundle holds a file that no bundle has: {_shown(name)}.")


def _check_kind(info: zipfile.ZipInfo) -> None:
    name = _shown(info.filename)
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG) or info.external_attr & 0x10:
        raise BundleError(f"The bundle must hold plain files, but {name} is a link, a device or a folder.")
    if info.flag_bits & (0x1 | 0x40 | 0x2000):
        raise BundleError(f"The bundle must not be encrypted, but {name} is.")
    if info.flag_bits & 0x20 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise BundleError(f"The bundle must be stored or deflated, but {name} is packed in another way.")


def _check_size(info: zipfile.ZipInfo) -> None:
    name, size, packed = _shown(info.filename), info.file_size, info.compress_size
    if size > MAX_FILE_BYTES:
        raise BundleError(f"A file of the bundle must be at most {MAX_FILE_BYTES} bytes, but {name} declares {size}.")
    if info.compress_type == zipfile.ZIP_STORED and size != packed:
        raise BundleError(f"The bundle declares two sizes for {name}, which is stored as it is.")
    if size > RATIO_FREE_BYTES and size > MAX_RATIO * packed:
        raise BundleError(f"The bundle packs {name} more than {MAX_RATIO} times smaller, as only bombs are packed.")


def _shown(name: str) -> str:
    return ascii(name[:80])
