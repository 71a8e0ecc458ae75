/** `npm run attack`: real attacks against real agents, routers and loopback clouds, one line for each. */
import { errorText } from '../../shared/log.ts';
import { readScript } from '../script.ts';
import { ENGINES, type Group, type Measured, type Place, PROVIDERS } from './attack.ts';
import { GROUPS } from './groups.ts';
import { inNamespace, isInNamespace, mayMakeNamespace, NAMESPACE_ADDRESS } from './namespace.ts';

const SHORT: Place = { engine: 'sqlite', provider: 'gcp', address: '127.0.0.1', isShort: true };
/** Debian packages of the ledgers' servers, and for the namespace. */
const NEEDS = ['postgresql', 'nats-server', 'iproute2'];
const ADDRESSES = [SHORT.address, NAMESPACE_ADDRESS];
const ATTACKS = GROUPS.flatMap(({ attacks }) => attacks);

const { filters, engines, providers, addresses, isShort, open, list, packages } = readScript(
  {
    command: 'npm run attack',
    argument: '[part of a name …]',
    does: 'Attacks a real agent, router and loopback clouds, and prints one line for each attack: the result, its name, how far it got, and how far it may get. Attacks that need root are named and not run by other users. Exits 1 when one got further.',
    options: {
      engine: { takes: [...ENGINES, 'all'].join('|'), default: 'sqlite', is: 'of the ledger' },
      provider: {
        takes: [...PROVIDERS, 'all'].join('|'),
        default: 'gcp',
        is: 'through which the attacker publishes',
      },
      address: {
        takes: 'ADDRESS',
        is: 'of the admin servers (default: 127.0.0.1, and another one in a network namespace)',
      },
      short: { is: 'fewer repetitions' },
      open: { is: 'plays the attacks that are known to get further, and these alone' },
      list: { is: 'prints the names, and runs nothing' },
      packages: { is: 'prints the Debian packages of all engines, and runs nothing' },
    },
    example: 'envelope/ broker/ --engine postgres --provider azure',
  },
  ({ engine, provider, address, short: isShort, open, list, packages }, filters) => {
    for (const filter of filters) {
      if (!ATTACKS.some(({ name }) => name.includes(filter)))
        throw new Error(`no attack has "${filter}" in its name`);
    }
    return {
      filters,
      engines: oneOrAll('--engine', engine, ENGINES),
      providers: oneOrAll('--provider', provider, PROVIDERS),
      addresses: address === undefined ? ADDRESSES : [address],
      isShort,
      open,
      list,
      packages,
    };
  },
);

function oneOrAll<const Name extends string>(
  option: string,
  given: string,
  all: readonly Name[],
): readonly Name[] {
  const found = all.filter((name) => given === 'all' || name === given);
  if (found.length === 0) throw new Error(`${option} must be one of ${all.join(', ')}, all`);
  return found;
}

const chosen = new Set(
  ATTACKS.filter(({ isOpen = false }) => isOpen === open)
    .map(({ name }) => name)
    .filter((name) => filters.length === 0 || filters.some((filter) => name.includes(filter))),
);
const results = { held: 0, failed: 0, notRun: 0 };

function tell(where: string, name: string, result: Measured | { error: unknown }): void {
  const isHeld = !('error' in result) && result.figure <= result.bound;
  results[isHeld ? 'held' : 'failed'] += 1;
  const said =
    'error' in result ? errorText(result.error) : `${result.figure} ${result.unit}, at most ${result.bound}`;
  console.log(`${isHeld ? 'held' : 'FAILED'}  ${name}${where}: ${said}`);
}

/** The places that make a difference to the group. */
function placesOf({ varies }: Group): Place[] {
  const over = <Name>(name: Group['varies'][number], all: readonly Name[], otherwise: Name) =>
    varies.includes(name) ? all : [otherwise];
  return over('engine', engines, SHORT.engine).flatMap((engine) =>
    over('provider', providers, SHORT.provider).flatMap((provider) =>
      over('address', addresses, SHORT.address).map((address) => ({ engine, provider, address, isShort })),
    ),
  );
}

function notRun(names: readonly string[], why: string): void {
  results.notRun += names.length;
  for (const name of names) console.log(`not run  ${name}: ${why}`);
}

/** Plays them in a network namespace. */
function elsewhere(names: readonly string[]): void {
  if (!mayMakeNamespace()) {
    notRun(names, 'this user may not make network namespaces');
  } else if (inNamespace([...names, ...(isShort ? ['--short'] : []), ...(open ? ['--open'] : [])])) {
    results.held += names.length;
  } else results.failed += names.length;
}

async function play(one: Group): Promise<void> {
  const names = one.attacks.map(({ name }) => name).filter((name) => chosen.has(name));
  if (names.length === 0) return;
  if (one.needsRoot && process.getuid?.() !== 0) {
    notRun(names, 'only root can play it');
    return;
  }
  for (const place of placesOf(one)) {
    const where = one.varies.length === 0 ? '' : ` [${one.varies.map((name) => place[name]).join(', ')}]`;
    if (place.address === NAMESPACE_ADDRESS && !isInNamespace()) elsewhere(names);
    else await one.play(place, chosen, (name, result) => tell(where, name, result));
  }
}

if (packages) console.log(NEEDS.join(' '));
else if (list) for (const name of chosen) console.log(name);
else {
  for (const one of GROUPS) await play(one);
  const { held, failed, notRun } = results;
  const total = held + failed + notRun;
  if (!isInNamespace()) console.log(`# { total: ${total}, pass: ${held}, fail: ${failed}, skip: ${notRun} }`);
  process.exit(failed === 0 ? 0 : 1);
}
