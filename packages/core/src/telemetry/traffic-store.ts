// The traffic of the last hour in small steps and of the last day in larger ones, by edge, by route and by instance. Memory is bounded: pages of
// a fixed amount, and a number of series; the series that was used least recently goes first, and where all are in use each loses its oldest
// part. A report is spread over the steps that it covers. Pure: time is an argument.
import { CONTROL_LIMITS } from '../limits/control-table.ts';
import { ErrorCodes, PAGE_BYTES, PagePool, PointLog } from './traffic-pages.ts';
import { DURATION_BUCKETS } from './duration-buckets.ts';
import { type CountedTraffic, TrafficSum } from './traffic-sum.ts';

export interface TrafficStoreOptions {
  /** Width of a small step. */
  readonly stepMs: number;
  /** Small steps that are kept. */
  readonly steps: number;
  /** Small steps in a large one. */
  readonly stepsPerLarge: number;
  readonly largeSteps: number;
  /** Of the pages; a series has some 300 bytes besides, and while requests go some 2 kB. */
  readonly bytesMax: number;
  readonly seriesMax: number;
}

/** The last hour at 5 s, the last day at one minute. A series that is always in use takes some 60 kB, one that seldom is a tenth of it. */
export const TRAFFIC_STORE_DEFAULTS: TrafficStoreOptions = {
  stepMs: CONTROL_LIMITS.trafficStepMs.value,
  steps: 720,
  stepsPerLarge: 12,
  largeSteps: 1_440,
  bytesMax: CONTROL_LIMITS.trafficBytesMax.value,
  seriesMax: CONTROL_LIMITS.trafficSeriesMax.value,
};

/** A step stays open for so many more: reports come once in a step, of the time before them, and some come late. */
const OPEN_STEPS = 3;
/** Of series that were not used for so many large steps, all goes before anything of another goes. */
const IDLE_LARGE_STEPS = 2;

export type SeriesKind = 'edge' | 'route' | 'instance';

/** One series: an edge from `from` to `of`, or the route or instance `part` of `of`. */
export class TrafficSeries {
  readonly kind: SeriesKind;
  /** `<namespace>/<service>` that is called. */
  readonly destination: string;
  /** The source of an edge, the name of a route, or of an instance. */
  readonly part: string;
  /** As reported last; empty for instances. */
  protocol = '';
  readonly small: PointLog;
  readonly large: PointLog;
  /** By step; a few at most. */
  readonly open = new Map<number, TrafficSum>();
  lastStep = -1;
  /** Large steps are made of the small ones up to here. */
  largeDone = 0;

  constructor(kind: SeriesKind, destination: string, part: string, pool: PagePool, codes: ErrorCodes) {
    this.kind = kind;
    this.destination = destination;
    this.part = part;
    this.small = new PointLog(pool, codes);
    this.large = new PointLog(pool, codes);
  }
}

/** What was let go, since the beginning. */
export interface TrafficStoreLoss {
  /** Series that were let go whole, the least recently used first. */
  seriesDropped: number;
  /** Pages of series in use, the oldest first: their history is shorter. */
  pagesDropped: number;
  /** Points for which there was no room at all. */
  pointsLost: number;
  /** Requests of a time that was closed when they were reported, or before the beginning. */
  requestsLate: number;
}

export class TrafficStore {
  readonly options: TrafficStoreOptions;
  readonly lost: TrafficStoreLoss = { seriesDropped: 0, pagesDropped: 0, pointsLost: 0, requestsLate: 0 };
  readonly #pool: PagePool;
  readonly #codes = new ErrorCodes();
  /** The least recently used first. */
  readonly #series = new Map<string, TrafficSeries>();
  readonly #startMs: number;
  readonly #spare: TrafficSum[] = [];
  /** Steps before it are closed. */
  #firstOpen = 0;
  /** Who gives up its oldest page next. */
  #shortening: Iterator<TrafficSeries, undefined> = this.#series.values();

  /** @param nowMs from now on something is known. Monotonic, as all times here. */
  constructor(nowMs: number, options: Partial<TrafficStoreOptions> = {}) {
    this.options = { ...TRAFFIC_STORE_DEFAULTS, ...options };
    this.#pool = new PagePool(this.options.bytesMax);
    this.#startMs = nowMs;
  }

