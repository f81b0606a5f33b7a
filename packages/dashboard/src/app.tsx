// The frame around the pages: where one can go, how the control plane is heard, who has logged in.
import { useEffect, useRef } from 'preact/hooks';
import { useComputed, useSignal } from '@preact/signals';
import { comebacks, connection } from './browser/app.ts';
import { nowMs } from './browser/machine.ts';
import { place } from './browser/place.ts';
import { caller, logOut, session } from './browser/session.ts';
import { THEMES, type Theme, theme } from './browser/theme.ts';
import { dismiss, toasts } from './browser/toasts.ts';
import { Icon, type IconName } from './parts/icon.tsx';
import { Empty, Page, Waiting } from './parts/basics.tsx';
import { Audit } from './pages/audit.tsx';
import { Decisions } from './pages/decisions.tsx';
import { Events } from './pages/events.tsx';
import { Explain } from './pages/explain.tsx';
import { Identities } from './pages/identities.tsx';
import { Login } from './pages/login.tsx';
import { Overview } from './pages/overview.tsx';
import { Proxies } from './pages/proxies.tsx';
import { ServicePage } from './pages/service/index.tsx';
import { Services } from './pages/services.tsx';
import { Tap } from './pages/tap.tsx';
import { type PageName, href } from './state/routes.ts';

const ENTRIES: readonly (readonly [page: PageName & IconName, text: string])[] = [
  ['overview', 'Overview'],
  ['services', 'Services'],
  ['proxies', 'Data planes'],
  ['identities', 'Identities'],
  ['decisions', 'Decisions'],
  ['tap', 'Tap'],
  ['explain', 'Explain'],
  ['events', 'Events'],
  ['audit', 'Audit log'],
];

export function App() {
  const { state } = session.value;
  if (state === 'unknown')
    return (
      <main class="login" id="main">
        <Waiting what="the control plane" />
      </main>
    );
  return state === 'out' ? <Login /> : <Shell />;
}

function Shell() {
  const main = useRef<HTMLElement>(null);
  const isMenuOpen = useSignal(false);
  const { page, name } = place.value;
  const isFirst = useRef(true);
  useEffect(() => {
    document.title = `${page === 'service' ? name : (ENTRIES.find(([entry]) => entry === page)?.[1] ?? 'Not found')} · Heddle`;
    isMenuOpen.value = false;
    // Who reads by ear or keyboard goes on where the new page begins.
    if (!isFirst.current) main.current?.querySelector('h1')?.focus({ preventScroll: true });
    if (!isFirst.current) scrollTo(0, 0);
    isFirst.current = false;
  }, [page, name]);
  return (
    <div class="shell">
      <a class="skip" href="#main" onClick={(event) => (event.preventDefault(), main.current?.querySelector('h1')?.focus())}>
        Skip to the content
      </a>
      <header class="bar">
        <button
          type="button"
          class="square menu-button"
          aria-label="Menu"
          aria-expanded={isMenuOpen.value}
          aria-controls="menu"
          onClick={() => (isMenuOpen.value = !isMenuOpen.value)}
        >
          <Icon name="menu" />
        </button>
        <a class="brand" href={href('overview')}>
          Heddle <span>{caller.value?.mesh}</span>
        </a>
        <ConnectionMark />
        <span class="bar-space" />
        <ThemeSwitch />
        <Who />
      </header>
      <nav id="menu" class={`menu ${isMenuOpen.value ? 'open' : ''}`} aria-label="Pages">
        <ul>
          {ENTRIES.map(([entry, text]) => (
            <li key={entry}>
              <a href={href(entry)} aria-current={entry === page || (entry === 'services' && page === 'service') ? 'page' : undefined}>
                <Icon name={entry} />
                {text}
              </a>
            </li>
          ))}
        </ul>
        <p class="about version">Heddle {caller.value?.version}</p>
      </nav>
      <main id="main" ref={main}>
        <CurrentPage />
      </main>
      <div class="toasts" role="status">
        {toasts.value.map(({ id, text }) => (
          <div class="toast" key={id}>
            {text}
            <button type="button" class="square" aria-label="Dismiss" onClick={() => dismiss(id)}>
              <Icon name="cross" />
            </button>
          </div>
        ))}
      </div>
    </div>
  );
}

function CurrentPage() {
  const { page, name } = place.value;
  switch (page) {
    case 'overview':
      return <Overview />;
    case 'services':
      return <Services />;
    case 'service':
      return <ServicePage key={name} name={name} />;
    case 'proxies':
      return <Proxies />;
    case 'identities':
      return <Identities />;
    case 'decisions':
      return <Decisions />;
    case 'tap':
      return <Tap />;
    case 'explain':
      return <Explain />;
    case 'events':
      return <Events />;
    case 'audit':
      return <Audit />;
    default:
      return (
        <Page title="Nothing here">
          <Empty title="This address leads to no page">
            Go to the <a href={href('overview')}>overview</a>.
          </Empty>
        </Page>
      );
  }
}

function ConnectionMark() {
  const text = useComputed(() => {
    const now = connection.value;
    if (now.state === 'live') return 'Live';
    // The first time nothing is lost yet.
    if (comebacks.value === 0 && now.state === 'connecting') return 'Connecting';
    const inSeconds = now.state === 'waiting' ? Math.ceil((now.retryMs - nowMs.value) / 1_000) : 0;
    return inSeconds > 0 ? `Reconnecting in ${inSeconds} s` : 'Reconnecting';
  });
  const state = connection.value.state === 'live' ? 'live' : 'away';
  return (
    <span class={`connection ${state}`} role="status" title={connection.value.state === 'waiting' ? connection.value.error : undefined}>
      <span class="pulse" aria-hidden="true" />
      <span class="unseen">{state === 'live' ? 'The control plane is heard: ' : 'What is shown may be old: '}</span>
      {text.value}
    </span>
  );
}

const THEME_ICONS: Readonly<Record<Theme, IconName>> = { auto: 'auto', light: 'sun', dark: 'moon' };

function ThemeSwitch() {
  const next = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? 'auto';
  return (
    <button
      type="button"
      class="square"
      aria-label={`Colours: ${theme.value}; change to ${next}`}
      title={`Colours: ${theme.value}`}
      onClick={() => (theme.value = next)}
    >
      <Icon name={THEME_ICONS[theme.value]} />
    </button>
  );
}

function Who() {
  const own = caller.value;
  if (own === undefined) return null;
  return (
    <span class="who">
      <span class="who-name" title={own.who}>
        {own.who}
      </span>
      <b>{own.role}</b>
      <button type="button" class="square" aria-label="Log out" title="Log out" onClick={() => logOut()}>
        <Icon name="out" />
      </button>
    </span>
  );
}
