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

  /** Time has passed. A control plane that takes longer than that is waited for: else no answer of it would ever be the newest. */
  async again(): Promise<void> {
    if (this.#open === undefined) await this.anew();
  }

  /** Something else is to be shown: what was asked before counts no more. Never rejects. */
  async anew(): Promise<void> {
    const mine = (this.#open = {});
    const { windowMs, service } = this.#session.question;
    try {
      const traffic = await this.#ask(windowMs, service);
      if (mine === this.#open) this.#session.take(traffic);
    } catch (error) {
      if (mine === this.#open) this.#session.fail((error as Error).message);
    }
    if (mine !== this.#open) return;
    this.#open = undefined;
    this.#draw();
  }
}
