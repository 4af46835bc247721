"""What an image file says of itself before it is decoded: format, size, pages, EXIF orientation."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF = {b"II*\0": "<", b"MM\0*": ">"}
_BIG_TIFF = {b"II+\0": "<", b"MM\0+": ">"}
# formats that pictures come in, beside those that are read; start of the file, name
_OTHERS = (
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"8BPS", "Photoshop"),
    (b"SIMPLE  =", "FITS"),
)
_ISO_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIC"}
_WIDTH, _HEIGHT, _ORIENTATION, _SUBFILE = 256, 257, 274, 254
# what a hostile file may make us walk through
_PAGES_COUNTED, _TAGS_READ = 1000, 1000
_UPRIGHT = 1


@dataclass(frozen=True)
class Header:
    """Size in pixels as stored, number of pages or frames, EXIF orientation from 1 (upright) to 8.

    `tag` is where in the file a TIFF keeps its orientation, with the byte order of its numbers.
    """

    format: str
    width: int
    height: int
    pages: int = 1
    orientation: int = _UPRIGHT
    tag: tuple[int, str] | None = None


def read_header(content: bytes) -> Header | None:
    """Return what a PNG, JPEG, BMP or TIFF file says of itself, None of all others.

    Sources: PNG (W3C 2003), JPEG (ITU T.81, annex B), TIFF 6.0, BigTIFF, EXIF 2.32, APNG.
    """
    try:
        if content.startswith(_PNG):
            return _png(content)
        if content.startswith(b"\xff\xd8"):
            return _jpeg(content)
        if content.startswith(b"BM"):
            return _bmp(content)
        if content[:4] in _TIFF or content[:4] in _BIG_TIFF:
            return _tiff(content)
    except (struct.error, LookupError):
        return None
    return None


def other_format(content: bytes) -> str | None:
    """Return the name of an image format that is known but not read, by the start of the file."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WebP"
    if content[4:8] == b"ftyp":
        return _ISO_BRANDS.get(content[8:12])
    return next((name for start, name in _OTHERS if content.startswith(start)), None)


def is_picture(content: bytes) -> bool:
    """Return whether a file, of which the start is enough, is an image of any known format."""
    known = content.startswith((_PNG, b"\xff\xd8\xff")) or content[:4] in _TIFF | _BIG_TIFF
    bitmap = content.startswith(b"BM") and content[6:10] == bytes(4)
    return known or bitmap or other_format(content) is not None


def _png(content: bytes) -> Header:
    width, height = struct.unpack_from(">II", content, 16)
    pages, orientation = 1, _UPRIGHT
    for kind, start in _png_chunks(content):
        if kind == b"acTL":
            (pages,) = struct.unpack_from(">I", content, start)
        elif kind == b"eXIf":
            orientation = _exif_orientation(content, start)
    return Header("PNG", width, height, pages, orientation)


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, int]]:
    place = len(_PNG)
    while place + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        yield kind, place + 8
        place += length + 12


def _jpeg(content: bytes) -> Header:
    place, orientation = 2, _UPRIGHT
    while True:
        if content[place] != 0xFF:
            raise IndexError("no marker where one must be")
        marker = content[place + 1]
        if marker in (0xFF, 0x01) or 0xD0 <= marker <= 0xD8:
            place += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", content, place + 2)
        if marker == 0xE1 and content[place + 4 : place + 10] == b"Exif\0\0":
            orientation = _exif_orientation(content, place + 10)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", content, place + 5)
            return Header("JPEG", width, height, orientation=orientation)
        place += 2 + length


def _bmp(content: bytes) -> Header:
    (size,) = struct.unpack_from("<I", content, 14)
    width, height = struct.unpack_from("<HH" if size == 12 else "<ii", content, 18)
    return Header("BMP", abs(width), abs(height))


def _exif_orientation(content: bytes, base: int) -> int:
    # EXIF is a small TIFF; a damaged one says nothing of the picture
    try:
        tags = next(_tiff_pages(content, base))
    except (struct.error, LookupError, StopIteration):
        return _UPRIGHT
    return _valid(tags.get(_ORIENTATION, (_UPRIGHT, 0))[0])


def _valid(orientation: int) -> int:
    return orientation if 1 <= orientation <= 8 else _UPRIGHT


def _tiff(content: bytes) -> Header:
    first, pages = None, 0
    for tags in _tiff_pages(content, 0):
        first = first or tags
        # a page that is a smaller copy of another, such as a thumbnail, is none of its own
        pages += not tags.get(_SUBFILE, (0, 0))[0] & 1
    if first is None:
        raise IndexError("no page")
    value, place = first.get(_ORIENTATION, (_UPRIGHT, 0))
    order = (_TIFF | _BIG_TIFF)[content[:4]]
    tag = (place, order) if place else None
    return Header("TIFF", first[_WIDTH][0], first[_HEIGHT][0], max(pages, 1), _valid(value), tag)


def _tiff_pages(content: bytes, base: int) -> Iterator[dict[int, tuple[int, int]]]:
    """Yield the short and long tags of each page: value, and where in the file it stands."""
    mark = content[base : base + 4]
    big = mark in _BIG_TIFF
    order = (_BIG_TIFF if big else _TIFF).get(mark)
    if order is None:
        return
    count_form, entry, offset_form = ("Q", 20, "Q") if big else ("H", 12, "I")
    (place,) = struct.unpack_from(order + offset_form, content, base + (8 if big else 4))
    seen: set[int] = set()
    while 0 < place < len(content) and place not in seen and len(seen) < _PAGES_COUNTED:
        seen.add(place)
        start = base + place
        (count,) = struct.unpack_from(order + count_form, content, start)
        start += struct.calcsize(count_form)
        if count > _TAGS_READ:
            raise LookupError(f"{count} tags")
        rows = range(start, start + count * entry, entry)
        yield dict(_numbers(content, order, rows, 12 if big else 8))
        (place,) = struct.unpack_from(order + offset_form, content, start + count * entry)


def _numbers(
    content: bytes, order: str, rows: range, skip: int
) -> Iterator[tuple[int, tuple[int, int]]]:
    for row in rows:
        tag, kind = struct.unpack_from(order + "HH", content, row)
        form = {3: "H", 4: "I", 16: "Q"}.get(kind)
        # an orientation is a short, so that it can be changed in its place
        wanted = tag in (_WIDTH, _HEIGHT, _SUBFILE) or (tag == _ORIENTATION and form == "H")
        if wanted and form:
            (value,) = struct.unpack_from(order + form, content, row + skip)
            yield tag, (value, row + skip)
