// What foreign data planes are told about access: what they cannot follow fails closed, and is told. That they decide alike is shown by
// tests/interop/envoy-access.test.ts and grpc-access.test.ts.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ANY_REQUEST, DEFAULT_RETRY_BUDGET, forwardTo, NO_BREAKER, SINGLE_BALANCE } from '@heddle/core';
import type { AccessRule, Cluster, DataPlaneFlavour, Listener, OutboundToken, RouteConfig, TokenIssuer, VirtualHost } from '@heddle/core';
import { conditionSyntax } from '@heddle/core/cel';
import { Cluster as ClusterMessage } from '../../../gen/foreign/envoy/config/cluster/v3/cluster.ts';
import { Listener as ListenerMessage } from '../../../gen/foreign/envoy/config/listener/v3/listener.ts';
import { type RBAC, RBAC_Action } from '../../../gen/foreign/envoy/config/rbac/v3/rbac.ts';
import { RouteConfiguration } from '../../../gen/foreign/envoy/config/route/v3/route.ts';
import { RBACPerRoute, RBAC as RbacFilter } from '../../../gen/foreign/envoy/extensions/filters/http/rbac/v3/rbac.ts';
import { HttpConnectionManager } from '../../../gen/foreign/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.ts';
import { Secret } from '../../../gen/foreign/envoy/extensions/transport_sockets/tls/v3/secret.ts';
import { encodeFor, type EncodeOptions, type RefusedRoute } from '../index.ts';

const NAME = 'inbound/default/orders/orders-1';
const WEB = 'spiffe://shop.local/ns/default/svc/web';
const ISSUER: TokenIssuer = {
  ...{ name: 'login', issuer: 'https://id.example', audiences: ['shop'], keysMaxAgeMs: 300_000, algorithms: ['ES256'], skewMs: 0 },
  keys: { kind: 'url', url: 'https://id.example/jwks' },
  sources: [{ kind: 'header', name: 'authorization', prefix: 'Bearer ' }],
  ...{ claimHeaders: [{ claim: ['sub'], header: 'x-user' }], forward: true },
};
const LISTENER: Listener = {
  ...{ name: NAME, direction: 'inbound', address: '127.0.0.1', port: 1 },
  tls: { certificateName: 'workload', trustBundleName: 'trust-bundle', trustDomain: 'shop.local' },
  filter: { kind: 'http', routeConfigName: NAME },
};

interface Told {
  readonly listener: ListenerMessage;
  readonly filters: readonly string[];
  readonly clusters: readonly string[];
  readonly manager: HttpConnectionManager;
  readonly refused: readonly string[];
  /** Of the virtual host, or of the listener where it is there. */
  rules(filter: string): RBAC | undefined;
}

function tell(flavour: DataPlaneFlavour, policies: Partial<VirtualHost>, over: Partial<EncodeOptions> = {}, listened = LISTENER): Told {
  const refused: string[] = [];
  const routes: RouteConfig = {
    name: NAME,
    virtualHosts: [{ name: NAME, domains: ['*'], routes: [{ name: 'all', match: ANY_REQUEST, action: forwardTo('local') }], ...policies }],
  };
  const onRefused = (_: unknown, { kind, name, reason }: RefusedRoute): void => void refused.push(`${kind} ${name}: ${reason}`);
  const options = { trustDomain: 'shop.local', routeConfig: () => routes, expression: conditionSyntax, onRefused, ...over };
  const [first, ...others] = encodeFor(flavour, 'listener', listened, options);
  const listener = ListenerMessage.decode(first!.any.value);
  const manager = HttpConnectionManager.decode(listener.filterChains!.at(-1)!.filters![0]!.configType!.value!.value!);
  const route = flavour === 'envoy' ? RouteConfiguration.decode(encodeFor(flavour, 'route', routes, options)[0]!.any.value) : undefined;
  return {
    ...{ listener, manager, refused, clusters: others.map(({ name }) => name) },
    filters: manager.httpFilters!.map(({ name }) => name ?? ''),
    rules(name) {
      const own = route?.virtualHosts?.[0]?.typedPerFilterConfig?.[name];
      if (own !== undefined) return RBACPerRoute.decode(own.value!).rbac?.rules;
      const filter = manager.httpFilters!.find((one) => one.name === name)?.configType?.value;
      return filter === undefined || flavour === 'envoy' ? undefined : RbacFilter.decode((filter as { value: Uint8Array }).value).rules;
    },
  };
}

const rule = (effect: 'allow' | 'deny', over: Partial<AccessRule> = {}): AccessRule => ({
  ...{ name: effect === 'deny' ? 'denies' : 'allows', effect, subjects: [{ identities: [{ kind: 'exact', id: WEB }] }], permissions: [] },
  ...over,
});
const policy = (...rules: AccessRule[]): Partial<VirtualHost> => ({ access: { default: 'deny', rules } });

