// What the tests use of `oidc-provider`, which brings no types along.
declare module 'oidc-provider' {
  import type { IncomingMessage, ServerResponse } from 'node:http';

  interface Client {
    readonly clientId: string;
  }

  interface ResourceServer {
    readonly audience: string;
  }

  interface Context {
    readonly oidc: { readonly client: Client; readonly params: Readonly<Record<string, string>> };
    body: unknown;
  }

  interface AccessToken {
    resourceServer: ResourceServer;
    readonly expiration: number;
    readonly tokenType: string;
    save(): Promise<string>;
  }

  export default class Provider {
    constructor(issuer: string, configuration: object);
    readonly AccessToken: new (parts: {
      accountId: string;
      client: Client;
      scope: string;
      gty: string;
    }) => AccessToken;
    readonly ResourceServer: new (
      identifier: string,
      data: object,
    ) => ResourceServer;
    callback(): (request: IncomingMessage, response: ServerResponse) => void;
    registerGrantType(name: string, handler: (context: Context) => Promise<void>, parameters: readonly string[]): void;
  }
}
