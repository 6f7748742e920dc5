"""What both benchmarks of the plugin measure with."""
import hashlib
import os
import ssl
import subprocess
import time


def measure(command, env=None):
    """Runs it; wall and CPU seconds and the peak of memory in bytes of the largest of its processes, and what it printed."""
    began = time.monotonic()
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE)
    told = process.stdout.read()
    _pid, status, used = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    process.returncode = status
    process.stdout.close()
    if status:
        raise SystemExit('failed: %s' % command)
    return {'wall': wall, 'cpu': used.ru_utime + used.ru_stime, 'rss': used.ru_maxrss * 1024}, told


def make_certificate(folder):
    """The path of a file with a key and a certificate for localhost, and the certificate's SHA-256."""
    pem = os.path.join(folder, 'server.pem')
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost',
                    '-keyout', pem, '-out', pem + '.crt'], check=True, stderr=subprocess.DEVNULL)
    with open(pem + '.crt') as certificate, open(pem, 'a') as both:
        text = certificate.read()
        both.write(text)
    return pem, hashlib.sha256(ssl.PEM_cert_to_DER_cert(text)).hexdigest()
