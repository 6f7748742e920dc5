"""Whether the host that works is being disabled: its operator wants to have it free, soon."""
import threading

from .control_domain import require_enabled
from .dom0 import dom0_seconds
from .errors import PluginError
from .timing import never_stop
from .xapi import Xapi

ENABLED_SECONDS = 20


class HostWatch(object):
    """Looks in a thread of its own: xapi may be restarted meanwhile, and hang. `still_good` raises in the caller's."""

    def __init__(self):
        self.trouble = None
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.look)
        self.thread.daemon = True
        self.thread.start()

    def look(self):
        while not self.done.wait(dom0_seconds(ENABLED_SECONDS)):
            try:
                xapi = Xapi(never_stop)
                xapi.TIMEOUT_SECONDS = 10
                with xapi:
                    require_enabled(xapi)
            except PluginError as exc:
                if exc.code == 'HOST_DISABLED':
                    self.trouble = exc
                    return

    def still_good(self):
        if self.trouble:
            raise self.trouble

    def close(self):
        self.done.set()
