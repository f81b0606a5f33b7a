// Who a caller is and what the table lets them do; certificates are real.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { status } from '@grpc/grpc-js';
import { certificateDer, createCsr, generateKeyPair, nodeClock, nodeRandom } from '@heddle/runtime/node';
import { openAuthority } from '../ca/index.ts';
import type { Authority } from '../ca/index.ts';
import { silent } from '../testing/mesh.ts';
import { ACCESS, refusal } from './access.ts';
import { ROLES, identifyCaller } from './caller.ts';
import type { Caller, CallerResult } from './caller.ts';

describe('who may call what', () => {
  let stateDir: string;
  let authority: Authority;
  const rules = { trustDomain: 'shop.test', operatorToken: 'correct-horse-battery-staple-0123' };

  before(async () => {
    stateDir = await mkdtemp(join(tmpdir(), 'heddle-access-'));
    authority = await openAuthority({ stateDir, trustDomain: 'shop.test', clock: nodeClock, random: nodeRandom, logger: silent });
  });
  after(() => rm(stateDir, { recursive: true, force: true }));

  async function identify(namespace: string, name: string, authorization: string[] = [], nowMs = Date.now()): Promise<CallerResult> {
    const { certificatePem } = await authority.sign({
      csrDer: createCsr(generateKeyPair()),
      identity: { trustDomain: 'shop.test', namespace, name },
    });
    return identifyCaller({ certificate: certificateDer(certificatePem), authorization }, rules, nowMs);
  }
  const bearer = (...authorization: string[]): CallerResult => identifyCaller({ certificate: undefined, authorization }, rules, Date.now());
  const reason = (result: CallerResult): string => (result.ok ? `let in as ${result.caller.kind}` : result.reason);

  test("a certificate makes a workload, the system's own makes the operator, nothing makes nobody", async () => {
    assert.deepEqual(await identify('default', 'orders'), {
      ok: true,
      caller: {
        kind: 'workload',
        id: { trustDomain: 'shop.test', namespace: 'default', name: 'orders' },
        uri: 'spiffe://shop.test/ns/default/svc/orders',
      },
    });
    const machine = await identify('heddle-system', 'operator');
    assert.deepEqual(machine.ok && machine.caller.kind === 'administrator' && [machine.caller.role, machine.caller.uri], [
      'operator',
      'spiffe://shop.test/ns/heddle-system/svc/operator',
    ]);
    assert.deepEqual(bearer(), { ok: true, caller: { kind: 'anonymous' } });
    assert.match(reason(await identify('heddle-system', 'something')), /no identity that calls/);
  });

  test('the token makes the operator; a wrong one is refused even beside a good certificate', async () => {
    const byToken = bearer(`Bearer ${rules.operatorToken}`);
    assert.equal(byToken.ok && byToken.caller.kind === 'administrator' && byToken.caller.role, 'operator');
    assert.equal(bearer(`bearer ${rules.operatorToken}`).ok, true);
    for (const wrong of ['Bearer wrong', `Bearer ${rules.operatorToken}x`, `Bearer ${rules.operatorToken.slice(0, -1)}`])
      assert.match(reason(bearer(wrong)), /operator token is wrong/);
    for (const malformed of [
      ['Basic abc'],
      [rules.operatorToken],
      ['Bearer '],
      [''],
      [`Bearer ${rules.operatorToken}`, 'Bearer x'],
      [`Bearer ${'x'.repeat(8_193)}`],
    ])
      assert.match(reason(bearer(...malformed)), /is not `Bearer/);
    assert.match(reason(await identify('default', 'orders', ['Bearer wrong'])), /operator token is wrong/);
  });

  test('a certificate that has ended, or is of another trust domain, is none', async () => {
    assert.match(reason(await identify('default', 'orders', [], Date.now() + 3_700_000)), /has expired/);
    const { certificatePem } = await authority.sign({
      csrDer: createCsr(generateKeyPair()),
      identity: { trustDomain: 'shop.test', namespace: 'default', name: 'orders' },
    });
    assert.match(
      reason(
        identifyCaller(
          { certificate: certificateDer(certificatePem), authorization: [] },
          { ...rules, trustDomain: 'other.test' },
          Date.now(),
        ),
      ),
      /trust domain shop\.test, not other\.test/,
    );
    assert.match(
      reason(identifyCaller({ certificate: new Uint8Array([1, 2, 3]), authorization: [] }, rules, Date.now())),
      /cannot be read/,
    );
  });

  test('the table opens exactly what it says', () => {
    const callers: Record<string, Caller> = {
      anonymous: { kind: 'anonymous' },
      workload: { kind: 'workload', id: { trustDomain: 't', namespace: 'n', name: 's' }, uri: 'spiffe://t/ns/n/svc/s' },
      ...Object.fromEntries(ROLES.map((role) => [role, { kind: 'administrator' as const, role, id: undefined, uri: 'a token' }])),
    };
    const allowed = {
      anyone: ['anonymous', 'workload', 'viewer', 'editor', 'operator'],
      member: ['workload', 'operator'],
      reader: ['workload', 'viewer', 'editor', 'operator'],
      registrant: ['workload', 'editor', 'operator'],
      viewer: ['viewer', 'editor', 'operator'],
      editor: ['editor', 'operator'],
      operator: ['operator'],
    };
    for (const [path, access] of Object.entries(ACCESS)) {
      assert.deepEqual(
        Object.keys(callers).filter((kind) => refusal(path, callers[kind] as Caller) === undefined),
        allowed[access],
        path,
      );
    }
    for (const caller of Object.values(callers)) assert.notEqual(refusal('/heddle.admin.v1.Admin/Unknown', caller), undefined);
    assert.equal(refusal('/heddle.admin.v1.Admin/GetMesh', callers['anonymous'] as Caller)?.code, status.UNAUTHENTICATED);
    assert.equal(refusal('/heddle.admin.v1.Admin/GetMesh', callers['workload'] as Caller)?.code, status.PERMISSION_DENIED);
    const open = Object.entries(ACCESS)
      .filter(([, access]) => access === 'anyone')
      .map(([path]) => path);
    assert.deepEqual(open, [
      '/heddle.identity.v1.Identity/Sign',
      '/grpc.health.v1.Health/Check',
      '/grpc.health.v1.Health/List',
      '/grpc.health.v1.Health/Watch',
    ]);
  });
});
