"""The search for a disk's chain, which the SR's storage manager (sm) may be changing just now."""
import io
import os
import time

from .chain import ChainSource
from .errors import PluginError
from .texts import without_ending
from .timing import WATCH_EVERY_SECONDS, clock

LOOK_AGAIN_SECONDS = 3.0
PASSING = ('VHD_MISSING', 'VHD_PARENT_MISSING', 'VHD_INVALID')  # what files look like while sm renames or relinks them
JOURNALS = ('leaf', 'coalesce', 'relink')  # of sm's coalescer: <kind>_<uuid> (fjournaler.py, cleanup.py)
RENAMED_LEAF = 'OLD_'


def find_chain(sr_path, leaf_uuid, database_parent, watch, holes=True):
    """The ChainSource of a disk. A file that sm is renaming, relinking or rolling back is not taken for a missing or a
    damaged one: it is looked for again for a short while, and then sm's journals are asked."""
    end = clock() + LOOK_AGAIN_SECONDS
    while True:
        source = ChainSource(watch)
        try:
            source.look(sr_path, leaf_uuid, database_parent, holes)
            return source
        except BaseException as exc:
            source.release()
            if not isinstance(exc, PluginError) or exc.code not in PASSING:
                raise
            if clock() > end:
                if is_being_coalesced(sr_path, source.named):
                    raise PluginError('CHAIN_CHANGED', 'the chain is being coalesced: %s' % exc.message, True)
                raise
        watch()
        time.sleep(WATCH_EVERY_SECONDS)


def is_being_coalesced(sr_path, uuids):
    """Does sm work on one of these disks, by its journals and the name that it gives to an old leaf? A leaf's journal
    holds the UUID of its parent."""
    try:
        names = os.listdir(sr_path)
    except OSError:
        return False
    for name in names:
        kind, _, uuid = name.partition('_')
        if name.startswith(RENAMED_LEAF) and without_ending(uuid, '.vhd') in uuids:
            return True
        if kind in JOURNALS and (uuid in uuids or first_line(os.path.join(sr_path, name)) in uuids):
            return True
    return False


def first_line(path):
    try:
        if not os.path.isfile(path):
            return None  # gone meanwhile, or a FIFO
        with io.open(path, encoding='ascii', errors='replace') as handle:
            return handle.readline(64).strip()
    except (IOError, OSError):
        return None
