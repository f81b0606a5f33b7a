// From `security` to what holds for the mesh: issuers, tokens that calls are given, access, denied identities.
import { isAbsolute, join } from 'node:path';
import { formatSpiffeId } from '../../identity/spiffe.ts';
import { DEFAULT_SECURITY } from '../../model/defaults.ts';
import type { KeySource, OutboundTokenRule, SecurityConfig, TokenIssuer, TokenSource } from '../../model/security.ts';
import { EGRESS_NAMESPACE } from '../../model/service.ts';
import type { ServiceRef } from '../../model/service.ts';
import type { EgressHost } from '../../model/traffic.ts';
import type { IssuerOutput, OutboundOutput, SecurityOutput } from '../schema/security.ts';
import { buildAccess, claimPathOf, serviceNamed } from './access.ts';
import { listAt, milliseconds, type TextOf } from './values.ts';

export const BEARER_HEADER = 'authorization';
const BEARER_PREFIX = 'Bearer ';
const KEYS_MAX_AGE = '10m';

export interface SecurityScope {
  readonly trustDomain: string;
  readonly egress: readonly EgressHost[];
  /** Relative names of files on other machines start from it. */
  readonly directory: string;
  /** What is in a file that was read, by its name in the configuration. */
  readonly contentOf: (file: string) => string;
  readonly textOf: TextOf;
}

export function buildSecurity(input: SecurityOutput, scope: SecurityScope): SecurityConfig {
  const { trustDomain, textOf } = scope;
  const issuers = input.issuers.map(({ name, rolesClaim, groupsClaim }) => ({
    name,
    roles: claimPathOf(rolesClaim),
    groups: claimPathOf(groupsClaim),
  }));
  return {
    mtls: input.mtls,
    tlsMin: String(input.tls.min) === '1.2' ? '1.2' : '1.3',
    issuers: input.issuers.map((issuer) => buildIssuer(issuer, scope)),
    access:
      input.access === undefined
        ? DEFAULT_SECURITY.access
        : buildAccess(input.access, { trustDomain, issuers, textOf }, ['security', 'access']),
    denied: input.deny.map((written) => deniedId(written, trustDomain)),
    outboundTokens: input.outbound.map((token) => buildOutbound(token, scope)),
  };
}

/** @param written a service, or a SPIFFE id. */
export function deniedId(written: string, trustDomain: string): string {
  return written.includes('://') ? written : formatSpiffeId({ trustDomain, ...serviceNamed(written) });
}

function buildIssuer(input: IssuerOutput, scope: SecurityScope): TokenIssuer {
  const { introspection, roots } = input;
  return {
    name: input.name,
    issuer: input.issuer,
    audiences: listAt<string>(input.audiences, []).map(({ item }) => item),
    keys: buildKeys(input.keys, scope),
    keysMaxAgeMs: milliseconds(input.keysMaxAge ?? KEYS_MAX_AGE),
    ...(roots !== undefined && { rootsPem: scope.contentOf(roots) }),
    algorithms: [...input.algorithms],
    sources: input.from === undefined ? [bearer()] : listAt(input.from, []).map(({ item }) => buildSource(item)),
    skewMs: milliseconds(input.skew),
    claimHeaders: Object.entries(input.claimHeaders ?? {}).map(([header, claim]) => ({
      claim: claimPathOf(claim),
      header: header.toLowerCase(),
    })),
    forward: input.forward,
    ...(introspection && {
      introspection: {
        url: introspection.url,
        clientId: introspection.clientId,
        clientSecretFile: absolute(introspection.clientSecretFile, scope),
        cacheMs: milliseconds(introspection.cache),
      },
    }),
  };
}

function buildKeys(keys: IssuerOutput['keys'], { contentOf }: SecurityScope): KeySource {
  if (keys === undefined) return { kind: 'discovery' };
  if (typeof keys === 'string') return { kind: 'url', url: keys };
  return keys.url === undefined ? { kind: 'inline', jwks: contentOf(keys.file as string) } : { kind: 'url', url: keys.url };
}

type SourceInput = Exclude<NonNullable<IssuerOutput['from']>, readonly unknown[]>;

function buildSource(input: SourceInput): TokenSource {
  if (input.cookie !== undefined) return { kind: 'cookie', name: input.cookie };
  const name = (input.header as string).toLowerCase();
  return { kind: 'header', name, prefix: input.prefix ?? (name === BEARER_HEADER ? BEARER_PREFIX : '') };
}

function bearer(): TokenSource {
  return { kind: 'header', name: BEARER_HEADER, prefix: BEARER_PREFIX };
}

function buildOutbound(input: OutboundOutput, scope: SecurityScope): OutboundTokenRule {
  const { name, grant, url, clientId, audience, roots } = input;
  return {
    token: {
      name,
      grant,
      url,
      clientId,
      clientSecretFile: absolute(input.clientSecretFile, scope),
      scopes: [...input.scopes],
      ...(audience !== undefined && { audience }),
      ...(roots !== undefined && { rootsPem: scope.contentOf(roots) }),
      header: input.header.toLowerCase(),
    },
    from: listAt<string>(input.from, []).map(({ item }) => serviceNamed(item)),
    to: listAt<string>(input.to, []).flatMap(({ item }) => calledAs(item, scope.egress)),
  };
}

/** Hosts outside the mesh go by their authority; a host that is named without a port is meant at each of its ports. */
function calledAs(name: string, egress: readonly EgressHost[]): ServiceRef[] {
  const hosts = egress.filter((host) => egressNames(host.host, host.port).includes(name.toLowerCase()));
  if (hosts.length === 0) return [serviceNamed(name)];
  return hosts.map(({ host, port }) => ({ namespace: EGRESS_NAMESPACE, name: authorityOf(host, port) }));
}

/** How a host outside the mesh may be named where calls to it are meant. @param host in lower case. */
export function egressNames(host: string, port: number): readonly string[] {
  return [host, authorityOf(host, port)];
}

function authorityOf(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function absolute(file: string, { directory }: SecurityScope): string {
  return isAbsolute(file) ? file : join(directory, file);
}
