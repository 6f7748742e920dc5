"""The source of a bundle that is xapi's export of a disk."""
import contextlib
import errno
import functools
import select
import socket
import struct
import threading
import time

from .chunk import CHUNK_BYTES
from .connect import connect_unix
from .dom0 import dom0_path
from .errors import PluginError
from .http_exchange import HttpExchange
from .pythons import steps
from .release import VERSION
from .timing import WATCH_EVERY_SECONDS, clock
from .vhd_structures import BLOCK_SECTORS, BLOCK_STRIDE, EARLIEST_TIME, Footer, MAP_PIECE_BYTES, MAX_MAP_ENTRIES
from .vhd_structures import MAX_VHD_BYTES, UNUSED, VHD_DYNAMIC, has_checksum
from .wire import ConnectionTrouble, MAX_HELD_BYTES, blocked_on
from .xapi import Xapi, XapiFailure, destroy_task

EXPORT_START_SECONDS = 4 * 3600  # of a raw device, vhd-tool looks for zeros through the whole disk before it begins
EXPORT_SILENCE_SECONDS = 900  # an SR may stand still for a while, on another path to its server say
EXPORT_END_SECONDS = 300  # until xapi has detached the disk and ended the task
MAX_MAP_AT = 1 << 20  # a VHD's header and BAT are to begin before this
EXPORT_PERMANENT = frozenset((
    'HANDLE_INVALID', 'RBAC_PERMISSION_DENIED', 'SESSION_AUTHENTICATION_FAILED', 'SR_OPERATION_NOT_SUPPORTED',
    'UUID_INVALID', 'VDI_NOT_MANAGED', 'VDI_TOO_LARGE'))


def export_failed(message):
    return PluginError('EXPORT_FAILED', message, True)


class ExportedFile(object):
    def __init__(self, uuid):
        self.uuid = uuid
        self.size = None
        self.modified = EARLIEST_TIME


