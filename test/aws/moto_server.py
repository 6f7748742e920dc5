"""moto's server, with two faults of moto 5.2.1 mended.

A state machine runs more than one execution. For each one moto copies its state machine deeply, and with it the
executions that there were, whose locks cannot be copied: the second StartExecution is an internal error.

An execution that is stopped ends at once, as in AWS. In moto it goes on until its state is left, which is never for one
that waits for a token, and the history has what that state did after the stop.
"""

import copy

from moto.server import main
from moto.stepfunctions.models import StateMachine
from moto.stepfunctions.parser.api import ExecutionStatus, HistoryEventType
from moto.stepfunctions.parser.backend.execution import Execution


def without_executions(machine, _memo):
    twin = copy.copy(machine)
    twin.executions = []
    return twin


def stop(execution, stop_date, error, cause):
    if execution.exec_status != ExecutionStatus.RUNNING:
        return
    env = execution.exec_worker.env
    history = env.event_manager
    details = {'executionAbortedEventDetails': {'error': error, 'cause': cause}}
    history.add_event(env.event_history_context, HistoryEventType.ExecutionAborted, details)
    history.add_event = lambda *_args, **_more: 0
    execution.exec_worker.stop(stop_date=stop_date, error=error, cause=cause)
    execution.exec_status = ExecutionStatus.ABORTED
    execution.stop_date = stop_date


StateMachine.__deepcopy__ = without_executions
Execution.stop = stop

if __name__ == '__main__':
    main()
