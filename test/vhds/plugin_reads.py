"""Gives chains of VHD files to the plugin's own code: `plugin_reads.py PLUGIN ROOT COUNT LEAF-UUID`; the chains are in the
folders ROOT/0 to ROOT/COUNT-1. Prints a JSON list: for each {"code": null}, and the bundle is ROOT/N.tgz, or what it refuses
with."""
import importlib.machinery
import importlib.util
import json
import os
import sys


def load(path):
    loader = importlib.machinery.SourceFileLoader('plugin', path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader('plugin', loader))
    loader.exec_module(module)
    return module


def write_bundle(plugin, folder, leaf):
    source = plugin.find_chain(folder, leaf, lambda _uuid: None, plugin.never_stop)
    try:
        with open(folder + '.tgz', 'wb') as out:
            for piece in plugin.bundle(source, plugin.GzipCompressor(1, 1), lambda _size: None):
                out.write(piece)
        source.verify()
    finally:
        source.release()


def main(path, root, count, leaf):
    sys.dont_write_bytecode = True
    plugin = load(path)
    plugin.LOOK_AGAIN_SECONDS = 0  # nobody writes here
    answers = []
    for number in range(int(count)):
        try:
            write_bundle(plugin, os.path.join(root, str(number)), leaf)
            answers.append({'code': None})
        except plugin.PluginError as error:
            answers.append({'code': error.code, 'retryable': error.retryable, 'message': error.message})
    print(json.dumps(answers))


main(*sys.argv[1:])
