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
        const file = { mesh: 'shop', services: { a: { port: 1, run: 'x', [key]: example }, orders: { port: 2 } } };
        assert.deepEqual(parseMeshFile(JSON.stringify(file), { path: '/heddle.yaml' }).problems, [], `${key}: ${JSON.stringify(example)}`);
      }
    }
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
