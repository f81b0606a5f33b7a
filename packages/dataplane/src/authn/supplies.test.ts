import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { PlainRequest } from '@heddle/core';
import type { Limits, OutboundToken } from '@heddle/core';
import type { SupplyAnswer } from '../stack/access-gate.ts';
import { authnDeps, TestIssuer } from '../testing/issuer.ts';
import type { Asked } from '../testing/issuer.ts';
import { until } from '../testing/raw-http.ts';
import { suppliesOf } from './supplies.ts';

type Headers = readonly (readonly [string, string])[];

let directory: string;
const closers: (() => unknown)[] = [];

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'heddle-test-'));
  await writeFile(join(directory, 'secret'), 's3cret\n');
});
after(async () => {
  for (const close of closers.reverse()) await close();
  await rm(directory, { recursive: true });
});

interface Stage {
  readonly issuer: TestIssuer;
  readonly lines: readonly string[];
  readonly metrics: () => string;
  readonly later: (ms: number) => void;
  readonly get: (headers?: Headers) => Promise<SupplyAnswer & { readonly atOnce?: true }>;
}

/** Tokens are numbered. */
function numbered(lifeSeconds: number | undefined = 600): (asked: Asked) => { body: object } {
  let number = 0;
  return () => ({
    body: { access_token: `token-${++number}`, token_type: 'Bearer', ...(lifeSeconds !== undefined && { expires_in: lifeSeconds }) },
  });
}

async function stage(more: Partial<OutboundToken> = {}, limits: Partial<Limits> = {}): Promise<Stage> {
  const issuer = await TestIssuer.start();
  closers.push(() => issuer.close());
  issuer.replies.set('/token', numbered());
  const { deps, lines, metrics, later } = authnDeps(limits);
  const supply = suppliesOf(deps).supplyFor({
    name: 'billing-api',
    grant: 'client-credentials',
    url: `${issuer.url}/token`,
    clientId: 'orders',
    clientSecretFile: join(directory, 'secret'),
    scopes: ['bill', 'read'],
    audience: 'billing',
    header: 'Authorization',
    ...more,
  });
  const get: Stage['get'] = async (headers = []) => {
    const answer = supply.tokenFor(new PlainRequest({ authority: 'billing', headers }), deps.clock.wallMs());
    return answer.kind === 'later' ? new Promise((resolve) => void answer.wait(resolve)) : atOnce(answer);
  };
  return { issuer, lines, metrics, later, get };
}

function atOnce(answer: SupplyAnswer): SupplyAnswer & { readonly atOnce: true } {
  return answer.kind === 'token'
    ? { kind: 'token', headers: answer.headers, refused: () => answer.refused(), successor: undefined, atOnce: true }
    : { ...answer, atOnce: true };
}

function tokenOf(answer: SupplyAnswer): string {
  assert.equal(answer.kind, 'token');
  return answer.kind === 'token' ? answer.headers.set[0]![1] : '';
}

