#!/usr/bin/env python3
"""Makes the one file that runs in dom0, plugin/glance, from its parts, plugin/src/*.py: `python3 plugin/join.py`.

A part is a docstring, imports, and the rest. An import is one line, and either `import module`, of the standard library,
or `from .part import name, ...`. In the joined file all parts share one namespace, where these names mean the same: so no
two parts may give one name to two things, and none may use a name that it neither defines nor imports.
"""
import ast
import io
import os
import symtable

try:
    import builtins
except ImportError:  # Python 2.7
    import __builtin__ as builtins

HERE = os.path.dirname(os.path.abspath(__file__))
PARTS = os.path.join(HERE, 'src')
JOINED = os.path.join(HERE, 'glance')
BUILTINS = frozenset(dir(builtins)) | frozenset(('__name__', 'buffer'))  # buffer is Python 2.7's
HEAD = '#!/usr/bin/env python3\n"""%s\nMade from plugin/src by plugin/join.py: change the parts, not this file.\n"""\n'


class Part(object):
    """One file of plugin/src. Raises ValueError where it is not what a part must be."""

    def __init__(self, name, text):
        self.name = name
        self.modules = set()  # of the standard library
        self.imports = {}  # names, by the part that defines them
        tree = ast.parse(text, name)
        self.doc = ast.get_docstring(tree)
        if not self.doc or not text.startswith('"""'):
            raise ValueError('%s does not begin with a docstring' % name)
        rows = set(node.lineno for node in tree.body if self.is_import(node))
        head = text.index('"""', 3) + 3
        first_row = text.count('\n', 0, head) + 1
        body = [line for row, line in enumerate(text[head:].split('\n'), first_row) if row not in rows]
        self.body = '\n'.join(body).strip('\n')
        self.read_names(symtable.symtable(text, name, 'exec'))

    def is_import(self, node):
        """Whether it is one, which is then noted."""
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            if len(names) != 1 or node.names[0].asname or '.' in names[0]:
                raise ValueError('%s line %d: write `import module`' % (self.name, node.lineno))
            self.modules.update(names)
            return True
        if isinstance(node, ast.ImportFrom):
            if node.level != 1 or not node.module or any(alias.asname or alias.name == '*' for alias in node.names):
                raise ValueError('%s line %d: write `from .part import name, ...`' % (self.name, node.lineno))
            self.imports.setdefault(node.module, set()).update(alias.name for alias in node.names)
            return True
        return False

    def read_names(self, table):
        """What it defines; and whether what it uses and what it imports is the same."""
        imported = self.modules.union(*self.imports.values())
        self.defines = set(symbol.get_name() for symbol in table.get_symbols()
                           if symbol.is_assigned() or symbol.is_namespace() or symbol.is_imported()) - imported
        used = names_used(table, self.name)
        unknown = used - self.defines - imported - BUILTINS
        unused = imported - used
        if unknown or unused:
            raise ValueError('%s uses without an import: %s; imports without a use: %s'
                             % (self.name, ', '.join(sorted(unknown)) or '-', ', '.join(sorted(unused)) or '-'))

    def heading(self):
        lines = ['# ---------------------------------------------------------------- ' + self.name]
        return '\n'.join(lines + [('# ' + line).rstrip() for line in self.doc.split('\n')])


def names_used(table, part):
    """Names of the module that its code uses, by the compiler's own table."""
    used = set()
    for symbol in table.get_symbols():
        if symbol.is_declared_global():
            raise ValueError('%s: `global %s` would be another variable in each part' % (part, symbol.get_name()))
        if symbol.is_referenced() and (table.get_type() == 'module' or symbol.is_global()):
            used.add(symbol.get_name())
    return used.union(*[names_used(child, part) for child in table.get_children()])


def check(parts):
    """Whether every name has one meaning, and is imported from where it is defined. Raises ValueError."""
    owners = dict((module, 'the standard library') for part in parts.values() for module in part.modules)
    for name, part in sorted(parts.items()):
        for defined in part.defines:
            if defined in owners:
                raise ValueError('%s is defined by %s and by %s' % (defined, owners[defined], name))
            owners[defined] = name
    for name, part in sorted(parts.items()):
        for of, names in part.imports.items():
            for imported in names:
                if owners.get(imported) != of:
                    raise ValueError('%s imports %s from %s, which does not define it' % (name, imported, of))


def in_layers(parts):
    """The parts, those first that import none, then those that import just these, and so on."""
    layers = {}

    def layer(name, above):
        if name in above:
            raise ValueError('a circle of imports: %s' % ' > '.join(above + (name,)))
        if name not in layers:
            layers[name] = 1 + max([layer(of, above + (name,)) for of in parts[name].imports] or [0])
        return layers[name]
    return [parts[name] for name in sorted(parts, key=lambda name: (layer(name, ()), name))]


def joined(texts):
    """The text of the one file, from the text of each part by its name; `__init__` has but the docstring that the file
    begins with. Raises ValueError or SyntaxError."""
    parts = dict((name, Part(name, text)) for name, text in texts.items() if name != '__init__')
    check(parts)
    modules = sorted(set().union(*[part.modules for part in parts.values()]))
    pieces = [HEAD % ast.literal_eval(texts['__init__']) + ''.join('import %s\n' % module for module in modules)]
    for part in in_layers(parts):
        pieces.append('%s\n\n%s\n' % (part.heading(), part.body))
    text = '\n\n'.join(pieces)
    compile(text, JOINED, 'exec')
    return text


def read_parts():
    """The text of each part, by its name."""
    texts = {}
    for name in os.listdir(PARTS):
        if name.endswith('.py'):
            with io.open(os.path.join(PARTS, name), encoding='ascii') as part:
                texts[name[:-3]] = str(part.read())
    return texts


if __name__ == '__main__':
    TEXT = joined(read_parts())
    with open(JOINED, 'w') as out:
        out.write(TEXT)
