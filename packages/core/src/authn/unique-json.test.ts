import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { memberOf, parseUniqueObject } from './unique-json.ts';

test('an object is read as JSON reads it', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 4 })), (object) => {
      const text = JSON.stringify(object);
      assert.deepEqual(parseUniqueObject(text), JSON.parse(text));
    }),
  );
});

test('a name that stands twice in one object makes it none, wherever and however it is written', () => {
  for (const text of [
    '{"a":1,"a":1}',
    '{"a":1,"\\u0061":2}',
    '{"x":{"a":1,"b":2,"a":3}}',
    '{"x":[{"a":1},{"a":1,"a":2}]}',
    '{"":1,"":2}',
    '{"__proto__":1,"__proto__":2}',
    ' { "a" : "}" , "a" : 1 } ',
    '{"a":"\\"","a":1}',
  ])
    assert.equal(parseUniqueObject(text), undefined, text);
});

test('the same name in different objects is no repetition', () => {
  for (const text of ['{"a":{"a":1},"b":[{"a":1},{"a":2}]}', '{"a":"a","b":"a"}', '{"a":["a","a"],"b":"\\\\"}', '{"a\\"":1,"a":2}'])
    assert.deepEqual(parseUniqueObject(text), JSON.parse(text), text);
});

test('a repetition is found wherever it is put', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 3 }), fc.string(), fc.jsonValue({ maxDepth: 2 }), (before, name, value) => {
      const key = JSON.stringify(name);
      const text = `{"before":${JSON.stringify(before)},"in":[{${key}:${JSON.stringify(value)},${key}:0}]}`;
      assert.equal(parseUniqueObject(text), undefined, text);
    }),
  );
});

test('what is no object, no JSON or too deep is none', () => {
  for (const text of ['', 'null', '1', '"a"', '[]', '{', '{"a":1}x', "{'a':1}", '\ufeff{}', `{"a":${'['.repeat(16)}${']'.repeat(16)}}`])
    assert.equal(parseUniqueObject(text), undefined, text);
  assert.notEqual(parseUniqueObject(`{"a":${'['.repeat(15)}${']'.repeat(15)}}`), undefined);
});

test('names of Object are members only where they were sent', () => {
  const object = parseUniqueObject('{"__proto__":{"admin":true}}')!;
  assert.equal(memberOf(object, 'constructor'), undefined);
  assert.equal(memberOf(object, 'admin'), undefined);
  assert.deepEqual(memberOf(object, '__proto__'), { admin: true });
});
