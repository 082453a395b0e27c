"""Hostile zip files: each trick is refused in one sentence, and no byte flip gives anything but that."""

import io
import stat
import struct
import zipfile
from collections.abc import Callable

import numpy as np
import pytest

from diagnostics.export import archive
from diagnostics.export.archive import Archive, BundleError


def zipped(*files: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, content in files:
            file.writestr(name, content)
    return buffer.getvalue()


def entry(name: str, *, mode: int = 0, attributes: int = 0) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (mode << 16) | attributes
    return info


def read_all(content: bytes) -> dict[str, bytes]:
    with Archive(io.BytesIO(content)) as opened:
        return {name: opened.read(name, archive.MAX_FILE_BYTES) for name in opened.names}


def with_central(content: bytes, change: Callable[[bytearray, int], None]) -> bytes:
    """The archive with its first central directory entry changed; the callback gets the bytes and where it begins."""
    changed = bytearray(content)
    change(changed, content.index(b"PK\x01\x02"))
    return bytes(changed)


def test_a_plain_archive_reads_back() -> None:
    files = {"a.txt": b"hello", "runs/r-1/b.csv": b"x" * 10_000, "empty": b""}
    assert read_all(zipped(*files.items())) == files


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../evil", "outside itself"),
        ("a/../../evil", "outside itself"),
        ("./a", "outside itself"),
        ("/etc/passwd", "not a plain relative path"),
        ("C:/evil", "not a plain relative path"),
        ("c:evil", "not a plain relative path"),
        ("a\\..\\evil", "not a plain relative path"),
        ("//host/share", "not a plain relative path"),
        ("folder/", "files only"),
        ("a//b", "that no bundle has"),
        ("a/b/c/d/e", "that no bundle has"),
        (".hidden", "that no bundle has"),
        ("con\u202egnp.exe", "that no bundle has"),
        ("a b", "that no bundle has"),
        ("x" * 300, "that no bundle has"),
        ("model.pt", "can run code"),
        ("arrays.npz", "can run code"),
        ("runs/r-1/state.PKL", "can run code"),
    ],
)
def test_a_name_that_is_not_one_of_ours_is_refused(name: str, words: str) -> None:
    with pytest.raises(BundleError, match=words):
        read_all(zipped((name, b"x")))


def test_a_name_cut_short_by_a_nul_is_refused() -> None:
    content = zipped(("good.txtXevil", b"x")).replace(b"good.txtXevil", b"good.txt\0evil")
    with pytest.raises(BundleError, match="not a plain relative path"):
        read_all(content)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFDIR])
def test_links_devices_and_folders_are_refused(kind: int) -> None:
    with pytest.raises(BundleError, match="is a link, a device or a folder"):
        read_all(zipped((entry("link", mode=kind | 0o777), b"/etc/passwd")))


def test_a_folder_by_its_dos_attribute_is_refused() -> None:
    with pytest.raises(BundleError, match="is a link, a device or a folder"):
        read_all(zipped((entry("folder", attributes=0x10), b"")))


