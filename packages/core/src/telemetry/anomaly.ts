// Whether the traffic of one service is as it usually is: latency, share of errors, and how much of it there is. What is usual is the median of
// the last hour, and how far it usually strays the median of the distances from it (MAD); neither minds what is rare, and neither knows hours
// of the day. A shift is told once when it has lasted for two windows, and once more when it is over. Pure.

export type AnomalySignal = 'p50' | 'p99' | 'errors' | 'traffic';

/** What happened in one window of time. */
export interface WindowFacts {
  readonly requests: number;
  readonly failures: number;
  /** Undefined: nothing was measured. */
  readonly p50Ms: number | undefined;
  readonly p99Ms: number | undefined;
}

export interface AnomalyOptions {
  /** Windows that make the baseline. */
  readonly windows: number;
  /** Fewer are no baseline. */
  readonly windowsMin: number;
}

/** An hour of windows of 30 s; it judges after ten minutes. */
export const ANOMALY_DEFAULTS: AnomalyOptions = { windows: 120, windowsMin: 20 };

/** How often the usual distance a window must be off. With two in a row: less than one false alarm in 1,000 days of steady traffic. */
const OFF = 6;
/** Within this it is as usual again. */
const CALM = 3;
const WINDOWS_TO_BEGIN = 2;
const WINDOWS_TO_END = 3;
/** Windows with too little traffic to judge, after which a shift of what cannot be seen is over. */
const WINDOWS_BLIND_MAX = 12;
/**
 * Of a window: fewer say nothing about the median, the slowest hundredth, or the share of errors. To see whether it is over half of them will do,
 * so that traffic which is just enough does not keep it open.
 */
const REQUESTS_MIN = { p50: 30, p99: 200, errors: 30, traffic: 0 } as const;
/** Fewer are no shift, whatever they are in per cent. */
const FAILURES_MIN = 5;
/** A service that usually has fewer requests in a window is too small for its traffic to be judged. */
const TRAFFIC_MIN = 30;
/** Makes the median distance from the median what the standard deviation of a normal distribution is. */
const MAD_TO_SIGMA = 1.4826;

export interface Shift {
  readonly signal: AnomalySignal;
  /** `settled`: it has lasted for as long as the baseline is, and is the new one. `lost`: too little traffic is left to tell. */
  readonly state: 'began' | 'ended' | 'settled' | 'lost';
  /** Milliseconds, share of errors, or requests in a window: what was usual. */
  readonly before: number;
  /** The same now; at the end, where it was farthest off. */
  readonly now: number;
  /** For so many windows, this one included. */
  readonly windows: number;
}

/** How a signal is compared. Values are on a scale on which chance is about as large everywhere: logarithms of times and counts. */
interface Scale {
  readonly toScale: (value: number) => number;
  readonly fromScale: (scaled: number) => number;
  /** How far chance alone may bring it, at the median, with so many requests. */
  readonly chance: (median: number, requests: number) => number;
  /** Smaller shifts are nobody's business. */
  readonly least: (median: number) => number;
  readonly bothWays: boolean;
}

/** 2 ms more are nothing, whatever they are in per cent. */
const LATENCY_LEAST_MS = 2;
const latency = (chance: number): Scale => ({
  toScale: (ms) => Math.log(Math.max(ms, 0.01)),
  fromScale: Math.exp,
  chance: () => chance,
  least: (median) => Math.max(Math.log(1.5), Math.log(1 + LATENCY_LEAST_MS / Math.exp(median))),
  bothWays: false,
});

const SCALES: Readonly<Record<AnomalySignal, Scale>> = {
  p50: latency(0.1),
  p99: latency(0.15),
  errors: {
    toScale: (share) => share,
    fromScale: (share) => share,
    chance: (share, requests) => {
      const usual = Math.min(Math.max(share, 0.5 / requests), 0.5);
      return Math.sqrt((usual * (1 - usual)) / requests);
    },
    least: () => 0.03,
    bothWays: false,
  },
  traffic: {
    toScale: (requests) => Math.log(requests + 0.5),
    fromScale: (scaled) => Math.exp(scaled) - 0.5,
    chance: (median) => Math.sqrt(1 / Math.exp(median)),
    least: () => Math.log(2),
    bothWays: true,
  },
};

/** One signal of one service. */
class Watch {
  readonly signal: AnomalySignal;
  isOff = false;
  /** How often the usual distance it is off at present. */
  distance = 0;
  readonly #scale: Scale;
  readonly #options: AnomalyOptions;
  /** Of the past while it was as usual; the oldest first. */
  #usual: number[] = [];
  /** Since it may be off. */
  #unusual: number[] = [];
  #calm = 0;
  #blind = 0;
  #median = 0;
  #farthest = 0;

  constructor(signal: AnomalySignal, options: AnomalyOptions) {
    this.signal = signal;
    this.#scale = SCALES[signal];
    this.#options = options;
  }

