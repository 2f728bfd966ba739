"""A process that makes PDFs, one after the other, as its parent asks on a pipe. It is no command.

    parent ── u32 length, PdfJob ─▶ child        child ── u8 made (1) or not (0), u32 length, bytes ─▶ parent

Laws: it knows no secret, no store and no network, and has bounded memory; its parent kills it when a document
takes too long, and it ends with the pipe.
"""

import resource
import struct
import sys
from typing import BinaryIO, Final

import msgspec

from stagewheel.server.channels.pdf import NotMade, PdfJob, make_pdf
from stagewheel.server.limits import MADE_MEMORY_BYTES_MAX

LENGTH: Final = struct.Struct(">I")
HEAD: Final = struct.Struct(">BI")


def serve(asked: BinaryIO, told: BinaryIO) -> None:
    """Until the pipe ends."""
    while len(length := asked.read(LENGTH.size)) == LENGTH.size:
        job = msgspec.msgpack.decode(asked.read(LENGTH.unpack(length)[0]), type=PdfJob)
        try:
            is_made, answer = 1, make_pdf(job)
        except NotMade as error:
            is_made, answer = 0, str(error).encode()
        except MemoryError:
            is_made, answer = 0, b"the document needs more memory than there is for one"
        told.write(HEAD.pack(is_made, len(answer)) + answer)
        told.flush()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MADE_MEMORY_BYTES_MAX, MADE_MEMORY_BYTES_MAX))
    serve(sys.stdin.buffer, sys.stdout.buffer)
