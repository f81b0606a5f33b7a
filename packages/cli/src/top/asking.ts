// When `heddle top` asks for traffic, and which answers count.
import type { Traffic } from './model.ts';
import type { TopSession } from './session.ts';

export class TopAsking {
  readonly #session: TopSession;
  readonly #ask: (windowMs: number, service: string) => Promise<Traffic>;
  readonly #draw: () => void;
  /** The newest question, while it is open. */
  #open: object | undefined;

  /** @param draw called after each answer that counts. */
  constructor(session: TopSession, ask: (windowMs: number, service: string) => Promise<Traffic>, draw: () => void) {
    this.#session = session;
    this.#ask = ask;
    this.#draw = draw;
  }

  /** There may be news. A control plane that takes longer to answer than news take to come is waited for: else no answer of it would ever be the newest. */
  again(): Promise<string | undefined> {
    return this.#open === undefined ? this.anew() : Promise.resolve(undefined);
  }

  /** Something else is to be shown: what was asked before counts no more. Resolves to why there is no answer, if there is none. Never rejects. */
  async anew(): Promise<string | undefined> {
    const mine = (this.#open = {});
    const { windowMs, service } = this.#session.question;
    let problem: string | undefined;
    try {
      const traffic = await this.#ask(windowMs, service);
      if (mine === this.#open) this.#session.take(traffic);
    } catch (error) {
      problem = (error as Error).message;
      if (mine === this.#open) this.#session.fail(problem);
    }
    if (mine !== this.#open) return undefined;
    this.#open = undefined;
    this.#draw();
    return problem;
  }
}