class ExportSource(object):
    """The same disk flattened by xapi, as one VHD or raw, over its local socket: for whatever has no chain
    of VHD files here. xapi sends no length: a VHD's is worked out from its BAT, which comes first
    (ocaml-vhd's f.ml), a raw one's is the disk's. The stream is read in order, by whichever thread's turn
    it is."""

    kind = 'export'

    def __init__(self, vdi, image_format, watch, keep_task):
        self.vdi_uuid = vdi['uuid']
        self.format = image_format
        self.watch = watch
        self.keep_task = keep_task  # puts the task on record, or takes it off
        self.task = None
        self.wire = None
        self.virtual_bytes = vdi['virtual_size']
        self.files = [ExportedFile(self.vdi_uuid)]
        self.head = bytearray()  # what was read ahead to know the size; then a view of it
        self.footer = None
        self.tail = b''
        self.next = 0  # the chunk whose turn it is
        self.trouble = None
        self.turn = threading.Condition()
        if image_format == 'vhd' and self.virtual_bytes > MAX_VHD_BYTES:
            raise PluginError('DISK_TOO_LARGE', 'disk %s has %d bytes, a VHD at most %d; ask for the format raw'
                              % (self.vdi_uuid, self.virtual_bytes, MAX_VHD_BYTES))

    @property
    def total_bytes(self):
        return self.files[0].size or 0

    def warnings(self):
        return list(Footer(self.footer).oddities('the disk that xapi exported')) if self.footer else []

    def stage(self):
        """Have xapi begin, and learn how much it will send. The task is xapi's to end; it says why an export
        failed, which the connection does not."""
        with Xapi(self.watch) as xapi:
            self.task = xapi.text('task.create', 'xensnap export', 'disk %s' % self.vdi_uuid)
            self.keep_task(self.task)
        with self.troubles_named():
            self.wire = connect_unix(dom0_path('/var/lib/xcp/xapi'), self.watch, Xapi.TIMEOUT_SECONDS)
            exchange = HttpExchange(self.wire)
            path = '/export_raw_vdi?vdi=%s&format=%s&task_id=%s' % (self.vdi_uuid, self.format, self.task)
            exchange.start('GET', path, [('Host', 'localhost'), ('User-Agent', 'xensnap-plugin/' + VERSION),
                                         ('Connection', 'close')])
            self.require_ok(exchange)
            self.files[0].size = self.read_map() if self.format == 'vhd' else self.virtual_bytes
        self.head = memoryview(bytes(self.head) + self.wire.take(MAX_HELD_BYTES))

    @contextlib.contextmanager
    def troubles_named(self):
        try:
            yield
        except ConnectionTrouble as exc:
            raise export_failed('export of disk %s: %s' % (self.vdi_uuid, exc))

    def require_ok(self, exchange):
        deadline = clock() + EXPORT_START_SECONDS
        while not exchange.has_final():
            self.wire.read_more(deadline)
        answer = exchange.final
        if answer is None:
            raise export_failed('xapi closed the connection instead of exporting disk %s' % self.vdi_uuid)
        if answer.status == 302:
            raise PluginError('SR_NOT_ATTACHED', 'xapi says that this host does not see the SR of disk %s'
                              % self.vdi_uuid)
        if answer.status == 200 and not ('content-length' in answer.headers or 'transfer-encoding' in answer.headers):
            return
        message = 'xapi answered %d to the export of disk %s' % (answer.status, self.vdi_uuid)
        raise PluginError('EXPORT_REFUSED', message) if answer.status < 500 else export_failed(message)

    def look_ahead(self, end):
        """The first `end` bytes of the stream."""
        deadline = clock() + EXPORT_START_SECONDS
        while len(self.head) < end:
            piece = self.wire.take(end - len(self.head))
            self.head += piece
            if not piece and not self.wire.read_more(deadline):
                raise export_failed('the export of disk %s ended after %d bytes, before its BAT'
                                    % (self.vdi_uuid, len(self.head)))
        return self.head

    def read_map(self):
        """The stream's size, from the header and the BAT of the VHD that begins it."""
        self.footer = bytes(self.look_ahead(512)[:512])
        self.require(self.footer, b'conectix', 64, 'footer')
        footer = Footer(self.footer)
        header_at, self.virtual_bytes = footer.header_at, footer.virtual_bytes
        if footer.kind != VHD_DYNAMIC or not 512 <= header_at <= MAX_MAP_AT:
            raise export_failed('the export of disk %s is no flattened VHD (type %d)' % (self.vdi_uuid, footer.kind))
        self.files[0].modified = footer.modified()
        header = bytes(self.look_ahead(header_at + 1024)[header_at:header_at + 1024])
        self.require(header, b'cxsparse', 36, 'header')
        map_at, entries, block_bytes = struct.unpack('>Q4xII', header[16:36])
        if not (header_at + 1024 <= map_at <= MAX_MAP_AT and entries <= MAX_MAP_ENTRIES
                and block_bytes == BLOCK_SECTORS * 512 and 0 < self.virtual_bytes <= entries * block_bytes
                and not (header_at % 512 or map_at % 512 or self.virtual_bytes % 512)):
            raise export_failed('the export of disk %s has a header that cannot be' % self.vdi_uuid)
        map_end = map_at + -(-4 * entries // 512) * 512
        table = bytes(self.look_ahead(map_end)[map_at:map_at + 4 * entries])
        return self.end_of_blocks(table, map_end, BLOCK_STRIDE * 512) + 512

    def end_of_blocks(self, table, map_end, stride):
        """The blocks that the BAT names follow each other. A piece of it at a time: a list of it all would be large."""
        end = None
        for offset in steps(len(table), MAP_PIECE_BYTES):
            piece = table[offset:offset + MAP_PIECE_BYTES]
            starts = [one * 512 for one in struct.unpack('>%dI' % (len(piece) // 4), piece) if one != UNUSED]
            if not starts:
                continue
            begin = starts[0] if end is None else end
            end = begin + len(starts) * stride
            if begin < map_end or starts != list(range(begin, end, stride)):
                raise export_failed('the blocks of the export of disk %s do not follow each other' % self.vdi_uuid)
        return map_end if end is None else end

    def require(self, block, cookie, checksum_at, what):
        if not block.startswith(cookie) or not has_checksum(block, checksum_at):
            raise export_failed('the export of disk %s has no VHD %s where it should be' % (self.vdi_uuid, what))

    def reads(self, part):
        for number, offset in enumerate(steps(part.size, CHUNK_BYTES)):
            yield min(CHUNK_BYTES, part.size - offset), functools.partial(self.read_into, number=number)

    def read_into(self, view, number):
        """Chunks are given to threads in order, so that some thread already has the one whose turn it is."""
        with self.turn:
            while self.next != number and not self.trouble:
                self.turn.wait()
        try:
            self.receive(view)
        except Exception as exc:
            self.fail(exc)
            raise
        self.tail = view[-512:].tobytes()
        with self.turn:
            self.next += 1
            self.turn.notify_all()

    def receive(self, view):
        got = min(len(self.head), len(view))
        view[:got] = self.head[:got]
        self.head = self.head[got:]
        sock, deadline = self.wire.sock, clock() + EXPORT_SILENCE_SECONDS
        while got < len(view):
            if self.trouble:
                raise self.trouble
            try:
                size = sock.recv_into(view[got:])
            except socket.error as exc:
                if not blocked_on(exc):
                    raise export_failed('the export of disk %s broke (%s)' % (self.vdi_uuid, exc))
                if clock() > deadline:
                    raise export_failed('the export of disk %s stood still for %d seconds'
                                        % (self.vdi_uuid, EXPORT_SILENCE_SECONDS))
                try:
                    select.select([sock], [], [], WATCH_EVERY_SECONDS)
                except (select.error, OSError) as interruption:  # Python 2.7 does not retry after a signal
                    if interruption.args[0] != errno.EINTR:
                        raise
                continue
            if not size:
                raise export_failed('the export of disk %s ended before its %d bytes'
                                    % (self.vdi_uuid, self.total_bytes))
            got += size
            deadline = clock() + EXPORT_SILENCE_SECONDS

    def fail(self, trouble):
        """Let no thread wait for its turn any more."""
        with self.turn:
            self.trouble = self.trouble or trouble
            self.turn.notify_all()

    def still_good(self):
        """Whoever reads learns of a trouble itself."""

    def stop(self):
        self.fail(PluginError('INTERRUPTED', 'the export was left', True))

    def close(self):
        pass  # the connection is needed to `verify`

    def verify(self):
        """The stream must end where it said, in a VHD's case with the footer that it began with, and xapi
        must be content."""
        with self.troubles_named():
            if len(self.head) or self.wire.received or self.wire.read_more(clock() + EXPORT_END_SECONDS):
                raise export_failed('the export of disk %s is longer than its %d bytes'
                                    % (self.vdi_uuid, self.total_bytes))
        if self.footer and self.tail != self.footer:
            raise export_failed('the export of disk %s does not end with its footer' % self.vdi_uuid)
        deadline = clock() + EXPORT_END_SECONDS
        with Xapi(self.watch) as xapi:
            while True:
                status, failure = self.task_outcome(xapi)
                if status == 'pending' and clock() < deadline:
                    self.watch()
                    time.sleep(WATCH_EVERY_SECONDS)
                    continue
                break
        if status == 'pending':
            raise export_failed('xapi did not end the export of disk %s' % self.vdi_uuid)
        if status != 'success':
            raise self.refusal('the export of disk %s failed' % self.vdi_uuid, failure)

    def task_outcome(self, xapi):
        """(status, error_info). A restart of xapi destroys the task, but not the vhd-tool that sends: then
        the stream, which is whole, is the only witness."""
        try:
            status = xapi.text('task.get_status', self.task)
            return status, xapi.texts('task.get_error_info', self.task) if status == 'failure' else []
        except XapiFailure as exc:
            if exc.xapi_code == 'HANDLE_INVALID':
                return 'success', []
            raise

    @staticmethod
    def refusal(message, failure):
        if not failure:
            return export_failed(message)
        message = '%s: %s' % (message, ' '.join(failure))
        return PluginError('EXPORT_REFUSED', message) if failure[0] in EXPORT_PERMANENT else export_failed(message)

    def explained(self, error):
        """A connection only ends; why, its task may say."""
        if error.code != 'EXPORT_FAILED' or not self.task:
            return error
        self.close_wire()
        end = clock() + 2
        try:
            with Xapi(self.watch) as xapi:
                while True:
                    status, failure = self.task_outcome(xapi)
                    if status != 'pending' or clock() > end:
                        return self.refusal(error.message, failure) if failure else error
                    time.sleep(0.05)
        except PluginError as exc:
            return exc if exc.code in ('CANCELLED', 'INTERRUPTED') else error

    def close_wire(self):
        """xapi notices that its reader has left, and detaches the disk."""
        if self.wire:
            self.wire.close()

    def release(self):
        self.close_wire()
        if self.task and destroy_task(self.task):
            self.keep_task(None)
