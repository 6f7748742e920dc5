import { readdirSync, readFileSync } from 'node:fs';
import validate from 'asl-validator';
import { substitute } from '../../local/aws/states/definition.ts';
import type { Asl } from '../../local/aws/states/walk.ts';
import type { MachineName } from '../../statemachine/contract.ts';
import { lambdaTasksOf } from './asl-checks.ts';

/** A machine's document as it stands in its file, placeholders and all. */
export const aslText = (machine: MachineName): string =>
  readFileSync(new URL(`../../statemachine/${machine}.asl.json`, import.meta.url), 'utf8');

/** A copy of the document of its own. */
export const readAsl = (machine: MachineName): Asl => JSON.parse(aslText(machine));

/** The names of the files in functions/steps. */
export const handlerFiles = readdirSync(new URL('../../functions/steps', import.meta.url)).map((name) =>
  name.replace(/\.ts$/, ''),
);

/** What asl-validator says of a document once CloudFormation has filled it in. */
export function invalidities(document: Asl): string[] {
  const lambdas = lambdaTasksOf(document).map((name) => [
    `${name}Arn`,
    `arn:aws:lambda:us-east-1:123456789012:function:xensnap-${name}:7`,
  ]);
  const HostQueueUrl = 'https://sqs.us-east-1.amazonaws.com/123456789012/xensnap-hosts.fifo';
  const filled = substitute(document, { ...Object.fromEntries(lambdas), HostQueueUrl });
  return validate(filled, { checkArn: true, checkPaths: true }).errors.map(({ Message }) => Message);
}
