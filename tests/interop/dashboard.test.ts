// The dashboard in Chromium, on the shop as `heddle up` runs it: what it shows is held against the load, and what is done with it against the mesh.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, before, describe, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { type Load, type Outcome, startLoad, summarize } from '../support/load.ts';
import { Cleanup } from '../support/planes.ts';
import { freePort } from '../support/ports.ts';
import { type RunningMesh, startUp } from '../support/up.ts';
import { waitFor } from '../support/wait.ts';
import { accessibilityProblems, openPage, startBrowser } from './support/browser.ts';
import { skipWithout } from './support/programs.ts';

const SHOP = fileURLToPath(new URL('../../examples/shop/heddle.yaml', import.meta.url));
const skip = skipWithout('chromium', 'python3');
const PAGES = [
  '',
  'services',
  'services/default/orders',
  'proxies',
  'identities',
  'decisions',
  'tap',
  'explain',
  'events',
  'audit',
  '?view=list',
];
const PHONE = { viewport: { width: 390, height: 780 } };
const REQUESTS_PER_SECOND = 20;

/** The shop with a second version of the orders, which gets nothing yet, and a rule by which nobody may delete. */
const CANARY = `
  fresh:
    port: 8085
    run: node services/orders.ts
    uses: [inventory]
    health: { http: /healthz, interval: 1s }
`;
const SPLIT = `
      - name: canary
        match: { path: /orders/** }
        to: [{ weight: 100 }, { service: fresh, weight: 0 }]
`;
const SECURITY = `
security:
  access:
    default: allow
    rules:
      - { name: keep, effect: deny, from: anyone, to: catalog, methods: [DELETE] }
`;

const cleanup = new Cleanup();
let mesh: RunningMesh;
let browser: Browser;
let base: string;

before(async () => {
  if (skip !== false) return;
  const folder = dirname(SHOP);
  const yaml = (await readFile(SHOP, 'utf8'))
    .replace('\n# Which requests go where.', `${CANARY}\n# Which requests go where.`)
    .replaceAll(/run: (node|python3) services/g, `run: $1 ${folder}/services`)
    .replace('../../packages', `${folder}/../../packages`);
  const restPort = await freePort();
  base = `http://127.0.0.1:${restPort}/`;
  [mesh, browser] = await Promise.all([startUp(yaml + SPLIT + SECURITY, restPort), startBrowser(cleanup)]);
});

after(async () => {
  await cleanup.run();
  await mesh?.stop();
});

async function loginLink(role: string): Promise<string> {
  const { code, stdout, stderr } = await mesh.heddle('dashboard', '--role', role);
  assert.equal(code, 0, stderr);
  assert.ok(stdout.startsWith(`${base}#login=`), stdout);
  return stdout.trim();
}

function load(path: string, { requestsPerSecond = REQUESTS_PER_SECOND, method = 'GET' } = {}): Load {
  const running = startLoad({ proxy: mesh.proxy, url: `http://${path}`, method }, requestsPerSecond);
  // Where a test ends early.
  cleanup.add(async () => void (await running.stop()));
  return running;
}

async function visit(page: Page, place: string): Promise<void> {
  await page.evaluate(`location.hash = '#/${place}'`);
  await page.locator('main h1').waitFor();
}

const rowOf = (page: Page, name: string) => page.locator('tr', { has: page.getByRole('button', { name, exact: true }) });