@pytest.mark.parametrize("second", ["a.txt", "A.TXT"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_that_is_there_twice_is_refused(second: str) -> None:
    with pytest.raises(BundleError, match=r"holds the file a\.txt twice"):
        read_all(zipped(("a.txt", b"1"), (second, b"2")))


def test_encryption_is_refused() -> None:
    def encrypt(content: bytearray, at: int) -> None:
        content[at + 8] |= 1

    with pytest.raises(BundleError, match="must not be encrypted"):
        read_all(with_central(zipped(("a.txt", b"x")), encrypt))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_of_packing_are_refused(method: int) -> None:
    with pytest.raises(BundleError, match="packed in another way"):
        read_all(zipped(("a.txt", b"x" * 1000), method=method))


def test_a_bomb_is_refused_by_its_ratio() -> None:
    with pytest.raises(BundleError, match="only bombs"):
        read_all(zipped(("report.html", bytes(64 * 2**20))))


def test_a_bomb_of_many_files_is_refused_by_its_total(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_TOTAL_BYTES", 10_000)
    with pytest.raises(BundleError, match="must unpack to at most 10000 bytes, but declares 12000"):
        read_all(zipped(*((f"f{i}", b"x" * 1000) for i in range(12))))


def test_a_file_that_declares_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_FILE_BYTES", 999)
    with pytest.raises(BundleError, match="must be at most 999 bytes, but 'f' declares 1000"):
        read_all(zipped(("f", b"x" * 1000)))


@pytest.mark.parametrize("said", [0, 999, 1001, 5000])
def test_a_size_that_lies_is_found_while_reading(said: int) -> None:
    def lie(content: bytearray, at: int) -> None:
        struct.pack_into("<L", content, at + 24, said)

    with pytest.raises(BundleError, match=r"is damaged|not of the size"):
        read_all(with_central(zipped(("f", bytes(range(250)) * 4)), lie))


def test_a_stored_file_cannot_have_two_sizes() -> None:
    def lie(content: bytearray, at: int) -> None:
        struct.pack_into("<L", content, at + 24, 10)

    with pytest.raises(BundleError, match="declares two sizes"):
        read_all(with_central(zipped(("f", b"x" * 1000), method=zipfile.ZIP_STORED), lie))


def test_overlapping_files_are_refused() -> None:
    content = bytearray(zipped(("a", b"1" * 50), ("b", b"2" * 50), method=zipfile.ZIP_STORED))
    second = content.index(b"PK\x01\x02", content.index(b"PK\x01\x02") + 4)
    struct.pack_into("<L", content, second + 42, 0)
    with pytest.raises(BundleError, match="overlap"):
        read_all(bytes(content))


def test_too_many_files_are_refused_before_their_list_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_ENTRIES", 3)
    with pytest.raises(BundleError, match="at most 3 files, but holds 4"):
        read_all(zipped(*((f"f{i}", b"") for i in range(4))))


def test_what_stands_before_or_behind_the_archive_is_refused() -> None:
    content = zipped(("a", b"x"))
    with pytest.raises(BundleError, match="does not begin"):
        read_all(b"#!/bin/sh\n" + content)
    with pytest.raises(BundleError, match="something behind its end"):
        read_all(content + b"more")


def test_the_64_bit_records_are_refused() -> None:
    content = zipped(("a", b"x"))
    end = len(content) - 22
    hidden = content[:end] + b"PK\x06\x07" + bytes(16) + content[end:]
    with pytest.raises(BundleError, match="64-bit records"):
        read_all(hidden)


@pytest.mark.parametrize("content", [b"", b"x", b"not a zip at all" * 10, b"PK\x03\x04", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_zip_is_said_to_be_none(content: bytes) -> None:
    with pytest.raises(BundleError, match=r"does not begin|cut off"):
        read_all(content)


def test_a_larger_file_than_wanted_is_not_read() -> None:
    with Archive(io.BytesIO(zipped(("a", b"x" * 100)))) as opened, pytest.raises(BundleError, match="at most 99 bytes"):
        opened.read("a", 99)


def test_any_truncation_is_one_sentence() -> None:
    content = zipped(("a.txt", b"hello" * 100), ("b/c.txt", bytes(range(256))))
    for length in range(len(content)):
        with pytest.raises(BundleError):
            read_all(content[:length])


def test_any_flipped_bit_is_one_sentence_or_harmless() -> None:
    """Times, versions and attributes may change without harm; names may, within what a name may be; contents never."""
    files = {"a.txt": b"hello" * 30, "b/c.txt": bytes(range(200))}
    content = zipped(*files.items())
    sentences = set()
    for position in range(8 * len(content)):
        changed = bytearray(content)
        changed[position // 8] ^= 1 << position % 8
        try:
            found = read_all(bytes(changed))
        except BundleError as error:
            sentences.add(str(error))
        else:
            assert sorted(found.values()) == sorted(files.values())
    assert all(said.endswith(".") and "\n" not in said and len(said) < 300 for said in sentences)


def test_random_damage_is_one_sentence_or_harmless() -> None:
    rng = np.random.default_rng(0)
    files = {f"f{i}.bin": rng.bytes(int(rng.integers(0, 400))) for i in range(6)}
    content = zipped(*files.items())
    for _ in range(1500):
        changed = bytearray(content)
        for position in rng.integers(0, len(content), int(rng.integers(1, 12))):
            changed[position] = rng.integers(0, 256)
        try:
            found = read_all(bytes(changed))
        except BundleError:
            continue
        assert set(found.values()) <= set(files.values())
