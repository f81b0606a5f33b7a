// The instances of a service: their health with all that it was made from, their traffic, and out of rotation with them.
import { useComputed, useSignal } from '@preact/signals';
import type { ServiceTraffic } from '../../api/traffic.ts';
import type { DrainAnswer, Instance, InstanceDetail } from '../../api/types.ts';
import { pathOf } from '../../api/http.ts';
import { plural } from '../../logic/format.ts';
import { live } from '../../browser/app.ts';
import { useResource } from '../../browser/resource.ts';
import { api, may } from '../../browser/session.ts';
import { say } from '../../browser/toasts.ts';
import { Card, Empty, Facts, Failure, HealthMark, Mark, Waiting } from '../../parts/basics.tsx';
import { Dialog } from '../../parts/dialog.tsx';
import { Cell, Table } from '../../parts/table.tsx';
import { TRAFFIC_COLUMNS, TrafficCells } from '../../parts/traffic-cells.tsx';

const DRAIN_WAIT_MS = 30_000;
const COLUMNS = [...['Instance', 'Health', 'Node', 'Version'].map((title) => ({ title })), ...TRAFFIC_COLUMNS, { title: '' }];

export function Instances({ name, traffic }: { readonly name: string; readonly traffic: ServiceTraffic | undefined }) {
  const names = live.instancesOf(name).value;
  return (
    <Card title="Instances" aside={!may('editor') && <span class="about">Changes need the role editor</span>}>
      {!live.instances.complete.value ? (
        <Waiting what="the instances" />
      ) : names.length === 0 ? (
        <Empty title="No instance is registered">
          Start one: <code>heddle run --service {name.split('/')[1]} --port PORT -- COMMAND</code>
        </Empty>
      ) : (
        <Table label="Instances" columns={COLUMNS}>
          {names.map((instance) => (
            <InstanceRow
              key={instance}
              name={instance}
              traffic={traffic?.instances.find((one) => one.instance === instance || instance.endsWith(`/${one.instance}`))}
            />
          ))}
        </Table>
      )}
    </Card>
  );
}

function InstanceRow({ name, traffic }: { readonly name: string; readonly traffic: ServiceTraffic['instances'][number] | undefined }) {
  const item = useComputed(() => (void live.instances.names.value, live.instances.item(name)?.value));
  const isOpen = useSignal(false);
  const question = useSignal<'drain' | 'return' | undefined>(undefined);
  const instance = item.value;
  if (instance === undefined) return null;
  const { health, healthReason, node, version, locality } = instance;
  const isDraining = health === 'draining';
  return (
    <>
      <tr>
        <Cell title="Instance">
          <button type="button" class="link" aria-expanded={isOpen.value} onClick={() => (isOpen.value = !isOpen.value)}>
            {instance.instance}
          </button>
        </Cell>
        <Cell title="Health" wide>
          <HealthMark health={health} /> <span class="reason">{healthReason}</span>
        </Cell>
        <Cell title="Node">
          {node}
          {locality !== undefined && `, ${locality.zone}`}
        </Cell>
        <Cell title="Version">{version === '' ? '–' : version}</Cell>
        <TrafficCells traffic={traffic} />
        <Cell title="">
          {may('editor') && (
            <button
              type="button"
              aria-label={`${isDraining ? 'Put back' : 'Drain'} ${instance.instance}`}
              onClick={() => (question.value = isDraining ? 'return' : 'drain')}
            >
              {isDraining ? 'Put back' : 'Drain'}
            </button>
          )}
        </Cell>
      </tr>
      {isOpen.value && (
        <tr class="more">
          <td colSpan={COLUMNS.length}>
            <Evidence name={name} instance={instance} />
          </td>
        </tr>
      )}
      {question.value === 'drain' && <DrainDialog name={name} onClose={() => (question.value = undefined)} />}
      {question.value === 'return' && <ReturnDialog name={name} onClose={() => (question.value = undefined)} />}
    </>
  );
}