  /** @param value undefined: the window says nothing. */
  take(value: number | undefined, requests: number, isWorthIt: boolean): Shift | undefined {
    if (value === undefined) return this.#takeNothing();
    this.#blind = 0;
    const scaled = this.#scale.toScale(value);
    if (this.#usual.length < this.#options.windowsMin) return this.#keep(scaled);
    if (!this.isOff && this.#unusual.length === 0) this.#median = medianOf(this.#usual);
    const by = scaled - this.#median;
    const spread = MAD_TO_SIGMA * medianOf(this.#usual.map((each) => Math.abs(each - this.#median)));
    const sigma = Math.max(spread, this.#scale.chance(this.#median, requests));
    const size = this.#scale.bothWays ? Math.abs(by) : by;
    this.distance = size / sigma;
    if (this.isOff) return this.#whileOff(scaled, by);
    if (this.distance > OFF && size > this.#scale.least(this.#median) && isWorthIt) return this.#suspect(scaled);
    for (const each of this.#unusual) this.#keep(each);
    this.#unusual = [];
    return this.#keep(scaled);
  }

  /** What is usual, in the value's own unit; undefined: it is not known yet. */
  get usual(): number | undefined {
    return this.#usual.length < this.#options.windowsMin ? undefined : this.#scale.fromScale(medianOf(this.#usual));
  }

  #keep(scaled: number): undefined {
    this.#usual.push(scaled);
    if (this.#usual.length > this.#options.windows) this.#usual.shift();
  }

  #suspect(scaled: number): Shift | undefined {
    this.#unusual.push(scaled);
    if (this.#unusual.length < WINDOWS_TO_BEGIN) return undefined;
    this.isOff = true;
    this.#calm = 0;
    this.#farthest = scaled;
    return this.#shift('began', scaled);
  }

  #whileOff(scaled: number, by: number): Shift | undefined {
    this.#unusual.push(scaled);
    if (Math.abs(by) > Math.abs(this.#farthest - this.#median)) this.#farthest = scaled;
    this.#calm = this.distance < CALM ? this.#calm + 1 : 0;
    if (this.#calm >= WINDOWS_TO_END) {
      const ended = this.#shift('ended', this.#farthest);
      for (const each of this.#unusual.slice(-this.#calm)) this.#keep(each);
      this.#over();
      return ended;
    }
    if (this.#unusual.length < this.#options.windows) return undefined;
    const settled = this.#shift('settled', medianOf(this.#unusual));
    this.#usual = this.#unusual;
    this.#over();
    return settled;
  }

  #takeNothing(): Shift | undefined {
    this.#blind += 1;
    if (!this.isOff || this.#blind < WINDOWS_BLIND_MAX) return undefined;
    const lost = this.#shift('lost', this.#farthest);
    this.#over();
    return lost;
  }

  #over(): void {
    this.isOff = false;
    this.#unusual = [];
    this.distance = 0;
  }

  #shift(state: Shift['state'], scaled: number): Shift {
    const { fromScale } = this.#scale;
    return { signal: this.signal, state, before: fromScale(this.#median), now: fromScale(scaled), windows: this.#unusual.length };
  }
}

export class ServiceBaseline {
  readonly #latency: readonly [Watch, Watch];
  readonly #errors: Watch;
  readonly #traffic: Watch;
  /** The shift of latency that was told. */
  #told: Shift | undefined;

  constructor(options: Partial<AnomalyOptions> = {}) {
    const all = { ...ANOMALY_DEFAULTS, ...options };
    this.#latency = [new Watch('p50', all), new Watch('p99', all)];
    this.#errors = new Watch('errors', all);
    this.#traffic = new Watch('traffic', all);
  }

  /** To be called for each window, in their order. */
  judge({ requests, failures, p50Ms, p99Ms }: WindowFacts): Shift[] {
    const [p50, p99] = this.#latency;
    const isEnough = ({ signal, isOff }: Watch): boolean => requests >= REQUESTS_MIN[signal] * (isOff ? 0.5 : 1);
    const shifts = [
      p50.take(isEnough(p50) ? p50Ms : undefined, requests, true),
      p99.take(isEnough(p99) ? p99Ms : undefined, requests, true),
    ].filter((shift) => shift !== undefined);
    const share = isEnough(this.#errors) ? failures / requests : undefined;
    const isJudged = (this.#traffic.usual ?? 0) >= TRAFFIC_MIN;
    return [
      ...this.#latencyShift(shifts),
      this.#errors.take(share, requests, failures >= FAILURES_MIN),
      this.#traffic.take(requests, requests, isJudged),
    ].filter((shift) => shift !== undefined);
  }

  /** The median and the slowest hundredth move together: it is one shift, which lasts as long as either. */
  #latencyShift(shifts: readonly Shift[]): Shift[] {
    const isOff = this.#latency.some((watch) => watch.isOff);
    if (this.#told === undefined) {
      const [first, second] = shifts.filter(({ state }) => state === 'began');
      if (first === undefined) return [];
      const [p50, p99] = this.#latency;
      this.#told = second !== undefined && p99.distance > p50.distance ? second : first;
      return [this.#told];
    }
    if (isOff) return [];
    const { signal } = this.#told;
    this.#told = undefined;
    const last = shifts.find((shift) => shift.signal === signal) ?? shifts[0];
    return last === undefined ? [] : [last];
  }
}

function medianOf(values: readonly number[]): number {
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}
