"""What becomes of the disk of a `get_vdis` that has ended without letting it go: it was killed, or could not."""
from .errors import PluginError, error_fields
from .own_vbd import detach
from .timing import never_stop

ANSWER_SECONDS = 20  # `cancel` is waited for: who is refused asks again


def let_disk_go(files, state):
    """With the job's lock held. Its error is VBD_STUCK as long as the disk is in dom0's hands, and else what it was."""
    cause = state['cause'] = state.get('cause') or state['error']
    if cause['code'] == 'VBD_STUCK':
        cause = error_fields(PluginError('INTERRUPTED', 'the disk was let go too late', True))
    try:
        detach(files.job_id, lambda: 0, never_stop, ANSWER_SECONDS)
    except PluginError as exc:
        state['error'] = error_fields(exc)
    else:
        state['error'] = cause
        if cause['code'] == 'CANCELLED':
            state['state'] = 'cancelled'
    files.write(state)
