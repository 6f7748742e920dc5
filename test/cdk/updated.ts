import { type Resource, type Synthesized, target } from './synth.ts';

/** The functions of a stack by their logical ids, each with its versions: of all that deployments have made, what is left. */
export type Functions = ReadonlyMap<string, ReadonlySet<string>>;

/** What a deployment of `after` leaves of the functions that there are, as CloudFormation goes about it. */
export function update(before: Functions, after: Synthesized): Functions {
  const resources = Object.entries(after.template.Resources);
  const of = (type: string) => resources.filter(([, { Type }]) => Type === type);
  return new Map(
    // A function that is in the template no more is deleted, and all its versions with it.
    of('AWS::Lambda::Function').map(([id]) => {
      const made = of('AWS::Lambda::Version')
        .filter(([, { Properties }]) => target(Properties.FunctionName) === id)
        .map(([version]) => version);
      // Versions that are in it no more stay: their deletion policy says so.
      return [id, new Set([...(before.get(id) ?? []), ...made])];
    }),
  );
}

/** The function and the version that a machine's document calls in a state; undefined for a state that calls none. */
export function calledBy(
  stack: Synthesized,
  machine: string,
  state: string,
): { function: string; version: string } | undefined {
  const { DefinitionSubstitutions } = stack.one('AWS::StepFunctions::StateMachine', machine).Properties;
  const version = target(DefinitionSubstitutions[`${state}Arn`]);
  if (version === undefined) return undefined;
  const of = target((stack.template.Resources[version] as Resource).Properties.FunctionName);
  return of === undefined ? undefined : { function: of, version };
}
