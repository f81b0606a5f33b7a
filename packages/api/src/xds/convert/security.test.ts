// Who may make requests, with which tokens, and who is refused: nothing of it is ignored, and nothing empty reads as everybody.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { AccessPolicy, Listener, RouteConfig, TokenIssuer, TrustBundle, VirtualHost } from '@heddle/core';
import { Listener as ListenerMessage } from '../../gen/envoy/envoy/config/listener/v3/listener.ts';
import { RouteConfiguration } from '../../gen/envoy/envoy/config/route/v3/route.ts';
import { Secret } from '../../gen/envoy/envoy/extensions/transport_sockets/tls/v3/secret.ts';
import { IdentityValidator, VirtualHostExtension } from '../../gen/own/heddle/config/v1/security.ts';
import { TYPE_URLS } from '../kinds.ts';
import { decodeResource, encodeResource, XdsRejection } from './index.ts';
import { pack } from './strict.ts';

const WEB = 'spiffe://shop.local/ns/default/svc/web';
const LOGIN: TokenIssuer = {
  name: 'login',
  issuer: 'https://id.example',
  audiences: ['shop'],
  keys: { kind: 'discovery' },
  keysMaxAgeMs: 300_000,
  algorithms: ['ES256'],
  sources: [{ kind: 'header', name: 'authorization', prefix: 'Bearer ' }],
  skewMs: 60_000,
  claimHeaders: [],
  forward: true,
};
const ACCESS: AccessPolicy = {
  default: 'deny',
  rules: [{ name: 'rule 1', effect: 'allow', subjects: [{ identities: [{ kind: 'exact', id: WEB }] }], permissions: [] }],
};

const configOf = (policies: Partial<VirtualHost>): RouteConfig => ({
  name: 'r',
  virtualHosts: [{ name: 'v', domains: ['*'], routes: [], ...policies }],
});

function refused(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    assert.ok(error instanceof XdsRejection, String(error));
    return error.message;
  }
  return assert.fail('was accepted');
}

const PLACE = "RouteConfiguration 'x': virtual_hosts[0]: metadata: typed_filter_metadata: dev.heddle: ";

/** What a data plane says to a virtual host with this extension, after the place where it stands. */
function refusal(extension: VirtualHostExtension | Uint8Array): string {
  const any = pack(VirtualHostExtension, extension instanceof Uint8Array ? {} : extension);
  const own = extension instanceof Uint8Array ? { ...any, value: extension } : any;
  const host = { name: 'v', domains: ['*'], metadata: { typedFilterMetadata: { 'dev.heddle': own } } };
  const value = RouteConfiguration.encode({ name: 'r', virtualHosts: [host] }).finish();
  const message = refused(() => decodeResource('route', { typeUrl: TYPE_URLS.route, value }, 'x'));
  assert.ok(message.startsWith(PLACE), message);
  return message.slice(PLACE.length);
}

/** The extension as a control plane writes it, of which tests change parts. */
function written(policies: Partial<VirtualHost>): VirtualHostExtension {
  const { virtualHosts } = RouteConfiguration.decode(encodeResource('route', configOf(policies)).any.value);
  return VirtualHostExtension.decode(virtualHosts![0]!.metadata!.typedFilterMetadata!['dev.heddle']!.value!);
}

const access = (
  change: (rule: NonNullable<NonNullable<VirtualHostExtension['access']>['rules']>[number]) => void,
): VirtualHostExtension => {
  const extension = written({ access: ACCESS, tokens: { issuers: [LOGIN] } });
  change(extension.access!.rules![0]!);
  return extension;
};
const issuer = (
  change: (issuer: NonNullable<NonNullable<VirtualHostExtension['tokens']>['issuers']>[number]) => void,
): VirtualHostExtension => {
  const extension = written({ tokens: { issuers: [LOGIN] } });
  change(extension.tokens!.issuers![0]!);
  return extension;
};

test('a virtual host without policies has no metadata', () => {
  const { virtualHosts } = RouteConfiguration.decode(encodeResource('route', configOf({})).any.value);
  assert.equal(virtualHosts![0]!.metadata, undefined);
});