describe('an Envoy', () => {
  test('has filters for access on its way in only, which do nothing where nobody says so', () => {
    const { filters, rules, manager } = tell('envoy', {});
    assert.deepEqual(filters.slice(0, 3), ['heddle.denied_identities', 'heddle.deny_rules', 'heddle.allow_rules']);
    assert.equal(rules('heddle.allow_rules'), undefined);
    assert.equal(manager.normalizePath, undefined);
    const out = tell('envoy', {}, {}, { ...LISTENER, direction: 'outbound' });
    assert.ok(!out.filters.some((name) => name.startsWith('heddle.')));
  });

  test('refuses everybody where nobody is allowed', () => {
    assert.deepEqual(Object.keys(tell('envoy', policy()).rules('heddle.allow_rules')?.policies ?? { none: 0 }), []);
  });

  test('normalises paths where rules look at them', () => {
    const { manager } = tell('envoy', policy(rule('allow', { permissions: [{ paths: [{ kind: 'prefix', value: '/a' }] }] })));
    assert.deepEqual([manager.normalizePath, manager.mergeSlashes], [true, true]);
    assert.equal(tell('envoy', policy(rule('allow', { when: 'request.path == "/a"' }))).manager.normalizePath, true);
  });

  test('leaves out a rule that allows by what it cannot be told, and denies without it', () => {
    const when = 'claims.groups.exists(one, one == "staff")';
    const { rules, refused } = tell('envoy', { ...policy(rule('allow', { when }), rule('deny', { when })), tokens: { issuers: [ISSUER] } });
    assert.deepEqual(Object.keys(rules('heddle.allow_rules')?.policies ?? {}), []);
    assert.equal(rules('heddle.deny_rules')?.policies?.['denies']?.condition, undefined);
    assert.deepEqual(refused, [
      'policy access rule denies: Envoy has no words for a macro; it denies there whatever its condition says',
      'policy access rule allows: Envoy has no words for a macro; it allows nobody there',
    ]);
  });

  test('fails closed as long as nobody reads conditions for it', () => {
    const { expression: _, ...rest } = { expression: undefined };
    const { rules } = tell('envoy', policy(rule('allow', { when: 'true' })), { ...rest, expression: undefined as never });
    assert.deepEqual(Object.keys(rules('heddle.allow_rules')?.policies ?? {}), []);
  });

  test('enforces nothing of a policy that only watches', () => {
    const { rules } = tell('envoy', { access: { default: 'deny', rules: [rule('allow'), rule('deny')], audit: true } });
    assert.deepEqual([rules('heddle.allow_rules'), rules('heddle.deny_rules')], [undefined, undefined]);
  });

  test('looks at tokens before rules, with a cluster for the keys of each issuer', () => {
    const { filters, clusters } = tell('envoy', { tokens: { issuers: [ISSUER] } });
    assert.deepEqual(filters.slice(0, 4), [
      'heddle.denied_identities',
      'envoy.filters.http.jwt_authn',
      'heddle.token_form',
      'heddle.deny_rules',
    ]);
    assert.deepEqual(clusters, [`${NAME}/keys/id.example:443`]);
  });

  test('is not told of tokens that its listener does not know', () => {
    assert.throws(
      () => tell('envoy', { tokens: { issuers: [ISSUER] } }, { routeConfig: undefined as never }),
      /virtual_hosts\[0\]: its listener cannot be told about tokens and authorizers here/,
    );
  });

  test('refuses identities that are denied on its way in, and takes none of them for a peer', () => {
    const { rules } = tell('envoy', {}, { denied: [WEB] });
    assert.equal(rules('heddle.denied_identities')?.action, RBAC_Action.DENY);
    for (const flavour of ['envoy', 'grpc'] as const) {
      assert.ok(!peersOf(flavour, [WEB, `${WEB}2`], []).includes('nobody'), flavour);
      assert.deepEqual(peersOf(flavour, [WEB, `${WEB}2`], [WEB]), [`${WEB}2`], flavour);
      // An empty list would be one that takes every peer.
      assert.deepEqual(peersOf(flavour, [WEB], [WEB]), ['denied'], flavour);
    }
    const secret = encodeFor('envoy', 'secret', { name: 'trust-bundle', rootsPem: 'pem', denied: [WEB] }, { trustDomain: 'shop.local' });
    assert.equal(Secret.decode(secret[0]!.any.value).type?.$case, 'validationContext');
    assert.ok(!Buffer.from(secret[0]!.any.value).includes('IdentityValidator'));
  });

  test('takes connections without TLS by a chain of their own, with the same filters', () => {
    const { listener } = tell('envoy', policy(rule('allow')), {}, { ...LISTENER, tls: { ...LISTENER.tls!, plaintext: true } });
    const [withTls, without] = listener.filterChains ?? [];
    assert.deepEqual([withTls?.transportSocket !== undefined, without?.transportSocket], [true, undefined]);
    assert.deepEqual(withTls?.filters, without?.filters);
  });

  test('answers calls that need a token which it cannot attach', () => {
    const token: OutboundToken = {
      ...{ name: 'billing-api', grant: 'client-credentials', url: 'https://id.example/token', clientId: 'orders' },
      ...{ clientSecretFile: 'secret', scopes: [], header: 'authorization' },
    };
    for (const flavour of ['envoy', 'grpc'] as const) {
      const refused: string[] = [];
      const host = (attach: VirtualHost['attach'] & object): RouteConfig => ({
        name: 'outbound/default/billing',
        virtualHosts: [
          { name: 'billing', domains: ['*'], routes: [{ name: 'all', match: ANY_REQUEST, action: forwardTo('billing') }], attach },
        ],
      });
      const options = {
        trustDomain: 'shop.local',
        onRefused: (_: unknown, { kind, name }: RefusedRoute) => void refused.push(`${kind} ${name}`),
      };
      encodeFor(flavour, 'route', host([{ from: [WEB], token }]), options);
      assert.deepEqual(refused.splice(0), ['policy outbound token billing-api'], flavour);
      encodeFor(flavour, 'route', host([{ from: [], token }]), options);
      assert.deepEqual(refused, ['route all'], flavour);
    }
  });
});

