"""The functions of a job: `put_vdis`, `get_vdis`, `status`, `cancel`."""
import os
import signal

from .ended_jobs import settle, sweep_old_jobs
from .errors import PluginError, error_fields
from .job_files import JobFiles
from .job_state import new_state, public_state
from .let_disk_go import let_disk_go
from .restore import Restore
from .upload import Upload, sent_before
from .xapi_secrets import discard_secret

CANCEL_WAIT_SECONDS = 4.0  # then it is killed, so that it has stopped within 5


def put_vdis(params):
    return run_job(params, ('imageId',), lambda files, before: Upload(files, params, sent_before(before, params)))


def get_vdis(params):
    return run_job(params, ('imageId', 'vdiUuid'), lambda files, before: Restore(files, params, before))


def run_job(params, same, begin):
    """`same` names the parameters by which an earlier run's success is this one's, too."""
    files = JobFiles(params['jobId'])
    sweep_old_jobs()
    if not files.lock(wait_seconds=1.0):  # `status` holds the lock for a moment, too
        raise PluginError('ALREADY_RUNNING', 'this job is running; ask for its status')
    try:
        if files.cancel_asked():
            discard_secret(params['tokenSecret'])
            raise PluginError('CANCELLED', 'this job was cancelled before it began')
        files.write_pid()
        before = settle(files, 'failed')
        if before and before['state'] == 'succeeded' and before.get('result') \
                and all(before.get(name) == params[name] for name in same):
            discard_secret(params['tokenSecret'])
            return before['result']  # the answer to an earlier call was lost
        return begin(files, before).execute()
    finally:
        files.unlock()


def status(params):
    files = JobFiles(params['jobId'])
    state = files.read()
    if state is None:
        unknown = new_state('unknown')
        unknown['run'] = unknown['startedAt'] = unknown['updatedAt'] = None
        return unknown
    if state['state'] == 'running':
        with files.locked_if_free() as free:
            state = settle(files, 'failed') if free else files.read()
    return public_state(state)


def cancel(params):
    files = JobFiles(params['jobId'])
    files.ask_cancel()
    if not files.lock(CANCEL_WAIT_SECONDS):
        pid = files.pid()
        if pid:
            os.kill(pid, signal.SIGKILL)
        if not files.lock(1.0):
            return status(params)  # it hangs in the kernel, on a dead NFS server say
    try:
        state = settle(files, 'cancelled')
        if state is None:
            state = new_state('cancelled')
            state['error'] = error_fields(PluginError('CANCELLED', 'cancelled before it began'))
            files.write(state)
        if state.get('vdiUuid') and state['state'] != 'succeeded':
            let_disk_go(files, state)
        return public_state(state)
    finally:
        files.unlock()