describe('a virtual host is rejected', () => {
  test('for a field that this version does not know, at any depth', () => {
    assert.equal(refusal(Uint8Array.of(0x98, 0x06, 1)), 'field 99 of heddle.config.v1.VirtualHostExtension is not known to Heddle');
    assert.equal(
      refusal(Uint8Array.of(0x0a, 5, 0x12, 3, 0x98, 0x06, 1)),
      'access: rules[0]: field 99 of heddle.config.v1.AccessRule is not known to Heddle',
    );
  });

  test('for metadata that is not ours', () => {
    const host = { name: 'v', domains: ['*'], metadata: { filterMetadata: { 'com.acme': {} } } };
    const value = RouteConfiguration.encode({ name: 'r', virtualHosts: [host] }).finish();
    assert.match(
      refused(() => decodeResource('route', { typeUrl: TYPE_URLS.route, value }, 'x')),
      /virtual_hosts\[0\]: metadata: filter_metadata: "com.acme" is not supported; only dev.heddle is$/,
    );
  });

  test('for rules that could mean more than their author thinks', () => {
    assert.equal(refusal({ access: {} }), 'access: default_effect: is required');
    assert.equal(
      refusal(access((rule) => (rule.effect = 7 as 1))),
      'access: rules[0]: effect: 7 is not known to Heddle; it may come from a newer version',
    );
    assert.equal(refusal(access((rule) => (rule.subjects = []))), 'access: rules[0]: subjects: must have at least one entry');
    assert.equal(refusal(access((rule) => (rule.name = ''))), 'access: rules[0]: name: is required');
    assert.equal(
      refusal(access((rule) => (rule.subjects = [{ identities: [{}] }]))),
      'access: rules[0]: subjects[0]: identities[0]: is required',
    );
    assert.equal(
      refusal(access((rule) => (rule.subjects = [{ identities: [{ kind: { $case: 'prefix', value: '' } }] }]))),
      'access: rules[0]: subjects[0]: identities[0]: prefix: must begin with spiffe://, not ""',
    );
    assert.equal(
      refusal(access((rule) => (rule.permissions = [{ paths: [{ kind: { $case: 'exact', value: 'a' } }] }]))),
      `access: rules[0]: permissions[0]: paths[0]: exact: must begin with '/', not "a"`,
    );
    assert.equal(
      refusal(access((rule) => (rule.permissions = [{ headers: [{ name: 'X-A' }] }]))),
      'access: rules[0]: permissions[0]: headers[0]: name: "X-A" is not the name of a header in lower case',
    );
    const twice = written({ access: ACCESS });
    twice.access!.rules!.push(twice.access!.rules![0]!);
    assert.equal(refusal(twice), 'access: rules[1]: name: "rule 1" is the name of an earlier rule already');
  });

  test('for networks that are none', () => {
    for (const network of ['', '10.0.0', '10.0.0.0/33', '::/129', '10.0.0.0/08', '10.0.0.0/', '10.0.0.0/8/8', 'fe80::1%eth0', '/8'])
      assert.equal(
        refusal(access((rule) => (rule.subjects = [{ networks: [network] }]))),
        `access: rules[0]: subjects[0]: networks[0]: ${JSON.stringify(network)} is neither an IP address nor a network`,
      );
  });

  test('for rules about tokens that nobody looks at, and claims that no token has', () => {
    assert.equal(
      refusal(access((rule) => (rule.subjects = [{ token: { issuers: ['other'] } }]))),
      'access: rules[0]: subjects[0]: token: issuers[0]: "other" is no issuer in tokens of the virtual host',
    );
    const none = access((rule) => (rule.subjects = [{ token: {} }]));
    assert.equal(
      refusal({ access: none.access }),
      'access: rules[0]: subjects[0]: token: needs tokens of the virtual host: without them no token is looked at',
    );
    const claim = (values: object[]): VirtualHostExtension =>
      access((rule) => (rule.subjects = [{ token: { claims: [{ claim: ['a'], values: values as never }] } }]));
    assert.equal(refusal(claim([])), 'access: rules[0]: subjects[0]: token: claims[0]: values: must have at least one entry');
    assert.equal(
      refusal(claim([{ kind: { $case: 'number', value: Number.NaN } }])),
      'access: rules[0]: subjects[0]: token: claims[0]: values[0]: number: NaN is no number that a claim can have',
    );
  });

  test('for issuers that would take any token, or none', () => {
    assert.equal(refusal({ tokens: {} }), 'tokens: issuers: must have at least one entry');
    assert.equal(refusal(issuer((one) => (one.audiences = []))), 'tokens: issuers[0]: audiences: must have at least one entry');
    assert.equal(refusal(issuer((one) => (one.algorithms = []))), 'tokens: issuers[0]: algorithms: must have at least one entry');
    assert.equal(
      refusal(issuer((one) => (one.algorithms = [99 as 1]))),
      'tokens: issuers[0]: algorithms[0]: 99 is not known to Heddle; it may come from a newer version',
    );
    assert.equal(refusal(issuer((one) => (one.sources = []))), 'tokens: issuers[0]: sources: must have at least one entry');
    assert.equal(refusal(issuer((one) => (one.keys = undefined))), 'tokens: issuers[0]: keys: is required');
    assert.equal(
      refusal(issuer((one) => (one.keys = { $case: 'url', value: 'file:///etc/passwd' }))),
      'tokens: issuers[0]: url: "file:///etc/passwd" is not a URL of http or https',
    );
    const header = { claim: ['sub'], header: 'x-user' };
    assert.equal(
      refusal(issuer((one) => (one.claimHeaders = [header, header]))),
      'tokens: issuers[0]: claim_headers[1]: header: "x-user" is listed twice',
    );
  });

  test('for callers of whom nothing is said', () => {
    assert.equal(refusal({ callers: {} }), 'callers: allowed: is required');
    assert.equal(refusal({ attach: [{}] }), 'attach[0]: token: is required');
  });
});

