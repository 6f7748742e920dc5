import { expect, it } from 'vitest';
import newVpc from '../../docs/new-vpc.example.json' with { type: 'json' };
import { EXAMPLE } from './settings.ts';
import { synthesize } from './synth.ts';
import { textOf } from './template-text.ts';

// A change of these texts is to be read: it is what the next deployment does to stacks that are there. When it is what was
// meant, `npx vitest run test/cdk/template.test.ts -u` writes them anew.
it.each([
  ['the example', 'template.txt', EXAMPLE, undefined],
  ['a new VPC and Keystone', 'template.new-vpc.txt', newVpc, /^AWS::(EC2|ApiGatewayV2)::/],
])('makes the stack that was read and committed, of %s', async (_, file, settings, types) => {
  const stack = synthesize(settings);
  stack.remove();
  await expect(`${textOf(stack, types)}\n`).toMatchFileSnapshot(file);
});
