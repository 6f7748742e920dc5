import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createApp } from '../../cdk/app.ts';

export interface Resource {
  readonly Type: string;
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into whatever CloudFormation is told
  readonly Properties: any;
  readonly DeletionPolicy?: string;
  readonly DependsOn?: readonly string[];
  readonly Metadata?: Readonly<Record<string, string>>;
}

/** A stack as CloudFormation gets it. */
export interface Synthesized {
  readonly template: { readonly Resources: Readonly<Record<string, Resource>> };
  /** Where the assets are. */
  readonly folder: string;
  /** Resources of a type, by their paths below the stack's construct. */
  all(type: string): Readonly<Record<string, Resource>>;
  /** The one resource of a type at a path. */
  one(type: string, path: string): Resource;
  /** Its logical id. */
  idOf(type: string, path: string): string;
  remove(): void;
}

/** Synthesises the app, with AWS's rules, out of these settings; with the bundles only where they are asked for. */
export function synthesize(settings: unknown, { bundles = false } = {}): Synthesized {
  const folder = mkdtempSync(join(tmpdir(), 'xensnap-cdk-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    const context = {
      xensnap: settings,
      // Settings that the command line makes: what a resource is called in the app, and where its asset is.
      'aws:cdk:enable-path-metadata': true,
      'aws:cdk:enable-asset-metadata': true,
      ...(!bundles && { 'aws:cdk:bundling-stacks': [] }),
    };
    const { app, stack } = createApp({ outdir: folder, context });
    // CloudFormation's rules take longer than all else, and only warn: they are looked at once, beside the bundles.
    if (!bundles) process.env.CDK_VALIDATION = 'false';
    app.synth();
    const template = JSON.parse(readFileSync(join(folder, stack.templateFile), 'utf8'));
    return { ...lookInto(template), folder, remove };
  } catch (error) {
    remove();
    throw error;
  } finally {
    delete process.env.CDK_VALIDATION;
  }
}

function lookInto(template: Synthesized['template']): Pick<Synthesized, 'template' | 'all' | 'one' | 'idOf'> {
  const all: Synthesized['all'] = (type) => {
    const found = Object.values(template.Resources).filter(({ Type }) => Type === type);
    return Object.fromEntries(found.map((resource) => [pathOf(resource), resource]));
  };
  const one: Synthesized['one'] = (type, path) => {
    const found = all(type)[path];
    if (!found) throw new Error(`no ${type} at ${path}: there is ${Object.keys(all(type)).join(', ')}`);
    return found;
  };
  return {
    template,
    all,
    one,
    idOf(type, path) {
      const wanted = one(type, path);
      return Object.entries(template.Resources).find(([, resource]) => resource === wanted)?.[0] ?? '';
    },
  };
}

export function pathOf({ Metadata }: Resource): string {
  return (Metadata?.['aws:cdk:path'] ?? '')
    .replace(/^Xensnap\/Xensnap\//, '')
    .replace(/\/(Resource|Default)$/, '');
}

/** The logical id that a reference, such as `{"Ref"}` or `{"Fn::GetAtt"}`, leads to. */
export function target(reference: unknown): string | undefined {
  const { Ref: ref, 'Fn::GetAtt': attribute } = (reference ?? {}) as {
    Ref?: string;
    'Fn::GetAtt'?: string[];
  };
  return ref ?? attribute?.[0];
}
