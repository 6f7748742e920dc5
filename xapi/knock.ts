import { connect } from 'node:net';
import { reasonOf } from '../http/reason.ts';
import { XapiUnreachable } from './transport-errors.ts';

const SECONDS = 3;

/**
 * Those of the members that take a connection, in their order: all are knocked at at once and nothing is sent, since
 * many may be behind a firewall that drops what goes to them. `refused` is told of each of the others.
 */
export async function answering(
  members: readonly URL[],
  refused: (error: XapiUnreachable) => void,
): Promise<readonly URL[]> {
  const open = await Promise.all(
    members.map((member) =>
      knock(member).then(
        () => true,
        (cause: unknown) => {
          refused(new XapiUnreachable(`${member.origin}: ${reasonOf(cause)}`, { cause }));
          return false;
        },
      ),
    ),
  );
  return members.filter((_, index) => open[index]);
}

function knock({ hostname, port, protocol }: URL): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: hostname.replace(/^\[|\]$/g, ''),
      port: Number(port) || (protocol === 'https:' ? 443 : 80),
    });
    const timer = setTimeout(() => fail(new Error(`no connection within ${SECONDS} s`)), SECONDS * 1000);
    const fail = (error: Error) => {
      clearTimeout(timer);
      socket.destroy();
      reject(error);
    };
    socket.once('error', fail);
    socket.once('connect', () => {
      clearTimeout(timer);
      socket.destroy();
      resolve();
    });
  });
}
