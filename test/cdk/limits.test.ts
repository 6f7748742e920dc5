import { expect, it } from 'vitest';
import { limitsOf } from '../../cdk/limits.ts';
import { EXAMPLE, largeSettings } from './settings.ts';
import { synthesize } from './synth.ts';

it.each([
  ['40 pools of 10 hosts', 40, 10, undefined],
  ['one pool of 64 hosts', 1, 64, undefined],
  [
    '40 pools of 10 hosts whose secrets are there already',
    40,
    10,
    'arn:aws:secretsmanager:ap-southeast-1:111122223333:secret',
  ],
])('has room below every limit of AWS for %s', (_, pools, hosts, secrets) => {
  const stack = synthesize(largeSettings({ pools, hosts, secrets }));
  stack.remove();
  for (const { what, used, limit } of limitsOf(stack.template)) expect(used, what).toBeLessThan(0.85 * limit);
  for (const group of Object.values(stack.all('AWS::EC2::SecurityGroup')))
    expect(group.Properties.SecurityGroupEgress?.length ?? 0).toBeLessThanOrEqual(57);
});

it('refuses at synth what is beyond a limit, by name, with what to do', () => {
  // Each pool's secret has an output of its own.
  const settings = largeSettings({ pools: 201, hosts: 1 });
  const network = { ...EXAMPLE.network, egressRules: 1000 };
  expect(() => synthesize({ ...settings, network })).toThrow(
    /203 outputs, and AWS takes 200\. .*\n.*\n.*Divide the pools/,
  );
});

it('counts what CloudFormation puts in', () => {
  const Environment = {
    Variables: { A: { Ref: 'Table' }, B: { 'Fn::Join': ['', ['arn:', { Ref: 'AWS::AccountId' }]] } },
  };
  const [environment] = limitsOf({
    Resources: { F: { Type: 'AWS::Lambda::Function', Properties: { Environment } } },
  }).filter(({ what }) => what === 'bytes of an environment (F)');
  expect(environment?.used).toBe(`{"Variables":{"A":"","B":"arn:"}}`.length + 145 + 12);
});