describe('a gRPC server', () => {
  test('has the rules in its listener', () => {
    const { filters, rules } = tell('grpc', policy(rule('allow'), rule('deny')), { denied: [WEB] });
    assert.deepEqual(filters, ['denied identities', 'deny rules', 'allow rules', 'envoy.filters.http.router']);
    assert.deepEqual(Object.keys(rules('allow rules')?.policies ?? {}), ['allows']);
  });

  test('allows nobody by a rule that asks for what it does not know, and denies without it', () => {
    const parts: Partial<AccessRule>[] = [
      { when: 'true' },
      { subjects: [{ identities: [{ kind: 'exact', id: WEB }], token: { issuers: [], claims: [] } }] },
      { permissions: [{ headers: [{ name: 'grpc-x' }] }] },
    ];
    for (const part of parts) {
      const { rules, refused } = tell('grpc', policy(rule('allow', part), rule('deny', part)));
      assert.deepEqual(Object.keys(rules('allow rules')?.policies ?? { none: 0 }), []);
      const { permissions, principals } = rules('deny rules')?.policies?.['denies'] ?? {};
      assert.deepEqual([permissions?.[0]?.rule?.$case, principals?.[0]?.identifier?.$case], ['any', 'authenticated']);
      assert.equal(refused.length, 2);
    }
  });

  test('takes no call by a rule for other methods than POST', () => {
    const { rules, refused } = tell('grpc', policy(rule('allow', { permissions: [{ methods: ['GET'] }] })));
    assert.deepEqual([Object.keys(rules('allow rules')?.policies ?? { none: 0 }), refused], [[], []]);
  });

  test('refuses calls with tokens that nobody checks, and all where an authorizer should be asked', () => {
    const external = { cluster: 'authz', timeoutMs: 100, failOpen: true, bodyBytesMax: 0 };
    const { filters, rules, refused } = tell('grpc', { tokens: { issuers: [ISSUER] }, access: { default: 'allow', rules: [], external } });
    assert.deepEqual(filters, ['tokens', 'authorizer', 'envoy.filters.http.router']);
    const named = rules('tokens')?.policies?.['tokens']?.permissions?.map(({ rule: one }) => one?.$case === 'header' && one.value.name);
    assert.deepEqual(named, ['authorization', 'x-user']);
    assert.equal(rules('authorizer')?.policies?.['authorizer']?.permissions?.[0]?.rule?.$case, 'any');
    assert.equal(refused.length, 2);
  });
});

/** Who may be the peer of a cluster, as the flavour is told it. */
function peersOf(flavour: 'envoy' | 'grpc', peerIds: readonly string[], denied: readonly string[]): string[] {
  const cluster: Cluster = {
    ...{
      name: 'outbound/default/web',
      service: { namespace: 'default', name: 'web' },
      endpoints: { kind: 'eds' },
      balance: SINGLE_BALANCE,
    },
    ...{ connectTimeoutMs: 1_000, breaker: NO_BREAKER, retryBudget: DEFAULT_RETRY_BUDGET, http: 'http2' },
    tls: { certificateName: 'workload', trustBundleName: 'trust-bundle', peerIds, alpn: ['h2'] },
  };
  const [encoded] = encodeFor(flavour, 'cluster', cluster, { trustDomain: 'shop.local', denied });
  const socket = ClusterMessage.decode(encoded!.any.value).transportSocket!.configType!.value.value!;
  return [
    ...Buffer.from(socket)
      .toString('latin1')
      .matchAll(/spiffe:\/\/[a-z0-9./]+|denied/g),
  ].map(([text]) => text);
}
