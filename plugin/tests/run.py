"""Runs every test beside this file and ends with "passed failed" on standard output, for run-tests.sh."""
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, HERE)
suite = unittest.defaultTestLoader.discover(HERE)
result = unittest.TextTestRunner(stream=sys.stderr).run(suite)
failed = len(set(str(test) for test, _ in result.failures + result.errors)) + len(result.unexpectedSuccesses)
print('%d %d' % (max(result.testsRun - failed - len(result.skipped), 0), failed))
