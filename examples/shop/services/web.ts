// web: the shop's front page, as HTML for people and JSON for programs. It shows both ways into the mesh:
// the catalog by its local address (CATALOG_URL), orders by name through the HTTP proxy (HTTP_PROXY).
import { Agent, request as httpRequest } from 'node:http';
import { call, HttpError, instance, orElse, serve, serviceUrl } from './http.ts';

interface Catalog {
  readonly instance: string;
  readonly items: readonly {
    readonly id: string;
    readonly title: string;
    readonly price: number | null;
    readonly available: number | null;
  }[];
}
interface Orders {
  readonly instance: string;
  readonly taken: number;
}

const ORDERS = 'http://orders.mesh.internal';
const TIMEOUT_MS = 2_000;
const ANSWER_BYTES_MAX = 256 * 1024;
// Node's agent reads HTTP_PROXY itself when it is given the environment.
const proxied = new Agent({ keepAlive: true, maxSockets: 32, proxyEnv: process.env });

/** A call through HTTP_PROXY. `fetch` would open a tunnel; the plain request lets the mesh see and route it. */
function viaProxy<T>(url: string, method: 'GET' | 'POST' = 'GET', body?: object): Promise<{ status: number; body: T }> {
  return new Promise((resolve, reject) => {
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const headers = payload === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) };
    const outgoing = httpRequest(url, { method, agent: proxied, timeout: TIMEOUT_MS, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
        if (text.length > ANSWER_BYTES_MAX) response.destroy(new Error(`${url} answers too much`));
      });
      response.on('error', reject);
      response.on('end', () => {
        try {
          resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) as T });
        } catch {
          reject(new Error(`${url} answered ${response.statusCode} without JSON`));
        }
      });
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error(`${url} did not answer in ${TIMEOUT_MS} ms`)));
    outgoing.on('error', reject);
    outgoing.end(payload);
  });
}

async function frontPage(): Promise<{ web: string; catalog: Catalog; orders: Orders }> {
  const [catalog, orders] = await Promise.all([
    orElse<Catalog>(call(`${serviceUrl('catalog')}/items`), { instance: 'no answer', items: [] }),
    orElse<Orders>(
      viaProxy<Orders>(`${ORDERS}/`).then(({ body }) => body),
      { instance: 'no answer', taken: 0 },
    ),
  ]);
  return { web: instance, catalog, orders };
}

async function buy(item: string): Promise<{ status: number; body: unknown }> {
  const answer = await viaProxy(`${ORDERS}/orders`, 'POST', { item, quantity: 1 });
  return { status: answer.status, body: answer.body };
}

function html(page: Awaited<ReturnType<typeof frontPage>>): string {
  const rows = page.catalog.items.map(
    ({ title, price, available }) => `<tr><td>${title}<td>${price === null ? '–' : price.toFixed(2)}<td>${available ?? '–'}`,
  );
  return `<!doctype html><meta charset="utf-8"><title>The Heddle shop</title>
<style>body{font:16px/1.5 system-ui;max-width:40em;margin:3em auto}td,th{padding:.2em 1em .2em 0;text-align:left}small{color:#666}</style>
<h1>The Heddle shop</h1>
<table><tr><th>Item<th>Price<th>In stock${rows.join('')}</table>
<p>${page.orders.taken} orders taken by ${page.orders.instance}.</p>
<p><small>This page: ${page.web} · catalog: ${page.catalog.instance} · orders: ${page.orders.instance}</small></p>
`;
}

await serve('web', async (request, url) => {
  if (url.pathname === '/buy' && request.method === 'POST') return buy(url.searchParams.get('item') ?? '');
  if (url.pathname !== '/') throw new HttpError(404, 'try /');
  const page = await frontPage();
  return request.headers.accept?.includes('text/html') ? { type: 'text/html; charset=utf-8', body: html(page) } : { body: page };
});
