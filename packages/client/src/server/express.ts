// The door `@heddle/client/express`: what the mesh knows about a request, as `request.mesh`.
import { type MeshRequest, type Peer } from './mesh-request.ts';
import { meshOf, type NodeRequest, type NodeResponse } from './mesh-of.ts';

export type { MeshRequest, Peer };

declare global {
  namespace Express {
    interface Request {
      /** Of `app.use(mesh())`. */
      mesh: MeshRequest;
    }
  }
}

type Middleware = (request: NodeRequest & { mesh?: MeshRequest }, response: NodeResponse, next: (error?: unknown) => void) => void;

/** `app.use(mesh())` ahead of the routes, with express, connect and what takes their middleware. */
export function mesh(): Middleware {
  return (request, response, next) => {
    request.mesh = meshOf(request, response);
    next();
  };
}
