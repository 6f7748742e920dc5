"""The source of a bundle that is a chain of VHD files."""
import binascii
import functools
import os
import re
import threading

from .chain_file import ChainFile
from .chunk import CHUNK_BYTES
from .errors import PluginError
from .pythons import steps
from .texts import is_text, is_uuid, without_ending
from .timing import clock, never_stop
from .vhd import XapiMayRead

# FileSRs of sm whose disks lie on the host's own file systems or on NFS, where a file that is open stays readable
# after it was deleted, or answers ESTALE. On others an open file may stand in sm's way (smb), or nobody has proved
# what it does (cephfs, glusterfs, moosefs; `file` binds whatever folder it was given). Those xapi exports.
CHAIN_SR_TYPES = ('ext', 'ext4', 'largeblock', 'nfs', 'xfs', 'zfs')
SR_TYPES_OF_DOUBTFUL_HOLES = ('zfs',)  # OpenZFS, before 2.2.2, told of holes where there was data not yet written
MAX_CHAIN_FILES = 16  # Nova's importer takes no more (MAX_VDI_CHAIN_SIZE)
CHECK_SECONDS = 2.0
LOOKER_END_SECONDS = 0.5
CHECK_LIMIT_SECONDS = 300  # for the last look at all files; NFS tries again for minutes


def unsupported_format(vdi_uuid, image_format):
    return XapiMayRead('FORMAT_NOT_SUPPORTED', 'disk %s is %s; only VHD can be bundled' % (vdi_uuid, image_format))


