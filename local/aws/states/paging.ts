import { ServiceError } from '../json-service.ts';

/**
 * One page of a list: `maxResults` items (0 or absent: 100) from where `nextToken` of the page before left off.
 * @throws ServiceError InvalidToken
 */
export function page<Item>(
  items: Item[],
  request: Record<string, unknown>,
  most: number,
): { items: Item[]; nextToken?: string } {
  const from = request.nextToken === undefined ? 0 : offset(request.nextToken);
  const to = from + Math.min(Number(request.maxResults) || 100, most);
  return {
    items: items.slice(from, to),
    ...(to < items.length && { nextToken: Buffer.from(`from ${to}`).toString('base64') }),
  };
}

function offset(nextToken: unknown): number {
  const found = /^from (\d+)$/.exec(Buffer.from(String(nextToken), 'base64').toString());
  if (!found) throw new ServiceError('InvalidToken', 'Invalid Token');
  return Number(found[1]);
}
