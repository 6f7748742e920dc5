"""Gives bundles to the plugin's own code, as if Glance had sent them: `plugin_restores.py PLUGIN FOLDER DISK-BYTES COUNT`, or
`... SEED` after it, and the bundles are made first: changed ones, by their seeds. FOLDER/N.tgz becomes FOLDER/N.disk. Prints a
JSON list: for each {"code": null, "virtualBytes", "layers"}, or what it is refused with."""
import importlib.machinery
import importlib.util
import json
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../plugin/tests'))

from mutated_bundles import Bundle, restore  # noqa: E402


def load(path):
    loader = importlib.machinery.SourceFileLoader('plugin', path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader('plugin', loader))
    loader.exec_module(module)
    module.BlockDevice.sync = lambda _device: None
    return module


def main(path, folder, disk_bytes, count, seed=None):
    plugin, answers = load(path), []
    for number in range(int(count)):
        bundle, disk = (os.path.join(folder, '%d.%s' % (number, ending)) for ending in ('tgz', 'disk'))
        if seed is not None:
            with open(bundle, 'wb') as out:
                out.write(Bundle(int(seed) + number).data)
        with open(bundle, 'rb') as image, open(disk, 'wb') as out:
            data = image.read()
            out.truncate(int(disk_bytes))
        try:
            result = restore(plugin, data, disk)
            answers.append({'code': None, 'virtualBytes': result['virtualBytes'], 'layers': len(result['layers'])})
        except plugin.PluginError as error:
            answers.append({'code': error.code, 'message': error.message})
    print(json.dumps(answers))


main(*sys.argv[1:])
