// The explorer against Spin on a model of the same protocol, and against fast-check's scheduler.
//
// Spin and gcc are taken from the host (Debian: `apt-get install spin gcc`); without them that row says so.
// Spin's generation and gcc are not counted. Promela counts about twice the states, for its `if` is one.

import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Coverage, ExhaustiveSearch, explore, System, totalEvents } from '@pkslab/explore';
import { scenarios } from '@pkslab/selftests';
import fc from 'fast-check';
import { median } from './measure.mjs';
import { peerScenario } from './peers/pks-scenario.mjs';

/** Most of them behind the first few, in which V8 still compiles the search. */
const ROUNDS = 15;
const REQUEST = { revision: 'reference', repairs: [], sabotages: [], with: {} };

const clock = () => performance.now() / 1000;

/** @returns states, executions and seconds of one search over a whole budget at once, as Spin's is */
function searchOnce(scenario) {
  const start = clock();
  const system = new System(scenario.setup(REQUEST));
  const limits = { maxStates: 50_000_000, shouldStop: () => false };
  const total = totalEvents(scenario.budget, system.machine.cpus.length);
  const search = new ExhaustiveSearch(system, limits, new Coverage(system));
  const { verdict, states, executions } = search.run(scenario.budget, total);
  if (verdict !== 'holds') throw new Error(`${scenario.name}: ${verdict}`);
  return { states, executions, seconds: clock() - start };
}

/** Builds Spin's verifier in a temporary folder; null where Spin or gcc is missing. */
function buildPan() {
  const folder = mkdtempSync(join(tmpdir(), 'pkslab-bench-'));
  copyFileSync(fileURLToPath(new URL('peers/pks.pml', import.meta.url)), join(folder, 'pks.pml'));
  const defines = ['-DNCPU=1', '-DIRQB=1', '-DNMIB=1', '-DPREB=2'];
  const run = (command, args) => spawnSync(command, args, { cwd: folder }).status === 0;
  const built =
    run('spin', ['-a', ...defines, 'pks.pml']) &&
    run('gcc', ['-O3', '-DSAFETY', '-w', '-o', 'pan', 'pan.c']);
  return { folder, pan: built ? join(folder, 'pan') : null };
}

function panOnce(pan) {
  const { stdout } = spawnSync(pan, ['-m100000', '-w26'], { encoding: 'utf8' });
  const states = Number(/(\d+) states, stored/.exec(stdout)?.[1]);
  // Its own figure: without the start of the process, and without clearing the table.
  const seconds = Number(/elapsed time ([\d.]+) seconds/.exec(stdout)?.[1]);
  if (!/errors: 0/.test(stdout) || !(states > 0)) throw new Error(`pan: ${stdout}`);
  return { states, seconds };
}

function againstSpin() {
  const { folder, pan } = buildPan();
  if (pan === null) {
    rmSync(folder, { recursive: true });
    return [{ name: 'time to verdict vs Spin', note: 'no spin or no gcc on this host' }];
  }
  const ours = [];
  const spins = [];
  for (let round = 0; round < ROUNDS; round++) {
    ours.push(searchOnce(peerScenario));
    spins.push(panOnce(pan));
  }
  rmSync(folder, { recursive: true });
  const seconds = (runs) => median(runs.map((run) => run.seconds));
  const perState = (runs) => median(runs.map((run) => (run.seconds / run.states) * 1e9));
  return [
    row('time to verdict vs Spin', seconds(ours) * 1e9, seconds(spins) * 1e9, 1),
    row('the first search of a process vs Spin', ours[0].seconds * 1e9, seconds(spins) * 1e9, null),
    row('time a state vs Spin', perState(ours), perState(spins), 2),
  ];
}

/** The peer protocol's tasks as promises: each operation is one scheduled step. */
async function fastCheckExecutions(count) {
  const start = clock();
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), async (s) => {
      const task = async (steps) => {
        for (let i = 0; i < steps; i++) await s.schedule(Promise.resolve(i));
      };
      // As many operations as a schedule of the scenario has on the median.
      const done = Promise.all([task(30), task(30), task(25), task(25)]);
      await s.waitAll();
      await done;
    }),
    { numRuns: count },
  );
  return (clock() - start) / count;
}

async function againstFastCheck() {
  const ours = [];
  const peers = [];
  for (let round = 0; round < ROUNDS; round++) {
    const { executions, seconds } = searchOnce(peerScenario);
    ours.push(seconds / executions);
    peers.push(await fastCheckExecutions(100));
  }
  const limit = 1 / 20;
  return [row('an execution vs fast-check', median(ours) * 1e9, median(peers) * 1e9, limit)];
}

/** Two tasks with sections of their own on two CPUs, and an interrupt: the same verdict with and without ample sets. */
function ampleSets() {
  const scenario = scenarios.find(({ name }) => name === 'sections-on-two-cpus');
  const search = (strategy) => explore(scenario, { strategy, clock, candidates: [] });
  const full = search('exhaustive');
  const reduced = search('stateful');
  if (!reduced.reduced || reduced.verdict !== full.verdict) {
    throw new Error(`ample sets: ${reduced.verdict}, not ${full.verdict}`);
  }
  const times = (full.states / reduced.states).toFixed(0);
  const states = `${reduced.states} states in place of ${full.states}, ${times} times fewer`;
  const name = 'two CPUs, with ample sets / without';
  const time = row(name, reduced.seconds * 1e9, full.seconds * 1e9, null);
  return [time, { name: 'its states', note: states }];
}

/** The rate at which the catalogue's largest scenario is searched, without a peer. */
function everything() {
  const scenario = scenarios.find(({ name }) => name === 'everything');
  const { states, seconds } = explore(scenario, { budget: { preempt: 1 }, clock });
  const rate = (states / seconds / 1e6).toFixed(2);
  return [{ name: 'states of `everything`', note: `${rate} million a second` }];
}

function row(name, a, b, limit) {
  const ratio = a / b;
  return { name, a, b, ratio, limit, ok: limit === null || ratio <= limit };
}

export async function exploreBenchmarks() {
  return [...againstSpin(), ...(await againstFastCheck()), ...ampleSets(), ...everything()];
}
