// `security` of the mesh file: defaults, roles, files, and that every valid one means something that data planes take.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { accessPolicyOf, compileAccess } from '../authz/index.ts';
import { compileCondition } from '../cel/index.ts';
import { DEFAULT_SECURITY } from '../model/defaults.ts';
import type { AccessConfig, SecurityConfig, Subject } from '../model/security.ts';
import type { MeshConfig } from './mesh.ts';
import type { ConfigFiles } from './named-files.ts';
import { mayHaveConditions, parseMeshFile } from './parse.ts';
import { formatProblems, type Problem } from './problem.ts';

const ISSUER = { name: 'login', issuer: 'https://id.example', audiences: ['shop'] };
const PARTNER = { name: 'partner', issuer: 'https://partner.example', audiences: ['shop'], rolesClaim: 'realm.roles' };
const SERVICES = {
  web: { port: 1 },
  orders: { port: 2 },
  billing: { port: 3, protocol: 'grpc' },
  cache: { port: 4, protocol: 'tcp' },
};

/** JSON is YAML. */
function read(security: unknown, files?: ConfigFiles, services: object = SERVICES) {
  const text = JSON.stringify({ mesh: 'shop', services, egress: [{ host: 'API.example', protocol: 'https' }], security });
  const { mesh, problems } = parseMeshFile(text, { path: '/srv/heddle.yaml', conditions: compileCondition, ...(files && { files }) });
  const said = ({ severity, where, reason }: Problem): string => `${severity}: ${where}: ${reason}`;
  return { mesh, problems, said: problems.map(said), text };
}

function built(security: unknown, files?: ConfigFiles): SecurityConfig {
  const { mesh, said } = read(security, files);
  assert.ok(mesh !== undefined, said.join('\n'));
  return mesh.security;
}

function subjectsOf(access: object, issuers: readonly object[] = [ISSUER, PARTNER]): readonly Subject[] {
  return built({ issuers, access }).access.rules[0]?.subjects as Subject[];
}

const id = (name: string, namespace = 'default') => ({ kind: 'exact', id: `spiffe://shop/ns/${namespace}/svc/${name}` });

describe('a mesh file that says nothing about security', () => {
  it('is strict, and lets everybody of the mesh call everybody', () => {
    assert.deepEqual(built({}), DEFAULT_SECURITY);
    assert.deepEqual(read(undefined).mesh?.security, DEFAULT_SECURITY);
  });

  it('denies what no rule allows as soon as it has "access"', () => {
    assert.deepEqual(built({ access: { rules: [{ from: 'web', to: 'orders' }] } }).access.default, 'deny');
    assert.deepEqual(read({ access: {} }).said, ['warning: security.access: no rule allows anything, so that every call is refused']);
  });
});

describe('issuers', () => {
  it('have the usual algorithms, the usual place of a token and times that are good for most', () => {
    assert.deepEqual(built({ issuers: [ISSUER] }).issuers, [
      {
        ...ISSUER,
        keys: { kind: 'discovery' },
        keysMaxAgeMs: 600_000,
        algorithms: ['RS256', 'ES256', 'PS256', 'EdDSA'],
        sources: [{ kind: 'header', name: 'authorization', prefix: 'Bearer ' }],
        skewMs: 60_000,
        claimHeaders: [],
        forward: true,
      },
    ]);
  });

  it('may be this machine without encryption, and nowhere else', () => {
    const reasons = (issuer: string) => read({ issuers: [{ ...ISSUER, issuer }] }).said;
    for (const url of ['http://localhost:9000', 'http://127.0.0.1:9000/x', 'http://[::1]:9000']) assert.deepEqual(reasons(url), []);
    for (const url of ['http://id.example', 'http://127.example', 'http://10.0.0.1', 'http://localhost.example'])
      assert.match(reasons(url).join(), /is not encrypted/, url);
  });
});

