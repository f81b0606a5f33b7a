// orders: takes orders and remembers the last ones. Every instance remembers its own, which is enough for an example.
import { status, type ServiceError } from '@grpc/grpc-js';
import { HttpError, instance, readJson, serve } from './http.ts';
import { ITEMS } from './items.ts';
import { inventoryFromEnvironment } from './stock.ts';

interface Order {
  readonly number: string;
  readonly item: string;
  readonly quantity: number;
}

const ORDERS_MAX = 100;
const QUANTITY_MAX = 10;

const inventory = inventoryFromEnvironment();
const orders: Order[] = [];
let taken = 0;

async function takeOrder(body: Record<string, unknown>): Promise<Order> {
  const { item, quantity = 1 } = body;
  if (typeof item !== 'string' || !ITEMS.some(({ id }) => id === item)) throw new HttpError(400, 'no such item');
  if (typeof quantity !== 'number' || !Number.isInteger(quantity) || quantity < 1 || quantity > QUANTITY_MAX) {
    throw new HttpError(400, `quantity must be a whole number from 1 to ${QUANTITY_MAX}`);
  }
  try {
    await inventory?.reserve(item, quantity);
  } catch (error) {
    if ((error as ServiceError).code === status.FAILED_PRECONDITION) throw new HttpError(409, 'sold out');
    throw new HttpError(503, `the inventory does not answer: ${(error as ServiceError).details}`);
  }
  taken += 1;
  const order = { number: `${instance}/${taken}`, item, quantity };
  orders.push(order);
  if (orders.length > ORDERS_MAX) orders.shift();
  return order;
}

await serve('orders', async (request, url) => {
  if (url.pathname === '/') return { body: { service: 'orders', instance, taken } };
  if (url.pathname !== '/orders') throw new HttpError(404, 'try /orders');
  if (request.method === 'POST') return { status: 201, body: await takeOrder(await readJson(request)) };
  return { body: { service: 'orders', instance, taken, orders: orders.slice(-10) } };
});
