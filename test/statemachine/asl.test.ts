import { describe, expect, it } from 'vitest';
import { unsupportedFeatures } from '../../local/aws/asl-support.ts';
import { statesOf } from '../../local/aws/states/walk.ts';
import { MACHINES, type MachineName } from '../../statemachine/contract.ts';
import { lambdaTasksOf, problemsOf } from './asl-checks.ts';
import { aslText, handlerFiles, invalidities, readAsl } from './document.ts';

const machines = Object.keys(MACHINES) as MachineName[];

it('has a file for each step, and none for anything else', () => {
  const tasks = machines.flatMap((machine) => lambdaTasksOf(readAsl(machine)));
  expect([...new Set(tasks)].toSorted()).toEqual(handlerFiles.toSorted());
});

describe.each(machines)('the document of the %s', (machine) => {
  it('follows every rule by which it is written', () => {
    expect(problemsOf(machine, readAsl(machine), handlerFiles)).toEqual([]);
  });

  it('uses nothing that the local engine would ignore', () => {
    expect(unsupportedFeatures(readAsl(machine))).toEqual([]);
  });

  it('is valid Amazon States Language', () => {
    expect(invalidities(readAsl(machine))).toEqual([]);
  });

  it('gives no two states one name, which JSON would take without a word', () => {
    const names = aslText(machine).match(/^ {4}"\w+": \{$/gm) ?? [];
    expect(names).toHaveLength([...statesOf(readAsl(machine))].length);
  });

  it('has placeholders only for the queue and for each step', () => {
    const found = [...aslText(machine).matchAll(/\$\{(\w+)\}/g)].map(([, name]) => name);
    const allowed = [...lambdaTasksOf(readAsl(machine)).map((name) => `${name}Arn`), 'HostQueueUrl'];
    expect(found.filter((name) => !allowed.includes(name ?? ''))).toEqual([]);
    expect(new Set(found).size).toBe(found.length);
  });
});
