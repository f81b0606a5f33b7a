// What is told to people, for tests to look at.
import type { EventKind, EventSink } from '../events/sink.ts';

export class RecordedEvents implements EventSink {
  readonly all: { readonly kind: EventKind; readonly text: string }[] = [];

  record(kind: EventKind, subject: string, message: string): void {
    this.all.push({ kind, text: `${subject}: ${message}` });
  }

  /** As `<subject>: <message>`. */
  of(kind: string): string[] {
    return this.all.filter((event) => event.kind === kind).map(({ text }) => text);
  }

  /** As `<kind> <subject>: <message>`; those so far are forgotten. */
  take(): string[] {
    return this.all.splice(0).map(({ kind, text }) => `${kind} ${text}`);
  }
}