test('a control plane does not send an empty list, which would read as everybody', () => {
  const refusedRule = (subject: object, permission: object = {}): string =>
    refused(() =>
      encodeResource(
        'route',
        configOf({ access: { ...ACCESS, rules: [{ ...ACCESS.rules[0]!, subjects: [subject], permissions: [permission] }] } }),
      ),
    ).replace(/^.*dev\.heddle: access: rules\[0\]: /, '');
  const words = 'must have at least one entry, or be left out';
  assert.equal(refusedRule({ identities: [] }), `subjects[0]: identities: ${words}`);
  assert.equal(refusedRule({ networks: [] }), `subjects[0]: networks: ${words}`);
  for (const field of ['methods', 'paths', 'authorities', 'headers'])
    assert.equal(refusedRule({}, { [field]: [] }), `permissions[0]: ${field}: ${words}`);
});

test('nobody is allowed where the list of callers is empty, and that arrives', () => {
  const config = configOf({ callers: { allowed: [], denied: [] } });
  assert.deepEqual(decodeResource('route', encodeResource('route', config).any), config);
});

describe('a listener that takes connections without TLS as well', () => {
  const listener: Listener = {
    name: 'in',
    direction: 'inbound',
    address: '127.0.0.1',
    port: 1,
    tls: { certificateName: 'workload', trustBundleName: 'trust-bundle', trustDomain: 'shop.local', plaintext: true },
    filter: { kind: 'http', routeConfigName: 'r', otherwise: { kind: 'tcp', cluster: 'application' } },
  };
  const bytes = encodeResource('listener', listener).any.value;
  const rejection = (change: (message: ListenerMessage) => void): string => {
    const message = ListenerMessage.decode(bytes);
    change(message);
    return refused(() => decodeResource('listener', { typeUrl: TYPE_URLS.listener, value: ListenerMessage.encode(message).finish() }));
  };

  test('has a chain for those with TLS before that for the others', () => {
    const { filterChains, defaultFilterChain, listenerFilters } = ListenerMessage.decode(bytes);
    assert.deepEqual(
      filterChains?.map(({ filterChainMatch, transportSocket }) => [filterChainMatch?.transportProtocol, transportSocket !== undefined]),
      [
        ['tls', true],
        ['raw_buffer', false],
      ],
    );
    assert.equal(defaultFilterChain?.transportSocket, undefined);
    assert.deepEqual(
      listenerFilters?.map(({ name }) => name),
      ['envoy.filters.listener.tls_inspector', 'envoy.filters.listener.http_inspector'],
    );
  });

  test('is rejected where the two would not go the same way', () => {
    assert.match(
      rejection(({ filterChains }) => (filterChains![0]!.filters = ListenerMessage.decode(bytes).defaultFilterChain!.filters)),
      /filter_chains\[0\]: filters\[0\]: must be that of the last chain/,
    );
    assert.match(
      rejection(({ filterChains }) => (filterChains![0]!.filterChainMatch = undefined)),
      /filter_chains\[0\]: filter_chain_match: transport_protocol: only tls is supported/,
    );
    assert.match(
      rejection(({ filterChains }) => (filterChains![0]!.filterChainMatch!.serverNames = ['a.example'])),
      /filter_chains\[0\]: transport_socket: is not supported beside server_names/,
    );
    assert.match(
      rejection(({ listenerFilters }) => void listenerFilters!.shift()),
      /listener_filters: must be \[tls, http\] for these filter chains, not \[http\]/,
    );
    assert.match(
      refused(() => encodeResource('listener', { ...listener, serverNames: [] })),
      /server_names: must have at least one entry, or be left out, where plaintext is taken/,
    );
  });
});

