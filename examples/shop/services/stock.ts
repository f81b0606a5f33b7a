// The gRPC client of the inventory. The channel leads to a local port (INVENTORY_HOST, INVENTORY_PORT); what carries the
// bytes on from there, encrypted and to a healthy instance, is not this code's concern.
import { credentials, loadPackageDefinition, type ServiceClientConstructor, type ServiceError } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { fileURLToPath } from 'node:url';

export interface Stock {
  readonly item: string;
  readonly available: number;
  readonly instance: string;
}

type Unary = (request: object, options: { deadline: number }, done: (error: ServiceError | null, stock?: Stock) => void) => void;
interface InventoryClient {
  getStock: Unary;
  reserve: Unary;
}

const PROTO = fileURLToPath(new URL('../proto/inventory.proto', import.meta.url));
const DEADLINE_MS = 2_000;
/** A call that found its connection gone is sent again: the instance behind it was stopped or has crashed. */
const SERVICE_CONFIG = JSON.stringify({
  methodConfig: [
    {
      name: [{ service: 'shop.v1.Inventory', method: 'GetStock' }],
      retryPolicy: {
        maxAttempts: 3,
        initialBackoff: '0.05s',
        maxBackoff: '0.2s',
        backoffMultiplier: 2,
        retryableStatusCodes: ['UNAVAILABLE'],
      },
    },
  ],
});

/** The service of the proto file: a client class that also carries the definition for a server. */
export function loadInventory(): ServiceClientConstructor {
  const root = loadPackageDefinition(loadSync(PROTO, { longs: Number, defaults: true }));
  const { v1 } = root['shop'] as { readonly v1: { readonly Inventory: ServiceClientConstructor } };
  return v1.Inventory;
}

export class Inventory {
  readonly #client: InventoryClient;

  constructor(target: string) {
    const Client = loadInventory();
    this.#client = new Client(target, credentials.createInsecure(), {
      'grpc.service_config': SERVICE_CONFIG,
    }) as unknown as InventoryClient;
  }

  stock(item: string): Promise<Stock> {
    return this.#call('getStock', { item });
  }

  reserve(item: string, quantity: number): Promise<Stock> {
    return this.#call('reserve', { item, quantity });
  }

  #call(method: keyof InventoryClient, request: object): Promise<Stock> {
    return new Promise((resolve, reject) => {
      this.#client[method](request, { deadline: Date.now() + DEADLINE_MS }, (error, stock) => {
        if (error !== null || stock === undefined) reject(error ?? new Error('empty answer'));
        else resolve(stock);
      });
    });
  }
}

/** The inventory from the environment; undefined where the service runs without it. */
export function inventoryFromEnvironment(): Inventory | undefined {
  const host = process.env['INVENTORY_HOST'];
  const port = process.env['INVENTORY_PORT'];
  return host !== undefined && port !== undefined ? new Inventory(`${host}:${port}`) : undefined;
}
