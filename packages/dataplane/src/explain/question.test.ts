// Questions as people write them.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { QuestionError, readQuestion } from './question.ts';

describe('a question', () => {
  for (const [method, url, authority, path] of [
    ['GET', 'http://orders', 'orders', '/'],
    ['GET', 'orders:8081/a?b=c#d', 'orders:8081', '/a?b=c'],
    ['GET', 'http://orders?x', 'orders', '/?x'],
    ['GET', 'http://[::1]:80/%2e%2e/a//b', '[::1]:80', '/%2e%2e/a//b'],
    ['CONNECT', 'cache:6379', 'cache:6379', ''],
  ] as const) {
    it(`is read from ${method} ${url}`, () => {
      const read = readQuestion({ method, url });
      assert.deepEqual([read.authority, read.path, read.scheme, read.from], [authority, path, 'http', '']);
    });
  }

  it('keeps scheme and headers', () => {
    const read = readQuestion({ method: 'GET', url: 'HTTPS://a.example/', headers: [['X-A', ' b ']] });
    assert.deepEqual([read.scheme, read.headers], ['https', [['X-A', 'b']]]);
  });

  for (const [body, why] of [
    [undefined, /method/],
    [{ method: 'G T', url: 'http://a' }, /method/],
    [{ method: 'GET' }, /url must be text/],
    [{ method: 'GET', url: '' }, /is no URL/],
    [{ method: 'GET', url: 'ftp://a/' }, /is no URL/],
    [{ method: 'GET', url: 'http://user@a/' }, /is no URL/],
    [{ method: 'GET', url: 'http://a:99999/' }, /is no URL/],
    [{ method: 'GET', url: 'http://a/ b' }, /is no URL/],
    [{ method: 'CONNECT', url: 'cache' }, /host with its port/],
    [{ method: 'CONNECT', url: 'http://cache:1/' }, /host with its port/],
    [{ method: 'GET', url: 'a', headers: {} }, /list of/],
    [{ method: 'GET', url: 'a', headers: [['a']] }, /list of/],
    [{ method: 'GET', url: 'a', headers: [['a b', 'c']] }, /name of a header/],
    [{ method: 'GET', url: 'a', headers: [['a', 'c\nd']] }, /characters/],
    [{ method: 'GET', url: 'a', headers: Array.from({ length: 101 }, () => ['a', 'b']) }, /more than 100/],
    [{ method: 'GET', url: 'a', from: 1 }, /from must/],
  ] as const) {
    it(`is refused: ${JSON.stringify(body)?.slice(0, 60)}`, () => {
      assert.throws(
        () => readQuestion(body),
        (error) => error instanceof QuestionError && why.test(error.message),
      );
    });
  }
});
