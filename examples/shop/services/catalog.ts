// catalog: what can be bought, with prices (from pricing, HTTP) and stock (from inventory, gRPC).
import { call, instance, orElse, serve, serviceUrl } from './http.ts';
import { ITEMS } from './items.ts';
import { inventoryFromEnvironment } from './stock.ts';

const inventory = inventoryFromEnvironment();
const pricing = serviceUrl('pricing');

interface Prices {
  readonly prices: Record<string, number>;
}

async function prices(): Promise<Record<string, number>> {
  if (pricing === undefined) return {};
  // pricing needs python3, which not every machine has: the catalog then goes without prices.
  return (await orElse<Prices>(call(`${pricing}/prices`), { prices: {} })).prices;
}

await serve('catalog', async (_request, url) => {
  if (url.pathname !== '/' && url.pathname !== '/items') return { status: 404, body: { error: 'try /items' } };
  const [priceOf, stocks] = await Promise.all([
    prices(),
    Promise.all(ITEMS.map((item) => orElse(inventory?.stock(item.id) ?? Promise.resolve(undefined), undefined))),
  ]);
  const items = ITEMS.map((item, index) => ({
    ...item,
    price: priceOf[item.id] ?? null,
    available: stocks[index]?.available ?? null,
  }));
  return { body: { service: 'catalog', instance, items } };
});
