"""What is sent of a source: a tar.gz of its files, or the disk itself."""
from .chunk import Chunk
from .tar import tar_chunks


def raw_chunks(source):
    """The disk itself."""
    part, = source.files
    for size, fill in source.reads(part):
        yield Chunk(size, fill, part)


def bundle(source, compressor, count_read, chunks=tar_chunks):
    """Yield the tar.gz of the source in pieces; `count_read` gets the size of each stretch that was read. Whoever gets
    all of them still has to `verify` the source, which closes it."""
    whole = False
    try:
        for chunk, data in compressor.compress(chunks(source)):
            if chunk and chunk.part:
                count_read(chunk.size)
            yield data
        whole = True
    finally:
        source.stop()
        compressor.close()
        if not whole:
            source.close()
