import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import type { Queue } from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { RETIRED_STEPS, STEPS, type StepName, type StepSettings } from '../statemachine/contract.ts';
import { createFunction, type Surroundings } from './function.ts';
import { letWakeLines } from './grants.ts';

/** The steps' Lambdas by the names of their states. */
export type StepFunctions = Readonly<Record<StepName, LambdaFunction>>;

/** The steps' paths in functions/. */
export const STEP_ENTRIES = Object.keys(STEPS).map((name) => `steps/${name}`);

/** What a step does to the table beside reading and changing items, which all do. */
const ALSO: Readonly<Record<string, readonly string[]>> = {
  // Gives the VM's lease back.
  ReleaseHost: ['DeleteItem'],
};

/** One Lambda for each step of the contract. */
export function createSteps(scope: Construct, surroundings: Surroundings, hostQueue: Queue): StepFunctions {
  const names = Object.keys(STEPS) as StepName[];
  const made = names.map((name): [StepName, LambdaFunction] => [
    name,
    createFunction(scope, name, surroundings, { ...settingsOf(name, STEPS[name]), entry: `steps/${name}` }),
  ]);
  const steps = Object.fromEntries(made) as Record<StepName, LambdaFunction>;
  letWakeLines(steps.ReleaseHost, hostQueue);
  return steps;
}

/**
 * One Lambda for each step that the last release had and this one has not: it keeps the versions that running jobs call,
 * and the rights with which they work.
 */
export function createRetiredSteps(scope: Construct, surroundings: Surroundings): readonly LambdaFunction[] {
  return Object.entries(RETIRED_STEPS).map(([name, settings]) =>
    createFunction(scope, name, surroundings, { ...settingsOf(name, settings), entry: null }),
  );
}

function settingsOf(name: string, { lambdaSeconds, memoryMib, reaches }: StepSettings) {
  return {
    description: `xensnap: step ${name}`,
    seconds: lambdaSeconds,
    memoryMib,
    reaches,
    table: ['GetItem', 'UpdateItem', ...(ALSO[name] ?? [])],
  };
}
