// What the owners of a mesh say about security, as far as it concerns one service: what its own data planes enforce, and what callers are told.
// A change is looked at service by service; what comes out equal keeps its identity, so that only the services concerned are compiled anew.
import { isDeepStrictEqual } from 'node:util';
import { DEFAULT_SECURITY, accessPolicyOf, callersOf, formatSpiffeId, serviceKey } from '@heddle/core';
import type {
  AccessPolicy,
  AccessRule,
  AttachedToken,
  CallerPolicy,
  MtlsMode,
  SecurityConfig,
  Service,
  ServiceRef,
  TokenPolicy,
} from '@heddle/core';
import { targetsOf } from './labels.ts';
import { outboundName } from './names.ts';
import { carriesHttp } from './protocols.ts';

/** What callers of a service are told, in its virtual host. */
export interface CallerSide {
  readonly callers?: CallerPolicy;
  readonly attach?: readonly AttachedToken[];
}

export interface ServiceSecurity {
  readonly mtls: MtlsMode;
  /** Absent: TLS 1.3. */
  readonly minVersion?: '1.2';
  /** What the data planes of its instances enforce. */
  readonly inbound: { readonly access?: AccessPolicy; readonly tokens?: TokenPolicy };
  readonly outbound: CallerSide;
}

/** Of a mesh that says nothing about security. */
export const DEFAULT_SERVICE_SECURITY: ServiceSecurity = { mtls: 'strict', inbound: {}, outbound: {} };

/** The one request that every data plane must be able to make: `envoy.service.auth.v3.Authorization/Check` of the external authorizer. */
const CHECK_PATH = '/envoy.service.auth.v3.Authorization/Check';

export class SecurityCompiler {
  readonly #trustDomain: string;
  readonly #services = new Map<string, ServiceSecurity>();
  /** Those whose policies have labels of services in them. */
  readonly #labelled = new Set<string>();
  #security: SecurityConfig = DEFAULT_SECURITY;

  constructor(trustDomain: string) {
    this.#trustDomain = trustDomain;
  }

  of(service: ServiceRef): ServiceSecurity {
    return this.#services.get(serviceKey(service)) ?? DEFAULT_SERVICE_SECURITY;
  }

  /** Tokens for calls to a host outside the mesh. */
  ofEgress(host: ServiceRef): CallerSide {
    return attachOf(this.#security, host, this.#trustDomain);
  }

  /** `declared`: keys of services that came, changed or went. Returns the keys of those whose security is not what it was. */
  apply(security: SecurityConfig, services: ReadonlyMap<string, Service>, declared: ReadonlySet<string>): Set<string> {
    const isAnew = security !== this.#security;
    this.#security = security;
    const all = [...services.values()];
    const changed = new Set<string>();
    const due = isAnew ? new Set([...services.keys(), ...declared]) : new Set([...declared, ...(declared.size > 0 ? this.#labelled : [])]);
    for (const key of due) {
      const service = services.get(key);
      const before = this.#services.get(key) ?? DEFAULT_SERVICE_SECURITY;
      const after = service === undefined ? DEFAULT_SERVICE_SECURITY : securityOf(security, service, all, this.#trustDomain);
      if (after.inbound.access?.labels === undefined) this.#labelled.delete(key);
      else this.#labelled.add(key);
      if (isDeepStrictEqual(before, after)) continue;
      changed.add(key);
      if (service === undefined) this.#services.delete(key);
      else this.#services.set(key, after);
    }
    return changed;
  }
}

/** `services`: all of the mesh. */
function securityOf(security: SecurityConfig, service: Service, services: readonly Service[], trustDomain: string): ServiceSecurity {
  const mtls = service.mtls ?? security.mtls;
  const access = accessOf(security, service, services, trustDomain);
  const callers = access === undefined || mtls === 'off' || leadsElsewhere(service) ? undefined : callersOf(access);
  const { issuers, tlsMin } = security;
  return {
    mtls,
    ...(tlsMin === '1.2' && { minVersion: tlsMin }),
    inbound: {
      ...(access !== undefined && { access }),
      ...(issuers.length > 0 && carriesHttp(service) && { tokens: { issuers } }),
    },
    outbound: { ...(callers !== undefined && { callers }), ...attachOf(security, service, trustDomain) },
  };
}

/** The authorizer itself is asked by everybody, and asks nobody. */
function accessOf(security: SecurityConfig, service: Service, services: readonly Service[], trustDomain: string): AccessPolicy | undefined {
  const authorizer = security.access.external?.service;
  if (authorizer === undefined || serviceKey(authorizer) !== serviceKey(service))
    return accessPolicyOf(security, service, services, trustDomain, authorizer === undefined ? undefined : outboundName(authorizer));
  const policy = accessPolicyOf(security, service, services, trustDomain);
  return policy?.default === 'deny' ? { ...policy, rules: [...policy.rules, checkRule(policy.rules)] } : policy;
}

function checkRule(others: readonly AccessRule[]): AccessRule {
  const names = new Set(others.map(({ name }) => name));
  let name = 'external authorizer';
  for (let count = 2; names.has(name); count += 1) name = `external authorizer (${count})`;
  return {
    name,
    effect: 'allow',
    subjects: [{ identities: [{ kind: 'any' }] }],
    permissions: [{ methods: ['POST'], paths: [{ kind: 'exact', value: CHECK_PATH }] }],
  };
}

/** Whether requests to the service may be answered by another one, or on the way: then who may not call it may still ask for it. */
function leadsElsewhere(service: Service): boolean {
  if (service.rules.some(({ action }) => action.kind !== 'forward')) return true;
  for (const target of targetsOf(service)) if (serviceKey(target.service) !== serviceKey(service)) return true;
  return false;
}

function attachOf(
  { outboundTokens }: SecurityConfig,
  service: ServiceRef,
  trustDomain: string,
): { readonly attach?: readonly AttachedToken[] } {
  const key = serviceKey(service);
  const attach = outboundTokens
    .filter(({ to }) => to.some((target) => serviceKey(target) === key))
    .map(({ token, from }) => ({ from: from.map(({ namespace, name }) => formatSpiffeId({ trustDomain, namespace, name })), token }));
  return attach.length === 0 ? {} : { attach };
}
