// The table is sound, and the reference page says exactly what the table says.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { errorCodes, errorEntry, parseErrorCode } from './lookup.ts';
import { errorsMarkdown } from './markdown.ts';

const PAGE = new URL('../../../../docs/reference/errors.md', import.meta.url);

describe('the error table', () => {
  it('gives every code a fitting status, a meaning and a mend', () => {
    for (const code of errorCodes) {
      const entry = errorEntry(code);
      assert.match(code, /^[A-Z][A-Z_]+$/);
      assert.ok(entry.httpStatus >= (entry.origin === 'peer' || entry.origin === 'policy' ? 400 : 500) && entry.httpStatus < 600, code);
      assert.ok(entry.grpcStatus >= 1 && entry.grpcStatus <= 16, code);
      for (const sentence of [entry.meaning, entry.mend]) assert.match(sentence, /^\S.{9,}\.$/, code);
    }
  });

  it('knows its codes and nothing else', () => {
    assert.equal(parseErrorCode('DRAINING'), 'DRAINING');
    for (const text of ['draining', '', '__proto__', 'toString', undefined]) assert.equal(parseErrorCode(text), undefined);
  });
});

describe('docs/reference/errors.md', () => {
  const page = readFileSync(PAGE, 'utf8');

  it('is what the table gives; else run: node packages/core/tools/write-errors.ts', () => {
    assert.equal(page, errorsMarkdown());
  });

  it('has a section for every code and none for others', () => {
    const sections = [...page.matchAll(/^## (\S+)$/gm)].map(([, code]) => code);
    assert.deepEqual(sections, [...errorCodes]);
    const linked = [...page.matchAll(/^\| \[`(\w+)`\]/gm)].map(([, code]) => code);
    assert.deepEqual(linked, [...errorCodes]);
  });
});