describe('roles of a rule', () => {
  const roles = { reader: { members: ['web', { jwt: 'login', groups: ['staff'] }] }, local: { members: { network: '10.0.0.0/8' } } };

  it('are the members of a role of the mesh', () => {
    assert.deepEqual(subjectsOf({ roles, rules: [{ to: 'orders', roles: ['reader', 'local'] }] }), [
      { identities: [id('web')] },
      { token: { issuers: ['login'], claims: [{ claim: ['groups'], values: ['staff'] }] } },
      { networks: ['10.0.0.0/8'] },
    ]);
  });

  it('are those of the members who are also in "from" and have the token', () => {
    assert.deepEqual(subjectsOf({ roles, rules: [{ from: ['web', 'orders'], to: 'orders', jwt: 'login', roles: ['reader', 'local'] }] }), [
      { identities: [id('web')], token: { issuers: ['login'], claims: [] } },
      { identities: [id('web'), id('orders')], token: { issuers: ['login'], claims: [{ claim: ['groups'], values: ['staff'] }] } },
      { identities: [id('web'), id('orders')], networks: ['10.0.0.0/8'], token: { issuers: ['login'], claims: [] } },
    ]);
  });

  it('are those in the token where the mesh has none of this name, wherever each issuer puts them', () => {
    assert.deepEqual(
      subjectsOf({ rules: [{ to: 'orders', jwt: ['login', 'partner'], roles: 'admin', groups: 'a', claims: { level: [1, true] } }] }),
      [
        {
          token: {
            issuers: ['login'],
            claims: [
              { claim: ['level'], values: [1, true] },
              { claim: ['groups'], values: ['a'] },
              { claim: ['roles'], values: ['admin'] },
            ],
          },
        },
        {
          token: {
            issuers: ['partner'],
            claims: [
              { claim: ['level'], values: [1, true] },
              { claim: ['groups'], values: ['a'] },
              { claim: ['realm', 'roles'], values: ['admin'] },
            ],
          },
        },
      ],
    );
  });

  it('need no "jwt" for claims where there is one issuer', () => {
    const access = { rules: [{ to: 'orders', claims: { 'https://shop.example/plan': 'gold' } }] };
    assert.deepEqual(subjectsOf(access, [ISSUER]), [
      { token: { issuers: ['login'], claims: [{ claim: ['https://shop.example/plan'], values: ['gold'] }] } },
    ]);
    assert.match(read({ issuers: [ISSUER, PARTNER], access }).said.join(), /claims: does not say whose token must say this/);
    assert.match(read({ access }).said.join(), /claims: only a token can say this, and there are no issuers/);
  });
});

describe('roles with permissions', () => {
  const rulesOf = (permissions: readonly object[]): AccessConfig['rules'] =>
    built({ access: { roles: { reader: { members: ['web'], permissions } } } }).access.rules;

  it('are a rule, named after the role', () => {
    assert.deepEqual(
      rulesOf([
        { to: 'orders', methods: 'GET' },
        { to: 'orders', paths: '/x' },
      ]),
      [
        {
          name: 'role reader',
          effect: 'allow',
          subjects: [{ identities: [id('web')] }],
          permissions: [{ methods: ['GET'] }, { paths: [{ kind: 'exact', value: '/x' }] }],
          to: [{ kind: 'service', service: { namespace: 'default', name: 'orders' } }],
        },
      ],
    );
  });

  it('are a rule for each of several targets, which its name says', () => {
    const rules = rulesOf([
      { to: ['orders', 'x/y'], methods: 'GET' },
      { to: [{ namespace: 'n' }, 'orders'], methods: 'PUT' },
      { to: '*', grpc: { service: 'a.B' } },
    ]);
    assert.deepEqual(
      rules.map(({ name, permissions }) => [name, permissions.length]),
      [
        ['role reader to orders', 2],
        ['role reader to x/y', 1],
        ['role reader to namespace n', 1],
        ['role reader to all services', 1],
      ],
    );
  });

  it('allow everything where one of them asks for nothing', () => {
    assert.deepEqual(rulesOf([{ to: 'orders', methods: 'GET' }, { to: 'orders' }])[0]?.permissions, []);
  });
});

