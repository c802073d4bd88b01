"""The address from which an export is saved: its folder as a zip that is packed while it is sent."""

import io
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile, ZipInfo

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Route

from recipes.export.config import EXPORTS

PIECE = 1 << 20


def route(outputs: Path) -> Route:
    """``GET /exports/NAME``: the folder ``NAME`` of the exports under ``outputs``."""
    exports = outputs.absolute() / EXPORTS

    def save(request: Request) -> Response:
        name = request.path_params["name"]
        folder = exports / name
        if name not in {each.name for each in _folders(exports)}:
            raise HTTPException(404, "there is no such export")
        packed = [*folder.glob("*.zip")]
        if packed:  # a bundle is one already
            return FileResponse(packed[0], filename=packed[0].name)
        head = {"content-disposition": f'attachment; filename="{name}.zip"'}
        return StreamingResponse(zipped(folder), media_type="application/zip", headers=head)

    return Route("/exports/{name}", save)


def _folders(exports: Path) -> list[Path]:
    """The finished exports: what is unfinished has a name that begins with a dot."""
    found = exports.iterdir() if exports.is_dir() else ()
    return [each for each in found if each.is_dir() and not each.name.startswith(".")]


def zipped(folder: Path) -> Iterator[bytes]:
    """The bytes of a zip of ``folder``, stored without compression: weights hardly shrink."""
    sink = _Sink()
    with ZipFile(sink, "w") as archive:
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            entry = ZipInfo.from_file(path, f"{folder.name}/{path.relative_to(folder).as_posix()}")
            with path.open("rb") as source, archive.open(entry, "w", force_zip64=True) as target:
                while piece := source.read(PIECE):
                    target.write(piece)
                    yield sink.take()
    yield sink.take()


class _Sink(io.RawIOBase):
    """A file that is written once, from its beginning to its end, and forgets what was taken from it."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        """True."""
        return True

    def write(self, piece: object) -> int:
        """Keep ``piece``, bytes, until it is taken."""
        self._pieces.append(bytes(piece))  # type: ignore[call-overload]
        return len(self._pieces[-1])

    def take(self) -> bytes:
        """All that was written since the last time."""
        taken, self._pieces = b"".join(self._pieces), []
        return taken