  get size(): number {
    return this.#series.size;
  }

  /** Of the pages that hold something. */
  get bytesUsed(): number {
    return this.#pool.used * PAGE_BYTES;
  }

  /** Since when something is known. */
  get startMs(): number {
    return this.#startMs;
  }

  get(kind: SeriesKind, destination: string, part: string): TrafficSeries | undefined {
    return this.#series.get(keyOf(kind, destination, part));
  }

  /** All of one kind. */
  *list(kind: SeriesKind): Iterable<TrafficSeries> {
    for (const series of this.#series.values()) if (series.kind === kind) yield series;
  }

  /**
   * Adds what happened between the two times, evenly. The series counts as used. The part of the time whose steps are closed is left out: after
   * an interruption a data plane reports of minutes at once, and they are not now.
   */
  add(kind: SeriesKind, destination: string, part: string, counted: CountedTraffic, fromMs: number, toMs: number): TrafficSeries {
    const series = this.#use(keyOf(kind, destination, part), kind, destination, part);
    const lengthMs = Math.max(1, toMs - fromMs);
    const first = Math.max(this.#firstOpen, this.#stepOf(fromMs));
    const last = this.#stepOf(toMs - 1);
    let done = Math.min(1, Math.max(0, (this.timeOf(first) - fromMs) / lengthMs));
    this.lost.requestsLate += Math.round(counted.requests * done);
    for (let step = first; step <= last; step += 1) {
      const end = step === last ? 1 : Math.min(1, Math.max(done, (this.timeOf(step + 1) - fromMs) / lengthMs));
      this.#sum(series, step).addPart(counted, done, end);
      done = end;
    }
    series.lastStep = Math.max(series.lastStep, last);
    return series;
  }

  /** Closes what is old enough, and forgets what is too old. To be called about once a step. */
  advance(nowMs: number): void {
    const firstOpen = Math.max(this.#firstOpen, this.#stepOf(nowMs) - OPEN_STEPS);
    if (firstOpen === this.#firstOpen) return;
    this.#firstOpen = firstOpen;
    const { stepsPerLarge, steps, largeSteps } = this.options;
    const large = Math.floor(firstOpen / stepsPerLarge);
    for (const [key, series] of this.#series) {
      this.#close(series);
      if (series.largeDone < large) {
        this.#sumUp(series, large);
        series.small.forgetBefore(firstOpen - steps);
        series.large.forgetBefore(large - largeSteps);
        if (series.open.size + series.small.pages.length + series.large.pages.length === 0) this.#series.delete(key);
      }
    }
  }

  /** Everything between two times, by small steps where they reach back so far. Steps count whole. */
  sum(series: TrafficSeries, fromMs: number, toMs: number, into: TrafficSum = new TrafficSum()): TrafficSum {
    const { stepMs, stepsPerLarge } = this.options;
    const isLong = toMs - fromMs >= stepMs * stepsPerLarge * 30;
    this.read(series, isLong ? 'large' : 'small', fromMs, toMs, () => into);
    return into;
  }

  /** `into` gives the sum that what happened from `stepMs` on is to be added to. */
  read(
    series: TrafficSeries,
    width: 'small' | 'large',
    fromMs: number,
    toMs: number,
    into: (stepMs: number) => TrafficSum | undefined,
  ): void {
    const from = this.#stepOf(fromMs);
    const to = this.#stepOf(toMs - 1) + 1;
    const { stepsPerLarge } = this.options;
    let smallFrom = from;
    if (width === 'large') {
      const largeFrom = Math.floor(from / stepsPerLarge);
      const largeTo = Math.min(series.largeDone, Math.ceil(to / stepsPerLarge));
      series.large.read(largeFrom, largeTo, (step) => into(this.timeOf(step * stepsPerLarge)));
      smallFrom = Math.max(largeFrom * stepsPerLarge, series.largeDone * stepsPerLarge);
    }
    series.small.read(smallFrom, to, (step) => into(this.timeOf(step)));
    for (const [step, sum] of series.open) if (step >= smallFrom && step < to) into(this.timeOf(step))?.addSum(sum);
  }

  /** The beginning of a small step. */
  timeOf(step: number): number {
    return this.#startMs + step * this.options.stepMs;
  }

  /** The latest time before which every report that is not late has come. */
  settledMs(nowMs: number): number {
    return this.timeOf(Math.max(0, this.#stepOf(nowMs - this.options.stepMs)));
  }

  #stepOf(ms: number): number {
    return Math.max(0, Math.floor((ms - this.#startMs) / this.options.stepMs));
  }

  #use(key: string, kind: SeriesKind, destination: string, part: string): TrafficSeries {
    let series = this.#series.get(key);
    if (series !== undefined) {
      this.#series.delete(key);
    } else {
      const [leastUsed] = this.#series;
      if (leastUsed !== undefined && this.#series.size >= this.options.seriesMax) this.#drop(...leastUsed);
      series = new TrafficSeries(kind, destination, part, this.#pool, this.#codes);
      series.largeDone = Math.floor(this.#firstOpen / this.options.stepsPerLarge);
    }
    this.#series.set(key, series);
    return series;
  }

  #sum(series: TrafficSeries, step: number): TrafficSum {
    let sum = series.open.get(step);
    if (sum === undefined) series.open.set(step, (sum = this.#spare.pop() ?? new TrafficSum(new Uint32Array(DURATION_BUCKETS))));
    return sum;
  }

  #close(series: TrafficSeries): void {
    const due = [...series.open.keys()].filter((step) => step < this.#firstOpen).sort((a, b) => a - b);
    for (const step of due) {
      const sum = series.open.get(step)!;
      series.open.delete(step);
      if (!sum.isEmpty) this.#append(series.small, series, step, sum);
      sum.clear();
      if (this.#spare.length < this.options.seriesMax) this.#spare.push(sum);
    }
  }

  /** Makes the large steps before `large` of the small ones. */
  #sumUp(series: TrafficSeries, large: number): void {
    const { stepsPerLarge } = this.options;
    const sums = new Map<number, TrafficSum>();
    series.small.read(series.largeDone * stepsPerLarge, large * stepsPerLarge, (step) => {
      const at = Math.floor(step / stepsPerLarge);
      let sum = sums.get(at);
      if (sum === undefined) sums.set(at, (sum = new TrafficSum()));
      return sum;
    });
    series.largeDone = large;
    for (const [step, sum] of sums) this.#append(series.large, series, step, sum);
  }

  #append(log: PointLog, owner: TrafficSeries, step: number, sum: TrafficSum): void {
    if (!log.append(step, sum, () => this.#makeRoom(owner))) this.lost.pointsLost += 1;
  }

  /** Lets something else go. False: there is nothing. */
  #makeRoom(owner: TrafficSeries): boolean {
    const idleBefore = this.#firstOpen - IDLE_LARGE_STEPS * this.options.stepsPerLarge;
    return this.#dropUnused(owner, idleBefore) || this.#shorten() || this.#dropUnused(owner, Infinity);
  }

  /** Drops series that were last used before the step, the least recently used first, until a page is free. */
  #dropUnused(owner: TrafficSeries, step: number): boolean {
    for (const [key, series] of this.#series) {
      if (series.lastStep >= step) return false;
      if (series === owner) continue;
      const before = this.#pool.used;
      this.#drop(key, series);
      if (this.#pool.used < before) return true;
    }
    return false;
  }

  /** Everybody is in use: one after the other gives its oldest page. */
  #shorten(): boolean {
    for (let tried = 0; tried <= this.#series.size; tried += 1) {
      const { value } = this.#shortening.next();
      if (value === undefined) {
        this.#shortening = this.#series.values();
        continue;
      }
      const { small, large } = value;
      const log = large.pages.length > small.pages.length ? large : small;
      // The page that is being written stays.
      if (log.pages.length < 2) continue;
      log.dropOldest();
      this.lost.pagesDropped += 1;
      return true;
    }
    return false;
  }

  #drop(key: string, { small, large, open }: TrafficSeries): void {
    this.#series.delete(key);
    for (const log of [small, large]) while (log.pages.length > 0) log.dropOldest();
    for (const sum of open.values()) sum.clear();
    this.#spare.push(...open.values());
    this.lost.seriesDropped += 1;
  }
}

function keyOf(kind: SeriesKind, destination: string, part: string): string {
  return `${kind} ${destination} ${part}`;
}