function Evidence({ name, instance }: { readonly name: string; readonly instance: Instance }) {
  const detail = useResource<InstanceDetail>(() => ({ path: `/instances/${pathOf(name)}`, everyMs: 2_000 }));
  const { data, error } = detail.value;
  const { inbound, application, weight, labels, outbounds } = instance;
  return (
    <div class="columns">
      <div>
        <h3>Why</h3>
        {data === undefined ? (
          error === undefined ? (
            <Waiting what="its evidence" />
          ) : (
            <Failure error={error} what="evidence" />
          )
        ) : (
          <ul class="plain">
            {data.reasons.map(({ source, detector, health, text }) => (
              <li key={`${source} ${detector ?? ''}`}>
                <HealthMark health={health} /> {detector ?? source}: {text}
              </li>
            ))}
          </ul>
        )}
      </div>
      <Facts
        items={[
          ['Inbound', <code key="i">{`${inbound.address}:${inbound.port}`}</code>],
          ['Application', <code key="a">{`${application.address}:${application.port}`}</code>],
          ['Weight', String(weight)],
          [
            'Labels',
            Object.entries(labels)
              .map(([key, value]) => `${key}=${value}`)
              .join(', ') || '–',
          ],
          ['Calls', outbounds.map(({ service }) => service).join(', ') || '–'],
        ]}
      />
    </div>
  );
}

function DrainDialog({ name, onClose }: { readonly name: string; readonly onClose: () => void }) {
  const reason = useSignal('');
  const short = name.split('/')[2] ?? name;
  const others = live
    .instancesOf(name.split('/').slice(0, 2).join('/'))
    .value.filter((one) => one !== name && live.instances.item(one)?.value.health === 'healthy').length;
  return (
    <Dialog
      title={`Take ${short} out of rotation?`}
      action="Drain"
      isDangerous={others === 0}
      onClose={onClose}
      onConfirm={async () => {
        // It is answered when every data plane has acknowledged: until then the instance may still be called.
        const answer = await api.send<DrainAnswer>('PUT', `/instances/${pathOf(name)}/drain?waitMs=${DRAIN_WAIT_MS}`, {
          reason: reason.value,
        });
        say(drained(short, answer?.drain));
      }}
    >
      <p>It gets no new calls, and those that run end. It stays so until it is put back. The change is in the audit log.</p>
      {others === 0 && (
        <p>
          <Mark tone="bad" icon="warn">
            No other instance is healthy
          </Mark>{' '}
          calls to the service will fail.
        </p>
      )}
      <label class="field">
        <span>Reason (shown to others)</span>
        <input type="text" maxLength={200} value={reason.value} onInput={(event) => (reason.value = event.currentTarget.value)} />
      </label>
    </Dialog>
  );
}

function drained(instance: string, drain: DrainAnswer['drain']): string {
  if (drain === undefined || drain.outcome === 'complete') return `${instance} is out of rotation: no data plane chooses it any more.`;
  if (drain.outcome === 'returned') return `${instance} is in rotation again.`;
  return `${instance} is draining; ${plural(drain.stragglers.length, 'data plane has', 'data planes have')} not acknowledged it yet: ${drain.stragglers.map(({ node }) => node).join(', ')}.`;
}

function ReturnDialog({ name, onClose }: { readonly name: string; readonly onClose: () => void }) {
  const short = name.split('/')[2] ?? name;
  return (
    <Dialog
      title={`Put ${short} back into rotation?`}
      action="Put back"
      onClose={onClose}
      onConfirm={async () => {
        await api.send('DELETE', `/instances/${pathOf(name)}/drain`);
        say(`${short} gets calls again as soon as it is healthy.`);
      }}
    >
      <p>It gets calls again when its checks pass. One that is leaving by itself still leaves.</p>
    </Dialog>
  );
}
