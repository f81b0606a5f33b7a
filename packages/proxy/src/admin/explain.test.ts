// `POST /explain` of the admin API of a real data plane, whose control plane is not there.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type RunningProxy, startProxy } from '../start.ts';
import { lonelyProxy, TOKEN } from './testing/lonely-proxy.ts';

describe('POST /explain', () => {
  let proxy: RunningProxy;
  before(async () => {
    proxy = await startProxy(lonelyProxy());
  });
  after(() => proxy.stop());

  async function post(body: string, token = TOKEN): Promise<{ readonly status: number; readonly error: string }> {
    const url = `http://127.0.0.1:${proxy.admin.port}/explain`;
    const response = await fetch(url, { method: 'POST', headers: { authorization: `Bearer ${token}` }, body });
    return { status: response.status, error: ((await response.json()) as { error: string }).error };
  }

  it('needs the admin token', async () => {
    assert.equal((await post('{}', 'wrong')).status, 401);
  });

  it('says what is wrong with a question', async () => {
    for (const [body, why] of [
      ['{', /must be JSON/],
      ['null', /method must be/],
      ['{"method":"GET","url":"http://"}', /is no URL/],
      ['{"method":"GET","url":"http://orders"}', /hosts nobody that could call/],
    ] as const) {
      const { status, error } = await post(body);
      assert.equal(status, 400, body);
      assert.match(error, why);
    }
  });
});
