// What tests use of packages that come without types.

declare module 'express' {
  import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';

  type Handler = (
    request: IncomingMessage & Express.Request & { body?: unknown },
    response: ServerResponse & { json(value: unknown): void },
    next: (error?: unknown) => void,
  ) => unknown;
  interface App extends RequestListener {
    use(handler: Handler): void;
    get(path: string, handler: Handler): void;
    post(path: string, handler: Handler): void;
    listen(port: number, host?: string): Server;
  }
  export default function express(): App;
}

declare module 'koa' {
  import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';

  interface Context {
    readonly req: IncomingMessage;
    readonly res: ServerResponse;
    body: unknown;
  }
  export default class Koa<State = object, More = object> {
    readonly state?: State;
    use(middleware: (context: Context & More, next: () => Promise<unknown>) => unknown): this;
    callback(): RequestListener;
    listen(port: number, host?: string): Server;
  }
}
