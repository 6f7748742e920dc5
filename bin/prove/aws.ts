import { CommandFailure } from '../failures.ts';
import { CommandEnded, commandOutput } from './command-output.ts';

/** AWS has refused a call, by the name of its error. */
export class AwsFailure extends Error {
  override readonly name = 'AwsFailure';
  /** Such as `TaskTimedOut`; empty where AWS was not reached or the command line is wrong. */
  readonly code: string;

  constructor(message: string, code: string) {
    super(message);
    this.code = code;
  }
}

/** Runs the AWS CLI with these arguments; answers the document that it prints, or undefined where that is none. */
export type Aws = <T>(...args: readonly string[]) => Promise<T>;

/** The AWS CLI, with the credentials that it finds itself. */
export function createAws(region: string | undefined): Aws {
  const always = ['--output', 'json', ...(region === undefined ? [] : ['--region', region])];
  return async <T>(...args: readonly string[]): Promise<T> => {
    try {
      const stdout = await commandOutput('aws', [...args, ...always], { AWS_PAGER: '' });
      return (stdout.trim() === '' ? undefined : JSON.parse(stdout)) as T;
    } catch (error) {
      const stderr = error instanceof CommandEnded ? error.stderr : '';
      if ((error as NodeJS.ErrnoException).code === 'ENOENT')
        throw new CommandFailure('there is no "aws" on PATH: install the AWS CLI');
      if (error instanceof SyntaxError) throw new AwsFailure('the AWS CLI printed no JSON', '');
      const said = stderr.trim().split('\n').at(-1) || String(error);
      throw new AwsFailure(said, /An error occurred \(([A-Za-z.]+)\)/.exec(stderr)?.[1] ?? '');
    }
  };
}

/** The name of the error that a call is refused with; undefined where it is not refused. */
export async function refusalOf(call: Promise<unknown>): Promise<string | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    if (error instanceof AwsFailure && error.code !== '') return error.code;
    throw error;
  }
}
