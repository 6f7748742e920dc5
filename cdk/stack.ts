import { Stack } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { parseSettings } from './config.ts';
import { Xensnap } from './construct.ts';

/** The whole of one installation, as `cdk deploy` makes it; named after the installation. */
export class XensnapStack extends Stack {
  readonly xensnap: Xensnap;

  /** Throws a ConfigurationError that names each wrong field of `settings`. */
  constructor(scope: Construct, id: string, settings: unknown) {
    const { installation, terminationProtection } = parseSettings(settings);
    super(scope, id, {
      stackName: `xensnap-${installation}`,
      description: 'xensnap: images of running XenServer and XCP-ng VMs in OpenStack Glance',
      terminationProtection,
      // Tags every resource, so that what an installation costs can be told.
      tags: { xensnap: installation },
    });
    this.xensnap = new Xensnap(this, 'Xensnap', settings);
  }
}
