// The service graph: a picture that can be moved and scaled, whose nodes are links and whose edges are buttons, so that the keyboard reaches all of it.
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { type ReadonlySignal, type Signal, useComputed, useSignal } from '@preact/signals';
import type { GraphEdge, GraphNode } from '../api/traffic.ts';
import { latency, percent, rate, shortName } from '../logic/format.ts';
import { type Layout, NODE_HEIGHT, NODE_WIDTH, layoutOf } from '../logic/layout.ts';
import { type Topology, type TopologyEdge, type TopologyNode, sumEdges } from '../logic/topology.ts';
import { type Size, type View, fitted, moved, zoomed } from '../logic/zoom.ts';
import { live } from '../browser/app.ts';
import { serviceHref } from '../state/routes.ts';
import { Icon, type IconName, iconPath } from './icon.tsx';

/** Narrower frames are drawn from top to bottom. */
const DOWN_BELOW_PX = 620;
const STEP_PX = 60;
const ZOOM_STEP = 1.25;
const NAME_CHARS_MAX = 17;
const HEIGHT_MIN_PX = 340;
const HEIGHT_MAX_SHARE = 0.66;
/** Pointers that move less have clicked. */
const DRAG_PX = 4;

export interface GraphProps {
  readonly topology: ReadonlySignal<Topology>;
  readonly selected: Signal<string>;
  /** Whether calls to the service are encrypted and proven by certificates; undefined: not known. */
  readonly isMutual: (service: string) => boolean | undefined;
}

export function GraphView({ topology, selected, isMutual }: GraphProps) {
  const frame = useRef<HTMLDivElement>(null);
  const width = useWidth(frame);
  const isDown = useComputed(() => width.value < DOWN_BELOW_PX);
  // Laid out anew only when something comes or goes, not when numbers change.
  const layout = useComputed(() => layoutOf(topology.value, isDown.value));
  const size = useComputed<Size>(() => ({ width: width.value, height: heightFor(layout.value, width.value) }));
  /** Undefined: as it fits. */
  const chosen = useSignal<View | undefined>(undefined);
  const view = useComputed(() => chosen.value ?? fitted(layout.value, size.value));
  const zoom = (factor: number, at = { x: size.value.width / 2, y: size.value.height / 2 }): void => {
    chosen.value = zoomed(view.value, factor, at);
  };
  const move = (dx: number, dy: number): void => {
    chosen.value = moved(view.value, dx, dy, layout.value, size.value);
  };
  const pointer = usePanning(move);
  const transform = useComputed(() => `translate(${view.value.x} ${view.value.y}) scale(${view.value.scale})`);
  return (
    <div class="graph">
      <div
        class="graph-frame"
        ref={frame}
        style={{ height: `${size.value.height}px` }}
        {...pointer}
        onFocusCapture={(event) => {
          const [dx, dy] = wayInto(event.currentTarget, event.target as Element);
          if (dx !== 0 || dy !== 0) move(dx, dy);
        }}
        onWheel={(event) => {
          if (!event.ctrlKey && !event.metaKey) return;
          event.preventDefault();
          const box = event.currentTarget.getBoundingClientRect();
          zoom(Math.exp(-event.deltaY / 300), { x: event.clientX - box.left, y: event.clientY - box.top });
        }}
      >
        <svg role="group" aria-label="Service graph" width="100%" height="100%">
          <Arrows />
          <g transform={transform}>
            <Edges layout={layout.value} edges={topology.value.edges} selected={selected} isMutual={isMutual} />
            {topology.value.nodes.map((node) => (
              <Node key={node.id} node={node} layout={layout.value} />
            ))}
          </g>
        </svg>
      </div>
      <div
        class="graph-tools"
        role="group"
        aria-label="View of the graph"
        onKeyDown={(event) => {
          const step = MOVES[event.key];
          if (step === undefined) return;
          event.preventDefault();
          move(step[0] * STEP_PX, step[1] * STEP_PX);
        }}
      >
        <Tool icon="plus" label="Enlarge" onClick={() => zoom(ZOOM_STEP)} />
        <Tool icon="minus" label="Reduce" onClick={() => zoom(1 / ZOOM_STEP)} />
        <Tool icon="fit" label="Show all; arrow keys move the graph" onClick={() => (chosen.value = undefined)} />
      </div>
    </div>
  );
}

/** How far the picture must move so that what has got the focus is seen. */
function wayInto(frame: Element, focused: Element): readonly [dx: number, dy: number] {
  const [outer, inner] = [frame.getBoundingClientRect(), focused.getBoundingClientRect()];
  const way = (from: number, to: number, min: number, max: number): number => (from < min ? min - from : to > max ? max - to : 0);
  return [way(inner.left, inner.right, outer.left, outer.right), way(inner.top, inner.bottom, outer.top, outer.bottom)];
}