describe('namespaces, of which a file knows but one,', () => {
  const saidOf = (...from: unknown[]) => read({ access: { rules: [{ from, to: 'orders' }] } }).said;

  it('may be any', () => {
    assert.deepEqual(saidOf('shop/web', { namespace: 'shop' }, 'warehouse/web'), []);
  });

  it('get a hint where they look like a slip', () => {
    assert.match(saidOf('defualt/web').join(), /warning: .*no service of this file is in the namespace "defualt"/);
    assert.match(saidOf('shop/web', 'shop/api', { namespace: 'shpo' }).join(), /from\[2\]\.namespace: .*"shpo"/);
  });
});

describe('files that security names', () => {
  const jwk = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
  const { d, ...publicJwk } = jwk;
  const contents: Readonly<Record<string, string>> = {
    'jwks.json': JSON.stringify({ keys: [publicJwk] }),
    'private.json': JSON.stringify({ keys: [publicJwk, jwk] }),
    'symmetric.json': JSON.stringify({ keys: [{ kty: 'oct', k: d }] }),
    'none.json': JSON.stringify({ keys: [] }),
    'other.json': JSON.stringify({ keys: [{ kid: 'a' }] }),
    'text.json': `{ "keys": [{ "kty": "EC", "d": "${d}"`,
    'large.json': ' '.repeat(300_000),
    'ca.pem': 'no certificate',
    'secrets/ask': `${d}\n`,
    'secrets/empty': '\n',
  };
  const asked: string[] = [];
  const files: ConfigFiles = {
    read: (name) => {
      asked.push(name);
      if (!Object.hasOwn(contents, name)) throw new Error('there is no such file');
      return contents[name] as string;
    },
    nowMs: 0,
  };
  const withKeys = (file: string, more: object = {}) => ({ issuers: [{ ...ISSUER, keys: { file }, ...more }] });

  it('are read with it, once', () => {
    const { issuers } = built(withKeys('jwks.json'), files);
    assert.deepEqual(issuers[0]?.keys, { kind: 'inline', jwks: contents['jwks.json'] });
    assert.deepEqual(asked, ['jwks.json']);
  });

  it('are refused where they are no public keys or no authorities, without a word of what is in them', () => {
    for (const [file, expected] of [
      ['private.json', /key 2 in "private.json" is a private key/],
      ['symmetric.json', /is symmetric/],
      ['none.json', /holds no key/],
      ['other.json', /is not a JSON Web Key Set/],
      ['text.json', /is not a JSON Web Key Set/],
      ['large.json', /more than 256 KiB/],
      ['missing.json', /cannot be read: there is no such file/],
    ] as const) {
      const { mesh, problems, said, text } = read(withKeys(file), files);
      assert.equal(mesh, undefined);
      assert.match(said.join(), expected);
      assert.ok(!formatProblems(problems, text).includes(d as string), file);
    }
    assert.match(read(withKeys('jwks.json', { algorithms: ['RS256', 'EdDSA'] }), files).said.join(), /no key in "jwks.json" is for any/);
    assert.match(read({ issuers: [{ ...ISSUER, roots: 'ca.pem' }] }, files).said.join(), /there is no certificate in "ca.pem"/);
  });

  it('may hold secrets, which are looked for and go nowhere', () => {
    const introspection = (clientSecretFile: string) => ({
      issuers: [{ ...ISSUER, introspection: { url: 'https://id.example/ask', clientId: 'mesh', clientSecretFile } }],
    });
    const { mesh, said } = read(introspection('secrets/ask'), files);
    assert.deepEqual(said, []);
    assert.ok(!JSON.stringify(mesh).includes(d as string));
    assert.equal(mesh?.security.issuers[0]?.introspection?.clientSecretFile, '/srv/secrets/ask');
    assert.match(read(introspection('/etc/secret'), files).said.join(), /^warning: .*"\/etc\/secret" cannot be read on this machine/);
    assert.match(read(introspection('secrets/empty'), files).said.join(), /^warning: .* is empty on this machine/);
  });

  it('are told of where nobody reads them', () => {
    const { mesh, said } = read(withKeys('jwks.json'));
    assert.deepEqual(said, [
      'warning: security.issuers[0].keys.file: "jwks.json" is not looked at here: it is on the machine of this file',
    ]);
    assert.deepEqual(mesh?.security.issuers[0]?.keys, { kind: 'inline', jwks: '' });
  });
});

