import { describe, expect, it } from 'vitest';
import { decide, isArnLike, isLike, type Statement, UnknownInPolicyError, type Wish } from './policy.ts';

const TABLE = 'arn:aws:dynamodb:us-east-1:000000000000:table/t';
const statement: Statement = { Effect: 'Allow', Action: 'dynamodb:GetItem', Resource: TABLE };
const wish: Wish = {
  action: 'dynamodb:GetItem',
  resource: TABLE,
  principal: 'arn:aws:iam::000000000000:role/r',
  context: { 'aws:SecureTransport': 'true', 'aws:PrincipalAccount': '000000000000' },
};

it.each([
  ['*', ''],
  ['a*', 'a'],
  ['a*c', 'abbc'],
  ['*b*', 'abc'],
  ['a?c', 'abc'],
  ['a*bc*d', 'abcbcxd'],
  ['sqs:*', 'sqs:sendmessage'],
])('takes %j for a pattern of %j', (pattern, text) => {
  expect(isLike(pattern, text)).toBe(true);
});

it.each([
  ['a', 'ab'],
  ['a?', 'a'],
  ['a*b', 'abc'],
  ['*ab', 'ba'],
  ['', 'a'],
])('takes %j for no pattern of %j', (pattern, text) => {
  expect(isLike(pattern, text)).toBe(false);
});

it('compares ARNs part by part', () => {
  expect(isArnLike('arn:aws:lambda:*:1:function:f:*', 'arn:aws:lambda:x:1:function:f:7')).toBe(true);
  expect(isArnLike('arn:aws:lambda:x:1:function:f', 'arn:aws:lambda:x:1:function:f:7')).toBe(false);
  expect(isArnLike('arn:aws:sqs:*:q', 'arn:aws:sqs:x:1:q')).toBe(false);
  expect(isArnLike('*', 'arn:aws:sqs:x:1:q')).toBe(true);
});

describe('decides', () => {
  it.each<[string, Partial<Statement>, Partial<Wish>, string]>([
    ['what is allowed', {}, {}, 'allowed'],
    [
      'what one of several actions allows',
      { Action: ['dynamodb:PutItem', 'DynamoDB:getitem'] },
      {},
      'allowed',
    ],
    ['what is another action', {}, { action: 'dynamodb:PutItem' }, 'not allowed'],
    ['what is on an index of the table', {}, { resource: `${TABLE}/index/i` }, 'not allowed'],
    ['what is for all principals', { Principal: { AWS: '*' } }, {}, 'allowed'],
    ['what is for a service', { Principal: { Service: 'events.amazonaws.com' } }, {}, 'not allowed'],
    [
      'what a condition lets',
      { Condition: { StringEquals: { 'aws:PrincipalAccount': ['1', '000000000000'] } } },
      {},
      'allowed',
    ],
    [
      'what a condition on an absent key does not',
      { Condition: { StringEquals: { 'aws:SourceAccount': '1' } } },
      {},
      'not allowed',
    ],
    [
      'what is denied under a condition that does not hold',
      { Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } },
      {},
      'not allowed',
    ],
  ])('%s', (_what, changed, asked, decision) => {
    expect(decide([{ ...statement, ...changed }], { ...wish, ...asked })).toBe(decision);
  });

  it('lets a denial win, wherever it stands', () => {
    expect(decide([statement, { ...statement, Effect: 'Deny' }], wish)).toBe('denied');
    expect(decide([{ ...statement, Effect: 'Deny' }, statement], wish)).toBe('denied');
  });
});

it.each<[string, object]>([
  ['an element', { NotAction: 'dynamodb:*' }],
  ['an operator', { Condition: { StringLike: { 'aws:SourceAccount': '*' } } }],
  ['a condition key', { Condition: { StringEquals: { 'dynamodb:LeadingKeys': 'a' } } }],
  ['a kind of principal', { Principal: { Federated: 'x' } }],
  ['a policy variable', { Resource: `arn:aws:s3:::b/\${aws:username}` }],
  ['an effect', { Effect: 'Maybe' }],
])('refuses %s that it does not know, rather than guess', (_what, changed) => {
  expect(() => decide([{ ...statement, ...changed }], wish)).toThrow(UnknownInPolicyError);
});
