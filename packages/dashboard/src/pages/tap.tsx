// Requests as they go by, picked by a filter, from the data planes that carry them.
import { useEffect, useRef } from 'preact/hooks';
import { useSignal } from '@preact/signals';
import type { TapEnd, TapLost, TapRecord, TapWatchers } from '../api/traffic.ts';
import { EventParser } from '../api/events.ts';
import { ApiError } from '../api/http.ts';
import { bytes, latency, plural, shortName } from '../logic/format.ts';
import { NOTHING_TAPPED, type Tapped, withLost, withRecord } from '../state/tap.ts';
import { live } from '../browser/app.ts';
import { go, place } from '../browser/place.ts';
import { api, may } from '../browser/session.ts';
import { Card, Empty, Facts, Failure, Mark, Note, Page, ServiceLink } from '../parts/basics.tsx';
import { Select, Text } from '../parts/fields.tsx';
import { Icon } from '../parts/icon.tsx';
import { Cell, Table } from '../parts/table.tsx';

const COLUMNS = ['Time', 'From', 'To', 'Request', 'Status', 'Took'].map((title) => ({ title, numeric: title === 'Took' }));

interface TapListener {
  readonly onRecord: (record: TapRecord) => void;
  readonly onLost: (lost: TapLost) => void;
  readonly onWatchers: (watchers: TapWatchers) => void;
}

/** Ends when `signal` is aborted, or the control plane ends it: then with the reason. */
async function readTap(query: Readonly<Record<string, string>>, signal: AbortSignal, listener: TapListener): Promise<string> {
  const response = await api.stream('/tap', query, { signal });
  const [reader, parser, decoder] = [response.body?.getReader(), new EventParser(), new TextDecoder()];
  for (let part = await reader?.read(); part?.done === false; part = await reader?.read()) {
    for (const { event, data } of parser.push(decoder.decode(part.value, { stream: true }))) {
      if (event === 'record') listener.onRecord(JSON.parse(data) as TapRecord);
      else if (event === 'lost') listener.onLost(JSON.parse(data) as TapLost);
      else if (event === 'watchers') listener.onWatchers(JSON.parse(data) as TapWatchers);
      else if (event === 'end') return (JSON.parse(data) as TapEnd).reason;
    }
  }
  return 'the control plane ended the stream';
}

/** A tap with its filter; it ends with the page. */
function useTap() {
  const { query } = place.peek();
  const filter = useSignal<Readonly<Record<string, string>>>({ source: '', destination: '', method: '', path: '', status: '', ...query });
  const tapped = useSignal<Tapped>(NOTHING_TAPPED);
  const error = useSignal<ApiError | undefined>(undefined);
  /** Who looks, or why nobody does any more. */
  const note = useSignal('');
  const isRunning = useSignal(false);
  const abort = useRef<AbortController | undefined>(undefined);
  useEffect(() => () => abort.current?.abort(), []);
  const start = (): void => {
    abort.current?.abort();
    const own = (abort.current = new AbortController());
    tapped.value = NOTHING_TAPPED;
    note.value = '';
    error.value = undefined;
    isRunning.value = true;
    go('tap', filter.value, { replace: true });
    readTap(filter.value, own.signal, {
      onRecord: (record) => (tapped.value = withRecord(tapped.peek(), record)),
      onLost: (lost) => (tapped.value = withLost(tapped.peek(), lost)),
      onWatchers: ({ dataPlanes }) => (note.value = `${plural(dataPlanes, 'data plane')} looking`),
    })
      .then((reason) => (note.value = reason))
      .catch((failure: unknown) => {
        if (!own.signal.aborted)
          error.value = failure instanceof ApiError ? failure : new ApiError(0, 'UNKNOWN', 'the stream broke; start it again');
      })
      .finally(() => {
        if (abort.current === own) isRunning.value = false;
      });
  };
  return { filter, tapped, note, error, isRunning, start, stop: () => abort.current?.abort() };
}

