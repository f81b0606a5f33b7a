import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PAGES, href, loginCode, parsePlace, serviceHref } from './routes.ts';

test('every page has an address that leads back to it, with what it asks for', () => {
  const text = fc.string({ minLength: 1, unit: 'grapheme' }).filter((value) => value.isWellFormed());
  fc.assert(
    fc.property(fc.constantFrom(...PAGES), fc.dictionary(fc.stringMatching(/^[a-z]+$/), text), text, text, (page, query, a, b) => {
      const name = page === 'service' ? `${a.replaceAll('/', '')}x/${b.replaceAll('/', '')}y` : '';
      assert.deepEqual({ ...parsePlace(href(page, query, name)) }, { page, name, query: { ...query } });
    }),
  );
  assert.equal(serviceHref('default/orders'), '#/services/default/orders');
});

test('an address that leads nowhere is known as such', () => {
  assert.deepEqual(
    ['', '#', '#/', '#/nowhere', '#/service', '#/proxies/x', '#/services/a/b/c', '#/services/%E0%A4%A'].map(
      (hash) => parsePlace(hash).page,
    ),
    ['overview', 'overview', 'overview', 'unknown', 'unknown', 'unknown', 'unknown', 'unknown'],
  );
});

test('a login link is told from a page', () => {
  assert.deepEqual(
    [loginCode('#login=a-B_9'), loginCode('#/login=a'), loginCode('#login=a b'), loginCode('')],
    ['a-B_9', undefined, undefined, undefined],
  );
});
