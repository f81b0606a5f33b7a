// The requests that have begun and not ended. A list by links of its own: of a Set that changes with every request, each dead table keeps alive
// what stood in it, and the next table, until all of the old heap is collected.

export interface OpenRequest {
  /** Of the list. */
  before: OpenRequest | undefined;
  after: OpenRequest | undefined;
  /** Where there is no limit: infinity. Set by TimeLimits. */
  deadlineMs: number;
  timedOut(): void;
  /** Ends it, unless it has ended. */
  fail(reason: Error): void;
}

export class OpenRequests {
  first: OpenRequest | undefined;

  add(request: OpenRequest): void {
    const { first } = this;
    request.after = first;
    if (first !== undefined) first.before = request;
    this.first = request;
  }

  /** One that is in the list. */
  remove(request: OpenRequest): void {
    const { before, after } = request;
    if (before === undefined) this.first = after;
    else before.after = after;
    if (after !== undefined) after.before = before;
    request.before = undefined;
    request.after = undefined;
  }
}