describe('conditions', () => {
  const security = (when: string) => ({ access: { rules: [{ from: 'web', to: 'orders', when }] } });

  it('are read as data planes read them', () => {
    assert.deepEqual(read(security('request.method == "GET"')).said, []);
    assert.match(read(security('request.methd == "GET"')).said.join(), /error: security\.access\.rules\[0\]\.when: /);
    assert.match(read(security('claims.a == 1')).said.join(), /asks for a token, and there are no issuers/);
  });

  it('are told of where nobody reads them, and found in a file without reading it', () => {
    const text = JSON.stringify({ mesh: 'shop', services: SERVICES, security: security('sorce') });
    const { mesh, problems } = parseMeshFile(text, { path: '/srv/heddle.yaml' });
    assert.deepEqual(
      [mesh === undefined, problems.map(({ severity, where }) => [severity, where])],
      [false, [['warning', 'security.access.rules[0].when']]],
    );
    assert.ok(mayHaveConditions(text) && !mayHaveConditions('mesh: shop\nservices: { whenever: { port: 1 } }'));
  });
});

it('a token for a host outside the mesh leaves over TLS alone, unless the host is this machine', () => {
  const toldOf = (to: string): string[] => {
    const outbound = [{ name: 'a', from: 'orders', to, url: 'https://id.example', clientId: 'a', clientSecretFile: 's' }];
    const egress = [
      { host: 'plain.example', protocol: 'http' },
      { host: 'both.example', protocol: 'https' },
      { host: 'both.example', protocol: 'http' },
      { host: '127.0.0.1', port: 8080, protocol: 'http' },
    ];
    const text = JSON.stringify({ mesh: 'shop', services: { orders: { port: 1 } }, egress, security: { outbound } });
    return parseMeshFile(text, { path: '/srv/heddle.yaml' }).problems.map(({ where, reason, mend }) => `${where} ${reason}: ${mend}`);
  };
  assert.match(toldOf('plain.example').join(), /outbound\[0\]\.to.* "plain.example" .*"http".*read the token/);
  assert.match(toldOf('both.example').join(), /"both.example" .*"http".*both\.example:443/);
  assert.deepEqual(toldOf('both.example:443'), []);
  assert.deepEqual(toldOf('127.0.0.1:8080'), []);
});

it('a token for a host outside the mesh is for each of its ports', () => {
  const services = { orders: { port: 1 } };
  const outbound = [
    { name: 'a', from: 'orders', to: ['Api.Example', 'b.example:8443'], url: 'https://id.example', clientId: 'a', clientSecretFile: 's' },
  ];
  const egress = [
    { host: 'api.example', protocol: 'https' },
    { host: 'api.example', port: 8444, protocol: 'https' },
    { host: 'b.example', port: 8443, protocol: 'https' },
    { host: 'b.example', protocol: 'https' },
  ];
  const { mesh, problems } = parseMeshFile(JSON.stringify({ mesh: 'shop', services, egress, security: { outbound } }), {
    path: '/srv/heddle.yaml',
  });
  assert.deepEqual(problems, []);
  assert.deepEqual(
    mesh?.security.outboundTokens[0]?.to,
    ['api.example:443', 'api.example:8444', 'b.example:8443'].map((name) => ({ namespace: 'heddle-egress', name })),
  );
});

// --- any file

