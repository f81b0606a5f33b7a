// Who may speak to the REST API: the host name against DNS rebinding, the origin against other pages, the operator token. Pure.
import type { Authenticator } from '../server/authenticator.ts';
import { hasRole } from '../server/caller.ts';
import type { Caller, Role } from '../server/caller.ts';
import { isLoopback } from '../server/listening.ts';
import { ProblemError } from './problems.ts';

export interface GuardRules {
  /** Where the server listens. */
  readonly address: string;
  readonly tls: boolean;
}

/**
 * On loopback a name that somebody else controls may lead here (DNS rebinding), and a browser would take the answer for that name's own:
 * only names of this machine are served. Elsewhere the certificate takes care of it.
 */
export function checkHost(host: string | undefined, { address }: GuardRules): void {
  if (!isLoopback(address)) return;
  const name = hostName(host ?? '');
  if (name === address || isLoopback(name)) return;
  throw new ProblemError('MISDIRECTED', `this server is not called ${JSON.stringify((host ?? '').slice(0, 100))}`, {
    mend: 'call it by its address, 127.0.0.1 or localhost',
  });
}

/** A browser says on whose behalf it sends what changes something (Fetch Standard, `Origin`; Fetch Metadata, `Sec-Fetch-Site`). */
export function checkOrigin(
  {
    host,
    origin,
    fetchSite,
  }: { readonly host: string | undefined; readonly origin: string | undefined; readonly fetchSite: string | undefined },
  { tls }: GuardRules,
): void {
  const own = `${tls ? 'https' : 'http'}://${(host ?? '').toLowerCase()}`;
  const foreign = (origin !== undefined && origin.toLowerCase() !== own) || fetchSite === 'cross-site' || fetchSite === 'same-site';
  if (!foreign) return;
  throw new ProblemError(
    'FOREIGN_ORIGIN',
    `a page of ${JSON.stringify((origin ?? 'another origin').slice(0, 200))} may not change anything here`,
    {
      mend: 'send the request from a program, or from a page that this server itself has served',
    },
  );
}

/** Who shows the token, or UNAUTHENTICATED, LIMIT. `address`: of the other end. */
export async function authenticate(authorization: string | undefined, authenticator: Authenticator, address: string): Promise<Caller> {
  if (authorization === undefined) throw unauthenticated('this needs the header `authorization: Bearer <token>`');
  if (!/^bearer /i.test(authorization)) throw unauthenticated('the header `authorization` is not `Bearer <token>`');
  const result = await authenticator.identify({ certificate: undefined, authorization: [authorization] }, address);
  if (result.ok) return result.caller;
  if (result.isThrottled === true) throw new ProblemError('LIMIT', result.reason, { headers: { 'retry-after': '5' } });
  throw unauthenticated(result.reason);
}

/** Throws ProblemError FORBIDDEN. */
export function requireRole(caller: Caller, role: Role): void {
  if (hasRole(caller, role)) return;
  const who = caller.kind === 'anonymous' ? 'nobody' : caller.uri;
  const has = caller.kind === 'administrator' ? ` has the role ${caller.role}, and` : '';
  throw new ProblemError('FORBIDDEN', `${who}${has} may not do this: it needs the role ${role}`, {
    mend: `ask the operator for a token with the role ${role}: heddle token create --admin NAME --role ${role}`,
  });
}

function unauthenticated(detail: string): ProblemError {
  return new ProblemError('UNAUTHENTICATED', detail, {
    mend: "use a token of `heddle token create --admin`, or the operator's, in the file `operator.token` in the state directory of this control plane",
    // RFC 9110 §11.6.1: a 401 says how.
    headers: { 'www-authenticate': 'Bearer realm="heddle"' },
  });
}

/** Without the port; IPv6 addresses without their brackets. */
function hostName(host: string): string {
  const [, bracketed, plain] = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:]*))(?::\d{1,5})?$/.exec(host) ?? [];
  return (bracketed ?? plain ?? '').toLowerCase();
}