describe('the dashboard', { skip }, () => {
  let page: Page;
  let complaints: string[];

  test('lets nobody see anything without a token, and logs in by a link, once', async () => {
    const head = await fetch(base, { method: 'HEAD' });
    assert.deepEqual([head.status, head.headers.get('x-content-type-options'), await head.text()], [200, 'nosniff', '']);
    assert.equal((await fetch(`${base}assets/none.js`)).status, 404);
    const stranger = await openPage(browser);
    await stranger.page.goto(`${base}#/services/default/orders`);
    await stranger.page.getByLabel('Token').fill('wrong');
    await stranger.page.getByRole('button', { name: 'Log in' }).click();
    await stranger.page.getByText('the operator token is wrong').waitFor();
    ({ page, complaints } = await openPage(browser, { colorScheme: 'light' }));
    const link = await loginLink('editor');
    await page.goto(link);
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    assert.equal(page.url(), `${base}#/`);
    await stranger.page.goto('about:blank');
    await stranger.page.goto(link);
    await stranger.page.getByText('This link was used already').waitFor();
    await page.reload();
    await page.getByText('Live').waitFor();
    await stranger.page.context().close();
  });

  test('draws who calls whom, with rates that are those of the load', async () => {
    const running = load('catalog.mesh.internal/healthz');
    const begun = performance.now();
    try {
      // A line that is straight has no height, and so counts as hidden.
      for (const [from, to] of [
        ['visitors', 'web'],
        ['web', 'catalog'],
        ['web', 'orders'],
        ['catalog', 'pricing'],
        ['catalog', 'inventory'],
        ['orders', 'inventory'],
      ] as const)
        await page.getByRole('button', { name: new RegExp(`^${from} to ${to}: [0-9.]+/s, .*mutual TLS`) }).waitFor({ state: 'attached' });
      const edge = page.getByRole('button', { name: /^operator to catalog: [0-9.]+\/s/ });
      // The window of ten seconds has to lie within the load.
      await waitFor('a rate within 10 % of the load', async () => {
        const shown = Number(/: ([0-9.]+)\/s/.exec((await edge.getAttribute('aria-label')) ?? '')?.[1]);
        const real = running.outcomes.length / ((performance.now() - begun) / 1_000);
        return Math.abs(shown - real) <= real / 10;
      });
      await edge.focus();
      await page.keyboard.press('Enter');
      await page.locator('.edge-details', { hasText: 'p99' }).waitFor();
    } finally {
      await running.stop();
    }
  });

  test('shifts traffic with the slider of a split', async () => {
    await visit(page, 'services/default/orders');
    const running = load('orders.mesh.internal/orders');
    const fresh = (outcomes: readonly Outcome[]): number => outcomes.filter(({ body }) => /"fresh-\d"/.test(body)).length;
    try {
      const slider = page.getByRole('slider', { name: /fresh/ });
      await slider.focus();
      for (let press = 0; press < 3; press += 1) await page.keyboard.press('PageUp');
      const share = Number(await slider.inputValue());
      assert.ok(share >= 20, `${share}`);
      await page.getByRole('button', { name: 'Apply …' }).press('Enter');
      await page.getByRole('dialog').getByRole('button', { name: 'Shift' }).click();
      await page.getByText(`Traffic of orders is shifted`).waitFor();
      const from = running.outcomes.length;
      await waitFor('the share of the canary', () => {
        const since = running.outcomes.slice(from);
        return since.length >= 60 && Math.abs(fresh(since) / since.length - share / 100) < 0.15;
      });
    } finally {
      const outcomes = await running.stop();
      assert.deepEqual(Object.keys(summarize(outcomes)), ['200'], JSON.stringify(summarize(outcomes)));
    }
  });

  test('drains an instance without a failed call, when it is confirmed, and puts it back', async () => {
    const running = load('orders.mesh.internal/healthz', { requestsPerSecond: 40 });
    await page.getByRole('button', { name: 'Drain orders-2' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('button', { name: 'Drain orders-2' }).click();
    await dialog.getByLabel('Reason').fill('new disk');
    await dialog.getByRole('button', { name: 'Drain', exact: true }).click();
    await page.getByText('orders-2 is out of rotation').waitFor();
    await rowOf(page, 'orders-2').getByText('new disk').waitFor();
    const outcomes = await running.stop();
    assert.deepEqual(Object.keys(summarize(outcomes)), ['200'], JSON.stringify(summarize(outcomes)));
    await page.getByRole('button', { name: 'Put back orders-2' }).click();
    await dialog.getByRole('button', { name: 'Put back' }).click();
    await rowOf(page, 'orders-2').getByText('healthy', { exact: true }).waitFor();
    await visit(page, 'audit');
    const entry = page.locator('tr', { hasText: 'drain instance' }).filter({ hasText: 'default/orders/orders-2' });
    await entry.filter({ hasText: 'editor' }).first().waitFor();
  });

  test('shows an instance that dies within three seconds, with the reason', async () => {
    await visit(page, 'services/default/orders');
    const event = page.getByText(/healthy → unhealthy: its process was killed by SIGKILL; starts again in \d+ ms/);
    assert.equal(await event.count(), 0);
    // Killed once it is back in no time; a program that crashes again and again is waited for longer and longer.
    let pid = 0;
    const row = rowOf(page, 'orders-3');
    for (let deaths = 0; deaths < 5; deaths += 1) {
      const next = await waitFor('another process', async () => {
        const found = await mesh.pid('orders-3').catch(() => 0);
        return found !== 0 && found !== pid ? found : undefined;
      });
      pid = next;
      process.kill(pid, 'SIGKILL');
      if (deaths === 0) await event.waitFor({ timeout: 3_000 });
    }
    await row.getByText('unhealthy', { exact: true }).waitFor({ timeout: 3_000 });
    await row.getByText(/its process was killed by SIGKILL; crash loop \(5 crashes in a row\)/).waitFor();
    await visit(page, '');
    await page.getByRole('link', { name: 'orders-3 is unhealthy' }).waitFor();
    await page.getByRole('link', { name: /^orders; 2 of 3 healthy/ }).waitFor();
  });

  test('tells which requests were denied, and why', async () => {
    const denied = load('catalog.mesh.internal/x', { method: 'DELETE' });
    await waitFor('refusals', () => denied.outcomes.length > 3);
    assert.deepEqual(
      Object.keys(summarize(await denied.stop())).map((kind) => kind.slice(0, 3)),
      ['403'],
    );
    await visit(page, 'decisions?service=default/catalog');
    await page.locator('tr', { hasText: 'DELETE /x' }).first().getByText('rule keep').waitFor();
  });

  test('shows requests as they go by, by a filter', async () => {
    await visit(page, 'tap?source=default/catalog&destination=default/inventory');
    await page.getByRole('button', { name: 'Start' }).click();
    await page.locator('tbody tr', { hasText: 'POST /' }).first().waitFor();
    await page.getByText('1 data plane looking').waitFor();
    const others = page.locator('tbody tr').filter({ hasNotText: 'inventory' });
    assert.equal(await others.count(), 0);
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByRole('button', { name: 'Start' }).waitFor();
  });

  test('explains a request', async () => {
    await visit(page, 'explain?from=default/web&method=GET&url=http://orders/orders/7');
    await page.getByRole('button', { name: 'Explain', exact: true }).click();
    await page.getByText('forwarded').waitFor();
    await page.getByText(/^canary, number \d of \d/).waitFor();
  });

  test('is there again after the control plane was killed, without being asked, and goes on', async () => {
    await visit(page, 'services');
    process.kill(await mesh.pid('control'), 'SIGKILL');
    await page.getByText(/Reconnecting/).waitFor();
    assert.equal(await page.locator('tbody tr').count(), 7);
    await page.getByText('Live').waitFor();
    await visit(page, 'events');
    await page.getByText('data plane connected').first().waitFor();
  });

  test('hides from viewers what they may not do', async () => {
    const viewer = await openPage(browser);
    await viewer.page.goto(await loginLink('viewer'));
    await viewer.page.getByText('Live').waitFor();
    await visit(viewer.page, 'services/default/orders');
    await rowOf(viewer.page, 'orders-1').waitFor();
    assert.equal(await viewer.page.getByRole('button', { name: /^Drain/ }).count(), 0);
    assert.ok(await viewer.page.getByRole('slider').first().isDisabled());
    await visit(viewer.page, 'tap');
    assert.ok(await viewer.page.getByRole('button', { name: 'Start' }).isDisabled());
    await viewer.page.context().close();
  });

  test('can be used with the keyboard alone', async () => {
    await page.goto('about:blank');
    await page.goto(`${base}#/`);
    await page.getByText('Live').waitFor();
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate('document.activeElement.textContent'), 'Skip to the content');
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate('document.activeElement.textContent'), 'Overview');
    // On to the first service of the graph.
    for (let press = 0; press < 60; press += 1) {
      await page.keyboard.press('Tab');
      if ((await page.evaluate("document.activeElement.closest('.node') !== null")) === true) break;
    }
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Golden signals' }).waitFor();
    assert.equal(await page.evaluate('document.activeElement.tagName'), 'H1');
  });

  test('is accessible on every page, light on a desk and dark on a phone', async () => {
    const token = String(await page.evaluate("sessionStorage.getItem('heddle.token')"));
    for (const options of [{ colorScheme: 'light' }, { colorScheme: 'dark', ...PHONE }] as const) {
      const reader = await openPage(browser, options);
      await reader.page.addInitScript(`sessionStorage.setItem('heddle.token', ${JSON.stringify(token)})`);
      await reader.page.goto(base);
      await reader.page.getByText('Live').waitFor();
      for (const place of PAGES) {
        await visit(reader.page, place);
        await waitFor(`${place} to have what it asked for`, async () => (await reader.page.locator('.waiting').count()) === 0);
        assert.deepEqual(await accessibilityProblems(reader.page), [], `${place} ${options.colorScheme}`);
        const width = Number(await reader.page.evaluate('document.documentElement.scrollWidth - innerWidth'));
        assert.ok(width <= 0, `${place} is ${width} px wider than the screen`);
      }
      assert.deepEqual(reader.complaints, []);
      await reader.page.context().close();
    }
    assert.deepEqual(complaints, []);
  });
});
