// The door `@heddle/client/koa`: what the mesh knows about a request, as `ctx.mesh`.
import { type MeshRequest, type Peer } from './mesh-request.ts';
import { meshOf, type NodeRequest, type NodeResponse } from './mesh-of.ts';

export type { MeshRequest, Peer };

/** For the type of the application: `new Koa<Koa.DefaultState, MeshContext>()`. */
export interface MeshContext {
  mesh: MeshRequest;
}

type Middleware = (
  context: { readonly req: NodeRequest; readonly res: NodeResponse; mesh?: MeshRequest },
  next: () => Promise<unknown>,
) => Promise<unknown>;

/** `app.use(mesh())` ahead of everything that asks for `ctx.mesh`. */
export function mesh(): Middleware {
  return (context, next) => {
    context.mesh = meshOf(context.req, context.res);
    return next();
  };
}
