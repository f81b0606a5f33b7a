// Debian's Chromium, driven by Playwright: pages that fail when they say an error, and axe's rules for who cannot see or point.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type Browser, type BrowserContextOptions, type Page, chromium } from 'playwright-core';
import type { Cleanup } from '../../support/planes.ts';
import { pathOf } from './programs.ts';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

export async function startBrowser(cleanup: Cleanup): Promise<Browser> {
  // The sandbox needs what root and containers often lack; the only pages are ours.
  const browser = await chromium.launch({
    executablePath: pathOf('chromium'),
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
  });
  cleanup.add(() => browser.close());
  return browser;
}

export interface Visit {
  readonly page: Page;
  /** What the page has complained about so far: errors of scripts, and what its policy has refused. */
  readonly complaints: string[];
}

/** A page in a context of its own: nothing that another has kept. */
export async function openPage(browser: Browser, options: BrowserContextOptions = {}): Promise<Visit> {
  const page = await (await browser.newContext(options)).newPage();
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    // That something did not answer is for the page to tell, not for the console.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) complaints.push(message.text());
  });
  return { page, complaints };
}

/** What axe finds wrong with the page as it is now: the rule and where. */
export async function accessibilityProblems(page: Page): Promise<string[]> {
  // By the debugger: the policy of the page lets no script of others in.
  const session = await page.context().newCDPSession(page);
  try {
    await session.send('Runtime.evaluate', { expression: AXE });
    const { result } = await session.send('Runtime.evaluate', {
      expression: `axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }).then(({ violations }) =>
        JSON.stringify(violations.map(({ id, nodes }) => id + ': ' + nodes.slice(0, 3).map(({ html, failureSummary }) => html.slice(0, 120) + ' ' + failureSummary.slice(0, 160)).join(' | '))))`,
      awaitPromise: true,
    });
    return JSON.parse(String(result.value)) as string[];
  } finally {
    await session.detach();
  }
}