const optional = <T extends Record<string, fc.Arbitrary<unknown>>>(fields: T, requiredKeys: (keyof T & string)[] = []) =>
  fc.record(fields, { requiredKeys });
const some = (...values: string[]) => fc.subarray(values, { minLength: 1 });
const oneOrMore = (...values: string[]) => fc.oneof(fc.constantFrom(...values), some(...values));

const token = optional({
  jwt: oneOrMore('login', 'partner'),
  claims: fc.dictionary(fc.constantFrom('sub', 'realm.level', 'https://a.example/x'), fc.constantFrom<unknown>('a', 1, true, ['a', 2]), {
    minKeys: 1,
  }),
  groups: oneOrMore('a', 'b'),
}).map((said): object => (Object.keys(said).length === 0 || said.jwt !== undefined ? said : { ...said, jwt: 'login' }));
const who = fc.oneof(
  fc.constantFrom<unknown>(
    'web',
    'orders',
    'operator',
    'shop/api',
    { namespace: 'shop' },
    { service: 'api', namespace: 'x' },
    { identity: 'spiffe://shop/ns/y/*' },
  ),
  fc.constantFrom<unknown>(
    { network: '10.0.0.0/8' },
    { network: '2001:db8::1' },
    { network: '192.168.0.0/16', jwt: 'login', roles: ['admin'] },
  ),
  token.map((said) => ({ service: 'web', ...said })),
);
const whos = fc.uniqueArray(who, { minLength: 1, maxLength: 4, selector: (one) => JSON.stringify(one) });
const asked = optional({
  methods: oneOrMore('GET', 'POST', 'DELETE'),
  paths: fc.subarray<unknown>(['/a', '/a/**', '/a/{id}', { prefix: '/b' }, { regex: '/c+' }], { minLength: 1 }),
  hosts: fc.constantFrom<unknown>('shop.example', { suffix: '.example' }, ['a.example', { regex: 'b+' }]),
  headers: fc.dictionary(
    fc.constantFrom('x-a', 'X-B'),
    fc.constantFrom<unknown>('1', 2, { present: false }, { prefix: 'a', ignoreCase: true }),
    { minKeys: 1 },
  ),
});
const to = fc.constantFrom<unknown>('orders', '*', ['web', { namespace: 'shop' }], ['billing', 'x/api']);
const rule = fc
  .tuple(
    optional(
      {
        effect: fc.constantFrom('allow', 'deny'),
        audit: fc.boolean(),
        from: whos,
        when: fc.constantFrom('request.method == "GET"', 'claims.a == 1'),
      },
      ['from'],
    ),
    to,
    asked,
    token,
    fc.option(oneOrMore('reader', 'writer')),
  )
  .map(([base, target, request, said, roles]) => ({ ...base, to: target, ...request, ...said, ...(roles === null ? {} : { roles }) }));
