// The alert needs what Node does not promise: the handle below a TLS socket, and its key log. Whatever of it is missing or different in some Node, a refused
// peer's connection ends, and nothing else happens. That the alert arrives where all is there, tests with foreign peers show.
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { describe, it } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { keepHandshakeSecret, refuseWithAlert } from './tls-alerts.ts';

const SECRET_LINE = Buffer.from(`SERVER_TRAFFIC_SECRET_0 ${'00'.repeat(32)} ${'11'.repeat(32)}\n`);

class FakeSocket extends EventEmitter {
  destroyed = false;
  _handle: unknown;
  protocol: string | null = 'TLSv1.3';
  suite = 'TLS_AES_128_GCM_SHA256';

  constructor(handle: unknown) {
    super();
    this._handle = handle;
  }

  getProtocol(): string | null {
    return this.protocol;
  }

  getCipher(): unknown {
    return { standardName: this.suite };
  }

  resume(): this {
    return this;
  }

  destroy(): this {
    this.destroyed = true;
    return this;
  }
}

/** One whose handshake is over, and that is refused. */
async function refused(handle: unknown, change: (socket: FakeSocket) => void = () => {}, line = SECRET_LINE): Promise<FakeSocket> {
  const socket = new FakeSocket(handle);
  change(socket);
  const tls = socket as unknown as TLSSocket;
  keepHandshakeSecret(tls, 'SERVER_TRAFFIC_SECRET_0', line);
  refuseWithAlert(tls, 'no-certificate');
  await new Promise(setImmediate);
  await new Promise(setImmediate);
  return socket;
}

describe('a peer that is refused', () => {
  const handles: Readonly<Record<string, unknown>> = {
    'has no handle': undefined,
    'has a handle with nothing below it': {},
    'has a handle that tells no number of bytes': { _parent: {} },
    'has another kind of handle below': { _parent: { bytesWritten: 0 } },
    'has one that cannot be written to': {
      _parent: { bytesWritten: 0, close() {}, readStart: () => 0, shutdown: () => -32, getsockname: () => -1, getpeername: () => -1 },
    },
    'has one that throws when it is asked': {
      _parent: {
        get bytesWritten(): number {
          throw new Error('not here');
        },
      },
    },
  };
  for (const [name, handle] of Object.entries(handles)) {
    it(`is cut off where its socket ${name}`, async () => {
      assert.equal((await refused(handle)).destroyed, true);
    });
  }

  const whole = { _parent: { bytesWritten: 0 } };
  it('is cut off where no secret was told, or one in another form', async () => {
    for (const line of ['', 'SERVER_TRAFFIC_SECRET_0', 'SERVER_TRAFFIC_SECRET_0 zz zz', 'SERVER_HANDSHAKE_TRAFFIC_SECRET 00 00'])
      assert.equal((await refused(whole, undefined, Buffer.from(line))).destroyed, true, line);
  });

  it('is cut off where version or cipher are others, or not to be had', async () => {
    assert.equal((await refused(whole, (socket) => (socket.protocol = 'TLSv1.2'))).destroyed, true);
    assert.equal((await refused(whole, (socket) => (socket.protocol = null))).destroyed, true);
    assert.equal((await refused(whole, (socket) => (socket.suite = 'TLS_AES_128_CCM_SHA256'))).destroyed, true);
    assert.equal((await refused(whole, (socket) => (socket.getCipher = () => undefined))).destroyed, true);
  });
});
