// The file of a static proxy as a whole: nothing throws, whatever the text, and a file is refused exactly when an error is told.
import assert from 'node:assert/strict';
import { isIP } from 'node:net';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseStaticFile } from './static-parse.ts';

const FOLDER = new URL('./golden-static/', import.meta.url);
const corpus = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.yaml'))
  .map((name) => readFileSync(new URL(name, FOLDER), 'utf8'));

function assertSound(text: string): void {
  const { config, problems } = parseStaticFile(text, 'proxy.yaml');
  assert.equal(
    config === undefined,
    problems.some(({ severity }) => severity === 'error'),
  );
  for (const { reason, mend } of problems) {
    assert.ok(reason.length > 0 && reason.length < 400 && mend.length > 0);
    assert.doesNotMatch(reason + mend, /undefined|\[object|something else|Invalid input/);
  }
  for (const { name, endpoints } of config?.services ?? [])
    for (const { address } of endpoints) assert.ok(isIP(address) !== 0, `${name} ${address}`);
}

describe('the parser of a static proxy file', () => {
  it('gives a sound result for every change of a file (property)', () => {
    const change = fc.tuple(fc.constantFrom(...corpus), fc.nat(), fc.nat(20), fc.string({ maxLength: 8 }));
    fc.assert(
      fc.property(change, ([text, at, removed, added]) => {
        const start = at % (text.length + 1);
        assertSound(text.slice(0, start) + added + text.slice(start + removed));
      }),
      { numRuns: 500 },
    );
  });

  it('does not show what an alias without an anchor would have stood for', () => {
    assertSound('listeners: { port: 9100, service: *echo }\nservices:\n  - echo\n');
  });

  it('takes exactly the endpoints that are an IP address and a port (property)', () => {
    const port = fc.oneof(fc.integer({ min: 1, max: 65_535 }).map(String), fc.constantFrom('', '0', '65536', '-1', '1e3', '080', ' 80'));
    const address = fc.oneof(
      fc.ipV4().map((text) => ({ text, written: text })),
      fc.ipV6().map((text) => ({ text, written: `[${text}]` })),
      fc.constantFrom('localhost', '1.2.3', '[1.2.3.4]', '::1', '[::1%lo]', '').map((written) => ({ text: '', written })),
    );
    fc.assert(
      fc.property(address, port, ({ text, written }, digits) => {
        const file = { listeners: [{ port: 0, service: 'a' }], services: { a: { endpoints: [`${written}:${digits}`] } } };
        const { config } = parseStaticFile(JSON.stringify(file), 'proxy.yaml');
        const isGood = text !== '' && /^\d{1,5}$/.test(digits) && Number(digits) >= 1 && Number(digits) <= 65_535;
        assert.deepEqual(config?.services[0]?.endpoints, isGood ? [{ address: text, port: Number(digits), weight: 1 }] : undefined);
      }),
    );
  });

  it('freezes what it gives', () => {
    const { config } = parseStaticFile(corpus.find((text) => text.includes('6379, protocol')) ?? '', 'proxy.yaml');
    for (const part of [config, config?.listeners, config?.services[0]?.endpoints, config?.services[0]?.health]) {
      assert.ok(part !== undefined && Object.isFrozen(part));
    }
  });
});
