// Data planes that are connected, and what each has applied.
import { useComputed, useSignal } from '@preact/signals';
import type { KindSync, Proxy } from '../api/types.ts';
import { shortName } from '../logic/format.ts';
import { identityName } from '../logic/words.ts';
import { live } from '../browser/app.ts';
import { Ago, Card, Empty, Facts, Mark, Page, Waiting } from '../parts/basics.tsx';
import { Cell, Table } from '../parts/table.tsx';

const COLUMNS = ['Node', 'State', 'Kind', 'Identity', 'Connected'].map((title) => ({ title }));

export function Proxies() {
  const names = live.proxies.names.value;
  const isBehind = useComputed(() => live.proxies.all().filter(({ inSync }) => !inSync).length);
  return (
    <Page
      title="Data planes"
      about={
        names.length === 0
          ? 'Proxies and in-process data planes.'
          : `${names.length} connected, ${names.length - isBehind.value} with everything they were sent.`
      }
    >
      <Card title="Connected">
        {!live.proxies.complete.value ? (
          <Waiting what="the data planes" />
        ) : names.length === 0 ? (
          <Empty title="No data plane is connected">
            <code>heddle up</code> and <code>heddle run</code> start one; <code>heddle proxy</code> runs one by itself.
          </Empty>
        ) : (
          <Table label="Data planes" columns={COLUMNS}>
            {names.map((name) => (
              <ProxyRow key={name} name={name} />
            ))}
          </Table>
        )}
      </Card>
    </Page>
  );
}

function ProxyRow({ name }: { readonly name: string }) {
  const item = useComputed(() => (void live.proxies.names.value, live.proxies.item(name)?.value));
  const isOpen = useSignal(false);
  const proxy = item.value;
  if (proxy === undefined) return null;
  const { node, flavour, identity, connected, userAgent } = proxy;
  return (
    <>
      <tr>
        <Cell title="Node">
          <button type="button" class="link" aria-expanded={isOpen.value} onClick={() => (isOpen.value = !isOpen.value)}>
            {node}
          </button>
        </Cell>
        <Cell title="State">
          <SyncMark proxy={proxy} />
        </Cell>
        <Cell title="Kind">{userAgent === '' ? flavour : userAgent}</Cell>
        <Cell title="Identity">{shortName(identityName(identity))}</Cell>
        <Cell title="Connected">
          <Ago time={connected} />
        </Cell>
      </tr>
      {isOpen.value && (
        <tr class="more">
          <td colSpan={COLUMNS.length}>
            <Details proxy={proxy} />
          </td>
        </tr>
      )}
    </>
  );
}

function SyncMark({ proxy: { sync } }: { readonly proxy: Proxy }) {
  const rejected = sync.filter(({ state }) => state === 'rejected');
  const behind = sync.filter(({ state }) => state === 'behind');
  if (rejected.length > 0)
    return (
      <Mark tone="bad" icon="cross">
        rejects {rejected.map(({ kind }) => kind).join(', ')}
      </Mark>
    );
  if (behind.length > 0)
    return (
      <Mark tone="warn" icon="dots">
        behind with {behind.map(({ kind }) => kind).join(', ')}
      </Mark>
    );
  return (
    <Mark tone="good" icon="check">
      in sync
    </Mark>
  );
}

function Details({ proxy: { sync, service, heldHash, givenHash, reported, identity } }: { readonly proxy: Proxy }) {
  return (
    <>
      <Table
        label="What it has applied"
        columns={['Configuration', 'State', 'Resources', 'Version', 'Acknowledged'].map((title) => ({
          title,
          numeric: title === 'Resources',
        }))}
      >
        {sync.map((kind) => (
          <KindRow key={kind.kind} sync={kind} />
        ))}
      </Table>
      <Facts
        items={[
          ['Protocol', service],
          ['Identity', identity],
          ['Has, given', heldHash === givenHash ? heldHash : `${heldHash}, ${givenHash}`],
          ['Says it has', reported === null ? 'nothing about it' : reported.hash],
        ]}
      />
    </>
  );
}

function KindRow({ sync: { kind, state, resources, sentVersion, ackedVersion, acked, rejection } }: { readonly sync: KindSync }) {
  return (
    <tr>
      <Cell title="Configuration">{kind}</Cell>
      <Cell title="State">
        <Mark
          tone={state === 'in sync' ? 'good' : state === 'behind' ? 'warn' : 'bad'}
          icon={state === 'in sync' ? 'check' : state === 'behind' ? 'dots' : 'cross'}
        >
          {state}
        </Mark>
        {rejection !== '' && <span class="reason">{rejection}</span>}
      </Cell>
      <Cell title="Resources" numeric>
        {resources}
      </Cell>
      <Cell title="Version">{sentVersion === ackedVersion ? sentVersion : `${ackedVersion} → ${sentVersion}`}</Cell>
      <Cell title="Acknowledged">{acked === null ? 'not yet' : <Ago time={acked} />}</Cell>
    </tr>
  );
}
