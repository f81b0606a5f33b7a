// The bounds between which durations are counted, in seconds. Series R10 (ISO 3): ten steps to each decade, so that a quantile is off by at
// most 28 %, whatever its size. Prometheus is shown every few of them, since each is a series of its own there.

const R10 = ['1', '1.25', '1.6', '2', '2.5', '3.15', '4', '5', '6.3', '8'] as const;
const FIRST_DECADE = -4;
const LAST_DECADE = 2;

/** From 0.1 ms, below which nothing passes two sockets, to 100 s, beyond which only the number of requests matters. */
export const DURATION_BOUNDS: readonly number[] = [...decades()];

/** From a local cache hit to the longest timeout that people set. All are among the others. */
export const SHOWN_DURATION_BOUNDS: readonly number[] = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50,
];

function* decades(): Iterable<number> {
  // Read as decimals: products of these numbers would be off by a bit, and bounds are compared.
  for (let decade = FIRST_DECADE; decade < LAST_DECADE; decade++) for (const step of R10) yield Number(`${step}e${decade}`);
  yield Number(`1e${LAST_DECADE}`);
}
