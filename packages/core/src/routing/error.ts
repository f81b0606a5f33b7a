// What is said about a route configuration that cannot be applied.

/** A route configuration that cannot be applied; the message says where and why and how to mend it, and goes into the NACK. */
export class RouteConfigError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'RouteConfigError';
  }
}

/** What is wrong with a part of a route; whoever knows where the part stands adds the place. */
export class RouteFault extends Error {
  readonly reason: string;
  /** What to do, as an imperative without its end. */
  readonly mend: string;

  constructor(reason: string, mend: string) {
    super(`${reason}; ${mend}`);
    this.name = 'RouteFault';
    this.reason = reason;
    this.mend = mend;
  }
}
