"""The functions that xapi may call, each with the reader of its parameters."""
import sys

from .dom0 import host_uuid
from .job_functions import cancel, get_vdis, put_vdis, status
from .leftovers import leftovers
from .params import read_get_params, read_job_params, read_no_params, read_put_params
from .release import API, VERSION


def version(_params):
    return {'version': VERSION, 'api': API, 'python': '%d.%d.%d' % sys.version_info[:3], 'host': host_uuid(),
            'functions': sorted(FUNCTIONS)}


FUNCTIONS = {
    'version': (version, read_no_params),
    'put_vdis': (put_vdis, read_put_params),
    'get_vdis': (get_vdis, read_get_params),
    'status': (status, read_job_params),
    'cancel': (cancel, read_job_params),
    'leftovers': (leftovers, read_no_params),
}
