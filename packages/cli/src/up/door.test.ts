// The way to a running `heddle up`: who may use it, and what it takes.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type RestartWish, UpDoor } from './door.ts';

describe('the door of a running mesh', () => {
  let door: UpDoor;
  const wishes: RestartWish[] = [];
  before(async () => {
    door = await UpDoor.open({
      token: () => 'the-operator-token',
      restart: (wish, onStep) => {
        wishes.push(wish);
        if (wish.name === 'nothing') return Promise.reject(new Error('nothing named nothing runs here'));
        onStep({ instance: 'orders-1', step: 'healthy', message: 'is healthy again' });
        return Promise.resolve(wish.name === 'orders');
      },
    });
  });
  after(() => door.close());

  async function ask(body: string, headers: Record<string, string> = { authorization: 'Bearer the-operator-token' }, path = '/restart') {
    const response = await fetch(`http://127.0.0.1:${door.port}${path}`, { method: 'POST', body, headers });
    return { status: response.status, text: await response.text() };
  }

  it('tells the steps of a restart line by line, and how it ended', async () => {
    const step = '{"instance":"orders-1","step":"healthy","message":"is healthy again"}';
    const wish = { name: 'orders', tellMs: 30_000, force: false };
    assert.deepEqual(await ask(JSON.stringify(wish)), { status: 200, text: `${step}\n{"outcome":"complete"}\n` });
    assert.deepEqual(await ask(JSON.stringify({ ...wish, name: 'web' })), { status: 200, text: `${step}\n{"outcome":"failed"}\n` });
    assert.deepEqual(wishes, [wish, { ...wish, name: 'web' }]);
    assert.deepEqual(await ask(JSON.stringify({ ...wish, name: 'nothing' })), {
      status: 409,
      text: '{"error":"nothing named nothing runs here"}\n',
    });
  });

  it('is shut for whoever does not have the token, and takes nothing that it does not understand', async () => {
    for (const headers of [{}, { authorization: 'Bearer the-operator-tokem' }, { authorization: 'Bearer x' }])
      assert.equal((await ask('{}', headers as Record<string, string>)).status, 401);
    assert.equal((await ask('{}', undefined, '/stop')).status, 404);
    for (const body of ['', 'null', '{"name":"orders"}', '{"name":"orders","tellMs":-1,"force":true}', `"${'x'.repeat(20_000)}"`])
      assert.equal((await ask(body)).status, 400, body.slice(0, 50));
  });
});
