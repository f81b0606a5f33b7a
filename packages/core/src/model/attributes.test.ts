// What instances may say about themselves, and what they may not.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatLocality, localityProblem, metadataProblem, parseLocality, PORT_NAME, portsProblem } from './attributes.ts';

test('metadata is taken up to its limits, in entries and in bytes of UTF-8', () => {
  assert.equal(metadataProblem([]), undefined);
  assert.equal(
    metadataProblem([
      ['team', 'payments'],
      ['example.com/owner', 'Jürgen – 支付'],
    ]),
    undefined,
  );
  const many = Array.from({ length: 65 }, (_, index) => [`k${index}`, ''] as const);
  assert.equal(metadataProblem(many.slice(1)), undefined);
  assert.match(metadataProblem(many)?.rule ?? '', /has 65 entries, at most 64/);
  assert.equal(metadataProblem([['k', 'x'.repeat(8_191)]]), undefined);
  assert.match(metadataProblem([['k', 'ä'.repeat(4_096)]])?.rule ?? '', /has 8193 bytes/);
});

test('names and values that would break what reads them are refused by name', () => {
  for (const key of ['', '-a', 'a-', 'a b', 'ä', '__proto__', 'x'.repeat(318)])
    assert.deepEqual(metadataProblem([[key, 'v']])?.key, key, JSON.stringify(key));
  assert.match(metadataProblem([['k', 'a\nb']])?.rule ?? '', /control character/);
  assert.match(metadataProblem([['k', 1]])?.rule ?? '', /must be a string/);
});

test('named ports have names that DNS can carry', () => {
  for (const name of ['metrics', 'a', 'grpc-web', 'h2c', '9p', 'a'.repeat(15)]) assert.ok(PORT_NAME.test(name), name);
  for (const name of ['', '9', '12-3', '-a', 'a-', 'a--b', 'Metrics', 'a_b', 'a'.repeat(16)]) {
    assert.equal(portsProblem([[name, 1]])?.key, name, name);
  }
  for (const port of [0, 65_536, 1.5, '80', undefined]) assert.match(portsProblem([['metrics', port]])?.rule ?? '', /1 to 65535/);
  const many = Array.from({ length: 33 }, (_, index) => [`p${index}`, 1 + index] as const);
  assert.match(portsProblem(many)?.rule ?? '', /has 33 entries, at most 32/);
});

test('a locality is read as it is written', () => {
  const part = fc.stringMatching(/^[A-Za-z0-9]([A-Za-z0-9._-]{0,10}[A-Za-z0-9])?$/);
  fc.assert(
    fc.property(part, part, fc.option(part, { nil: undefined }), (region, zone, subZone) => {
      const locality = { region, zone, ...(subZone === undefined ? {} : { subZone }) };
      assert.deepEqual(parseLocality(formatLocality(locality)), locality);
    }),
  );
  for (const text of ['', 'eu', 'eu/', '/a', 'eu/a/', 'eu/a/b/c', 'eu /a']) assert.equal(parseLocality(text), undefined, text);
  assert.equal(localityProblem({ region: 'eu', zone: '', subZone: undefined })?.key, 'zone');
});
