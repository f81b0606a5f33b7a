// A real issuer of tokens (`oidc-provider`) on loopback: clients with secrets, signed and opaque tokens, introspection, revocation, token exchange,
// keys that rotate, and an outage when a test wants one.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createLocalJWKSet, exportJWK, generateKeyPair, jwtVerify } from 'jose';
import type { JWK } from 'jose';
import Provider from 'oidc-provider';

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
/** Audiences that it knows: tokens for these are signed. */
export const SHOP = 'urn:shop';
/** The same audience, in tokens that only the issuer understands. */
export const SHOP_OPAQUE = 'urn:shop:opaque';
const ELSEWHERE = 'urn:elsewhere';
const SCOPES = 'read bill';
const TTL_SECONDS = 600;

/** Names and secrets. */
export const CLIENTS = { web: 'web-secret', orders: 'orders-secret', mesh: 'mesh:s%cret' } as const;

export class OidcIssuer {
  readonly url: string;
  /** Questions that it got, by path. */
  readonly asked = new Map<string, number>();
  isDown = false;
  readonly #server: Server;
  #keys: JWK[] = [];
  #provider: Provider | undefined;

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on('request', (request, response) => {
      const path = new URL(request.url ?? '/', this.url).pathname;
      this.asked.set(path, (this.asked.get(path) ?? 0) + 1);
      if (this.isDown) request.socket.destroy();
      else this.#provider?.callback()(request, response);
    });
  }

  static async start(): Promise<OidcIssuer> {
    const server = createServer();
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    const issuer = new OidcIssuer(server);
    await issuer.rotate();
    return issuer;
  }

  /** Signs with a new key from now on. The one of before stays published. */
  async rotate(): Promise<void> {
    const { privateKey } = await generateKeyPair('ES256', { extractable: true });
    this.#keys = [{ ...(await exportJWK(privateKey)), use: 'sig', alg: 'ES256', kid: `key-${this.#keys.length + 1}` }, ...this.#keys].slice(
      0,
      2,
    );
    this.#provider = providerOf(this.url, this.#keys);
  }

  /** By client credentials. */
  async token(client: keyof typeof CLIENTS = 'web', resource: string = SHOP): Promise<string> {
    const { access_token: token } = await this.#post('/token', client, { grant_type: 'client_credentials', scope: SCOPES, resource });
    if (typeof token !== 'string') throw new Error('the issuer gave no token');
    return token;
  }

  async revoke(client: keyof typeof CLIENTS, token: string): Promise<void> {
    await this.#post('/token/revocation', client, { token });
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => void this.#server.close(resolve));
  }

  async #post(path: string, client: keyof typeof CLIENTS, form: Record<string, string>): Promise<Record<string, unknown>> {
    const credentials = `${client}:${encodeURIComponent(CLIENTS[client])}`;
    const response = await fetch(`${this.url}${path}`, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` },
      body: new URLSearchParams(form),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${path} answered ${response.status}: ${text}`);
    return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
  }
}

function resourceOf(resource: string): object {
  const audience = resource === SHOP_OPAQUE ? SHOP : resource;
  const form = resource === SHOP_OPAQUE ? { accessTokenFormat: 'opaque' } : { accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } };
  return { scope: SCOPES, audience, accessTokenTTL: TTL_SECONDS, ...form };
}

function providerOf(url: string, keys: readonly JWK[]): Provider {
  const provider = new Provider(url, {
    clients: Object.entries(CLIENTS).map(([id, secret]) => ({
      client_id: id,
      client_secret: secret,
      grant_types: ['client_credentials', EXCHANGE],
      redirect_uris: [],
      response_types: [],
    })),
    jwks: { keys },
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    scopes: SCOPES.split(' '),
    extraTokenClaims: (_context: unknown, { clientId }: { clientId: string }) => ({ roles: [`${clientId}-role`, 'reader'] }),
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      revocation: { enabled: true, allowedPolicy: () => true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_context: unknown, resource: string) => {
          if (![SHOP, SHOP_OPAQUE, ELSEWHERE].includes(resource)) throw new Error(`${resource} is not known`);
          return resourceOf(resource);
        },
      },
    },
  });
  const published = createLocalJWKSet({ keys: keys.map(({ d: _, ...jwk }) => jwk) });
  provider.registerGrantType(
    EXCHANGE,
    async (context) => {
      const { client, params } = context.oidc;
      const { payload } = await jwtVerify(params['subject_token'] ?? '', published, { issuer: url, audience: SHOP });
      const token = new provider.AccessToken({
        accountId: `${payload.sub} by ${client.clientId}`,
        client,
        scope: 'bill',
        gty: 'token_exchange',
      });
      token.resourceServer = new provider.ResourceServer(SHOP, resourceOf(SHOP));
      context.body = { access_token: await token.save(), token_type: token.tokenType, expires_in: token.expiration };
    },
    ['subject_token', 'subject_token_type', 'requested_token_type', 'audience', 'scope', 'resource'],
  );
  return provider;
}
