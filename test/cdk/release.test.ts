import { expect, it } from 'vitest';
import { TABLE } from '../../functions/store/table.ts';
import packageJson from '../../package.json' with { type: 'json' };
import { RETIRED_STEPS, STEPS, type StepSettings } from '../../statemachine/contract.ts';
import lastRelease from './last-release.json' with { type: 'json' };

/** What test/cdk/last-release.json holds once this version is the one that is out. */
const thisRelease = {
  version: packageJson.version,
  indexes: TABLE.indexes,
  steps: Object.fromEntries(Object.entries(STEPS).map(([name, { reaches }]) => [name, reaches])),
};

it('has the list of what the last release deployed, which each release renews', () => {
  expect(
    lastRelease.version,
    `package.json has another version. If all else here passes, this is what test/cdk/last-release.json is to hold from now on:\n${JSON.stringify(thisRelease)}`,
  ).toBe(packageJson.version);
});

/** Indexes that one release takes away from another, or adds to it; one whose key changes is both. */
function changedIndexes(before: Readonly<Record<string, string>>, after: Readonly<Record<string, string>>) {
  const missing = (of: typeof before, from: typeof before) =>
    Object.keys(of).filter((name) => from[name] !== of[name]);
  return [
    ...missing(before, after).map((name) => `- ${name}`),
    ...missing(after, before).map((name) => `+ ${name}`),
  ];
}

it('makes or drops one index of the table since the last release at most', () => {
  expect(
    changedIndexes(lastRelease.indexes, TABLE.indexes).length,
    'DynamoDB makes or drops one index in an update of a table, and CloudFormation refuses a second one in the middle of ' +
      'the deployment. Leave one here, and have the next release make the other; let the code do without it until then. ' +
      '(While no release is out, renew test/cdk/last-release.json.)',
  ).toBeLessThanOrEqual(1);
});

it('counts an index whose key changes as two', () => {
  expect(changedIndexes({ a: 'x', b: 'y' }, { a: 'x', b: 'z', c: 'w' })).toEqual(['- b', '+ b', '+ c']);
});

const retired: Readonly<Record<string, StepSettings>> = RETIRED_STEPS;

it('deploys every step of the last release, those too that no machine has any more', () => {
  const gone = Object.keys(lastRelease.steps).filter((name) => !(name in STEPS) && !(name in retired));
  expect(
    gone,
    'Jobs that run during the deployment call these by their versions, and CloudFormation would delete them with their ' +
      'functions. Put each into RETIRED_STEPS of statemachine/contract.ts, with the settings that it had; a renamed one ' +
      'under its old name. (While no release is out, renew test/cdk/last-release.json.)',
  ).toEqual([]);
});

it('retires steps for one release, with the rights that they had', () => {
  const before: Readonly<Record<string, readonly string[]>> = lastRelease.steps;
  for (const [name, { reaches }] of Object.entries(retired)) {
    expect(Object.keys(STEPS), `${name} is a step, and needs not be retired`).not.toContain(name);
    expect(before, `the last release had no ${name} any more: take it out of RETIRED_STEPS`).toHaveProperty(
      name,
    );
    expect(reaches, `${name} reaches something else than in the last release`).toEqual(before[name]);
  }
});
