// The document says what the server does: examples fit their schemas, references lead somewhere, every operation has its answers.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { z } from 'zod';
import { HANDLERS } from './handlers.ts';
import { openApiDocument, problemsOf } from './openapi.ts';
import { OPERATIONS } from './operations.ts';
import type { Operation } from './operations.ts';
import { PROBLEMS } from './problems.ts';
import * as common from './schema/common.ts';
import * as administration from './schema/administration.ts';
import * as decisions from './schema/decisions.ts';
import * as events from './schema/events.ts';
import * as identities from './schema/identities.ts';
import * as instances from './schema/instances.ts';
import * as mesh from './schema/mesh.ts';
import * as proxies from './schema/proxies.ts';
import * as services from './schema/services.ts';
import * as traffic from './schema/traffic.ts';

const document = openApiDocument('1.2.3');
const text = JSON.stringify(document);

test('every example fits its schema', () => {
  let checked = 0;
  for (const [name, schema] of Object.entries({
    ...common,
    ...administration,
    ...decisions,
    ...events,
    ...identities,
    ...instances,
    ...mesh,
    ...proxies,
    ...services,
    ...traffic,
  })) {
    if (typeof schema !== 'object' || schema === null || !('safeParse' in schema)) continue;
    for (const example of ((schema as z.ZodType).meta()?.['examples'] as unknown[] | undefined) ?? []) {
      const result = (schema as z.ZodType).safeParse(example);
      assert.ok(result.success, `${name}: ${JSON.stringify(result.error?.issues)}`);
      checked += 1;
    }
  }
  assert.ok(checked > 25, `${checked} examples`);
});

test('every reference leads somewhere, and nothing is described that nobody refers to', () => {
  const { components } = document as { components: Record<string, Record<string, unknown>> };
  const referred = new Set([...text.matchAll(/"\$ref":"#\/components\/(\w+)\/(\w+)"/g)].map(([, kind, name]) => `${kind}/${name}`));
  for (const reference of referred) {
    const [kind = '', name = ''] = reference.split('/');
    assert.notEqual(components[kind]?.[name], undefined, reference);
  }
  assert.doesNotMatch(text, /\$defs/);
  // What a stream sends is named in words.
  const unused = Object.keys(components['schemas'] ?? {}).filter((name) => !referred.has(`schemas/${name}`) && !/^(Watch|Tap)/.test(name));
  assert.deepEqual(unused, []);
});

test('every operation is served, has an answer, and says what it may refuse with', () => {
  const paths = document['paths'] as Record<string, Record<string, { operationId: string; responses: Record<string, unknown> }>>;
  const ids = Object.values(paths).flatMap((methods) => Object.values(methods).map(({ operationId }) => operationId));
  assert.deepEqual([...ids].sort(), Object.keys(HANDLERS).sort());
  for (const operation of Object.values(OPERATIONS) as Operation[]) {
    const { responses } = paths[operation.url]?.[operation.method.toLowerCase()] ?? { responses: {} };
    for (const status of Object.keys(operation.answers)) assert.ok(status in responses, `${operation.url} ${status}`);
    for (const code of problemsOf(operation)) assert.ok(String(PROBLEMS[code].status) in responses, `${operation.url} ${code}`);
    assert.equal('401' in responses, operation.role !== undefined, operation.url);
    const named = [...operation.url.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    assert.deepEqual(Object.keys(operation.path === undefined ? {} : (operation.path as z.ZodObject).shape), named, operation.url);
  }
});
