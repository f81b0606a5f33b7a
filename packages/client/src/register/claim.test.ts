// Of several processes that want an instance one gets it, also where an earlier one was killed.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import type { Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { claim } from './claim.ts';
import { meetingPlace } from './place.ts';

const folder = mkdtempSync(join(tmpdir(), 'heddle-claim-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const turnAway = (socket: Socket): void => void socket.destroy();

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => void server.close(() => resolve()));
}

describe('the claim of an instance', () => {
  it('is granted once, and again when who had it has ended', async () => {
    const path = join(folder, 'one');
    const granted = (await Promise.all([1, 2, 3, 4].map(() => claim(path, turnAway)))).filter((server) => server !== undefined);
    assert.equal(granted.length, 1);
    await closed(granted[0]!);
    const next = await claim(path, turnAway);
    assert.ok(next !== undefined);
    await closed(next);
  });

  it('is granted where a process that had it was killed, to one of those that ask', async () => {
    const path = join(folder, 'left');
    const code = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.stdout.write('listens'))`;
    const child = spawn(process.execPath, ['-e', code], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await once(child, 'close');
    assert.ok(existsSync(path));
    const first = await claim(path, turnAway);
    assert.ok(first !== undefined);
    assert.equal(await claim(path, turnAway), undefined);
    await closed(first);
  });

  it('cannot be had at a place that is none', async () => {
    await assert.rejects(claim(join(folder, 'missing', 'place'), turnAway));
  });
});

describe('the meeting place', { skip: process.platform === 'win32' }, () => {
  const who = { HEDDLE_CONTROL: '127.0.0.1:1', HEDDLE_SERVICE: 'web', HEDDLE_INSTANCE: 'web-1' };

  it('is the same for processes of one instance, and another for others', () => {
    assert.equal(meetingPlace({ ...who, PORT: '1' }), meetingPlace(who));
    assert.notEqual(meetingPlace(who), meetingPlace({ ...who, HEDDLE_INSTANCE: 'web-2' }));
    assert.notEqual(meetingPlace(who), meetingPlace({ ...who, HEDDLE_CONTROL: '127.0.0.1:2' }));
  });
});
