// Who has logged in: the token is kept for this tab and sent to the control plane that served the page, to nobody else.
import { computed, signal } from '@preact/signals';
import { Api, ApiError } from '../api/http.ts';
import type { Caller, MadeAdminToken, Role } from '../api/types.ts';
import { machine, recall, remember } from './machine.ts';

const KEY = 'heddle.token';
/** While the control plane does not answer. */
const RETRY_MS = 1_000;
const RANKS: readonly Role[] = ['viewer', 'editor', 'operator'];

export type Session =
  | { readonly state: 'unknown' }
  /** `why`: what became of the login before; empty: there was none. */
  | { readonly state: 'out'; readonly why: string; readonly mend: string }
  | { readonly state: 'in'; readonly caller: Caller };

const token = signal(recall('tab', KEY));
export const session = signal<Session>({ state: 'unknown' });

export const api = new Api({
  token: () => token.peek(),
  fetch: (...args) => fetch(...args),
  onRefused: () => {
    if (session.peek().state === 'in') logOut('You have been logged out: the token has ended or was revoked.');
  },
});

export const caller = computed(() => (session.value.state === 'in' ? session.value.caller : undefined));

/** Whether who has logged in may do what needs the role. */
export function may(role: Role): boolean {
  const own = caller.value?.role;
  return own !== undefined && RANKS.indexOf(own) >= RANKS.indexOf(role);
}

export function logOut(why = '', mend = ''): void {
  token.value = undefined;
  remember('tab', KEY, undefined);
  session.value = { state: 'out', why, mend };
}

/** Rejects with ApiError. */
export async function logIn(given: string): Promise<void> {
  token.value = given.trim();
  try {
    const found = await api.get<Caller>('/caller');
    remember('tab', KEY, token.value);
    session.value = { state: 'in', caller: found };
  } catch (error) {
    token.value = undefined;
    throw error;
  }
}

async function logInByCode(code: string): Promise<void> {
  const made = await api.send<MadeAdminToken>('POST', '/login', { code });
  await logIn(made?.token ?? '');
}

/** At the start of the page: by the link that it was opened with, or as this tab was before. A control plane that is away is waited for. */
export async function resume(code: string | undefined): Promise<void> {
  const kept = recall('tab', KEY);
  for (let tried = code; ; ) {
    try {
      if (tried !== undefined) await logInByCode(tried);
      else if (kept !== undefined) await logIn(kept);
      else logOut();
      return;
    } catch (error) {
      const { status, message, mend } = error instanceof ApiError ? error : new ApiError(400, 'UNKNOWN', String(error));
      if (status !== 0 && status < 500) {
        if (tried === undefined || kept === undefined) return logOut(sentence(message), mend);
        // The link is used up, but who opens it again has logged in with it before.
        tried = undefined;
      } else await new Promise<void>((resolve) => void machine.after(RETRY_MS, resolve));
    }
  }
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
