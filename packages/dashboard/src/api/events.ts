// Server-sent events as they are framed (HTML Standard, "Server-sent events"): text in pieces, events out. `EventSource` would do the same, but
// sends no token.

export interface ServerSentEvent {
  readonly event: string;
  readonly data: string;
  /** Of the newest event that had one; empty: none had. */
  readonly lastId: string;
}

export class EventParser {
  #rest = '';
  #event = '';
  #data: string[] = [];
  #lastId = '';

  push(text: string): ServerSentEvent[] {
    const found: ServerSentEvent[] = [];
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line !== '') this.#field(line);
      else {
        if (this.#data.length > 0)
          found.push({ event: this.#event === '' ? 'message' : this.#event, data: this.#data.join('\n'), lastId: this.#lastId });
        this.#event = '';
        this.#data = [];
      }
    }
    return found;
  }

  #field(line: string): void {
    const colon = line.indexOf(':');
    if (colon === 0) return;
    const name = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(colon + (line[colon + 1] === ' ' ? 2 : 1));
    if (name === 'event') this.#event = value;
    else if (name === 'data') this.#data.push(value);
    else if (name === 'id' && !value.includes('\0')) this.#lastId = value;
  }
}
