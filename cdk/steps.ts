import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import type { Queue } from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { STEPS, type StepName, type StepSettings } from '../statemachine/contract.ts';
import { createFunction, type Surroundings } from './function.ts';
import { letWakeLines } from './grants.ts';

/** The steps' Lambdas by the names of their states. */
export type StepFunctions = Readonly<Record<StepName, LambdaFunction>>;

/** The steps' paths in functions/. */
export const STEP_ENTRIES = Object.keys(STEPS).map((name) => `steps/${name}`);

/** What a step does to the table beside reading and changing items, which all do. */
const ALSO: { readonly [S in StepName]?: readonly string[] } = {
  // Gives the VM's lease back.
  ReleaseHost: ['DeleteItem'],
};

/** One Lambda for each step of the contract. */
export function createSteps(scope: Construct, surroundings: Surroundings, hostQueue: Queue): StepFunctions {
  const names = Object.keys(STEPS) as StepName[];
  const made = names.map((name): [StepName, LambdaFunction] => {
    const { lambdaSeconds, memoryMib, reaches }: StepSettings = STEPS[name];
    const settings = {
      entry: `steps/${name}`,
      description: `xensnap: step ${name}`,
      seconds: lambdaSeconds,
      memoryMib,
      reaches,
      table: ['GetItem', 'UpdateItem', ...(ALSO[name] ?? [])],
    };
    return [name, createFunction(scope, name, surroundings, settings)];
  });
  const steps = Object.fromEntries(made) as Record<StepName, LambdaFunction>;
  letWakeLines(steps.ReleaseHost, hostQueue);
  return steps;
}
