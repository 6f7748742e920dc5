import { expect, it } from 'vitest';
import { unsupportedFeatures } from '../../local/aws/asl-support.ts';
import { statesOf } from '../../local/aws/states/walk.ts';
import { lambdaTasksOf, problemsOf } from './asl-checks.ts';
import { aslText, handlerFiles, invalidities, readAsl } from './document.ts';

it('follows every rule by which it is written', () => {
  expect(problemsOf(readAsl(), handlerFiles)).toEqual([]);
});

it('uses nothing that the local engine would ignore', () => {
  expect(unsupportedFeatures(readAsl())).toEqual([]);
});

it('is valid Amazon States Language', () => {
  expect(invalidities(readAsl())).toEqual([]);
});

it('gives no two states one name, which JSON would take without a word', () => {
  const names = aslText.match(/^ {4}"\w+": \{$/gm) ?? [];
  expect(names).toHaveLength([...statesOf(readAsl())].length);
});

it('has placeholders only for the queue and for each step', () => {
  const found = [...aslText.matchAll(/\$\{(\w+)\}/g)].map(([, name]) => name);
  expect(found.toSorted()).toEqual(
    [...lambdaTasksOf(readAsl()).map((name) => `${name}Arn`), 'HostQueueUrl'].toSorted(),
  );
});