describe('a trust bundle', () => {
  const bundle: TrustBundle = { name: 'trust-bundle', rootsPem: 'pem', denied: [WEB] };
  const rejection = (validator: IdentityValidator): string => {
    const message = Secret.decode(encodeResource('secret', bundle).any.value);
    message.type!.value.customValidatorConfig!.typedConfig = pack(IdentityValidator, validator);
    return refused(() => decodeResource('secret', { typeUrl: TYPE_URLS.secret, value: Secret.encode(message).finish() }));
  };

  test('is rejected for identities that could not be compared', () => {
    const place = 'validation_context: custom_validator_config: typed_config: ';
    assert.ok(rejection({}).endsWith(`${place}denied: must have at least one entry`));
    assert.ok(rejection({ denied: ['web'] }).endsWith(`${place}denied[0]: must begin with spiffe://, not "web"`));
    assert.match(
      refused(() => encodeResource('secret', { ...bundle, denied: [] })),
      /denied: must have at least one entry, or be left out/,
    );
  });

  test('is rejected for a validator of somebody else', () => {
    const message = Secret.decode(encodeResource('secret', bundle).any.value);
    message.type!.value.customValidatorConfig!.typedConfig!.typeUrl = 'type.googleapis.com/envoy.x.SPIFFECertValidatorConfig';
    assert.match(
      refused(() => decodeResource('secret', { typeUrl: TYPE_URLS.secret, value: Secret.encode(message).finish() })),
      /custom_validator_config: typed_config: type.googleapis.com\/envoy.x.SPIFFECertValidatorConfig is not supported here/,
    );
  });
});

test('TLS from 1.2 on is told by its field, and older versions are rejected', () => {
  const listener: Listener = {
    name: 'in',
    direction: 'inbound',
    address: '127.0.0.1',
    port: 1,
    tls: { certificateName: 'workload', minVersion: '1.2' },
    filter: { kind: 'http', routeConfigName: 'r' },
  };
  assert.deepEqual(decodeResource('listener', encodeResource('listener', listener).any), listener);
  const message = ListenerMessage.decode(encodeResource('listener', listener).any.value);
  const any = message.filterChains![0]!.transportSocket!.configType!.value;
  // DownstreamTlsContext.common_tls_context.tls_params: from TLSv1_1 to TLSv1_3; the last one counts.
  any.value = Buffer.concat([any.value!, Buffer.from([0x0a, 0x06, 0x0a, 0x04, 0x08, 0x02, 0x10, 0x04])]);
  assert.match(
    refused(() => decodeResource('listener', { typeUrl: TYPE_URLS.listener, value: ListenerMessage.encode(message).finish() })),
    /tls_params: tls_minimum_protocol_version: only TLSv1_3 or TLSv1_2 is supported/,
  );
});