describe('tokens in our own name', () => {
  test('are asked for when the first call needs one, once for all that wait', async () => {
    const { issuer, get } = await stage();
    assert.equal(issuer.asked.length, 0);
    const answers = await Promise.all([get(), get(), get()]);
    assert.deepEqual(answers.map(tokenOf), ['Bearer token-1', 'Bearer token-1', 'Bearer token-1']);
    assert.deepEqual(answers[0]!.kind === 'token' && answers[0].headers.drop, ['authorization']);
    assert.ok((await get()).atOnce);
    assert.equal(issuer.asked.length, 1);
    const { form, headers } = issuer.asked[0]!;
    assert.deepEqual(Object.fromEntries(form), { grant_type: 'client_credentials', scope: 'bill read', audience: 'billing' });
    assert.equal(Buffer.from(headers.authorization!.slice(6), 'base64').toString(), 'orders:s3cret');
  });

  test('are renewed before they end, while the old one is used', async () => {
    const { get, later } = await stage();
    await get();
    later(450_000);
    const during = await get();
    assert.ok(during.atOnce);
    assert.equal(tokenOf(during), 'Bearer token-1');
    const end = Date.now() + 5_000;
    while (tokenOf(await get()) !== 'Bearer token-2') {
      assert.ok(Date.now() < end, 'the new one comes');
      await new Promise(setImmediate);
    }
  });

  test('are used to their end while no new one can be had, and not beyond', async () => {
    const { issuer, get, later, lines, metrics } = await stage();
    await get();
    issuer.isDown = true;
    later(500_000);
    assert.equal(tokenOf(await get()), 'Bearer token-1');
    later(91_000);
    const without = await get();
    assert.equal(without.kind, 'failed');
    assert.equal(without.kind === 'failed' && without.code, 'AUTHORIZER_UNAVAILABLE');
    assert.match(metrics(), /heddle_outbound_tokens_total\{result="failed",token="billing-api"\} [1-9]/);
    assert.match(metrics(), /heddle_outbound_token_missing\{token="billing-api"\} 1/);
    assert.ok(lines.some((line) => line.includes('a token for calls cannot be had')));
    issuer.isDown = false;
    later(15_000);
    assert.equal(tokenOf(await get()), 'Bearer token-2');
    assert.match(metrics(), /heddle_outbound_token_missing\{token="billing-api"\} 0/);
    assert.ok(!lines.join('').includes('s3cret') && !lines.join('').includes('token-2'));
  });

  test('are not asked for again at once after a failure', async () => {
    const { issuer, get } = await stage();
    issuer.replies.set('/token', () => ({ status: 401, body: { error: 'invalid_client' } }));
    const [one, two] = [await get(), await get()];
    assert.ok(one.kind === 'failed' && two.kind === 'failed' && two.atOnce);
    assert.match(one.reason, /status 401 and the error "invalid_client"/);
    assert.equal(issuer.asked.length, 1);
  });

  test('a fault of the configuration is none of the caller, and an alarm', async () => {
    const { issuer, get, metrics } = await stage();
    issuer.replies.set('/token', () => ({ status: 400, body: { error: 'invalid_target' } }));
    const answer = await get();
    assert.equal(answer.kind === 'failed' && answer.code, 'AUTHORIZER_UNAVAILABLE');
    assert.match(metrics(), /heddle_outbound_token_missing\{token="billing-api"\} 1/);
  });

  test('are asked for again when they are refused where they were sent, with a pause', async () => {
    const { issuer, get, later, metrics } = await stage();
    const refuse = (answer: SupplyAnswer): void => void (answer.kind === 'token' && answer.refused());
    const first = await get();
    refuse(first);
    refuse(first);
    assert.equal(tokenOf(await get()), 'Bearer token-2');
    refuse(first);
    refuse(await get());
    assert.equal(tokenOf(await get()), 'Bearer token-2', 'not so soon');
    later(10_000);
    refuse(first);
    assert.equal(issuer.asked.length, 2, 'one that is not used any more says nothing about the one that is');
    refuse(await get());
    assert.equal(tokenOf(await get()), 'Bearer token-3');
    assert.match(metrics(), /heddle_outbound_token_refusals_total\{token="billing-api"\} 6/);
  });

  test('must be bearer tokens that can be sent', async () => {
    for (const body of [
      {},
      { access_token: 'a' },
      { access_token: 'a', token_type: 'DPoP' },
      { access_token: 'a\r\nx: y', token_type: 'Bearer' },
      { access_token: 7, token_type: 'Bearer' },
      '[]',
      '{"access_token":"a","access_token":"b","token_type":"Bearer"}',
    ]) {
      const { issuer, get } = await stage();
      issuer.replies.set('/token', () => ({ body }));
      assert.equal((await get()).kind, 'failed', JSON.stringify(body));
    }
  });

  test('an audience that is an address is named as a resource, too', async () => {
    const { issuer, get } = await stage({ audience: 'https://billing.example/api', scopes: [] });
    await get();
    const { form } = issuer.asked[0]!;
    assert.equal(form.get('resource'), 'https://billing.example/api');
    assert.equal(form.has('scope'), false);
  });

  test('a secret that is not there, or is something else, is never sent', async () => {
    const other = join(directory, 'key.pem');
    await writeFile(other, '-----BEGIN PRIVATE KEY-----\nMIG\n-----END PRIVATE KEY-----\n');
    const [huge, pipe] = [join(directory, 'huge'), join(directory, 'pipe')];
    await writeFile(huge, 'x'.repeat(100_000));
    execFileSync('sh', ['-c', 'mkfifo "$0"', pipe]);
    for (const clientSecretFile of [join(directory, 'missing'), directory, other, huge, pipe, '/dev/zero']) {
      const { issuer, get, lines } = await stage({ clientSecretFile });
      const answer = await get();
      assert.equal(answer.kind, 'failed');
      assert.match(answer.kind === 'failed' ? answer.reason : '', /was not asked/);
      assert.equal(issuer.asked.length, 0);
      assert.ok(!lines.join('').includes('MIG'));
    }
  });
});

