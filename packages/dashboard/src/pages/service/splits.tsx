// Splits of traffic, as a canary has them: shares are moved with a slider and applied when they are confirmed.
import { useSignal } from '@preact/signals';
import type { ServiceDetail } from '../../api/types.ts';
import type { ServiceTraffic } from '../../api/traffic.ts';
import { pathOf } from '../../api/http.ts';
import { rate, shortName } from '../../logic/format.ts';
import { sharesOf, withShare } from '../../logic/split.ts';
import { api, may } from '../../browser/session.ts';
import { say } from '../../browser/toasts.ts';
import { Card } from '../../parts/basics.tsx';
import { Dialog } from '../../parts/dialog.tsx';

type Rule = ServiceDetail['rules'][number];
type Destination = Extract<Rule['action'], { kind: 'forward' }>['to'][number];

interface SplitsProps {
  readonly name: string;
  readonly detail: ServiceDetail | undefined;
  readonly traffic: ServiceTraffic | undefined;
  readonly onChange: () => void;
}

export function Splits({ name, detail, traffic, onChange }: SplitsProps) {
  const splits = (detail?.rules ?? []).flatMap((rule) =>
    rule.action.kind === 'forward' && rule.action.to.length > 1 ? [{ rule: rule.name, to: rule.action.to }] : [],
  );
  if (splits.length === 0) return null;
  return (
    <Card title="Splits" aside={!may('editor') && <span class="about">Changes need the role editor</span>}>
      {splits.map(({ rule, to }) => (
        // Anew when somebody else has changed it.
        <Split
          key={`${rule} ${JSON.stringify(to)}`}
          name={name}
          rule={rule}
          to={to}
          requests={traffic?.routes.find(({ route }) => route === rule)?.requestsPerSecond}
          onChange={onChange}
        />
      ))}
    </Card>
  );
}

interface SplitProps extends Pick<SplitsProps, 'name' | 'onChange'> {
  readonly rule: string;
  readonly to: readonly Destination[];
  readonly requests: number | undefined;
}

function Split({ name, rule, to, requests, onChange }: SplitProps) {
  const now = sharesOf(to.map(({ weight }) => weight));
  const wanted = useSignal<readonly number[]>(now);
  const isAsking = useSignal(false);
  const isChanged = wanted.value.some((share, index) => Math.round(share) !== Math.round(now[index] ?? 0));
  const titles = to.map((destination) => titleOf(destination, name));
  return (
    <fieldset class="split">
      <legend>Route {rule}</legend>
      {titles.map((title, index) => {
        const share = wanted.value[index] ?? 0;
        return (
          <label key={title} class="split-row">
            <span class="split-name">{title}</span>
            <input
              type="range"
              min="0"
              max="100"
              step="1"
              value={Math.round(share)}
              disabled={!may('editor')}
              aria-valuetext={`${Math.round(share)} percent`}
              onInput={(event) => (wanted.value = withShare(wanted.value, index, event.currentTarget.valueAsNumber))}
            />
            <output class="split-share">{Math.round(share)} %</output>
            <span class="split-rate">{requests === undefined ? '' : `≈ ${rate((requests * share) / 100)}`}</span>
          </label>
        );
      })}
      {may('editor') && (
        <div class="actions">
          <button type="button" class="primary" disabled={!isChanged} onClick={() => (isAsking.value = true)}>
            Apply …
          </button>
          <button type="button" disabled={!isChanged} onClick={() => (wanted.value = now)}>
            Reset
          </button>
        </div>
      )}
      {isAsking.value && (
        <Dialog
          title={`Shift the traffic of ${shortName(name)}?`}
          action="Shift"
          onClose={() => (isAsking.value = false)}
          onConfirm={async () => {
            await api.send('PUT', `/services/${pathOf(name)}/routes/${encodeURIComponent(rule)}/split`, {
              weights: to.map((destination, index) => weightOf(destination, Math.round(wanted.value[index] ?? 0))),
            });
            say(
              `Traffic of ${shortName(name)} is shifted: ${titles.map((title, index) => `${title} ${Math.round(wanted.value[index] ?? 0)} %`).join(', ')}.`,
            );
            onChange();
          }}
        >
          <ul class="plain">
            {titles.map((title, index) => (
              <li key={title}>
                {title}: {Math.round(now[index] ?? 0)} % → <b>{Math.round(wanted.value[index] ?? 0)} %</b>
              </li>
            ))}
          </ul>
          <p>Data planes take it over within moments. The change is in the audit log; the mesh file stays as it is.</p>
        </Dialog>
      )}
    </fieldset>
  );
}

function keyOf({ namespace, name }: Destination['service']): string {
  return `${namespace}/${name}`;
}

function titleOf({ service, labels }: Destination, own: string): string {
  const marks = Object.entries(labels).map(([key, value]) => `${key} ${value}`);
  const elsewhere = keyOf(service) === own ? [] : [shortName(keyOf(service))];
  return [...elsewhere, ...marks].join(', ') || shortName(own);
}

function weightOf({ service, labels }: Destination, weight: number): object {
  return { service: keyOf(service), labels, weight };
}
