// inventory: how many of each item there are, over gRPC. Every instance counts for itself, which is enough for an example.
import { Server, ServerCredentials, status, type handleUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import { ITEMS } from './items.ts';
import { loadInventory, type Stock } from './stock.ts';

const SHELF_SIZE = 500;
/** One piece of each item arrives so often, so that the shop never runs dry for long. Tests that count set it high. */
const RESTOCK_MS = Number(process.env['RESTOCK_MS'] ?? 500);

const instance = process.env['HEDDLE_INSTANCE'] ?? `local-${process.pid}`;
const shelf = new Map(ITEMS.map((item) => [item.id, SHELF_SIZE]));

function take(item: string, quantity: number, done: sendUnaryData<Stock>): void {
  const available = shelf.get(item);
  if (available === undefined)
    return done({ code: status.NOT_FOUND, details: `the shop does not sell ${JSON.stringify(item.slice(0, 64))}` });
  if (quantity > available) return done({ code: status.FAILED_PRECONDITION, details: `only ${available} of ${item} left` });
  shelf.set(item, available - quantity);
  done(null, { item, available: available - quantity, instance });
}

const getStock: handleUnaryCall<{ item: string }, Stock> = (call, done) => take(call.request.item, 0, done);
const reserve: handleUnaryCall<{ item: string; quantity: number }, Stock> = (call, done) =>
  take(call.request.item, call.request.quantity, done);

setInterval(() => {
  for (const [item, available] of shelf) shelf.set(item, Math.min(SHELF_SIZE, available + 1));
}, RESTOCK_MS).unref();

const server = new Server();
server.addService(loadInventory().service, { getStock, reserve });
server.bindAsync(
  `${process.env['HOST'] ?? '127.0.0.1'}:${process.env['PORT'] ?? '0'}`,
  ServerCredentials.createInsecure(),
  (error, port) => {
    if (error !== null) {
      console.error(`inventory cannot listen: ${error.message}`);
      process.exit(1);
    }
    console.log(`inventory listens on port ${port}`);
  },
);

const stop = (): void => {
  console.log('inventory stops');
  // Waits for running calls; keep-alive connections of idle callers are told to go away.
  server.tryShutdown(() => process.exit(0));
};
process.once('SIGTERM', stop);
process.once('SIGINT', stop);
