import { rootCertificates } from 'node:tls';
import cdkJson from '../../cdk.json' with { type: 'json' };

/** The example of cdk.json: a VPC that is there, one pool, IAM. */
export const EXAMPLE = cdkJson.context.xensnap;

/** A new VPC with a VPN, two pools, one of them by name, Keystone for Glance and for callers, all secrets named. */
export const TWO_POOLS = {
  installation: 'two-pools',
  pools: [
    {
      name: 'east',
      addresses: ['https://10.1.0.11', 'https://10.1.0.12:8443'],
      ca: rootCertificates[0],
      secretArn: 'arn:aws:secretsmanager:eu-west-1:111122223333:secret:pools/east-a1B2c3',
      srSlots: { 'd6c2e1ba-42f6-4a6c-8f0d-3a1f6b0b5d11': 1 },
    },
    {
      name: 'west',
      driver: 'libvirt',
      addresses: ['https://west.example'],
      cidr: ['10.2.0.0/28', 'fd00:2::/64'],
      secretArn: 'arn:aws:secretsmanager:eu-west-1:111122223333:secret:pools/west-d4E5f6',
    },
  ],
  glance: {
    url: 'https://glance.example:9292',
    cidr: '10.3.0.5/32',
    keystone: { url: 'https://10.3.0.6:5000' },
    secretArn: 'arn:aws:secretsmanager:eu-west-1:111122223333:secret:glance-g7H8i9',
  },
  authorisation: { type: 'keystone', cacheSeconds: 30 },
  projects: { '0af1': { vmTags: ['shop'] } },
  network: {
    new: {
      cidr: '10.9.0.0/24',
      vpn: { customerGatewayIp: '198.51.100.7', routes: ['10.0.0.0/14'] },
      transitGateway: { id: 'tgw-0a1b2c3d', routes: ['10.3.0.0/16'] },
    },
  },
  relock: 'restore',
  retain: { table: 'destroy', logs: 'destroy', secrets: 'destroy' },
};

/** Settings of so many pools with so many hosts each, with long names, certificates pinned, in a VPC that is there. */
export function largeSettings(size: { pools: number; hosts: number; secrets?: string | undefined }) {
  const certificate = Array.from({ length: 32 }, () => '5A').join(':');
  return {
    ...EXAMPLE,
    installation: 'an-installation-with-the-longest-name-ok',
    pools: Array.from({ length: size.pools }, (_, pool) => {
      const name = `data-centre-${pool}-of-the-company-with-a-name-as-long-as-it-may`.slice(0, 60);
      return {
        name,
        addresses: Array.from({ length: size.hosts }, (_, host) => `https://10.20.${pool}.${11 + host}`),
        cidr: `10.20.${pool}.0/25`,
        fingerprints: Array.from({ length: size.hosts }, () => certificate),
        ...(size.secrets && { secretArn: `${size.secrets}:${name}-a1B2c3` }),
      };
    }),
  };
}
