// What a page asks for and shows, kept up to date: asked again from time to time while the page is shown, and when the control plane is back.
import { type ReadonlySignal, useComputed, useSignal, useSignalEffect } from '@preact/signals';
import { ApiError } from '../api/http.ts';
import { oneAtATime } from '../logic/one-at-a-time.ts';
import { comebacks } from './app.ts';
import { every } from './machine.ts';
import { api } from './session.ts';

export interface Resource<T> {
  /** The newest that is known; undefined: nothing yet. */
  readonly data: T | undefined;
  /** Why the newest try failed. */
  readonly error: ApiError | undefined;
}

export interface Wanted {
  /** Undefined: nothing is wanted. */
  readonly path: string | undefined;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  /** 0: only when what is wanted changes. Default 5 s. */
  readonly everyMs?: number;
  /** Ask again when this changes. */
  readonly version?: unknown;
}

/** `want` is looked at again whenever a signal that it reads changes; what else it is made of must stay the same (give the component a key). */
export function useResource<T>(want: () => Wanted): ReadonlySignal<Resource<T>> & { readonly reload: () => void } {
  const state = useSignal<Resource<T>>({ data: undefined, error: undefined });
  const turn = useSignal(0);
  const wanted = useComputed(() => JSON.stringify(want()));
  const asked = useSignal('');
  useSignalEffect(() => {
    const { path, query = {}, everyMs = 5_000 } = JSON.parse(wanted.value) as Wanted;
    void [comebacks.value, turn.value];
    const about = JSON.stringify([path, query]);
    // Of something else nothing is known yet.
    if (about !== asked.peek()) state.value = { data: undefined, error: undefined };
    asked.value = about;
    if (path === undefined) return;
    const abort = new AbortController();
    const ask = oneAtATime(async () => {
      if (document.hidden && state.peek().data !== undefined) return;
      try {
        const data = await api.get<T>(path, query, abort.signal);
        if (!abort.signal.aborted) state.value = { data, error: undefined };
      } catch (error) {
        if (!abort.signal.aborted && error instanceof ApiError) state.value = { data: state.peek().data, error };
      }
    });
    ask();
    const stop = everyMs === 0 ? undefined : every(everyMs, ask);
    return () => {
      stop?.();
      abort.abort();
    };
  });
  return Object.assign(state, {
    reload: () => {
      turn.value += 1;
    },
  });
}
