// Who may speak to the REST API: the host name against DNS rebinding, the origin against other pages, the operator token. Pure.
import { identifyCaller } from '../server/caller.ts';
import type { Caller, CallerRules } from '../server/caller.ts';
import { ProblemError } from './problems.ts';

export interface GuardRules extends CallerRules {
  /** Where the server listens. */
  readonly address: string;
  readonly tls: boolean;
}

export function isLoopback(address: string): boolean {
  return address === 'localhost' || address === '::1' || /^127(?:\.\d{1,3}){3}$/.test(address);
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

/** The operator, or UNAUTHENTICATED. The token is compared in constant time. */
export function authenticate(authorization: string | undefined, rules: GuardRules, nowMs: number): Caller {
  if (authorization === undefined) throw unauthenticated('this needs the header `authorization: Bearer <operator token>`');
  if (!/^bearer /i.test(authorization)) throw unauthenticated('the header `authorization` is not `Bearer <operator token>`');
  const result = identifyCaller({ certificate: undefined, authorization: [authorization] }, rules, nowMs);
  if (!result.ok) throw unauthenticated('the operator token is wrong');
  return result.caller;
}

function unauthenticated(detail: string): ProblemError {
  return new ProblemError('UNAUTHENTICATED', detail, {
    mend: 'the token is in the file `operator.token` in the state directory of this control plane',
    // RFC 9110 §11.6.1: a 401 says how.
    headers: { 'www-authenticate': 'Bearer realm="heddle"' },
  });
}

/** Without the port; IPv6 addresses without their brackets. */
function hostName(host: string): string {
  const [, bracketed, plain] = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:]*))(?::\d{1,5})?$/.exec(host) ?? [];
  return (bracketed ?? plain ?? '').toLowerCase();
}