describe('tokens on behalf of somebody', () => {
  const exchange = { grant: 'token-exchange' } as const;
  const from = (token: string): Headers => [['authorization', `Bearer ${token}`]];

  test('are exchanged for the token that the application passes on, once for each', async () => {
    const { issuer, get } = await stage(exchange);
    assert.equal(tokenOf(await get(from('ann'))), 'Bearer token-1');
    assert.equal(tokenOf(await get(from('bob'))), 'Bearer token-2');
    assert.equal(tokenOf(await get(from('ann'))), 'Bearer token-1');
    assert.equal(issuer.asked.length, 2);
    assert.deepEqual(Object.fromEntries(issuer.asked[0]!.form), {
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: 'ann',
      subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      requested_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      scope: 'bill read',
      audience: 'billing',
    });
  });

  test('a flood of them does not become one of connections to the issuer, and its end is an answer', async () => {
    const { issuer, get } = await stage(exchange, { introspectionsMax: 3, tokenChecksMax: 5 });
    let open = (): void => {};
    issuer.gate = new Promise((resolve) => (open = resolve));
    const answers = Array.from({ length: 12 }, (_, index) => get(from(`user-${index}`)));
    await until(() => issuer.asked.length === 3, 'three questions');
    open();
    const ends = (await Promise.all(answers)).map((answer) => (answer.kind === 'failed' ? answer.code : answer.kind));
    assert.deepEqual(ends, [...Array<string>(8).fill('token'), ...Array<string>(4).fill('AUTHORIZER_UNAVAILABLE')]);
    assert.equal(issuer.asked.length, 8);
  });

  test('the token of the caller goes no further, whichever header the new one has', async () => {
    const { get } = await stage({ ...exchange, header: 'x-billing-token' });
    const answer = await get(from('ann'));
    assert.deepEqual(answer.kind === 'token' && answer.headers, {
      drop: ['x-billing-token', 'authorization'],
      set: [['x-billing-token', 'Bearer token-1']],
    });
  });

  test('without a token, or with credentials of another kind, the call goes out as it is', async () => {
    const { issuer, get } = await stage(exchange);
    assert.equal((await get()).kind, 'none');
    assert.equal((await get([['authorization', 'Basic eDp5']])).kind, 'none');
    assert.equal(issuer.asked.length, 0);
  });

  test('a token that the issuer does not exchange is the fault of the call; others are not touched', async () => {
    const { issuer, get } = await stage(exchange);
    const good = numbered();
    issuer.replies.set('/token', (asked) =>
      asked.form.get('subject_token') === 'forged' ? { status: 400, body: { error: 'invalid_grant' } } : good(asked),
    );
    const refused = await get(from('forged'));
    assert.equal(refused.kind === 'failed' && refused.code, 'TOKEN_INVALID');
    assert.equal((await get(from('ann'))).kind, 'token');
    for (const headers of [[...from('a'), ...from('b')], from(''), from('x'.repeat(20_000))]) {
      const answer = await get(headers);
      assert.equal(answer.kind === 'failed' && answer.code, 'TOKEN_INVALID');
    }
    assert.equal(issuer.asked.length, 2);
  });
});
