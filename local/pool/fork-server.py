"""Runs Python plugins of simulated control domains without starting an interpreter for each: most of a short call's time
would go into that, into compiling the plugin and into what it imports.

A server imports what a plugin's text names, and forks for each call; the child becomes the plugin. It is a process as any
other, of a session of its own, and lives on when the server ends, which it does with the one that writes its requests.

A request on standard input is two lengths, of 4 bytes each, a JSON object and the plugin's argument. On standard output is
a line of JSON for a plugin that has started, by itself, and for one that has ended.
"""
import ast
import atexit
import gc
import importlib
import json
import os
import select
import signal
import struct
import sys

sys.dont_write_bytecode = True  # leaves nothing beside this file
import full_device

MAX_PROGRAMS = 16

code_by_text = {}


def code_of(text):
    """The code of a program whose imports are made; None where it is none: the child will say what is wrong with it."""
    if text not in code_by_text:
        if len(code_by_text) == MAX_PROGRAMS:
            code_by_text.clear()
        code_by_text[text] = compiled(text)
        gc.collect()
        gc.freeze()  # no child looks through what all share, which would make it copy the memory
    return code_by_text[text]


def compiled(text):
    try:
        tree = ast.parse(text)
        code = compile(text, 'plugin', 'exec')
    except (SyntaxError, ValueError):
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            names = [node.module] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
        for name in names:
            try:
                importlib.import_module(name)
            except Exception:
                pass  # what another Python has; or the plugin will fail by itself
    return code


def read_into(buffer):
    """Reads as many bytes; ends the server where the other side has ended."""
    view = memoryview(buffer)
    while view:
        size = os.readv(0, [view])
        if size == 0:
            os._exit(0)
        view = view[size:]


def tell(**fields):
    try:
        os.write(1, json.dumps(fields).encode('ascii') + b'\n')
    except OSError:
        os._exit(0)


def tell_ended(running):
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        killed = os.WIFSIGNALED(status)
        tell(id=running.pop(pid), code=None if killed else os.WEXITSTATUS(status),
             signal=os.WTERMSIG(status) if killed else None)


def show(before, after):
    """Has /proc show other bytes in this process's command line or environment, in place of some that are as long."""
    with open('/proc/self/stat', 'rb') as stat:
        numbers = stat.read().rpartition(b')')[2].split()
    begin, end = int(numbers[45]), int(numbers[48])  # arg_start to env_end: a command line, its environment behind it
    memory = os.open('/proc/self/mem', os.O_RDWR | os.O_CLOEXEC)
    try:
        at = os.pread(memory, end - begin, begin).index(before)
        os.pwrite(memory, after[:len(before)].ljust(len(before), b'\0'), begin + at)
    finally:
        os.close(memory)


def become_plugin(request, call, wakers):
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    tell(id=request['id'], pid=os.getpid())
    flags = os.O_RDWR | os.O_CREAT
    for number, path in enumerate((os.devnull, request['stdout'], request['stderr'])):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    for waker in wakers:
        os.close(waker)
    root = request['dom0Root']
    os.environ['XENSNAP_DOM0_ROOT'] = root
    # Both are how processes of a control domain are told from others.
    show(os.fsencode(sys.argv[1]), os.fsencode(request['file']))
    show(b'XENSNAP_DOM0_ROOT=' + os.fsencode(sys.argv[1]), b'XENSNAP_DOM0_ROOT=' + os.fsencode(root))
    full_device.bound_writes(root)
    sys.argv = [request['file'], os.fsdecode(bytes(call))]


def serve():
    """Answers the code that is to be run, in a child; never in the server."""
    wakers = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wakers[1])
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    show(os.fsencode(sys.argv[1]), os.fsencode(sys.argv[1]))  # ends the server where that cannot be had
    tell(ready=True)
    running = {}
    while True:
        ready = select.select([0, wakers[0]], [], [])[0]
        if wakers[0] in ready:
            os.read(wakers[0], 4096)
            tell_ended(running)
        if 0 not in ready:
            continue
        lengths = bytearray(8)
        read_into(lengths)
        header, call = (bytearray(length) for length in struct.unpack('>II', lengths))
        read_into(header)
        read_into(call)
        request = json.loads(header.decode('utf-8'))
        try:
            with open(request['file'], 'rb') as program:
                text = program.read()
            code = code_of(text)
            pid = os.fork()
        except OSError:
            tell(id=request['id'], code=126, signal=None)
            continue
        if pid == 0:
            become_plugin(request, call, wakers)
            return code or compile(text, 'plugin', 'exec')
        running[pid] = request['id']
        call[:] = bytes(len(call))  # it names a session, which later plugins and this process have nothing to do with


def run(code):
    """Runs a plugin, and ends as the interpreter would, but for taking down all modules, which takes longer than most calls."""
    status = 0
    try:
        exec(code, {'__name__': '__main__', '__file__': sys.argv[0]})
    except SystemExit as end:
        if end.code is not None and not isinstance(end.code, int):
            raise
        status = end.code or 0
    if 'threading' in sys.modules:
        sys.modules['threading']._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status & 0xff)


if sys.version_info < (3, 7):
    sys.exit('Python 3.7 or later')
sys.path[0] = ''  # a plugin finds nothing beside this file
run(serve())
