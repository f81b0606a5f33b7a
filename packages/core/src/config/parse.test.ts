// The mesh file as a whole: nothing throws, everything bad has a place, and files of every legal form are read.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseMeshFile } from './parse.ts';
import { CONFIG_FILE_BYTES_MAX } from './read-file.ts';
import type { ParsedMeshFile } from './parse.ts';
import { formatProblems } from './problem.ts';

const FOLDER = new URL('./golden/', import.meta.url);
const corpus = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.yaml') && name !== 'alias-bomb.yaml')
  .map((name) => readFileSync(new URL(name, FOLDER), 'utf8'));
const parse = (text: string): ParsedMeshFile => parseMeshFile(text, { path: '/srv/heddle.yaml' });
const reasons = (text: string): string[] => parse(text).problems.map(({ reason }) => reason);

/** What must hold for any text: a mesh or an error, and every problem readable and within the file. */
function assertSound(text: string): void {
  const { mesh, problems } = parse(text);
  assert.equal(
    mesh === undefined,
    problems.some(({ severity }) => severity === 'error'),
  );
  const lines = text.split('\n').length;
  for (const problem of problems) {
    assert.ok(problem.line >= 1 && problem.line <= lines && problem.column >= 1, JSON.stringify(problem));
    assert.ok(problem.reason.length > 0 && problem.reason.length < 400 && problem.mend.length > 0);
    assert.doesNotMatch(problem.reason + problem.mend, /undefined|\[object|something else|Invalid input/);
  }
  assert.doesNotMatch(formatProblems(problems, text), /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
}

describe('the mesh file parser', () => {
  it('freezes what it gives', () => {
    const { mesh } = parse('mesh: shop\nservices: { a: { port: 1, run: [x] } }');
    const service = mesh?.services[0];
    for (const part of [mesh, mesh?.services, service, service?.service, service?.service.retry.on, service?.run?.command])
      assert.ok(Object.isFrozen(part));
  });

  it('starts relative directories from that of the file', () => {
    const text = 'mesh: shop\nservices: { a: { port: 1, run: x, cwd: app } }';
    assert.equal(parse(text).mesh?.services[0]?.run?.directory, '/srv/app');
    assert.equal(parseMeshFile(text, { path: 'heddle.yaml', directory: '/home/me' }).mesh?.services[0]?.run?.directory, '/home/me/app');
  });

  it('reads a file with a byte order mark, Windows line ends or JSON in it', () => {
    const yaml = 'mesh: shop\nservices:\n  a: { port: 1 }\n';
    const expected = parse(yaml).mesh;
    assert.ok(expected);
    for (const variant of [`\ufeff${yaml}`, yaml.replaceAll('\n', '\r\n'), '{"mesh":"shop","services":{"a":{"port":1}}}'])
      assert.deepEqual(parse(variant).mesh, expected);
  });

  it('refuses more than 1 MiB, counted in bytes', () => {
    const fill = (letter: string, bytes: number): string =>
      `mesh: shop\nservices: {}\n#${letter.repeat(bytes / Buffer.byteLength(letter))}`;
    assert.deepEqual(reasons(fill('a', CONFIG_FILE_BYTES_MAX)), ['the file is larger than 1 MiB']);
    assert.deepEqual(reasons(fill('é', CONFIG_FILE_BYTES_MAX)), ['the file is larger than 1 MiB']);
    assert.deepEqual(reasons(fill('a', CONFIG_FILE_BYTES_MAX - 100)), []);
  });

  it('refuses endless nesting in any style', () => {
    for (const text of [
      '['.repeat(100_000),
      '{a: '.repeat(20_000),
      Array.from({ length: 400 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n'),
    ])
      assertSound(text);
    const deep = `mesh: shop\nservices: { a: { port: 1, labels: ${'['.repeat(40)}${']'.repeat(40)} } }`;
    assert.ok(reasons(deep).includes('is nested too deeply'));
  });

  it('lets a redefined anchor stand for its last value before the alias', () => {
    const text = 'mesh: shop\nservices:\n  a: { port: &p 1 }\n  b: { port: *p }\n  c: { port: &p 2 }\n  d: { port: *p }\n';
    assert.deepEqual(
      parse(text).mesh?.services.map(({ service }) => service.port),
      [1, 1, 2, 2],
    );
  });

  it('takes names that JavaScript gives a meaning to for names', () => {
    const { mesh } = parse('mesh: constructor\nservices: { constructor: { port: 1 }, valueof: { port: 2, uses: [constructor] } }');
    assert.deepEqual(
      mesh?.services.map(({ service }) => service.name),
      ['constructor', 'valueof'],
    );
    assert.deepEqual(reasons('mesh: a\nservices: {}\ntoString: 1\n'), ['unknown key "toString"']);
  });

  it('reports faults of form and of meaning together', () => {
    const found = reasons('mesh: shop\nservices: { a: { port: x, uses: [b] }, c: { portt: 1, health: { timeout: 5s } } }');
    assert.equal(found.length, 5);
  });

  it('reads 1,000 services', () => {
    const services = Array.from({ length: 1_000 }, (_, index) => `  s${index}: { port: ${index + 1}, run: x, uses: [s0x] }`).join('\n');
    const { mesh, problems } = parse(`mesh: big\nservices:\n  s0x: { port: 1 }\n${services}\n`);
    assert.deepEqual(problems, []);
    assert.equal(mesh?.services.length, 1_001);
  });

  it('never throws and always says where, whatever is changed in a file (property)', () => {
    const snippets = [
      '\t',
      '\n',
      ': ',
      '- ',
      '[',
      ']',
      '{',
      '}',
      '&a ',
      '*a',
      '<<: *a',
      '!!str ',
      '"',
      "'",
      '#',
      '|\n',
      '%',
      '\u0000',
      '\u001b[2J',
      '\ud800',
      '---\n',
      '? ',
      '0',
      'null',
      '~',
      '.nan',
      '-1',
      '1e999',
      'x'.repeat(300),
    ];
    const edit = fc.record({
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      cut: fc.integer({ min: 0, max: 30 }),
      put: fc.oneof(fc.constantFrom(...snippets), fc.string({ maxLength: 8 })),
    });
    fc.assert(
      fc.property(fc.constantFrom(...corpus), fc.array(edit, { maxLength: 6 }), (file, edits) => {
        assertSound(
          edits.reduce((text, { at, cut, put }) => {
            const offset = Math.floor(at * text.length);
            return text.slice(0, offset) + put + text.slice(offset + cut);
          }, file),
        );
      }),
      { numRuns: 250 },
    );
  });

  it('never throws on any text (property)', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 200 }), assertSound), { numRuns: 300 });
  });

  it('never throws on any value in any place (property)', () => {
    const place = fc.constantFrom(
      'mesh',
      'trustDomain',
      'security',
      'services',
      'port',
      'protocol',
      'run',
      'cwd',
      'env',
      'replicas',
      'needs',
      'stopTimeout',
      'version',
      'labels',
      'uses',
      'health',
      'balance',
      'timeout',
      'connectTimeout',
      'retry',
      'hedge',
      'breaker',
      'concurrency',
      'outlier',
      'sticky',
      'rateLimit',
      'protocol',
      'routes',
      'egress',
      'rule',
    );
    const top = ['mesh', 'trustDomain', 'security', 'services', 'routes', 'egress'];
    fc.assert(
      fc.property(fc.array(fc.tuple(place, fc.jsonValue({ maxDepth: 3 })), { maxLength: 5 }), (changes) => {
        const service: Record<string, unknown> = { port: 1, run: 'x' };
        const file: Record<string, unknown> = { mesh: 'shop', services: { a: service, b: { port: 2 } } };
        for (const [key, value] of changes) {
          if (key === 'rule') file['routes'] = [{ service: 'a', rules: [value] }];
          else (top.includes(key) ? file : service)[key] = value;
        }
        assertSound(JSON.stringify(file));
      }),
      { numRuns: 300 },
    );
  });
});
