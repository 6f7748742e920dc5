import { normalizeCidr } from 'cidr-tools';
import * as z from 'zod';

const id = (prefix: string) =>
  z
    .string()
    .refine(
      (text) => text.startsWith(`${prefix}-`) && /^[a-z]+-[0-9a-f]+$/.test(text),
      `an id such as ${prefix}-0a1b`,
    );

/** A network; of an address within one, the network. AWS takes some for it, and CDK makes subnets beside it. */
const ipv4 = z.cidrv4().transform((text) => normalizeCidr(text));

/** The endpoints that functions in the VPC need: the table, the secrets, Step Functions. */
export const ENDPOINTS = ['dynamodb', 'secretsmanager', 'states'] as const;

/**
 * A VPC that is there; nothing is looked up, so all is named. It must have DNS support and DNS hostnames switched on,
 * which nothing here can see: without them the interface endpoints have no names of their own.
 */
const Existing = z.strictObject({
  vpcId: id('vpc'),
  /** Its address range; endpoints that are there already are reached within it. */
  vpcCidr: ipv4,
  availabilityZones: z.array(z.string()).min(1),
  /** One for each zone, in the same order, and each one's route table. They must have a way to the pools. */
  subnetIds: z.array(id('subnet')).min(1),
  routeTableIds: z.array(id('rtb')).min(1),
  /** The endpoints to make; leave out what the VPC has. */
  endpoints: z.array(z.enum(ENDPOINTS)).default([...ENDPOINTS]),
  /** The prefix list of DynamoDB in this region (`aws ec2 describe-managed-prefix-lists`); looked up while deploying if absent. */
  dynamodbPrefixListId: id('pl').optional(),
});

/** Prefixes that a VPC, and a subnet, may have. */
const WIDEST = 16;
const NARROWEST = 28;

const New = z
  .strictObject({
    cidr: ipv4,
    zones: z.int().min(1).max(3).default(2),
    /** Where a pool on premises is, and by which way. */
    vpn: z
      .strictObject({
        customerGatewayIp: z.ipv4(),
        asn: z.int().min(1).default(65000),
        /** Static routes; without any, the gateway announces them (BGP). */
        routes: z.array(ipv4).default([]),
      })
      .optional(),
    transitGateway: z.strictObject({ id: id('tgw'), routes: z.array(ipv4).min(1) }).optional(),
    dynamodbPrefixListId: id('pl').optional(),
  })
  .superRefine(({ cidr, zones }, context) => {
    const prefix = Number(cidr.split('/')[1]);
    // Each zone has a subnet of the same size, a power of two.
    const narrowest = NARROWEST - Math.ceil(Math.log2(zones));
    if (prefix >= WIDEST && prefix <= narrowest) return;
    const message = `a VPC of ${zones} zones has a prefix from /${WIDEST} to /${narrowest}`;
    context.addIssue({ code: 'custom', path: ['cidr'], message });
  });

/** Either `existing` or `new`. */
export const Network = z
  .strictObject({
    existing: Existing.optional(),
    new: New.optional(),
    /** The account's quota of outbound rules in a security group, if it is another than AWS gives at first. */
    egressRules: z.int().min(4).max(1000).default(60),
  })
  .refine((network) => (network.existing === undefined) !== (network.new === undefined), {
    message: 'either "existing" or "new"',
  })
  .refine(
    ({ existing }) =>
      existing === undefined ||
      (existing.subnetIds.length === existing.availabilityZones.length &&
        existing.routeTableIds.length === existing.subnetIds.length),
    {
      path: ['existing'],
      message: 'availabilityZones, subnetIds and routeTableIds must have the same length',
    },
  );

export type ExistingNetwork = z.infer<typeof Existing>;
export type NewNetwork = z.infer<typeof New>;
