"""Jobs whose process has ended: settled, and forgotten after a day."""
import os
import time

from .errors import PluginError, error_fields
from .job_files import JobFiles, state_folder
from .xapi import destroy_task

KEEP_STATE_SECONDS = 24 * 3600


def settle(files, dead_state):
    """With the lock held: close the state of a process that died, and end its export."""
    state = files.read()
    if state and state['state'] == 'running':
        state['state'] = dead_state
        error = PluginError('CANCELLED', 'the job was cancelled') if dead_state == 'cancelled' else PluginError(
            'INTERRUPTED', 'the plugin\'s process ended before its work', True)
        state['error'] = error_fields(error)
        state['etaSeconds'] = None
        files.write(state)
    if state and state.get('exportTask') and destroy_task(str(state['exportTask'])):
        state['exportTask'] = None
        files.write(state)
    return state


def sweep_old_jobs():
    """Forget jobs whose files are older than a day."""
    try:
        names = os.listdir(state_folder())
    except OSError:
        return
    for job_id in set(name.split('.')[0] for name in names):
        files = JobFiles(job_id)
        paths = [path for path in (files.state_path, files.cancel_path, files.lock_path) if os.path.exists(path)]
        try:
            if time.time() - max(os.stat(path).st_mtime for path in paths) < KEEP_STATE_SECONDS:
                continue
            with files.locked_if_free() as free:
                if free:
                    settle(files, 'failed')
                    files.remove()
        except (IOError, OSError, ValueError):
            continue  # another process was faster, or the next sweep will do it
