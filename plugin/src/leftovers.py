"""The function `leftovers`."""
import os
import re
import threading
import time

from .dom0 import dom0_path, host_uuid
from .timing import clock

LEFTOVERS_SECONDS = 20.0
MAX_LEFTOVERS = 1000


class Leftovers(object):
    """Tells of staging folders that the first version of this plugin left in SRs: hard links to disks, of jobs that
    have ended. It only reads; a person removes them. SRs are looked through side by side, since one on a dead
    server does not answer."""

    def __init__(self):
        self.folders = []

    def execute(self):
        mounts = dom0_path('/var/run/sr-mount')
        threads = {}
        for sr_uuid in os.listdir(mounts) if os.path.isdir(mounts) else ():
            threads[sr_uuid] = threading.Thread(target=self.look_through, args=(os.path.join(mounts, sr_uuid), sr_uuid))
            threads[sr_uuid].daemon = True
            threads[sr_uuid].start()
        end = clock() + LEFTOVERS_SECONDS
        for thread in threads.values():
            thread.join(max(end - clock(), 0))
        unanswered = sorted(sr_uuid for sr_uuid, thread in threads.items() if thread.is_alive())
        oldest = sorted(self.folders, key=lambda folder: -folder['ageSeconds'])[:MAX_LEFTOVERS]
        return {'host': host_uuid().lower(), 'folders': oldest, 'unanswered': unanswered}

    def look_through(self, sr_path, sr_uuid):
        try:
            names = os.listdir(sr_path)
        except OSError:
            return  # not attached, or no folder
        for name in names:
            if STAGING_NAME.match(name):
                age = age_seconds(os.path.join(sr_path, name))
                if age is not None:
                    self.folders.append({'sr': sr_uuid, 'name': name, 'ageSeconds': age})


STAGING_NAME = re.compile(r'^xensnap-staging-[0-9a-fA-F-]{36}-[0-9a-fA-F-]{36}\Z')  # owner, job


def age_seconds(path):
    try:
        return max(int(time.time() - os.lstat(path).st_mtime), 0)
    except OSError:
        return None  # gone meanwhile


def leftovers(_params):
    return Leftovers().execute()