const role = fc.record(
  {
    members: whos,
    permissions: fc.uniqueArray(
      fc.tuple(to, asked).map(([target, request]) => ({ to: target, ...request })),
      { minLength: 1, maxLength: 3, selector: (one) => JSON.stringify(one) },
    ),
  },
  { requiredKeys: ['members'] },
);
const anyIssuer = optional({
  keys: fc.constantFrom('https://id.example/jwks', { url: 'http://127.0.0.1:1' }),
  algorithms: some('RS256', 'ES384', 'EdDSA'),
  from: fc.constantFrom<unknown>({ cookie: 'a' }, [{ header: 'X-Token' }, { header: 'Authorization', prefix: 'JWT ' }]),
  claimHeaders: fc.dictionary(fc.constantFrom('x-user', 'x-plan'), fc.constantFrom<unknown>('sub', ['a', 'b'], 'realm.plan')),
  rolesClaim: fc.constantFrom<unknown>('roles', 'realm.roles', ['a.b']),
  skew: fc.integer({ min: 0, max: 600 }).map((value) => `${value}s`),
  forward: fc.boolean(),
});
const securityFile = fc
  .record(
    {
      mtls: fc.constantFrom('strict', 'permissive'),
      tls: fc.constantFrom({ min: '1.2' }, { min: 1.3 }),
      login: anyIssuer,
      partner: anyIssuer,
      access: fc.record(
        {
          default: fc.constantFrom('allow', 'deny'),
          audit: fc.boolean(),
          authorizer: optional({ failOpen: fc.boolean(), body: fc.constantFrom<unknown>(0, '1KiB', '1MiB') }).map((said) => ({
            service: 'billing',
            ...said,
          })),
          roles: fc.record({ reader: role, writer: role }),
          rules: fc.array(rule, { maxLength: 4 }),
        },
        { requiredKeys: ['roles'] },
      ),
      deny: fc.subarray(['web', 'x/old', 'spiffe://shop/ns/default/svc/gone']),
    },
    { requiredKeys: ['login', 'partner'] },
  )
  .map(({ login, partner, ...rest }) => ({
    ...rest,
    issuers: [
      { ...ISSUER, ...login },
      { ...PARTNER, ...partner },
    ],
  }));

/** What may come of rules that were put together by chance. */
const BY_CHANCE = /nobody can be all that|can never allow anything|says the same/;

function isFrozen(value: unknown): boolean {
  return typeof value !== 'object' || value === null || (Object.isFrozen(value) && Object.values(value).every(isFrozen));
}

function assertTaken({ security, services, trustDomain }: MeshConfig): void {
  const all = services.map(({ service }) => service);
  assert.equal(new Set(security.access.rules.map(({ name }) => name)).size, security.access.rules.length);
  for (const service of all) {
    const policy = accessPolicyOf(security, service, all, trustDomain, 'authorizer');
    if (policy !== undefined) compileAccess(policy, { conditions: compileCondition });
  }
}

describe('any security', () => {
  it('that is valid means plain data, complete and frozen, which data planes take (property)', () => {
    let taken = 0;
    fc.assert(
      fc.property(securityFile, (security) => {
        const { mesh, said } = read(security);
        const errors = said.filter((text) => text.startsWith('error') && !BY_CHANCE.test(text));
        assert.deepEqual(errors, [], JSON.stringify(security));
        if (mesh === undefined) return;
        taken++;
        assert.ok(isFrozen(mesh));
        assert.deepEqual(JSON.parse(JSON.stringify(mesh)), mesh);
        assertTaken(mesh);
      }),
      { numRuns: 30 },
    );
    assert.ok(taken > 8, `${taken}`);
  });

  it('with garbage anywhere in it gives faults with a place, or has a meaning (property)', () => {
    fc.assert(
      fc.property(securityFile, fc.infiniteStream(fc.nat()), fc.jsonValue({ maxDepth: 2 }), (security, dice, garbage) => {
        const spoiled = structuredClone(security) as object;
        spoil(spoiled, () => dice.next().value as number, garbage);
        const { mesh, problems, text } = read(spoiled);
        assert.equal(
          mesh === undefined,
          problems.some(({ severity }) => severity === 'error'),
        );
        for (const { reason, mend, where } of problems)
          assert.doesNotMatch(`${reason} ${mend}`, /undefined|\[object|something else|Invalid input/, `${where} ${text}`);
        if (mesh !== undefined) assertTaken(mesh);
      }),
      { numRuns: 60 },
    );
  });
});

/** One value, somewhere, becomes another. */
function spoil(root: object, roll: () => number, garbage: unknown): void {
  let map = root as Record<string, unknown>;
  for (;;) {
    const keys = Object.keys(map);
    const key = keys[roll() % Math.max(1, keys.length)];
    if (key === undefined) return;
    const inner = map[key];
    if (typeof inner !== 'object' || inner === null || Object.keys(inner).length === 0 || roll() % 4 === 0) {
      map[key] = garbage;
      return;
    }
    map = inner as Record<string, unknown>;
  }
}