function useWidth(frame: { readonly current: HTMLElement | null }): ReadonlySignal<number> {
  const width = useSignal(0);
  useEffect(() => {
    const target = frame.current;
    if (target === null) return undefined;
    const observer = new ResizeObserver(() => (width.value = target.clientWidth));
    observer.observe(target);
    width.value = target.clientWidth;
    return () => observer.disconnect();
  }, []);
  return width;
}

/** Of the frame: no higher than what it shows, within limits. */
function heightFor(picture: Size, width: number): number {
  const needed = picture.height * Math.min(1, width / Math.max(picture.width, 1));
  return Math.round(Math.min(Math.max(needed, HEIGHT_MIN_PX), Math.max(innerHeight * HEIGHT_MAX_SHARE, HEIGHT_MIN_PX)));
}

const MOVES: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [1, 0],
  ArrowRight: [-1, 0],
  ArrowUp: [0, 1],
  ArrowDown: [0, -1],
};

function Tool({ icon, label, onClick }: { readonly icon: IconName; readonly label: string; readonly onClick: () => void }) {
  return (
    <button type="button" class="square" aria-label={label} title={label} onClick={onClick}>
      <Icon name={icon} />
    </button>
  );
}

/** With a mouse or pen; a finger scrolls the page. */
function usePanning(move: (dx: number, dy: number) => void) {
  const from = useRef<{ x: number; y: number; isDrag: boolean } | undefined>(undefined);
  return {
    onPointerDown: (event: PointerEvent) => {
      if (event.pointerType !== 'touch' && event.button === 0) from.current = { x: event.clientX, y: event.clientY, isDrag: false };
    },
    onPointerMove: (event: PointerEvent) => {
      const start = from.current;
      if (start === undefined) return;
      const [dx, dy] = [event.clientX - start.x, event.clientY - start.y];
      if (!start.isDrag && Math.hypot(dx, dy) < DRAG_PX) return;
      if (!start.isDrag) (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
      from.current = { x: event.clientX, y: event.clientY, isDrag: true };
      move(dx, dy);
    },
    onPointerUp: () => {
      from.current = undefined;
    },
    onPointerCancel: () => {
      from.current = undefined;
    },
  };
}

function Arrows() {
  return (
    <defs>
      {(['calm', 'bad'] as const).map((tone) => (
        <marker
          key={tone}
          id={`arrow-${tone}`}
          class={`arrow ${tone}`}
          viewBox="0 0 8 8"
          refX="7"
          refY="4"
          markerWidth="8"
          markerHeight="8"
          markerUnits="userSpaceOnUse"
          orient="auto"
        >
          <path d="M0 0.5L8 4L0 7.5z" />
        </marker>
      ))}
    </defs>
  );
}

function Node({ node: { id, kind }, layout }: { readonly node: TopologyNode; readonly layout: Layout }) {
  const { x, y } = layout.nodes.get(id) ?? { x: 0, y: 0 };
  const place = `translate(${x - NODE_WIDTH / 2} ${y - NODE_HEIGHT / 2})`;
  const name = shortName(id);
  const title = name.length > NAME_CHARS_MAX ? `${name.slice(0, NAME_CHARS_MAX - 1)}…` : name;
  void live.services.names.value;
  const counts = live.services.item(id)?.value.instances;
  const traffic = (void live.nodes.names.value, live.nodes.item(id)?.value);
  const state =
    counts === undefined ? 'calm' : counts.total === 0 || counts.unhealthy > 0 ? 'bad' : counts.healthy < counts.total ? 'warn' : 'good';
  const healthy = counts === undefined ? '' : `${counts.healthy} of ${counts.total} healthy`;
  const rates =
    traffic === undefined
      ? ''
      : `${rate(traffic.requestsPerSecond)}, ${percent(traffic.errorsPerSecond, traffic.requestsPerSecond)} errors, p99 ${latency(traffic.p99Ms)}`;
  const words = [name, healthy, rates].filter((part) => part !== '').join('; ');
  const box = <rect class="node-box" width={NODE_WIDTH} height={NODE_HEIGHT} rx="10" />;
  return (
    <g class={`node ${kind === 'service' ? state : 'foreign'}`} transform={place}>
      {kind === 'service' ? (
        <a href={serviceHref(id)} aria-label={words} draggable={false}>
          {box}
        </a>
      ) : (
        <g role="img" aria-label={words}>
          {box}
        </g>
      )}
      <g class="node-text" aria-hidden="true">
        <text class="node-name" x="14" y="25">
          {title}
        </text>
        {counts !== undefined && (
          <g class={`node-state ${state}`} transform="translate(13 33)">
            <path class="node-icon" transform="scale(.8)" d={iconPath(state === 'good' ? 'check' : state === 'bad' ? 'cross' : 'down')} />
            <text x="17" y="11">
              {counts.total === 0 ? 'no instance' : `${counts.healthy}/${counts.total} healthy`}
            </text>
          </g>
        )}
        <text class="node-rate" x="14" y="62">
          {kind === 'service'
            ? calledText(traffic)
            : kind === 'operator'
              ? 'anonymous calls'
              : kind === 'egress'
                ? 'outside the mesh'
                : 'not of the mesh'}
        </text>
      </g>
    </g>
  );
}

function calledText(traffic: GraphNode | undefined): string {
  if (traffic === undefined) return '';
  return traffic.requestsPerSecond === 0 ? 'not called now' : `${rate(traffic.requestsPerSecond)} · p99 ${latency(traffic.p99Ms)}`;
}

interface EdgesProps extends Omit<GraphProps, 'topology'> {
  readonly layout: Layout;
  readonly edges: readonly TopologyEdge[];
}

function Edges({ layout, edges, selected, isMutual }: EdgesProps) {
  // Which protocols each pair speaks changes seldom.
  const byPair = useMemo(
    () => new Map(edges.map(({ id }) => [id, live.edges.names.value.filter((name) => name.startsWith(`${id} `))])),
    [edges, live.edges.names.value],
  );
  return (
    <>
      {edges.map((edge) => (
        <Edge
          key={edge.id}
          edge={edge}
          names={byPair.get(edge.id) ?? []}
          layout={layout}
          selected={selected}
          mutual={isMutual(edge.destination)}
        />
      ))}
    </>
  );
}

interface EdgeProps {
  readonly edge: TopologyEdge;
  readonly names: readonly string[];
  readonly layout: Layout;
  readonly selected: Signal<string>;
  readonly mutual: boolean | undefined;
}

function Edge({ edge: { id, source, destination }, names, layout, selected, mutual }: EdgeProps) {
  const line = layout.edges.get(id);
  const traffic = trafficOf(names);
  if (line === undefined) return null;
  const isIdle = traffic === undefined || traffic.requestsPerSecond === 0;
  const share = traffic === undefined ? 0 : traffic.errorsPerSecond / Math.max(traffic.requestsPerSecond, 1e-9);
  const tone = share >= 0.01 ? 'bad' : 'calm';
  const words = edgeWords(source, destination, traffic, mutual);
  const choose = (): void => {
    selected.value = selected.peek() === id ? '' : id;
  };
  return (
    <g class={`edge ${tone} ${isIdle ? 'idle' : ''} ${selected.value === id ? 'selected' : ''}`} onClick={choose}>
      <g
        role="button"
        tabindex={0}
        aria-label={words}
        aria-pressed={selected.value === id}
        onKeyDown={(event) => {
          if (event.key !== 'Enter' && event.key !== ' ') return;
          event.preventDefault();
          choose();
        }}
      >
        <path class="edge-touch" d={line.path} />
        <path
          class="edge-line"
          d={line.path}
          style={{ strokeWidth: isIdle ? 1.25 : 1.5 + Math.min(3.5, Math.log10(1 + traffic.requestsPerSecond)) }}
          marker-end={`url(#arrow-${tone})`}
        />
      </g>
      <g transform={`translate(${line.label.x} ${line.label.y})`} aria-hidden="true">
        <rect class="edge-label" x="-42" y={isIdle ? -10 : -17} width="84" height={isIdle ? 20 : 34} rx="8" />
        {mutual !== undefined && (
          <path class="edge-lock" transform={`translate(-38 ${isIdle ? -6 : -13}) scale(.72)`} d={iconPath(mutual ? 'lock' : 'unlock')} />
        )}
        <text class="edge-rate" y={isIdle ? 4 : -3} x="4">
          {isIdle ? 'idle' : rate(traffic.requestsPerSecond)}
        </text>
        {!isIdle && (
          <text class="edge-more" y="11">
            {tone === 'bad' ? `${percent(traffic.errorsPerSecond, traffic.requestsPerSecond)} errors` : `p99 ${latency(traffic.p99Ms)}`}
          </text>
        )}
      </g>
    </g>
  );
}

function trafficOf(names: readonly string[]): GraphEdge | undefined {
  return sumEdges(names.flatMap((name) => live.edges.item(name)?.value ?? []));
}

function edgeWords(source: string, destination: string, traffic: GraphEdge | undefined, mutual: boolean | undefined): string {
  const ends = `${shortName(source)} to ${shortName(destination)}`;
  const secure = mutual === undefined ? '' : mutual ? ', mutual TLS' : ', not by mutual TLS alone';
  if (traffic === undefined || traffic.requestsPerSecond === 0) return `${ends}: no calls now${secure}`;
  return `${ends}: ${rate(traffic.requestsPerSecond)}, ${percent(traffic.errorsPerSecond, traffic.requestsPerSecond)} errors, p50 ${latency(traffic.p50Ms)}, p99 ${latency(traffic.p99Ms)}${secure}`;
}