export function Tap() {
  const { filter, tapped, note, error, isRunning, start, stop } = useTap();
  const set = (name: string) => (value: string) => (filter.value = { ...filter.value, [name]: value });
  const services = [['', 'any'], ...live.services.names.value.map((name) => [name, shortName(name)] as const)] as const;
  const field = (name: string): string => filter.value[name] ?? '';
  return (
    <Page title="Tap" about="Requests as they go by. Headers that hold secrets are left out; who taps is in the audit log.">
      {!may('editor') && (
        <Note tone="warn" icon="lock">
          Looking into requests needs the role editor.
        </Note>
      )}
      <Card title="Which requests">
        <form
          class="form"
          onSubmit={(event) => {
            event.preventDefault();
            if (isRunning.value) stop();
            else start();
          }}
        >
          <Select label="From" value={field('source')} options={services} onChange={set('source')} />
          <Select label="To" value={field('destination')} options={services} onChange={set('destination')} />
          <Text label="Method" value={field('method')} placeholder="any" onChange={set('method')} />
          <Text label="Path" value={field('path')} class="grow" placeholder="/orders/*" onChange={set('path')} />
          <Text label="Status" value={field('status')} placeholder="any" onChange={set('status')} />
          <div class="actions">
            <button type="submit" class={isRunning.value ? '' : 'primary'} disabled={!may('editor')}>
              <Icon name={isRunning.value ? 'stop' : 'play'} />
              {isRunning.value ? 'Stop' : 'Start'}
            </button>
          </div>
        </form>
      </Card>
      <Card title="Requests" aside={<span class="about">{summary(tapped.value, note.value)}</span>}>
        {error.value !== undefined && (
          <Failure
            error={error.value}
            what="tap"
            title={error.value.status === 404 ? 'This control plane has no tap' : 'The tap has ended'}
          />
        )}
        {tapped.value.records.length === 0 ? (
          <Empty title={isRunning.value ? 'No such request yet' : 'Not started'}>
            {isRunning.value
              ? 'They are shown as soon as they have ended. Is the filter too narrow?'
              : 'Choose which requests you want to see, or leave it open, and start.'}
          </Empty>
        ) : (
          <Table label="Requests, the newest first" columns={COLUMNS}>
            {tapped.value.records.map((record) => (
              <RecordRow key={record.key} record={record} />
            ))}
          </Table>
        )}
      </Card>
    </Page>
  );
}

function summary({ seen, lost }: Tapped, note: string): string {
  const parts = [note, seen === 0 ? '' : plural(seen, 'request'), lost === 0 ? '' : `${lost} more were not told`];
  return parts.filter((part) => part !== '').join(', ');
}

function RecordRow({ record }: { readonly record: TapRecord }) {
  const isOpen = useSignal(false);
  const { time, source, destination, instance, method, path, status, error, durationMs } = record;
  const tone = error !== '' || status >= 500 ? 'bad' : status >= 400 ? 'warn' : 'good';
  return (
    <>
      <tr>
        <Cell title="Time">
          <button type="button" class="link nowrap" aria-expanded={isOpen.value} onClick={() => (isOpen.value = !isOpen.value)}>
            {new Date(time).toLocaleTimeString()}
          </button>
        </Cell>
        <Cell title="From">
          <ServiceLink name={source} />
        </Cell>
        <Cell title="To">
          <ServiceLink name={destination} /> <span class="about">{instance}</span>
        </Cell>
        <Cell title="Request" wide>
          <code>
            {method} {path}
          </code>
        </Cell>
        <Cell title="Status">
          <Mark tone={tone} icon={tone === 'good' ? 'check' : tone === 'bad' ? 'cross' : 'warn'}>
            {status === 0 ? '' : status} {error}
          </Mark>
        </Cell>
        <Cell title="Took" numeric>
          {latency(durationMs)}
        </Cell>
      </tr>
      {isOpen.value && (
        <tr class="more">
          <td colSpan={COLUMNS.length}>
            <RecordFacts record={record} />
          </td>
        </tr>
      )}
    </>
  );
}

function RecordFacts({ record }: { readonly record: TapRecord }) {
  const { node, route, protocol, requestBytes, responseBytes, tries, traceId, headers = {} } = record;
  return (
    <Facts
      items={[
        ['Route', route],
        ['Protocol', protocol],
        ['Tries', String(tries)],
        ['Bytes', `${bytes(requestBytes)} there, ${bytes(responseBytes)} back`],
        ['Trace', traceId === '' ? '–' : traceId],
        ['Told by', node],
        ...Object.entries(headers).map(([name, value]) => [name, value] as const),
      ]}
    />
  );
}
