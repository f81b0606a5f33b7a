// The small parts that all pages are made of.
import type { ComponentChildren } from 'preact';
import { useComputed } from '@preact/signals';
import type { ApiError } from '../api/http.ts';
import type { Health } from '../api/types.ts';
import { ago } from '../logic/format.ts';
import { HEALTH_WORDS, type Tone } from '../logic/words.ts';
import { nowMs } from '../browser/machine.ts';
import { serviceHref } from '../state/routes.ts';
import { shortName } from '../logic/format.ts';
import { Icon, type IconName } from './icon.tsx';

interface Children {
  readonly children: ComponentChildren;
}

export function Page({
  title,
  about,
  aside,
  children,
}: Children & { readonly title: string; readonly about?: ComponentChildren; readonly aside?: ComponentChildren }) {
  return (
    <>
      <header class="page-head">
        <div>
          <h1 tabIndex={-1}>{title}</h1>
          {about !== undefined && <p class="about">{about}</p>}
        </div>
        {aside !== undefined && <div class="actions">{aside}</div>}
      </header>
      {children}
    </>
  );
}

export function Card({
  title,
  aside,
  children,
  id,
}: Children & { readonly title: string; readonly aside?: ComponentChildren; readonly id?: string }) {
  return (
    <section class="card" aria-label={title} id={id}>
      <div class="card-head">
        <h2>{title}</h2>
        {aside !== undefined && <div class="actions">{aside}</div>}
      </div>
      {children}
    </section>
  );
}

/** Nothing is there: why, and what to do next. */
export function Empty({ title, children }: Children & { readonly title: string }) {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      <p>{children}</p>
    </div>
  );
}

export function Waiting({ what }: { readonly what: string }) {
  return (
    <p class="empty waiting" role="status">
      Asking for {what} …
    </p>
  );
}

/** `title`: in place of the one that is made of `what`. */
export function Failure({ error, what, title }: { readonly error: ApiError; readonly what: string; readonly title?: string }) {
  const isMissing = error.code === 'NOT_FOUND' && error.message.startsWith('there is nothing at this address');
  return (
    <div class="note bad" role="alert">
      <Icon name="warn" />
      <div>
        <strong>{title ?? (isMissing ? `This control plane has no ${what}` : `The ${what} cannot be shown`)}</strong>
        <p>
          {error.message}
          {error.mend === '' ? '' : `; ${error.mend}`}
        </p>
      </div>
    </div>
  );
}

export function Note({ tone = 'calm', icon, children }: Children & { readonly tone?: Tone; readonly icon?: IconName }) {
  return (
    <div class={`note ${tone}`}>
      {icon !== undefined && <Icon name={icon} />}
      <div>{children}</div>
    </div>
  );
}

const HEALTH_ICONS: Readonly<Record<Health, IconName>> = { healthy: 'check', unhealthy: 'cross', draining: 'down', starting: 'dots' };

/** By shape, word and colour. */
export function HealthMark({ health }: { readonly health: Health }) {
  return (
    <Mark tone={health === 'healthy' ? 'good' : health === 'unhealthy' ? 'bad' : 'warn'} icon={HEALTH_ICONS[health]}>
      {HEALTH_WORDS[health]}
    </Mark>
  );
}

export function Mark({ tone, icon, children }: Children & { readonly tone: Tone; readonly icon?: IconName }) {
  return (
    <span class={`mark ${tone}`}>
      {icon !== undefined && <Icon name={icon} />}
      {children}
    </span>
  );
}

/** How long ago, kept up to date; the time itself when pointed at. */
export function Ago({ time }: { readonly time: string }) {
  const ms = Date.parse(time);
  // The text alone changes, not what is around it.
  const text = useComputed(() => ago(ms, nowMs.value));
  return (
    <time dateTime={time} title={time} class="nowrap">
      {text}
    </time>
  );
}

export function ServiceLink({ name }: { readonly name: string }) {
  return name.startsWith('heddle-') || !name.includes('/') ? (
    <span>{shortName(name)}</span>
  ) : (
    <a href={serviceHref(name)}>{shortName(name)}</a>
  );
}

export function Segments<T extends string>({
  label,
  options,
  value,
  onChange,
}: {
  readonly label: string;
  readonly options: readonly (readonly [value: T, text: string])[];
  readonly value: T;
  readonly onChange: (value: T) => void;
}) {
  return (
    <div class="segments" role="group" aria-label={label}>
      {options.map(([option, text]) => (
        <button type="button" key={option} aria-pressed={option === value} onClick={() => onChange(option)}>
          {text}
        </button>
      ))}
    </div>
  );
}

export function Facts({ items }: { readonly items: readonly (readonly [name: string, value: ComponentChildren])[] }) {
  return (
    <dl class="facts">
      {items.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
