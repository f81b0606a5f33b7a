// Tells of each copy of grpc-js that the application loads, by `require` or by `import` (it is CommonJS, which both load in the same place), before
// the application sees it. What the application does not load costs it one comparison for each module.
import Module from 'node:module';
import type { Undo } from '../undo.ts';

type Load = (this: unknown, request: string, ...rest: unknown[]) => unknown;

const NAME = '@grpc/grpc-js';
/** Its main file. `import`, and some loaders, ask by it. */
const MAIN = /[\\/]@grpc[\\/]grpc-js[\\/]build[\\/]src[\\/]index(?:\.js)?$/;

/** @param onLoad called once for each copy, with what it exports */
export function hookGrpc(onLoad: (exported: object) => void): Undo {
  const holder = Module as unknown as { _load: Load };
  const before = holder._load;
  const known = new WeakSet<object>();
  let isUndone = false;
  const load: Load = function (this: unknown, request, ...rest) {
    const exported = Reflect.apply(before, this, [request, ...rest]) as unknown;
    if (isUndone || typeof request !== 'string' || (request !== NAME && !MAIN.test(request))) return exported;
    // In a circle of modules what is there yet is not all of it.
    if (typeof exported !== 'object' || exported === null || known.has(exported) || !('Client' in exported)) return exported;
    known.add(exported);
    onLoad(exported);
    return exported;
  };
  holder._load = load;
  return () => {
    isUndone = true;
    if (holder._load === load) holder._load = before;
  };
}
