// The schema file for editors is what the code gives, and it agrees with the parser.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { jsonSchema, jsonSchemaText } from './json-schema.ts';
import { parseMeshFile } from './parse.ts';

const FILE = new URL('../../schema/heddle.schema.json', import.meta.url);
const GOLDEN = new URL('./golden/', import.meta.url);

describe('the JSON Schema', () => {
  it('in the file is what the code gives; else run: npm run docs', () => {
    assert.equal(readFileSync(FILE, 'utf8'), jsonSchemaText());
  });

  it('describes every setting and gives an example of it', () => {
    const walk = (schema: Record<string, unknown>, path: string): number => {
      const properties = (schema['properties'] ?? {}) as Record<string, Record<string, unknown>>;
      const branches = (schema['anyOf'] ?? []) as Record<string, unknown>[];
      const inner = schema['additionalProperties'];
      let count = 0;
      for (const [key, property] of Object.entries(properties)) {
        assert.ok(typeof property['description'] === 'string' && Array.isArray(property['examples']), `${path}.${key}`);
        count += 1 + walk(property, `${path}.${key}`);
      }
      for (const branch of branches) count += walk(branch, path);
      return count + (typeof inner === 'object' && inner !== null ? walk(inner as Record<string, unknown>, `${path}.*`) : 0);
    };
    assert.ok(walk(jsonSchema(), '') > 25);
  });

  it('gives examples that the parser takes', () => {
    type Inner = { properties: { services: { additionalProperties: { properties: Record<string, { examples: unknown[] }> } } } };
    const { properties } = (jsonSchema() as unknown as Inner).properties.services.additionalProperties;
    for (const [key, { examples }] of Object.entries(properties)) {
      for (const example of examples) {
        const telemetry = { tracing: { otlp: 'http://127.0.0.1:4318' }, accessLog: {} };
        const file = { mesh: 'shop', telemetry, services: { a: { port: 1, run: 'x', [key]: example }, orders: { port: 2 } } };
        assert.deepEqual(parseMeshFile(JSON.stringify(file), { path: '/heddle.yaml' }).problems, [], `${key}: ${JSON.stringify(example)}`);
      }
    }
  });

  it('gives examples for security that the parser takes', () => {
    const { security } = jsonSchema()['properties'] as { security: Part };
    const login = { name: 'login', issuer: 'https://id.example', audiences: ['shop'] };
    const reader = { members: ['web'], permissions: [{ to: 'orders' }] };
    const base = { from: 'web', to: 'orders' };
    const access = (settings: object) => ({ issuers: [login], access: { roles: { reader, admin: { members: 'web' } }, ...settings } });
    const token = { name: 'a', from: 'orders', to: 'web', url: 'https://id.example', clientId: 'a', clientSecretFile: 'a' };
    const places: readonly (readonly [Part, (settings: object) => object])[] = [
      [security, (settings) => ({ issuers: [login], ...settings })],
      [partAt(security, 'issuers'), (settings) => ({ issuers: [{ ...login, ...settings }] })],
      [partAt(security, 'access'), access],
      [partAt(security, 'access', 'authorizer'), (settings) => access({ authorizer: { service: 'authz', ...settings } })],
      [
        partAt(security, 'access', 'rules'),
        (settings) => access({ rules: [{ ...base, ...protocolOf(settings), jwt: 'login', ...settings }] }),
      ],
      [partAt(security, 'access', 'rules', 'from'), (settings) => access({ rules: [{ ...base, from: { jwt: 'login', ...settings } }] })],
      [partAt(security, 'outbound'), (settings) => ({ issuers: [login], outbound: [{ ...token, ...settings }] })],
    ];
    let count = 0;
    for (const [part, around] of places) {
      for (const [key, { examples = [] }] of Object.entries(part.properties ?? {})) {
        for (const example of examples) {
          const services = { web: { port: 1 }, orders: { port: 2 }, billing: { port: 3 }, authz: { port: 4, protocol: 'grpc' } };
          const egress = [{ host: 'api.example.com', protocol: 'https' }];
          const { problems } = parseMeshFile(JSON.stringify({ mesh: 'shop', services, egress, security: around({ [key]: example }) }), {
            path: '/heddle.yaml',
          });
          const errors = problems.filter(({ severity }) => severity === 'error');
          assert.deepEqual(errors, [], `${key}: ${JSON.stringify(example)}`);
          count++;
        }
      }
    }
    assert.ok(count > 60, `${count}`);
  });

  it('gives examples for telemetry that the parser takes', () => {
    const { telemetry } = jsonSchema()['properties'] as { telemetry: Part };
    const tracing = { otlp: 'https://traces.example' };
    const places: readonly (readonly [Part, (settings: object) => object])[] = [
      [telemetry, (settings) => settings],
      [partAt(telemetry, 'tracing'), (settings) => ({ tracing: { ...tracing, ...settings } })],
      [partAt(telemetry, 'accessLog'), (settings) => ({ accessLog: { errors: true, ...settings } })],
    ];
    let count = 0;
    for (const [part, around] of places) {
      for (const [key, { examples = [] }] of Object.entries(part.properties ?? {})) {
        for (const example of examples) {
          const file = { mesh: 'shop', services: { a: { port: 1 } }, telemetry: around({ [key]: example }) };
          assert.deepEqual(
            parseMeshFile(JSON.stringify(file), { path: '/heddle.yaml' }).problems,
            [],
            `${key}: ${JSON.stringify(example)}`,
          );
          count++;
        }
      }
    }
    assert.ok(count > 15, `${count}`);
  });

  it('accepts the golden files that the parser accepts, and refuses those with faults of form', () => {
    const validator = z.fromJSONSchema(jsonSchema() as Parameters<typeof z.fromJSONSchema>[0]);
    const accepts = (name: string): boolean =>
      validator.safeParse(parseYaml(readFileSync(new URL(name, GOLDEN), 'utf8'), { merge: true })).success;
    const good = readdirSync(GOLDEN).filter((name) => name.endsWith('.json'));
    assert.ok(good.length >= 4);
    for (const name of good) assert.ok(accepts(name.replace('.json', '.yaml')), name);
    for (const name of ['planned.yaml', 'misspelled.yaml', 'wrong-types.yaml', 'list.yaml', 'nothing-in-it.yaml'])
      assert.ok(!accepts(name), name);
  });
});

interface Part {
  readonly properties?: Readonly<Record<string, Part>>;
  readonly items?: Part;
  readonly anyOf?: readonly Part[];
  readonly examples?: readonly unknown[];
}

/** The map below the keys, alone or in a list. */
function partAt(part: Part, ...path: readonly string[]): Part {
  const mapIn = (one: Part): Part | undefined =>
    one.properties === undefined
      ? [...(one.anyOf ?? []), ...(one.items === undefined ? [] : [one.items])].map(mapIn).find((found) => found !== undefined)
      : one;
  return path.reduce((at, key) => mapIn(at.properties?.[key] as Part) as Part, part);
}

/** A rule about gRPC calls needs a service that has some. */
function protocolOf(settings: object): object {
  return 'grpc' in settings ? { to: 'authz' } : {};
}
