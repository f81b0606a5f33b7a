// The README's picture of the dashboard, taken by Debian's Chromium from a running mesh once traffic is known.
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { runProgram } from '../run.ts';

const SIZE = { width: 1280, height: 730 };
const KNOWN_TIMEOUT_MS = 60_000;

/** `stateOptions`: of the `heddle` command, to find the mesh. Throws where there is no Chromium, or the page does not come. */
export async function dashboardPicture(root: string, path: string, stateOptions: readonly string[] = []): Promise<void> {
  const args = ['--conditions=heddle-source', 'packages/cli/src/main.ts', 'dashboard', '--role', 'viewer', '-o', 'json', ...stateOptions];
  const { code, output } = await runProgram(root, process.execPath, args);
  if (code !== 0) throw new Error(output);
  const { url } = JSON.parse(output) as { url: string };
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
  try {
    const page = await browser.newPage({ viewport: SIZE, colorScheme: 'light' });
    await page.goto(url);
    // Latencies are those of a mesh that has just started until its first minute is over.
    for (const edge of ['visitors to web', 'web to orders', 'catalog to pricing'])
      await page.getByRole('button', { name: new RegExp(`^${edge}: [1-9]`) }).waitFor({ state: 'attached', timeout: KNOWN_TIMEOUT_MS });
    await page.locator('.graph-frame').click({ position: { x: 4, y: 4 } });
    await page.screenshot({ path: join(root, path) });
  } finally {
    await browser.close();
  }
}
