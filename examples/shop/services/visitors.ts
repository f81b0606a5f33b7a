// visitors: a light, bounded load, so that there is something to see. About ten requests a second against web, never more
// than a few at a time: when web is slow, visitors wait instead of piling up.
import { call, serve, serviceUrl } from './http.ts';
import { ITEMS } from './items.ts';

const INTERVAL_MS = 100;
const CONCURRENT_MAX = 4;
const REPORT_MS = 10_000;
/** Every so many visits somebody buys something. */
const BUY_EVERY = 5;

const web = serviceUrl('web');
/** The shop may still be opening: nobody visits before web answers for the first time. */
let open = false;
let visits = 0;
let running = 0;
const seen = { answered: 0, failed: 0, skipped: 0 };

async function visit(number: number): Promise<void> {
  running += 1;
  try {
    const item = ITEMS[number % ITEMS.length]!;
    if (number % BUY_EVERY === 0) await call(`${web}/buy?item=${item.id}`, { method: 'POST' });
    else await call(`${web}/`);
    seen.answered += 1;
  } catch (error) {
    seen.failed += 1;
    console.error(error instanceof Error ? error.message : String(error));
  } finally {
    running -= 1;
  }
}

async function knock(): Promise<void> {
  running += 1;
  try {
    await call(`${web}/`);
    open = true;
    console.log('the shop is open');
  } catch {
    // The next turn knocks again.
  } finally {
    running -= 1;
  }
}

const visiting = setInterval(() => {
  if (web === undefined) return;
  if (!open) {
    if (running === 0) void knock();
  } else if (running >= CONCURRENT_MAX) seen.skipped += 1;
  else void visit(visits++);
}, INTERVAL_MS);
const reporting = setInterval(() => {
  if (!open) return;
  console.log(`${seen.answered} answered, ${seen.failed} failed, ${seen.skipped} skipped`);
}, REPORT_MS);
process.once('SIGTERM', () => {
  clearInterval(visiting);
  clearInterval(reporting);
});

if (web === undefined) console.error('WEB_URL is not set: nothing to visit');
await serve('visitors', () => ({ body: { service: 'visitors', visits, running, ...seen } }));