class ChainSource(object):
    """A source of the bundle: the VHD files of one disk on a file SR, from the leaf to the base, each open from the
    first look on. Nothing is written to the SR. `find_chain` makes them."""

    kind = 'chain'

    def __init__(self, watch=never_stop):
        self.watch = watch
        self.files = []  # from the leaf to the base, each with `uuid`, `size` and `modified`
        self.named = set()  # UUIDs of all files that were looked for
        self.trouble = None
        self.looker = None
        self.done = threading.Event()
        self.guard = threading.Lock()

    def look(self, sr_path, leaf_uuid, database_parent, holes):
        """Open and check the whole chain."""
        leaf_path = os.path.join(sr_path, leaf_uuid + '.vhd')
        self.named.add(leaf_uuid)
        if not os.path.exists(leaf_path):
            for ending in ('qcow2', 'raw'):
                if os.path.exists(os.path.join(sr_path, '%s.%s' % (leaf_uuid, ending))):
                    raise unsupported_format(leaf_uuid, ending)
            raise PluginError('VHD_MISSING', 'there is no %s.vhd in %s' % (leaf_uuid, sr_path))
        self.add(leaf_path, holes)
        if self.files[0].vhd.hidden:
            raise XapiMayRead('VHD_INVALID', '%s is marked hidden: it is a base copy, no snapshot' % leaf_path)
        while self.files[-1].vhd.parent_uuid:
            if len(self.files) == MAX_CHAIN_FILES:
                raise XapiMayRead('CHAIN_TOO_LONG', 'the chain of %s has more than %d files; wait until the SR has '
                                  'coalesced it' % (leaf_uuid, MAX_CHAIN_FILES))
            self.add_parent(sr_path, self.files[-1], database_parent, holes)

    def add(self, path, holes, wanted=None):
        """False when it is another disk than `wanted`, which may be in any state."""
        part = ChainFile(path, holes)
        self.files.append(part)
        if wanted and part.is_another(wanted):
            self.files.pop().close()
            return False
        part.look()
        return True

    def add_parent(self, sr_path, child, database_parent, holes):
        """The name in a child's header may be stale, so xapi's word counts too; the UUID decides."""
        rejected = []
        for name in self.parent_names(child, database_parent):
            path = os.path.join(sr_path, name)
            self.named.add(without_ending(name, '.vhd'))
            if not os.path.exists(path):
                rejected.append(name + ' does not exist')
                continue
            if not self.add(path, holes, child.vhd.parent_uuid):
                rejected.append(name + ' is another disk')
                continue
            found = self.files[-1]
            if any(found.seen[:2] == known.seen[:2] for known in self.files[:-1]):
                raise PluginError('VHD_INVALID', '%s is its own ancestor' % path)
            if found.vhd.virtual_bytes > child.vhd.virtual_bytes:
                raise XapiMayRead('VHD_INVALID', '%s has a larger disk than its child %s' % (path, child.path))
            return
        wanted = binascii.hexlify(child.vhd.parent_uuid).decode('ascii')
        elsewhere = child.vhd.parent_that_xapi_finds()
        raise (XapiMayRead if elsewhere else PluginError)(
            'VHD_PARENT_MISSING', 'the parent of %s (footer %s) is not in the SR: %s'
            % (child.path, wanted, ', '.join(rejected) or 'no name is known'))

    @staticmethod
    def parent_names(child, database_parent):
        name = child.vhd.parent_name.replace(u'\\', u'/').split(u'/')[-1]
        if re.match(r'^[A-Za-z0-9_-][A-Za-z0-9._-]*\Z', name):
            yield str(name)
        parent_uuid = database_parent(child.uuid)
        if is_text(parent_uuid) and is_uuid(parent_uuid):
            yield str(parent_uuid) + '.vhd'

    @property
    def total_bytes(self):
        return sum(part.size for part in self.files)

    @property
    def virtual_bytes(self):
        return self.files[0].vhd.virtual_bytes

    def warnings(self):
        return [words for part in self.files for words in part.vhd.footer.oddities(os.path.basename(part.path))]

    def stage(self):
        """From now on the files are looked at again and again, in a thread of its own: a look, as a read, may hang in
        NFS, and then neither holds up the other, nor a cancel."""
        self.looker = threading.Thread(target=self.keep_looking)
        self.looker.daemon = True
        self.looker.start()

    def keep_looking(self):
        while not self.done.is_set():
            self.look_at_all()
            self.done.wait(CHECK_SECONDS)

    def look_at_all(self):
        try:
            for part in self.files:
                part.verify()
        except PluginError as exc:
            self.fail(exc)

    def fail(self, trouble):
        """Leave every file at once; the main thread learns of it the next time that it watches."""
        with self.guard:
            if self.done.is_set():
                return
            self.trouble = self.trouble or trouble
            self.done.set()
        self.close()

    def still_good(self):
        """Called by whoever waits for something. Nobody learns of the trouble while a file is still open."""
        if self.trouble:
            self.close()
            raise self.trouble

    def reads(self, part):
        """(size, fill) for one stretch of the file after the other; `fill(view)` is called in any thread, and
        returns true where it left the view alone since there are but zeros."""
        for offset in steps(part.size, CHUNK_BYTES):
            yield min(CHUNK_BYTES, part.size - offset), functools.partial(self.read_into, part, offset)

    def read_into(self, part, offset, view):
        try:
            return part.read_into(view, offset)
        except PluginError:
            self.still_good()  # what was found first says more than that the file has been left
            raise

    def verify(self):
        """Before the upload is made whole: is what was sent what the disk holds? Then no file is needed any more."""
        last = threading.Thread(target=self.look_at_all)
        last.daemon = True
        last.start()
        end = clock() + CHECK_LIMIT_SECONDS
        while last.is_alive():
            self.watch()
            self.still_good()
            if clock() > end:
                raise PluginError('SR_IO_ERROR', 'the SR has not answered for %d seconds' % CHECK_LIMIT_SECONDS, True)
            last.join(0.02)
        with self.guard:
            self.still_good()
            self.done.set()
        self.close()

    def stop(self):
        """Before the threads that read are waited for. A read of a file cannot be stopped."""

    def close(self):
        for part in self.files:
            part.close()

    def explained(self, error):
        """The error with what the source's keeper knows of it."""
        return error

    def release(self):
        """Whatever the end. A thread that is still there when the interpreter goes complains on standard error; one that
        hangs in NFS is not waited for."""
        self.done.set()
        self.close()
        if self.looker:
            self.looker.join(LOOKER_END_SECONDS)
