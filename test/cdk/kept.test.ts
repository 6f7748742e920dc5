import { expect, it } from 'vitest';
import { EXAMPLE } from './settings.ts';
import { synthesize } from './synth.ts';

const { template, remove } = synthesize(EXAMPLE);
remove();

/** What holds data, or is known to others by its name: where an update has another id for it, it is made anew, empty. */
const KEPT = {
  'AWS::DynamoDB::Table': ['XensnapTableA2B5F851'],
  'AWS::SecretsManager::Secret': ['XensnapSecretglancelogin7F4A171F', 'XensnapSecretpoolmainlogin610E70A5'],
  'AWS::SQS::Queue': [
    'XensnapBackupFailures85F9CE1D',
    'XensnapHostQueue553EB660',
    'XensnapJanitorFailuresC5A9830F',
    'XensnapReconcileFailuresB1C9A5AD',
  ],
  'AWS::StepFunctions::StateMachine': ['XensnapRestoreMachine30C7A08A', 'XensnapStateMachine31800027'],
  'AWS::ApiGatewayV2::Api': ['XensnapHttpApi2C37AFEE'],
  'AWS::SNS::Topic': ['XensnapAlarmTopicEC1FE9B3'],
};

it.each(Object.entries(KEPT))('makes no %s anew when the stack is updated', (type, ids) => {
  const found = Object.entries(template.Resources).flatMap(([id, { Type }]) => (Type === type ? [id] : []));
  expect(found.toSorted()).toEqual(ids);
});

it('changes nothing of the table for which CloudFormation would make another, nor of the secrets', () => {
  const of = (type: string) => Object.values(template.Resources).filter(({ Type }) => Type === type);
  const [table] = of('AWS::DynamoDB::Table');
  expect(table?.Properties.KeySchema).toEqual([{ AttributeName: 'id', KeyType: 'HASH' }]);
  expect(table?.Properties.TableName).toBeUndefined();
  const stack = { 'Fn::Select': [2, { 'Fn::Split': ['/', { Ref: 'AWS::StackId' }] }] };
  expect(of('AWS::SecretsManager::Secret').map(({ Properties }) => Properties.Name)).toEqual(
    ['/pool/main/login', '/glance/login'].map((end) => ({
      'Fn::Join': ['', ['xensnap/example/', stack, end]],
    })),
  );
});
