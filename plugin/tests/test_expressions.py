"""No regular expression of the plugin may take longer than its input is long: what it looks at, others wrote."""
import ast
import io
import re
import time
import unittest

try:
    from re import _constants as sre, _parser as sre_parse
except ImportError:  # before Python 3.11
    import sre_constants as sre
    import sre_parse

from support import PLUGIN

TAKES_AN_EXPRESSION = frozenset(('compile', 'match', 'search', 'sub', 'split', 'findall', 'finditer', 'fullmatch', 'subn'))
SINGLE = ('literal', 'not_literal', 'in', 'any')  # what stands for one character
MANY = 1000


def expressions(source):
    """(line, function, pattern) of all of them. One that is not written down where it is used cannot be judged."""
    tree = ast.parse(source)
    calls = dict((id(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == 're' or isinstance(node, ast.alias) and node.name == 're' and node.asname:
            raise AssertionError('re has another name')
        if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == 're'):
            continue
        if node.attr in ('M', 'S', 'I'):
            continue
        call = calls.get(id(node))
        if node.attr not in TAKES_AN_EXPRESSION or not call:
            raise AssertionError('line %d: re.%s is not looked at by this test' % (node.lineno, node.attr))
        try:
            pattern = ast.literal_eval(call.args[0])
        except ValueError:
            raise AssertionError('line %d: an expression that is made while the plugin runs' % node.lineno)
        yield node.lineno, node.attr, pattern


def name_of(op):
    return str(op).lower()


def why_not_linear(function, pattern):
    """None, or what may take longer. One repetition without a bound, of single characters, is tried at one place (it is
    anchored, or the whole expression), and what follows has a length: so it gives back each character once, and looks at no
    more than that length each time."""
    parsed = list(sre_parse.parse(pattern))
    if len(parsed) == 1 and name_of(parsed[0][0]) in SINGLE:
        return None
    anchored = function in ('match', 'fullmatch') or parsed and name_of(parsed[0][0]) == 'at'
    if not anchored:
        return 'it may begin anywhere'
    endless = [0]

    def walk(items, depth):
        for op, value in items:
            op = name_of(op)
            if op in SINGLE or op == 'at':
                continue
            if op == 'subpattern':
                walk(value[-1], depth)
            elif op in ('max_repeat', 'min_repeat', 'possessive_repeat'):
                _least, most, body = value
                if most == sre.MAXREPEAT or most > MANY:
                    endless[0] += 1
                    if depth or len(body) != 1 or name_of(body[0][0]) not in SINGLE:
                        raise ValueError('a repetition without a bound in another, or of more than one character')
                walk(body, depth + 1)
            else:
                raise ValueError('%s' % op)  # branches, references, looking around: nobody needs them here
    try:
        walk(parsed, 0)
    except ValueError as exc:
        return str(exc)
    return 'two repetitions without a bound' if endless[0] > 1 else None


class ExpressionTest(unittest.TestCase):
    def setUp(self):
        with io.open(PLUGIN, encoding='utf-8') as source:
            # Python 2.7 takes no text that says its own encoding; this says none.
            self.found = list(expressions(source.read()))

    def test_every_expression_of_the_plugin_is_linear(self):
        self.assertGreater(len(self.found), 5)
        for line, function, pattern in self.found:
            self.assertEqual(why_not_linear(function, pattern), None, 'line %d: %r' % (line, pattern))

    def test_the_rule_knows_those_that_are_not(self):
        for function, pattern in (('sub', r'<(title|head|style)\b.*?</\1>|<[^>]*>'), ('match', r'^(a+)+b'), ('match', r'^(a|aa)+\Z'),
                                  ('match', r'^\s*\s*x'), ('search', r'a*b'), ('match', r'^(ab)*\Z'), ('match', r'^(?=a*)b'),
                                  ('match', r'^a*?x*\Z'), ('search', r'[0-9]{400}x'), ('sub', r'\s+\Z')):
            self.assertIsNotNone(why_not_linear(function, pattern), pattern)
        self.assertIsNone(why_not_linear('match', r'^[0-9a-f]{8}(-[0-9a-f]{4}){3}\Z'))
        self.assertIsNone(why_not_linear('sub', r'[^a-z]'))

    def test_an_expression_that_is_hidden_is_found(self):
        for source in ('import re as x', 'from re import match', 'import re\nx = re.match', 'import re\nre.match(p, t)',
                       'import re\nre.Scanner([])'):
            with self.assertRaises(AssertionError):
                list(expressions(source))

    def test_long_texts_take_no_time(self):
        """Each character that an expression knows, and each two, again and again, with something at the end that it does not."""
        began = time.time()
        for _line, function, pattern in self.found:
            compiled = re.compile(pattern)
            known = sorted(set(char for char in u'a0-_.:/ x' if char in pattern or char in u'a0'))
            for pump in known + [one + other for one in known for other in known]:
                text = pump * (100000 // len(pump))
                for candidate in (text, text + u'!', u'OpaqueRef:' + text + u'!'):
                    compiled.sub(u'', candidate) if function == 'sub' else compiled.match(candidate)
        self.assertLess(time.time() - began, 20)


if __name__ == '__main__':
    unittest.main()
