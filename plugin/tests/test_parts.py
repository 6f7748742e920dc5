"""The file that runs in dom0 is what join.py makes of the parts, and join.py takes nothing that would run otherwise there."""
import importlib
import io
import os
import re
import sys
import unittest

from support import PLUGIN, PLUGIN_FOLDER

import join

PART = '"""A part."""\n'


class CommittedFileTest(unittest.TestCase):
    def test_it_is_what_join_makes_of_the_parts(self):
        with io.open(PLUGIN, encoding='ascii') as committed:
            same = committed.read() == join.joined(join.read_parts())
        self.assertTrue(same, 'run python3 plugin/join.py')
        self.assertTrue(os.access(PLUGIN, os.X_OK))

    def test_main_needs_every_part(self):
        importlib.import_module('src.main')
        files = os.listdir(os.path.join(PLUGIN_FOLDER, 'src'))
        names = set('src.' + name[:-3] for name in files if name.endswith('.py')) - set(['src.__init__'])
        self.assertEqual(names, set(name for name in sys.modules if name.startswith('src.') and sys.modules[name]) & names)
        self.assertGreater(len(names), 30)

    def test_the_page_tells_where_each_part_belongs(self):
        with io.open(os.path.join(PLUGIN_FOLDER, 'README.md'), encoding='utf-8') as page:
            table = page.read().split('## How the file is made', 1)[1].split('## ', 1)[0].split('|---|---|', 1)[1]
        self.assertEqual(sorted(re.findall(r'`(\w+)`', table)), sorted(set(join.read_parts()) - set(['__init__'])))

    def test_no_part_is_long(self):
        for name, text in join.read_parts().items():
            self.assertLess(text.count('\n'), 300, name)


class JoinTest(unittest.TestCase):
    def joined(self, **parts):
        return join.joined(dict(parts, __init__='"""A plugin."""\n'))

    def refuses(self, why, **parts):
        with self.assertRaises(ValueError) as caught:
            self.joined(**parts)
        self.assertIn(why, str(caught.exception))

    def test_parts_come_after_those_that_they_import_and_imports_come_first(self):
        text = self.joined(
            a=PART + 'import os\n\nfrom .c import LIMIT\nfrom .z import name_of\n\n\ndef run():\n    return name_of(os.sep, LIMIT)\n',
            c='"""The limit.\n\nimport this, some day.\n"""\n\nLIMIT = 3  # of a name\n',
            z=PART + 'import os\nimport re\n\n\ndef name_of(text, most):\n    return re.escape(os.path.basename(text))[:most]\n')
        self.assertEqual(text.split('\n\n', 1)[0], '#!/usr/bin/env python3\n"""A plugin.\nMade from plugin/src by '
                         'plugin/join.py: change the parts, not this file.\n"""\nimport os\nimport re')
        rest = [line for line in text.split('\n') if line and not line.startswith('# ---')][6:]
        self.assertEqual(rest, [
            '# The limit.', '#', '# import this, some day.', 'LIMIT = 3  # of a name',
            '# A part.', 'def name_of(text, most):', '    return re.escape(os.path.basename(text))[:most]',
            '# A part.', 'def run():', '    return name_of(os.sep, LIMIT)'])

    def test_one_name_for_two_things(self):
        self.refuses('x is defined by a and by b', a=PART + 'x = 1\n', b=PART + 'def x():\n    pass\n')
        self.refuses('time is defined by the standard library and by b', a=PART + 'import time\nx = time\n', b=PART + 'time = 1\n')

    def test_names_that_are_not_imported_from_where_they_are_defined(self):
        self.refuses('a uses without an import: y', a=PART + 'def x():\n    return [y for _ in ()]\n', b=PART + 'y = 1\n')
        self.refuses('a uses without an import: time', a=PART + 'x = time.time\n', b=PART + 'import time\ny = time\n')
        self.refuses('imports without a use: y', a=PART + 'from .b import y\n', b=PART + 'y = 1\n')
        self.refuses('a imports y from b, which does not define it', a=PART + 'from .b import y\nx = y\n',
                     b=PART + 'from .c import y\nz = y\n', c=PART + 'y = 1\n')

    def test_what_would_mean_something_else_in_one_file(self):
        for line in ('import os as o', 'import os.path', 'import os, io', 'from os import path', 'from b import y', 'from . import b',
                     'from .b import y as x', 'from .b import *'):
            self.refuses('a line 2: write `', a=PART + line + '\n', b=PART + 'y = 1\n')
        self.refuses('global x', a=PART + 'x = 1\n\n\ndef change():\n    global x\n    x = 2\n')
        with self.assertRaises(SyntaxError):
            self.joined(a=PART + 'from .b import (\n    y)\nx = y\n', b=PART + 'y = 1\n')
        self.refuses('a does not begin with a docstring', a='# a part\nx = 1\n')

    def test_a_circle(self):
        self.refuses('a circle of imports: a > b > a', a=PART + 'from .b import y\n\n\ndef x():\n    return y\n',
                     b=PART + 'from .a import x\n\n\ndef y():\n    return x\n')


if __name__ == '__main__':
    unittest.main()
