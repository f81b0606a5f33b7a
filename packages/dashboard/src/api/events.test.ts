import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { EventParser, type ServerSentEvent } from './events.ts';

function parse(...pieces: string[]): ServerSentEvent[] {
  const parser = new EventParser();
  return pieces.flatMap((piece) => parser.push(piece));
}

test('an event is told when its blank line has come, with the newest id', () => {
  assert.deepEqual(parse('retry: 1000\n\n: keep-alive\n\nevent: changes\nid: a.1\ndata: {"x":1}\n\ndata:2\ndata: 3\n\nevent: un'), [
    { event: 'changes', data: '{"x":1}', lastId: 'a.1' },
    { event: 'message', data: '2\n3', lastId: 'a.1' },
  ]);
});

test('where the text is cut makes no difference', () => {
  const text = 'event: snapshot\r\ndata: {"a":"ä"}\r\n\r\n: comment\n\nid: 7\nevent: changes\ndata: one\ndata: two\n\ndata\n\n';
  const whole = parse(text);
  assert.equal(whole.length, 3);
  fc.assert(
    fc.property(fc.array(fc.nat(text.length)), (cuts) => {
      const at = [0, ...cuts.sort((a, b) => a - b), text.length];
      assert.deepEqual(parse(...at.slice(1).map((end, index) => text.slice(at[index], end))), whole);
    }),
  );
});
