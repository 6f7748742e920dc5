"""The work of `get_vdis`: an image into a disk."""
import contextlib

from .control_domain import require_enabled
from .download import Download, require_active
from .disk_writer import DiskWriter
from .errors import PluginError, describe_unexpected, error_fields
from .glance import Glance
from .glance_upload import gather
from .guests_first import RateLimit
from .host_watch import HostWatch
from .image_chain import InOrder, Told, chain_of
from .image_reader import read_image
from .own_vbd import attach, detach
from .pipeline import Pipeline
from .restored_disk import MAKE_ZEROS, RestoredDisk, SKIP_ZEROS, WRITE_ZEROS
from .run import Run
from .sha512 import Sha512
from .timing import WATCH_EVERY_SECONDS
from .xapi import Xapi
from .xapi_secrets import take_secret

GATHER_BYTES = 1 << 18  # a piece that is inflated at a time


def has_written(before, vdi_uuid):
    """Whether a run that ended with this state may have written to that disk. One that was killed has not counted all."""
    if not before or before.get('vdiUuid') != vdi_uuid:
        return False
    killed = (before.get('error') or {}).get('code') == 'INTERRUPTED' and before.get('phase') != 'preparing'
    return bool(before.get('bytesWritten') or before.get('rubbish') or killed)


class Restore(object):
    """One run of `get_vdis`, for one use."""

    def __init__(self, files, params, before=None):
        """`before` is the state that an earlier run of this job has left on this host."""
        self.params = params
        # What another host has written stays there, although a later try on this one is told nothing of it.
        rubbish = not params['readsAsZeros'] or has_written(before, params['vdiUuid'])
        self.run = Run(files, {'imageId': params['imageId'], 'vdiUuid': params['vdiUuid'], 'bytesWritten': 0,
                               'rubbish': rubbish})
        self.host = self.writer = self.disk = None
        self.write_limit = RateLimit(params['maxBytesPerSecond'])
        self.read_limit = RateLimit(params['maxBytesPerSecond'])
        self.passes = 0
        self.sha512 = params['sha512']  # else that of the first pass, so that each further one reads the same
        self.attaching = False
        self.warnings = []

    def execute(self):
        return self.run.execute(self.params['nice'], self.work, self.release)

    def release(self):
        """The disk is let go by `work`, whose failure it would be not to."""

    def work(self):
        try:
            return self.restore()
        except Exception as exc:
            self.let_go(describe_unexpected(exc))

    def let_go(self, error):
        """Raises it, or VBD_STUCK, which then says why it came to that."""
        closed = self.close()
        if not self.attaching or error.code == 'VBD_STUCK':  # nothing to let go, or it has been tried long enough
            raise error
        try:
            self.detach()
        except PluginError as exc:
            self.run.state['cause'] = error_fields(error)
            why = exc.message if closed else exc.message + ' (a write to it hangs)'
            raise PluginError(exc.code, '%s; the job had ended with %s: %s' % (why, error.code, error.message), True)
        raise error

    def close(self):
        if self.host:
            self.host.close()
        if self.disk:
            self.disk.close()
        writer, self.writer = self.writer, None
        return not writer or writer.close()

    def detach(self):
        detach(self.params['jobId'], self.run.patience, self.run.keep_fresh)

    def restore(self):
        params, run = self.params, self.run
        with Xapi(run.watch) as xapi:
            token = take_secret(xapi, params['tokenSecret']) if params['tokenSecret'] else None
            require_enabled(xapi)
        glance = Glance(params, token, run.watch)
        require_active(glance.record(), params['sizeBytes'], params['sha512'])
        self.detach()  # what an earlier run has left
        run.enter('preparing')
        self.attaching = True
        with Xapi(run.watch) as xapi:
            path = attach(xapi, params['jobId'], params['installation'], params['vdiUuid'], run.watch)
        self.host = HostWatch()
        run.still_good = self.host.still_good
        self.writer = DiskWriter(path, self.write_limit, self.count_written)
        self.disk = RestoredDisk(self.writer, self.zeros())
        run.begin_transfer('downloading')
        result = self.transfer(glance)
        run.enter('flushing')
        self.finish()
        self.close()
        run.enter('detaching')  # the last look whether it is to go on
        self.detach()
        return dict(result, bytesWritten=run.state['bytesWritten'], seconds=run.seconds())

    def zeros(self):
        if not self.params['readsAsZeros']:
            return WRITE_ZEROS
        return MAKE_ZEROS if self.run.state['rubbish'] else SKIP_ZEROS

    def count_written(self, size):
        self.run.state['bytesWritten'] += size

    def transfer(self, glance):
        params = self.params
        result = {'jobId': params['jobId'], 'bytesRead': params['sizeBytes'], 'vmConfig': None}
        if params['format'] == 'raw':
            result['sha512'], _ = self.one_pass(glance, lambda reader: self.disk.take_raw(reader, params['sizeBytes']), False)
            layers = []
        else:
            first = InOrder(self.disk)
            result['sha512'], found = self.one_pass(glance, self.reading(first))
            layers = chain_of(found.layers)
            if not first.is_done():
                told = Told(self.disk, layers)
                while not told.is_done():
                    self.one_pass(glance, self.reading(told))
            result['vmConfig'] = found.config
            self.warnings += found.warnings
        result['layers'] = [{'name': layer.name, 'uuid': layer.uuid, 'bytes': layer.size} for layer in layers]
        return dict(result, virtualBytes=self.disk.virtual_bytes, warnings=self.warnings)

    def reading(self, settling):
        return lambda reader: read_image(reader, settling, self.writer.size)

    def one_pass(self, glance, read, gzip=True):
        """(sha512, what `read` returns). A VHD that comes before its child is read again, in another pass."""
        self.passes += 1
        self.run.state['bytesTotal'] = self.passes * self.params['sizeBytes']
        with contextlib.closing(Sha512()) as digest:
            pieces = self.counted(gather(Download(glance, self.params['sizeBytes']).pieces(), GATHER_BYTES), digest)
            try:
                found = Pipeline(read, gzip).run(pieces, self.run.watch)
            except PluginError as exc:
                if exc.code != 'IMAGE_DAMAGED' or self.sha512 is None:
                    raise
                for _ in pieces:  # what comes may not be what Glance was given
                    pass
                self.require_hash(digest)
                raise
            return self.require_hash(digest), found

    def counted(self, pieces, digest):
        for piece in pieces:
            self.run.state['bytesRead'] += len(piece)
            digest.update(piece)
            self.read_limit.take(len(piece))
            while self.read_limit.seconds_left():
                self.run.pause(min(self.read_limit.seconds_left(), WATCH_EVERY_SECONDS))
            self.run.watch()
            yield piece

    def require_hash(self, digest):
        found = digest.hexdigest()
        if self.sha512 is None:
            self.warnings.append('Glance has no sha512 of the image: what came was not compared with it')
            self.sha512 = found
        if found != self.sha512:
            raise PluginError('HASH_MISMATCH', 'what came of the image has the sha512 %s, and not %s' % (found, self.sha512))
        return found

    def finish(self):
        """Everything that was sent was right. Zeros may take as long as the disk is large."""
        Pipeline(self.fill, False).run((), self.run.watch)

    def fill(self, _reader):
        self.disk.fill()
        self.writer.flush()
