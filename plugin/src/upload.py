"""The work of `put_vdis`: a disk of a snapshot into an image."""
import contextlib
import functools
import os

from .bundle import bundle, raw_chunks
from .chain import CHAIN_SR_TYPES, SR_TYPES_OF_DOUBTFUL_HOLES, unsupported_format
from .compressor import GzipCompressor, RawCompressor
from .dom0 import dom0_path
from .errors import PluginError
from .export import ExportSource
from .find_chain import find_chain
from .glance import Glance
from .glance_upload import require_queued, send_data, upload_outcome
from .guests_first import RateLimit, cpu_count
from .libraries import load_libraries
from .run import Run
from .sha512 import Sha512
from .snapshot_disk import find_disk, parent_in_database, vdi_format
from .tar import tar_chunks
from .vhd import XapiMayRead
from .xapi import Xapi
from .xapi_secrets import take_secret

MAX_AUTO_THREADS = 4


def sent_before(state, params):
    """The result of an earlier try that had sent all, for the same image, but did not hear what became of it."""
    sent = state.get('sent') if state else None
    if sent and state.get('imageId') == params['imageId'] and sent['format'] == params['format']:
        return sent
    return None


class Upload(object):
    """One run of `put_vdis`, for one use."""

    def __init__(self, files, params, sent=None):
        """`sent` is what `sent_before` returned."""
        self.params = params
        # Of `sent` in the state: the result, once all but the terminator has gone out.
        self.run = Run(files, {'imageId': params['imageId'], 'exportTask': None, 'sent': sent})
        self.source = None
        self.warnings = []

    def execute(self):
        return self.run.execute(self.params['nice'], self.work, self.release)

    def release(self):
        if self.source:
            self.source.release()

    def work(self):
        params = self.params
        with Xapi(self.run.watch) as xapi:
            token = take_secret(xapi, params['tokenSecret']) if params['tokenSecret'] else None
            vdi, sr = find_disk(xapi, params)
        glance = Glance(params, token, self.run.watch)
        sent = self.run.state['sent']
        if require_queued(glance, (sent['bytesSent'], sent['sha512']) if sent else None):
            return dict(sent, glance='matches')
        self.run.state['sent'] = None
        self.source = self.find_source(vdi, sr)
        self.run.still_good = self.source.still_good
        # The caller decides by it what becomes of the snapshot if this host is not heard of any more.
        self.run.state['source'] = self.source.kind
        self.run.save()
        try:
            self.source.stage()
            self.run.state['bytesTotal'] = self.source.total_bytes
            self.warnings += self.source.warnings()
            return self.transfer(glance, self.source)
        except PluginError as exc:
            raise self.explained(exc)

    def find_source(self, vdi, sr):
        """A chain of files where there is one and it is wanted, else xapi's export of the disk."""
        wanted, image_format, (sr_type, sr_uuid) = self.params['source'], vdi_format(vdi), sr
        chain = wanted == 'chain' or (wanted == 'auto' and self.params['format'] == 'vhd'
                                      and sr_type in CHAIN_SR_TYPES and image_format == 'vhd')
        if not chain:
            return self.an_export(vdi)
        if sr_type not in CHAIN_SR_TYPES:
            raise PluginError('SR_NOT_SUPPORTED', 'the disk is on an SR of type %s; files can be read of %s only'
                              % (sr_type, ', '.join(CHAIN_SR_TYPES)))
        if image_format != 'vhd':
            raise unsupported_format(vdi['uuid'], image_format)
        sr_path = dom0_path('/var/run/sr-mount/%s' % sr_uuid)
        if not os.path.isdir(sr_path):
            raise PluginError('SR_NOT_ATTACHED', 'SR %s is not attached to this host' % sr_uuid)
        try:
            return find_chain(sr_path, vdi['uuid'], self.parent_in_database, self.run.watch,
                              sr_type not in SR_TYPES_OF_DOUBTFUL_HOLES)
        except XapiMayRead as exc:
            if wanted == 'chain':
                raise
            self.warnings.append('the disk\'s files were not bundled, but exported flat by xapi: %s' % exc.message)
            return self.an_export(vdi)

    def parent_in_database(self, vdi_uuid):
        with Xapi(self.run.watch) as xapi:
            return parent_in_database(xapi, vdi_uuid)

    def an_export(self, vdi):
        return ExportSource(vdi, self.params['format'], self.run.watch, self.keep_export_task)

    def keep_export_task(self, task):
        """On record, so that whoever finds a dead process also finds its task."""
        self.run.state['exportTask'] = task
        self.run.save()

    def explained(self, error):
        """With what the source's keeper knows of it, and why it is that source."""
        error = self.source.explained(error)
        if self.source.kind == 'export' and error.code.startswith('EXPORT_') and self.warnings:
            return PluginError(error.code, '; '.join([error.message] + self.warnings), error.retryable)
        return error

    def transfer(self, glance, source):
        self.run.begin_transfer('uploading')

        def count_read(size):
            self.run.state['bytesRead'] += size
            self.run.watch()

        def before_terminator():
            source.verify()
            # On record before Glance makes an image of it, for a next try that finds one there.
            self.run.state['sent'] = self.a_result(source, sent.hexdigest())
            self.run.enter('checking')

        params, limit = self.params, RateLimit(self.params['maxBytesPerSecond'])
        if params['format'] == 'raw':
            compressor, chunks = RawCompressor(self.run.watch, limit), raw_chunks
        else:
            threads = params['threads'] or min(cpu_count(), MAX_AUTO_THREADS)
            compressor = GzipCompressor(params['level'], threads, self.run.watch, limit, load_libraries())
            chunks = functools.partial(tar_chunks, vm_config=params['vmConfig'])
        with contextlib.closing(Sha512()) as sent:
            def count_sent(piece):
                self.run.state['bytesSent'] += len(piece)
                sent.update(piece)

            with contextlib.closing(bundle(source, compressor, count_read, chunks)) as pieces:
                heard = send_data(glance, pieces, before_terminator, count_sent)
        result = self.run.state['sent']
        compared = upload_outcome(glance, heard, result['bytesSent'], result['sha512'])
        return dict(result, seconds=self.run.seconds(), glance=compared)

    def a_result(self, source, sha512):
        return {
            # The caller finds the task of a call whose reply it lost by what the task's result holds.
            'jobId': self.params['jobId'],
            'format': self.params['format'], 'source': source.kind,
            'vhds': [{'name': '%d.vhd' % number, 'uuid': part.uuid, 'bytes': part.size}
                     for number, part in enumerate(source.files) if self.params['format'] == 'vhd'],
            'bytesRead': self.run.state['bytesRead'], 'bytesSent': self.run.state['bytesSent'], 'sha512': sha512,
            'virtualBytes': source.virtual_bytes, 'seconds': self.run.seconds(),
            'warnings': list(self.warnings),
        }
