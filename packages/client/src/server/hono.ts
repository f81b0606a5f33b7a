// The door `@heddle/client/hono`: what the mesh knows about a request, as `c.get('mesh')` or `c.var.mesh`.
import type { MiddlewareHandler } from 'hono';
import { nodeClock } from '@heddle/runtime/process';
import { AskedRequest, type MeshRequest, type Peer } from './mesh-request.ts';
import { meshOf, type NodeRequest, type NodeResponse } from './mesh-of.ts';

export type { MeshRequest, Peer };

/** For the type of the application: `new Hono<MeshEnv>()`. */
export interface MeshEnv {
  Variables: { mesh: MeshRequest };
}

/** `app.use(mesh())`, where the app is served by `serve` of this package or by `@hono/node-server`; elsewhere there is no peer. */
export function mesh(): MiddlewareHandler<MeshEnv> {
  return async (context, next) => {
    const { incoming, outgoing } = (context.env ?? {}) as { readonly incoming?: NodeRequest; readonly outgoing?: NodeResponse };
    context.set('mesh', incoming === undefined || outgoing === undefined ? outside(context.req.raw) : meshOf(incoming, outgoing));
    await next();
  };
}

function outside({ headers, signal }: Request): MeshRequest {
  return new AskedRequest({ headers: Object.fromEntries(headers), socket: undefined, answer: signal, arrivedMs: nodeClock.nowMs() });
}
