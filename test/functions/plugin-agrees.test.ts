import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { API_VERSION } from '../../functions/pool/dom0.ts';
import { CHAIN_SR_TYPES, formatOf, MAX_VHD_BYTES } from '../../functions/pool/inspect.ts';
import { DEFAULT_FORMAT, IMAGE_FORMATS } from '../../functions/words.ts';
import { MAX_VIRTUAL_BYTES } from '../../local/vhd/format.ts';

/** What SM may say of a disk's format, by any of its keys. */
const SM_CONFIGS: readonly Record<string, string>[] = [
  {},
  ...['image-format', 'vdi_type', 'type'].flatMap((key) =>
    ['vhd', 'raw', 'aio', 'file', 'qcow2', ''].map((format) => ({ [key]: format })),
  ),
  { 'image-format': 'qcow2', vdi_type: 'vhd' },
  { 'image-format': '', vdi_type: 'aio', type: 'vhd' },
  { vdi_type: 'vhd', type: 'raw' },
];

/** Loads the plugin as a module, and prints what it says. */
const ASK = `
import importlib.machinery, importlib.util, json, sys
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader('plugin', sys.argv[1])
plugin = importlib.util.module_from_spec(importlib.util.spec_from_loader('plugin', loader))
loader.exec_module(plugin)


def accepts(field, word):
    try:
        return plugin.PUT_FIELDS[field][0](word) == word
    except ValueError:
        return False


print(json.dumps({
    'api': plugin.API,
    'chainSrTypes': plugin.CHAIN_SR_TYPES,
    'maxVhdBytes': plugin.MAX_VHD_BYTES,
    'accepted': [word for word in json.loads(sys.argv[3]) if accepts('format', word)],
    'defaultFormat': plugin.PUT_FIELDS['format'][2],
    'formats': [plugin.vdi_format({'sm_config': config}) for config in json.loads(sys.argv[2])],
}))
`;

const PLUGIN_FILE = fileURLToPath(new URL('../../plugin/glance', import.meta.url));

const plugin = JSON.parse(
  execFileSync(
    'python3',
    ['-c', ASK, PLUGIN_FILE, JSON.stringify(SM_CONFIGS), JSON.stringify([...IMAGE_FORMATS, 'vmdk'])],
    { encoding: 'utf8' },
  ),
);

it('speaks the version of its functions that the plugin has', () => {
  expect(API_VERSION).toBe(plugin.api);
});

it('knows the SR types of which the plugin reads files', () => {
  expect(CHAIN_SR_TYPES).toEqual(plugin.chainSrTypes);
});

it('asks for formats that the plugin makes', () => {
  expect(plugin.accepted).toEqual([...IMAGE_FORMATS]);
  expect(plugin.defaultFormat).toBe(DEFAULT_FORMAT);
});

it('holds a VHD to be as large as the plugin does, and as the simulated pool does', () => {
  expect([MAX_VHD_BYTES, MAX_VIRTUAL_BYTES]).toEqual([plugin.maxVhdBytes, plugin.maxVhdBytes]);
});

it.each(SM_CONFIGS.map((config, at) => [config, at] as const))(
  'calls %j what the plugin calls it',
  (config, at) => {
    expect(formatOf({ sm_config: config })).toBe(plugin.formats[at]);
  },
);
